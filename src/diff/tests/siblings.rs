//! Removals beside other syncs on the same object.

use super::*;

/// What becomes of each key that left the model of `ours`, beside `theirs`.
fn removals(ours: &mut Sync, theirs: &Sync, by_key: bool, rows: &[TestRow]) -> Result<Vec<(i64, OpKind)>, DiffError> {
    let siblings = [Sibling { sync: "theirs".into(), snapshot: theirs.store.snapshot().expect("a snapshot") }];
    let request = PlanRequest { removal_by_key: by_key, ..ours.next_request() };
    let path = ours.folder.path().join(format!("{}.plan", request.run_id));
    let snapshot = ours.store.snapshot().expect("a snapshot");
    try_plan_beside(&siblings, &snapshot, rows, request, &ours.mapper, &path)?;
    let plan = PlanReader::open(&path, &state_key()).expect("the plan");
    let ops = plan.ops(Some(&[OpKind::Remove, OpKind::Forget])).map(|op| op.expect("an op"));
    Ok(ops.map(|op| (id_of(&op.key), op.kind)).collect())
}

#[test]
fn what_a_sibling_holds_is_forgotten_and_what_it_gave_up_is_removed() {
    let (mut ours, mut theirs) = (Sync::new(), Sync::new());
    ours.run(&rows(1..=5));
    // Other keys, the same records.
    let held = |ids: &[i64]| -> Vec<TestRow> {
        ids.iter().map(|id| TestRow::new(100 + id, &format!("{id}@example.com"), 0)).collect()
    };
    theirs.run(&held(&[2, 3, 4]));
    theirs.run(&held(&[2, 3]));
    let left = rows([1]);
    let told = removals(&mut ours, &theirs, false, &left).expect("a plan");
    assert_eq!(told, [(2, OpKind::Forget), (3, OpKind::Forget), (4, OpKind::Remove), (5, OpKind::Remove)]);

    // In doubt it may be there; never accepted it is not.
    let request = theirs.next_request();
    let plan = theirs.plan(&held(&[2, 3, 4, 5]), request);
    let fates = plan.ops(Some(&[OpKind::Add])).map(|op| op.expect("an op"));
    let fates =
        fates.map(|op| (op.number, if id_of(&op.key) == 104 { Settle::InDoubt } else { Settle::Kept })).collect();
    theirs.settle(&plan, &Fates { fates, ..Fates::default() });
    let told = removals(&mut ours, &theirs, false, &left).expect("a plan");
    assert_eq!(told, [(2, OpKind::Forget), (3, OpKind::Forget), (4, OpKind::Forget), (5, OpKind::Remove)]);
}

#[test]
fn where_the_destination_removes_by_keys_a_sibling_s_keys_count() {
    let (mut ours, mut theirs) = (Sync::new(), Sync::new());
    ours.run(&rows(1..=3));
    theirs.run(&[TestRow::new(2, "other@example.com", 0), TestRow::new(103, "3@example.com", 0)]);
    let told = removals(&mut ours, &theirs, true, &rows([1])).expect("a plan");
    assert_eq!(told, [(2, OpKind::Forget), (3, OpKind::Remove)]);
}

#[test]
fn a_sibling_that_does_not_know_its_addresses_stops_removals_and_nothing_else() {
    let (mut ours, mut theirs) = (Sync::new(), Sync::new());
    ours.run(&rows(1..=3));
    let request = PlanRequest { keep_address: false, match_field: None, ..theirs.next_request() };
    let plan = theirs.plan(&rows(7..=8), request);
    theirs.settle(&plan, &Fates::default());
    assert_eq!(removals(&mut ours, &theirs, false, &rows(1..=3)).expect("a plan"), []);
    let error = removals(&mut ours, &theirs, false, &rows([1])).expect_err("nothing can be removed");
    assert!(matches!(error, DiffError::UnknownAddresses { records: 2, .. }), "{error}");

    // Sent once more, what finds its records is remembered.
    let request = PlanRequest { full: true, ..theirs.next_request() };
    let plan = theirs.plan(&rows(7..=8), request);
    theirs.settle(&plan, &Fates::default());
    assert_eq!(removals(&mut ours, &theirs, false, &rows([1])).expect("a plan").len(), 2);
}
