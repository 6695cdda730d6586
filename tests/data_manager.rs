//! An audience at the stand-in of Google Data Manager, through the whole program: hashes, jobs, shared identifiers.

use std::collections::BTreeSet;
use std::time::Duration;

use backhaul_connectors::destinations::google_data_manager::sandbox;
use backhaul_kit::Sandbox;
use backhaul_kit::normalise::person;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::warehouse::Warehouse;

/// A project whose people go to a stand-in in this process.
struct Ads {
    warehouse: Warehouse,
    project: Project,
    google: Box<dyn Sandbox>,
    _runtime: Runtime,
}

impl Ads {
    /// So many people, numbered from 1, each with an address and none with a telephone.
    fn new(rows: u32) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let google = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            sandbox::kind().start(listener, &[]).await.expect("a running stand-in")
        });
        let warehouse = Warehouse::sqlite();
        warehouse.execute(&format!(
            "create table people (id integer primary key, email text, phone text, ads text default 'yes');
             with recursive n(id) as (select 1 union all select id + 1 from n where id < {rows})
             insert into people (id, email) select id, 'p' || id || '@example.com' from n;"
        ));
        let mut project = Project::new(&warehouse);
        project.set_variable("GOOGLE_KEY", &google.token());
        let account = format!(
            "service_account = {{ env = \"GOOGLE_KEY\" }}\naccount = \"111-222-3333\"\n\
             customer_match_terms = \"accepted\"\nbase_url = \"{}\"\ntimeout = \"1s\"\n",
            google.url()
        );
        project.append("backhaul.toml", &format!("\n[destinations.ads]\ntype = \"google-data-manager\"\n{account}"));
        project.write("models/people.toml", &model("select * from people", "id"));
        let into =
            "[into]\naudience = \"987\"\nmode = \"audience\"\n\n[fields]\nemail = \"email\"\nphone = \"phone\"\n";
        let signal = "{ column = \"ads\", granted = [\"yes\"] }";
        let consent = format!("[consent]\nad_user_data = {signal}\nad_personalization = {signal}\n");
        project.write(&sync_file(), &format!("model = \"people\"\ndestination = \"ads\"\n\n{into}\n{consent}"));
        Self { warehouse, project, google, _runtime: runtime }
    }

    fn set(&self, key: &str, value: &str) {
        self.google.set(key, value).expect("a setting");
    }

    /// The hashes on the list.
    fn members(&self) -> BTreeSet<String> {
        let records = self.google.records();
        let list = records["user_lists"]["987"].as_object().into_iter().flatten();
        list.map(|(identifier, _)| identifier.split('"').nth(3).expect("a hash").to_owned()).collect()
    }

    /// The list has these, and nobody else.
    fn assert_members(&self, people: &[&str]) {
        assert_eq!(self.members(), people.iter().map(|text| hash(text)).collect());
    }
}

/// The hash of what is its own normal form.
fn hash(text: &str) -> String {
    person::sha256(text, false, |text| Ok(text.to_owned())).expect("no hash").expect("not empty")
}

#[test]
fn members_come_change_and_go_with_their_rows_and_nobody_is_named() {
    let ads = Ads::new(4);
    ads.project.run().expect(0).says(&["4 accepted"]).hides(&["p1@example.com"]);
    ads.assert_members(&["p1@example.com", "p2@example.com", "p3@example.com", "p4@example.com"]);
    let calls = ads.google.calls();
    ads.project.run().expect(0);
    assert_eq!(ads.google.calls(), calls, "nothing is sent where nothing changed");
    ads.warehouse.execute(
        "update people set email = 'new@example.com' where id = 2; delete from people where id = 3;
         insert into people (id, phone) values (5, '+1 650 555 1212');",
    );
    let request = ads.project.backhaul(&["plan", SYNC, "--request", "2"]).expect(0);
    request.says(&["audienceMembers:remove", &hash("p2@example.com"), &hash("new@example.com")]);
    ads.project.run().expect(0).says(&["3 accepted"]);
    ads.assert_members(&["p1@example.com", "new@example.com", "p4@example.com", "+16505551212"]);
}

