//! The order of rows and of records: noted, followed, given up; and that only speed hangs on it.

use super::random::Random;
use super::*;
use crate::snapshot::{Limits, Rewrite};

/// A sync whose orders count from the first row on, and that compares in so many bytes.
struct Ordered {
    sync: Sync,
    memory: u64,
}

impl Ordered {
    fn new(memory: u64) -> Self {
        let mut sync = Sync::new();
        let state = sync.folder.path().join("ordered");
        let limits = Limits { overlay_entries: 1, ..Limits::default() };
        sync.store = Store::open_with(&state, state_key(), limits).expect("a store");
        Self { sync, memory }
    }

    /// Plans and settles `rows`; gives how many were not where they were expected.
    fn run(&mut self, rows: &[TestRow]) -> (PlanReader, u64) {
        let request = PlanRequest { memory: self.memory, ..self.sync.next_request() };
        let plan = self.sync.plan(rows, request);
        self.sync.settle(&plan, &Fates::default());
        let misses = plan.summary().counts.misses;
        (plan, misses)
    }

    fn snapshot(&self) -> Snapshot {
        self.sync.store.snapshot().expect("a snapshot")
    }

    /// Asserts that exactly these rows are accepted.
    fn assert_holds(&self, rows: &[TestRow]) {
        let seed = self.snapshot().seed();
        let expected: BTreeMap<i64, u64> =
            rows.iter().map(|row| (row.id.expect("a key"), row.fingerprint(seed))).collect();
        let found: BTreeMap<i64, u64> =
            self.sync.records().into_iter().map(|(id, stored)| (id, stored.fingerprint)).collect();
        assert_eq!(found, expected);
    }
}

fn shuffled(mut rows: Vec<TestRow>, seed: u64) -> Vec<TestRow> {
    Random(seed).shuffle(&mut rows);
    rows
}

#[test]
fn a_base_follows_rows_that_have_moved_for_good() {
    for memory in [0, 64 << 20] {
        let mut ordered = Ordered::new(memory);
        ordered.run(&rows(0..3000));
        let in_order = ordered.run(&[rows(0..2999), rows(3000..3001)].concat());
        assert_eq!(in_order.1, 1, "the new row");

        // A tenth of the rows, from everywhere, now comes at the end; some of them change with it.
        let (mut moved, stays): (Vec<_>, Vec<_>) = [rows(0..2999), rows(3000..3001)]
            .concat()
            .into_iter()
            .partition(|row| row.id.is_some_and(|id| id % 10 == 4));
        moved.iter_mut().step_by(3).for_each(|row| row.n = 5);
        let mut model = [stays, moved].concat();
        let (_, misses) = ordered.run(&model);
        assert!(misses > 300, "{misses} misses");
        assert_eq!(ordered.snapshot().rewrites(), Some(Rewrite::ByArrival));

        // The run that is rewritten changes, adds and removes as any other.
        model[7].n = 8;
        model.remove(2000);
        model.insert(100, TestRow::new(5000, "new", 1));
        let (plan, misses) = ordered.run(&model);
        assert!(misses > 300, "{misses} misses");
        assert_eq!(kinds(&plan).iter().map(|(_, kind)| *kind).filter(|kind| kind.is_sent()).count(), 3);
        ordered.assert_holds(&model);
        let (plan, misses) = ordered.run(&model);
        assert_eq!((plan.len(), misses), (0, 0), "memory {memory}");
        assert_eq!(ordered.snapshot().rewrites(), None);
    }
}

#[test]
fn an_order_that_never_repeats_is_given_up_for_that_of_the_key_hashes() {
    for memory in [0, 20_000, 64 << 20] {
        let mut ordered = Ordered::new(memory);
        let mut model = rows(0..2000);
        ordered.run(&model);
        ordered.run(&shuffled(model.clone(), 1));
        assert_eq!(ordered.snapshot().rewrites(), Some(Rewrite::ByHash));
        assert!(!ordered.snapshot().by_hash());
        ordered.run(&shuffled(model.clone(), 2));
        assert!(ordered.snapshot().by_hash());
        ordered.assert_holds(&model);

        // New records stand behind the base until the next one is written, which keeps the order of the hashes.
        for run in 0..4 {
            model[run].n += 1;
            model.remove(1000);
            model.push(TestRow::new(3000 + run as i64, "new", 0));
            let (plan, misses) = ordered.run(&shuffled(model.clone(), 3 + run as u64));
            assert_eq!((plan.len(), misses), (3, 0), "memory {memory}: {:?}", kinds(&plan));
            assert!(ordered.snapshot().by_hash());
            ordered.assert_holds(&model);
        }
        let repeated = [shuffled(model.clone(), 9), vec![model[5].clone(), model[5].clone()]].concat();
        let path = ordered.sync.folder.path().join("p");
        let refused = try_plan(&ordered.snapshot(), &repeated, request("r"), &ordered.sync.mapper, &path);
        let Err(DiffError::DuplicateKeys { count: 2, examples }) = refused else { panic!("{refused:?}") };
        assert_eq!(examples, [key_of(model[5].id.expect("a key"))]);
    }
}

