//! The projects in `syncs/` are what they say: they load without a warning, fit their schemas, plan and run.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use backhaul_kit::normalise::person::{self, GOOGLE};
use serde_json::{Value, json};

use crate::support::project::Project;
use crate::support::sandbox::{Sandbox, get_json};
use crate::support::schema::assert_fits;
use crate::support::warehouse::{Warehouse, execute_sqlite};

const EXAMPLES: [&str; 7] = [
    "accounts-to-salesforce",
    "audience-to-google",
    "customers-to-hubspot",
    "events-to-mixpanel",
    "orders-to-http",
    "scores-to-postgres",
    "segments-to-files",
];

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("syncs").join(name)
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A copy of an example, with its `shop.db` where it has a `shop.sql`.
fn example(name: &str) -> Project {
    let project = Project::copy_of(&folder(name));
    let tables = project.path("shop.sql");
    if tables.exists() {
        execute_sqlite(&project.path("shop.db"), &text(&tables));
    }
    project
}

/// The counts of a sync's plan.
fn planned(project: &Project, sync: &str) -> Value {
    let plan = project.backhaul(&["plan", sync, "--output", "json"]).expect(0).json();
    plan["plans"][0]["counts"].clone()
}

#[test]
fn every_folder_is_an_example_that_these_tests_know() {
    let mut found: Vec<String> = std::fs::read_dir(folder(""))
        .expect("the examples")
        .flatten()
        .filter(|entry| entry.path().join("backhaul.toml").exists())
        .map(|entry| entry.file_name().into_string().expect("a plain name"))
        .collect();
    found.sort();
    assert_eq!(found, EXAMPLES);
}

#[test]
fn the_committed_schemas_are_those_that_the_program_prints() {
    let project = Project::empty();
    for file in ["backhaul", "model", "sync"] {
        let committed = folder("schema").join(format!("{file}.schema.json"));
        let printed = project.backhaul(&["schema", file]).expect(0).stdout;
        assert!(
            printed == text(&committed),
            "the schema has changed; write it anew: cargo run -- schema {file} > syncs/schema/{file}.schema.json"
        );
    }
}

#[test]
fn the_pages_of_destinations_are_what_the_program_says_of_them() {
    let project = Project::empty();
    for kind in backhaul_connectors::destinations() {
        let name = kind.name;
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/destinations").join(format!("{name}.md"));
        let printed = project.backhaul(&["connectors", "show", name, "--output", "markdown"]).expect(0).stdout;
        assert!(
            printed == std::fs::read_to_string(&page).unwrap_or_default(),
            "write it anew: backhaul connectors show {name} --output markdown > docs/destinations/{name}.md"
        );
    }
}

#[test]
fn every_file_names_its_schema_and_fits_it() {
    for name in EXAMPLES {
        assert_fits(&folder(name).join("backhaul.toml"), "backhaul.schema.json");
        for (inner, schema) in [("models", "model.schema.json"), ("syncs", "sync.schema.json")] {
            let files: Vec<_> = std::fs::read_dir(folder(name).join(inner)).expect("a folder").flatten().collect();
            assert!(!files.is_empty(), "{name} has no {inner}");
            files.iter().for_each(|file| assert_fits(&file.path(), schema));
        }
    }
}

#[test]
fn every_example_loads_without_a_warning() {
    for name in EXAMPLES {
        match backhaul::config::load(&folder(name)) {
            Ok(project) => assert!(project.warnings.is_empty(), "{name}: {:?}", project.warnings),
            Err(problems) => panic!("{name}: {}", backhaul::config::render(&problems, false)),
        }
        example(name).backhaul(&["validate", "--offline"]).expect(0).says(&["no problems"]);
    }
}

