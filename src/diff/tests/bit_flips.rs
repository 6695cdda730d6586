//! A thousand random bit flips and truncations in every file: told, and never another plan.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use super::damage::{copy, names};
use super::random::Random;
use super::*;
use crate::snapshot::log::{Entry, Fate, LogWriter};
use crate::snapshot::{FileError, Limits, Rewrite, SnapshotError, order, verify};

const ROUNDS: u64 = 1000;

/// Gives each of so many damaged versions of a file to `check`, in its place, and puts the file back.
fn damaged(path: &Path, mut check: impl FnMut(&str)) {
    let whole = fs::read(path).expect("the file");
    let mut random = Random(whole.len() as u64);
    for round in 0..ROUNDS {
        let at = random.below(whole.len() as u64) as usize;
        let mut bytes = whole.clone();
        if round % 4 == 0 {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << random.below(8);
        }
        fs::write(path, bytes).expect("altered");
        check(&format!("{}, byte {at}", path.display()));
    }
    fs::write(path, whole).expect("put back");
}

/// A snapshot of a base and two segments, and the rows that it holds.
struct Layered {
    _folder: TempDir,
    state: PathBuf,
    plan: PathBuf,
    limits: Limits,
    rows: Vec<TestRow>,
}

impl Layered {
    fn new(by_hash: bool, overlay_in_memory: usize) -> Self {
        let folder = folder();
        let (state, plan) = (folder.path().join("state"), folder.path().join("plan"));
        let limits = Limits { overlay_in_memory, ..Limits::default() };
        let mut layered = Self { _folder: folder, state, plan, limits, rows: rows(0..300) };
        layered.run(0, |_| {});
        if by_hash {
            layered.run(1, |rows| Random(1).shuffle(rows));
            layered.run(1, |rows| Random(2).shuffle(rows));
            layered.rows.sort_by_key(|row| row.id);
        }
        for run in 0..2 {
            layered.run(1000, |rows| {
                rows[10 + run].n = 1;
                rows.remove(200);
                // The second time a record leaves that no base ever had.
                rows.retain(|row| row.id != Some(599 + run as i64));
                rows.push(TestRow::new(600 + run as i64, "new", 0));
            });
        }
        assert_eq!(names(&layered.state).len(), 7);
        let store = layered.open().expect("whole");
        store.verify().expect("whole");
        assert_eq!(store.snapshot().expect("a snapshot").by_hash(), by_hash);
        layered
    }

    /// Changes the rows and settles a run of them.
    fn run(&mut self, overlay_entries: u64, change: impl FnOnce(&mut Vec<TestRow>)) {
        change(&mut self.rows);
        let store =
            Store::open_with(&self.state, state_key(), Limits { overlay_entries, ..self.limits }).expect("a store");
        let snapshot = store.snapshot().expect("a snapshot");
        let request = request(&format!("after-{}", snapshot.base_id()));
        let info = SettleInfo { run_id: request.run_id.clone(), log_digest: [0; 32], log_len: 0 };
        try_plan(&snapshot, &self.rows, request, &TestMapper::usual(), &self.plan).expect("a plan");
        let plan = PlanReader::open(&self.plan, &state_key()).expect("the plan");
        settle(&store, &plan, &Fates::default(), info).expect("settled");
    }

    fn open(&self) -> Result<Store, SnapshotError> {
        Store::open_with(&self.state, state_key(), self.limits)
    }

    /// The ops for rows of which some changed, left and came, in another order; and of removals, which need what
    /// is kept of them.
    fn ops(&self, store: &Store) -> Result<Vec<Op>, DiffError> {
        let mut rows = self.rows.clone();
        rows[150].n = 9;
        rows.swap(50, 250);
        rows.drain(100..103);
        rows.pop();
        rows.push(TestRow::new(900, "newer", 0));
        try_plan(&store.snapshot()?, &rows, request("r"), &TestMapper::usual(), &self.plan)?;
        let plan = PlanReader::open(&self.plan, &state_key())?;
        plan.ops(None).map(|op| op.map_err(DiffError::from)).collect()
    }

