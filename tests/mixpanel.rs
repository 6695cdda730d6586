//! Mixpanel's stand-in: events that are not counted twice, profiles that go with their rows.

use serde_json::{Value, json};

use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::sandbox::Sandbox;
use crate::support::warehouse::Warehouse;

const EVENTS: &str = r#"model = "rows"
destination = "product"

[into]
object = "events"
mode   = "append"

[fields]
event       = { value = "visit" }
time        = { column = "at", as = "timestamp" }
distinct_id = "person"
page        = "page"
"#;

const PROFILES: &str = r#"model = "rows"
destination = "product"

[into]
object  = "profiles"
mode    = "upsert"
match   = "$distinct_id"
removed = "delete"

[fields]
"$distinct_id" = "person"
page           = "page"
"#;

/// A table of so many rows, and a sync of it to a stand-in with these settings.
fn project(rows: u32, sync: &str, settings: &[&str]) -> (Warehouse, Project, Sandbox) {
    let warehouse = Warehouse::sqlite();
    warehouse.execute("create table visits (id integer primary key, person text, at text, page text)");
    warehouse.execute(&format!(
        "with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows})
         insert into visits select i, 'p-' || i, '2026-01-01T00:00:00Z', 'home' from n"
    ));
    let mut project = Project::new(&warehouse);
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let sandbox = Sandbox::start(&project, &[&["mixpanel"], &settings[..]].concat());
    let table = format!(
        "\n[destinations.product]\ntype = \"mixpanel\"\nregion = \"eu\"\ntoken = {{ env = \"MIXPANEL_TOKEN\" }}\n\
         base_url = \"{}\"\ntimeout = \"2s\"\n",
        sandbox.url
    );
    project.append("backhaul.toml", &table);
    project.set_variable("MIXPANEL_TOKEN", &sandbox.token);
    project.write("models/rows.toml", &model("select * from visits", "id"));
    project.write(&sync_file(), sync);
    (warehouse, project, sandbox)
}

fn count(sandbox: &Sandbox, object: &str) -> usize {
    sandbox.records()[object].as_object().expect("records").len()
}

#[test]
fn events_are_sent_once_and_a_lost_answer_makes_no_second_one() {
    let (warehouse, project, sandbox) = project(2500, EVENTS, &["lose_next=1"]);
    project.run().expect(0).says(&["2,500 accepted"]);
    assert_eq!(count(&sandbox, "events"), 2500);
    project.run().expect(0);
    warehouse.execute("update visits set page = 'pricing' where id = 7");
    project.run().expect(0).says(&["1 accepted"]);
    assert_eq!(count(&sandbox, "events"), 2501, "an event that says something else is another one");
    // Whoever sends everything again, or has lost its state, counts nothing twice.
    project.backhaul(&["run", SYNC, "--full"]).expect(0);
    std::fs::remove_dir_all(project.state()).expect("the state");
    project.run().expect(0).says(&["2,500 accepted"]);
    assert_eq!(count(&sandbox, "events"), 2501);
}

#[test]
fn a_refused_event_is_kept_with_mixpanels_words_and_the_others_are_sent() {
    let (warehouse, project, sandbox) = project(50, EVENTS, &["reject=page=secret", "throttle_next=1"]);
    warehouse.execute("update visits set page = 'secret' where id = 7; update visits set person = 'null' where id = 8");
    project.run().expect(3).says(&["48 accepted", "2 rejected"]);
    project.backhaul(&["rejects", "list", SYNC]).expect(0).says(&["INVALID_RECORD", "FORBIDDEN_ID"]);
    project.backhaul(&["rejects", "show", SYNC, "7", "--reveal"]).expect(0).says(&["'properties.page' is invalid"]);
    assert_eq!(count(&sandbox, "events"), 48);
    warehouse.execute("update visits set page = 'home' where id = 7; update visits set person = 'p-8' where id = 8");
    project.run().expect(0).says(&["2 accepted"]);
    assert_eq!(count(&sandbox, "events"), 50);
}

#[test]
fn a_token_that_expires_in_mid_run_stops_it_and_the_rest_follows() {
    let (warehouse, mut project, sandbox) = project(2500, EVENTS, &["expire_after=1"]);
    project.run().expect(4).says(&["token", "region"]).hides(&[&sandbox.token]);
    let sent = count(&sandbox, "events");
    assert!(sent == 2000 || sent == 500, "{sent}");
    let renewed = Sandbox::start(&project, &["mixpanel"]);
    project.edit("backhaul.toml", &sandbox.url, &renewed.url);
    project.run().expect(0);
    assert_eq!(count(&renewed, "events"), 2500 - sent);
    warehouse.execute("update visits set page = 'pricing' where id = 7");
    project.set_variable("MIXPANEL_TOKEN", "another");
    project.run().expect(4);
}

#[test]
fn profiles_are_changed_moved_and_deleted_with_their_rows() {
    let (warehouse, project, sandbox) = project(30, PROFILES, &["lose_next=1", "throttle_next=1"]);
    project.run().expect(0).says(&["30 accepted"]);
    warehouse.execute(
        "update visits set page = null where id = 1; update visits set person = 'q-2' where id = 2;
         delete from visits where id = 3",
    );
    project.run().expect(0).says(&["3 accepted"]);
    let profiles = &sandbox.records()["profiles"];
    let page = |id: &str| profiles[id].clone();
    assert_eq!((page("p-1"), page("q-2")), (json!({}), json!({ "page": "home" })));
    assert_eq!((page("p-2"), page("p-3")), (Value::Null, Value::Null));
    assert_eq!(count(&sandbox, "profiles"), 29);
    project.run().expect(0);
}

/// Mixpanel itself answers that it took them.
#[test]
fn no_profile_is_sent_with_a_token_that_is_nobodys() {
    let (_warehouse, mut project, sandbox) = project(30, PROFILES, &[]);
    project.set_variable("MIXPANEL_TOKEN", "another");
    project.run().expect(4).says(&["region"]).hides(&["another"]);
    assert_eq!(count(&sandbox, "profiles"), 0);
    project.set_variable("MIXPANEL_TOKEN", &sandbox.token);
    project.run().expect(0).says(&["30 accepted"]);
}
