//! What a plan says of rows that came, changed, moved, left, or cannot be told apart.

use backhaul_kit::{FieldRef, ValueRef};

use super::*;
use crate::diff::{PlanError, PlanOps};
use crate::snapshot::NEVER_ACCEPTED;

fn files(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").file_name());
    names.map(|name| name.to_string_lossy().into_owned()).collect()
}

#[test]
fn a_first_run_adds_every_row_and_the_next_one_writes_nothing() {
    let mut sync = Sync::new();
    let rows = rows(0..5000);
    let first = sync.run(&rows);
    assert_eq!(first.summary().counts.added, 5000);
    assert!(ops(&first).iter().map(|op| id_of(&op.key)).eq(0..5000), "in the order of the scan");

    let before = sync.store.snapshot().expect("a snapshot").base_id().to_owned();
    let request = sync.next_request();
    let second = sync.plan(&rows, request);
    assert!(second.is_empty());
    assert_eq!((second.summary().counts.unchanged, second.summary().counts.misses), (5000, 0));
    assert!(second.summary().bytes <= 2048, "{} bytes", second.summary().bytes);
    assert_eq!(sync.settle(&second, &Fates::default()).bytes_written, 0);
    assert_eq!(sync.store.snapshot().expect("a snapshot").base_id(), before);
}

#[test]
fn the_same_ops_against_the_same_snapshot_have_the_same_hash() {
    let mut sync = Sync::new();
    sync.run(&rows(0..10));
    let changed = [rows(0..9), vec![TestRow::new(9, "9@example.com", 1)]].concat();
    let hash = |request| sync.plan(&changed, request).summary().hash.clone();
    let first = hash(request("run-a"));
    assert_eq!(first.len(), 64);
    assert_eq!(first, hash(request("run-b")));
    let other_account =
        PlanRequest { binding: Binding { identity: "portal 2".into(), ..request("").binding }, ..request("run-c") };
    assert_ne!(first, hash(other_account));
    assert_ne!(first, hash(PlanRequest { config_digest: [9; 32], ..request("run-d") }));
}

#[test]
fn permuted_chunks_and_rotated_scans_find_their_place_again_by_anchors() {
    let mut sync = Sync::new();
    sync.run(&rows(0..6000));
    for permuted in [
        rows((2000..6000).chain(0..2000)),
        rows((4000..6000).chain(1000..4000).chain(0..1000)),
        rows((0..1000).chain(5000..6000)),
    ] {
        let request = PlanRequest { removals: false, ..sync.next_request() };
        let counts = sync.plan(&permuted, request).summary().counts;
        assert_eq!(counts.unchanged, permuted.len() as u64);
        assert!(counts.misses < 2 * 256 + 4, "{} misses", counts.misses);
    }
}

#[test]
fn rows_without_a_key_stop_the_plan_and_leave_nothing() {
    let mut sync = Sync::new();
    let mut with_null = rows(0..3);
    with_null[1].id = None;
    let snapshot = sync.store.snapshot().expect("a snapshot");
    let path = sync.folder.path().join("p");
    let refused = try_plan(&snapshot, &with_null, sync.next_request(), &sync.mapper, &path);
    assert!(matches!(refused, Err(DiffError::NullKeys { rows: 1 })), "{refused:?}");
    assert_eq!(files(sync.folder.path()), ["state"]);
}

#[test]
fn repeated_keys_stop_the_plan_wherever_their_rows_stand_and_leave_nothing() {
    let mut loaded = Sync::new();
    loaded.run(&rows(0..600));
    std::fs::remove_file(loaded.folder.path().join("run-1.plan")).expect("deleted");
    let empty = Sync::new();
    let check = |name: &str, sync: &Sync, scan: &[TestRow], repeated: u64, keys: &[i64]| {
        let snapshot = sync.store.snapshot().expect("a snapshot");
        let refused = try_plan(&snapshot, scan, request("r"), &sync.mapper, &sync.folder.path().join("p"));
        let Err(DiffError::DuplicateKeys { count, examples }) = refused else { panic!("{name}: {refused:?}") };
        let mut examples: Vec<i64> = examples.iter().map(|key| id_of(key)).collect();
        examples.sort_unstable();
        assert_eq!((count, examples.as_slice()), (repeated, keys), "{name}");
        assert_eq!(files(sync.folder.path()), ["state"], "{name}");
    };
    let twice = |ids: &[i64]| rows((0..600).chain(ids.iter().copied()));
    check("in a first load", &empty, &twice(&[7, 7, 9]), 3, &[7, 9]);
    check("found at an anchor", &loaded, &twice(&[256]), 1, &[256]);
    check("found in the look-ahead", &loaded, &rows([0, 1, 2, 256, 260, 256, 260]), 2, &[256, 260]);
    check("waiting while its record was seen", &loaded, &twice(&[5]), 1, &[5]);
    check("both waiting", &loaded, &twice(&[1000, 1001, 1000]), 1, &[1000]);
}

