//! Records, and full files, of people who may not be sent any more.

use serde_json::Value;

use crate::files::files;
use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// 50 delivered customers and an empty suppression list.
fn delivered() -> (Warehouse, Customers, Sink, Project) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    project.append("backhaul.toml", "\n[suppression.blocked]\nmodel = \"blocked\"\non = { id = \"id\" }\n");
    project.write("models/blocked.toml", &model("select * from blocked", "id"));
    warehouse.execute("create table blocked (id bigint)");
    project.edit(&sync_file(), "destination = \"api\"", "destination = \"api\"\nsuppress = [\"blocked\"]");
    let mut customers = Customers::new(50);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    (warehouse, customers, sink, project)
}

#[test]
fn a_record_is_frozen_until_its_person_may_be_sent_again() {
    let (warehouse, mut customers, sink, project) = delivered();
    let before = sink.stats();
    warehouse.execute("insert into blocked values (7), (9)");
    customers.set_plan([7, 8], "pro");
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0).says(&["1 accepted"]);
    assert_eq!(
        (sink.records()["7"]["plan"].as_str(), sink.records()["8"]["plan"].as_str()),
        (Some("free"), Some("pro"))
    );
    assert_eq!(sink.stats().deletes, before.deletes);
    let runs = project.backhaul(&["runs", SYNC, "--limit", "1", "--output", "json"]).expect(0).json();
    let counts = &runs["runs"][0]["counts"];
    assert_eq!((&counts["frozen"], &counts["ineligible"]["suppressed"]), (&2.into(), &2.into()), "{runs}");

    // It has left the model: that is another matter.
    customers.remove([9]);
    warehouse.execute("delete from blocked where id = 7");
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_record_is_removed_where_the_sync_says_so() {
    let (warehouse, _customers, sink, project) = delivered();
    project.edit(&sync_file(), "suppress =", "on_ineligible = \"remove\"\nsuppress =");
    warehouse.execute("insert into blocked values (7)");
    let shown = project.backhaul(&["plan", SYNC]).expect(0);
    shown.says(&["1 removed (1 suppressed)", "1 not to be sent (1 suppressed)", "suppressed"]);
    project.run().expect(0);
    assert!(!sink.records().contains_key("7") && sink.records().len() == 49);
    warehouse.execute("insert into blocked values (8)");
    warehouse.execute("delete from blocked where id = 7");
    project.run().expect(0);
    assert!(sink.records().contains_key("7") && !sink.records().contains_key("8"));
}

#[test]
fn a_record_is_removed_though_rows_that_left_the_model_stay() {
    let (warehouse, _customers, sink, project) = delivered();
    project.edit(&sync_file(), "removed = \"delete\"\n", "");
    project.edit(&sync_file(), "suppress =", "on_ineligible = \"delete\"\nsuppress =");
    warehouse.execute("insert into blocked values (7), (8); delete from customers where id in (8, 9)");
    project.backhaul(&["plan", SYNC]).expect(0).says(&["1 removed (1 suppressed)"]);
    project.run().expect(0);
    let there = sink.records();
    assert!(!there.contains_key("7") && there.contains_key("8") && there.contains_key("9"), "{}", there.len());
    warehouse.execute("delete from blocked where id = 7");
    project.run().expect(0);
    assert_eq!((sink.records().len(), sink.stats().deletes), (50, 1));
}

#[test]
fn a_full_file_is_without_them() {
    let (warehouse, _customers, _sink, project) = delivered();
    project.append("backhaul.toml", "\n[destinations.exchange]\ntype = \"file\"\npath = \"out\"\n");
    project.write(
        "syncs/full.toml",
        "model = \"customers\"\ndestination = \"exchange\"\nsuppress = [\"blocked\"]\n[into]\nmode = \"upsert\"\n\
         object = \"customers\"\nformat = \"jsonl\"\nset = \"full\"\nsame_name = [\"id\", \"plan\"]\n",
    );
    project.backhaul(&["run", "full"]).expect(0);
    warehouse.execute("insert into blocked values (7)");
    project.backhaul(&["run", "full"]).expect(0).says(&["50 rows compared"]);
    let newest = files(&project, ".jsonl").pop().expect("a file of JSON lines");
    let text = std::fs::read_to_string(newest).expect("the file");
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(rows.len(), 49);
    assert!(rows.iter().all(|row| row["id"] != 7));
}

#[test]
fn why_consent_is_not_asked_for_is_kept_with_every_run() {
    let (warehouse, _customers, _sink, project) = delivered();
    project.append(&sync_file(), "\n[consent]\nnone = \"customers are companies\"\n");
    warehouse.execute("insert into customers values (99, 'x@example.com', 'x', 'free')");
    project.run().expect(0).says(&["consent is not asked for: customers are companies"]);
}

#[test]
fn values_that_a_field_refuses_are_counted() {
    let (warehouse, _customers, _sink, project) = delivered();
    project.append(
        &sync_file(),
        "\n[fields]\nmail = { column = \"email\", as = \"email\" }\n\n[guards]\non_remap = \"full\"\n",
    );
    warehouse.execute("update customers set email = 'nobody' where id in (1, 2, 3)");
    project.backhaul(&["plan", SYNC]).expect(0).says(&["`mail`: 3 values cannot be sent (INVALID_EMAIL), 47 can"]);
    project.run().expect(3).says(&["`mail`: 3 values cannot be sent (INVALID_EMAIL), 47 can"]);
    let status = project.backhaul(&["status", "--output", "json"]).expect(0).json();
    let fields = serde_json::json!([{ "field": "mail", "code": "INVALID_EMAIL", "invalid": 3, "valid": 47 }]);
    assert_eq!(status["syncs"][0]["last_run"]["fields"], fields);
}
