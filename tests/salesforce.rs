//! Accounts at the stand-in of Salesforce: by calls and by jobs, through the whole program.

use std::time::Duration;

use backhaul_connectors::destinations::salesforce::sandbox;
use backhaul_kit::Sandbox;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::warehouse::Warehouse;

/// A project whose accounts go to a stand-in in this process.
struct Crm {
    warehouse: Warehouse,
    project: Project,
    salesforce: Box<dyn Sandbox>,
    _runtime: Runtime,
}

impl Crm {
    /// `rows` accounts, numbered from 1; `into` is a part of `[into]`.
    fn new(rows: u32, into: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let salesforce = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let rights = [(String::from("rights"), String::from("create,edit,delete"))];
            sandbox::kind().start(listener, &rights).await.expect("a running stand-in")
        });
        let warehouse = Warehouse::sqlite();
        warehouse.execute(&format!(
            "create table accounts (id text primary key, name text, plan text);
             with recursive n(id) as (select 1 union all select id + 1 from n where id < {rows})
             insert into accounts select 'a' || id, 'Account ' || id, 'free' from n;"
        ));
        let mut project = Project::new(&warehouse);
        project.set_variable("SALESFORCE_SECRET", &salesforce.token());
        // After a call whose fate is open its rows are left alone for as long as a call may take.
        let account = format!(
            "domain = \"acme.my.salesforce.com\"\nbase_url = \"{}\"\nclient_id = \"sandbox-app\"\n\
             client_secret = {{ env = \"SALESFORCE_SECRET\" }}\ntimeout = \"1s\"\n",
            salesforce.url()
        );
        project.append("backhaul.toml", &format!("\n[destinations.crm]\ntype = \"salesforce\"\n{account}"));
        project.write("models/accounts.toml", &model("select * from accounts", "id"));
        let fields = "Ext_Id__c = \"id\"\nName = \"name\"\nPlan__c = \"plan\"\n";
        let sync = "model = \"accounts\"\ndestination = \"crm\"\n\n[into]\nobject = \"Account\"\nmode = \"upsert\"\n";
        project.write(&sync_file(), &format!("{sync}{into}\n[fields]\n{fields}"));
        Self { warehouse, project, salesforce, _runtime: runtime }
    }

    fn set(&self, key: &str, value: &str) {
        self.salesforce.set(key, value).expect("a setting");
    }

    fn records(&self) -> Vec<Value> {
        self.salesforce.records()["Account"].as_object().expect("accounts").values().cloned().collect()
    }

    /// The plan of each account, by its number.
    fn plans(&self) -> Vec<(u32, String)> {
        let number =
            |row: &Value| row["Ext_Id__c"].as_str().and_then(|id| id[1..].parse().ok()).expect("a match value");
        let plan = |row: &Value| row["Plan__c"].as_str().unwrap_or_default().to_owned();
        let mut plans: Vec<(u32, String)> = self.records().iter().map(|row| (number(row), plan(row))).collect();
        plans.sort();
        plans
    }

    fn assert_as(&self, expected: impl IntoIterator<Item = (u32, &'static str)>) {
        let expected: Vec<(u32, String)> = expected.into_iter().map(|(id, plan)| (id, plan.to_owned())).collect();
        assert_eq!(self.plans(), expected);
    }

    /// How many calls a run makes.
    fn calls_of_a_run(&self) -> u64 {
        let before = self.salesforce.calls();
        self.project.run().expect(0);
        self.salesforce.calls() - before
    }
}

