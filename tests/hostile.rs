//! A hostile world: ended at every failpoint, interrupted, beside itself, with a mapping that changed meanwhile and
//! damaged files. What is left is never half done, and the next run brings the sink to the model.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::customers::Customers;
use crate::support::program::Running;
use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// Where a run can end: every failpoint that a sync with its snapshot in files comes by, in that order (those of a
/// snapshot in the warehouse: `in_warehouse`).
const FAILPOINTS: [&str; 29] = [
    "run::before_scan",
    "run::in_scan",
    "plan::before_rename",
    "run::before_deliver",
    "run::in_deliver",
    "deliver::before_dispatch",
    "deliver::after_mark",
    "deliver::before_send",
    "deliver::after_send",
    "deliver::after_ack",
    "deliver::before_seal",
    "run::before_record",
    "run::in_record",
    "run::before_settle",
    "run::in_settle",
    "settle::gathered",
    "settle::written",
    "manifest::before_rename",
    "manifest::after_rename",
    "settle::committed",
    "run::before_report",
    "run::in_report",
    "report::cleared",
    "run::before_done",
    "run::in_done",
    "run::before_held",
    "run::in_held",
    "approve::written",
    "approve::used",
];
/// Of these, the ones that only a held run comes by.
const HELD: usize = 4;

/// A model that never ends.
const ENDLESS: &str = "with recursive n (i) as (select 1 union all select i + 1 from n)
    select cast(i as bigint) as id, 'e' as email, 'n' as name, 'p' as plan from n";

fn delivered(rows: i64) -> (Warehouse, Customers, Sink, Project) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    (warehouse, customers, sink, project)
}

/// Ends the program at a failpoint, as `kill -9` would.
fn end_at(project: &mut Project, failpoint: &str, arguments: &[&str]) {
    project.set_variable("FAILPOINTS", &format!("{failpoint}=return"));
    let ended = project.backhaul(arguments);
    assert_eq!(ended.code, None, "{failpoint} is not come by:\n{}{}", ended.stdout, ended.stderr);
    project.set_variable("FAILPOINTS", "");
}

fn runs(project: &Project) -> Vec<serde_json::Value> {
    let listed = project.backhaul(&["runs", "--output", "json"]).expect(0).json();
    listed["runs"].as_array().expect("a list of runs").clone()
}

fn run_folders(project: &Project) -> Vec<PathBuf> {
    let folders = fs::read_dir(project.state().join("syncs").join(SYNC).join("runs"));
    folders.map_or_else(|_| Vec::new(), |folders| folders.map(|folder| folder.expect("a folder").path()).collect())
}

/// No run is unfinished, none has left a file, and nothing is left to send.
#[track_caller]
fn assert_at_rest(project: &Project, sink: &Sink) {
    let settled = sink.stats();
    project.run().expect(0);
    assert_eq!(sink.stats(), settled, "something was left to send");
    let unfinished: Vec<_> = runs(project).into_iter().filter(|run| run["terminal"] != true).collect();
    assert!(unfinished.is_empty(), "{unfinished:?}");
    assert_eq!(run_folders(project), Vec::<PathBuf>::new());
}

fn wait_for(what: &str, mut there: impl FnMut() -> bool) {
    let start = tokio::time::Instant::now();
    while !there() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what} did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a plan is being written.
fn wait_for_scan(project: &Project) {
    wait_for("a plan", || run_folders(project).iter().any(|folder| folder.join("plan.partial").exists()));
}

/// A project whose scan does not end by itself.
fn endless() -> (Warehouse, Customers, Sink, Project) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(100);
    customers.publish(&warehouse, Some(&sink));
    project.write("models/customers.toml", &model(ENDLESS, "id"));
    (warehouse, customers, sink, project)
}

fn make_finite(project: &Project) {
    project.write("models/customers.toml", &model("select * from customers", "id"));
}

/// Kills a run that has calls in flight, once the sink has applied `rows` more rows.
fn kill_after(project: &Project, sink: &Sink, rows: u64) {
    let rows = sink.stats().rows + rows;
    sink.hold_after(rows);
    let mut run = project.start(&["run", SYNC]);
    run.wait_for_rows(sink, rows);
    run.kill();
    sink.release();
}