    /// Damages every file; the store is opened and compared as a run does it.
    fn endure(&self) {
        let expected = self.ops(&self.open().expect("whole")).expect("whole");
        let (mut at_opening, mut at_reading) = (0, 0);
        for name in names(&self.state) {
            damaged(&self.state.join(&name), |what| {
                let verified = verify(&self.state, &state_key());
                // A flipped bit of the manifest's version makes another version of it.
                assert!(verified.is_err() || verified.is_ok_and(|v| v.is_some_and(|v| !v.damage.is_empty())), "{what}");
                match self.open().map(|store| self.ops(&store)) {
                    Err(_) => at_opening += 1,
                    Ok(Err(_)) => at_reading += 1,
                    Ok(Ok(ops)) => assert_eq!(ops, expected, "{what}: another plan"),
                }
            });
        }
        assert!(at_opening >= 3 * ROUNDS, "told {at_opening} times: the manifest and the segments are read whole");
        assert!(at_reading >= ROUNDS, "told {at_reading} times by reading");
        assert_eq!(self.ops(&self.open().expect("whole")).expect("whole"), expected);
    }
}

#[test]
fn damage_to_a_snapshot_in_the_order_of_the_rows_is_told_and_gives_no_other_plan() {
    Layered::new(false, 1000).endure();
}

#[test]
fn damage_to_a_snapshot_by_hash_is_told_and_gives_no_other_plan() {
    Layered::new(true, 1000).endure();
}

#[test]
fn damage_to_a_snapshot_whose_overlay_lies_on_disk_is_told_and_gives_no_other_plan() {
    Layered::new(false, 0).endure();
}

/// The plan of a run whose base is to follow the rows, with its order file.
fn followed() -> (Sync, PlanReader) {
    let mut sync = Sync::new();
    let limits = Limits { overlay_entries: 1, ..Limits::default() };
    sync.store = Store::open_with(&sync.folder.path().join("followed"), state_key(), limits).expect("a store");
    let mut model = rows(0..300);
    sync.run(&model);
    sync.run(&model);
    model.rotate_right(40);
    sync.run(&model);
    assert_eq!(sync.store.snapshot().expect("a snapshot").rewrites(), Some(Rewrite::ByArrival));
    model.iter_mut().step_by(3).for_each(|row| row.n = 4);
    model.extend(rows(300..350));
    let request = sync.next_request();
    let plan = sync.plan(&model, request);
    (sync, plan)
}

#[test]
fn damage_to_a_plan_is_told_when_it_is_opened_or_read() {
    let (_sync, plan) = followed();
    let read = || PlanReader::open(plan.path(), &state_key()).and_then(|plan| plan.verify());
    damaged(plan.path(), |what| assert!(read().is_err(), "{what}: not told"));
    read().expect("whole");
}

#[test]
fn damage_to_an_order_file_is_told() {
    let (_sync, plan) = followed();
    let read = || order::verify(plan.path(), &state_key());
    damaged(&order::path_of(plan.path()), |what| assert!(read().is_err(), "{what}: not told"));
    let read: Result<(), FileError> = read();
    read.expect("whole");
}

/// A delivery that was cut off: what was sent in batches of four, each with its answers; the last has none.
struct Delivery {
    sync: Sync,
    plan: PlanReader,
    log: PathBuf,
    /// Op numbers that the destination refused.
    refused: BTreeSet<u64>,
    /// What the destination had before.
    before: BTreeMap<i64, TestRow>,
}

const BATCH: u64 = 4;

