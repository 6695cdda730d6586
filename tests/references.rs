//! Contacts that refer to companies and to each other, at the stand-in of HubSpot, through the whole program.

use std::collections::BTreeMap;

use backhaul_connectors::destinations::hubspot::sandbox;
use backhaul_kit::Sandbox;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::program::Finished;
use crate::support::project::{Project, model};
use crate::support::warehouse::Warehouse;

const PROPERTIES: &str = "companies.no:string:unique,contacts.customer_id:string:unique,\
                          contacts.company_id:string,contacts.manager_id:string";

/// Where the company of a contact comes from.
const BY_REF: &str = "company_id = { ref = \"companies\", column = \"company\", missing = \"wait\" }\n";
const BY_LOOKUP: &str = "company_id = { lookup = \"companies\", by = \"no\", column = \"company\" }\n";
const MANAGER: &str = "manager_id = { ref = \"self\", column = \"manager\", missing = \"wait\" }\n";

/// A project whose companies and people go to a stand-in in this process.
struct Crm {
    warehouse: Warehouse,
    project: Project,
    hubspot: Box<dyn Sandbox>,
    _runtime: Runtime,
}

impl Crm {
    /// `fields` of the people beside `customer_id` and `email`.
    fn new(fields: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let hubspot = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let settings = [("properties".to_owned(), PROPERTIES.to_owned())];
            sandbox::kind().start(listener, &settings).await.expect("a running stand-in")
        });
        let warehouse = Warehouse::sqlite();
        warehouse.execute(
            "create table companies (no text primary key, name text);
             create table people (id integer primary key, email text, company text, manager integer);",
        );
        let mut project = Project::new(&warehouse);
        project.set_variable("HUBSPOT_TOKEN", &hubspot.token());
        let account =
            format!("token = {{ env = \"HUBSPOT_TOKEN\" }}\nbase_url = \"{}\"\ntimeout = \"1s\"\n", hubspot.url());
        project.append("backhaul.toml", &format!("\n[destinations.crm]\ntype = \"hubspot\"\n{account}"));
        project.write("models/companies.toml", &model("select * from companies", "no"));
        project.write("models/people.toml", &model("select * from people", "id"));
        project.write("syncs/companies.toml", &sync("companies", "companies", "no", "no = \"no\"\nname = \"name\"\n"));
        let fields = format!("customer_id = \"id\"\nemail = \"email\"\n{fields}");
        project.write("syncs/people.toml", &sync("people", "contacts", "customer_id", &fields));
        Self { warehouse, project, hubspot, _runtime: runtime }
    }

    /// People without a company, each with their manager.
    fn hire(&self, people: impl IntoIterator<Item = (i64, Option<i64>)>) {
        let rows: Vec<String> = people
            .into_iter()
            .map(|(id, manager)| {
                let manager = manager.map_or("null".to_owned(), |manager| manager.to_string());
                format!("({id}, 'p{id}@example.com', null, {manager})")
            })
            .collect();
        self.warehouse.execute(&format!("insert into people values {}", rows.join(", ")));
    }

    fn run(&self, sync: &str) -> Finished {
        self.project.backhaul(&["run", sync])
    }

    /// The runs that `run SYNC` has made, as a program sees them.
    fn runs(&self, sync: &str) -> Vec<Value> {
        let told = self.project.backhaul(&["run", sync, "--output", "json"]).json();
        told["runs"].as_array().expect("runs").clone()
    }

    /// Every live record of an object by the value of `name`: its id and properties.
    fn records(&self, object: &str, name: &str) -> BTreeMap<String, (String, Value)> {
        let records = self.hubspot.records();
        let records = records[object].as_object().cloned().unwrap_or_default();
        let named = |(id, properties): (String, Value)| {
            let value = properties[name].as_str().expect("a value").to_owned();
            (value, (id, properties))
        };
        let count = records.len();
        let records: BTreeMap<_, _> = records.into_iter().map(named).collect();
        assert_eq!(records.len(), count, "two records of one {name}");
        records
    }

    /// Who manages whom at HubSpot. Every manager was made before those who have them.
    fn managers(&self) -> BTreeMap<i64, Option<i64>> {
        let people = self.records("contacts", "customer_id");
        let number = |text: &str| text.parse::<i64>().expect("a number");
        let by_id: BTreeMap<&str, i64> = people.iter().map(|(who, (id, _))| (id.as_str(), number(who))).collect();
        let manager =
            |properties: &Value| properties["manager_id"].as_str().filter(|id| !id.is_empty()).map(str::to_owned);
        people
            .iter()
            .map(|(who, (id, properties))| {
                let manager = manager(properties);
                if let Some(manager) = &manager {
                    assert!(number(manager) < number(id), "{who} was there before the manager");
                }
                (number(who), manager.map(|manager| by_id[manager.as_str()]))
            })
            .collect()
    }
}

