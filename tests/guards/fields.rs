//! Guards of single fields.

use super::delivered;
use crate::support::customers::Customers;
use crate::support::project::{Project, model, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// A delivered project of ten bids, each 1.00, with guards on them.
fn bids(guards: &str) -> (Warehouse, Sink, Project) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(10);
    customers.publish(&warehouse, None);
    warehouse.execute("alter table customers add column bid real not null default 1.0");
    project.write("models/customers.toml", &model("select * from customers", "id"));
    project.edit(&sync_file(), "\"plan\"]", "\"plan\", \"bid\"]");
    project.append(&sync_file(), &format!("\n[guards.fields.bid]\n{guards}\n"));
    project.run().expect(0);
    (warehouse, sink, project)
}

#[test]
fn a_value_outside_its_bounds_holds_the_plan() {
    let (warehouse, sink, project) = bids("floor = 0.5\nceiling = 2.5");
    let first = sink.stats();
    warehouse.execute("update customers set bid = 2.6 where id in (1, 2); update customers set bid = 0.4 where id = 3");
    let held = project.run().expect(5);
    held.says(&["2 rows would set `bid` above its ceiling = 2.5", "1 row would set `bid` below its floor = 0.5"]);
    assert_eq!(sink.stats(), first);
    warehouse.execute("update customers set bid = 2.5");
    let (run, _) = super::held_run(&project);
    project.backhaul(&["replan", &run]).expect(0);
    assert_eq!(sink.stats().rows, first.rows + 10);
}

#[test]
fn a_guard_of_a_field_that_is_not_mapped_is_refused() {
    let (_warehouse, _customers, sink, project) = delivered(5);
    let first = sink.stats();
    project.append(&sync_file(), "\n[guards.fields.plam]\nceiling = 5\n");
    project.run().expect(78).says(&["plam", "did you mean \"plan\"?"]);
    assert_eq!(sink.stats(), first);
}

/// Multiplies every bid, runs, and says whether the run was held.
fn raise(warehouse: &Warehouse, project: &Project, factor: f64) -> bool {
    warehouse.execute(&format!("update customers set bid = bid * {factor}"));
    match project.run().code {
        Some(0) => false,
        Some(5) => true,
        other => panic!("exit {other:?}"),
    }
}

#[test]
fn a_ratchet_of_small_steps_is_stopped_within_its_window() {
    let (warehouse, sink, project) = bids("max_step = \"10%\"\nmax_step_per = { step = \"20%\", window = \"24h\" }");
    let mut accepted = 1.0;
    while !raise(&warehouse, &project, 1.03) {
        accepted *= 1.03;
    }
    assert!((1.15..1.2).contains(&accepted), "{accepted} was accepted");
    let (run, _) = super::held_run(&project);
    let held = project.backhaul(&["plan", "show", &run]).expect(0);
    held.says(&["10 rows would move `bid` by more than max_step_per = 20% in 24h with the runs before"]);
    let before = sink.stats();

    // What a person has approved is what the next steps are measured from, within the same window.
    super::approve(&project, &[]).expect(0);
    assert_eq!(sink.stats().rows, before.rows + 10);
    assert!(raise(&warehouse, &project, 1.03));
    project.backhaul(&["discard", &super::held_run(&project).0]).expect(0);
    warehouse.execute("update customers set bid = 1.0");
    project.run().expect(5).says(&["by more than max_step = 10%"]);
}

#[test]
fn a_refused_value_is_no_accepted_one() {
    let (warehouse, sink, project) = bids("max_step = 0.1");
    sink.reject(&[3], "NO", "no");
    warehouse.execute("update customers set bid = 1.1");
    project.run().expect(3);
    sink.reject(&[], "", "");
    // Of row 3 the value that was accepted last is still 1.0.
    warehouse.execute("update customers set bid = 1.2");
    project.run().expect(5).says(&["1 row would move `bid` by more than max_step = 0.1"]);
}

#[test]
fn accepted_values_outlive_a_crash_at_any_moment_of_settling() {
    let (warehouse, _sink, mut project) = bids("max_step = 0.5");
    let mut bid = 1.0;
    for failpoint in [
        "run::in_settle",
        "values::before_rename",
        "values::after_rename",
        "settle::written",
        "manifest::before_rename",
        "manifest::after_rename",
        "settle::committed",
        "run::in_report",
    ] {
        bid += 0.5;
        warehouse.execute(&format!("update customers set bid = {bid}"));
        project.set_variable("FAILPOINTS", &format!("{failpoint}=return"));
        let ended = project.run();
        assert_eq!(ended.code, None, "{failpoint} is not come by: {ended:?}");
        project.set_variable("FAILPOINTS", "");
        project.run().expect(0);
        warehouse.execute(&format!("update customers set bid = {} where id = 5", bid + 0.6));
        project.run().expect(5).says(&["1 row would move `bid`"]);
        project.backhaul(&["discard", &super::held_run(&project).0]).expect(0);
        warehouse.execute(&format!("update customers set bid = {bid}"));
        project.run().expect(0);
    }
    project.backhaul(&["state", "verify"]).expect(0);
}

#[test]
fn damaged_values_are_named_and_stop_the_run() {
    let (warehouse, sink, project) = bids("max_step = 0.5");
    let before = sink.stats();
    let file = project.state().join("syncs/customers-api/values");
    let mut bytes = std::fs::read(&file).expect("the file");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    project.backhaul(&["state", "verify"]).expect(1).says(&["values"]);
    warehouse.execute("update customers set bid = 1.1");
    project.run().expect(1).says(&["values is damaged"]);
    assert_eq!(sink.stats(), before);
}
