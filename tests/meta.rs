//! An audience at the stand-in of Meta: people in by their hashes, and out by those that they were sent as.

use std::time::Duration;

use backhaul_connectors::destinations::meta::sandbox::MetaSandbox;
use backhaul_kit::{Sandbox, SandboxKind as _};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::warehouse::Warehouse;

/// A project whose people go to a stand-in in this process.
struct Ads {
    warehouse: Warehouse,
    project: Project,
    meta: Box<dyn Sandbox>,
    _runtime: Runtime,
}

impl Ads {
    /// `rows` people, numbered from 1, so many in a call.
    fn new(rows: u32, rows_per_call: u32) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let meta = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            MetaSandbox.start(listener, &[]).await.expect("a running stand-in")
        });
        let warehouse = Warehouse::sqlite();
        warehouse.execute(&format!(
            "create table people (id integer primary key, email text, name text, limited integer);
             with recursive n(id) as (select 1 union all select id + 1 from n where id < {rows})
             insert into people select id, 'p' || id || '@example.com', 'Ann', 0 from n;"
        ));
        let mut project = Project::new(&warehouse);
        project.set_variable("META_TOKEN", &meta.token());
        // After a call whose fate is open its rows are left alone for as long as a call may take.
        let account = format!(
            "token = {{ env = \"META_TOKEN\" }}\nad_account = \"act_1234567890\"\nbase_url = \"{}\"\ntimeout = \"1s\"\n\
             rows_per_call = {rows_per_call}\n",
            meta.url()
        );
        project.append("backhaul.toml", &format!("\n[destinations.ads]\ntype = \"meta\"\n{account}"));
        project.write("models/people.toml", &model("select * from people", "id"));
        let sync =
            "model = \"people\"\ndestination = \"ads\"\n\n[into]\naudience = \"23851234567890\"\nmode = \"audience\"\n";
        let fields = "EXTERN_ID = \"id\"\nEMAIL = \"email\"\nLN = \"name\"\n\
                      DATA_PROCESSING_OPTIONS = { column = \"limited\", as = \"boolean\" }\n";
        project.write(&sync_file(), &format!("{sync}\n[fields]\n{fields}"));
        Self { warehouse, project, meta, _runtime: runtime }
    }

    fn set(&self, key: &str, value: &str) {
        self.meta.set(key, value).expect("a setting");
    }

    fn members(&self) -> Vec<Value> {
        self.meta.records()["members"].as_object().expect("members").values().cloned().collect()
    }

    /// The ids of the members, in order.
    fn ids(&self) -> Vec<u32> {
        let id = |member: &Value| member["EXTERN_ID"].as_str().and_then(|id| id.parse().ok()).expect("an id");
        let mut ids: Vec<u32> = self.members().iter().map(id).collect();
        ids.sort_unstable();
        ids
    }

    fn member(&self, id: u32) -> Value {
        let id = id.to_string();
        self.members().into_iter().find(|member| member["EXTERN_ID"] == id).expect("a member")
    }

    /// What the sessions did, in how many batches, and whether the last was marked.
    fn sessions(&self) -> Vec<(String, u64, bool)> {
        let records = self.meta.records();
        let sessions = records["sessions"].as_object().expect("sessions").values();
        let session = |session: &Value| {
            let (did, over) = (session["did"].as_str().expect("words").to_owned(), session["over"] == true);
            (did, session["batches"].as_u64().expect("a number"), over)
        };
        let mut sessions: Vec<_> = sessions.map(session).collect();
        sessions.sort();
        sessions
    }

    /// How many calls a run makes.
    fn calls_of_a_run(&self) -> u64 {
        let before = self.meta.calls();
        self.project.run().expect(0);
        self.meta.calls() - before
    }
}

#[test]
fn only_what_changed_reaches_meta_and_who_left_is_taken_out() {
    let ads = Ads::new(250, 100);
    // Whose audience is it, what may the token do: two calls; then three batches of one session.
    assert_eq!(ads.calls_of_a_run(), 2 + 3);
    assert_eq!(ads.ids(), (1..=250).collect::<Vec<_>>());
    assert_eq!(ads.sessions(), [("add".to_owned(), 3, true)]);
    assert_eq!(ads.calls_of_a_run(), 0);
    let before = ads.member(2);
    ads.warehouse.execute(
        "update people set email = 'new@example.com' where id = 2;
         update people set limited = 1 where id = 3;
         insert into people values (251, 'p251@example.com', 'Eve', 0);
         delete from people where id in (4, 5);",
    );
    // One out and in, two out, and an addition and a change in.
    assert_eq!(ads.calls_of_a_run(), 2 + 2 + 1 + 1);
    assert_eq!(ads.ids(), (1..=251).filter(|id| ![4, 5].contains(id)).collect::<Vec<_>>());
    assert_ne!(ads.member(2)["EMAIL"], before["EMAIL"]);
    let limited = |id| ads.member(id)["DATA_PROCESSING_OPTIONS"].clone();
    assert_eq!((limited(2), limited(3)), (json!([]), json!(["LDU"])));
    assert!(!ads.meta.records().to_string().contains("example.com"), "nothing goes in clear");
    assert_eq!(ads.calls_of_a_run(), 0);
    let sessions = [("add", 1, true), ("add", 1, true), ("add", 3, true), ("remove", 1, true), ("remove", 1, true)];
    assert_eq!(ads.sessions(), sessions.map(|(did, batches, over)| (did.to_owned(), batches, over)));
}