fn sync(model: &str, object: &str, matched: &str, fields: &str) -> String {
    format!(
        "model = \"{model}\"\ndestination = \"crm\"\n\n[into]\nobject = \"{object}\"\nmode = \"upsert\"\n\
         match = \"{matched}\"\n\n[fields]\n{fields}"
    )
}

#[test]
fn who_refers_to_another_sync_waits_for_it_and_goes_out_by_itself() {
    let crm = Crm::new(BY_REF);
    crm.warehouse.execute(
        "insert into companies values ('c1', 'Acme');
         insert into people values (1, 'ada@example.com', 'c1', null), (2, 'bob@example.com', 'c2', null),
             (3, 'cy@example.com', null, null);",
    );
    crm.project.backhaul(&["plan", "people"]).expect(0).says(&["2 waiting for a record that they refer to", "1 added"]);
    crm.run("people").expect(0).says(&["1 accepted", "2 waiting"]);
    crm.project.backhaul(&["rejects", "list"]).expect(0).hides(&["people"]);
    crm.run("companies").expect(0);
    crm.run("people").expect(0).says(&["1 accepted", "1 waiting"]);

    let companies = crm.records("companies", "no");
    let people = crm.records("contacts", "customer_id");
    assert_eq!(people.keys().collect::<Vec<_>>(), ["1", "3"]);
    assert_eq!(people["1"].1["company_id"], companies["c1"].0.as_str());
    let calls = crm.hubspot.calls();
    crm.run("people").expect(0).says(&["1 waiting"]);
    assert_eq!(crm.hubspot.calls(), calls, "it waits without a call");
    crm.warehouse.execute("insert into companies values ('c2', 'Init')");
    crm.run("companies").expect(0);
    crm.run("people").expect(0).says(&["1 accepted"]).hides(&["waiting"]);
    let second = crm.records("companies", "no")["c2"].0.clone();
    assert_eq!(crm.records("contacts", "customer_id")["2"].1["company_id"], second.as_str());
}

#[test]
fn records_are_looked_up_once_a_run_and_a_missing_one_is_a_reject_that_heals() {
    let crm = Crm::new(BY_LOOKUP);
    crm.warehouse.execute("insert into companies values ('c1', 'Acme'), ('c2', 'Init')");
    crm.run("companies").expect(0);
    crm.warehouse.execute(
        "with recursive n(id) as (select 1 union all select id + 1 from n where id < 300)
         insert into people select id, 'p' || id || '@example.com', 'c' || (1 + id % 3), null from n",
    );
    crm.project.backhaul(&["plan", "people"]).expect(0).says(&["3 values looked up at the destination", "200 added"]);
    // The first of them is told to come back.
    for (key, value) in [("throttle_next", "1"), ("retry_after", "0")] {
        crm.hubspot.set(key, value).expect("a setting");
    }
    let first = crm.run("people").expect(3);
    first.says(&["200 accepted", "100 rejected"]);
    crm.project.backhaul(&["rejects", "list", "people"]).expect(0).says(&["REFERENCE_MISSING", "company_id"]);
    let companies = crm.records("companies", "no");
    let people = crm.records("contacts", "customer_id");
    assert!(people.iter().all(|(who, (_, properties))| {
        let no = format!("c{}", 1 + who.parse::<u32>().expect("a number") % 3);
        properties["company_id"] == companies[&no].0.as_str()
    }));

    crm.warehouse.execute("insert into companies values ('c3', 'Soylent')");
    crm.run("companies").expect(0);
    let runs = crm.runs("people");
    let counts = &runs[0]["counts"];
    assert_eq!((&counts["accepted"], &counts["looked_up"]), (&100.into(), &1.into()), "{counts}");
    assert_eq!(crm.records("contacts", "customer_id").len(), 300);
    let calls = crm.hubspot.calls();
    crm.run("people").expect(0);
    assert_eq!(crm.hubspot.calls(), calls, "nothing changed: nothing is looked up");
}

