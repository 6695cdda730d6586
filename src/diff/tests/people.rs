//! Rows that may not be sent count as absent, in whatever order they come.

use proptest::prelude::*;

use super::random::{Order, Random};
use super::*;
use crate::diff::{Cause, CauseCounts, Draw, Eligibility, Given, ListColumn};
use crate::snapshot::Limits;

/// Consent in `note`: 0 is yes.
const NOTE: usize = 3;
const ID: usize = 0;
const SHARE: f64 = 0.2;

fn eligibility(suppressed: &[i64], share: f64, removes: bool, memory: u64) -> Eligibility {
    Eligibility {
        suppressed: vec![(ID, ListColumn(0))],
        listed: listed(suppressed, memory),
        consent: vec![Given { column: NOTE, granted: ["0".to_owned()].into() }],
        holdout: Some((ID, Draw::new(share, "test"))),
        removes,
    }
}

fn plan_with(
    sync: &mut Sync,
    rows: &[TestRow],
    eligibility: Eligibility,
    memory: u64,
) -> Result<PlanReader, DiffError> {
    let request = PlanRequest { memory, ..sync.next_request() };
    plan_of(sync, rows, eligibility, request)
}

fn plan_of(
    sync: &mut Sync,
    rows: &[TestRow],
    eligibility: Eligibility,
    request: PlanRequest,
) -> Result<PlanReader, DiffError> {
    let path = sync.folder.path().join(format!("{}.plan", request.run_id));
    let snapshot = sync.store.snapshot().expect("a snapshot");
    let differ = Differ::new(&snapshot, request, &sync.mapper, PlanWriter::new(&path, state_key()))?;
    let mut differ = differ.admitting(Some(eligibility));
    for page in rows.chunks(100) {
        differ.page(&TestPage { rows: page.to_vec(), seed: snapshot.seed() })?;
    }
    differ.finish(rows.len() as u64, &PROOF)?;
    Ok(PlanReader::open(&path, &state_key()).expect("the plan"))
}

/// What a row may not be sent for, told by itself.
fn naive(row: &TestRow, suppressed: &[i64], share: f64) -> Option<Cause> {
    let id = row.id.expect("a key");
    let held_out = Draw::new(share, "test").holds_out(&Value::Int(id)).expect("drawn");
    if suppressed.contains(&id) {
        Some(Cause::Suppressed)
    } else if row.note != 0 {
        Some(Cause::Withdrawn)
    } else {
        held_out.then_some(Cause::HeldOut)
    }
}

#[derive(Clone, Debug)]
struct Step {
    seed: u64,
    keys: i64,
    suppressed: u64,
    withdrawn: u64,
    held_out: bool,
    order: Order,
}

