//! Sessions: staged, committed, interrupted.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backhaul_kit::contract::{NO_TICKETS, canary_kit, row, run};
use backhaul_kit::{
    Batch, ChangeKind, Delivery, Destination, Fault, FaultClass, Operation, Prepared, Row, Run, Ticket, Tickets, Value,
    Verdict,
};

use super::super::manifest::Manifest;
use super::prepared;
use backhaul_kit::value::hex;

const FULL: &str = "format = \"jsonl\"\nset = \"full\"";
const CHANGES: &str = "format = \"csv\"\nset = \"changes\"";

fn open(folder: &Path, into: &str) -> Arc<dyn Destination> {
    open_prepared(folder, &*prepared(folder, into, &["id"], &["email", "plan"]))
}

fn open_prepared(folder: &Path, prepared: &dyn Prepared) -> Arc<dyn Destination> {
    prepared.open(canary_kit(folder)).expect("opens")
}

fn person(id: i64, email: &str) -> Row {
    row(id.unsigned_abs(), id, vec![Value::Text(email.into()), Value::Null])
}

fn batch(rows: Vec<Row>) -> Batch {
    let removal = rows.first().is_some_and(|row| row.change == ChangeKind::Remove);
    let operation = if removal { Operation::Delete } else { Operation::Upsert };
    Batch { operation, seq: 0, last: false, rows }
}

async fn write(destination: &dyn Destination, ticket: &Ticket, rows: Vec<Row>) -> Result<Delivery, Fault> {
    destination.write(&run(), &batch(rows), Tickets { session: Some(ticket), ..NO_TICKETS }).await
}

async fn begin(destination: &dyn Destination, run: &Run) -> Ticket {
    destination.begin(run).await.expect("begins").expect("files have sessions")
}

/// Everything in the folder, by name.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(folder).expect("readable").map(|entry| {
        let entry = entry.expect("readable");
        let text = std::fs::read_to_string(entry.path()).expect("text");
        (entry.file_name().into_string().expect("UTF-8"), text)
    });
    entries.collect()
}

fn names(folder: &Path) -> Vec<String> {
    files(folder).into_keys().collect()
}

fn assert_manifest_fits(files: &BTreeMap<String, String>, manifest: &str, rows: u64) -> Manifest {
    let manifest: Manifest = serde_json::from_str(&files[manifest]).expect("a manifest");
    let data = files[&manifest.file].as_bytes();
    assert_eq!(manifest.bytes, data.len() as u64);
    assert_eq!(manifest.sha256, hex(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, data).as_ref()));
    assert_eq!(manifest.rows, rows);
    manifest
}

#[tokio::test]
async fn a_full_set_appears_only_when_it_is_complete() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let out = folder.path().join("exports");
    let destination = open(&out, FULL);
    let ticket = begin(&*destination, &run()).await;
    let staged = write(&*destination, &ticket, vec![person(1, "a"), person(2, "b")]).await.expect("staged");
    assert!(matches!(staged, Delivery::Staged));
    write(&*destination, &ticket, vec![row(3, 3, Vec::new())]).await.expect("a removal is settled by its absence");
    assert_eq!(names(&out), [".customers~run-1.staged"]);

    let done = destination.finish(&run(), &ticket).await.expect("finished");
    assert!(matches!(done, Delivery::Committed));
    let files = files(&out);
    assert_eq!(files.keys().collect::<Vec<_>>(), ["customers.jsonl", "customers.manifest.json"]);
    assert_eq!(files["customers.jsonl"], "{\"email\":\"a\",\"plan\":null}\n{\"email\":\"b\",\"plan\":null}\n");
    let manifest = assert_manifest_fits(&files, "customers.manifest.json", 2);
    assert_eq!((manifest.run.as_str(), manifest.sync.as_str(), manifest.version), ("run-1", "contract", 1));
    assert_eq!(manifest.columns, ["email", "plan"]);
    let again = destination.finish(&run(), &ticket).await.expect("a commit may be asked for twice");
    assert!(matches!(again, Delivery::Committed));
}