#[test]
fn many_repeated_keys_are_counted_and_five_are_named() {
    let sync = Sync::new();
    let snapshot = sync.store.snapshot().expect("a snapshot");
    let scan = rows((0..3000).chain(0..2000));
    let refused = try_plan(&snapshot, &scan, request("r"), &sync.mapper, &sync.folder.path().join("p"));
    let Err(DiffError::DuplicateKeys { count: 2000, examples }) = refused else { panic!("{refused:?}") };
    assert_eq!(examples.len(), 5);
}

#[test]
fn a_scan_with_another_number_of_rows_than_its_source_counts_is_no_plan() {
    let sync = Sync::new();
    let snapshot = sync.store.snapshot().expect("a snapshot");
    let path = sync.folder.path().join("p");
    let mut differ =
        Differ::new(&snapshot, request("r"), &sync.mapper, PlanWriter::new(&path, state_key())).expect("started");
    differ.page(&TestPage { rows: rows(0..3), seed: snapshot.seed() }).expect("a page");
    let refused = differ.finish(4, &PROOF);
    assert!(matches!(refused, Err(DiffError::Incomplete { seen: 3, said: 4 })), "{refused:?}");
    assert_eq!(files(sync.folder.path()), ["state"]);
}

#[test]
fn a_differ_that_is_dropped_leaves_nothing() {
    let mut sync = Sync::new();
    sync.run(&rows(0..3));
    let before = files(sync.folder.path());
    let snapshot = sync.store.snapshot().expect("a snapshot");
    let writer = PlanWriter::new(sync.folder.path().join("p"), state_key());
    let mut differ = Differ::new(&snapshot, request("r"), &sync.mapper, writer).expect("started");
    differ.page(&TestPage { rows: rows(100..9000), seed: snapshot.seed() }).expect("a page");
    drop(differ);
    assert_eq!(files(sync.folder.path()), before);
}

#[test]
fn too_little_free_space_is_told_before_the_first_row() {
    let sync = Sync::new();
    let snapshot = sync.store.snapshot().expect("a snapshot");
    let full = PlanRequest { min_free: u64::MAX, ..request("r") };
    let refused = try_plan(&snapshot, &rows(0..1), full, &sync.mapper, &sync.folder.path().join("p"));
    let Err(DiffError::Plan(PlanError::NoSpace { folder, needed: u64::MAX, .. })) = &refused else {
        panic!("{refused:?}")
    };
    assert_eq!(folder, sync.folder.path());
    assert!(refused.expect_err("refused").remedy().contains("state.min_free"));
}

#[test]
fn a_change_that_no_mapped_field_shows_is_stored_and_not_sent() {
    let mut sync = Sync::new();
    let mut rows = rows(0..3);
    sync.run(&rows);
    rows[1].note = 5;
    let touched = sync.run(&rows);
    assert_eq!(kinds(&touched), [(1, OpKind::Touch)]);
    let request = sync.next_request();
    assert!(sync.plan(&rows, request).is_empty());
}

#[test]
fn changed_fields_are_named_and_a_changed_match_value_is_a_move_from_the_old_address() {
    let mut sync = Sync::new();
    let mut rows = rows(0..3);
    let request = sync.next_request();
    let first = sync.plan(&rows, request);
    let ids = HashMap::from([(1, "51".to_owned())]);
    sync.settle(&first, &Fates { fates: HashMap::new(), ids });
    rows[0].n = 4;
    rows[1].email = "new@example.com".into();
    let plan = sync.run(&rows);
    let ops = ops(&plan);
    assert_eq!((ops[0].kind, ops[0].changed.as_slice()), (OpKind::Change, &[false, true][..]));
    assert_eq!((ops[1].kind, ops[1].changed.as_slice()), (OpKind::Move, &[true, false][..]));
    assert_eq!(ops[1].match_value.as_deref(), Some("new@example.com"));
    let old = Address { remote_id: Some("51".into()), match_value: Some("1@example.com".into()) };
    assert_eq!(ops[1].old_address, old);
    let now = Address { match_value: Some("new@example.com".into()), ..old };
    assert_eq!(sync.records()[&1].address, now);
}

