//! Rows that refer to other rows of their sync, and to records at the destination.

use backhaul_kit::{FieldRef, ValueRef};

use super::*;
use crate::config::Missing;
use crate::diff::{Answer, Reference, Resolve, remote_ids};

/// `email`; `boss`, a row of the same sync by `n`; `owner`, looked up by `note`. 0 stands for NULL.
pub(super) struct Staff {
    fields: Vec<String>,
    references: Vec<Reference>,
}

impl Staff {
    pub(super) fn with(missing: Missing) -> Self {
        Self {
            fields: ["email", "boss", "owner"].map(str::to_owned).to_vec(),
            references: vec![Reference { place: 1, missing, own: true }, Reference { place: 2, missing, own: false }],
        }
    }
}

impl RowMapper for Staff {
    fn fields(&self) -> &[String] {
        &self.fields
    }

    fn map(&self, record: &[Value]) -> Result<Vec<FieldValue>, Reason> {
        let or_null = |place: usize| if record[place] == Value::Int(0) { Value::Null } else { record[place].clone() };
        Ok([record[1].clone(), or_null(2), or_null(3)].map(FieldValue::Set).to_vec())
    }

    fn references(&self) -> &[Reference] {
        &self.references
    }

    fn settle(&self, _: usize, value: Value) -> FieldValue {
        if value.is_null() { FieldValue::Clear } else { FieldValue::Set(value) }
    }
}

/// Knows the sync's own records, and owners 1 to 9; 5 is the number of two.
pub(super) struct Owners<'a> {
    own: &'a Snapshot,
    asked: Mutex<Vec<i64>>,
}

impl<'a> Owners<'a> {
    pub(super) fn of(own: &'a Snapshot) -> Self {
        Self { own, asked: Mutex::default() }
    }

    /// What was looked up, in order of the numbers.
    pub(super) fn into_asked(self) -> Vec<i64> {
        let mut asked = self.asked.into_inner().unwrap_or_else(PoisonError::into_inner);
        asked.sort_unstable();
        asked
    }
}

impl Resolve for Owners<'_> {
    fn resolve(&self, place: usize, values: &[Value]) -> Result<Vec<Answer>, DiffError> {
        if place == 1 {
            return Ok(remote_ids(self.own, values)?);
        }
        let numbers = values.iter().map(|value| match value {
            Value::Int(n) => *n,
            other => panic!("{other:?} was looked up"),
        });
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.extend(numbers.clone());
        Ok(numbers
            .map(|n| match n {
                5 => Answer::Ambiguous,
                66 => Answer::Untold,
                1..10 => Answer::Id(format!("owner-{n}")),
                _ => Answer::Missing,
            })
            .collect())
    }

    fn looked_up(&self) -> u64 {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }
}

pub(super) fn staff(id: i64, boss: i64, owner: i64) -> TestRow {
    TestRow { note: owner, ..TestRow::new(id, &format!("{id}@example.com"), boss) }
}

/// Plans, and says which values were looked up.
fn plan(
    sync: &Sync,
    rows: &[TestRow],
    missing: Missing,
    request: PlanRequest,
) -> Result<(PlanReader, Vec<i64>), DiffError> {
    let path = sync.folder.path().join(format!("{}.plan", request.run_id));
    let snapshot = sync.store.snapshot().expect("a snapshot");
    let owners = Owners::of(&snapshot);
    let mapper = Staff::with(missing);
    let mut differ = Differ::new(&snapshot, request, &mapper, PlanWriter::new(&path, state_key()))?.referring(&owners);
    for page in rows.chunks(100) {
        differ.page(&TestPage { rows: page.to_vec(), seed: snapshot.seed() })?;
    }
    differ.finish(rows.len() as u64, &PROOF)?;
    Ok((PlanReader::open(&path, &state_key()).expect("the plan"), owners.into_asked()))
}

