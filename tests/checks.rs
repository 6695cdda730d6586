//! Checks on the model's data: what fails holds the run before its first request, or is shown with it.

use serde_json::Value;

use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::{Warehouse, on_each_warehouse};

on_each_warehouse!(
    a_failed_check_holds_the_run_with_masked_keys_and_no_request,
    a_column_that_is_only_checked_changes_no_row,
    a_stale_model_is_held,
);

/// A project whose customers 7, 14, … have no email.
fn project_with(warehouse: &Warehouse, rows: i64, more: &str) -> (Customers, Sink, Project) {
    let sink = Sink::start();
    let project = Project::customers(warehouse, &sink);
    let mut customers = Customers::new(rows);
    customers.publish(warehouse, Some(&sink));
    let (top, checks) = more.split_once("[checks]").unwrap_or((more, ""));
    project.edit(&sync_file(), "destination = \"api\"\n", &format!("destination = \"api\"\n{top}"));
    project.append(&sync_file(), &format!("\n[checks]{checks}"));
    (customers, sink, project)
}

/// The latest run, as `runs` shows it.
fn latest(project: &Project) -> Value {
    project.backhaul(&["runs", "--limit", "1", "--output", "json"]).expect(0).json()["runs"][0].clone()
}

fn approve(project: &Project) {
    let run = latest(project);
    let (id, hash) = (run["id"].as_str().expect("an id"), run["plan_hash"].as_str().expect("a hash"));
    project.backhaul(&["approve", id, "--plan-hash", hash]).expect(0);
}

fn a_failed_check_holds_the_run_with_masked_keys_and_no_request(warehouse: &Warehouse) {
    let (customers, sink, project) = project_with(warehouse, 100, "[checks]\nnot_null = [\"email\"]\n");
    let said = "check not_null: `email` is NULL in 14 of 100 rows, as ••••";
    project.backhaul(&["plan", SYNC]).expect(0).says(&["would be held: ", said]);
    project.run().expect(5).says(&[said]);
    project.backhaul(&["status"]).expect(0).says(&[said]);
    assert_eq!(sink.stats().calls, 0);
    approve(&project);
    customers.judge(&sink).assert_exact();

    // Every row is judged, not only those that changed.
    project.run().expect(5).says(&[said]);
    project.backhaul(&["discard", latest(&project)["id"].as_str().expect("an id")]).expect(0);
    assert_eq!(sink.stats().rows, 100);
}

fn a_column_that_is_only_checked_changes_no_row(warehouse: &Warehouse) {
    let (mut customers, sink, project) = project_with(warehouse, 100, "");
    project.edit(&sync_file(), "\"id\", \"email\", \"name\", \"plan\"", "\"id\", \"email\", \"name\"");
    project.run().expect(0);
    let first = sink.stats();
    assert_eq!(first.rows, 100);
    project.edit(&sync_file(), "[checks]", "[checks]\naccepted_values = { plan = [\"free\", \"pro\"] }");
    customers.set_plan([1, 2], "pro");
    customers.publish(warehouse, None);
    project.run().expect(0);
    let run = latest(&project);
    assert_eq!((&run["counts"]["unchanged"], &run["counts"]["touched"]), (&100.into(), &0.into()), "{run}");

    customers.set_plan([1, 2], "gold");
    customers.publish(warehouse, None);
    project.run().expect(5).says(&["`plan` is none of the 2 accepted values in 2 of 100 rows"]).hides(&["gold"]);
    assert_eq!(sink.stats(), first);
}

