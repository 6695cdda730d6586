//! Who may be sent: suppression lists, consent and holdouts, also when they change after the delivery.

mod held;
mod lists;
mod upsert;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::project::{Project, SUCCESS, model};
use crate::support::sink_process::Sink;
use crate::support::warehouse::{Warehouse, on_each_warehouse};

on_each_warehouse!(
    whoever_withdraws_is_suppressed_or_held_out_after_the_delivery_leaves_the_audience,
    a_list_of_the_same_warehouse_is_read_in_the_snapshot_of_the_model,
);

/// How many people the table has.
const PEOPLE: i64 = 200;

/// People as an audience at the sink; `blocked` is a suppression list.
struct Ads {
    warehouse: Option<Warehouse>,
    sink: Sink,
    project: Project,
}

impl Ads {
    /// Nothing is delivered yet. 5 has no consent, 6 has denied it, 7 has it in another case.
    fn new(warehouse: &Warehouse) -> Self {
        let sink = Sink::start();
        let mut project = Project::new(warehouse);
        project.add_sink(&sink.url());
        project.append(
            "backhaul.toml",
            "\n[suppression.blocked]\nmodel = \"blocked\"\non = { id = \"id\", email = \"email\" }\n\
             \n[holdouts.always-on]\npercent = \"0%\"\nby = \"id\"\nsalt = \"always-on\"\n",
        );
        let rows: Vec<String> = (1..=PEOPLE).map(|id| format!("({id}, 'p{id}@example.com', 'granted')")).collect();
        warehouse.execute(&format!(
            "create table people (id bigint primary key, email text, ads text);
             insert into people values {};
             update people set ads = null where id = 5;
             update people set ads = 'denied' where id = 6;
             update people set ads = 'GRANTED' where id = 7;
             create table blocked (id bigint, email text);
             insert into blocked values (999, null);",
            rows.join(", ")
        ));
        project.write("models/people.toml", &model("select * from people", "id"));
        project.write("models/blocked.toml", &model("select * from blocked", "id"));
        let ads = Self { warehouse: None, sink, project };
        ads.write_sync("", "");
        ads
    }

    /// On SQLite, with 197 people delivered.
    fn delivered(top: &str, guards: &str) -> Self {
        let warehouse = Warehouse::sqlite();
        let ads = Self { ..Self::new(&warehouse) };
        let ads = Self { warehouse: Some(warehouse), ..ads };
        ads.write_sync(top, guards);
        ads.run(0);
        assert_eq!(ads.there().len(), 197);
        ads
    }

    fn write_sync(&self, top: &str, guards: &str) {
        self.project.write(
            "syncs/ads.toml",
            &format!(
                r#"model = "people"
destination = "api"
suppress = ["blocked"]
holdout = "always-on"
{top}

[consent]
ad_user_data = {{ column = "ads", granted = ["granted"] }}

[into]
mode = "audience"
same_name = ["id", "email"]

[into.request]
url = "/rows"
batch_size = 50
idempotency = {{ header = "Idempotency-Key" }}
success = {SUCCESS}

[into.remove]
url = "/rows"
batch_size = 50
key_field = "id"
success = {SUCCESS}

[guards]
{guards}
"#
            ),
        );
    }

    fn execute(&self, sql: &str) {
        self.warehouse.as_ref().expect("a warehouse of its own").execute(sql);
    }

    fn run(&self, code: i32) -> Value {
        self.project.backhaul(&["run", "ads", "--output", "json"]).expect(code).json()
    }

    /// The ids in the audience.
    fn there(&self) -> BTreeSet<i64> {
        self.sink.records().keys().map(|id| id.parse().expect("an id")).collect()
    }

    /// The run that is held, and its plan's hash.
    fn held(&self) -> (String, String) {
        let runs = self.project.backhaul(&["runs", "ads", "--limit", "1", "--output", "json"]).expect(0).json();
        let run = &runs["runs"][0];
        assert_eq!(run["status"], "held", "{run}");
        let text = |key: &str| run[key].as_str().expect("a text").to_owned();
        (text("id"), text("plan_hash"))
    }

    fn approve(&self, more: &[&str], code: i32) {
        let (run, hash) = self.held();
        self.project.backhaul(&[&["approve", &run, "--plan-hash", &hash], more].concat()).expect(code);
    }
}

fn set(ids: impl IntoIterator<Item = i64>) -> BTreeSet<i64> {
    ids.into_iter().collect()
}

