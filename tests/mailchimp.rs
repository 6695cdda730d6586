//! Members at the stand-in of Mailchimp: jobs of operations, through the whole program.

use std::time::Duration;

use backhaul_connectors::destinations::mailchimp::sandbox;
use backhaul_kit::Sandbox;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::warehouse::Warehouse;

const ARCHIVING: &str =
    "object = \"members\"\nmode = \"upsert\"\nstatus_if_new = \"subscribed\"\nremoved = \"archive\"\n";
const STATED: &str = "object = \"members\"\nmode = \"upsert\"\n";
const SEGMENT: &str = "object = \"segment\"\nsegment = 123\nmode = \"audience\"\n";
const PLAN: &str = "\"merge_fields.PLAN\" = \"plan\"\n";

/// A project whose people go to a stand-in in this process.
struct Newsletter {
    warehouse: Warehouse,
    project: Project,
    mailchimp: Box<dyn Sandbox>,
    _runtime: Runtime,
}

impl Newsletter {
    /// A newsletter with `rows` people, numbered from 1.
    fn new(rows: u32, into: &str, fields: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let mailchimp = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            sandbox::kind().start(listener, &[]).await.expect("a running stand-in")
        });
        let warehouse = Warehouse::sqlite();
        warehouse.execute(&format!(
            "create table people (id integer primary key, email text, plan text, status text);
             with recursive n(id) as (select 1 union all select id + 1 from n where id < {rows})
             insert into people select id, 'P' || id || '@example.com', 'free', 'subscribed' from n;"
        ));
        let mut project = Project::new(&warehouse);
        project.set_variable("MAILCHIMP_KEY", &mailchimp.token());
        let account =
            format!("key = {{ env = \"MAILCHIMP_KEY\" }}\nbase_url = \"{}\"\ntimeout = \"2s\"\n", mailchimp.url());
        project.append("backhaul.toml", &format!("\n[destinations.newsletter]\ntype = \"mailchimp\"\n{account}"));
        project.write("models/people.toml", &model("select * from people", "id"));
        let newsletter = Self { warehouse, project, mailchimp, _runtime: runtime };
        newsletter.write_sync(into, fields);
        newsletter
    }

    fn write_sync(&self, into: &str, fields: &str) {
        let sync = "model = \"people\"\ndestination = \"newsletter\"\n\n[into]\nlist = \"abc123\"\nmatch = \"email_address\"\n";
        let address = "email_address = { column = \"email\", as = \"email\" }\n";
        self.project.write(&sync_file(), &format!("{sync}{into}\n[fields]\n{address}{fields}"));
    }

    fn set(&self, key: &str, value: &str) {
        self.mailchimp.set(key, value).expect("a setting");
    }

    /// State and plan of the members who are not archived, by the number in their address.
    fn members(&self) -> Vec<(u32, String, String)> {
        let records = self.mailchimp.records();
        let members = records["members"].as_object().expect("members").iter();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut members: Vec<_> = members
            .filter(|(_, member)| member["status"] != "archived")
            .map(|(address, member)| (number(address), text(&member["status"]), text(&member["merge_fields"]["PLAN"])))
            .collect();
        members.sort();
        members
    }

    /// The members are subscribed, and of these plans.
    fn assert_as(&self, expected: impl IntoIterator<Item = (u32, &'static str)>) {
        let expected: Vec<_> =
            expected.into_iter().map(|(id, plan)| (id, String::from("subscribed"), plan.to_owned())).collect();
        assert_eq!(self.members(), expected);
    }
}

fn number(address: &str) -> u32 {
    let digits: String = address.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("a number")
}

#[test]
fn only_what_changed_reaches_mailchimp_and_who_left_is_archived() {
    let newsletter = Newsletter::new(10, ARCHIVING, PLAN);
    newsletter.project.run().expect(0).says(&["10 accepted"]);
    newsletter.assert_as((1..=10).map(|id| (id, "free")));
    let calls = newsletter.mailchimp.calls();
    newsletter.project.run().expect(0);
    assert_eq!(newsletter.mailchimp.calls(), calls, "nothing changed");
    newsletter.set("unsubscribe", "p2@example.com");
    newsletter.warehouse.execute(
        "update people set plan = 'pro' where id in (2, 3);
         update people set email = 'p55@example.com' where id = 5;
         insert into people values (11, 'p11@example.com', 'free', 'subscribed');
         delete from people where id = 4;",
    );
    newsletter.project.run().expect(0).says(&["5 accepted"]);
    let plan = |id: u32| if id == 3 { "pro" } else { "free" };
    let mut expected: Vec<_> = [1, 3, 6, 7, 8, 9, 10, 11, 55].map(|id| (id, "subscribed", plan(id))).into();
    expected.insert(1, (2, "unsubscribed", "pro"));
    let owned = |(id, status, plan): (u32, &str, &str)| (id, status.to_owned(), plan.to_owned());
    assert_eq!(newsletter.members(), expected.into_iter().map(owned).collect::<Vec<_>>());
    let archived = |address: &str| newsletter.mailchimp.records()["members"][address]["status"] == "archived";
    assert!(archived("p4@example.com") && archived("p5@example.com"), "who left, and who has another address");
}