#[test]
fn without_its_order_file_a_run_is_settled_in_the_old_order() {
    for damage in [true, false] {
        let mut ordered = Ordered::new(64 << 20);
        ordered.run(&rows(0..1000));
        ordered.run(&[rows(0..1000), rows(1000..1001)].concat());
        let model = rows((500..1001).chain((0..500).rev()));
        ordered.run(&model);
        assert_eq!(ordered.snapshot().rewrites(), Some(Rewrite::ByArrival));
        let plan = ordered.sync.plan(&model, request("r"));
        let order = crate::snapshot::order::path_of(plan.path());
        if damage {
            let mut bytes = std::fs::read(&order).expect("the order file");
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::write(&order, bytes).expect("altered");
        } else {
            std::fs::remove_file(&order).expect("deleted");
        }
        ordered.sync.settle(&plan, &Fates::default());
        ordered.assert_holds(&model);
        let (_, misses) = ordered.run(&model);
        assert!(misses > 400, "{misses}: the order is the old one");
        let (_, misses) = ordered.run(&model);
        assert_eq!(misses, 0, "and is followed by the next run");
    }
}

#[test]
fn what_does_not_fit_into_memory_gives_the_same_plan_and_leaves_nothing() {
    let mut whole = None;
    for memory in [64 << 20, 60_000, 20_000, 0] {
        let mut sync = Sync::new();
        let model = rows(0..3000);
        let first = PlanRequest { memory, ..sync.next_request() };
        let plan = sync.plan(&model, first);
        sync.settle(&plan, &Fates::default());
        let mut changed = shuffled(model, 5);
        changed.truncate(2900);
        changed.iter_mut().step_by(50).for_each(|row| row.n = 3);
        changed.extend(rows(9000..9100));
        let request = PlanRequest { memory, ..sync.next_request() };
        let plan = sync.plan(&changed, request);
        let mut found = kinds(&plan);
        found.sort_by_key(|(id, _)| *id);
        let counts = plan.summary().counts;
        assert_eq!((counts.added, counts.changed, counts.removed), (100, 58, 100));
        assert_eq!(*whole.get_or_insert((found.clone(), counts)), (found, counts), "memory {memory}");
        drop(plan);
        let mut left: Vec<_> = std::fs::read_dir(sync.folder.path())
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
            .collect();
        left.sort();
        assert_eq!(left, ["run-1.plan", "run-2.plan", "state"]);
    }
}

#[test]
fn repeated_keys_are_told_whatever_fits_into_memory() {
    let mut loaded = Sync::new();
    loaded.run(&rows(0..2000));
    let empty = Sync::new();
    for memory in [0, 10_000, 200_000, 64 << 20] {
        for (name, sync) in [("first load", &empty), ("shuffled", &loaded)] {
            let scan = [shuffled(rows(0..2500), 3), rows([7, 7, 2400])].concat();
            let request = PlanRequest { memory, ..request("r") };
            let path = sync.folder.path().join("p");
            let snapshot = sync.store.snapshot().expect("a snapshot");
            let refused = try_plan(&snapshot, &scan, request, &sync.mapper, &path);
            let Err(DiffError::DuplicateKeys { count, mut examples }) = refused else { panic!("{refused:?}") };
            examples.sort();
            assert_eq!((count, examples), (3, vec![key_of(7), key_of(2400)]), "{name}, memory {memory}");
        }
    }
}

#[test]
fn lanes_have_places_of_their_own() {
    struct LanePage(TestPage, usize);
    impl RowPage for LanePage {
        fn rows(&self) -> usize {
            self.0.rows()
        }
        fn digest(&self, out: &mut Vec<RowDigest>) -> Result<(), Fault> {
            self.0.digest(out)
        }
        fn key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
            self.0.key(row, out)
        }
        fn record(&self, row: usize) -> Result<Vec<Value>, Fault> {
            self.0.record(row)
        }
        fn lane(&self) -> usize {
            self.1
        }
    }
    let mut sync = Sync::new();
    let model = rows(0..20_000);
    sync.run(&model);
    let snapshot = sync.store.snapshot().expect("a snapshot");
    let writer = PlanWriter::new(sync.folder.path().join("p"), state_key());
    let mut differ = Differ::new(&snapshot, sync.next_request(), &sync.mapper, writer).expect("started");
    let (first, second) = model.split_at(11_000);
    let mut lanes = [first.chunks(100), second.chunks(100)];
    // Three pages of the one, two of the other, until both have ended.
    for lane in [0, 1, 0, 1, 0].into_iter().cycle().take(300) {
        if let Some(page) = lanes[lane].next() {
            let page = TestPage { rows: page.to_vec(), seed: snapshot.seed() };
            differ.page(&LanePage(page, lane)).expect("a page");
        }
    }
    let counts = differ.finish(20_000, &PROOF).expect("a plan").counts;
    assert_eq!((counts.rows, counts.unchanged), (20_000, 20_000));
    assert!(counts.misses <= 256, "{} misses: only where the second lane looks for its start", counts.misses);
}