#[test]
fn a_removed_key_whose_address_a_live_row_claims_is_forgotten_and_not_removed() {
    let mut sync = Sync::new();
    sync.run(&rows(0..4));
    // 3 is merged into 1, which takes its address; 2 leaves.
    let merged = vec![TestRow::new(0, "0@example.com", 0), TestRow::new(1, "3@example.com", 0)];
    let plan = sync.run(&merged);
    assert_eq!(kinds(&plan), [(1, OpKind::Move), (2, OpKind::Remove), (3, OpKind::Forget)]);
    assert_eq!(sync.records().keys().copied().collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn a_record_is_forgotten_unless_the_row_that_takes_its_address_did_not_get_there() {
    for (fate, removed) in
        [(Settle::Kept, vec![(1, OpKind::Remove), (3, OpKind::Remove)]), (Settle::InDoubt, vec![(1, OpKind::Remove)])]
    {
        let mut sync = Sync::new();
        sync.run(&rows(0..4));
        // 3 is merged into 1.
        let merged = vec![TestRow::new(0, "0@example.com", 0), TestRow::new(1, "3@example.com", 0)];
        let request = sync.next_request();
        let plan = sync.plan(&merged, request);
        let moved = ops(&plan).iter().find(|op| op.kind == OpKind::Move).expect("a move").number;
        sync.settle(&plan, &Fates { fates: HashMap::from([(moved, fate)]), ids: HashMap::new() });
        assert_eq!(kinds(&sync.run(&merged[..1])), removed, "{fate:?}");
    }
}

#[test]
fn removals_come_last_with_the_address_and_only_where_they_are_asked_for() {
    let mut sync = Sync::new();
    sync.run(&rows(0..3));
    let request = PlanRequest { removals: false, ..sync.next_request() };
    assert!(sync.plan(&rows([1]), request).is_empty());
    let plan = sync.run(&rows([1, 9]));
    let ops = ops(&plan);
    let order: Vec<_> = ops.iter().map(|op| (op.kind, id_of(&op.key))).collect();
    assert_eq!(order, [(OpKind::Add, 9), (OpKind::Remove, 0), (OpKind::Remove, 2)]);
    assert_eq!(ops[2].old_address.match_value.as_deref(), Some("2@example.com"));
    assert_eq!((ops[2].fingerprint, ops[2].fields.len()), (0, 0));
}

#[test]
fn a_b_a_with_the_answer_to_b_lost_sends_a_again() {
    let mut sync = Sync::new();
    let a = rows(0..2);
    sync.run(&a);
    let b = vec![TestRow::new(0, "0@example.com", 8), a[1].clone()];
    let request = sync.next_request();
    let plan = sync.plan(&b, request);
    let settled = sync.settle(&plan, &Fates::all(&plan, Settle::InDoubt));
    assert_eq!((settled.accepted, settled.in_doubt), (1, 1));
    let again = sync.run(&a);
    assert_eq!(kinds(&again), [(0, OpKind::Change)]);
    assert!(ops(&again)[0].was_in_doubt);
    assert_eq!(again.summary().counts.repeats, 1);
    assert_eq!(sync.store.snapshot().expect("a snapshot").in_doubt(), 0);
}

#[test]
fn a_lost_add_of_a_row_that_left_is_removed_and_a_lost_removal_of_one_that_came_back_is_sent() {
    let mut sync = Sync::new();
    let request = sync.next_request();
    let plan = sync.plan(&rows(0..1), request);
    sync.settle(&plan, &Fates::all(&plan, Settle::InDoubt));
    let request = sync.next_request();
    let removal = sync.plan(&[], request);
    assert_eq!(kinds(&removal), [(0, OpKind::Remove)]);
    assert_eq!(ops(&removal)[0].old_address.match_value.as_deref(), Some("0@example.com"));
    sync.settle(&removal, &Fates::all(&removal, Settle::InDoubt));
    assert_eq!(kinds(&sync.run(&rows(0..1))), [(0, OpKind::Change)]);
}

#[test]
fn a_refused_change_is_planned_again_with_its_freshest_values() {
    let mut sync = Sync::new();
    let mut rows = rows(0..2);
    sync.run(&rows);
    rows[0].n = 1;
    let request = sync.next_request();
    let plan = sync.plan(&rows, request);
    sync.settle(&plan, &Fates::all(&plan, Settle::Kept));
    rows[0].n = 2;
    let again = sync.run(&rows);
    assert_eq!(ops(&again)[0].fields.get(1), Some(FieldRef::Set(ValueRef::Int(2))));
}

#[test]
fn an_op_is_found_by_the_key_that_an_operator_types() {
    let mut sync = Sync::new();
    let plan = sync.run(&rows(0..3000));
    let found = plan.find("2718").expect("read").expect("in the plan");
    assert_eq!(id_of(&found.key), 2718);
    assert!(plan.find("3000").expect("read").is_none());
}

#[test]
fn what_was_never_accepted_is_added_when_it_is_in_the_model_and_never_removed() {
    let mut sync = Sync::new();
    sync.store.commit_base(&[(key_of(0), NEVER_ACCEPTED), (key_of(1), NEVER_ACCEPTED)]).expect("committed");
    let plan = sync.run(&rows([1]));
    assert_eq!(kinds(&plan), [(1, OpKind::Add)]);
    assert_eq!(ops(&plan)[0].ordinal, Some(1));
    let snapshot = sync.store.snapshot().expect("a snapshot");
    assert_eq!((snapshot.accepted(), snapshot.in_doubt()), (1, 0));
    assert_eq!(sync.records()[&0].fingerprint, NEVER_ACCEPTED);
    assert!(sync.run(&rows([1])).is_empty());
}

#[test]
fn what_the_run_hands_between_threads_may_go_there() {
    fn may_go<T: Send>() {}
    fn may_be_shared<T: Send + std::marker::Sync>() {}
    may_go::<Differ<'static>>();
    may_go::<PlanOps>();
    may_be_shared::<PlanReader>();
    may_be_shared::<Snapshot>();
    may_be_shared::<Store>();
}