fn whoever_withdraws_is_suppressed_or_held_out_after_the_delivery_leaves_the_audience(warehouse: &Warehouse) {
    let ads = Ads::new(warehouse);
    // No guard of removals keeps any of them.
    ads.write_sync("", "max_removed = 0");
    ads.project.edit("backhaul.toml", "percent = \"0%\"", "percent = \"10%\"");
    let first = ads.run(0);
    assert_eq!(first["runs"][0]["counts"]["ineligible"]["withdrawn"], 3, "{first}");
    ads.project.backhaul(&["status"]).expect(0).says(&["of people who may not be sent (3 withdrawn, "]);
    let everybody = set((1..=PEOPLE).filter(|id| !(5..=7).contains(id)));
    let there = ads.there();
    let held_out: BTreeSet<i64> = everybody.difference(&there).copied().collect();
    assert!((5..=40).contains(&held_out.len()), "{held_out:?}");

    let mut staying = there.iter().copied();
    let [by_id, by_email, denies, forgets] = std::array::from_fn(|_| staying.next().expect("somebody"));
    warehouse.execute(&format!(
        "insert into blocked values ({by_id}, null), (null, ' P{by_email}@EXAMPLE.com');
         update people set ads = 'denied', email = 'new@example.com' where id = {denies};
         update people set ads = null where id = {forgets};"
    ));
    let planned = ads.project.backhaul(&["plan", "ads", "--output", "json"]).expect(0).json();
    let causes: BTreeSet<&str> = planned["plans"][0]["samples"]
        .as_array()
        .expect("samples")
        .iter()
        .filter_map(|row| row["cause"].as_str())
        .collect();
    assert!(causes.contains("suppressed") || causes.contains("withdrawn"), "{planned}");
    let second = ads.run(0);
    let removed_for = &second["runs"][0]["counts"]["removed_for"];
    assert_eq!((&removed_for["suppressed"], &removed_for["withdrawn"]), (&2.into(), &2.into()), "{second}");
    let gone = set([by_id, by_email, denies, forgets]);
    assert_eq!(ads.there(), there.difference(&gone).copied().collect());

    // Whoever was held out of the narrower holdout still is.
    ads.project.edit("backhaul.toml", "percent = \"10%\"", "percent = \"40%\"");
    let third = ads.run(0);
    let more = third["runs"][0]["counts"]["removed_for"]["held_out"].as_u64().expect("a count");
    assert!(more > 20, "{third}");
    let now = ads.there();
    assert!(now.is_disjoint(&held_out) && now.is_disjoint(&gone));
    assert_eq!(now.len() as u64 + more, there.len() as u64 - 4);

    // Its last day was yesterday at the latest.
    ads.project.edit("backhaul.toml", "salt = ", "until = 2020-01-01\nsalt = ");
    ads.run(0);
    assert_eq!(ads.there(), everybody.difference(&gone).copied().collect());
    assert_eq!(ads.run(0)["runs"][0]["calls"], 0, "nothing is left to do");
}

fn a_list_of_the_same_warehouse_is_read_in_the_snapshot_of_the_model(warehouse: &Warehouse) {
    let ads = Ads::new(warehouse);
    // The list is made of the model's own table: who is both old and new in one snapshot would show.
    ads.project.write("models/blocked.toml", &model("select id, email from people where ads = 'denied'", "id"));
    ads.run(0);
    assert_eq!(ads.there(), set((1..=PEOPLE).filter(|id| !(5..=7).contains(id))));
    ads.project.edit("models/blocked.toml", "select id,", "select idd,");
    let stopped = ads.project.backhaul(&["run", "ads"]).expect(78);
    stopped.says(&["suppression list `blocked`"]);
}

#[test]
fn one_holdout_holds_the_same_people_out_of_two_syncs() {
    let ads = Ads::delivered("", "");
    ads.project.edit("backhaul.toml", "percent = \"0%\"", "percent = \"30%\"");
    ads.run(0);
    let there = ads.there();
    let sink = Sink::start();
    let url = sink.url();
    ads.project.append("backhaul.toml", &format!("\n[destinations.mail]\ntype = \"http\"\nurl = \"{url}\"\n"));
    // Here the id is a text.
    ads.project.write("models/texts.toml", &model("select cast(id as text) as id, email, ads from people", "id"));
    let sync = std::fs::read_to_string(ads.project.path("syncs/ads.toml")).expect("the sync");
    let sync = sync.replace("\"people\"", "\"texts\"").replace("\"api\"", "\"mail\"");
    ads.project.write("syncs/mail.toml", &sync);
    ads.project.backhaul(&["run", "mail"]).expect(0);
    let mailed: BTreeSet<i64> = sink.records().keys().map(|id| id.parse().expect("an id")).collect();
    assert_eq!(mailed, there);
}