#[test]
fn a_run_that_ends_at_any_failpoint_is_brought_to_its_end() {
    let (warehouse, mut customers, sink, mut project) = delivered(1_000);
    for (round, failpoint) in (0i64..).zip(&FAILPOINTS[..FAILPOINTS.len() - HELD]) {
        let plan = format!("plan {round}");
        customers.set_plan(500..=800, &plan);
        customers.add([10_000 + round]);
        customers.remove([round + 1]);
        customers.publish(&warehouse, Some(&sink));
        if *failpoint == "deliver::after_ack" {
            // Some calls are answered and others are not: the answers are made durable meanwhile.
            sink.hold_after(sink.stats().rows + 300);
        }
        end_at(&mut project, failpoint, &["run", SYNC]);
        sink.release();
        project.run().expect(0);
        customers.judge(&sink).assert_converged();
        assert_at_rest(&project, &sink);
    }
}

#[test]
fn a_held_run_that_ends_at_any_failpoint_is_still_approved_and_sent_once() {
    let (warehouse, mut customers, sink, mut project) = delivered(300);
    for (round, failpoint) in (0i64..).zip(&FAILPOINTS[FAILPOINTS.len() - HELD..]) {
        let ids: Vec<i64> = customers.rows.keys().copied().collect();
        customers.remove(ids);
        customers.publish(&warehouse, Some(&sink));
        if failpoint.starts_with("run::") {
            end_at(&mut project, failpoint, &["run", SYNC]);
        }
        project.run().expect(5);
        let held = runs(&project).remove(0);
        let (run, hash) = (held["id"].as_str().expect("an id"), held["plan_hash"].as_str().expect("a hash"));
        let approve = ["approve", run, "--plan-hash", hash];
        if failpoint.starts_with("approve::") {
            end_at(&mut project, failpoint, &approve);
        }
        let before = sink.stats().deletes;
        project.backhaul(&approve).expect(0);
        assert_eq!(sink.stats().deletes - before, 300);
        assert_at_rest(&project, &sink);

        customers.add(round * 1_000..round * 1_000 + 300);
        customers.publish(&warehouse, Some(&sink));
        project.run().expect(0);
        customers.judge(&sink).assert_exact();
    }
}

#[test]
fn an_interrupted_scan_stops_and_leaves_nothing() {
    let (_warehouse, customers, sink, project) = endless();
    for command in ["run", "plan"] {
        let running = project.start(&[command, SYNC]);
        wait_for_scan(&project);
        running.interrupt();
        running.finish().expect(130);
        assert_eq!(run_folders(&project), Vec::<PathBuf>::new(), "after {command}");
    }
    assert_eq!(runs(&project).into_iter().map(|run| run["status"].clone()).collect::<Vec<_>>(), ["cancelled"]);
    make_finite(&project);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_at_rest(&project, &sink);
}

#[test]
fn a_warehouse_that_breaks_off_a_scan_leaves_nothing_and_costs_nothing() {
    let Some(warehouse) = Warehouse::postgres() else { return };
    let sink = Sink::start();
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(100);
    customers.publish(&warehouse, Some(&sink));
    let long = "select generate_series(1, 1000000000)::bigint as id, 'e' as email, 'n' as name, 'p' as plan";
    project.write("models/customers.toml", &model(long, "id"));

    let run = project.start(&["run", SYNC]);
    wait_for_scan(&project);
    warehouse.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and pid <> pg_backend_pid()",
    );
    run.finish().expect(75);
    assert_eq!(run_folders(&project), Vec::<PathBuf>::new());

    let run = project.start(&["run", SYNC]);
    wait_for_scan(&project);
    run.interrupt();
    run.finish().expect(130);
    assert_eq!(run_folders(&project), Vec::<PathBuf>::new());

    make_finite(&project);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_at_rest(&project, &sink);
}

