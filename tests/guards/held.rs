//! Held runs: what is said of them, and what may be decided.

use super::{add_a_constant, approve, delivered, held_run};
use crate::support::customers::Customers;
use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::{Project, SYNC, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::{Warehouse, execute_sqlite};

/// Makes all runs look a day and an hour older than they are.
fn age_runs(project: &Project) {
    execute_sqlite(&project.state().join("state.db"), "update runs set started = started - 90000000000");
}

#[test]
fn an_empty_model_after_a_full_one_is_held_and_only_its_own_plan_is_let_through_once() {
    let (warehouse, mut customers, sink, project) = delivered(50);
    let first = sink.stats();
    customers.remove(1..=50);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5).says(&["the model is empty", "50"]);
    assert_eq!(sink.stats(), first);

    let (run, hash) = held_run(&project);
    project.backhaul(&["status"]).expect(0).says(&["the model is empty, and the destination has 50 rows", &hash]);
    project.backhaul(&["plan", "show", &run, "--sample", "50"]).expect(0).says(&["50 removed", "− 50", &hash]);
    assert_eq!(sink.stats(), first);

    approve(&project, &[]).expect(0);
    assert_eq!(keys(&applied_since(&sink, first.rows), Change::Delete).len(), 50);
    let approved = sink.stats();
    project.backhaul(&["approve", &run, "--plan-hash", &hash]).expect(5).says(&["is not held but succeeded"]);
    project.backhaul(&["plan", "show", &run]).expect(64).says(&["has no plan"]);
    assert_eq!(sink.stats(), approved);
}

#[test]
fn a_stored_plan_is_shown_with_people_masked() {
    let (_warehouse, _customers, _sink, project) = delivered(50);
    add_a_constant(&project);
    project.run().expect(5);
    let (run, _) = held_run(&project);
    let shown = project.backhaul(&["plan", "show", &run, "--output", "json"]).expect(0).hides(&["@example.com"]);
    let shown = shown.json();
    assert_eq!(shown["plan"]["counts"]["changed"], 50);
    assert_eq!(shown["plan"]["samples"].as_array().map(Vec::len), Some(3));
    assert_eq!(shown["run"]["id"], run.as_str());
}

#[test]
fn a_plan_that_is_too_old_is_refused_and_superseded_by_a_new_one() {
    let (warehouse, mut customers, sink, project) = delivered(50);
    let first = sink.stats();
    customers.remove(1..=50);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5);
    let (run, _) = held_run(&project);
    age_runs(&project);
    approve(&project, &[]).expect(5).says(&["too old"]);
    project.run().expect(5);
    assert_ne!(held_run(&project).0, run);
    let shown = project.backhaul(&["runs", "show", &run, "--output", "json"]).expect(0).json();
    assert_eq!(shown["run"]["status"], "discarded");
    assert_eq!(sink.stats(), first);
}

#[test]
fn a_sync_may_say_how_old_its_plans_may_be() {
    let (warehouse, mut customers, sink, project) = delivered(50);
    project.edit(&sync_file(), "destination = \"api\"\n", "destination = \"api\"\nplan_max_age = \"3d\"\n");
    customers.remove(1..=50);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5);
    let held = held_run(&project);
    age_runs(&project);
    project.run().expect(5);
    assert_eq!(held_run(&project), held, "a day and an hour are less than three days");
    approve(&project, &[]).expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_plan_of_another_mapping_is_refused() {
    let (warehouse, mut customers, sink, project) = delivered(50);
    let first = sink.stats();
    customers.remove(1..=50);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5);
    add_a_constant(&project);
    approve(&project, &[]).expect(5).says(&["the mapping has changed"]);
    assert_eq!(sink.stats(), first);
}

#[test]
fn a_plan_for_another_account_is_refused_and_stays_held() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    project.edit("backhaul.toml", "type = \"http\"", "type = \"http\"\nidentity = \"shop one\"");
    let mut customers = Customers::new(50);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    let first = sink.stats();
    customers.remove(1..=50);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5);
    let held = held_run(&project);
    project.edit("backhaul.toml", "shop one", "shop two");
    approve(&project, &[]).expect(78).says(&["shop one", "shop two"]);
    assert_eq!((sink.stats(), held_run(&project)), (first, held));
    project.edit("backhaul.toml", "shop two", "shop one");
    approve(&project, &[]).expect(0);
    customers.judge(&sink).assert_exact();
}

#[test]
fn a_repaired_model_is_judged_anew() {
    let (warehouse, mut customers, sink, project) = delivered(50);
    let rows = customers.rows.clone();
    customers.remove(1..=50);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5);
    let (run, _) = held_run(&project);
    customers.rows = rows;
    customers.set_plan([7], "repaired");
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5).says(&[&run]);
    project.backhaul(&["replan", &run]).expect(0).says(&["1 accepted"]);
    customers.judge(&sink).assert_exact();
    project.backhaul(&["replan", &run]).expect(5).says(&["is not held"]);
}

#[test]
fn a_limit_is_raised_as_far_as_is_said_and_for_that_time() {
    let (warehouse, mut customers, sink, project) = delivered(1000);
    project.append(&sync_file(), "\n[guards]\nmax_removed = \"10%\"\n");
    customers.remove(1..=150);
    customers.publish(&warehouse, Some(&sink));
    let first = sink.stats();
    project.run().expect(5).says(&["150 removals"]);
    approve(&project, &["--allow", "max_removed=12%"]).expect(5).says(&["raised to 12%"]);
    assert_eq!(sink.stats(), first);
    approve(&project, &["--allow", "max_removed=20%", "--for", "2h"]).expect(0);
    project.backhaul(&["status"]).expect(0).says(&["max_removed of customers-api is raised to 20% until"]);

    // 100 of 850 are more than a tenth: the raised limit lets them pass, and no more than a fifth in all.
    customers.remove(151..=200);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    customers.remove(201..=301);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(5).says(&["max_removed_per_day"]);
}

#[test]
fn a_limit_that_was_raised_for_one_plan_holds_the_next() {
    let (warehouse, mut customers, sink, project) = delivered(1000);
    project.append(&sync_file(), "\n[guards]\nmax_removed = 100\nmax_removed_per_day = 900\n");
    for rows in [1..=150, 151..=300] {
        customers.remove(rows);
        customers.publish(&warehouse, Some(&sink));
        project.backhaul(&["run", SYNC]).expect(5);
        approve(&project, &["--allow", "max_removed=150"]).expect(0);
    }
    customers.judge(&sink).assert_exact();
}
