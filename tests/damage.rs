//! Damaged state: nothing is sent on the strength of it, it is named, and the way on loses nothing without a word.

use std::fs;
use std::path::PathBuf;

use crate::support::customers::Customers;
use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::{Project, SYNC};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

const REBUILD: [&str; 3] = ["state", "rebuild", SYNC];
/// So many rows make a base; fewer are a segment alone.
const LARGE: i64 = 5_000;

fn delivered(rows: i64) -> (Warehouse, Customers, Sink, Project) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    (warehouse, customers, sink, project)
}

fn site(project: &Project) -> PathBuf {
    project.state().join("syncs").join(SYNC)
}

/// The file of the snapshot that has this in its name.
fn file(project: &Project, part: &str) -> PathBuf {
    let files = fs::read_dir(site(project)).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut found = files.filter(|path| path.to_string_lossy().contains(part));
    found.next().unwrap_or_else(|| panic!("no file has {part} in its name"))
}

fn aside(project: &Project) -> Vec<PathBuf> {
    let folders = fs::read_dir(project.state().join("syncs")).expect("the folder");
    let folders = folders.map(|entry| entry.expect("an entry").path());
    folders.filter(|path| path.to_string_lossy().contains(".aside-")).collect()
}

/// Turns a bit in the middle of a file.
fn damage(file: &PathBuf) {
    let mut bytes = fs::read(file).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).expect("written");
}

fn unfinished(project: &Project) -> Vec<serde_json::Value> {
    let listed = project.backhaul(&["runs", "--output", "json"]).expect(0).json();
    let runs = listed["runs"].as_array().expect("runs").clone();
    runs.into_iter().filter(|run| run["terminal"] != true).collect()
}

/// Ends a run at a failpoint, as `kill -9` would.
fn end_at(project: &mut Project, failpoint: &str) {
    project.set_variable("FAILPOINTS", &format!("{failpoint}=return"));
    let ended = project.run();
    assert_eq!(ended.code, None, "{failpoint} is not come by:\n{}{}", ended.stdout, ended.stderr);
    project.set_variable("FAILPOINTS", "");
}

#[test]
fn a_damaged_snapshot_is_rebuilt_by_sending_everything_again_and_removing_nothing() {
    let (warehouse, mut customers, sink, project) = delivered(LARGE);
    project.backhaul(&["state", "verify"]).expect(0).says(&["sound", "5,000 rows accepted"]);
    customers.remove(1..=20);
    customers.set_plan([50], "pro");
    customers.publish(&warehouse, Some(&sink));

    let recs = file(&project, ".recs");
    damage(&recs);
    let sent = sink.stats();
    let name = recs.file_name().and_then(|name| name.to_str()).expect("a name");
    project.run().expect(1).says(&[name, "is damaged", "`backhaul state rebuild SYNC`"]).hides(&["@example.com"]);
    let verified = project.backhaul(&["state", "verify"]).expect(1);
    verified.says(&[name, "digest", &format!("backhaul state rebuild {SYNC}")]);
    let json = project.backhaul(&["state", "verify", SYNC, "--output", "json"]).expect(1).json();
    assert_eq!((&json["ok"], &json["syncs"][0]["damage"][0]["file"]), (&false.into(), &recs.to_str().into()));
    assert_eq!(sink.stats(), sent, "nothing was sent");

    let rebuilt = project.backhaul(&REBUILD).expect(0);
    rebuilt.says(&["Every row of the model is sent again", "Nothing is removed", "of the 5,000", ".aside-", "go back"]);
    assert_eq!((aside(&project).len(), sink.stats()), (1, sent));
    project.run().expect(0);
    let again = applied_since(&sink, sent.rows);
    assert_eq!(keys(&again, Change::Put), customers.records().keys().cloned().collect());
    assert_eq!(keys(&again, Change::Delete), [].into());
    let left_over = customers.judge(&sink).left_over;
    assert_eq!(left_over, (1..=20).map(|id: i64| id.to_string()).collect());

    let settled = sink.stats();
    project.run().expect(0);
    assert_eq!(sink.stats(), settled, "nothing is left to send");
    customers.remove([100]);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    let removed = applied_since(&sink, settled.rows);
    assert_eq!((removed.len(), keys(&removed, Change::Delete)), (1, ["100".to_owned()].into()));
    project.backhaul(&["state", "verify"]).expect(0).says(&["sound", "4,979 rows accepted"]);
}