impl Delivery {
    fn new(seal: bool) -> Self {
        let mut sync = Sync::new();
        let before = rows(0..60);
        sync.run(&before);
        let mut model = rows((0..50).chain(60..70));
        model.iter_mut().step_by(2).for_each(|row| row.n = 5);
        let request = sync.next_request();
        let plan = sync.plan(&model, request);
        let log = sync.folder.path().join("log");
        let mut writer = LogWriter::create(&log, &plan.header().run_id).expect("a log");
        let mut refused = BTreeSet::new();
        for first in (0..plan.len()).step_by(BATCH as usize) {
            let last = (first + BATCH - 1).min(plan.len() - 1);
            writer.push(&Entry::Dispatched { first, last }).expect("pushed");
            writer.sync().expect("synced");
            if last + 1 == plan.len() && !seal {
                break;
            }
            for op in first..=last {
                let fate = if op % 7 == 3 { Fate::Rejected } else { Fate::Accepted };
                if fate == Fate::Rejected {
                    refused.insert(op);
                }
                writer.push(&Entry::Ack { op, fate, remote_id: Some(format!("id-{op}")) }).expect("pushed");
            }
            writer.sync().expect("synced");
        }
        if seal {
            writer.seal().expect("sealed");
        }
        let before = before.into_iter().filter_map(|row| row.id.zip(Some(row))).collect();
        Self { sync, plan, log, refused, before }
    }

    fn read(&self) -> Option<Replay> {
        Replay::read(&self.log, &self.plan.header().run_id).ok()
    }

    /// Goes on as a run does, with what the log says was answered: all else is sent. Then the model goes back to
    /// what it was, and the next plan must bring the destination there.
    fn go_on(&self, replay: &Replay) {
        let mut there = self.before.clone();
        let mut fates = Fates::default();
        for op in ops(&self.plan) {
            match replay.fate(op.number) {
                // Not applied, and not sent again in this run.
                Some(Fate::Rejected) => {
                    assert!(self.refused.contains(&op.number));
                    fates.fates.insert(op.number, Settle::Kept);
                }
                Some(fate) => {
                    assert!(fate == Fate::Accepted && !self.refused.contains(&op.number));
                    apply(&op, &mut there);
                }
                None => apply(&op, &mut there),
            }
        }
        let state = self.sync.folder.path().join("went-on");
        copy(self.sync.store.folder(), &state);
        let store = Store::open(&state, state_key()).expect("a store");
        let info = SettleInfo { run_id: self.plan.header().run_id.clone(), log_digest: replay.digest(), log_len: 0 };
        settle(&store, &self.plan, &fates, info).expect("settled");
        let model: Vec<TestRow> = self.before.values().cloned().collect();
        let path = self.sync.folder.path().join("back");
        try_plan(&store.snapshot().expect("a snapshot"), &model, request("back"), &self.sync.mapper, &path)
            .expect("a plan");
        for op in ops(&PlanReader::open(&path, &state_key()).expect("the plan")) {
            apply(&op, &mut there);
        }
        assert_eq!(there, self.before);
    }
}

/// What an op does at the destination.
fn apply(op: &Op, there: &mut BTreeMap<i64, TestRow>) {
    let id = id_of(&op.key);
    let fields: Vec<FieldValue> = op.fields.iter().map(FieldValue::from).collect();
    match (op.kind, fields.as_slice()) {
        (OpKind::Remove, _) => drop(there.remove(&id)),
        (_, [FieldValue::Set(Value::Text(email)), FieldValue::Set(Value::Int(n))]) => {
            there.insert(id, TestRow::new(id, email, *n));
        }
        other => panic!("an op that no destination hears of: {other:?}"),
    }
}

#[test]
fn damage_to_a_sealed_log_is_told() {
    let delivery = Delivery::new(true);
    // Settling asks for the seal: without it the log's end is missing.
    let sealed = || delivery.read().and_then(|replay| replay.sealed());
    damaged(&delivery.log, |what| assert_eq!(sealed(), None, "{what}: not told"));
    assert!(sealed().is_some());
}

#[test]
fn damage_to_an_open_log_is_told_or_costs_answers_that_are_asked_for_again() {
    let delivery = Delivery::new(false);
    let mut lengths = BTreeSet::new();
    let mut told = 0;
    damaged(&delivery.log, |_| match delivery.read() {
        None => told += 1,
        // What is left of a log is told by where it ends.
        Some(replay) if lengths.insert(replay.len()) => delivery.go_on(&replay),
        Some(_) => {}
    });
    assert!(told > ROUNDS / 2, "told {told} times");
    assert!(lengths.len() > 10, "cut off at {lengths:?}");
}
