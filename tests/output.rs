//! Data goes to stdout; progress, notes and complaints go to stderr.

use std::path::Path;

use serde_json::Value;

use crate::support::project::Project;
use crate::support::warehouse::execute_sqlite;

/// The example that needs nobody else: two syncs from SQLite into files.
fn project() -> Project {
    let project = Project::copy_of(&Path::new(env!("CARGO_MANIFEST_DIR")).join("syncs/segments-to-files"));
    let tables = std::fs::read_to_string(project.path("shop.sql")).expect("the tables");
    execute_sqlite(&project.path("shop.db"), &tables);
    project
}

const BOTH: [&str; 2] = ["vip-full", "vip-changes"];

#[test]
fn every_command_gives_programs_one_json_value_and_nothing_else() {
    let project = project();
    let run = project.backhaul(&["run", BOTH[0], BOTH[1], "--output", "json"]).expect(0);
    let id = run.json()["runs"][0]["id"].as_str().expect("an id").to_owned();
    let commands: [&[&str]; 11] = [
        &["ls"],
        &["plan", BOTH[0], BOTH[1]],
        &["run", BOTH[0], BOTH[1]],
        &["status"],
        &["runs"],
        &["runs", "show", &id],
        &["rejects"],
        &["rejects", "list", BOTH[0]],
        &["connectors"],
        &["connectors", "show", "file"],
        &["validate"],
    ];
    for command in commands {
        let shown = project.backhaul(&[command, &["--output", "json"]].concat()).expect(0);
        assert_eq!(shown.json()["version"], 1, "{command:?}");
        assert_eq!(shown.stderr, "", "{command:?}");
        // Without a terminal nothing is drawn or coloured, in no form.
        for form in ["human", "markdown"] {
            let shown = project.backhaul(&[command, &["--output", form]].concat()).expect(0);
            assert!(!shown.stdout.is_empty() && shown.stderr.is_empty(), "{command:?} {form}: {}", shown.stderr);
            assert!(!shown.stdout.contains('\u{1b}'), "{command:?} {form}");
        }
    }
}

#[test]
fn the_same_thing_has_the_same_name_in_every_commands_json() {
    let project = project();
    let json = |arguments: &[&str]| project.backhaul(&[arguments, &["--output", "json"]].concat()).expect(0).json();
    json(&["run", BOTH[0]]);
    execute_sqlite(&project.path("shop.db"), "update customers set lifetime_value = 4500 where customer_id = 1003");
    let plan = json(&["plan", BOTH[0]])["plans"][0].clone();
    let run = json(&["run", BOTH[0]])["runs"][0].clone();
    let standing = json(&["status", BOTH[0]])["syncs"][0].clone();
    let listed = json(&["ls", BOTH[0]])["syncs"][0].clone();
    for value in [&plan, &run, &standing, &listed] {
        assert_eq!(value["sync"], BOTH[0], "{value}");
    }
    for member in ["plan_hash", "calls"] {
        assert_eq!(plan[member], run[member], "{member}");
    }
    assert_eq!((&plan["counts"]["added"], &run["counts"]["added"]), (&1.into(), &1.into()));
    let shown = &json(&["runs", "show", run["id"].as_str().expect("an id")])["run"];
    assert_eq!((shown, &standing["last_run"]), (&run, &run));
}

#[test]
fn a_failure_is_said_on_stderr_and_to_programs_on_stdout_too() {
    let project = project();
    execute_sqlite(&project.path("shop.db"), "drop table customers");
    let told = project.backhaul(&["run", BOTH[0], BOTH[1], "--output", "json"]);
    let failures = told.json()["failures"].as_array().expect("failures").clone();
    let named: Vec<&Value> = failures.iter().map(|failure| &failure["sync"]).collect();
    let runs = told.json()["runs"].as_array().expect("runs").clone();
    // A sync may fail before it has a run, or with one: both are told once.
    assert_eq!(named.len() + runs.len(), 2, "{}", told.stdout);
    assert_ne!(told.code, Some(0));

    let quiet = project.backhaul(&["plan", BOTH[0], "--quiet"]);
    assert!(quiet.stdout.is_empty() && quiet.stderr.starts_with("error: "), "{quiet:?}");
    let loud = project.backhaul(&["plan", BOTH[0], "--output", "json"]);
    assert!(loud.stderr.starts_with("error: "), "{loud:?}");
    assert_eq!(loud.json()["error"]["exit"].as_i64().map(|exit| exit as i32), loud.code);
}

#[test]
fn several_plans_are_one_below_the_other_and_a_request_is_of_one_sync() {
    let project = project();
    let plans = project.backhaul(&["plan", BOTH[0], BOTH[1]]).expect(0).stdout;
    let heads: Vec<&str> = plans.lines().filter(|line| line.contains(" → outbox ")).collect();
    assert_eq!(heads, ["vip-full → outbox vip", "vip-changes → outbox vip_changes"]);
    assert!(plans.contains("\n\nvip-changes → "), "{plans}");
    project.backhaul(&["plan", BOTH[0], BOTH[1], "--request", "1001"]).expect(64).says(&["name one sync"]);
}
