//! The account that a snapshot belongs to: its rows are never sent to another one.

use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::sandbox::Sandbox;
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// `backhaul sandbox hubspot` with a hub id of its own.
fn hubspot(project: &Project, hub_id: &str) -> Sandbox {
    hubspot_with(project, &format!("hub_id={hub_id}"))
}

/// The same with another setting.
fn hubspot_with(project: &Project, setting: &str) -> Sandbox {
    Sandbox::start(project, &["hubspot", "--set", setting])
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

#[test]
fn the_doctor_tells_what_a_credential_lacks_and_has_beyond_need() {
    let warehouse = Warehouse::sqlite();
    let mut project = hubspot_project(&warehouse);
    Customers::new(10).publish(&warehouse, None);
    let Sandbox { url, token, .. } = &hubspot_with(&project, "scopes=all");
    project.edit("backhaul.toml", "BASE", url);
    project.set_variable("HUBSPOT_TOKEN", token);
    let needed = ["crm.objects.contacts.read", "crm.objects.contacts.write"];
    let wide = project.backhaul(&["doctor"]).expect(0).hides(&[token]);
    assert!(wide.stdout.contains("more than needed: crm.objects.deals.write"), "{}", wide.stdout);
    assert!(!wide.stdout.contains("missing"), "{}", wide.stdout);
    wide.says(&needed).says(&["the smallest grant"]);

    let Sandbox { url: other, token, .. } = &hubspot_with(&project, "scopes=crm.objects.contacts.read");
    project.edit("backhaul.toml", url, other);
    project.set_variable("HUBSPOT_TOKEN", token);
    let narrow = project.backhaul(&["doctor", SYNC]).expect(4);
    narrow.says(&["missing: crm.objects.contacts.write", "the smallest grant"]).says(&needed);

    let json = project.backhaul(&["doctor", "--egress", "--output", "json"]).expect(0).json();
    let host = other.trim_start_matches("http://");
    assert_eq!(json["hosts"], serde_json::json!([{ "host": host, "subject": "destination crm" }]));
}

#[test]
fn a_run_is_warned_of_a_scope_that_only_removals_need() {
    let warehouse = Warehouse::sqlite();
    let mut project = hubspot_project(&warehouse);
    let mut customers = Customers::new(10);
    customers.publish(&warehouse, None);
    let Sandbox { url, token, .. } = &hubspot_with(&project, "scopes=crm.objects.contacts.write");
    project.edit("backhaul.toml", "BASE", url);
    project.set_variable("HUBSPOT_TOKEN", token);
    project.run().expect(0).says(&["9 accepted", "the credential lacks crm.objects.contacts.read"]);
    project.backhaul(&["doctor", SYNC]).expect(4).says(&["missing: crm.objects.contacts.read"]);
}

#[test]
fn the_doctor_prints_the_grants_of_a_warehouse() {
    let Some(warehouse) = Warehouse::postgres() else { return };
    let sink = Sink::start();
    let project = Project::customers(&warehouse, &sink);
    Customers::new(10).publish(&warehouse, None);
    let table = "warehouse = \"analytics\"\ntable = \"public.customers\"\nkey = [\"id\"]\n";
    project.write("models/customers.toml", table);
    let found = project.backhaul(&["doctor"]).expect(0).says(&["more than needed: SUPERUSER"]);
    assert!(found.stdout.contains("GRANT USAGE ON SCHEMA \"public\" TO "), "{}", found.stdout);
    assert!(found.stdout.contains("GRANT SELECT ON \"public\".\"customers\" TO "), "{}", found.stdout);
    let hosts = project.backhaul(&["doctor", "--egress"]).expect(0).stdout;
    assert!(hosts.contains(&sink.url().replace("http://", "")) && hosts.contains("warehouse analytics"), "{hosts}");
}

#[test]
fn a_stand_in_that_refuses_a_share_of_the_rows_and_lets_its_token_expire_is_met_as_the_vendor_would_be() {
    let warehouse = Warehouse::sqlite();
    let mut project = hubspot_project(&warehouse);
    Customers::new(400).publish(&warehouse, None);
    let sandbox = Sandbox::start(&project, &["hubspot", "--reject", "5%", "--latency", "1ms", "--expire-token", "2s"]);
    project.edit("backhaul.toml", "BASE", &sandbox.url);
    project.set_variable("HUBSPOT_TOKEN", &sandbox.token);
    let plan = project.backhaul(&["plan", SYNC, "--output", "json"]).expect(0).json();
    let rows = plan["plans"][0]["counts"]["rows"].as_u64().expect("a number");
    // The token is good for a while, and then it is not.
    let mut ended = project.run();
    let mut told = None;
    for round in 0.. {
        assert!(round < 200, "the token never expired");
        match ended.code {
            Some(4) => break,
            // Rows that were refused before are not due in every run.
            code => assert!(matches!(code, Some(0 | 3)), "{ended:?}"),
        }
        let listed =
            project.backhaul(&["rejects", "list", SYNC, "--limit", "400", "--output", "json"]).expect(0).json();
        told = listed["rejects"].as_array().map(Vec::len);
        warehouse.execute(&format!("update customers set name = 'round {round}' where id = 1;"));
        ended = project.run();
    }
    let (accepted, refused) =
        (sandbox.records()["contacts"].as_object().expect("contacts").len(), told.expect("a run"));
    assert!((5..60).contains(&refused), "{refused} of {rows} refused");
    assert_eq!((accepted + refused) as u64, rows, "{accepted} taken, {refused} refused: each row is told of");
}

#[test]
fn a_project_points_to_a_stand_in_by_what_it_prints() {
    for (vendor, into, fields) in [
        ("customerio", "object = \"people\"", "id = \"id\""),
        ("google-data-manager", "audience = \"987\"\nmode = \"audience\"", "email = \"email\""),
        ("hubspot", "object = \"contacts\"\nmatch = \"email\"", "email = \"email\""),
        (
            "mailchimp",
            "object = \"members\"\nlist = \"abc123\"\nmatch = \"email_address\"\nstatus_if_new = \"subscribed\"",
            "email_address = \"email\"",
        ),
        ("meta", "audience = \"23851234567890\"\nmode = \"audience\"", "EMAIL = \"email\""),
        ("mixpanel", "object = \"profiles\"\nmatch = \"$distinct_id\"", "\"$distinct_id\" = \"id\""),
        ("salesforce", "object = \"Account\"\nmatch = \"Ext_Id__c\"", "Ext_Id__c = \"id\""),
        ("stripe", "object = \"customers\"\nmatch = \"metadata.id\"", "\"metadata.id\" = \"id\""),
        ("zendesk", "object = \"users\"\nmatch = \"external_id\"", "external_id = \"id\""),
    ] {
        let warehouse = Warehouse::sqlite();
        warehouse.execute("create table empty (id integer)");
        let mut project = Project::new(&warehouse);
        let Sandbox { token, destination, .. } = &Sandbox::start(&project, &[vendor]);
        project.append("backhaul.toml", &format!("\n{destination}"));
        project.set_variable("BACKHAUL_SECRET_SANDBOX", token);
        project.write("models/people.toml", &model("select 1 as id, 'ada@example.com' as email", "id"));
        let mode = if into.contains("mode") { "" } else { "\nmode = \"upsert\"" };
        let consent = "{ column = \"email\", granted = [\"ada@example.com\"] }";
        let consent = match vendor {
            "google-data-manager" => format!("[consent]\nad_user_data = {consent}\nad_personalization = {consent}\n"),
            _ => String::new(),
        };
        let sync = format!("model = \"people\"\ndestination = \"sandbox\"\n\n[into]\n{into}{mode}\n");
        project.write(&sync_file(), &format!("{sync}\n[fields]\n{fields}\n\n{consent}"));
        project.backhaul(&["doctor"]).expect(0);
    }
}