#[test]
fn every_file_of_a_snapshot_is_verified_by_name() {
    let (warehouse, mut customers, sink, project) = delivered(LARGE);
    customers.set_plan(1..=3, "pro");
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    for part in ["MANIFEST", ".recs", ".keys", ".addresses", ".fields", "segment-"] {
        let file = file(&project, part);
        let whole = fs::read(&file).expect("the file");
        damage(&file);
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        project.backhaul(&["state", "verify"]).expect(1).says(&[name]);
        fs::remove_file(&file).expect("removed");
        project.backhaul(&["state", "verify"]).expect(1).says(&[if part == "MANIFEST" {
            "MANIFEST is gone"
        } else {
            name
        }]);
        fs::write(&file, whole).expect("put back");
    }
    project.backhaul(&["state", "verify"]).expect(0).says(&["sound"]);
}

#[test]
fn a_sound_snapshot_is_set_aside_only_when_that_is_confirmed_and_can_be_put_back() {
    let (_warehouse, customers, sink, project) = delivered(100);
    let sent = sink.stats();
    project.backhaul(&REBUILD).expect(5).says(&["is sound", "100 rows accepted", "--full", "--yes"]);
    assert_eq!(aside(&project), Vec::<PathBuf>::new());
    project.backhaul(&[&REBUILD[..], &["--yes"]].concat()).expect(0);
    project.backhaul(&["state", "verify"]).expect(0).says(&["nothing was sent yet"]);
    project.backhaul(&REBUILD).expect(0).says(&["has no snapshot"]);
    let site = site(&project);
    fs::remove_dir_all(&site).expect("removed");
    fs::rename(&aside(&project)[0], &site).expect("put back");
    project.run().expect(0);
    assert_eq!(sink.stats(), sent);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_run_that_can_go_on_is_finished_before_a_rebuild_and_one_that_cannot_is_told() {
    let (warehouse, mut customers, sink, mut project) = delivered(300);
    customers.set_plan(1..=250, "pro");
    customers.publish(&warehouse, Some(&sink));
    end_at(&mut project, "run::in_settle");
    let yes = [&REBUILD[..], &["--yes"]].concat();
    project.backhaul(&yes).expect(5).says(&["can go on", &format!("`backhaul run {SYNC}`")]);

    damage(&file(&project, "segment-"));
    let asked = project.backhaul(&REBUILD).expect(5);
    asked.says(&["has begun to send and is not settled", "250 rows were accepted and 0 are in doubt", "--yes"]);
    let (sent, run) = (sink.stats(), unfinished(&project)[0]["id"].as_str().expect("an id").to_owned());
    let json = project.backhaul(&[&yes[..], &["--output", "json"]].concat()).expect(0).json();
    assert_eq!((&json["begun"][0]["run"], &json["begun"][0]["accepted"]), (&run.as_str().into(), &250.into()));
    // What the run sent is kept with the snapshot.
    assert!(aside(&project)[0].join("runs").join(&run).join("log").exists());

    project.run().expect(0);
    assert_eq!(keys(&applied_since(&sink, sent.rows), Change::Put).len(), 300);
    customers.judge(&sink).assert_converged();
    assert_eq!(unfinished(&project), Vec::<serde_json::Value>::new());
    project.backhaul(&["runs", "show", &run]).expect(0).says(&["failed", "are gone with the snapshot"]);
}

#[test]
fn a_run_that_only_its_log_knows_is_told_before_a_rebuild() {
    let (warehouse, mut customers, sink, mut project) = delivered(300);
    customers.set_plan(1..=250, "pro");
    customers.publish(&warehouse, Some(&sink));
    end_at(&mut project, "run::in_settle");
    let run = unfinished(&project)[0]["id"].as_str().expect("an id").to_owned();
    for lost in ["state.db", "state.db-wal", "state.db-shm"] {
        // What was written back is in the first one alone.
        let _ = fs::remove_file(project.state().join(lost));
    }
    let yes = [&REBUILD[..], &["--yes"]].concat();
    project.backhaul(&yes).expect(5).says(&[&run, "can go on"]);
    damage(&file(&project, "segment-"));
    project.backhaul(&REBUILD).expect(5).says(&[&run, "250 rows were accepted"]);
    project.backhaul(&yes).expect(0).says(&[&run]);
    project.run().expect(0);
    customers.judge(&sink).assert_converged();
}

#[test]
fn a_snapshot_that_is_put_back_is_settled_with_what_its_run_had_sent() {
    let (warehouse, mut customers, sink, mut project) = delivered(300);
    customers.set_plan(1..=250, "pro");
    customers.publish(&warehouse, Some(&sink));
    end_at(&mut project, "run::in_settle");
    let segment = file(&project, "segment-");
    let whole = fs::read(&segment).expect("the file");
    damage(&segment);
    project.backhaul(&[&REBUILD[..], &["--yes"]].concat()).expect(0);
    let sent = sink.stats();
    fs::rename(&aside(&project)[0], site(&project)).expect("put back");
    fs::write(segment, whole).expect("restored");
    project.run().expect(0);
    assert_eq!(sink.stats(), sent, "the run was settled by its log");
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_rebuild_does_not_disturb_a_run_at_work() {
    let (warehouse, mut customers, sink, project) = delivered(1_000);
    customers.set_plan(1..=1_000, "pro");
    customers.publish(&warehouse, Some(&sink));
    sink.hold_after(sink.stats().rows + 100);
    let mut run = project.start(&["run", SYNC]);
    run.wait_for_rows(&sink, 1_100);
    project.backhaul(&[&REBUILD[..], &["--yes"]].concat()).expect(6).says(&["in use"]);
    project.backhaul(&["state", "verify"]).expect(0).says(&["sound"]);
    sink.release();
    run.finish().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_sealed_log_that_is_cut_or_gone_is_told_and_nothing_counts_as_never_sent() {
    let (warehouse, mut customers, sink, mut project) = delivered(300);
    customers.set_plan(1..=250, "pro");
    customers.publish(&warehouse, Some(&sink));
    end_at(&mut project, "run::in_settle");
    let run = unfinished(&project)[0]["id"].as_str().expect("an id").to_owned();
    let log = site(&project).join("runs").join(run).join("log");
    let whole = fs::read(&log).expect("the log");
    let sent = sink.stats();
    fs::write(&log, &whole[..whole.len() - 25]).expect("cut");
    project.run().expect(1).says(&["has lost its end", "`backhaul state rebuild SYNC`"]);
    fs::remove_file(&log).expect("removed");
    project.run().expect(1).says(&["acknowledgement log"]);
    fs::write(&log, &whole).expect("put back");
    project.run().expect(0);
    assert_eq!(sink.stats(), sent);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_refused_row_is_sent_again_after_a_rebuild() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    Customers::new(50).publish(&warehouse, Some(&sink));
    sink.reject(&[7], "REFUSED", "no");
    project.run().expect(3);
    fs::remove_file(file(&project, "MANIFEST")).expect("removed");
    project.backhaul(&REBUILD).expect(0).says(&["1 refused row forgotten", "rows that are no longer in the model"]);
    sink.reject(&[], "", "");
    let sent = sink.stats();
    project.run().expect(0);
    assert_eq!(sink.stats().rows, sent.rows + 50);
    project.backhaul(&["rejects"]).expect(0).says(&["no rows are kept"]);
}
