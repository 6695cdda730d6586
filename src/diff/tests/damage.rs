//! Interrupted settles, and folders that are not as they should be: the old state or the new one. Altered bytes are
//! the matter of `bit_flips`.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::snapshot::{Limits, SnapshotError};

/// A store with a base and two segments.
fn layered(folder: &Path) -> (Vec<TestRow>, PathBuf) {
    let state = folder.join("state");
    let limits = |overlay_entries| Limits { overlay_entries, ..Limits::default() };
    let mut all = rows(0..600);
    for (run, overlay_entries) in [(1, 0), (2, 1000), (3, 1000)] {
        let store = Store::open_with(&state, state_key(), limits(overlay_entries)).expect("a store");
        all[run * 10].n = run as i64;
        all.push(TestRow::new(600 + run as i64, "new", 0));
        all.remove(run);
        let path = folder.join("plan");
        let snapshot = store.snapshot().expect("a snapshot");
        let run_id = format!("run-{run}");
        try_plan(&snapshot, &all, request(&run_id), &TestMapper::usual(), &path).expect("a plan");
        let plan = PlanReader::open(&path, &state_key()).expect("the plan");
        let info = SettleInfo { run_id, log_digest: [0; 32], log_len: 0 };
        settle(&store, &plan, &Fates::default(), info).expect("settled");
    }
    (all, state)
}

/// Makes `to` a copy of the files in `from`.
pub(crate) fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the folder") {
        let entry = entry.expect("an entry");
        fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// Names of what is in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn a_crash_before_the_rename_leaves_the_old_state_and_after_it_the_new_one() {
    let folder = folder();
    let state = folder.path().join("state");
    let store = Store::open(&state, state_key()).expect("a store");
    let path = folder.path().join("p");
    let settle_rows = |rows: &[TestRow], run_id: &str| {
        let snapshot = store.snapshot().expect("a snapshot");
        try_plan(&snapshot, rows, request(run_id), &TestMapper::usual(), &path).expect("a plan");
        let plan = PlanReader::open(&path, &state_key()).expect("the plan");
        let info = SettleInfo { run_id: run_id.into(), log_digest: [0; 32], log_len: 0 };
        settle(&store, &plan, &Fates::default(), info).expect("settled");
    };
    settle_rows(&rows(0..5000), "run-1");
    let (before, after) = (folder.path().join("before"), folder.path().join("after"));
    copy(&state, &before);
    settle_rows(&rows(5000..10_000), "run-2");
    copy(&state, &after);

    // New files and a new manifest are there, the rename is not.
    let crashed = folder.path().join("crashed");
    copy(&before, &crashed);
    for name in names(&after).iter().filter(|name| *name != "MANIFEST") {
        fs::copy(after.join(name), crashed.join(name)).expect("copied");
    }
    fs::copy(after.join("MANIFEST"), crashed.join("MANIFEST.tmp")).expect("copied");
    let ids = |state: &Path| {
        let store = Store::open(state, state_key()).expect("a store");
        stored(&store.snapshot().expect("a snapshot")).into_keys().collect::<Vec<_>>()
    };
    assert!(ids(&crashed).into_iter().eq(0..5000));
    assert_eq!(names(&crashed), names(&before), "orphans are gone");

    // The rename is there, the old files are too.
    copy(&after, &crashed);
    for name in names(&before).iter().filter(|name| *name != "MANIFEST") {
        fs::copy(before.join(name), crashed.join(name)).expect("copied");
    }
    fs::create_dir(crashed.join("runs")).expect("a folder");
    fs::write(crashed.join("notes.txt"), "not ours").expect("written");
    assert!(ids(&crashed).into_iter().eq(5000..10_000));
    let mut kept = names(&after);
    kept.extend(["notes.txt".to_owned(), "runs".to_owned()]);
    kept.sort();
    assert_eq!(names(&crashed), kept, "what is not ours stays");
}

#[test]
fn a_settle_that_cannot_write_leaves_the_old_state() {
    let mut sync = Sync::new();
    sync.run(&rows(0..10));
    let request = sync.next_request();
    let plan = sync.plan(&rows(0..6000), request);
    // A folder stands where the new manifest would: the commit fails after every other file was written.
    let blocker = sync.store.folder().join("MANIFEST.tmp");
    fs::create_dir(&blocker).expect("a folder");
    let before = names(sync.store.folder());
    let info = SettleInfo { run_id: "run-2".into(), log_digest: [0; 32], log_len: 0 };
    assert!(settle(&sync.store, &plan, &Fates::default(), info).is_err());
    assert_eq!(names(sync.store.folder()), before);
    assert_eq!(sync.records().len(), 10);
    fs::remove_dir(&blocker).expect("deleted");
    sync.settle(&plan, &Fates::default());
    assert_eq!(sync.records().len(), 6000);
}

