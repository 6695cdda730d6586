//! Limits beyond one plan's counts.

use super::{approve, delivered, held_run};
use crate::support::customers::Customers;
use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::{Project, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

#[test]
fn removals_of_a_day_add_up_over_runs() {
    let (warehouse, mut customers, sink, project) = delivered(1000);
    customers.remove(1..=150);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    let before = sink.stats();
    // 12 % of what is left, but 250 of the 1,000 of this day.
    customers.remove(151..=250);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5).says(&["100 removals, and 150 more in the last 24 hours", "max_removed_per_day"]);
    assert_eq!(sink.stats(), before);
    approve(&project, &[]).expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_changed_form_of_the_key_is_held_also_where_nothing_is_removed() {
    shift_keys(&Warehouse::sqlite(), "local");
}

#[test]
fn a_changed_form_of_the_key_is_held_also_where_the_warehouse_compares() {
    if let Some(warehouse) = Warehouse::postgres() {
        shift_keys(&warehouse, "warehouse");
    }
}

/// Gives every row another key in a sync that removes nothing.
fn shift_keys(warehouse: &Warehouse, diff: &str) {
    let sink = Sink::start();
    let project = Project::customers(warehouse, &sink);
    project.edit(&sync_file(), "removed = \"delete\"\n", "removed = \"ignore\"\n");
    project.edit(&sync_file(), "destination = \"api\"\n", &format!("destination = \"api\"\ndiff = \"{diff}\"\n"));
    let text = std::fs::read_to_string(project.path(&sync_file())).expect("the sync");
    project.write(&sync_file(), text.split("[into.remove]").next().expect("what is before it"));
    let mut customers = Customers::new(100);
    customers.publish(warehouse, Some(&sink));
    project.run().expect(0);
    let before = sink.stats();
    let shifted = customers.rows.iter().map(|(id, row)| (id + 100_000, row.clone())).collect();
    customers.rows = shifted;
    customers.publish(warehouse, Some(&sink));
    project
        .run()
        .expect(5)
        .says(&["100 of the model's 100 rows have a new key, and 100 of 100 accepted keys are gone"]);
    assert_eq!(sink.stats(), before);
    project.edit(&sync_file(), "[into]\n", "[guards]\nkey_shift = \"send\"\n\n[into]\n");
    let (run, _) = held_run(&project);
    project.backhaul(&["replan", &run]).expect(0);
    assert_eq!(sink.stats().rows, before.rows + 100);
}

#[test]
fn a_delivery_whose_rows_are_refused_stops_and_leaves_the_rest_for_the_next_run() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(2000);
    customers.publish(&warehouse, Some(&sink));
    sink.reject(&(1..=2000).collect::<Vec<_>>(), "NO_CONSENT", "no");
    project.run().expect(5).says(&["max_rejected", "the delivery stopped"]);
    let stopped = sink.stats();
    // Two batches of 100 are more than 100 rows; three more calls may have been on their way.
    assert!(stopped.calls <= 6 && stopped.rows == 0, "{stopped:?}");
    sink.reject(&[], "", "");
    project.run().expect(0);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn removals_alone_are_held_back_where_the_sync_says_so() {
    let (warehouse, mut customers, sink, project) = delivered(1000);
    project.edit(&sync_file(), "destination = \"api\"\n", "destination = \"api\"\non_hold = \"removals\"\n");
    customers.remove(1..=300);
    customers.set_plan(301..=310, "changed");
    customers.publish(&warehouse, Some(&sink));
    let before = sink.stats();
    project.run().expect(5).says(&["10 accepted", "300 held back", "max_removed"]);
    let sent = applied_since(&sink, before.rows);
    assert_eq!(keys(&sent, Change::Put).len(), 10);
    assert_eq!(keys(&sent, Change::Delete).len(), 0);
    project
        .backhaul(&["status"])
        .expect(0)
        .says(&["holds 300 removals back", "300 removals (30.0 % of 1000 accepted)"]);

    // Nothing is left but the removals: they are there to be looked at and approved.
    project.run().expect(5).says(&["held", "300 removals"]);
    assert_eq!(sink.stats().rows, before.rows + 10);
    approve(&project, &[]).expect(0);
    customers.judge(&sink).assert_exact();
}
