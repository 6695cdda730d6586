//! A snapshot that is a table gives the same ops and the same knowledge as one in files, and so does one that moves
//! between the two. The table is one in memory that compares as a warehouse does.

use std::collections::BTreeMap;

use backhaul_kit::{ComparedPage, Gone, Mark, Recorded, TableChange, TableCounts, TableEffect, TableEntry, TableState};
use proptest::prelude::*;

use super::model::{Known, Naive, Step, apply, expected, random_fates, row_set, step};
use super::random::Random;
use super::references::{Owners, Staff, staff};
use super::*;
use crate::config::Missing;
use crate::diff::{TableDiffer, TableSnapshot};
use crate::snapshot::{FieldHasher, TablePlace, TableSettle, random_name};

const FINGERPRINTS: &str = "in memory";

/// A warehouse's table.
struct Table {
    state: TableState,
    run: Option<(String, String)>,
    records: BTreeMap<Vec<u8>, Recorded>,
}

impl Table {
    /// The records of a snapshot, as they move.
    fn of(snapshot: &Snapshot, generation: &str) -> Self {
        let mut records = BTreeMap::new();
        for entry in snapshot.entries() {
            let TableEntry { key, effect: TableEffect::Insert(record) } = entry.expect("an entry") else {
                panic!("only inserts fill a table")
            };
            assert_eq!(records.insert(key, record), None);
        }
        let state = TableState {
            name: "snap".into(),
            generation: generation.to_owned(),
            fingerprints: FINGERPRINTS.into(),
            records: records.len() as u64,
        };
        Self { state, run: None, records }
    }

    fn place(&self) -> TablePlace {
        TablePlace {
            warehouse: "w".into(),
            name: self.state.name.clone(),
            fingerprints: self.state.fingerprints.clone(),
            records: self.state.records,
        }
    }

    fn gone(&self, rows: &[TestRow]) -> Vec<Gone> {
        let live: Vec<Vec<u8>> = rows.iter().filter_map(|row| row.id).map(key_of).collect();
        let gone = self.records.iter().filter(|(key, _)| !live.contains(key));
        gone.map(|(key, record)| Gone { key: key.clone(), record: record.clone(), claims: claims(record) }).collect()
    }

    /// What a warehouse does for a comparison.
    fn compare(&self, rows: &[TestRow], differ: &mut TableDiffer<'_>, seed: u64, all: bool) -> Result<(), DiffError> {
        for some in rows.chunks(100) {
            let marked = some.iter().map(|row| {
                let fingerprint = row.fingerprint(99);
                (
                    row,
                    Mark {
                        fingerprint,
                        repeated: false,
                        record: row.id.and_then(|id| self.records.get(&key_of(id)).cloned()),
                    },
                )
            });
            let differs = |mark: &Mark| mark.record.as_ref().and_then(|r| r.fingerprint) != Some(mark.fingerprint);
            let (rows, marks): (Vec<TestRow>, Vec<Mark>) =
                marked.filter(|(_, mark)| all || differs(mark)).map(|(row, mark)| (row.clone(), mark)).unzip();
            differ.page(&ComparedPage { rows: Box::new(TestPage { rows, seed }), marks })?;
        }
        let gone = self.gone(rows);
        differ.gone(&gone)?;
        let given: Vec<u64> = gone.iter().flat_map(|gone| gone.claims).flatten().collect();
        let count = |claims: &[u64], claim| claims.iter().filter(|c| **c == claim).count();
        let held: Vec<u64> = self.records.values().flat_map(claims).flatten().collect();
        let shared: Vec<u64> =
            given.iter().copied().filter(|claim| count(&held, *claim) > count(&given, *claim)).collect();
        differ.shared(&shared);
        Ok(())
    }

    /// What a warehouse does with a change.
    fn apply(&mut self, change: &TableChange, entries: impl Iterator<Item = Result<TableEntry, Fault>>) -> String {
        let made = Some((change.run.clone(), change.from.generation.clone()));
        if self.run == made {
            return self.state.generation.clone();
        }
        assert_eq!(self.state, change.from);
        let mut done = TableCounts::default();
        for entry in entries {
            let TableEntry { key, effect } = entry.expect("an entry");
            match effect {
                TableEffect::Insert(record) => {
                    done.inserts += 1;
                    assert_eq!(self.records.insert(key, record), None);
                }
                TableEffect::Update(mut record) => {
                    done.updates += 1;
                    let old = self.records.remove(&key).expect("a record");
                    record.fields = record.fields.or(old.fields);
                    self.records.insert(key, record);
                }
                TableEffect::Delete => {
                    done.deletes += 1;
                    assert!(self.records.remove(&key).is_some());
                }
            }
        }
        assert_eq!(done, change.expected);
        self.run = made;
        self.state.records = self.records.len() as u64;
        self.state.generation.clone_from(&change.generation);
        change.generation.clone()
    }
}