#[test]
fn managers_go_first_and_those_below_them_in_the_runs_behind() {
    let crm = Crm::new(MANAGER);
    let tree: BTreeMap<i64, Option<i64>> =
        (1..=400).rev().map(|id| (id, (id > 1).then(|| id / 7 + 1).filter(|m| *m != id))).collect();
    crm.hire(tree.clone());
    crm.hire([(900, Some(901))]);
    let runs = crm.runs("people");
    assert_eq!(crm.managers(), tree);
    let counts =
        |name: &str| runs.iter().map(|run| run["counts"][name].as_u64().expect("a number")).collect::<Vec<_>>();
    assert_eq!(counts("accepted").iter().sum::<u64>(), 400, "nobody was sent twice");
    assert!(counts("next_wave").windows(2).all(|pair| pair[0] > pair[1]), "{:?}", counts("next_wave"));
    assert_eq!((counts("next_wave").last(), counts("waiting").last()), (Some(&0), Some(&1)));
    assert!(runs.len() >= 4, "{} waves", runs.len());
    assert_eq!(crm.runs("people").len(), 1, "who waits for nobody of this plan makes no further run");

    crm.warehouse.execute("update people set manager = 3 where id = 400");
    crm.hire([(901, Some(2))]);
    crm.run("people").expect(0);
    let managers = crm.managers();
    assert_eq!((managers[&400], managers[&900], managers[&901]), (Some(3), Some(901), Some(2)));
}

#[test]
fn a_ring_stops_the_run_with_its_keys_and_nothing_is_sent() {
    let crm = Crm::new(MANAGER);
    crm.hire([(1, None), (4711, Some(4712)), (4712, Some(4713)), (4713, Some(4711)), (5, Some(4711))]);
    let calls = crm.hubspot.calls();
    let refused = crm.run("people").expect(78);
    refused.says(&["3 rows of model `people` refer to each other in a ring", "reference-ring"]).hides(&["4711"]);
    assert!(crm.records("contacts", "customer_id").is_empty());
    assert!(crm.hubspot.calls() - calls <= 4, "who are we, and what is there");
    crm.warehouse.execute("update people set manager = null where id = 4711");
    crm.run("people").expect(0);
    assert_eq!(crm.managers().len(), 5);
}

#[test]
fn a_record_that_is_there_gets_what_changed_of_it_and_no_more() {
    let crm = Crm::new(BY_LOOKUP);
    crm.warehouse.execute(
        "insert into companies values ('c1', 'Acme'), ('c2', 'Init');
         insert into people values (1, 'ada@example.com', 'c1', null), (2, 'bob@example.com', 'c1', null);",
    );
    crm.run("companies").expect(0);
    crm.run("people").expect(0);
    crm.project.edit("syncs/people.toml", "mode = \"upsert\"", "mode = \"update\"");
    crm.run("people").expect(0).says(&["nothing to send"]);
    crm.warehouse.execute("update people set company = 'c2' where id = 2");
    let second = crm.records("companies", "no")["c2"].0.clone();
    let request = crm.project.backhaul(&["plan", "people", "--request", "2"]).expect(0);
    request.says(&[&format!("\"company_id\":\"{second}\"")]).hides(&["bob@example.com", "\"email\""]);
    crm.run("people").expect(0).says(&["1 accepted"]);
    let people = crm.records("contacts", "customer_id");
    assert_eq!((&people["2"].1["company_id"], &people["2"].1["email"]), (&second.into(), &"bob@example.com".into()));
    let whole = crm.project.backhaul(&["run", "people", "--full"]).expect(0);
    whole.says(&["2 accepted"]);
    assert_eq!(crm.records("contacts", "customer_id"), people);
}

#[test]
fn a_run_that_is_killed_between_or_within_waves_is_made_good_by_the_next() {
    let tree: BTreeMap<i64, Option<i64>> = (1..=60).map(|id| (id, (id > 1).then_some(id / 2))).collect();
    for failpoint in [
        "run::in_scan",
        "plan::before_rename",
        "deliver::before_send",
        "deliver::after_send",
        "run::in_record",
        "settle::gathered",
        "manifest::after_rename",
        "run::in_done",
    ] {
        for wave in [1, 3] {
            let mut crm = Crm::new(&format!("{BY_REF}{MANAGER}"));
            crm.hire(tree.clone());
            crm.project.set_variable("FAILPOINT_KILL", &format!("{failpoint}={wave}"));
            let killed = crm.run("people");
            assert_eq!(killed.signal, Some(9), "{failpoint} was not passed {wave} times\n{}", killed.stdout);
            crm.project.set_variable("FAILPOINT_KILL", "");
            crm.run("people");
            crm.run("people").expect(0);
            assert_eq!(crm.managers(), tree, "{failpoint}, wave {wave}");
        }
    }
}
