//! What the settings of a plan request do.

use std::collections::HashSet;

use super::*;

#[test]
fn a_rejected_row_that_is_not_due_is_passed_over_until_it_changes() {
    let mut sync = Sync::new();
    let mut rows = rows(0..3);
    let seed = sync.store.snapshot().expect("a snapshot").seed();
    let withheld = HashMap::from([(KeyHash::of(&key_of(1), seed), rows[1].fingerprint(seed))]);
    let request = PlanRequest { withheld: withheld.clone(), ..sync.next_request() };
    let plan = sync.plan(&rows, request);
    assert_eq!(kinds(&plan), [(0, OpKind::Add), (2, OpKind::Add)]);
    assert_eq!(plan.summary().counts.withheld, 1);
    rows[1].n = 1;
    let request = PlanRequest { withheld, ..sync.next_request() };
    assert_eq!(sync.plan(&rows, request).summary().counts.added, 3);
}

#[test]
fn a_rejected_removal_that_is_not_due_is_passed_over() {
    let mut sync = Sync::new();
    sync.run(&rows(0..3));
    let seed = sync.store.snapshot().expect("a snapshot").seed();
    let withheld = HashMap::from([(KeyHash::of(&key_of(1), seed), 0)]);
    let request = PlanRequest { withheld, ..sync.next_request() };
    let plan = sync.plan(&rows(0..1), request);
    assert_eq!(kinds(&plan), [(2, OpKind::Remove)]);
    assert_eq!(plan.summary().counts.withheld, 1);
}

#[test]
fn only_the_named_keys_are_looked_at() {
    let mut sync = Sync::new();
    sync.run(&rows(0..4));
    let changed: Vec<TestRow> = [1, 3, 8, 9].map(|id| TestRow::new(id, "x", 7)).to_vec();
    let only = Some(HashSet::from(["0".to_owned(), "3".to_owned(), "9".to_owned()]));
    let request = PlanRequest { only, ..sync.next_request() };
    let plan = sync.plan(&changed, request);
    assert_eq!(kinds(&plan), [(0, OpKind::Remove), (3, OpKind::Move), (9, OpKind::Add)]);
    assert_eq!(plan.summary().counts.left_alone, 2);
}

#[test]
fn no_more_rows_are_sent_than_allowed_and_the_rest_comes_next_time() {
    let mut sync = Sync::new();
    sync.run(&rows(0..2));
    let scan = rows(2..7);
    let request = PlanRequest { max_rows: Some(3), ..sync.next_request() };
    let plan = sync.plan(&scan, request);
    assert_eq!(kinds(&plan), [(2, OpKind::Add), (3, OpKind::Add), (4, OpKind::Add)]);
    assert_eq!(plan.summary().counts.postponed, 4);
    sync.settle(&plan, &Fates::default());
    let rest = sync.run(&scan);
    let expected = [(0, OpKind::Remove), (1, OpKind::Remove), (5, OpKind::Add), (6, OpKind::Add)];
    assert_eq!(kinds(&rest), expected);
}

#[test]
fn a_whole_set_has_every_row_or_none() {
    let mut sync = Sync::new();
    let mut rows = rows(0..3000);
    let whole = |sync: &mut Sync| PlanRequest { whole_set: true, ..sync.next_request() };
    let request = whole(&mut sync);
    let first = sync.plan(&rows, request);
    sync.settle(&first, &Fates::default());
    let request = whole(&mut sync);
    let unchanged = sync.plan(&rows, request);
    assert!(unchanged.is_empty());
    assert_eq!((unchanged.summary().counts.unchanged, unchanged.summary().counts.refreshed), (3000, 0));
    rows[2999].n = 1;
    let request = whole(&mut sync);
    let plan = sync.plan(&rows, request);
    assert_eq!((plan.len(), plan.summary().counts.refreshed, plan.summary().counts.changed), (3000, 2999, 1));
    sync.settle(&plan, &Fates::default());
    let request = whole(&mut sync);
    assert!(sync.plan(&rows, request).is_empty());
}

#[test]
fn a_whole_set_without_a_change_keeps_its_rejects() {
    let mut sync = Sync::new();
    let mut rows = rows(0..5);
    sync.run(&rows);
    rows.push(TestRow::new(9, "9", REFUSED));
    let request = PlanRequest { whole_set: true, ..sync.next_request() };
    let plan = sync.plan(&rows, request);
    assert_eq!(kinds(&plan), [(9, OpKind::Reject)]);
    assert_eq!(plan.ops(None).count(), 1);
    plan.verify().expect("whole");
}