#[tokio::test]
async fn changes_say_what_became_of_each_row() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let destination = open(folder.path(), CHANGES);
    let ticket = begin(&*destination, &run()).await;
    let changed = Row { change: ChangeKind::Change, ..person(2, "b,c") };
    write(&*destination, &ticket, vec![person(1, ""), changed]).await.expect("staged");
    write(&*destination, &ticket, vec![row(3, 3, Vec::new())]).await.expect("staged");
    destination.finish(&run(), &ticket).await.expect("finished");
    let files = files(folder.path());
    let base = "customers.19700101T000000Z.run-1";
    assert_eq!(files[&format!("{base}.csv")], "op,id,email,plan\r\nadd,1,\"\",\r\nchange,2,\"b,c\",\r\nremove,3,,\r\n");
    let manifest = assert_manifest_fits(&files, &format!("{base}.manifest.json"), 3);
    assert_eq!(manifest.columns, ["op", "id", "email", "plan"]);

    // The next run leaves another file and touches nothing of this one.
    let next = Run { id: "run-2".into(), ..run() };
    let ticket = begin(&*destination, &next).await;
    destination.finish(&next, &ticket).await.expect("finished");
    assert_eq!(names(folder.path()).len(), 4);
}

#[tokio::test]
async fn a_field_named_like_a_key_column_takes_its_place() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let row_of = |id| row(7, id, vec![Value::Text("  A ".into()), Value::Int(id)]);
    for (into, file, expected) in [
        (CHANGES, "csv", "op,name,id\r\nadd,  A ,1\r\nremove,,2\r\n"),
        (
            "format = \"jsonl\"\nset = \"changes\"",
            "jsonl",
            "{\"op\":\"add\",\"name\":\"  A \",\"id\":1}\n{\"op\":\"remove\",\"id\":2}\n",
        ),
    ] {
        let prepared = prepared(folder.path(), into, &["id"], &["name", "id"]);
        let destination = open_prepared(folder.path(), &*prepared);
        let ticket = begin(&*destination, &run()).await;
        write(&*destination, &ticket, vec![row_of(1)]).await.expect("staged");
        write(&*destination, &ticket, vec![row(8, 2, Vec::new())]).await.expect("staged");
        destination.finish(&run(), &ticket).await.expect("finished");
        assert_eq!(files(folder.path())[&format!("customers.19700101T000000Z.run-1.{file}")], expected);
    }
}

#[tokio::test]
async fn a_crash_while_rows_are_staged_leaves_the_old_file_and_is_cleaned_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let first = open(folder.path(), FULL);
    let ticket = begin(&*first, &run()).await;
    write(&*first, &ticket, vec![person(1, "old")]).await.expect("staged");
    first.finish(&run(), &ticket).await.expect("finished");
    let before = files(folder.path());

    let next = Run { id: "run-2".into(), ..run() };
    let ticket = begin(&*first, &next).await;
    write(&*first, &ticket, vec![person(1, "new")]).await.expect("staged");
    drop(first);

    // Another process does not know how far the bytes got: it neither goes on nor commits.
    let second = open(folder.path(), FULL);
    let fault = write(&*second, &ticket, vec![person(2, "new")]).await.expect_err("the session is lost");
    assert_eq!(fault.class, FaultClass::Transient);
    let fault = second.finish(&next, &ticket).await.expect_err("the session is lost");
    assert_eq!(fault.class, FaultClass::Transient);
    let visible: BTreeMap<_, _> = files(folder.path()).into_iter().filter(|(name, _)| !name.starts_with('.')).collect();
    assert_eq!(visible, before);

    let ticket = begin(&*second, &next).await;
    write(&*second, &ticket, vec![person(1, "new")]).await.expect("staged");
    second.finish(&next, &ticket).await.expect("finished");
    let after = files(folder.path());
    assert_eq!(after.len(), 2);
    assert!(after["customers.jsonl"].contains("new"));
}

