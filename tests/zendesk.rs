//! Users, organizations and tickets at the stand-in of Zendesk: jobs that end later, through the whole program.

use std::collections::BTreeSet;
use std::time::Duration;

use backhaul_connectors::destinations::zendesk::sandbox;
use backhaul_kit::Sandbox;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::warehouse::Warehouse;

const USERS: &str = "object = \"users\"\nmode = \"upsert\"\nmatch = \"external_id\"\n";
const USER: &str = "external_id = \"id\"\nname = \"name\"\nemail = \"email\"\n\"user_fields.plan\" = \"plan\"\n";

/// A project whose customers go to a stand-in in this process.
struct Desk {
    warehouse: Warehouse,
    project: Project,
    zendesk: Box<dyn Sandbox>,
    _runtime: Runtime,
}

impl Desk {
    /// A desk with `rows` customers, numbered from 1, and a sync of these lines.
    fn new(rows: u32, settings: &[(&str, &str)], into: &str, fields: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let zendesk = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            sandbox::kind().start(listener, &settings).await.expect("a running stand-in")
        });
        let warehouse = Warehouse::sqlite();
        warehouse.execute(&format!(
            "create table people (id integer primary key, name text, email text, plan text);
             with recursive n(id) as (select 1 union all select id + 1 from n where id < {rows})
             insert into people select id, 'P ' || id, 'p' || id || '@example.com', 'free' from n;"
        ));
        let mut project = Project::new(&warehouse);
        project.set_variable("ZENDESK_TOKEN", &zendesk.token());
        // After a call or job whose fate is open its rows are left alone for as long as a call may take.
        let account = "subdomain = \"acme\"\ntoken = { env = \"ZENDESK_TOKEN\" }\ntimeout = \"1s\"\n";
        let account = format!("type = \"zendesk\"\n{account}base_url = \"{}\"\n", zendesk.url());
        project.append("backhaul.toml", &format!("\n[destinations.support]\n{account}"));
        project.write("models/people.toml", &model("select * from people", "id"));
        let sync = "model = \"people\"\ndestination = \"support\"\n\n[into]\n";
        project.write(&sync_file(), &format!("{sync}{into}\n[fields]\n{fields}"));
        Self { warehouse, project, zendesk, _runtime: runtime }
    }

    fn users(rows: u32, settings: &[(&str, &str)]) -> Self {
        Self::new(rows, settings, &format!("{USERS}removed = \"delete\"\n"), USER)
    }

    fn set(&self, key: &str, value: &str) {
        self.zendesk.set(key, value).expect("a setting");
    }

    /// The records of an object.
    fn records(&self, object: &str) -> Vec<Value> {
        let records = self.zendesk.records();
        records[object].as_object().into_iter().flat_map(|all| all.values().cloned()).collect()
    }

    /// The user of a row; null where there is none.
    fn user(&self, row: u32) -> Value {
        let row = row.to_string();
        self.records("users").into_iter().find(|user| user["external_id"] == row).unwrap_or_default()
    }

    /// One user for each of these rows, and no other.
    fn assert_rows(&self, rows: impl IntoIterator<Item = u32>) {
        let users = self.records("users");
        let external_id = |user: &Value| user["external_id"].as_str().and_then(|id| id.parse().ok()).expect("a number");
        let there: BTreeSet<u32> = users.iter().map(external_id).collect();
        assert_eq!((there, users.len()), {
            let rows: BTreeSet<u32> = rows.into_iter().collect();
            (rows.clone(), rows.len())
        });
    }
}

#[test]
fn only_what_changed_reaches_zendesk_and_who_left_is_deleted() {
    let desk = Desk::users(250, &[("job_time", "300")]);
    desk.project.run().expect(0).says(&["250 accepted"]);
    desk.assert_rows(1..=250);
    let calls = desk.zendesk.calls();
    desk.project.run().expect(0);
    assert_eq!(desk.zendesk.calls(), calls, "nothing changed");
    desk.warehouse.execute(
        "update people set plan = 'pro' where id in (2, 3); delete from people where id = 4;
         insert into people values (251, 'P 251', 'p251@example.com', 'free');
         update people set id = 1005 where id = 5;",
    );
    desk.project.run().expect(0);
    desk.assert_rows((1..=3).chain(6..=251).chain([1005]));
    assert_eq!(desk.user(2)["user_fields"], json!({ "plan": "pro" }));
}

#[test]
fn a_changed_external_id_keeps_its_user() {
    let match_by_code = "external_id = \"name\"\nemail = \"email\"\nname = \"plan\"\n";
    let desk = Desk::new(3, &[], &format!("{USERS}removed = \"delete\"\n"), match_by_code);
    desk.project.run().expect(0);
    desk.warehouse.execute("update people set name = 'moved' where id = 2;");
    desk.project.run().expect(0);
    let named: Vec<Value> = desk.records("users").iter().map(|user| user["external_id"].clone()).collect();
    assert_eq!(named, [json!("P 1"), json!("moved"), json!("P 3")]);
}