/// Plans and settles; every row that is sent is accepted as `id-KEY`.
fn run(sync: &mut Sync, rows: &[TestRow], missing: Missing) -> PlanReader {
    let request = sync.next_request();
    let (plan, _) = plan(sync, rows, missing, request).expect("a plan");
    let ids = ops(&plan).iter().map(|op| (op.number, format!("id-{}", id_of(&op.key)))).collect();
    sync.settle(&plan, &Fates { ids, ..Fates::default() });
    plan
}

/// Key and references of every row that is sent.
fn sent(plan: &PlanReader) -> Vec<(i64, String, String)> {
    let text = |field: Option<FieldRef<'_>>| match field {
        Some(FieldRef::Set(ValueRef::Text(text))) => text.to_owned(),
        Some(FieldRef::Skip) => String::from("(skip)"),
        Some(FieldRef::Clear) => String::from("(clear)"),
        other => panic!("{other:?} is no reference"),
    };
    let ops = ops(plan).into_iter().filter(|op| op.kind.is_sent());
    let mut sent: Vec<_> = ops.map(|op| (id_of(&op.key), text(op.fields.get(1)), text(op.fields.get(2)))).collect();
    sent.sort();
    sent
}

fn row(id: i64, boss: &str, owner: &str) -> (i64, String, String) {
    (id, boss.to_owned(), owner.to_owned())
}

fn waiting(plan: &PlanReader) -> (u64, u64) {
    let counts = plan.summary().counts;
    let told = counts.unchanged + counts.added + counts.changed + counts.waiting + counts.rejected + counts.touched;
    assert_eq!(told, counts.rows, "every row is one thing");
    (counts.waiting, counts.next_wave)
}

#[test]
fn parents_go_first_and_who_waits_comes_again_though_its_row_stays_as_it_is() {
    let mut sync = Sync::new();
    let mut rows = vec![staff(3, 2, 0), staff(2, 1, 0), staff(1, 0, 0), staff(4, 1, 7), staff(5, 99, 0)];
    let first = run(&mut sync, &rows, Missing::Wait);
    assert_eq!((sent(&first), waiting(&first)), (vec![row(1, "(clear)", "(clear)")], (4, 3)));
    let second = run(&mut sync, &rows, Missing::Wait);
    let children = vec![row(2, "id-1", "(clear)"), row(4, "id-1", "owner-7")];
    assert_eq!((sent(&second), waiting(&second)), (children, (2, 1)));
    let third = run(&mut sync, &rows, Missing::Wait);
    assert_eq!((sent(&third), waiting(&third)), (vec![row(3, "id-2", "(clear)")], (1, 0)));
    let quiet = run(&mut sync, &rows, Missing::Wait);
    assert!(quiet.is_empty());
    assert_eq!(waiting(&quiet), (1, 0));

    rows.push(staff(99, 0, 0));
    assert_eq!(waiting(&run(&mut sync, &rows, Missing::Wait)), (1, 1));
    assert_eq!(sent(&run(&mut sync, &rows, Missing::Wait)), [row(5, "id-99", "(clear)")]);
    assert_eq!(run(&mut sync, &rows, Missing::Wait).summary().counts.unchanged, 6);
}

#[test]
fn a_row_whose_record_is_not_there_does_what_the_field_says() {
    let rows = [staff(1, 0, 77), staff(2, 99, 1)];
    for (missing, expected) in [
        (Missing::Skip, vec![row(1, "(clear)", "(skip)"), row(2, "(skip)", "owner-1")]),
        (Missing::Null, vec![row(1, "(clear)", "(clear)"), row(2, "(clear)", "owner-1")]),
        (Missing::Wait, vec![]),
        (Missing::Reject, vec![]),
    ] {
        let mut sync = Sync::new();
        let plan = run(&mut sync, &rows, missing);
        assert_eq!(sent(&plan), expected, "{missing:?}");
        let counts = plan.summary().counts;
        assert_eq!(counts.waiting, if missing == Missing::Wait { 2 } else { 0 });
        assert_eq!(counts.rejected, if missing == Missing::Reject { 2 } else { 0 });
        for op in ops(&plan).iter().filter(|op| op.kind == OpKind::Reject) {
            let reason = op.reason.as_ref().expect("a reason");
            let field = if id_of(&op.key) == 1 { "owner" } else { "boss" };
            assert_eq!((reason.code.as_str(), reason.field.as_deref()), ("REFERENCE_MISSING", Some(field)));
        }
    }
}

