//! Files that earlier versions wrote, kept for ever: every later version must read them so.
//!
//! | folder | what is there |
//! |---|---|
//! | `v1` | a base, a segment in its first form, a plan |
//! | `v2/by_hash` | a base in the order of key hashes, a segment in its second form |
//! | `v2/moved` | a snapshot whose next base follows the rows; `run/` has a plan for it, its order file, its log, and that log before it was sealed |

use super::damage::copy;
use super::random::Random;
use super::*;
use crate::snapshot::log::{Entry, Fate, LogWriter};
use crate::snapshot::{FieldHasher, IN_DOUBT, Limits, Rewrite, UNKNOWN_FIELD};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/snapshot/golden/v1");
const GOLDEN_2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/snapshot/golden/v2");

fn first_rows() -> Vec<TestRow> {
    rows(0..300)
}

/// 2 changed, 5 gone, 300 and 301 new.
fn second_rows() -> Vec<TestRow> {
    let mut second = rows((0..5).chain(6..302));
    second[2].n = 7;
    second
}

/// The answers to the second plan: the last new row is in doubt.
fn second_fates(plan: &PlanReader) -> Fates {
    let of = |id| ops(plan).iter().find(|op| id_of(&op.key) == id).map(|op| op.number).expect("an op");
    Fates { fates: HashMap::from([(of(301), Settle::InDoubt)]), ids: HashMap::from([(of(300), "51".into())]) }
}

fn info(run_id: &str) -> SettleInfo {
    SettleInfo { run_id: run_id.to_owned(), log_digest: [4; 32], log_len: 99 }
}

#[test]
fn a_snapshot_of_version_1_is_read_as_it_was_written() {
    let folder = folder();
    copy(Path::new(GOLDEN), folder.path());
    let store = Store::open(folder.path(), state_key()).expect("a store");
    store.verify().expect("whole");
    let snapshot = store.snapshot().expect("a snapshot");
    assert_holds_second_rows(&snapshot, "run-2");
}

/// Asserts that the second rows are accepted, but for the last, which is in doubt.
fn assert_holds_second_rows(snapshot: &Snapshot, last_run: &str) {
    assert_eq!((snapshot.accepted(), snapshot.in_doubt()), (300, 1));
    assert_eq!(snapshot.binding(), Some(&request("").binding));
    assert_eq!(snapshot.config_digest(), Some([1; 32]));
    assert_eq!(snapshot.fields(), ["email", "n"]);
    let last = snapshot.last_run().expect("a run");
    assert_eq!((last.run_id.as_str(), last.log_digest, last.log_len), (last_run, [4; 32], 99));

    let hasher = FieldHasher::new(snapshot.seed());
    let expected: BTreeMap<i64, Stored> = second_rows()
        .iter()
        .map(|row| {
            let id = row.id.expect("a key");
            let remote_id = (id == 300).then(|| "51".to_owned());
            let in_doubt = id == 301;
            let fields = TestMapper::usual().map(&row.record()).expect("mapped");
            let stored = Stored {
                fingerprint: if in_doubt { IN_DOUBT } else { row.fingerprint(snapshot.seed()) },
                address: Address { remote_id, match_value: Some(row.email.clone()) },
                fields: if in_doubt { vec![UNKNOWN_FIELD; 2] } else { hasher.hashes(&fields.as_slice().into()) },
            };
            (id, stored)
        })
        .collect();
    assert_eq!(stored(snapshot), expected);
}