#[test]
fn a_renamed_sync_goes_on_where_it_was() {
    let (warehouse, mut customers, sink, project) = delivered(100);
    let file = fs::read_to_string(project.path(&sync_file())).expect("the sync's file");
    fs::remove_file(project.path(&sync_file())).expect("removed");
    project.write("syncs/people.toml", &format!("previously = [\"{SYNC}\"]\n{file}"));
    customers.set_plan([7], "pro");
    customers.publish(&warehouse, Some(&sink));
    project.backhaul(&["run", "people"]).expect(0);
    assert_eq!(sink.stats().rows, 101);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_scheduled_scan_that_a_restart_interrupts_is_made_again_at_once() {
    let (_warehouse, customers, sink, project) = endless();
    project.edit(&sync_file(), "destination = \"api\"\n", "destination = \"api\"\nschedule = { every = \"24h\" }\n");
    let serving = project.start(&["serve"]);
    wait_for_scan(&project);
    serving.interrupt();
    serving.finish().expect(130);

    make_finite(&project);
    let mut serving = project.start(&["serve"]);
    serving.wait_for_rows(&sink, 100);
    serving.interrupt();
    serving.finish().expect(130);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_at_rest(&project, &sink);
}

#[test]
fn waiting_for_the_account_ends_with_ctrl_c() {
    let (warehouse, mut customers, sink, project) = delivered(100);
    customers.set_plan(1..=100, "pro");
    customers.publish(&warehouse, Some(&sink));
    sink.hold_after(0);
    let mut first = project.start(&["run", SYNC]);
    first.wait_for_rows(&sink, 200);
    let mut waiting = project.start(&["run", SYNC]);
    waiting.wait_for_word("waiting for the account");
    project.backhaul(&["run", SYNC, "--no-wait"]).expect(6);
    waiting.interrupt();
    waiting.finish().expect(130);
    assert!(first.is_running());
    sink.release();
    first.finish().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn rows_of_an_interrupted_run_are_not_sent_by_a_mapping_that_changed_since() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(2_000);
    customers.publish(&warehouse, Some(&sink));
    kill_after(&project, &sink, 600);
    // The same record, but its values stand in other places.
    project.edit(&sync_file(), "\"id\", \"email\", \"name\", \"plan\"", "\"plan\", \"name\", \"id\", \"email\"");
    project.append(&sync_file(), "\n[guards]\non_remap = \"full\"\n");
    // What was in flight is in doubt, and goes out by the new mapping.
    project.run().expect(75);
    customers.judge(&sink).assert_converged();
    assert_at_rest(&project, &sink);
}

#[test]
fn first_runs_at_the_same_moment_send_every_row_once() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(1_000);
    customers.publish(&warehouse, Some(&sink));
    let started: Vec<Running> = (0..4).map(|_| project.start(&["run", SYNC])).collect();
    for run in started {
        run.finish().expect(0);
    }
    customers.judge(&sink).assert_exact();
    assert_at_rest(&project, &sink);
}

#[test]
fn a_plan_is_readable_while_runs_replace_the_snapshot() {
    let (warehouse, mut customers, sink, project) = delivered(500);
    std::thread::scope(|scope| {
        let looking = scope.spawn(|| {
            for _ in 0..60 {
                project.backhaul(&["plan", SYNC]).expect(0);
            }
        });
        let mut round = 0;
        while !looking.is_finished() {
            round += 1;
            customers.set_plan(1..=500, &format!("plan {round}"));
            customers.publish(&warehouse, Some(&sink));
            project.run().expect(0);
        }
    });
    customers.judge(&sink).assert_exact();
    assert_at_rest(&project, &sink);
}

#[test]
fn a_killed_preview_is_cleared_away_by_the_next_run() {
    let (_warehouse, customers, sink, project) = endless();
    let plan = project.start(&["plan", SYNC]);
    wait_for_scan(&project);
    plan.kill();
    assert_eq!(run_folders(&project).len(), 1);
    make_finite(&project);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_eq!(run_folders(&project), Vec::<PathBuf>::new());
}

#[test]
fn a_held_plan_that_is_damaged_is_not_sent_in_part() {
    let (warehouse, mut customers, sink, project) = delivered(300);
    let first = sink.stats();
    customers.remove(1..=300);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5);
    let held = runs(&project).remove(0);
    let (run, hash) = (held["id"].as_str().expect("an id"), held["plan_hash"].as_str().expect("a hash"));
    damage(&run_folders(&project).remove(0).join("plan"));
    project.backhaul(&["approve", run, "--plan-hash", hash]).expect(1).says(&["damaged"]);
    assert_eq!(sink.stats(), first);
    project.backhaul(&["discard", run]).expect(0);
    project.run().expect(5);
    assert_eq!(sink.stats(), first);
}