#[test]
fn accounts_reach_salesforce_from_the_top_down_each_with_its_owner() {
    let mut project = example("accounts-to-salesforce");
    let sandbox = start_sandbox(&project, "salesforce");
    project.set_variable("BACKHAUL_SECRET_SALESFORCE_SECRET", &sandbox.token);
    project.edit("backhaul.toml", "http://127.0.0.1:8084", &sandbox.url);
    let run = |code| project.backhaul(&["run", "accounts-crm"]).expect(code);
    // Every account as [its number, its parent's, its owner's address], in the order in which they were made.
    let accounts = || {
        let records = sandbox.records();
        let made: Vec<Value> = records["Account"].as_object().expect("accounts").values().cloned().collect();
        let of =
            |object: &str, id: &Value, field: &str| records[object][id.as_str().unwrap_or_default()][field].clone();
        let told = made.iter().map(|account| {
            let parent = of("Account", &account["ParentId"], "Account_Id__c");
            json!([account["Account_Id__c"], parent, of("User", &account["OwnerId"], "Email")])
        });
        told.collect::<Vec<Value>>()
    };

    project.backhaul(&["validate"]).expect(0).hides(&["warning"]);
    project.backhaul(&["plan", "accounts-crm"]).expect(0).says(&["3 waiting for a record that they refer to"]);
    run(3).says(&["1 accepted, 1 rejected, 3 waiting"]);
    let group = [
        json!(["2003", null, "ada@example.com"]),
        json!(["2002", "2003", "bob@example.com"]),
        json!(["2001", "2002", "ada@example.com"]),
    ];
    assert_eq!(accounts(), group);
    project.backhaul(&["rejects", "list", "accounts-crm"]).expect(0).says(&["REFERENCE_MISSING", "OwnerId"]);
    run(0).says(&["1 withheld, 1 waiting, 0 calls"]);

    execute_sqlite(
        &project.path("shop.db"),
        "update accounts set owner_email = 'bob@example.com' where account_id = 2005",
    );
    run(0);
    let holding = [json!(["2005", null, "bob@example.com"]), json!(["2004", "2005", "bob@example.com"])];
    assert_eq!(accounts(), [&group[..], &holding].concat());
    run(0).says(&["nothing to send, 0 calls"]);
}

#[test]
fn only_who_may_be_sent_is_in_the_audience_and_who_may_no_longer_leaves_it() {
    let mut project = example("audience-to-google");
    let sandbox = start_sandbox(&project, "google-data-manager");
    project.set_variable("BACKHAUL_SECRET_GOOGLE_KEY", &sandbox.token);
    project.edit("backhaul.toml", "http://127.0.0.1:8083", &sandbox.url);
    let run = |told: &str| project.backhaul(&["run", "customers-audience"]).expect(0).says(&[told]).hides(&["@"]);
    // The list has these addresses and telephones, and all of them came with both signals.
    let granted = json!({ "adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED" });
    let assert_members = |expected: &[&str]| {
        let expected: BTreeSet<String> = expected.iter().map(|text| identifier(text)).collect();
        let records = sandbox.records();
        let list = records["user_lists"]["987"].as_object().expect("the list");
        assert_eq!(list.keys().cloned().collect::<BTreeSet<String>>(), expected);
        assert!(list.values().all(|consent| *consent == granted), "{list:?}");
    };

    project.backhaul(&["validate"]).expect(0).hides(&["warning"]);
    // Of ten, two did not give both consents, two are on the list, and two are held out: 1001 and 1007.
    run("4 accepted");
    assert_members(&[
        "ben.costa@example.com",
        "elif.yilmaz@example.com",
        "+442079460958",
        "+353209100123",
        "zoe.nakamura@example.com",
    ]);
    run("nothing to send, 0 calls");

    execute_sqlite(
        &project.path("shop.db"),
        "update customers set consent_ads = 'denied' where customer_id = 1004;
         insert into do_not_contact values (3, null, '+353 20 9100123')",
    );
    run("2 accepted");
    assert_members(&["ben.costa@example.com", "zoe.nakamura@example.com"]);
}

/// What finds a person at Google, as the stand-in shows it.
fn identifier(text: &str) -> String {
    let is_email = text.contains('@');
    let hash = person::sha256(text, false, |text| if is_email { GOOGLE.email(text) } else { GOOGLE.phone(text) });
    let hash = hash.expect("an identifier").expect("not empty");
    format!("{{\"{}\":\"{hash}\"}}", if is_email { "emailAddress" } else { "phoneNumber" })
}

#[test]
fn customers_reach_the_stand_in_of_hubspot_that_the_readme_starts() {
    let mut project = example("customers-to-hubspot");
    let Sandbox { url, token, .. } = &start_sandbox(&project, "hubspot");
    project.set_variable("BACKHAUL_SECRET_HUBSPOT_TOKEN", token);
    project.edit("backhaul.toml", "http://127.0.0.1:8081", url);

    project.backhaul(&["validate"]).expect(0).hides(&["warning"]);
    assert_eq!(planned(&project, "customers-crm")["added"], 10);
    project.backhaul(&["run", "customers-crm"]).expect(0).says(&["10 accepted"]);

    execute_sqlite(&project.path("shop.db"), "update customers set plan = 'pro' where customer_id = 1002");
    let request = project.backhaul(&["plan", "customers-crm", "--request", "1002"]).expect(0);
    request.says(&["/crm/v3/objects/contacts/batch/upsert", "ben.costa@example.com"]).hides(&[token]);
    project.backhaul(&["run", "customers-crm"]).expect(0).says(&["1 accepted"]);
    execute_sqlite(&project.path("shop.db"), "delete from customers where customer_id = 1003");
    project.backhaul(&["run", "customers-crm"]).expect(0).says(&["1 accepted"]);
    assert_eq!(planned(&project, "customers-crm")["unchanged"], 9);
}

