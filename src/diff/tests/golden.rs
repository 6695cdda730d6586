//! Files that this version wrote, kept for ever: every later version must read them so.

use super::*;
use crate::snapshot::{FieldHasher, IN_DOUBT, Limits, UNKNOWN_FIELD};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/snapshot/golden/v1");

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
fn second_fates() -> Fates {
    Fates { fates: HashMap::from([(2, Settle::InDoubt)]), ids: HashMap::from([(1, "51".into())]) }
}

fn info(run_id: &str) -> SettleInfo {
    SettleInfo { run_id: run_id.to_owned(), log_digest: [4; 32], log_len: 99 }
}

#[test]
fn a_snapshot_of_version_1_is_read_as_it_was_written() {
    let folder = folder();
    for entry in std::fs::read_dir(Path::new(GOLDEN)).expect("the golden files") {
        let entry = entry.expect("an entry");
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).expect("copied");
    }
    let store = Store::open(folder.path(), state_key()).expect("a store");
    store.verify().expect("whole");
    let snapshot = store.snapshot().expect("a snapshot");
    assert_eq!((snapshot.accepted(), snapshot.in_doubt()), (300, 1));
    assert_eq!(snapshot.binding(), Some(&request("").binding));
    assert_eq!(snapshot.config_digest(), Some([1; 32]));
    assert_eq!(snapshot.fields(), ["email", "n"]);
    let last = snapshot.last_run().expect("a run");
    assert_eq!((last.run_id.as_str(), last.log_digest, last.log_len), ("run-2", [4; 32], 99));

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
    assert_eq!(stored(&snapshot), expected);
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
#[ignore = "writes the golden files of a new format version"]
fn golden_files_are_written() {
    let golden = Path::new(GOLDEN);
    std::fs::create_dir_all(golden).expect("a folder");
    let mapper = TestMapper::usual();
    let (first, second) = (golden.join("first.plan"), golden.join("second.plan"));
    for (rows, path, overlay_entries, fates) in
        [(first_rows(), &first, 0, Fates::default()), (second_rows(), &second, 4096, second_fates())]
    {
        let run_id = if overlay_entries == 0 { "run-1" } else { "run-2" };
        let limits = Limits { overlay_entries, ..Limits::default() };
        let store = Store::open_with(golden, state_key(), limits).expect("a store");
        let snapshot = store.snapshot().expect("a snapshot");
        let summary = try_plan(&snapshot, &rows, request(run_id), &mapper, path).expect("a plan");
        std::fs::write(path.with_extension("hash"), summary.hash).expect("written");
        let plan = PlanReader::open(path, &state_key()).expect("the plan");
        settle(&store, &plan, &fates, info(run_id)).expect("settled");
    }
    for name in ["first.plan", "first.hash"] {
        std::fs::remove_file(golden.join(name)).expect("deleted");
    }
}
