//! Rows of which nobody knows what became: `on_unknown`, and jobs that outlive the program.

use serde_json::Value;

use crate::support::customers::Customers;
use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::{Project, SYNC, sync, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// Calls that must not be made again: without an idempotency key, on rows that are appended.
fn appending(rows: i64, sink: &Sink) -> (Warehouse, Customers, Project) {
    let warehouse = Warehouse::sqlite();
    let project = Project::customers(&warehouse, sink);
    project.edit("backhaul.toml", "type = \"http\"", "type = \"http\"\nconcurrency = 1\ntimeouts = { total = \"2s\" }");
    project.write(&sync_file(), &sync("customers", 10));
    project.edit(&sync_file(), "idempotency = { header = \"Idempotency-Key\" }\n", "");
    project.edit(&sync_file(), "mode = \"upsert\"", "mode = \"append\"");
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(sink));
    (warehouse, customers, project)
}

fn in_doubt(project: &Project) -> Vec<Value> {
    let listing = project.backhaul(&["rejects", "list", SYNC, "--reveal", "--output", "json"]).expect(0).json();
    let rejects = listing["rejects"].as_array().expect("a list").iter();
    rejects.filter(|reject| reject["class"] == "in_doubt").cloned().collect()
}

#[test]
fn rows_in_doubt_are_held_and_listed_until_somebody_decides() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = appending(50, &sink);
    // The second call is applied and its answer lost.
    sink.lose_answers(1, 1);
    project.run().expect(75);
    assert_eq!(sink.stats().rows, 50, "the other rows went out");
    let doubtful = in_doubt(&project);
    assert_eq!(doubtful.len(), 10);

    project.run().expect(75).says(&["in doubt"]);
    assert_eq!(sink.stats().rows, 50, "nothing was sent again");
    assert_eq!(in_doubt(&project).len(), 10);

    project.backhaul(&["rejects", "resolve", SYNC, "--all", "--as", "written"]).expect(0);
    project.run().expect(0);
    assert_eq!(in_doubt(&project), Vec::<Value>::new());
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn what_is_decided_of_rows_in_doubt_is_done_by_the_next_run() {
    let sink = Sink::start();
    let (warehouse, mut customers, project) = appending(20, &sink);
    sink.lose_answers(0, 2);
    project.run().expect(75);
    assert_eq!(in_doubt(&project).len(), 20);

    // One is to be sent again, one is not there, one was written and has changed since.
    let name = |n: usize| in_doubt(&project)[n]["key"].as_str().expect("a key").to_owned();
    let (again, absent, changed) = (name(0), name(1), name(2));
    for (key, fate) in [(&again, "resend"), (&absent, "absent"), (&changed, "written")] {
        project.backhaul(&["rejects", "resolve", SYNC, key, "--as", fate]).expect(0);
    }
    customers.set_plan([changed.parse().expect("a number")], "pro");
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(75);
    let sent = keys(&applied_since(&sink, 20), Change::Put);
    assert_eq!(sent, [again, absent, changed].into());
    assert_eq!(in_doubt(&project).len(), 17);

    project.backhaul(&["rejects", "resolve", SYNC, "--all", "--as", "written"]).expect(0);
    project.run().expect(0);
    assert_eq!(sink.stats().rows, 23);
    customers.judge(&sink).assert_converged();
}

#[test]
fn a_row_in_doubt_that_left_the_model_is_removed_where_removing_twice_does_no_harm() {
    let sink = Sink::start();
    let (warehouse, mut customers, project) = appending(20, &sink);
    project.run().expect(0);
    customers.add([21]);
    customers.publish(&warehouse, Some(&sink));
    sink.lose_answers(0, 1);
    project.run().expect(75);

    customers.remove([21]);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_eq!(in_doubt(&project), Vec::<Value>::new());
}