fn step() -> impl Strategy<Value = Step> {
    let order = prop_oneof![Just(Order::Same), Just(Order::Rotated), Just(Order::Chunks), Just(Order::Random)];
    let percent = || prop_oneof![Just(0u64), Just(5), Just(50)];
    (any::<u64>(), prop_oneof![Just(0), Just(3), Just(257), Just(600)], percent(), percent(), any::<bool>(), order)
        .prop_map(|(seed, keys, suppressed, withdrawn, held_out, order)| Step {
            seed,
            keys,
            suppressed,
            withdrawn,
            held_out,
            order,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whoever_may_not_be_sent_counts_as_absent_in_any_order(
        steps in proptest::collection::vec(step(), 1..6),
        removes: bool,
        removes_left: bool,
        memory in prop_oneof![Just(0u64), Just(64 << 20)],
        overlay in prop_oneof![Just(1u64), Just(100_000)],
    ) {
        let mut sync = Sync::new();
        let limits = Limits { overlay_entries: overlay, ..Limits::default() };
        sync.store = Store::open_with(&sync.folder.path().join("people"), state_key(), limits).expect("a store");
        // What is at the destination, by id.
        let mut there: BTreeMap<i64, TestRow> = BTreeMap::new();
        for step in steps {
            let mut random = Random(step.seed);
            let mut model = rows((0..step.keys).filter(|_| !random.percent(10)));
            for row in &mut model {
                row.note = i64::from(random.percent(step.withdrawn));
                row.n = i64::from(random.percent(10));
            }
            let suppressed: Vec<i64> = (0..step.keys).filter(|_| random.percent(step.suppressed)).collect();
            let share = if step.held_out { SHARE } else { 0.0 };
            step.order.apply(&mut model, &mut random);
            let request = PlanRequest { memory, removes_left, ..sync.next_request() };
            let eligibility = eligibility(&suppressed, share, removes, memory);
            let plan = plan_of(&mut sync, &model, eligibility, request).expect("a plan");

            let (mut expected, mut counts, mut frozen, mut next) =
                (BTreeMap::new(), CauseCounts::default(), 0, BTreeMap::new());
            for row in &model {
                let id = row.id.expect("a key");
                match (naive(row, &suppressed, share), there.get(&id)) {
                    (None, old) => {
                        let changed = old.is_some_and(|old| old.n != row.n);
                        let touched = old.is_some_and(|old| old.note != row.note) && !changed;
                        let kind = match old {
                            None => Some(OpKind::Add),
                            Some(_) if changed => Some(OpKind::Change),
                            Some(_) => touched.then_some(OpKind::Touch),
                        };
                        expected.extend(kind.map(|kind| (id, (kind, Cause::Left))));
                        next.insert(id, row.clone());
                    }
                    (Some(cause), old) => {
                        counts.add(cause);
                        match old {
                            None => {}
                            Some(_) if removes => drop(expected.insert(id, (OpKind::Remove, cause))),
                            Some(old) => {
                                frozen += 1;
                                next.insert(id, old.clone());
                            }
                        }
                    }
                }
            }
            let modelled: Vec<i64> = model.iter().filter_map(|row| row.id).collect();
            let left = || there.iter().filter(|(id, _)| !modelled.contains(id));
            if removes_left {
                expected.extend(left().map(|(id, _)| (*id, (OpKind::Remove, Cause::Left))));
            } else {
                next.extend(left().map(|(id, row)| (*id, row.clone())));
            }
            let found: BTreeMap<i64, (OpKind, Cause)> =
                ops(&plan).iter().map(|op| (id_of(&op.key), (op.kind, op.cause))).collect();
            prop_assert_eq!(&found, &expected);
            let said = plan.summary().counts;
            prop_assert_eq!((said.ineligible, said.frozen, said.rows), (counts, frozen, model.len() as u64));
            let removed = expected.values().filter(|(kind, _)| *kind == OpKind::Remove);
            let mut removed_for = CauseCounts::default();
            removed.clone().for_each(|(_, cause)| removed_for.add(*cause));
            prop_assert_eq!((said.removed, said.removed_for), (removed.count() as u64, removed_for));
            prop_assert_eq!(said.left, left().count() as u64, "those who may not be sent have not left the model");
            sync.settle(&plan, &Fates::default());
            there = next;
            prop_assert_eq!(sync.records().keys().copied().collect::<Vec<_>>(), there.keys().copied().collect::<Vec<_>>());
        }
    }
}

#[test]
fn a_key_that_is_repeated_stops_the_run_even_if_one_of_its_rows_may_not_be_sent() {
    for memory in [0, 64 << 20] {
        for (first_load, order) in [(true, [0, 1]), (false, [0, 1]), (false, [1, 0])] {
            let mut sync = Sync::new();
            if !first_load {
                sync.run(&rows(0..300));
            }
            let mut twins = rows([7, 7]);
            twins[0].note = 1;
            let mut model = rows((0..7).chain(8..300));
            model.extend(order.map(|at| twins[at].clone()));
            let stopped = plan_with(&mut sync, &model, eligibility(&[], 0.0, true, memory), memory);
            assert!(matches!(stopped, Err(DiffError::DuplicateKeys { count: 1, .. })), "{:?}", stopped.err());
        }
    }
}

#[test]
fn an_address_that_a_live_row_claims_is_not_removed_with_the_person_who_withdrew() {
    let mut sync = Sync::new();
    sync.run(&rows(0..5));
    let mut model = rows(0..5);
    model[1].note = 1;
    model[3].email = "1@example.com".to_owned();
    let plan = plan_with(&mut sync, &model, eligibility(&[], 0.0, true, 64 << 20), 64 << 20).expect("a plan");
    assert_eq!(kinds(&plan), [(1, OpKind::Forget), (3, OpKind::Move)]);
}

#[test]
fn a_record_in_doubt_of_somebody_who_may_not_be_sent_is_removed_or_left_in_doubt() {
    for (removes, expected) in [(true, vec![(2, OpKind::Remove)]), (false, Vec::new())] {
        let mut sync = Sync::new();
        let request = sync.next_request();
        let plan = sync.plan(&rows(0..5), request);
        let number = ops(&plan).iter().find(|op| id_of(&op.key) == 2).expect("an op").number;
        sync.settle(&plan, &Fates { fates: HashMap::from([(number, Settle::InDoubt)]), ids: HashMap::new() });
        let plan =
            plan_with(&mut sync, &rows(0..5), eligibility(&[2], 0.0, removes, 64 << 20), 64 << 20).expect("a plan");
        assert_eq!(kinds(&plan), expected);
    }
}

#[test]
fn what_a_person_wants_is_not_put_off_by_a_limit_of_rows() {
    let mut sync = Sync::new();
    sync.run(&rows(0..10));
    let request = PlanRequest { max_rows: Some(1), ..sync.next_request() };
    let path = sync.folder.path().join("limited.plan");
    let snapshot = sync.store.snapshot().expect("a snapshot");
    let differ = Differ::new(&snapshot, request, &sync.mapper, PlanWriter::new(&path, state_key())).expect("a differ");
    let mut differ = differ.admitting(Some(eligibility(&[1, 2], 0.0, true, 64 << 20)));
    let mut model = rows(0..9);
    model[0].n = 5;
    differ.page(&TestPage { rows: model, seed: snapshot.seed() }).expect("a page");
    let counts = differ.finish(9, &PROOF).expect("a plan").counts;
    assert_eq!((counts.changed, counts.removed_for.suppressed, counts.removed, counts.postponed), (1, 2, 2, 1));
}