fn claims(record: &Recorded) -> [Option<u64>; 2] {
    let hash = |text: &Option<String>, kind| text.as_ref().map(|text| xxh3_64_with_seed(text.as_bytes(), kind));
    [hash(&record.address.match_value, 1), hash(&record.address.remote_id, 2)]
}

fn known(snapshot: &Snapshot) -> TableSnapshot {
    TableSnapshot {
        base_id: snapshot.base_id().to_owned(),
        seed: snapshot.seed(),
        fields: snapshot.fields().to_vec(),
        fingerprints: FINGERPRINTS.into(),
    }
}

fn plan_there(
    table: &Table,
    snapshot: &Snapshot,
    rows: &[TestRow],
    request: PlanRequest,
    path: &Path,
) -> Result<PlanSummary, DiffError> {
    plan_there_by(table, snapshot, rows, request, path, (&TestMapper::usual(), &Owners::of(snapshot)))
}

fn plan_there_by(
    table: &Table,
    snapshot: &Snapshot,
    rows: &[TestRow],
    request: PlanRequest,
    path: &Path,
    (mapper, owners): (&dyn RowMapper, &Owners<'_>),
) -> Result<PlanSummary, DiffError> {
    let all = request.full || request.remap;
    let differ = TableDiffer::new(&known(snapshot), request, mapper, PlanWriter::new(path, state_key()))?;
    let mut differ = differ.referring(owners);
    table.compare(rows, &mut differ, snapshot.seed(), all)?;
    differ.finish(table.state.records, table.gone(rows).len() as u64, &PROOF)
}

/// Settles as a run does, with a crash between the table and the manifest.
fn settle_there(store: &Store, table: &mut Table, plan: &PlanReader, fates: &Fates, run: &str) {
    let info = || SettleInfo { run_id: run.to_owned(), log_digest: [0; 32], log_len: 0 };
    for crash in [true, false] {
        let Some(settle) = TableSettle::begin(store, plan, fates, info()).expect("begun") else { return };
        let generation = table.apply(settle.change(), settle.entries());
        if !crash {
            settle.commit(generation).expect("committed");
        }
    }
    assert!(TableSettle::begin(store, plan, fates, info()).expect("known").is_none());
}

fn steps() -> impl Strategy<Value = Vec<(Step, bool)>> {
    proptest::collection::vec((step(), any::<bool>()), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_rows_with_any_fates_give_what_the_naive_model_gives_wherever_the_snapshot_is(steps in steps()) {
        let folder = folder();
        let state = folder.path().join("state");
        let mut store = Store::open(&state, state_key()).expect("a store");
        let mapper = TestMapper::usual();
        let mut naive = Naive::new();
        let mut previous = BTreeMap::new();
        let mut table: Option<Table> = None;
        for (run, (step, there)) in steps.iter().enumerate() {
            let mut random = Random(step.seed);
            let rows = row_set(step, &previous, &mut random);
            let mut scan: Vec<TestRow> = rows.values().cloned().collect();
            step.order.apply(&mut scan, &mut random);

            match (&table, there) {
                (None, true) => {
                    let moved = Table::of(&store.snapshot().expect("a snapshot"), &random_name().expect("a name"));
                    store.move_into(moved.place(), moved.state.generation.clone()).expect("moved");
                    table = Some(moved);
                }
                (Some(moved), false) => {
                    let mut import = store.import().expect("begun");
                    for gone in moved.gone(&[]) {
                        import.push(&gone).expect("a record");
                    }
                    import.commit().expect("moved");
                    table = None;
                }
                _ => {}
            }
            store = Store::open(&state, state_key()).expect("the store");
            store.verify().expect("whole");

            let snapshot = store.snapshot().expect("a snapshot");
            let hasher = FieldHasher::new(snapshot.seed());
            let path = folder.path().join("plan");
            let request = request(&format!("run-{run}"));
            let summary = match &table {
                None => try_plan(&snapshot, &scan, request, &mapper, &path),
                Some(table) => plan_there(table, &snapshot, &scan, request, &path),
            };
            let counts = summary.expect("a plan").counts;
            let classified = counts.unchanged + counts.added + counts.changed + counts.moved + counts.touched
                + counts.rejected;
            prop_assert_eq!((counts.rows, classified), (scan.len() as u64, scan.len() as u64));
            let plan = PlanReader::open(&path, &state_key()).expect("the plan");
            // After a move unchanged rows are touched: their fingerprints are renewed and nothing is sent.
            let sent = |ops: Vec<(i64, OpKind)>| ops.into_iter().filter(|(_, kind)| *kind != OpKind::Touch).collect::<Vec<_>>();
            prop_assert_eq!(sent(kinds(&plan)), sent(expected(&naive, &scan, &mapper).into_iter().collect()));

            let fates = random_fates(&plan, step.unsettled, &mut random);
            let run = format!("run-{run}");
            match &mut table {
                None => {
                    let info = SettleInfo { run_id: run, log_digest: [0; 32], log_len: 0 };
                    settle(&store, &plan, &fates, info).expect("settled");
                }
                Some(table) => settle_there(&store, table, &plan, &fates, &run),
            }
            for op in ops(&plan) {
                apply(&mut naive, &op, &fates, &rows, &hasher);
            }

            let snapshot = store.snapshot().expect("a snapshot");
            let in_doubt = naive.values().filter(|known| known.accepted.is_none()).count() as u64;
            prop_assert_eq!((snapshot.accepted(), snapshot.in_doubt()), (naive.len() as u64 - in_doubt, in_doubt));
            if let Some(table) = &table {
                prop_assert_eq!(&snapshot.table_state().expect("a table"), &table.state);
                let of = |record: &Recorded| {
                    let bytes = record.fields.clone().unwrap_or_else(|| vec![0; 8]);
                    let fields = bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
                    (record.in_doubt, record.address.clone(), fields)
                };
                let stored = table.records.iter().map(|(key, record)| (id_of(key), of(record)));
                let stored: BTreeMap<_, (bool, Address, Vec<u32>)> = stored.collect();
                let of = |known: &Known| (known.accepted.is_none(), known.address.clone(), known.fields.clone());
                prop_assert_eq!(stored, naive.iter().map(|(id, known)| (*id, of(known))).collect::<BTreeMap<_, _>>());
            }
            previous = rows;
        }
    }
}

#[test]
fn rows_that_refer_to_records_are_judged_at_the_end_of_a_comparison_too() {
    let (folder, mapper) = (folder(), Staff::with(Missing::Wait));
    let store = Store::open(&folder.path().join("state"), state_key()).expect("a store");
    let mut table = Table::of(&store.snapshot().expect("a snapshot"), &random_name().expect("a name"));
    store.move_into(table.place(), table.state.generation.clone()).expect("moved");
    let mut rows = vec![staff(1, 0, 1), staff(2, 0, 0), staff(3, 0, 77), staff(4, 0, 5)];
    let mut run = |name: &str, rows: &[TestRow]| {
        let path = folder.path().join(name);
        let snapshot = store.snapshot().expect("a snapshot");
        let owners = Owners::of(&snapshot);
        plan_there_by(&table, &snapshot, rows, request(name), &path, (&mapper, &owners)).expect("a plan");
        let plan = PlanReader::open(&path, &state_key()).expect("the plan");
        settle_there(&store, &mut table, &plan, &Fates::default(), name);
        (kinds(&plan), plan.summary().counts.waiting, owners.into_asked())
    };
    let first = vec![(1, OpKind::Add), (2, OpKind::Add), (4, OpKind::Reject)];
    assert_eq!(run("run-1", &rows), (first, 1, vec![1, 5, 77]));
    rows.pop();
    assert_eq!(run("run-2", &rows), (vec![], 1, vec![77]));
    rows[0].note = 2;
    rows[2].note = 3;
    rows.remove(1);
    let last = vec![(1, OpKind::Change), (2, OpKind::Remove), (3, OpKind::Add)];
    assert_eq!(run("run-3", &rows), (last, 0, vec![2, 3]));
}

/// Three rows that a table has.
fn three() -> (TempDir, Store, Table) {
    let folder = folder();
    let store = Store::open(&folder.path().join("state"), state_key()).expect("a store");
    let mut table = Table::of(&store.snapshot().expect("a snapshot"), &random_name().expect("a name"));
    store.move_into(table.place(), table.state.generation.clone()).expect("moved");
    let path = folder.path().join("plan");
    plan_there(&table, &store.snapshot().expect("a snapshot"), &rows(1..=3), request("run-1"), &path).expect("a plan");
    let plan = PlanReader::open(&path, &state_key()).expect("the plan");
    settle_there(&store, &mut table, &plan, &Fates::default(), "run-1");
    (folder, store, table)
}

#[test]
fn a_comparison_whose_counts_do_not_fit_is_no_plan() {
    let (folder, store, table) = three();
    let snapshot = store.snapshot().expect("a snapshot");
    let path = folder.path().join("other");
    for (records, gone, full) in [(0, 1, false), (3, 1, true)] {
        let (mapper, mut request) = (TestMapper::usual(), request("run-2"));
        (request.full, request.removals) = (full, !full);
        let mut differ =
            TableDiffer::new(&known(&snapshot), request, &mapper, PlanWriter::new(&path, state_key())).expect("begun");
        table.compare(&rows(2..=3), &mut differ, snapshot.seed(), false).expect("compared");
        let refused = differ.finish(records, gone, &PROOF).expect_err("records are missing");
        assert!(matches!(refused, DiffError::Incomplete { .. }), "{refused}");
        assert!(!path.exists());
    }
}

#[test]
fn a_record_of_another_key_is_no_evidence() {
    let (folder, store, mut table) = three();
    let snapshot = store.snapshot().expect("a snapshot");
    let moved = table.records.remove(&key_of(1)).expect("a record");
    table.records.insert(key_of(9), moved);
    let refused = plan_there(&table, &snapshot, &rows(1..=3), request("run-2"), &folder.path().join("other"));
    assert!(refused.expect_err("edited").to_string().contains("key of a record was changed"));
}
