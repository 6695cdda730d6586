//! `kill -9` in mid-delivery: the journal of the sink and the model agree after the next run.

pub(crate) mod failpoints;
mod kind;
mod matrix;
mod world;

use std::time::Duration;

use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC};
use crate::support::sink_process::Sink;
use crate::support::warehouse::{Warehouse, on_each_warehouse};

const ROWS: i64 = 20_000;
/// Calls that the project has in flight.
const IN_FLIGHT: u64 = 4;

on_each_warehouse!(a_killed_run_is_finished_by_the_next_one, a_run_that_is_killed_again_and_again_gets_there,);

/// Kills a run once the sink has applied `rows` rows in all. The answers of the calls in flight then are lost.
fn kill_after(project: &Project, sink: &Sink, rows: u64) {
    sink.hold_after(rows);
    let mut run = project.start(&["run", SYNC]);
    run.wait_for_rows(sink, rows);
    // Far longer than acknowledgements may wait to be made durable.
    std::thread::sleep(Duration::from_secs(1));
    run.kill();
    sink.release();
}

fn a_killed_run_is_finished_by_the_next_one(warehouse: &Warehouse) {
    let sink = Sink::start();
    let project = Project::customers(warehouse, &sink);
    let mut customers = Customers::new(ROWS);
    customers.publish(warehouse, Some(&sink));
    kill_after(&project, &sink, 8_000);
    project.run().expect(0);

    let judgement = customers.judge(&sink);
    judgement.assert_converged();
    let sent_again = judgement.sent_again;
    assert!((1..=IN_FLIGHT * 100).contains(&sent_again), "{sent_again} rows were sent again");
    let settled = sink.stats();
    project.run().expect(0);
    assert_eq!(sink.stats(), settled);
}

fn a_run_that_is_killed_again_and_again_gets_there(warehouse: &Warehouse) {
    let sink = Sink::start();
    let project = Project::customers(warehouse, &sink);
    let mut customers = Customers::new(ROWS);
    customers.publish(warehouse, Some(&sink));
    let kills = [100, 5_000, 12_000];
    for rows in kills {
        kill_after(&project, &sink, rows);
    }
    project.run().expect(0);
    let judgement = customers.judge(&sink);
    judgement.assert_converged();
    assert!(judgement.sent_again <= kills.len() as u64 * IN_FLIGHT * 100, "{}", judgement.sent_again);
}

#[test]
fn a_change_sent_before_the_kill_does_not_survive_its_being_taken_back() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(1_000);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);

    customers.set_plan(1..=500, "B");
    customers.remove(501..=520);
    customers.publish(&warehouse, Some(&sink));
    kill_after(&project, &sink, 1_200);

    customers.set_plan(1..=500, "free");
    customers.add(501..=520);
    customers.publish(&warehouse, Some(&sink));
    // It goes on from the interrupted plan, and then looks at the model again.
    project.run().expect(0);
    customers.judge(&sink).assert_converged();
}

#[test]
fn a_run_that_is_killed_while_it_scans_leaves_nothing_half_done() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(ROWS);
    customers.publish(&warehouse, Some(&sink));
    for wait in [1, 5, 20, 60] {
        sink.hold_after(0);
        let run = project.start(&["run", SYNC]);
        std::thread::sleep(Duration::from_millis(wait));
        run.kill();
        sink.release();
    }
    project.run().expect(0);
    customers.judge(&sink).assert_converged();
}

#[test]
fn a_run_that_a_lost_state_does_not_know_is_taken_up_again() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(1_000);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);

    customers.set_plan(1..=500, "B");
    customers.publish(&warehouse, Some(&sink));
    kill_after(&project, &sink, 1_200);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        let path = project.state().join(file);
        if path.exists() {
            std::fs::remove_file(path).expect("the state is lost");
        }
    }

    // What the interrupted run sent is in doubt until its log is read: taking it back must reach the sink.
    customers.set_plan(1..=500, "free");
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    customers.judge(&sink).assert_converged();
}