/// Waits for the stand-in to have answered so many calls.
fn wait_for_calls(crm: &Crm, calls: u64) {
    while crm.salesforce.calls() < calls {
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn only_what_changed_reaches_salesforce_and_who_left_is_deleted() {
    let crm = Crm::new(450, "removed = \"delete\"\n");
    // A token, who we are, the object; then 200, 200 and 50 rows.
    assert_eq!(crm.calls_of_a_run(), 3 + 3);
    crm.assert_as((1..=450).map(|id| (id, "free")));
    assert_eq!(crm.calls_of_a_run(), 0);
    crm.warehouse.execute(
        "update accounts set plan = 'pro' where id in ('a2', 'a3');
         update accounts set plan = null where id = 'a4';
         insert into accounts values ('a451', 'New', 'free');
         delete from accounts where id = 'a5';",
    );
    assert_eq!(crm.calls_of_a_run(), 3 + 2);
    let plan = |id| match id {
        2 | 3 => "pro",
        4 => "",
        _ => "free",
    };
    crm.assert_as((1..=451).filter(|id| *id != 5).map(|id| (id, plan(id))));
}

#[test]
fn a_large_run_goes_by_jobs_and_its_records_are_known_again() {
    let crm = Crm::new(450, "removed = \"delete\"\nbulk_above = 400\n");
    // A token, who we are, the object; the job is made, filled, asked after and closed, asked after; three results.
    assert_eq!(crm.calls_of_a_run(), 3 + 2 + 2 + 1 + 3);
    crm.assert_as((1..=450).map(|id| (id, "free")));
    crm.warehouse.execute("update accounts set plan = 'pro' where id = 'a7'; delete from accounts where id = 'a8';");
    // A small run: two calls, and the record that goes is known by its id.
    assert_eq!(crm.calls_of_a_run(), 3 + 2);
    crm.assert_as((1..=450).filter(|id| *id != 8).map(|id| (id, if id == 7 { "pro" } else { "free" })));
}

#[test]
fn a_run_that_is_killed_with_a_job_under_way_goes_on_asking_after_it() {
    let crm = Crm::new(450, "bulk_above = 400\n");
    crm.set("stuck", "1");
    let run = crm.project.start(&["run", SYNC]);
    // The job is closed.
    wait_for_calls(&crm, 3 + 2 + 2);
    run.kill();
    crm.set("stuck", "0");
    let before = crm.salesforce.calls();
    crm.project.run().expect(0).says(&["450 accepted"]);
    crm.assert_as((1..=450).map(|id| (id, "free")));
    // A token, who we are, the object; the job is asked after; three results: no other job is made. Then a run of its
    // own, which has nothing to send.
    assert_eq!(crm.salesforce.calls() - before, 3 + 1 + 3 + 2);
}

#[test]
fn a_row_that_salesforce_refuses_is_kept_alone_with_its_words_by_call_and_by_job() {
    for (into, words) in [("", "Required fields are missing: [Name]"), ("bulk_above = 200\n", "REQUIRED_FIELD_MISSING")]
    {
        let crm = Crm::new(205, into);
        crm.warehouse.execute("update accounts set name = null where id = 'a3';");
        crm.project.run().expect(3).says(&["204 accepted", "1 rejected"]);
        let rejects = crm.project.backhaul(&["rejects", "show", SYNC, "a3", "--reveal"]).expect(0);
        rejects.says(&["REQUIRED_FIELD_MISSING", words]);
        crm.warehouse.execute("update accounts set name = 'Ada' where id = 'a3';");
        crm.project.run().expect(0);
        crm.assert_as((1..=205).map(|id| (id, "free")));
    }
}

#[test]
fn lost_answers_locks_throttling_and_failed_jobs_make_no_second_record() {
    let crm = Crm::new(250, "");
    for (setting, count) in [("lose_next", "1"), ("throttle_next", "2"), ("lock_next", "3"), ("fail_next", "1")] {
        crm.set(setting, count);
    }
    crm.project.run().expect(0).says(&["250 accepted"]);
    crm.assert_as((1..=250).map(|id| (id, "free")));
    let crm = Crm::new(500, "bulk_above = 200\n");
    for (setting, count) in [("fail_jobs", "1"), ("lock_next", "3"), ("drop_rows", "2")] {
        crm.set(setting, count);
    }
    crm.project.run().expect(0).says(&["500 accepted"]);
    crm.assert_as((1..=500).map(|id| (id, "free")));
}

#[test]
fn an_expired_session_is_renewed_and_a_wrong_credential_stops_before_anything_is_sent() {
    let crm = Crm::new(3, "");
    crm.project.run().expect(0);
    crm.warehouse.execute("update accounts set plan = 'pro';");
    crm.set("expire_tokens", "");
    crm.project.run().expect(0);
    crm.assert_as((1..=3).map(|id| (id, "pro")));
    crm.set("token", "another");
    crm.warehouse.execute("update accounts set plan = 'max';");
    crm.project.run().expect(4).says(&["invalid_client"]).hides(&["sandbox-secret", "another"]);
    crm.assert_as((1..=3).map(|id| (id, "pro")));
}

#[test]
fn missing_rights_and_unknown_fields_are_told_before_anything_is_written() {
    let crm = Crm::new(2, "removed = \"delete\"\n");
    crm.set("rights", "create,edit");
    crm.set("closed", "Account.Plan__c");
    let said =
        ["delete on Account", "edit on Account.Plan__c", "one permission set: read, create, edit, delete on Account"];
    crm.project.run().expect(4).says(&said);
    crm.set("rights", "create,edit,delete");
    crm.set("closed", "");
    crm.project.edit(&sync_file(), "Plan__c = \"plan\"", "Plam__c = \"plan\"");
    crm.project.run().expect(78).says(&["has no field `Plam__c`", "did you mean `Plan__c`?"]);
    crm.project.edit(&sync_file(), "Plam__c = \"plan\"", "Plan__c = \"plan\"");
    crm.project.edit(&sync_file(), "mode = \"upsert\"", "mode = \"upsert\"\nmatch = \"Name\"");
    crm.project.run().expect(78).says(&["rows cannot be matched by `Name`"]);
    assert_eq!(crm.salesforce.records()["Account"], json!({}));
}

#[test]
fn nothing_is_sent_once_our_share_of_the_days_calls_is_used_up() {
    let crm = Crm::new(450, "");
    crm.project.edit("backhaul.toml", "timeout = \"1s\"", "timeout = \"1s\"\nquota = \"50%\"");
    crm.set("daily_limit", "100");
    // Who we are, and the object, are the last two of ours; five are kept for calls under way.
    crm.set("used", "43");
    let before = crm.salesforce.calls();
    crm.project.run().expect(75);
    assert_eq!((crm.salesforce.calls() - before, crm.records().len()), (3, 0));
    crm.set("used", "0");
    crm.project.run().expect(0);
    crm.assert_as((1..=450).map(|id| (id, "free")));
}

#[test]
fn owners_are_looked_up_by_their_address_and_two_of_one_address_are_none() {
    let crm = Crm::new(4, "");
    for email in ["ada@example.com", "twin@example.com", "twin@example.com"] {
        crm.set("insert", &format!("User:Email={email}"));
    }
    crm.warehouse.execute(
        "alter table accounts add column owner text;
         update accounts set owner = 'ADA@example.com' where id in ('a1', 'a2');
         update accounts set owner = 'twin@example.com' where id = 'a3';
         update accounts set owner = 'nobody@example.com' where id = 'a4';",
    );
    let owner = "\n[fields.OwnerId]\nlookup = \"User\"\nby = \"Email\"\ncolumn = \"owner\"\nmissing = \"reject\"\n";
    crm.project.append(&sync_file(), owner);
    crm.project.run().expect(3).says(&["2 accepted", "2 rejected"]);
    let owners: Vec<Value> = crm.records().iter().map(|row| row["OwnerId"].clone()).collect();
    assert_eq!(owners, [json!("005000000000000AAA"), json!("005000000000000AAA")]);
}