#[test]
fn a_row_that_mailchimp_refuses_is_kept_alone_with_its_words() {
    let newsletter = Newsletter::new(5, ARCHIVING, PLAN);
    newsletter.warehouse.execute("update people set email = 'fake3@example.com' where id = 3;");
    newsletter.project.run().expect(3).says(&["4 accepted", "1 rejected"]);
    newsletter.assert_as([1, 2, 4, 5].map(|id| (id, "free")));
    let rejects = newsletter.project.backhaul(&["rejects", "show", SYNC, "3", "--reveal"]).expect(0);
    rejects.says(&["Invalid Resource", "Please provide a valid email address."]);
    newsletter.warehouse.execute("update people set email = 'p3@example.com' where id = 3;");
    newsletter.project.run().expect(0);
    newsletter.assert_as((1..=5).map(|id| (id, "free")));
}

#[test]
fn states_that_the_model_has_go_by_the_list_and_bring_members_back() {
    let newsletter =
        Newsletter::new(600, &format!("{STATED}removed = \"archive\"\n"), &format!("{PLAN}status = \"status\"\n"));
    newsletter.project.run().expect(0).says(&["600 accepted"]);
    newsletter
        .warehouse
        .execute("create table gone as select * from people where id = 1; delete from people where id = 1;");
    newsletter.project.run().expect(0);
    newsletter.assert_as((2..=600).map(|id| (id, "free")));
    newsletter.warehouse.execute("insert into people select * from gone;");
    newsletter.project.run().expect(0);
    newsletter.assert_as((1..=600).map(|id| (id, "free")));
    newsletter.set("unsubscribe", "p2@example.com");
    newsletter.warehouse.execute("update people set plan = 'pro' where id = 2;");
    newsletter.project.run().expect(3).says(&["1 rejected"]);
    assert_eq!(newsletter.members()[1], (2, String::from("unsubscribed"), String::from("pro")));
}

#[test]
fn a_segment_has_the_members_of_the_model() {
    let newsletter = Newsletter::new(4, ARCHIVING, PLAN);
    newsletter.project.run().expect(0);
    newsletter.project.write(
        "syncs/vip.toml",
        &std::fs::read_to_string(newsletter.project.path(&sync_file()))
            .expect("a sync")
            .replace(ARCHIVING, SEGMENT)
            .replace(PLAN, ""),
    );
    newsletter.warehouse.execute("insert into people values (9, 'p9@example.com', 'free', 'subscribed');");
    newsletter.project.backhaul(&["run", "vip"]).expect(3).says(&["4 accepted", "1 rejected"]);
    let segment = || newsletter.mailchimp.records()["segment"].as_array().expect("addresses").len();
    assert_eq!(segment(), 4, "who is not on the list is not in it");
    newsletter.warehouse.execute("delete from people where id in (1, 9);");
    newsletter.project.backhaul(&["run", "vip"]).expect(0);
    assert_eq!(segment(), 3);
}

#[test]
fn lost_answers_throttling_and_the_edge_lose_nothing() {
    let newsletter = Newsletter::new(1500, ARCHIVING, PLAN);
    newsletter.set("throttle_next", "1");
    newsletter.set("edge_next", "1");
    newsletter.set("lose_next", "1");
    newsletter.project.run().expect(0).says(&["1,500 accepted"]);
    newsletter.assert_as((1..=1500).map(|id| (id, "free")));
}

#[test]
fn a_run_that_is_killed_while_a_job_runs_goes_on_with_it() {
    let newsletter = Newsletter::new(1500, ARCHIVING, PLAN);
    newsletter.set("job_calls", "1000000");
    let run = newsletter.project.start(&["run", SYNC]);
    while newsletter.mailchimp.calls() < 12 {
        std::thread::sleep(Duration::from_millis(5));
    }
    run.kill();
    assert_eq!(newsletter.members(), [], "no job has run");
    newsletter.set("job_calls", "1");
    newsletter.project.run().expect(0);
    newsletter.assert_as((1..=1500).map(|id| (id, "free")));
}

#[test]
fn an_unknown_merge_field_and_a_wrong_key_stop_before_the_first_row() {
    let newsletter = Newsletter::new(2, ARCHIVING, "\"merge_fields.PLAM\" = \"plan\"\n");
    newsletter.project.run().expect(78).says(&["merge_fields.PLAM", "did you mean `merge_fields.PLAN`?"]);
    newsletter.write_sync(ARCHIVING, PLAN);
    newsletter.set("token", "another-us1");
    newsletter.project.run().expect(4).says(&["401"]).hides(&["sandbox-us1", "another-us1"]);
    assert_eq!(newsletter.members(), []);
    newsletter.project.backhaul(&["doctor"]).expect(4);
    newsletter.set("token", "sandbox-us1");
    newsletter.set("role", "owner");
    newsletter.project.backhaul(&["doctor"]).says(&["role is owner", "restricted role", "no scopes"]);
}
