//! The account that a snapshot belongs to: its rows are never sent to another one.

use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::sandbox::Sandbox;
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// `backhaul sandbox hubspot` with a hub id of its own.
fn hubspot(project: &Project, hub_id: &str) -> Sandbox {
    Sandbox::start(project, &["hubspot", "--set", &format!("hub_id={hub_id}")])
}

fn hubspot_project(warehouse: &Warehouse) -> Project {
    let project = Project::new(warehouse);
    let table = "\n[destinations.crm]\ntype = \"hubspot\"\ntoken = { env = \"HUBSPOT_TOKEN\" }\nbase_url = \"BASE\"\n";
    project.append("backhaul.toml", table);
    project.write("models/customers.toml", &model("select * from customers where email is not null", "id"));
    let sync = "model = \"customers\"\ndestination = \"crm\"\n\n[into]\nobject = \"contacts\"\nmode = \"upsert\"\n\
                match = \"email\"\nremoved = \"archive\"\n\n[fields]\nemail = \"email\"\nfirstname = \"name\"\n";
    project.write(&sync_file(), sync);
    project
}

#[test]
fn a_token_of_another_account_stops_the_run_and_both_accounts_are_named() {
    let warehouse = Warehouse::sqlite();
    let mut project = hubspot_project(&warehouse);
    Customers::new(100).publish(&warehouse, None);
    let Sandbox { url, token, .. } = &hubspot(&project, "1111");
    project.edit("backhaul.toml", "BASE", url);
    project.set_variable("HUBSPOT_TOKEN", token);
    project.run().expect(0);
    project.run().expect(0);

    let Sandbox { url: other_url, token: other_token, .. } = &hubspot(&project, "2222");
    project.edit("backhaul.toml", url, other_url);
    project.set_variable("HUBSPOT_TOKEN", other_token);
    warehouse.execute("update customers set name = 'changed' where id = 1;");
    let run = project.run().says(&["1111", "2222"]).hides(&[token, other_token]);
    assert!(!matches!(run.code, Some(0) | None), "{run:?}");

    project.edit("backhaul.toml", other_url, url);
    project.set_variable("HUBSPOT_TOKEN", token);
    project.run().expect(0);
}

#[test]
fn another_identity_of_an_api_stops_the_run_before_any_request() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(50);
    customers.publish(&warehouse, Some(&sink));
    project.edit("backhaul.toml", "type = \"http\"", "type = \"http\"\nidentity = \"shop one\"");
    project.run().expect(0);
    let first = sink.stats();
    project.edit("backhaul.toml", "shop one", "shop two");
    customers.set_plan([1], "pro");
    customers.publish(&warehouse, Some(&sink));
    let run = project.backhaul(&["run", SYNC]).says(&["shop one", "shop two"]);
    assert!(!matches!(run.code, Some(0) | None), "{run:?}");
    assert_eq!(sink.stats(), first);
}
