//! What people entrust to a sync stays out of everything that the program says and keeps.

use std::path::Path;

use crate::support::customers::Customers;
use crate::support::program::Finished;
use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::sandbox::Sandbox;
use crate::support::warehouse::Warehouse;

const PEOPLE: i64 = 1_000;

/// The first of the needles that stands in `hay`.
fn found<'n>(hay: &[u8], needles: &'n [String]) -> Option<&'n str> {
    let text = String::from_utf8_lossy(hay);
    needles.iter().map(String::as_str).find(|needle| text.contains(needle))
}

/// Every file below `folder`, with what it holds.
fn files(folder: &Path, each: &mut impl FnMut(&Path, &[u8])) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, each);
        } else {
            each(&path, &std::fs::read(&path).expect("a file"));
        }
    }
}

#[test]
fn a_thousand_addresses_and_a_secret_are_in_no_output_trace_error_or_file_of_the_state() {
    let warehouse = Warehouse::sqlite();
    let mut project = Project::new(&warehouse);
    let table = "\n[destinations.crm]\ntype = \"hubspot\"\ntoken = { env = \"HUBSPOT_TOKEN\" }\nbase_url = \"BASE\"\n";
    project.append("backhaul.toml", table);
    project.write("models/customers.toml", &model("select * from customers where email is not null", "id"));
    let sync = "model = \"customers\"\ndestination = \"crm\"\n\n[into]\nobject = \"contacts\"\nmode = \"upsert\"\n\
                match = \"email\"\nremoved = \"archive\"\n\n[fields]\nemail = \"email\"\nfirstname = \"name\"\n";
    project.write(&sync_file(), sync);
    let mut customers = Customers::new(PEOPLE * 7 / 6);
    let secret = "canary-58d1-of-the-token";
    let sandbox = Sandbox::start(
        &project,
        &["hubspot", "--set", &format!("token={secret}"), "--reject", "3%", "--latency", "100ms"],
    );
    project.edit("backhaul.toml", "BASE", &sandbox.url);
    project.set_variable("HUBSPOT_TOKEN", secret);
    let mut needles: Vec<String> = customers.rows.values().filter_map(|row| row.email.clone()).collect();
    assert!(needles.len() >= 1_000, "{} addresses", needles.len());
    needles.push(secret.to_owned());

    let said = |what: &[&str], ended: Finished| {
        for text in [&ended.stdout, &ended.stderr] {
            assert_eq!(found(text.as_bytes(), &needles), None, "{what:?}");
        }
        ended
    };
    let kept = |when: &str| {
        let mut seen = 0;
        files(&project.path(".backhaul"), &mut |path, bytes| {
            seen += 1;
            assert_eq!(found(bytes, &needles), None, "{when}: {}", path.display());
        });
        assert!(seen > 2, "{seen} files of the state were looked at");
    };
    let ask = |arguments: &[&str]| said(arguments, project.backhaul(arguments));
    customers.publish(&warehouse, None);
    for command in [
        &["-vv", "plan", SYNC, "--sample", "50"][..],
        &["-vv", "run", SYNC],
        &["rejects", "list", SYNC, "--limit", "100"],
        &["status", "--output", "json"],
        &["doctor", SYNC],
    ] {
        ask(command);
    }
    kept("after a run");

    // Changed and removed rows, an address that is none, a run that is killed in the middle of it all.
    customers.set_plan(1..=300, "canary");
    customers.remove(400..=420);
    customers.publish(&warehouse, None);
    warehouse.execute("update customers set name = name || '!' where id < 600;");
    let mut running = project.start(&["-vv", "run", SYNC]);
    let runs = project.state().join("syncs").join(SYNC).join("runs");
    let delivers = || {
        let folders = std::fs::read_dir(&runs).into_iter().flatten().flatten();
        folders.map(|run| run.path().join("log")).any(|log| log.exists())
    };
    while running.is_running() && !delivers() {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    running.kill();
    assert!(delivers(), "the plan and the log of the killed run are there to be looked at");
    kept("after a kill");
    ask(&["-vv", "run", SYNC]);
    kept("after going on");

    // Rows that fail, and a credential that is not there.
    warehouse.execute("update customers set email = email || ' and more' where id < 4;");
    ask(&["-vv", "run", SYNC]);
    project.edit("backhaul.toml", "HUBSPOT_TOKEN", "OTHER_TOKEN");
    ask(&["-vv", "run", SYNC]);
    kept("in the end");
}