#[test]
fn a_value_of_several_records_or_without_an_answer_is_refused_whatever_the_field_says() {
    for missing in [Missing::Reject, Missing::Skip, Missing::Wait, Missing::Null] {
        for (owner, code) in [(5, "REFERENCE_AMBIGUOUS"), (66, "REFERENCE_NOT_CONFIRMED")] {
            let mut sync = Sync::new();
            let plan = run(&mut sync, &[staff(1, 0, owner), staff(2, 0, 1)], missing);
            assert_eq!(sent(&plan).len(), 1, "{missing:?}");
            let refused = ops(&plan).into_iter().find(|op| op.kind == OpKind::Reject).expect("a refused row");
            assert_eq!(refused.reason.expect("a reason").code, code);
        }
    }
}

#[test]
fn only_rows_that_changed_are_asked_for_and_each_value_once() {
    let mut sync = Sync::new();
    let mut rows: Vec<TestRow> = (1..3000).map(|id| staff(id, 0, 1 + id % 4)).collect();
    let request = sync.next_request();
    let (first, asked) = plan(&sync, &rows, Missing::Reject, request).expect("a plan");
    assert_eq!((asked, first.summary().counts.looked_up), (vec![1, 2, 3, 4], 4));
    sync.settle(&first, &Fates::default());

    let request = sync.next_request();
    assert!(plan(&sync, &rows, Missing::Reject, request).expect("a plan").1.is_empty());
    rows[7].note = 6;
    let request = sync.next_request();
    let (changed, asked) = plan(&sync, &rows, Missing::Reject, request).expect("a plan");
    assert_eq!(asked, [6]);
    let op = ops(&changed).pop().expect("an op");
    assert_eq!((op.kind, op.changed), (OpKind::Change, vec![false, false, true]), "the id is what is compared");
}

#[test]
fn a_changed_row_that_waits_stays_as_it_was_accepted() {
    let mut sync = Sync::new();
    let before = [staff(1, 0, 0), staff(2, 0, 0)];
    run(&mut sync, &before, Missing::Wait);
    let accepted = sync.records();
    let after = [staff(1, 0, 0), staff(2, 9, 0)];
    let plan = run(&mut sync, &after, Missing::Wait);
    assert!(plan.is_empty(), "and it is not removed either");
    assert_eq!(sync.records(), accepted);
    assert_eq!(waiting(&plan), (1, 0));
    let with_boss = [after.as_slice(), &[staff(9, 0, 0)]].concat();
    run(&mut sync, &with_boss, Missing::Wait);
    assert_eq!(sent(&run(&mut sync, &with_boss, Missing::Wait)), [row(2, "id-9", "(clear)")]);
}

#[test]
fn a_ring_of_rows_is_an_error_with_their_keys_and_leaves_no_plan() {
    let ring = |sync: &mut Sync, rows: &[TestRow]| {
        let request = sync.next_request();
        match plan(sync, rows, Missing::Null, request) {
            Err(DiffError::ReferenceRing { rows, examples, field: 1 }) => {
                let mut ids: Vec<i64> = examples.iter().map(|key| id_of(key)).collect();
                ids.sort_unstable();
                (rows, ids)
            }
            other => panic!("{:?}", other.map(|_| ())),
        }
    };
    let mut sync = Sync::new();
    let rows = [staff(1, 0, 0), staff(2, 3, 0), staff(3, 4, 0), staff(4, 2, 0), staff(5, 2, 0)];
    assert_eq!(ring(&mut sync, &rows), (3, vec![2, 3, 4]));
    assert_eq!(ring(&mut sync, &[staff(8, 8, 0)]), (1, vec![8]));
    assert!(
        std::fs::read_dir(sync.folder.path())
            .expect("the folder")
            .all(|entry| { entry.expect("an entry").file_name() == "state" })
    );

    // Where they are there already, each has the other's id.
    run(&mut sync, &[staff(2, 0, 0), staff(3, 0, 0)], Missing::Null);
    let spouses = run(&mut sync, &[staff(2, 3, 0), staff(3, 2, 0)], Missing::Null);
    assert_eq!(sent(&spouses), [row(2, "id-3", "(clear)"), row(3, "id-2", "(clear)")]);
}

