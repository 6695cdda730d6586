//! What stops a plan before its first request, and how it is let go.

mod canary;
mod fields;
mod held;
mod limits;

use std::net::UdpSocket;

use serde_json::Value;

use crate::support::customers::Customers;
use crate::support::program::Finished;
use crate::support::project::{Project, SYNC, model, sync, sync_file};
use crate::support::sink_process::Sink;
use crate::support::skipped;
use crate::support::warehouse::{Warehouse, on_each_warehouse};

on_each_warehouse!(repeated_keys_stop_the_run_before_any_write, null_keys_stop_the_run_before_any_write,);

/// A delivered project of so many rows.
fn delivered(rows: i64) -> (Warehouse, Customers, Sink, Project) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    (warehouse, customers, sink, project)
}

/// The id and the plan hash of the run that is held.
fn held_run(project: &Project) -> (String, String) {
    fn find(value: &Value) -> Option<(String, String)> {
        if value["status"] == "held" {
            return Some((value["id"].as_str()?.to_owned(), value["plan_hash"].as_str()?.to_owned()));
        }
        match value {
            Value::Array(items) => items.iter().find_map(find),
            Value::Object(members) => members.values().find_map(find),
            _ => None,
        }
    }
    let runs = project.backhaul(&["runs", "--output", "json"]).expect(0).json();
    find(&runs).unwrap_or_else(|| panic!("no held run with `id` and `plan_hash` in {runs}"))
}

/// Approves the held run with its own hash, and whatever else is said.
fn approve(project: &Project, more: &[&str]) -> Finished {
    let (run, hash) = held_run(project);
    project.backhaul(&[&["approve", &run, "--plan-hash", &hash], more].concat())
}

fn add_a_constant(project: &Project) {
    project.append(&sync_file(), "\n[fields]\nsource = { value = \"warehouse\" }\n");
}

#[test]
fn a_changed_mapping_is_held_until_this_very_plan_is_approved() {
    let (_warehouse, customers, sink, project) = delivered(500);
    let first = sink.stats();
    add_a_constant(&project);
    project.run().expect(5).says(&["approve"]);
    assert_eq!(sink.stats(), first);

    let (run, hash) = held_run(&project);
    let other: String = hash.chars().map(|c| if c == '0' { '1' } else { '0' }).collect();
    let refused = project.backhaul(&["approve", &run, "--plan-hash", &other]);
    assert!(!matches!(refused.code, Some(0) | None), "{refused:?}");
    assert_eq!(sink.stats(), first);

    project.backhaul(&["approve", &run, "--plan-hash", &hash]).expect(0);
    project.run().expect(0);
    assert_eq!(sink.stats().rows, first.rows + 500);
    let expected = customers.records().values().map(|record| {
        let mut record = record.clone();
        record["source"] = "warehouse".into();
        record
    });
    let sent = crate::support::judge::applied_since(&sink, first.rows).into_iter().filter_map(|row| row.body);
    let by_id = |record: &Value| record["id"].as_i64();
    let (mut expected, mut sent): (Vec<_>, Vec<_>) = (expected.collect(), sent.collect());
    expected.sort_by_key(by_id);
    sent.sort_by_key(by_id);
    assert_eq!(sent, expected);

    project.run().expect(0);
    assert_eq!(sink.stats().rows, first.rows + 500);
}

#[test]
fn a_discarded_plan_sends_nothing() {
    let (_warehouse, _customers, sink, project) = delivered(50);
    let first = sink.stats();
    add_a_constant(&project);
    project.run().expect(5);
    let (run, hash) = held_run(&project);
    project.backhaul(&["discard", &run]).expect(0);
    let late = project.backhaul(&["approve", &run, "--plan-hash", &hash]);
    assert!(!matches!(late.code, Some(0) | None), "{late:?}");
    assert_eq!(sink.stats(), first);
}

#[test]
fn a_changed_mapping_goes_out_in_full_where_the_sync_says_so() {
    let (_warehouse, _customers, sink, project) = delivered(500);
    add_a_constant(&project);
    project.append(&sync_file(), "\n[guards]\non_remap = \"full\"\n");
    project.run().expect(0);
    assert_eq!(sink.stats().rows, 1_000);
}

#[test]
fn another_query_with_the_same_rows_is_no_changed_mapping() {
    let (_warehouse, _customers, sink, project) = delivered(50);
    let first = sink.stats();
    project.write("models/customers.toml", &model("select id, email, name, plan from customers where id > 0", "id"));
    project.run().expect(0);
    assert_eq!(sink.stats(), first);
}

#[test]
fn a_large_first_run_to_a_live_account_waits_for_a_yes() {
    // Any address of this machine but loopback counts as live. No packet is sent to find it.
    let own = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let Some(own) = own.ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified()) else {
        skipped("needs an address of this machine besides loopback");
        return;
    };
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::on(&own.to_string()));
    let mut project = Project::new(&warehouse);
    project.add_sink(&sink.url());
    let named = format!("type = \"http\"\nprivate_hosts = [\"{own}\"]");
    project.edit("backhaul.toml", "type = \"http\"", &named);
    project.write("models/customers.toml", &model("select * from customers", "id"));
    project.write(&sync_file(), &sync("customers", 1_000));
    let mut customers = Customers::new(10_001);
    customers.publish(&warehouse, None);
    project.run().expect(5).says(&["10001", "first_run_max"]);
    assert_eq!(sink.stats().calls, 0);
    project.backhaul(&["run", SYNC, "--yes"]).expect(0);
    customers.judge(&sink).assert_exact();
}

/// Keys that people would not want in a log.
const KEYED_BY_EMAIL: &str = "select email as id, email, name, plan from customers where email is not null";

fn keyed_by_email(warehouse: &Warehouse, sink: &Sink, more: &str) -> Project {
    let project = Project::customers(warehouse, sink);
    Customers::new(100).publish(warehouse, Some(sink));
    project.write("models/customers.toml", &model(&format!("{KEYED_BY_EMAIL} {more}"), "id"));
    project
}

fn repeated_keys_stop_the_run_before_any_write(warehouse: &Warehouse) {
    let sink = Sink::start();
    let more = "union all select 'c8@example.com', 'x', 'y', 'z'";
    let run = keyed_by_email(warehouse, &sink, more).run();
    assert!(!matches!(run.code, Some(0) | None), "{run:?}");
    let run = run.hides(&["c8@example.com"]);
    let said = (run.stdout + &run.stderr).to_lowercase();
    assert!(said.contains("group by") && said.contains("having count(*) > 1"), "{said}");
    assert_eq!(sink.stats().calls, 0);
}

fn null_keys_stop_the_run_before_any_write(warehouse: &Warehouse) {
    let sink = Sink::start();
    let more = "union all select null, 'x@example.com', 'y', 'z'";
    let run = keyed_by_email(warehouse, &sink, more).run();
    assert!(!matches!(run.code, Some(0) | None), "{run:?}");
    let run = run.hides(&["x@example.com"]);
    let said = (run.stdout + &run.stderr).to_lowercase();
    assert!(said.contains("is null") && said.contains("select"), "{said}");
    assert_eq!(sink.stats().calls, 0);
}