#[test]
fn who_shares_an_address_with_a_member_who_leaves_stays() {
    let ads = Ads::new(6, 100);
    ads.warehouse.execute("update people set email = 'family@example.com' where id in (1, 2);");
    ads.project.edit(&sync_file(), "EXTERN_ID = \"id\"\n", "");
    ads.project.run().expect(0);
    assert_eq!(ads.members().len(), 5, "two of them are one person");
    ads.warehouse.execute("delete from people where id in (1, 6);");
    ads.project.run().expect(0);
    assert_eq!(ads.members().len(), 4);
    ads.warehouse.execute("delete from people where id = 2;");
    ads.project.run().expect(0);
    assert_eq!(ads.members().len(), 3);
}

#[test]
fn a_row_that_meta_counts_as_invalid_is_found_and_kept_and_the_others_are_in() {
    let ads = Ads::new(60, 60);
    ads.set("reject", "EXTERN_ID=7,EXTERN_ID=40");
    ads.warehouse.execute("update people set email = 'nobody' where id = 9;");
    ads.project.run().expect(3).says(&["57 accepted", "3 rejected"]);
    let rejects = ads.project.backhaul(&["rejects", "list", SYNC]).expect(0);
    rejects.says(&["INVALID_ENTRY", "INVALID_EMAIL"]);
    assert_eq!(ads.ids(), (1..=60).filter(|id| ![7, 9, 40].contains(id)).collect::<Vec<_>>());
    ads.set("reject", "");
    ads.warehouse.execute("update people set email = 'p9@example.com' where id = 9;");
    ads.project.run().expect(0);
    assert_eq!(ads.ids(), (1..=60).collect::<Vec<_>>());
}

#[test]
fn lost_answers_and_throttling_leave_the_audience_as_the_model() {
    let ads = Ads::new(50, 20);
    ads.set("lose_next", "1");
    ads.set("throttle_next", "1");
    ads.project.run().expect(0).says(&["50 accepted"]);
    assert_eq!(ads.ids(), (1..=50).collect::<Vec<_>>());
    ads.set("lose_next", "2");
    ads.warehouse.execute("delete from people where id < 4; update people set email = 'q' || email where id > 45;");
    ads.project.run().expect(0);
    assert_eq!(ads.ids(), (4..=50).collect::<Vec<_>>());
    assert_eq!(ads.members().len(), 47);
}

/// Whoever may have been put in by a call of which no answer came is taken out as each of the forms that were sent.
#[test]
fn a_change_of_which_no_answer_came_leaves_neither_form_behind() {
    let ads = Ads::new(3, 20);
    ads.project.edit(&sync_file(), "EXTERN_ID = \"id\"\n", "");
    ads.project.run().expect(0);
    ads.warehouse.execute("update people set email = 'new@example.com' where id = 1;");
    ads.set("lose_next", "1000");
    ads.project.run().expect(75);
    ads.set("lose_next", "0");
    ads.warehouse.execute("delete from people where id = 1;");
    ads.project.run().expect(0);
    assert_eq!(ads.members().len(), 2);
}

#[test]
fn a_token_that_is_revoked_in_mid_run_stops_it_and_the_next_run_sends_the_rest() {
    let ads = Ads::new(100, 5);
    ads.set("latency", "20");
    let run = ads.project.start(&["run", SYNC]);
    while ads.meta.calls() < 8 {
        std::thread::sleep(Duration::from_millis(2));
    }
    let token = ads.meta.token();
    ads.set("token", "another-token");
    run.finish().expect(4).says(&["code 190", "make a new one"]).hides(&[&token]);
    let there = ads.ids().len();
    assert!(there > 0 && there < 100, "{there} members");
    ads.set("token", &token);
    ads.set("latency", "0");
    ads.project.run().expect(0);
    assert_eq!(ads.ids(), (1..=100).collect::<Vec<_>>());
}

#[test]
fn a_run_that_is_killed_goes_on() {
    let ads = Ads::new(100, 5);
    ads.set("latency", "20");
    let run = ads.project.start(&["run", SYNC]);
    while ads.meta.calls() < 8 {
        std::thread::sleep(Duration::from_millis(2));
    }
    run.kill();
    ads.set("latency", "0");
    ads.project.run().expect(0);
    assert_eq!(ads.ids(), (1..=100).collect::<Vec<_>>());
}

#[test]
fn doctor_tells_what_a_token_lacks_and_has_beyond_need_and_the_smallest_grant() {
    let ads = Ads::new(2, 100);
    ads.project.backhaul(&["doctor"]).expect(0).says(&["act_1234567890"]);
    ads.set("scopes", "ads_management,business_management");
    ads.project.backhaul(&["doctor"]).expect(0).says(&["business_management", "ADVERTISE"]);
    ads.set("scopes", "ads_read,business_management");
    ads.project.backhaul(&["doctor"]).expect(4).says(&["ads_management", "business_management", "ADVERTISE"]);
    ads.project.run().expect(4).says(&["ads_management"]);
    assert_eq!(ads.members(), [] as [Value; 0]);
}