#[test]
fn a_parent_that_is_refused_or_withheld_is_not_waited_for() {
    let mut sync = Sync::new();
    let rows = [staff(1, 0, 77), staff(2, 1, 0)];
    let first = run(&mut sync, &rows, Missing::Reject);
    assert_eq!(waiting(&first), (1, 1), "it was to be sent");
    assert_eq!(first.summary().counts.rejected, 1);
    let refused = ops(&first).pop().expect("an op");
    let withheld = HashMap::from([(refused.key_hash, refused.fingerprint)]);
    let request = PlanRequest { withheld, ..sync.next_request() };
    let (second, _) = plan(&sync, &rows, Missing::Reject, request).expect("a plan");
    assert_eq!(kinds(&second), [(2, OpKind::Reject)]);
}

#[test]
fn everything_sent_again_has_the_ids_of_today() {
    let mut sync = Sync::new();
    let rows = [staff(1, 0, 0), staff(2, 1, 0), staff(3, 0, 2)];
    run(&mut sync, &rows, Missing::Wait);
    run(&mut sync, &rows, Missing::Wait);
    let request = PlanRequest { full: true, ..sync.next_request() };
    let (again, _) = plan(&sync, &rows, Missing::Wait, request).expect("a plan");
    assert_eq!(kinds(&again), [1, 2, 3].map(|id| (id, OpKind::Refresh)));
    // The boss got a new record at the destination.
    let ids = ops(&again).iter().map(|op| (op.number, format!("new-{}", id_of(&op.key)))).collect();
    sync.settle(&again, &Fates { ids, ..Fates::default() });
    let request = PlanRequest { full: true, ..sync.next_request() };
    let (again, _) = plan(&sync, &rows, Missing::Wait, request).expect("a plan");
    assert_eq!(kinds(&again), [(1, OpKind::Refresh), (2, OpKind::Change), (3, OpKind::Refresh)]);
    assert_eq!(sent(&again)[1], row(2, "new-1", "(clear)"));
}

#[test]
fn rows_that_were_put_aside_count_for_max_rows_and_for_repeated_keys() {
    let mut sync = Sync::new();
    let rows = [staff(1, 0, 1), staff(2, 0, 1), staff(3, 0, 1)];
    let request = PlanRequest { max_rows: Some(2), ..sync.next_request() };
    let counts = plan(&sync, &rows, Missing::Wait, request).expect("a plan").0.summary().counts;
    assert_eq!((counts.added, counts.postponed), (2, 1));

    let request = sync.next_request();
    match plan(&sync, &[staff(1, 0, 1), staff(1, 0, 2)], Missing::Wait, request) {
        Err(DiffError::DuplicateKeys { count: 1, examples }) => assert_eq!(examples, [key_of(1)]),
        other => panic!("{:?}", other.map(|_| ())),
    }
}

#[test]
fn more_rows_than_a_chunk_holds_are_put_aside_and_come_back() {
    let mut sync = Sync::new();
    let rows: Vec<TestRow> = (1..=6000).map(|id| staff(id, 0, 1 + id % 3)).collect();
    let plan = run(&mut sync, &rows, Missing::Wait);
    assert_eq!(plan.summary().counts.added, 6000);
    assert!(sent(&plan).iter().all(|(id, _, owner)| *owner == format!("owner-{}", 1 + id % 3)));
}