#[test]
fn a_row_that_the_job_refuses_is_kept_alone_with_its_words() {
    let desk = Desk::users(150, &[("job_time", "100")]);
    desk.warehouse.execute("update people set email = 'nonsense' where id = 30;");
    desk.project.run().expect(3).says(&["149 accepted", "1 rejected"]);
    desk.assert_rows((1..=150).filter(|id| *id != 30));
    let rejects = desk.project.backhaul(&["rejects", "show", SYNC, "30", "--reveal"]).expect(0);
    rejects.says(&["RecordInvalid", "nonsense is not properly formatted"]);
    desk.warehouse.execute("update people set email = 'p30@example.com' where id = 30;");
    desk.project.run().expect(0);
    desk.assert_rows(1..=150);
}

#[test]
fn lost_throttled_failed_and_forgotten_jobs_end_in_one_user_each() {
    let faults =
        [("lose_next", "1"), ("throttle_next", "1"), ("fail_next", "1"), ("fail_jobs_next", "1"), ("forget_next", "1")];
    let desk = Desk::users(700, &faults);
    // What became of the forgotten job cannot be known in this run.
    desk.project.run().expect(75).says(&["600 accepted", "100 in doubt"]);
    desk.project.run().expect(0).says(&["100 accepted"]);
    desk.assert_rows(1..=700);
}

#[test]
fn the_accounts_limit_of_jobs_is_kept() {
    let desk = Desk::users(1000, &[("max_jobs", "2"), ("job_time", "200")]);
    desk.project.run().expect(0).says(&["1,000 accepted"]);
    desk.assert_rows(1..=1000);
}

#[test]
fn a_run_that_is_killed_asks_after_its_jobs_and_goes_on() {
    let desk = Desk::users(900, &[("job_time", "3000")]);
    let run = desk.project.start(&["run", SYNC]);
    // Who are we, which scopes, which fields; then jobs and questions after them.
    while desk.zendesk.calls() < 8 {
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill();
    desk.set("job_time", "0");
    desk.project.run().expect(0);
    desk.assert_rows(1..=900);
}

#[test]
fn a_token_that_is_revoked_in_mid_run_stops_it_and_the_next_run_sends_the_rest() {
    let desk = Desk::users(900, &[("job_time", "1500")]);
    let run = desk.project.start(&["run", SYNC]);
    while desk.zendesk.calls() < 7 {
        std::thread::sleep(Duration::from_millis(2));
    }
    desk.set("token", "another");
    // Whose jobs are still open has not ended: the next run goes on with it, and fails as this one does.
    run.finish().expect(4).says(&["401"]).hides(&["sandbox-token"]);
    desk.project.run().expect(4).says(&["401"]);
    desk.set("token", "sandbox-token");
    // The run that was stopped ends with what it had begun, and another one sends the rest.
    desk.project.run().says(&["accepted"]);
    desk.assert_rows(1..=900);
    desk.project.run().expect(0);
}

#[test]
fn what_the_credential_lacks_and_the_account_does_not_have_is_told_before_a_write() {
    let desk = Desk::users(3, &[("scopes", "read,write,impersonate")]);
    let doctor = desk.project.backhaul(&["doctor", SYNC]);
    doctor.says(&["impersonate", "users:write"]);
    desk.set("scopes", "read");
    desk.project.run().expect(4).says(&["users:write"]);
    desk.set("scopes", "read,users:write");
    desk.set("fields", "plans");
    desk.project.run().expect(78).says(&["user_fields.plan", "did you mean `user_fields.plans`?"]);
    desk.set("fields", "plan");
    desk.set("imports", "off");
    desk.project.run().expect(78).says(&["bulk imports", "support"]);
    desk.project.edit(&sync_file(), "name = \"name\"", "role = \"name\"");
    desk.project.backhaul(&["validate", "--offline"]).expect(78).says(&["agent or an admin"]);
    assert_eq!(desk.zendesk.records(), json!({}));
}

#[test]
fn organizations_go_one_by_one_and_tickets_by_their_ids() {
    let into = "object = \"organizations\"\nmode = \"upsert\"\nmatch = \"external_id\"\nremoved = \"delete\"\n";
    let desk = Desk::new(12, &[("lose_next", "1")], into, "external_id = \"id\"\nname = \"name\"\n");
    desk.project.run().expect(0).says(&["12 accepted"]);
    desk.warehouse.execute("delete from people where id > 10; update people set name = 'Acme' where id = 1;");
    desk.project.run().expect(0);
    let organizations = desk.records("organizations");
    let acme = json!({ "external_id": "1", "name": "Acme" });
    assert!(organizations.len() == 10 && organizations.contains(&acme), "{organizations:?}");

    let into = "object = \"tickets\"\nmode = \"update\"\nmatch = \"id\"\n";
    let fields = "id = \"id\"\npriority = { value = \"high\" }\n\"custom_fields.27642\" = \"plan\"\n";
    let desk = Desk::new(4, &[("tickets", "3")], into, fields);
    desk.project.run().expect(3).says(&["3 accepted", "1 rejected"]);
    let ticket = json!({ "status": "open", "priority": "high", "custom_fields": { "27642": "free" } });
    assert_eq!(desk.records("tickets"), vec![ticket; 3]);
}