/// The stand-in as `syncs/README.md` starts it, but on a free port.
fn start_sandbox(project: &Project, vendor: &str) -> Sandbox {
    let readme = text(&folder("README.md"));
    let command = format!("backhaul sandbox {vendor} ");
    let line = readme.lines().find_map(|line| line.strip_prefix(&command)).expect("a command that starts the stand-in");
    // What stands behind the arguments is the shell's.
    let line = line.split(['>', '&']).next().unwrap_or_default().trim_end();
    let words = line.split(' ').map(|word| word.trim_matches('\''));
    let words: Vec<&str> = words.map(|word| if word.parse::<u16>().is_ok() { "0" } else { word }).collect();
    Sandbox::start(project, &[&[vendor], &words[..]].concat())
}

#[test]
fn orders_become_events_of_mixpanel_and_customers_its_profiles() {
    let mut project = example("events-to-mixpanel");
    let sandbox = start_sandbox(&project, "mixpanel");
    project.set_variable("BACKHAUL_SECRET_MIXPANEL_TOKEN", &sandbox.token);
    project.edit("backhaul.toml", "http://127.0.0.1:8082", &sandbox.url);
    let run = |rows: &[&str]| project.backhaul(&["run", "order-events", "customer-profiles"]).expect(0).says(rows);

    project.backhaul(&["validate"]).expect(0).hides(&["warning"]);
    let request = project.backhaul(&["plan", "customer-profiles", "--request", "c-1001"]).expect(0);
    request.says(&["/engage", "anna.becker@example.com", "mixpanel-token"]).hides(&[&sandbox.token]);
    run(&["3 accepted"]);
    run(&[]);
    let records = sandbox.records();
    let events = records["events"].as_object().expect("events");
    let first = events.values().find(|event| event["properties"]["total"] == 129.9).expect("the first order");
    let mut first = first["properties"].clone();
    first.as_object_mut().expect("properties").remove("$insert_id").expect("an insert id");
    let expected = json!({
        "time": 1_763_453_520_000_i64, "distinct_id": "c-1001", "ip": 0, "total": 129.9, "currency": "EUR"
    });
    assert_eq!((first, events.len()), (expected, 3));
    assert_eq!(records["profiles"]["c-1003"], json!({ "plan": "starter" }));

    execute_sqlite(
        &project.path("shop.db"),
        "update orders set paid_at = '2025-11-20T07:30:00Z', loaded_at = '2025-11-20T07:45:00Z' where order_id = 70004;
         update orders set total = 1, loaded_at = '2025-11-20T07:45:00Z' where order_id = 70003;
         delete from customers where customer_id = 'c-1002'",
    );
    // The third order was sent before; the first two are older than the cursor looks back.
    let planned = planned(&project, "order-events");
    assert_eq!((&planned["rows"], &planned["added"], &planned["ignored"]), (&json!(2), &json!(1), &json!(1)));
    run(&["1 accepted"]);
    let records = sandbox.records();
    assert_eq!(records["events"].as_object().map(serde_json::Map::len), Some(4));
    let left: Vec<&String> = records["profiles"].as_object().expect("profiles").keys().collect();
    assert_eq!(left, ["c-1001", "c-1003"]);
}

#[test]
fn segments_become_a_set_and_a_file_of_changes() {
    let project = example("segments-to-files");
    project.backhaul(&["validate"]).expect(0).hides(&["warning"]);
    for sync in ["vip-full", "vip-changes"] {
        assert_eq!(planned(&project, sync)["added"], 3, "{sync}");
    }
    project.backhaul(&["run", "vip-full", "vip-changes"]).expect(0);
    let set = || text(&project.path("outbox/vip.jsonl"));
    assert_eq!(set().lines().count(), 3);

    execute_sqlite(
        &project.path("shop.db"),
        "update customers set lifetime_value = 4500 where customer_id = 1003; delete from customers where customer_id = 1001",
    );
    project.backhaul(&["run", "vip-full", "vip-changes"]).expect(0);
    assert!(set().contains("carla.dubois") && !set().contains("anna.becker"), "{}", set());
    let mut changes: Vec<String> = std::fs::read_dir(project.path("outbox"))
        .expect("the outbox")
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "csv"))
        .flat_map(|path| text(&path).lines().skip(1).map(str::to_owned).collect::<Vec<_>>())
        .map(|line| line.split(',').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    changes.sort();
    assert_eq!(changes, ["add 1001", "add 1003", "add 1004", "add 1006", "remove 1001"]);
}

