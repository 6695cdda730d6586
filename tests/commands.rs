//! What the commands do besides a plain run.

use crate::support::customers::Customers;
use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::{Project, SYNC, TOKEN};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

fn project_with(rows: i64) -> (Warehouse, Customers, Sink, Project) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::with(&["--token", TOKEN]));
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(&sink));
    (warehouse, customers, sink, project)
}

#[test]
fn a_plan_sends_nothing_and_tells_its_changes_by_the_exit_code_when_asked() {
    let (warehouse, mut customers, sink, project) = project_with(100);
    project.backhaul(&["plan", SYNC]).expect(0).says(&["100"]);
    project.backhaul(&["plan", SYNC, "--detailed-exitcode"]).expect(2);
    assert_eq!(sink.stats().rows, 0);
    project.run().expect(0);
    project.backhaul(&["plan", SYNC, "--detailed-exitcode"]).expect(0);

    customers.set_plan(1..=7, "pro");
    customers.publish(&warehouse, Some(&sink));
    project.backhaul(&["plan", SYNC, "--detailed-exitcode"]).expect(2).says(&["7"]).hides(&["c1@example.com"]);
    assert_eq!(sink.stats().rows, 100);
    project.run().expect(0);
    assert_eq!(sink.stats().rows, 107);
}

#[test]
fn the_request_of_a_key_is_shown_as_it_would_be_sent_without_the_secret() {
    let (_warehouse, _customers, sink, project) = project_with(100);
    let shown = project.backhaul(&["plan", SYNC, "--request", "19"]).expect(0);
    shown.says(&["POST", "/rows", "c19@example.com", "客户 19"]).hides(&[TOKEN, "c18@example.com"]);
    assert_eq!(sink.stats().rows, 0);
}

#[test]
fn a_run_of_some_keys_sends_these_only() {
    let (_warehouse, customers, sink, project) = project_with(100);
    project.backhaul(&["run", SYNC, "--only", "17"]).expect(0);
    assert_eq!(keys(&applied_since(&sink, 0), Change::Put), ["17".to_owned()].into());
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_run_of_so_many_rows_leaves_the_rest_to_the_next() {
    let (_warehouse, customers, sink, project) = project_with(1_000);
    project.backhaul(&["run", SYNC, "--max-rows", "50"]).expect(0);
    assert_eq!(sink.stats().rows, 50);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn an_interrupted_run_finishes_what_is_in_flight_and_sends_nothing_again() {
    let (_warehouse, customers, sink, project) = project_with(5_000);
    sink.hold_after(1_000);
    let mut run = project.start(&["run", SYNC]);
    run.wait_for_rows(&sink, 1_000);
    run.interrupt();
    sink.release();
    run.finish().expect(130);
    assert!(sink.stats().rows < 5_000, "the run went on to its end");
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_second_run_on_the_same_account_waits_or_says_that_it_may_not() {
    let (_warehouse, customers, sink, project) = project_with(1_000);
    sink.hold_after(100);
    let mut first = project.start(&["run", SYNC]);
    first.wait_for_rows(&sink, 100);
    project.backhaul(&["run", SYNC, "--no-wait"]).expect(6);
    let mut second = project.start(&["run", SYNC]);
    second.wait_for_word("waiting for the account");
    // Commands that only read are never locked out.
    project.backhaul(&["status"]).expect(0);
    assert!(second.is_running());
    sink.release();
    first.finish().expect(0);
    second.finish().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn runs_and_status_are_there_for_programs() {
    let (_warehouse, _customers, _sink, project) = project_with(10);
    project.run().expect(0);
    for command in [["ls"].as_slice(), &["status"], &["runs"], &["validate", "--offline"], &["rejects", "list", SYNC]] {
        let json = project.backhaul(&[command, &["--output", "json"]].concat()).expect(0).json();
        assert!(json.get("version").is_some(), "`{}` has no version: {json}", command.join(" "));
    }
}

#[test]
fn state_holds_no_persons_data_in_plain_text() {
    let (_warehouse, _customers, sink, project) = project_with(500);
    sink.reject(&[8], "INVALID_EMAIL", "no");
    project.run().expect(3);
    let mut files = 0;
    let mut folders = vec![project.state()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            if entry.path().is_dir() {
                folders.push(entry.path());
                continue;
            }
            files += 1;
            let bytes = std::fs::read(entry.path()).expect("a file");
            let plain = bytes.windows(12).any(|window| window == b"@example.com");
            assert!(!plain, "{} holds an e-mail address", entry.path().display());
        }
    }
    assert!(files > 0, "no state in {}", project.state().display());
}
