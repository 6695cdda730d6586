//! `diff = "warehouse"`: the snapshot is a table in PostgreSQL and rows are compared there. What reaches the sink is
//! what the local engine would send; crashes, moves between the engines and tables that are not what they were
//! change nothing of that.

mod crashes;
mod damage;
mod differences;
mod moves;
mod same;

use crate::support::customers::Customers;
use crate::support::project::{Project, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// The line of a sync that has its rows compared in the warehouse.
const THERE: &str = "destination = \"api\"\ndiff = \"warehouse\"\n";
const HERE: &str = "destination = \"api\"\n";

/// Has the rows of a project compared in the warehouse from now on.
fn compare_there(project: &Project) {
    project.edit(&sync_file(), HERE, THERE);
}

/// Has them compared here.
fn compare_here(project: &Project) {
    project.edit(&sync_file(), THERE, HERE);
}

/// Some customers that a first run has delivered, compared in the warehouse; `None` without a server.
fn delivered(rows: i64) -> Option<(Warehouse, Customers, Sink, Project)> {
    let warehouse = Warehouse::postgres()?;
    let sink = Sink::start();
    let project = Project::customers(&warehouse, &sink);
    compare_there(&project);
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    Some((warehouse, customers, sink, project))
}

/// The one snapshot table of a database, as SQL.
fn with_table(warehouse: &Warehouse, statement: &str) {
    let quoted = statement.replace('\'', "''");
    warehouse.execute(&format!(
        "do $do$ begin execute (select replace('{quoted}', '$TABLE', format('backhaul.%I', name)) from backhaul.snapshots); end $do$"
    ));
}