#[test]
fn scores_go_into_a_table_that_refuses_what_is_no_score() {
    let Some(shop) = Warehouse::postgres() else { return };
    let mut project = example("scores-to-postgres");
    shop.execute(&text(&project.path("target.sql")));
    project.set_variable("BACKHAUL_SECRET_SHOP_URL", &shop.url().expect("a URL"));

    project.backhaul(&["validate"]).expect(0).hides(&["warning"]);
    project.backhaul(&["run", "scores-shop"]).expect(0).says(&["4 accepted"]);
    shop.execute("update crm.customer_scores set seen = true");
    execute_sqlite(
        &project.path("shop.db"),
        "update scores set score = 1.5 where customer_id = 1001; update scores set segment = 'new' where customer_id = 1003;
         delete from scores where customer_id = 1002",
    );
    project.backhaul(&["run", "scores-shop"]).expect(3).says(&["2 accepted", "1 rejected"]);
    project.backhaul(&["rejects", "list", "scores-shop"]).expect(0).says(&["23514"]);
    let as_they_should_be = "select 1 from crm.customer_scores where seen and (customer_id, segment, score) in
        ((1001, 'vip', 0.91), (1003, 'new', 0.4), (1004, 'vip', 0.88))";
    shop.assert_count(as_they_should_be, 3);
    shop.assert_count(
        "select 1 from crm.customer_scores where reasons = '[\"orders\"]' and scored_on = '2026-11-24'",
        1,
    );
    shop.assert_count("select 1 from crm.customer_scores", 3);
}

#[test]
fn orders_go_from_postgresql_to_the_api_of_the_example() {
    let Some(warehouse) = Warehouse::postgres() else { return };
    let mut project = example("orders-to-http");
    warehouse.execute(&text(&project.path("orders.sql")));
    let api = OrdersApi::start();
    project.set_variable("BACKHAUL_SECRET_WAREHOUSE_URL", &warehouse.url().expect("a URL"));
    project.set_variable("BACKHAUL_SECRET_FULFILMENT_TOKEN", "any");
    project.edit("backhaul.toml", "127.0.0.1:8080", &format!("127.0.0.1:{}", api.port));

    project.backhaul(&["validate"]).expect(0);
    assert_eq!(planned(&project, "orders-fulfilment")["added"], 5);
    project.backhaul(&["run", "orders-fulfilment"]).expect(0).says(&["5 accepted"]);
    let first = json!({
        "id": 70001, "status": "paid", "total": 129.9, "currency": "EUR",
        "ship": { "city": "Berlin", "email": "anna.becker@example.com" }, "placed_at": "2026-11-18T08:12:00Z"
    });
    assert_eq!(api.orders()[0], first);

    warehouse.execute(
        "update marts.open_orders set status = 'lost' where order_id = 70004;
         delete from marts.open_orders where order_id = 70002",
    );
    project.backhaul(&["run", "orders-fulfilment"]).expect(3).says(&["1 accepted", "1 rejected"]);
    project.backhaul(&["rejects", "list", "orders-fulfilment"]).expect(0).says(&["UNKNOWN_STATUS"]);
    let ids: Vec<Value> = api.orders().iter().map(|order| order["id"].clone()).collect();
    assert_eq!(ids, [70001, 70003, 70004, 70005]);
}

/// The example's API, a process of its own; dropping it stops it.
struct OrdersApi {
    child: Child,
    port: u16,
}

impl OrdersApi {
    fn start() -> Self {
        let program = Path::new(env!("CARGO_BIN_EXE_backhaul")).with_file_name("examples").join("orders-api");
        assert!(program.is_file(), "{} is not built: run `cargo build --example orders-api`", program.display());
        let mut child = Command::new(program).arg("0").stdout(Stdio::piped()).spawn().expect("the API starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a piped stdout")).read_line(&mut line).expect("its first line");
        let port = line.trim().rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port");
        Self { child, port }
    }

    fn orders(&self) -> Vec<Value> {
        serde_json::from_value(get_json(self.port, "/orders")).expect("a list")
    }
}

impl Drop for OrdersApi {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
