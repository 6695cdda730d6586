//! A model that grows: no row is passed over, whatever becomes of the runs.

use jiff::Timestamp;
use proptest::prelude::*;

use super::random::Random;
use super::*;
use crate::snapshot::{Growing, IN_DOUBT, Refreshing, Slices};

const LOOKBACK: i64 = 10;
const COLUMN: &str = "at";

fn moment(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a moment")
}

fn growing(from: Option<i64>) -> Growing {
    Growing { column: COLUMN.into(), key: vec!["id".into()], begin: None, from: from.map(moment) }
}

/// A table that grows, its sync, and what the destination has.
struct World {
    sync: Sync,
    table: BTreeMap<i64, (TestRow, i64)>,
    sink: BTreeMap<i64, Vec<i64>>,
    /// Rejected rows that are not due.
    withheld: HashMap<KeyHash, u64>,
    ignores_changed: bool,
    now: i64,
}

impl World {
    fn new(ignores_changed: bool) -> Self {
        let (sync, withheld) = (Sync::new(), HashMap::new());
        Self { sync, table: BTreeMap::new(), sink: BTreeMap::new(), withheld, ignores_changed, now: 1000 }
    }

    /// A row as it is from now on, written down up to a lookback late.
    fn put(&mut self, id: i64, n: i64, late: i64) {
        self.table.insert(id, (TestRow::new(id, &format!("{id}@example.com"), n), self.now - late));
    }

    fn from(&self) -> Option<i64> {
        let snapshot = self.sync.store.snapshot().expect("a snapshot");
        let watermark = snapshot.growth().filter(|growth| growth.is_of(COLUMN, &["id".into()]))?.watermark?;
        Some(watermark.as_second() - LOOKBACK)
    }

    fn open_keys(&self) -> Vec<i64> {
        self.sync.store.snapshot().expect("a snapshot").open_keys().iter().map(|key| id_of(key)).collect()
    }

    /// What the warehouse answers.
    fn scanned(&self) -> Vec<TestRow> {
        let (from, open) = (self.from(), self.open_keys());
        let asked = |(row, at): &&(TestRow, i64)| {
            from.is_none_or(|from| *at >= from) || row.id.is_some_and(|id| open.contains(&id))
        };
        self.table.values().filter(asked).map(|(row, _)| row.clone()).collect()
    }

    fn plan(&mut self, change: impl FnOnce(&mut PlanRequest)) -> PlanReader {
        let mut request = self.sync.next_request();
        request.removals = false;
        request.growing = Some(growing(self.from()));
        request.withheld = self.withheld.clone();
        request.ignores_changed = self.ignores_changed;
        change(&mut request);
        let rows = self.scanned();
        let newest = rows.iter().filter_map(|row| Some(moment(self.table[&row.id?].1))).max();
        let path = self.sync.folder.path().join(format!("{}.plan", request.run_id));
        let snapshot = self.sync.store.snapshot().expect("a snapshot");
        let writer = PlanWriter::new(&path, state_key());
        let mut differ = Differ::new(&snapshot, request, &self.sync.mapper, writer).expect("begun");
        for page in rows.chunks(7) {
            differ.page(&TestPage { rows: page.to_vec(), seed: snapshot.seed() }).expect("a page");
        }
        differ.note_newest(newest);
        differ.finish(rows.len() as u64, &PROOF.of_part()).expect("a plan");
        let plan = PlanReader::open(&path, &state_key()).expect("the plan");
        assert_eq!((plan.summary().newest, plan.summary().counts.left), (newest, 0));
        plan
    }

    /// Sends what the fates say, and settles.
    fn deliver(&mut self, plan: &PlanReader, fates: &Fates) {
        for op in ops(plan) {
            if op.kind.is_sent() && fates.fate(op.number) == Settle::Accepted {
                let row = &self.table[&id_of(&op.key)].0;
                self.sink.entry(id_of(&op.key)).or_default().push(row.n);
            }
        }
        self.sync.settle(plan, fates);
    }

    /// Every row is accepted as it is, or the next scan asks for it.
    fn assert_nothing_is_passed_over(&self) {
        let (from, open, records) = (self.from(), self.open_keys(), self.sync.records());
        let seed = self.sync.store.snapshot().expect("a snapshot").seed();
        for (id, (row, at)) in &self.table {
            let stored = records.get(id).map(|record| record.fingerprint).filter(|stored| *stored != IN_DOUBT);
            let settled = stored.is_some_and(|stored| self.ignores_changed || stored == row.fingerprint(seed));
            let asked = from.is_none_or(|from| *at >= from) || open.contains(id);
            assert!(settled || asked, "row {id} of {at} is passed over: from {from:?}, open {open:?}");
        }
    }
}

