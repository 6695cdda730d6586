//! Only what changed is sent, and only what changed leaves the warehouse.

use std::collections::BTreeSet;

use super::{delivered, with_table};
use crate::support::footprint::Footprint;
use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::{SYNC, model};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

const ROWS: i64 = 20_000;
/// The most that a run without a change may write of snapshot, plan and log.
const IDLE_BYTES: u64 = 4 << 10;
/// What snapshot files of so many records would never fit into.
const NO_FILES: u64 = 64 << 10;

fn texts(ids: impl IntoIterator<Item = i64>) -> BTreeSet<String> {
    ids.into_iter().map(|id| id.to_string()).collect()
}

#[test]
fn exactly_the_differences_are_sent_and_the_state_folder_stays_small() {
    let Some((warehouse, mut customers, sink, project)) = delivered(ROWS) else { return };
    let first = sink.stats();
    assert_eq!((first.puts, first.deletes, first.calls), (20_000, 0, 200));
    warehouse.assert_count("select 1 from backhaul.snapshots where records = 20000", 1);

    let footprint = Footprint::watch(&project.state());
    project.run().expect(0);
    let written = footprint.bytes();
    assert_eq!(sink.stats(), first);
    assert!(written <= IDLE_BYTES, "{written} bytes were written and nothing had changed");

    customers.set_plan((100..=10_000).step_by(100), "pro");
    customers.add(20_001..=20_020);
    customers.remove(15_000..15_020);
    customers.publish(&warehouse, Some(&sink));
    let footprint = Footprint::watch(&project.state());
    project.run().expect(0);
    let written = footprint.bytes();
    assert!(written <= NO_FILES, "{written} bytes");
    let rows = applied_since(&sink, first.rows);
    assert_eq!(keys(&rows, Change::Put), texts((100..=10_000).step_by(100).chain(20_001..=20_020)));
    assert_eq!(keys(&rows, Change::Delete), texts(15_000..15_020));
    customers.judge(&sink).assert_exact();
    warehouse.assert_count("select 1 from backhaul.snapshots where records = 20000", 1);

    let settled = sink.stats();
    project.run().expect(0);
    assert_eq!(sink.stats(), settled);
}

#[test]
fn the_order_of_the_rows_and_changes_that_were_taken_back_do_not_matter() {
    let Some((warehouse, mut customers, sink, project)) = delivered(500) else { return };
    project.write("models/customers.toml", &model("select * from customers order by random()", "id"));
    customers.set_plan([42], "pro");
    customers.publish(&warehouse, Some(&sink));
    customers.set_plan([42], "free");
    customers.publish(&warehouse, Some(&sink));
    let first = sink.stats();
    project.run().expect(0);
    assert_eq!(sink.stats(), first);
}

#[test]
fn keys_of_several_columns_and_of_text_are_compared_bytewise() {
    let Some(warehouse) = Warehouse::postgres() else { return };
    let sink = Sink::start();
    let project = crate::support::project::Project::customers(&warehouse, &sink);
    super::compare_there(&project);
    // Rows that a collation, blanks or a scale would take for one another.
    warehouse.execute(
        "create table customers (id text, email text, name text, plan numeric, at date, primary key (id, at)); \
         insert into customers values ('a', 'e', 'n', 1.0, '2026-01-01'), ('A', 'e', 'n', 1.0, '2026-01-01'), \
         ('a ', 'e', 'n', 1.0, '2026-01-01'), ('a', 'e', 'n', 1.0, '2026-01-02'), ('ä\\,\"''', null, '', 'NaN', 'infinity')",
    );
    let model = "warehouse = \"analytics\"\nsql = \"select at, id || at as id, email, name, nullif(plan, 'NaN') as plan \
                 from customers where at < 'infinity'\"\nkey = [\"id\", \"at\"]\n";
    project.write("models/customers.toml", model);
    project.run().expect(0);
    assert_eq!(sink.stats().puts, 4);
    project.run().expect(0);
    assert_eq!(sink.stats().puts, 4);
    // The same number in other digits is another text at the destination.
    warehouse.execute("update customers set plan = 1.00 where id = 'A'; delete from customers where id = 'a '");
    project.run().expect(0);
    assert_eq!((sink.stats().puts, sink.stats().deletes), (5, 1));
}

#[test]
fn null_keys_and_repeated_keys_stop_the_run_before_any_write() {
    let Some((warehouse, _, sink, project)) = delivered(50) else { return };
    let before = sink.stats();
    let repeated = [
        "select * from customers union all select * from customers where id = 7",
        "select * from customers union all select 7, 'x', 'y', 'z'",
        "select * from customers union all select 700, 'x', 'y', 'z' union all select 700, 'x', 'y', 'w'",
    ];
    for sql in repeated {
        project.write("models/customers.toml", &model(sql, "id"));
        project.run().expect(78).says(&["key occurs more than once"]);
    }
    project
        .write("models/customers.toml", &model("select * from customers union all select null, 'x', 'y', 'z'", "id"));
    project.run().expect(78).says(&["whose key is NULL"]);
    assert_eq!(sink.stats(), before);
    project.write("models/customers.toml", &model("select * from customers", "id"));
    project.run().expect(0);
    assert_eq!(sink.stats(), before);
    with_table(&warehouse, "analyze $TABLE");
}

#[test]
fn a_plan_is_made_there_too_and_changes_nothing() {
    let Some((warehouse, mut customers, sink, project)) = delivered(100) else { return };
    customers.set_plan([1, 2], "pro");
    customers.remove([3]);
    customers.publish(&warehouse, Some(&sink));
    let plan = project.backhaul(&["plan", SYNC, "--output", "json"]).json();
    let counts = &plan["plans"][0]["counts"];
    assert_eq!((&counts["changed"], &counts["removed"], &counts["rows"]), (&2.into(), &1.into(), &99.into()), "{plan}");
    assert_eq!(sink.stats().rows, 100);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}