#[test]
fn an_api_that_can_be_asked_settles_what_is_in_doubt() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = appending(50, &sink);
    project.append(&sync_file(), "\n[into.read_back]\nurl = \"/rows/{{ key }}\"\n");
    sink.lose_answers(1, 1);
    project.run().expect(0);
    assert_eq!(in_doubt(&project), Vec::<Value>::new());
    customers.judge(&sink).assert_exact();

    // What is not there is sent.
    let sink = Sink::start();
    let (_warehouse, customers, project) = appending(10, &sink);
    project.append(&sync_file(), "\n[into.read_back]\nurl = \"/rows/none-{{ key }}\"\n");
    sink.lose_answers(0, 1);
    project.run().expect(0);
    assert_eq!(customers.judge(&sink).sent_again, 10);
}

#[test]
fn a_crash_leaves_rows_in_doubt_that_the_next_run_reads_back() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = appending(50, &sink);
    project.append(&sync_file(), "\n[into.read_back]\nurl = \"/rows/{{ key }}\"\n");
    sink.hold_after(25);
    let mut run = project.start(&["run", SYNC]);
    run.wait_for_rows(&sink, 30);
    run.kill();
    sink.release();
    project.run().expect(0);
    assert_eq!(in_doubt(&project), Vec::<Value>::new());
    customers.judge(&sink).assert_exact();
}

#[test]
fn an_idempotency_key_lets_a_lost_call_create_its_rows_once() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = appending(50, &sink);
    project.edit(
        &sync_file(),
        "batch_size = 10\n",
        "batch_size = 10\nidempotency = { header = \"Idempotency-Key\" }\n",
    );
    sink.dedupe();
    sink.lose_answers(1, 2);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    let mut keys: Vec<_> = applied_since(&sink, 0).into_iter().map(|row| row.idempotency_key).collect();
    keys.dedup();
    assert_eq!(keys.len(), 5);
}

/// A sync whose calls become jobs.
fn with_jobs(rows: i64, sink: &Sink) -> (Warehouse, Customers, Project) {
    let (warehouse, customers, project) = appending(rows, sink);
    let evidence = "evidence = \"job\", job = { id = \"job\", url = \"/jobs/{{ job }}\", every = \"100ms\", \
                    done = { field = \"status\", value = \"completed\" } }";
    project.edit(&sync_file(), "evidence = \"row\"", evidence);
    project.edit(&sync_file(), "url = \"/rows\"", "url = \"/jobs\"");
    (warehouse, customers, project)
}

#[test]
fn a_job_is_asked_after_until_it_is_done() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = with_jobs(50, &sink);
    sink.job_polls(2);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    project.run().expect(0);
    assert_eq!(sink.stats().calls, 5, "five jobs were created");
}

#[test]
fn a_job_outlives_the_program_and_is_not_created_again() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = with_jobs(50, &sink);
    sink.job_polls(1_000_000);
    let mut run = project.start(&["run", SYNC]);
    run.wait_for_calls(&sink, 1);
    // Far longer than a ticket may wait to be made durable.
    std::thread::sleep(std::time::Duration::from_secs(1));
    run.kill();
    assert_eq!((sink.stats().calls, sink.stats().rows), (1, 0));

    // The job of the first process is done when it is asked the next time.
    sink.finish_jobs();
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_eq!(sink.stats().calls, 5, "no job was created twice");
}

#[test]
fn a_job_that_is_running_when_the_program_is_stopped_goes_on_with_the_next_run() {
    let sink = Sink::start();
    let (_warehouse, customers, project) = with_jobs(20, &sink);
    sink.job_polls(1_000_000);
    let mut run = project.start(&["run", SYNC]);
    run.wait_for_calls(&sink, 1);
    std::thread::sleep(std::time::Duration::from_secs(1));
    run.interrupt();
    run.finish().expect(130);
    sink.finish_jobs();
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_eq!(sink.stats().calls, 2);
}

#[test]
fn the_rows_of_a_forgotten_job_are_in_doubt() {
    let sink = Sink::start();
    let (_warehouse, _customers, project) = with_jobs(10, &sink);
    sink.forget_jobs();
    project.run().expect(75);
    assert_eq!(in_doubt(&project).len(), 10);
    assert_eq!(sink.stats().rows, 0);
}