/// One run, with rows that came before it.
fn step(world: &mut World, random: &mut Random) {
    world.now += 1 + random.below(20) as i64;
    for _ in 0..random.below(12) {
        let (id, late) = (random.below(60) as i64, random.below(LOOKBACK as u64 + 1) as i64);
        let n = if random.percent(15) { REFUSED } else { random.below(5) as i64 };
        // A sync that appends is not told of changes.
        if !(world.ignores_changed && world.table.contains_key(&id)) {
            world.put(id, n, late);
        }
    }
    let (few, some) = (random.percent(15), random.percent(15));
    let named = random.below(60);
    let plan = world.plan(|request| {
        request.max_rows = few.then_some(3);
        request.only = some.then(|| [named.to_string()].into());
    });
    // Given up, superseded, or ended before it was settled.
    if random.percent(20) {
        return;
    }
    let mut fates = Fates::default();
    for op in ops(&plan) {
        let dice = random.below(100);
        let fate = if dice < 55 {
            Settle::Accepted
        } else if dice < 90 {
            Settle::Kept
        } else {
            Settle::InDoubt
        };
        fates.fates.insert(op.number, fate);
        if fate == Settle::Kept && random.percent(50) {
            world.withheld.insert(op.key_hash, op.fingerprint);
        } else {
            world.withheld.remove(&op.key_hash);
        }
    }
    world.deliver(&plan, &fates);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn no_row_is_passed_over_and_in_the_end_the_sink_has_the_model(seed: u64, appends: bool) {
        let (mut world, mut random) = (World::new(appends), Random(seed));
        for _ in 0..12 {
            step(&mut world, &mut random);
            world.assert_nothing_is_passed_over();
        }
        world.withheld.clear();
        // Mended where they stand: nothing but their keys brings them back.
        world.table.values_mut().filter(|(row, _)| row.n == REFUSED).for_each(|(row, _)| row.n = 1);
        // What is open is asked for by key: the second run finds nothing more to do.
        for sends in [true, false] {
            world.now += 1000;
            world.put(99, if sends { 1 } else { 2 }, 0);
            let plan = world.plan(|_| ());
            world.deliver(&plan, &Fates::default());
            prop_assert_eq!(world.open_keys(), Vec::<i64>::new());
        }
        let last: BTreeMap<i64, i64> = world.sink.iter().map(|(id, sent)| (*id, *sent.last().expect("sent"))).collect();
        if appends {
            prop_assert!(world.sink.values().all(|sent| sent.len() == 1), "an event was appended twice");
            prop_assert_eq!(world.sink.keys().collect::<Vec<_>>(), world.table.keys().collect::<Vec<_>>());
        } else {
            let model: BTreeMap<i64, i64> = world.table.iter().map(|(id, (row, _))| (*id, row.n)).collect();
            prop_assert_eq!(last, model);
        }
    }
}

#[test]
fn more_open_keys_than_can_be_asked_for_keep_the_scan_where_it_is() {
    let mut world = World::new(false);
    (0..6000).for_each(|id| world.put(id, 0, 0));
    let plan = world.plan(|_| ());
    // Nothing but the last 5,001 is refused.
    let refused = |plan: &PlanReader, least: u64| Fates {
        fates: (least..6000).filter(|op| *op < plan.len()).map(|op| (op, Settle::Kept)).collect(),
        ids: HashMap::new(),
    };
    world.deliver(&plan, &refused(&plan, 999));
    assert_eq!((world.from(), world.open_keys().len()), (None, 0));
    let plan = world.plan(|_| ());
    assert_eq!((plan.summary().counts.unchanged, plan.len()), (999, 5001));
    world.deliver(&plan, &refused(&plan, 1));
    assert_eq!((world.from(), world.open_keys().len()), (Some(1000 - LOOKBACK), 5000));
}

#[test]
fn a_settle_moves_the_watermark_though_nothing_was_sent_and_only_then() {
    let mut world = World::new(true);
    world.put(1, 0, 0);
    let plan = world.plan(|_| ());
    assert_eq!(world.from(), None);
    world.deliver(&plan, &Fates::default());
    assert_eq!(world.from(), Some(990));
    let settled = world.sync.store.snapshot().expect("a snapshot").base_id().to_owned();
    let again = world.plan(|_| ());
    world.deliver(&again, &Fates::default());
    let unchanged = world.sync.store.snapshot().expect("a snapshot");
    assert_eq!(unchanged.base_id(), settled, "a run that brought nothing new writes nothing");

    world.now += 100;
    world.put(1, 5, 0);
    let plan = world.plan(|_| ());
    let counts = plan.summary().counts;
    assert_eq!((counts.ignored, counts.sent()), (1, 0));
    world.deliver(&plan, &Fates::default());
    assert_eq!((world.from(), world.sink[&1].len()), (Some(1090), 1));
    let full = world.plan(|request| request.full = true);
    assert_eq!(kinds(&full), [(1, OpKind::Change)], "asked for, it is sent again");
}