/// Turns a byte in the middle of a file.
fn damage(file: &Path) {
    let mut bytes = fs::read(file).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0xff;
    fs::write(file, bytes).expect("written");
}

#[test]
fn a_plan_that_is_damaged_before_anything_was_sent_is_made_again() {
    let (warehouse, mut customers, sink, mut project) = delivered(300);
    customers.set_plan(1..=300, "pro");
    customers.publish(&warehouse, Some(&sink));
    end_at(&mut project, "run::in_deliver", &["run", SYNC]);
    damage(&run_folders(&project).remove(0).join("plan"));
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_at_rest(&project, &sink);
}

#[test]
fn a_plan_that_is_lost_in_mid_delivery_is_told_with_the_way_out() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(1_000);
    customers.publish(&warehouse, Some(&sink));
    kill_after(&project, &sink, 600);
    damage_end(&run_folders(&project).remove(0).join("plan"));
    let sent = sink.stats();
    let rebuild = ["state", "rebuild", SYNC, "--yes"];
    for _ in 0..2 {
        project.run().expect(1).says(&["had begun to send", &format!("`backhaul state rebuild {SYNC}`")]);
        let asked = project.backhaul(&rebuild[..3]).expect(5);
        asked.says(&["has begun to send and is not settled", "rows were accepted", "in doubt", "--yes"]);
    }
    assert_eq!(sink.stats(), sent);
    project.backhaul(&rebuild).expect(0).says(&["had begun to send"]);
    assert_eq!(sink.stats(), sent);
    project.run().expect(0);
    customers.judge(&sink).assert_converged();
    assert_at_rest(&project, &sink);
}

/// Cuts a file's end off.
fn damage_end(file: &Path) {
    let file = fs::OpenOptions::new().write(true).open(file).expect("the file");
    file.set_len(file.metadata().expect("its length").len() / 2).expect("cut");
}

#[test]
fn a_snapshot_without_its_manifest_is_not_begun_anew() {
    let (_warehouse, customers, sink, project) = delivered(100);
    let manifest = project.state().join("syncs").join(SYNC).join("MANIFEST");
    let away = manifest.with_extension("away");
    fs::rename(&manifest, &away).expect("moved");
    project.run().expect(1).says(&["MANIFEST"]);
    fs::rename(&away, &manifest).expect("moved back");
    assert_at_rest(&project, &sink);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_reject_goes_when_its_row_is_no_longer_to_be_sent() {
    let (warehouse, mut customers, sink, project) = delivered(50);
    let rejects = || project.backhaul(&["rejects", "list", SYNC]).expect(0).stdout;
    sink.reject(&[1, 2, 60], "REFUSED", "no");
    customers.set_plan([1], "pro");
    customers.remove([2]);
    customers.add([60]);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(3);
    assert_eq!(rejects().matches("next run").count(), 3, "{}", rejects());

    // One is as it was, one is back, one is gone: the sink has the model without another call.
    customers.set_plan([1], "free");
    customers.add([2]);
    customers.remove([60]);
    customers.publish(&warehouse, Some(&sink));
    // A run for one key says nothing of the others.
    project.backhaul(&["run", SYNC, "--only", "7"]).expect(0);
    assert_eq!(rejects().matches("next run").count(), 3, "{}", rejects());
    project.run().expect(0);
    assert!(rejects().contains("no rows are kept"), "{}", rejects());
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_removal_that_is_refused_again_and_again_waits_like_a_row() {
    let (warehouse, mut customers, sink, project) = delivered(50);
    sink.reject(&[2], "REFUSED", "no");
    customers.remove([2]);
    customers.publish(&warehouse, Some(&sink));
    for _ in 0..4 {
        project.run().expect(3);
    }
    let calls = sink.stats().calls;
    project.run().expect(0).says(&["1 withheld"]);
    assert_eq!(sink.stats().calls, calls);
    assert!(project.backhaul(&["rejects", "list", SYNC]).expect(0).stdout.contains("REFUSED"));
}