#[test]
fn a_full_run_sends_unchanged_rows_too() {
    let mut sync = Sync::new();
    let mut rows = rows(0..3);
    sync.run(&rows);
    rows[1].n = 4;
    let request = PlanRequest { full: true, ..sync.next_request() };
    let expected = [(0, OpKind::Refresh), (1, OpKind::Change), (2, OpKind::Refresh)];
    assert_eq!(kinds(&sync.plan(&rows, request)), expected);
}

#[test]
fn without_moves_a_changed_match_value_is_a_change_that_knows_the_old_address() {
    let mut sync = Sync::new();
    let mut rows = rows(0..1);
    sync.run(&rows);
    rows[0].email = "new".into();
    let request = PlanRequest { moves: false, ..sync.next_request() };
    let op = &ops(&sync.plan(&rows, request))[0];
    assert_eq!((op.kind, op.old_address.match_value.as_deref()), (OpKind::Change, Some("0@example.com")));
}

#[test]
fn without_addresses_none_are_remembered() {
    let mut sync = Sync::new();
    let request = PlanRequest { keep_address: false, ..sync.next_request() };
    let plan = sync.plan(&rows(0..1), request);
    sync.settle(&plan, &Fates { ids: HashMap::from([(0, "51".into())]), ..Fates::default() });
    assert_eq!(sync.records()[&0].address, Address::default());
}

#[test]
fn a_new_mapping_compares_fields_by_name_and_sends_only_what_differs() {
    let mut sync = Sync::new();
    let mut rows = rows(0..3);
    rows[2].n = 5;
    sync.run(&rows);
    // Another order and a dropped field: nothing differs.
    sync.mapper = TestMapper::new(&[("n", 2)]);
    let remap = |sync: &mut Sync, digest| PlanRequest {
        remap: true,
        config_digest: [digest; 32],
        match_field: None,
        ..sync.next_request()
    };
    let request = remap(&mut sync, 2);
    let plan = sync.plan(&rows, request);
    assert_eq!(plan.summary().counts.touched, 3);
    sync.settle(&plan, &Fates::default());
    let snapshot = sync.store.snapshot().expect("a snapshot");
    assert_eq!((snapshot.fields(), snapshot.config_digest()), (&["n".to_owned()][..], Some([2; 32])));

    // `n` comes from another column now, which has the same value in two rows.
    sync.mapper = TestMapper::new(&[("n", 3)]);
    let request = remap(&mut sync, 3);
    let plan = sync.plan(&rows, request);
    assert_eq!(kinds(&plan), [(0, OpKind::Touch), (1, OpKind::Touch), (2, OpKind::Change)]);
    sync.settle(&plan, &Fates::default());

    // A field that the snapshot does not know counts as changed.
    sync.mapper = TestMapper::new(&[("n", 3), ("email", 1)]);
    let request = remap(&mut sync, 4);
    let plan = sync.plan(&rows, request);
    assert_eq!(plan.summary().counts.changed, 3);
    assert_eq!(ops(&plan)[0].changed, [false, true]);
}

#[test]
fn what_a_new_mapping_did_not_reach_is_sent_by_the_next_run() {
    let mut sync = Sync::new();
    let rows = rows(0..4);
    sync.run(&rows);
    sync.mapper = TestMapper::new(&[("email", 1), ("n", 2), ("note", 3)]);
    let request = PlanRequest { remap: true, config_digest: [2; 32], max_rows: Some(3), ..sync.next_request() };
    let plan = sync.plan(&rows, request);
    let refused = Fates { fates: HashMap::from([(1, Settle::Kept)]), ..Fates::default() };
    let settled = sync.settle(&plan, &refused);
    assert_eq!(settled.accepted, 4, "they are still accepted, under the old mapping");
    let request = PlanRequest { config_digest: [2; 32], ..sync.next_request() };
    let next = sync.plan(&rows, request);
    assert_eq!(kinds(&next), [(1, OpKind::Change), (3, OpKind::Change)]);
    sync.settle(&next, &Fates::default());
    let request = PlanRequest { config_digest: [2; 32], ..sync.next_request() };
    assert!(sync.plan(&rows, request).is_empty());
}

#[test]
fn ops_of_some_kinds_come_in_plan_order_with_their_numbers() {
    let mut sync = Sync::new();
    sync.run(&rows(0..4000));
    let mut scan = rows(1000..6000);
    scan[7].n = 2;
    let plan = sync.run(&scan);
    let wanted = [OpKind::Change, OpKind::Remove];
    let some: Vec<Op> = plan.ops(Some(&wanted)).map(|op| op.expect("an op")).collect();
    let expected: Vec<Op> = ops(&plan).into_iter().filter(|op| wanted.contains(&op.kind)).collect();
    assert_eq!(some.len(), 1001);
    assert_eq!(some, expected);
}
