//! Only what changed is sent: all rows first, nothing when nothing changed, then exactly the differences.

use std::collections::BTreeSet;

use crate::support::customers::Customers;
use crate::support::footprint::Footprint;
use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::{Project, model};
use crate::support::sink_process::Sink;
use crate::support::warehouse::{Warehouse, on_each_warehouse};

const ROWS: i64 = 20_000;
/// The most that a run without a change may write of snapshot, plan and log.
const IDLE_BYTES: u64 = 4 << 10;
/// The most memory that a run may take.
const PEAK_KIB: u64 = 96 << 10;

on_each_warehouse!(
    the_first_run_delivers_every_row_and_the_second_sends_nothing,
    exactly_the_changed_the_added_and_the_removed_rows_are_sent,
    rows_in_random_order_give_the_same_result,
    a_row_that_changes_back_before_a_run_is_not_sent,
    removed_rows_stay_where_removals_are_ignored,
);

/// Twenty thousand rows that a first run has delivered.
fn delivered(warehouse: &Warehouse) -> (Customers, Sink, Project) {
    let sink = Sink::start();
    let project = Project::customers(warehouse, &sink);
    let mut customers = Customers::new(ROWS);
    customers.publish(warehouse, Some(&sink));
    let first = project.run().expect(0);
    assert!(first.peak_kib <= PEAK_KIB, "{} KiB", first.peak_kib);
    customers.judge(&sink).assert_exact();
    (customers, sink, project)
}

fn texts(ids: impl IntoIterator<Item = i64>) -> BTreeSet<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}

fn the_first_run_delivers_every_row_and_the_second_sends_nothing(warehouse: &Warehouse) {
    let (_customers, sink, project) = delivered(warehouse);
    let first = sink.stats();
    assert_eq!((first.puts, first.deletes, first.calls), (20_000, 0, 200));

    let footprint = Footprint::watch(&project.state());
    project.run().expect(0);
    let written = footprint.bytes();
    assert_eq!(sink.stats(), first);
    assert!(written <= IDLE_BYTES, "{written} bytes were written and nothing had changed");
}

fn exactly_the_changed_the_added_and_the_removed_rows_are_sent(warehouse: &Warehouse) {
    let (mut customers, sink, project) = delivered(warehouse);
    let before = sink.stats().rows;
    // 1 % changed, 0.1 % added, 0.1 % removed.
    let changed = || (100..=20_000).step_by(100).map(|id| id - 3);
    let (added, removed) = (20_001..=20_020, 5_000..5_020);
    customers.set_plan(changed().filter(|id| !removed.contains(id)), "pro");
    customers.add(added.clone());
    customers.remove(removed.clone());
    customers.publish(warehouse, Some(&sink));
    let run = project.run().expect(0);
    assert!(run.peak_kib <= PEAK_KIB, "{} KiB", run.peak_kib);

    let rows = applied_since(&sink, before);
    assert_eq!(keys(&rows, Change::Put), texts(changed().filter(|id| !removed.contains(id)).chain(added)));
    assert_eq!(keys(&rows, Change::Delete), texts(removed));
    customers.judge(&sink).assert_exact();

    let settled = sink.stats();
    project.run().expect(0);
    assert_eq!(sink.stats(), settled);
}

fn rows_in_random_order_give_the_same_result(warehouse: &Warehouse) {
    let (mut customers, sink, project) = delivered(warehouse);
    project.write("models/customers.toml", &model("select * from customers order by random()", "id"));
    let first = sink.stats();
    project.run().expect(0);
    assert_eq!(sink.stats(), first);

    customers.set_plan([1, 777, 20_000], "pro");
    customers.add([20_001]);
    customers.remove([2]);
    customers.publish(warehouse, Some(&sink));
    project.run().expect(0);
    let rows = applied_since(&sink, first.rows);
    assert_eq!(keys(&rows, Change::Put), texts([1, 777, 20_000, 20_001]));
    assert_eq!(keys(&rows, Change::Delete), texts([2]));
    customers.judge(&sink).assert_exact();
}

fn a_row_that_changes_back_before_a_run_is_not_sent(warehouse: &Warehouse) {
    let (mut customers, sink, project) = delivered(warehouse);
    customers.set_plan([42], "pro");
    customers.publish(warehouse, Some(&sink));
    customers.set_plan([42], "free");
    customers.publish(warehouse, Some(&sink));
    let first = sink.stats();
    project.run().expect(0);
    assert_eq!(sink.stats(), first);
}

fn removed_rows_stay_where_removals_are_ignored(warehouse: &Warehouse) {
    let sink = Sink::start();
    let project = Project::customers(warehouse, &sink);
    let sync = crate::support::project::sync("customers", 100);
    let (kept, _) = sync.split_once("[into.remove]").expect("a call for removals");
    project.write(&crate::support::project::sync_file(), &kept.replace("removed = \"delete\"\n", ""));
    let mut customers = Customers::new(50);
    customers.publish(warehouse, Some(&sink));
    project.run().expect(0);
    customers.remove(1..=5);
    customers.publish(warehouse, Some(&sink));
    project.run().expect(0);
    assert_eq!((sink.stats().puts, sink.stats().deletes), (50, 0));
    assert_eq!(customers.judge(&sink).left_over, texts(1..=5));
}