#[test]
fn a_plan_of_version_1_is_read_as_it_was_written() {
    let plan = PlanReader::open(&Path::new(GOLDEN).join("second.plan"), &state_key()).expect("the plan");
    plan.verify().expect("whole");
    assert_eq!(plan.header().run_id, "run-2");
    assert_eq!(plan.header().fields, ["email", "n"]);
    let ops = ops(&plan);
    let kinds: Vec<_> = ops.iter().map(|op| (op.kind, id_of(&op.key), op.ordinal)).collect();
    let expected = [
        (OpKind::Change, 2, Some(2)),
        (OpKind::Add, 300, None),
        (OpKind::Add, 301, None),
        (OpKind::Remove, 5, Some(5)),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(ops[0].changed, [false, true]);
    let fields = [FieldValue::Set(Value::Text("2@example.com".into())), FieldValue::Set(Value::Int(7))];
    assert_eq!(ops[0].fields, fields.into_iter().collect());
    assert_eq!(ops[3].old_address.match_value.as_deref(), Some("5@example.com"));
    let counts = plan.summary().counts;
    assert_eq!((counts.rows, counts.unchanged, counts.sent()), (301, 298, 4));
    let hash = std::fs::read_to_string(Path::new(GOLDEN).join("second.hash")).expect("the hash");
    assert_eq!(plan.summary().hash, hash);
}

#[test]
fn a_snapshot_by_hash_with_a_sparse_segment_is_read_as_it_was_written() {
    let folder = folder();
    copy(&Path::new(GOLDEN_2).join("by_hash"), folder.path());
    let store = Store::open(folder.path(), state_key()).expect("a store");
    store.verify().expect("whole");
    let snapshot = store.snapshot().expect("a snapshot");
    assert!(snapshot.by_hash());
    assert_holds_second_rows(&snapshot, "run-4");
}

/// The rows of the run that is settled with a new base in their order: the last 40 have come first; 7 has changed, 9
/// has left, 1000 is new and in doubt.
fn moved_rows() -> Vec<TestRow> {
    let mut moved: Vec<TestRow> = rows((260..300).chain(0..9).chain(10..260)).into_iter().collect();
    moved[47].n = 7;
    moved.push(TestRow::new(1000, "1000@example.com", 0));
    moved
}

#[test]
fn a_plan_its_order_and_its_logs_of_version_2_are_settled_as_they_were_written() {
    let folder = folder();
    let (state, run) = (folder.path().join("state"), Path::new(GOLDEN_2).join("run"));
    copy(&Path::new(GOLDEN_2).join("moved"), &state);
    let store = Store::open(&state, state_key()).expect("a store");
    assert_eq!(store.snapshot().expect("a snapshot").rewrites(), Some(Rewrite::ByArrival));
    let plan = PlanReader::open(&run.join("plan"), &state_key()).expect("the plan");
    plan.verify().expect("whole");
    let kinds: Vec<_> = ops(&plan).iter().map(|op| (op.kind, id_of(&op.key), op.ordinal)).collect();
    let expected = [(OpKind::Change, 7, Some(7)), (OpKind::Add, 1000, None), (OpKind::Remove, 9, Some(9))];
    assert_eq!(kinds, expected);
    assert_eq!(plan.summary().hash, std::fs::read_to_string(run.join("plan.hash")).expect("the hash"));

    let [open, told] = ["log.open", "log"].map(|name| Told::read(&run.join(name), "run-4"));
    assert_eq!(open.0.sealed(), None);
    for told in [&open, &told] {
        let standing = [0, 1, 2].map(|op| told.0.standing(op));
        assert_eq!(standing, [Standing::Accepted, Standing::InDoubt, Standing::Accepted]);
        assert_eq!(told.remote_id(0).expect("read").as_deref(), Some("7-remote"));
    }
    let sealed = told.0.sealed().expect("a sealed log");
    let info = SettleInfo { run_id: "run-4".into(), log_digest: sealed.digest, log_len: sealed.len };
    settle(&store, &plan, &told, info).expect("settled");

    let snapshot = store.snapshot().expect("a snapshot");
    let found = stored(&snapshot);
    assert_eq!((found[&7].address.remote_id.as_deref(), found[&1000].fingerprint), (Some("7-remote"), IN_DOUBT));
    let path = folder.path().join("next");
    try_plan(&snapshot, &moved_rows(), request("run-5"), &TestMapper::usual(), &path).expect("a plan");
    let next = PlanReader::open(&path, &state_key()).expect("the plan");
    assert_eq!(super::kinds(&next), [(1000, OpKind::Change)]);
    assert_eq!(next.summary().counts.misses, 0, "the base stands in the order of the rows");
}

/// Plans and settles one run on the store in `state`.
fn run(state: &Path, run: u32, rows: &[TestRow], overlay_entries: u64, fates: impl FnOnce(&PlanReader) -> Fates) {
    let limits = Limits { overlay_entries, ..Limits::default() };
    let store = Store::open_with(state, state_key(), limits).expect("a store");
    let snapshot = store.snapshot().expect("a snapshot");
    let (run_id, path) = (format!("run-{run}"), state.join("plan"));
    try_plan(&snapshot, rows, request(&run_id), &TestMapper::usual(), &path).expect("a plan");
    let plan = PlanReader::open(&path, &state_key()).expect("the plan");
    settle(&store, &plan, &fates(&plan), info(&run_id)).expect("settled");
    std::fs::remove_file(&path).expect("deleted");
    // Only a run that follows the order has one.
    let _ = std::fs::remove_file(crate::snapshot::order::path_of(&path));
}

/// Writes a log in which the second op is in doubt, and copies it before it is sealed.
fn write_log(path: &Path) {
    let mut log = LogWriter::create(path, "run-4").expect("a log");
    log.push(&Entry::Dispatched { first: 0, last: 2 }).expect("pushed");
    log.sync().expect("synced");
    for (op, fate, id) in [(0, Fate::Accepted, Some("7-remote")), (1, Fate::Unknown, None), (2, Fate::Accepted, None)] {
        log.push(&Entry::Ack { op, fate, remote_id: id.map(Into::into) }).expect("pushed");
        log.sync().expect("synced");
    }
    std::fs::copy(path, path.with_extension("open")).expect("copied");
    log.seal().expect("sealed");
}

#[test]
#[ignore = "writes the golden files of this format version anew"]
fn golden_files_are_written() {
    let golden = Path::new(GOLDEN_2);
    // What is not there need not be removed.
    let _ = std::fs::remove_dir_all(golden);
    let by_hash = golden.join("by_hash");
    run(&by_hash, 1, &first_rows(), 0, |_| Fates::default());
    for number in 2..4 {
        let mut shuffled = first_rows();
        Random(number.into()).shuffle(&mut shuffled);
        run(&by_hash, number, &shuffled, 1, |_| Fates::default());
    }
    let segment = Limits::default().overlay_entries;
    run(&by_hash, 4, &second_rows(), segment, second_fates);

    let (moved, folder) = (golden.join("moved"), golden.join("run"));
    run(&moved, 1, &first_rows(), 1, |_| Fates::default());
    run(&moved, 2, &first_rows(), 1, |_| Fates::default());
    let mut rows = first_rows();
    rows.rotate_right(40);
    run(&moved, 3, &rows, 1, |_| Fates::default());
    std::fs::create_dir_all(&folder).expect("a folder");
    let snapshot = Store::open(&moved, state_key()).expect("a store").snapshot().expect("a snapshot");
    let plan = folder.join("plan");
    let summary = try_plan(&snapshot, &moved_rows(), request("run-4"), &TestMapper::usual(), &plan).expect("a plan");
    std::fs::write(plan.with_extension("hash"), summary.hash).expect("written");
    write_log(&folder.join("log"));
}