fn a_stale_model_is_held(warehouse: &Warehouse) {
    let check = "[checks]\nfreshness = { column = \"loaded\", within = \"6h\" }\n";
    let (customers, sink, project) = project_with(warehouse, 20, check);
    let model = |time: &str| {
        let sql = format!("select c.*, {time} as loaded from customers c");
        project.write("models/customers.toml", &crate::support::project::model(&sql, "id"));
    };
    let on_postgres = warehouse.url().is_some();
    model(if on_postgres {
        "now() - interval '2 days 30 seconds'"
    } else {
        "datetime('now', '-2 days', '-30 seconds')"
    });
    project.run().expect(5).says(&["check freshness: `loaded`: the newest value is 2d old, and may be 6h"]);
    project.backhaul(&["discard", latest(&project)["id"].as_str().expect("an id")]).expect(0);
    assert_eq!(sink.stats().calls, 0);
    model(if on_postgres { "now()" } else { "datetime('now')" });
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_warning_is_shown_and_stored_and_holds_nothing() {
    let warehouse = Warehouse::sqlite();
    let check = "[checks]\nnot_null = [{ column = \"email\", severity = \"warn\" }]\n";
    let (customers, sink, project) = project_with(&warehouse, 100, check);
    let said = "warning: check not_null: `email` is NULL in 14 of 100 rows";
    project.backhaul(&["plan", SYNC]).expect(0).says(&[said]);
    project.run().expect(0).says(&[said]);
    customers.judge(&sink).assert_exact();
    let run = latest(&project);
    let stored = run["warnings"][0].as_str().expect("a warning");
    assert!(stored.starts_with("check not_null: `email` is NULL in 14 of 100 rows, as"), "{stored}");
    project.backhaul(&["runs", "show", run["id"].as_str().expect("an id")]).expect(0).says(&[said]);
    project.backhaul(&["status"]).expect(0).says(&[said]);
}

#[test]
fn repeated_values_hold_the_run_and_the_query_that_finds_them_is_told() {
    let warehouse = Warehouse::sqlite();
    let (_customers, sink, project) = project_with(&warehouse, 100, "[checks]\nunique = [\"plan\"]\n");
    let find = "select \"plan\", count(*) from (<model customers>) as m group by \"plan\" having count(*) > 1";
    project.run().expect(5).says(&["`plan` repeats the value of another row in 99 of 100 rows", find]);
    assert_eq!(sink.stats().calls, 0);
}

#[test]
fn bad_rows_are_skipped_and_kept_where_the_sync_says_so() {
    let warehouse = Warehouse::sqlite();
    let more = "on_bad_row = \"skip\"\n[checks]\nnot_null = [\"email\"]\n";
    let (mut customers, sink, project) = project_with(&warehouse, 20, more);
    project.run().expect(3);
    assert_eq!(sink.stats().rows, 18);
    let listing = project.backhaul(&["rejects", "list", SYNC, "--output", "json"]).expect(0).json();
    let codes: Vec<&Value> = listing["rejects"].as_array().expect("rejects").iter().map(|r| &r["code"]).collect();
    assert_eq!(codes, ["check:not_null"; 2]);

    // A row that was delivered and turns bad stays as it was delivered; one that is mended goes out.
    for (id, email) in [(1, None), (7, Some("seven@example.com".to_owned()))] {
        customers.rows.get_mut(&id).expect("a row").email = email;
    }
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(3);
    assert_eq!((sink.stats().puts, sink.stats().deletes), (19, 0));

    for id in [1, 14] {
        customers.rows.get_mut(&id).expect("a row").email = Some(format!("new{id}@example.com"));
    }
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn rows_that_the_mapping_refuses_hold_the_run_where_the_sync_says_so() {
    let warehouse = Warehouse::sqlite();
    let (_customers, sink, project) = project_with(&warehouse, 20, "on_bad_row = \"hold\"\n");
    project.edit(&sync_file(), "\"id\", \"email\", \"name\", \"plan\"", "\"id\", \"name\", \"plan\"");
    project.append(&sync_file(), "\n[fields]\nemail = { column = \"name\", as = \"email\" }\n");
    project.run().expect(5).says(&["20 rows are refused by the mapping, and on_bad_row = \"hold\""]);
    assert_eq!(sink.stats().calls, 0);
}

#[test]
fn another_number_of_rows_than_usual_is_held() {
    let warehouse = Warehouse::sqlite();
    let (mut customers, sink, project) = project_with(&warehouse, 100, "[checks]\nrow_count = \"20%\"\n");
    project.run().expect(0);
    customers.remove(1..=20);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    customers.add(1001..=1040);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5).says(&["check row_count: 120 rows, 33.33% more than the 90 that are usual (median of 2)"]);
    let calls = sink.stats().calls;
    project.backhaul(&["plan", SYNC]).expect(0).says(&["would be held: check row_count"]);
    assert_eq!(sink.stats().calls, calls);
    approve(&project);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_warehouse_that_compares_is_asked_for_the_newest_value() {
    let Some(warehouse) = Warehouse::postgres() else { return };
    let check =
        "diff = \"warehouse\"\n[checks]\nfreshness = { column = \"loaded\", within = \"6h\" }\nrow_count = \"20%\"\n";
    let (mut customers, sink, project) = project_with(&warehouse, 20, check);
    let model = |time: &str| {
        let sql = format!("select c.*, {time} as loaded from customers c");
        project.write("models/customers.toml", &crate::support::project::model(&sql, "id"));
    };
    model("now()");
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    let first = sink.stats();

    model("now() - interval '7 hours 30 seconds'");
    customers.set_plan([1], "pro");
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5).says(&["check freshness: `loaded`: the newest value is 7h old, and may be 6h"]);
    project.backhaul(&["discard", latest(&project)["id"].as_str().expect("an id")]).expect(0);
    model("now()");
    customers.add(21..=30);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5).says(&["check row_count: 30 rows, 50% more than the 20 that are usual"]);
    assert_eq!(sink.stats(), first);
    approve(&project);
    customers.judge(&sink).assert_exact();
}