#[test]
fn another_column_begins_anew_and_a_whole_model_forgets_the_watermark() {
    let mut world = World::new(false);
    world.put(1, 0, 0);
    let plan = world.plan(|_| ());
    world.deliver(&plan, &Fates::all(&plan, Settle::Kept));
    assert_eq!((world.from(), world.open_keys()), (Some(990), vec![1]));
    let other = |request: &mut PlanRequest| {
        request.growing = Some(Growing { column: "updated_at".into(), ..growing(None) });
    };
    let plan = world.plan(other);
    world.deliver(&plan, &Fates::default());
    let snapshot = world.sync.store.snapshot().expect("a snapshot");
    let growth = snapshot.growth().expect("it grows");
    assert!(growth.is_of("updated_at", &["id".into()]) && !growth.is_of(COLUMN, &["id".into()]));
    assert_eq!((growth.watermark, world.open_keys()), (Some(moment(1000)), vec![]));

    let rows = world.scanned();
    world.sync.run(&rows);
    assert_eq!(world.sync.store.snapshot().expect("a snapshot").growth(), None);
}

#[test]
fn removals_are_never_asked_of_a_part() {
    let mut sync = Sync::new();
    let (snapshot, request) = (sync.store.snapshot().expect("a snapshot"), sync.next_request());
    let path = sync.folder.path().join("p");
    let differ = Differ::new(&snapshot, request, &sync.mapper, PlanWriter::new(&path, state_key())).expect("begun");
    let refused = differ.finish(0, &PROOF.of_part()).expect_err("removals");
    assert!(refused.to_string().contains("did not ask for all rows"), "{refused}");
    assert!(!path.exists());
}

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/snapshot/golden/growing");

/// The plan that is settled on the golden snapshot, and what its run is given.
fn golden_run() -> (std::path::PathBuf, SettleInfo) {
    let info = SettleInfo { run_id: "run-3".into(), log_digest: [4; 32], log_len: 99 };
    (Path::new(GOLDEN).join("third.plan"), info)
}

#[test]
fn a_snapshot_and_a_plan_of_a_model_that_grows_are_read_as_they_were_written() {
    let folder = folder();
    damage::copy(&Path::new(GOLDEN).join("state"), folder.path());
    let store = Store::open(folder.path(), state_key()).expect("a store");
    store.verify().expect("whole");
    let snapshot = store.snapshot().expect("a snapshot");
    let growth = snapshot.growth().expect("it grows");
    assert!(growth.is_of(COLUMN, &["id".into()]));
    assert_eq!((growth.begin, growth.watermark), (Some(moment(900)), Some(moment(1100))));
    assert_eq!(snapshot.open_keys(), [key_of(2), key_of(4)]);
    let (days, soon) = (std::time::Duration::from_secs(86_400), std::time::Duration::from_secs(50));
    assert!(snapshot.due(moment(1100), days).is_empty());
    assert!(!snapshot.due(moment(1100), soon).is_empty(), "sent at second 1000");

    let (plan, info) = golden_run();
    let plan = PlanReader::open(&plan, &state_key()).expect("the plan");
    plan.verify().expect("whole");
    let header = plan.header();
    assert_eq!(header.growing, Some(Growing { begin: Some(moment(900)), ..growing(Some(1090)) }));
    assert_eq!(header.refresh, Some(Refreshing { slices: Slices::ALL, at: moment(1200) }));
    assert_eq!(plan.summary().newest, Some(moment(1200)));
    let kinds_there = [(2, OpKind::Add), (4, OpKind::Reject), (5, OpKind::Refresh), (6, OpKind::Add)];
    assert_eq!(kinds(&plan), kinds_there);
    settle(&store, &plan, &Fates::default(), info).expect("settled");
    let snapshot = store.snapshot().expect("a snapshot");
    assert_eq!(snapshot.growth().and_then(|growth| growth.watermark), Some(moment(1200)));
    assert_eq!(snapshot.open_keys(), [key_of(4)]);
    assert!(snapshot.due(moment(1200), soon).is_empty());
}

#[test]
#[ignore = "writes the golden files anew"]
fn golden_files_of_growth_are_written() {
    let (golden, mut world) = (Path::new(GOLDEN), World::new(false));
    world.now = 1000;
    (1..6).for_each(|id| world.put(id, 0, 0));
    world.put(5, 0, -100);
    let at = |request: &mut PlanRequest, at: i64, slices| {
        request.growing = request.growing.take().map(|growing| Growing { begin: Some(moment(900)), ..growing });
        request.refresh = Some(Refreshing { slices, at: moment(at) });
    };
    let plan = world.plan(|request| at(request, 1000, Slices::default()));
    let refused: Vec<_> = ops(&plan).into_iter().filter(|op| [2, 4].contains(&id_of(&op.key))).collect();
    let fates = refused.iter().map(|op| (op.number, Settle::Kept)).collect();
    world.deliver(&plan, &Fates { fates, ids: HashMap::new() });
    world.withheld.extend(refused.iter().skip(1).map(|op| (op.key_hash, op.fingerprint)));
    world.now = 1200;
    world.put(6, 0, 0);
    // What was there is gone, or was never there.
    let _ = std::fs::remove_dir_all(golden);
    let run = world.plan(|request| {
        request.run_id = "run-3".into();
        at(request, 1200, Slices::ALL);
    });
    damage::copy(world.sync.store.folder(), &golden.join("state"));
    std::fs::copy(run.path(), golden_run().0).expect("copied");
}
