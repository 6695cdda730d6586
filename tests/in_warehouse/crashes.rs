//! Ended at every failpoint of settling in a table, and without the warehouse.

use super::delivered;
use crate::support::project::{Project, SYNC};

/// Ends the program at a failpoint, as `kill -9` would.
pub(super) fn end_at(project: &mut Project, failpoint: &str) {
    project.set_variable("FAILPOINTS", &format!("{failpoint}=return"));
    let ended = project.run();
    assert_eq!(ended.code, None, "{failpoint} is not come by:\n{}{}", ended.stdout, ended.stderr);
    project.set_variable("FAILPOINTS", "");
}

const FAILPOINTS: [&str; 13] = [
    "run::in_scan",
    "plan::before_rename",
    "run::in_deliver",
    "deliver::after_send",
    "deliver::after_ack",
    "run::in_settle",
    "settle::gathered",
    "settle::table_filled",
    "settle::table_changed",
    "manifest::before_rename",
    "manifest::after_rename",
    "settle::committed",
    "run::in_report",
];

#[test]
fn a_run_that_ends_at_any_failpoint_is_brought_to_its_end() {
    let Some((warehouse, mut customers, sink, mut project)) = delivered(1_000) else { return };
    for (round, failpoint) in (0i64..).zip(FAILPOINTS) {
        customers.set_plan(500..=800, &format!("plan {round}"));
        customers.add([10_000 + round]);
        customers.remove([round + 1]);
        customers.publish(&warehouse, Some(&sink));
        if failpoint == "deliver::after_ack" {
            // Some calls are answered and others are not: the answers are made durable meanwhile.
            sink.hold_after(sink.stats().rows + 300);
        }
        end_at(&mut project, failpoint);
        sink.release();
        // Changed again before the run is taken up: what is settled must not hide it.
        customers.set_plan([900], &format!("again {round}"));
        customers.publish(&warehouse, Some(&sink));
        project.run().expect(0);
        customers.judge(&sink).assert_converged();
        let settled = sink.stats();
        project.run().expect(0);
        assert_eq!(sink.stats(), settled, "{failpoint}: something was left to send");
        warehouse.assert_count("select 1 from backhaul.snapshots where records = 1000", 1);
    }
}

#[test]
fn a_run_waits_in_its_settle_stage_until_the_warehouse_is_back() {
    let Some((warehouse, mut customers, sink, mut project)) = delivered(100) else { return };
    let url = warehouse.url().expect("a URL");
    customers.set_plan([1, 2], "pro");
    customers.remove([3]);
    customers.publish(&warehouse, Some(&sink));
    end_at(&mut project, "run::in_settle");
    let sent = sink.stats();

    project.set_variable("WAREHOUSE_URL", "postgres://nobody@127.0.0.1:1/none");
    project.run().expect(75).says(&["127.0.0.1:1"]);
    let runs = project.backhaul(&["runs", "--output", "json"]).expect(0).json();
    assert_eq!(runs["runs"][0]["status"], "settling", "{runs}");

    project.set_variable("WAREHOUSE_URL", &url);
    project.backhaul(&["run", SYNC]).expect(0);
    assert_eq!(sink.stats(), sent);
    customers.judge(&sink).assert_exact();
}
