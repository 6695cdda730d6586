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
