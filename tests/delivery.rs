//! What a destination does wrong, and what becomes of the rows.

use std::time::Duration;

use serde_json::Value;

use crate::support::customers::Customers;
use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::{Project, SYNC, TOKEN, sync, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

const WORDS: &str = "Email address c7 is invalid, says the sink";

fn project_with(rows: i64, sink: &Sink) -> (Warehouse, Customers, Project) {
    let warehouse = Warehouse::sqlite();
    let project = Project::customers(&warehouse, sink);
    // After a call whose fate is open its rows are left alone for as long as a call may take.
    project.edit("backhaul.toml", "type = \"http\"", "type = \"http\"\ntimeouts = { total = \"2s\" }");
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(sink));
    (warehouse, customers, project)
}

fn rejects(project: &Project) -> Vec<Value> {
    let listing = project.backhaul(&["rejects", "list", SYNC, "--output", "json"]).expect(0).json();
    listing["rejects"].as_array().expect("a list of rejects").clone()
}

#[test]
fn server_errors_and_then_retry_after_lose_no_row_and_send_none_again() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = project_with(2_000, &sink);
    project.edit("backhaul.toml", "type = \"http\"", "type = \"http\"\nconcurrency = 1");
    sink.answer(500, 2);
    sink.throttle(Duration::from_secs(2));
    project.run().expect(0);

    customers.judge(&sink).assert_exact();
    let calls = sink.calls();
    let throttled = calls.iter().position(|call| call.status == Some(429)).expect("an answer 429");
    let waited = calls[throttled + 1].arrived_ms - calls[throttled].answered_ms.expect("an answer");
    assert!(waited >= 2_000, "the next call came after {waited} ms");
    let refused = calls.iter().filter(|call| call.status == Some(500)).count();
    assert_eq!((refused, calls.len()), (2, 20 + 3));
}

#[test]
fn rows_that_the_destination_refuses_are_kept_and_come_again_alone_with_fresh_values() {
    let sink = Sink::start();
    let (warehouse, mut customers, project) = project_with(1_000, &sink);
    project.write(&sync_file(), &sync("customers", 1_000));
    sink.reject(&[7, 500, 999], "INVALID_EMAIL", WORDS);
    project.run().expect(3);
    assert_eq!((sink.stats().rows, sink.stats().rejected), (997, 3));
    let codes: Vec<Value> = rejects(&project).iter().map(|reject| reject["code"].clone()).collect();
    assert_eq!(codes, ["INVALID_EMAIL"; 3]);
    project.backhaul(&["rejects", "show", SYNC, "500", "--reveal"]).expect(0).says(&[WORDS]);

    customers.set_plan([7, 500, 999], "repaired");
    customers.publish(&warehouse, Some(&sink));
    sink.reject(&[], "", "");
    project.run().expect(0);
    let again = applied_since(&sink, 997);
    assert_eq!(keys(&again, Change::Put), ["7", "500", "999"].map(str::to_owned).into());
    assert_eq!(again.len(), 3);
    customers.judge(&sink).assert_exact();
    assert_eq!(rejects(&project), Vec::<Value>::new());
}

#[test]
fn a_refused_row_that_did_not_change_is_tried_again_by_the_next_run() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = project_with(300, &sink);
    sink.reject(&[7], "INVALID_EMAIL", WORDS);
    project.run().expect(3);
    project.run().expect(3);
    sink.reject(&[], "", "");
    project.run().expect(0);
    assert_eq!((sink.stats().rows, sink.stats().rejected), (300, 2));
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_destination_that_stays_down_defers_its_rows_to_the_next_run() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = project_with(100, &sink);
    sink.answer(503, 1_000);
    project.run().expect(75);
    assert_eq!(sink.stats().rows, 0);
    let calls = sink.stats().calls;
    assert!(calls < 1_000, "{calls} calls");
    // The answers that are still in store are used up by calls of our own.
    for _ in calls..1_000 {
        sink.request("POST", "/rows", &format!("authorization: Bearer {TOKEN}\r\n"), "[]").expect("an answer");
    }
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_lost_answer_leaves_every_row_where_the_model_has_it() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = project_with(2_000, &sink);
    sink.lose_answers(3, 2);
    project.run().expect(0);
    let judgement = customers.judge(&sink);
    judgement.assert_converged();
    assert!(judgement.sent_again <= 200, "{}", judgement.sent_again);
}

#[test]
fn a_change_whose_answer_was_lost_does_not_survive_its_being_taken_back() {
    let sink = Sink::start();
    let (warehouse, mut customers, project) = project_with(100, &sink);
    project.run().expect(0);

    customers.set_plan([5], "B");
    customers.publish(&warehouse, Some(&sink));
    sink.lose_answers(0, 1_000);
    let run = project.run();
    assert_ne!(run.code, Some(0), "a run cannot succeed without an answer");
    assert_eq!(applied_since(&sink, 100).last().and_then(|row| row.body.clone()).expect("B")["plan"], "B");

    customers.set_plan([5], "free");
    customers.publish(&warehouse, Some(&sink));
    sink.lose_answers(0, 0);
    project.run().expect(0);
    customers.judge(&sink).assert_converged();
}

#[test]
fn a_removal_whose_answer_was_lost_is_undone_when_the_row_comes_back() {
    let sink = Sink::start();
    let (warehouse, mut customers, project) = project_with(100, &sink);
    project.run().expect(0);

    customers.remove([5]);
    customers.publish(&warehouse, Some(&sink));
    sink.lose_answers(0, 1_000);
    assert_ne!(project.run().code, Some(0), "a run cannot succeed without an answer");
    assert!(sink.stats().deletes > 0);

    customers.add([5]);
    customers.publish(&warehouse, Some(&sink));
    sink.lose_answers(0, 0);
    project.run().expect(0);
    customers.judge(&sink).assert_converged();
}

#[test]
fn an_addition_whose_answer_was_lost_is_removed_when_the_row_leaves() {
    let sink = Sink::start();
    let (warehouse, mut customers, project) = project_with(100, &sink);
    project.run().expect(0);

    customers.add([101]);
    customers.publish(&warehouse, Some(&sink));
    sink.lose_answers(0, 1_000);
    assert_ne!(project.run().code, Some(0), "a run cannot succeed without an answer");

    customers.remove([101]);
    customers.publish(&warehouse, Some(&sink));
    sink.lose_answers(0, 0);
    project.run().expect(0);
    customers.judge(&sink).assert_converged();
}