#[test]
fn a_plan_from_another_state_of_the_snapshot_is_not_settled() {
    let mut sync = Sync::new();
    let request = sync.next_request();
    let early = sync.plan(&rows(0..3), request);
    sync.run(&rows(0..4));
    let info = SettleInfo { run_id: "run-1".into(), log_digest: [0; 32], log_len: 0 };
    let refused = settle(&sync.store, &early, &Fates::default(), info);
    assert!(matches!(refused, Err(SnapshotError::OtherBase { .. })), "{refused:?}");
}

#[test]
fn another_state_key_is_told_and_costs_nothing() {
    let mut sync = Sync::new();
    sync.run(&rows(0..3));
    let before = names(sync.store.folder());
    let other = Arc::new(StateKey::random().expect("a key"));
    let refused = Store::open(sync.store.folder(), other).map(|_| ()).expect_err("another key");
    assert!(refused.to_string().contains("another state key"), "{refused}");
    assert_eq!(names(sync.store.folder()), before);
}

#[test]
fn a_snapshot_stays_readable_while_a_settle_replaces_it() {
    let mut sync = Sync::new();
    sync.run(&rows(0..6000));
    let old = sync.store.snapshot().expect("a snapshot");
    sync.run(&rows(6000..12_000));
    assert!(stored(&old).into_keys().eq(0..6000));
}

#[test]
fn a_snapshot_whose_manifest_is_gone_is_not_taken_for_a_new_one() {
    let folder = folder();
    let (_, state) = layered(folder.path());
    fs::remove_file(state.join("MANIFEST")).expect("removed");
    let before = names(&state);
    for refused in [Store::open(&state, state_key()).map(drop), Store::read(&state, &state_key()).map(drop)] {
        let refused = refused.expect_err("files without their manifest");
        assert!(refused.to_string().contains("MANIFEST is gone"), "{refused}");
    }
    assert_eq!(names(&state), before);
}

#[test]
fn reading_alone_creates_and_deletes_nothing() {
    let folder = folder();
    let state = folder.path().join("state");
    assert!(Store::read(&state, &state_key()).expect("nothing there").is_none());
    assert!(!state.exists());
    let (_, state) = layered(folder.path());
    fs::write(state.join("segment-0000000000000000"), "being written").expect("written");
    assert_eq!(Store::read(&state, &state_key()).expect("read").expect("there").accepted(), 600);
    assert!(state.join("segment-0000000000000000").exists());
}

#[test]
fn personal_data_never_stands_on_disk_in_the_clear() {
    let mut sync = Sync::new();
    let people: Vec<TestRow> = (0..600).map(|id| TestRow::new(id, "somebody@example.com", id)).collect();
    sync.run(&people);
    let files = names(sync.store.folder()).into_iter().map(|name| sync.store.folder().join(name));
    for file in files.chain([sync.folder.path().join("run-1.plan")]) {
        let bytes = fs::read(&file).expect("the file");
        assert!(!bytes.windows(8).any(|part| part == b"somebody"), "{}", file.display());
    }
}

#[test]
fn disk_use_stays_within_its_targets() {
    let mut sync = Sync::new();
    sync.mapper = TestMapper::new(&[("n", 2)]);
    let mut rows = rows(0..20_000);
    let plain = |sync: &mut Sync| PlanRequest { keep_address: false, match_field: None, ..sync.next_request() };
    let request = plain(&mut sync);
    let plan = sync.plan(&rows, request);
    sync.settle(&plan, &Fates::default());
    let keys: u64 = (0..20_000).map(|id| key_of(id).len() as u64).sum();
    let sizes = names(sync.store.folder()).into_iter().filter(|name| !name.ends_with(".fields"));
    let bytes: u64 = sizes.map(|name| fs::metadata(sync.store.folder().join(name)).expect("a file").len()).sum();
    assert!(bytes <= 26 * 20_000 + keys, "{bytes} bytes");

    for row in rows.iter_mut().step_by(100) {
        row.n += 1;
    }
    let request = plain(&mut sync);
    let plan = sync.plan(&rows, request);
    let written = sync.settle(&plan, &Fates::default()).bytes_written;
    assert!(written <= 64 * 200, "{written} bytes for 200 changed rows");
}
