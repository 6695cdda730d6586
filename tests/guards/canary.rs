//! Rows that go first.

use super::{approve, delivered, held_run};
use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

const REFUSED: &str = "NO_CONSENT";

/// A project of so many rows whose canary is one in a hundred; nothing has run.
fn with_canary(rows: i64) -> (Customers, Sink, Project, Warehouse) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    project.append(&sync_file(), "\n[guards]\ncanary = \"1%\"\n");
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(&sink));
    (customers, sink, project, warehouse)
}

#[test]
fn a_canary_that_is_accepted_is_followed_by_the_rest() {
    let (customers, sink, project, _warehouse) = with_canary(1000);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    let sent = crate::support::judge::applied_since(&sink, 0);
    let of_first_call = sent.iter().filter(|row| row.call == sent[0].call).count();
    assert_eq!((of_first_call, sent.len()), (10, 1000));
}

#[test]
fn a_canary_that_is_refused_holds_the_rest_until_it_is_approved() {
    let (customers, sink, project, _warehouse) = with_canary(1000);
    sink.reject(&(1..=1000).collect::<Vec<_>>(), REFUSED, "no");
    project.run().expect(5).says(&["of the 10 rows of the canary 10 were not accepted", "approve"]);
    assert_eq!((sink.stats().calls, sink.stats().rows), (1, 0));
    project.run().expect(5);
    assert_eq!(sink.stats().calls, 1, "a held run sends nothing");
    sink.reject(&[], "", "");
    approve(&project, &[]).expect(3);
    assert_eq!(sink.stats().rows, 990, "the refused ten come with the next run");
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_canary_that_was_given_up_is_settled() {
    let (warehouse, mut customers, sink, project) = delivered(1000);
    customers.set_plan(1..=1000, "changed");
    customers.publish(&warehouse, Some(&sink));
    let first = sink.stats();
    // One of ten is refused, whichever these are: a fifth of the rows.
    sink.reject(&(1..=1000).filter(|id| id % 2 == 0).collect::<Vec<_>>(), REFUSED, "no");
    project.backhaul(&["run", SYNC, "--canary", "10"]).expect(5);
    let canary = sink.stats().rows - first.rows;
    assert!(canary < 10, "{canary} accepted");
    let (run, _) = held_run(&project);
    project.backhaul(&["discard", &run]).expect(0);
    sink.reject(&[], "", "");
    project.run().expect(0);
    assert_eq!(sink.stats().rows - first.rows, 1000, "what the canary delivered is not sent again");
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_run_with_a_canary_that_ends_at_any_failpoint_is_brought_to_its_end() {
    let (mut customers, sink, mut project, warehouse) = with_canary(1000);
    project.run().expect(0);
    for (round, failpoint) in [
        "run::in_deliver",
        "deliver::after_mark",
        "deliver::before_send",
        "deliver::after_send",
        "deliver::after_send=2*off->return",
        "deliver::before_seal",
        "run::in_settle",
    ]
    .into_iter()
    .enumerate()
    {
        customers.set_plan(1..=600, &format!("plan {round}"));
        customers.publish(&warehouse, Some(&sink));
        let action = if failpoint.contains('=') { failpoint.to_owned() } else { format!("{failpoint}=return") };
        project.set_variable("FAILPOINTS", &action);
        let ended = project.run();
        assert_eq!(ended.code, None, "{failpoint} is not come by: {ended:?}");
        project.set_variable("FAILPOINTS", "");
        project.run().expect(0);
        customers.judge(&sink).assert_converged();
        let settled = sink.stats();
        project.run().expect(0);
        assert_eq!(sink.stats(), settled, "{failpoint}: something was left to send");
    }
}

#[test]
fn a_canary_that_failed_before_a_crash_still_holds_the_run() {
    for failpoint in ["run::before_held", "run::in_held"] {
        let (customers, sink, mut project, _warehouse) = with_canary(1000);
        sink.reject(&(1..=1000).collect::<Vec<_>>(), REFUSED, "no");
        project.set_variable("FAILPOINTS", &format!("{failpoint}=return"));
        assert_eq!(project.run().code, None, "{failpoint}");
        project.set_variable("FAILPOINTS", "");
        project.run().expect(5).says(&["of the 10 rows of the canary 10 were not accepted"]);
        assert_eq!((sink.stats().calls, sink.stats().rows), (1, 0), "{failpoint}");
        sink.reject(&[], "", "");
        approve(&project, &[]).expect(3);
        project.run().expect(0);
        customers.judge(&sink).assert_exact();
    }
}

#[test]
fn a_run_that_its_canary_holds_is_held_again_where_the_state_database_was_lost() {
    let (customers, sink, project, _warehouse) = with_canary(1000);
    sink.reject(&(1..=1000).collect::<Vec<_>>(), REFUSED, "no");
    project.run().expect(5);
    for file in ["state.db", "state.db-wal", "state.db-shm"] {
        drop(std::fs::remove_file(project.state().join(file)));
    }
    project.run().expect(5).says(&["of the 10 rows of the canary 10 were not accepted"]);
    assert_eq!((sink.stats().calls, sink.stats().rows), (1, 0));
    sink.reject(&[], "", "");
    let (run, _) = held_run(&project);
    project.backhaul(&["discard", &run]).expect(0);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}