#[tokio::test]
async fn a_commit_that_was_interrupted_is_completed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let complete = folder.path().join("complete");
    let destination = open(&complete, FULL);
    let ticket = begin(&*destination, &run()).await;
    write(&*destination, &ticket, vec![person(1, "a")]).await.expect("staged");
    destination.finish(&run(), &ticket).await.expect("finished");
    let expected = files(&complete);
    let (data, manifest) = (&expected["customers.jsonl"], &expected["customers.manifest.json"]);

    // After the staged manifest was written, and after the file was renamed.
    for (place, name) in ["synced", "renamed"].into_iter().zip([".customers~run-1.staged", "customers.jsonl"]) {
        let out = folder.path().join(place);
        std::fs::create_dir(&out).expect("made");
        std::fs::write(out.join(name), data).expect("written");
        std::fs::write(out.join(".customers~run-1.staged-manifest"), manifest).expect("written");
        let done = open(&out, FULL).finish(&run(), &ticket).await.expect("completed");
        assert!(matches!(done, Delivery::Committed));
        assert_eq!(files(&out), expected, "{place}");
    }

    // A file that is not the one that was staged is no commit.
    let out = folder.path().join("foreign");
    std::fs::create_dir(&out).expect("made");
    std::fs::write(out.join("customers.jsonl"), "{}\n").expect("written");
    std::fs::write(out.join(".customers~run-1.staged-manifest"), manifest).expect("written");
    let fault = open(&out, FULL).finish(&run(), &ticket).await.expect_err("not ours");
    assert_eq!(fault.class, FaultClass::Transient);
}

#[tokio::test]
async fn staged_files_of_others_are_left_alone() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in [".customers~run-0.staged", ".customers-vip~run-0.staged", "notes.txt"] {
        std::fs::write(folder.path().join(name), "x").expect("written");
    }
    begin(&*open(folder.path(), FULL), &run()).await;
    assert_eq!(names(folder.path()), [".customers-vip~run-0.staged", ".customers~run-1.staged", "notes.txt"]);
}

#[tokio::test]
async fn lists_of_unequal_length_reject_the_row_and_no_other() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let prepared = prepared(folder.path(), FULL, &["id"], &["items[].sku", "items[].n"]);
    let destination = open_prepared(folder.path(), &*prepared);
    let ticket = begin(&*destination, &run()).await;
    let list = |n: i64| Value::Array((0..n).map(Value::Int).collect());
    let (good, bad) = (row(1, 1, vec![list(2), list(2)]), row(2, 2, vec![list(2), list(3)]));
    let fault = write(&*destination, &ticket, vec![good.clone(), bad.clone()]).await.expect_err("to be cut");
    assert_eq!(fault.class, FaultClass::Split);
    let Delivery::Settled(outcomes) = write(&*destination, &ticket, vec![bad]).await.expect("settled") else {
        panic!("expected a verdict")
    };
    assert!(matches!(&outcomes.into_vec()[..], [(2, Verdict::Rejected(reason))] if reason.code == "UNEQUAL_LISTS"));
    write(&*destination, &ticket, vec![good]).await.expect("staged");
    destination.finish(&run(), &ticket).await.expect("finished");
    assert_eq!(files(folder.path())["customers.jsonl"], "{\"items\":[{\"sku\":0,\"n\":0},{\"sku\":1,\"n\":1}]}\n");
}

#[tokio::test]
async fn what_is_wrong_with_the_folder_is_said() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = folder.path().join("no/such");
    let fault = open(&missing, FULL).begin(&run()).await.expect_err("its parent is missing");
    assert_eq!(fault.class, FaultClass::Config);
    assert!(fault.remedy_text().contains("`path`"));
    assert!(open(&missing, FULL).check().await.is_err());

    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("written");
    let fault = open(&file, FULL).check().await.expect_err("a file is no folder");
    assert_eq!(fault.class, FaultClass::Config);
    assert!(open(&file, FULL).begin(&run()).await.is_err());

    let report = open(folder.path(), FULL).check().await.expect("there");
    let real = folder.path().canonicalize().expect("a real path");
    assert_eq!(report.identity, format!("file:{}", real.display()));
}

/// `/dev/full` takes no byte: what a full disk does to a write.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_is_said_plainly() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("staged");
    std::os::unix::fs::symlink("/dev/full", &path).expect("linked");
    let fault = super::super::session::write_synced(&path, b"{}").await.expect_err("full");
    assert_eq!(fault.class, FaultClass::Transient);
    assert!(fault.message.contains("no space left"), "{fault}");
    assert!(fault.remedy_text().contains("free space"));
}