#[test]
fn who_withdraws_consent_leaves_the_list_and_google_is_told_what_the_others_gave() {
    let ads = Ads::new(3);
    ads.warehouse.execute("update people set ads = null where id = 3");
    ads.project.run().expect(0).says(&["2 accepted"]);
    let granted = json!({ "adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED" });
    let records = ads.google.records();
    let list = records["user_lists"]["987"].as_object().expect("members");
    assert!(list.len() == 2 && list.values().all(|consent| *consent == granted), "{list:?}");
    ads.warehouse.execute("update people set ads = 'no' where id = 2");
    ads.project.run().expect(0);
    ads.assert_members(&["p1@example.com"]);
    // Who does not ask for consent speaks of none.
    let signal = "{ column = \"ads\", granted = [\"yes\"] }";
    let asked = format!("ad_user_data = {signal}\nad_personalization = {signal}\n");
    ads.project.edit(&sync_file(), &asked, "");
    ads.project.backhaul(&["validate", "--offline"]).expect(78);
    ads.project.edit(
        &sync_file(),
        "[consent]",
        "[consent]\nnone = \"nobody here lives in the European Economic Area\"",
    );
    ads.project.run().expect(0);
    let records = ads.google.records();
    assert_eq!(
        records["user_lists"]["987"][format!("{{\"emailAddress\":\"{}\"}}", hash("p3@example.com"))],
        Value::Null
    );
    assert_eq!(ads.members().len(), 3);
}

#[test]
fn what_two_share_stays_until_the_second_leaves() {
    let ads = Ads::new(3);
    ads.warehouse.execute("update people set phone = '+1 650 555 1212' where id < 3");
    ads.project.run().expect(0);
    ads.warehouse.execute("delete from people where id = 1");
    ads.project.run().expect(0);
    ads.assert_members(&["p2@example.com", "p3@example.com", "+16505551212"]);
    ads.warehouse.execute("delete from people where id = 2");
    ads.project.run().expect(0);
    ads.assert_members(&["p3@example.com"]);
}

#[test]
fn a_change_that_is_taken_back_unheard_and_a_row_that_leaves_unheard_end_as_the_model_has_them() {
    let ads = Ads::new(3);
    ads.project.run().expect(0);
    // The old address is taken out, and no answer comes through.
    ads.warehouse.execute("update people set email = 'second' || id || '@example.com' where id < 3");
    ads.set("lose_next", "1000");
    ads.project.run().expect(75);
    ads.set("lose_next", "0");
    ads.assert_members(&["p3@example.com"]);
    ads.warehouse.execute("update people set email = 'p1@example.com' where id = 1; delete from people where id = 2");
    ads.project.run().expect(0);
    ads.assert_members(&["p1@example.com", "p3@example.com"]);
}

#[test]
fn a_run_that_is_killed_asks_after_its_request_and_makes_no_second_one() {
    let ads = Ads::new(3);
    ads.set("processing", "3600000");
    let run = ads.project.start(&["run", SYNC]);
    while ads.google.calls() < 3 {
        std::thread::sleep(Duration::from_millis(5));
    }
    // The ticket is on disk before the request is asked after.
    run.kill();
    assert_eq!(ads.members(), BTreeSet::new());
    ads.set("work", "now");
    let calls = ads.google.calls();
    ads.project.run().expect(0).says(&["3 accepted"]);
    assert_eq!(ads.members().len(), 3);
    assert!(ads.google.calls() - calls <= 3, "checks and questions, and no request");
}

#[test]
fn of_a_request_that_was_done_in_part_the_others_are_accepted_and_the_one_is_listed_with_its_reason() {
    let ads = Ads::new(9);
    ads.set("drop", &hash("p7@example.com"));
    ads.set("drop_reason", "DENIED_CONSENT");
    ads.project.run().expect(75).says(&["8 accepted"]);
    ads.project.backhaul(&["rejects", "list", SYNC]).expect(0).says(&["DENIED_CONSENT"]);
    assert_eq!(ads.members().len(), 8);
    // It is not tried at every run, and the others never again.
    let calls = ads.google.calls();
    ads.set("drop", "");
    ads.warehouse.execute("update people set email = 'seven@example.com' where id = 7");
    ads.project.run().expect(0).says(&["1 accepted"]);
    assert!(ads.members().contains(&hash("seven@example.com")));
    assert!(ads.google.calls() > calls);
}

#[test]
fn doctor_tells_a_scope_too_few_and_one_too_many_and_the_smallest_grant() {
    let ads = Ads::new(1);
    let scope = "https://www.googleapis.com/auth/datamanager";
    ads.set("scopes", "openid");
    ads.project.run().expect(4).says(&[scope]);
    ads.project.backhaul(&["doctor", SYNC]).says(&["missing", scope]);
    ads.set("scopes", &format!("{scope},https://www.googleapis.com/auth/adwords"));
    ads.project.backhaul(&["doctor", SYNC]).says(&["auth/adwords", "1112223333"]);
    ads.set("terms", "open");
    ads.project.run().expect(78).says(&["accept the terms of Customer Match"]);
    assert_eq!(ads.members(), BTreeSet::new());
}
