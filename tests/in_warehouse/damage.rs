//! A table that is not what it was: nothing is sent and nothing is removed, and the message says what to do.

use super::{compare_there, delivered, with_table};
use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

#[test]
fn a_table_that_was_changed_by_hand_is_noticed_before_anything_is_sent() {
    let changes = [
        "delete from $TABLE where key_1 = 5",
        "insert into $TABLE (key_1, key_check, in_doubt) values (70000, 1, false)",
        "update $TABLE set key_1 = 70000 where key_1 = 5",
        "update $TABLE set fields = 'x' , fingerprint = null where key_1 = 5",
        "update backhaul.snapshots set generation = generation || 'x'",
        "update backhaul.snapshots set format = 99",
        "drop table $TABLE",
        "delete from backhaul.snapshots",
        "drop schema backhaul cascade",
    ];
    for change in changes {
        let Some((warehouse, mut customers, sink, project)) = delivered(50) else { return };
        with_table(&warehouse, change);
        customers.set_plan([7], "pro");
        customers.remove([8]);
        customers.publish(&warehouse, Some(&sink));
        let before = sink.stats();
        let run = project.run();
        assert_eq!(run.code, Some(78), "`{change}`: {run:?}");
        let told = run.stdout + &run.stderr;
        assert!(told.contains("restore") || told.contains("version"), "`{change}`: {told}");
        assert_eq!(sink.stats(), before, "`{change}`");
    }
}

#[test]
fn a_restored_state_folder_does_not_fit_the_table() {
    let Some((warehouse, mut customers, sink, project)) = delivered(50) else { return };
    let manifest = project.state().join("syncs").join(SYNC).join("MANIFEST");
    let old = std::fs::read(&manifest).expect("the manifest");
    customers.remove([1, 2, 3]);
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    std::fs::write(&manifest, old).expect("restored");
    customers.remove([4]);
    customers.publish(&warehouse, Some(&sink));
    let before = sink.stats();
    project.run().expect(78).says(&["in another state", "restore"]);
    assert_eq!(sink.stats(), before);
}

#[test]
fn a_role_without_rights_is_told_the_statements_that_grant_them() {
    let Some(warehouse) = Warehouse::postgres() else { return };
    let sink = Sink::start();
    let mut project = Project::customers(&warehouse, &sink);
    compare_there(&project);
    let mut customers = Customers::new(20);
    customers.publish(&warehouse, Some(&sink));
    let admin = warehouse.url().expect("a URL");
    let role = format!("reader_{}", admin.rsplit('/').next().expect("a database"));
    warehouse.execute(&format!(
        "create role {role} login password 'pw'; grant select on customers to {role}; \
         alter role {role} set default_transaction_read_only = on; \
         do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$"
    ));
    let (_, server) = admin.split_once('@').expect("a server");
    project.set_variable("WAREHOUSE_URL", &format!("postgres://{role}:pw@{server}"));
    let create = format!("CREATE SCHEMA \"backhaul\" AUTHORIZATION \"{role}\";");
    for command in [&["run", SYNC][..], &["validate"]] {
        project.backhaul(command).says(&[&create, "GRANT TEMPORARY ON DATABASE"]);
    }
    assert_eq!(sink.stats().rows, 0);
    warehouse.execute(&format!(
        "{create} do $$ begin execute format('grant temporary on database %I to {role}', current_database()); end $$"
    ));
    project.backhaul(&["validate"]).expect(0);
    project.run().expect(0);
    customers.set_plan([5], "pro");
    customers.publish(&warehouse, Some(&sink));
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    project.set_variable("WAREHOUSE_URL", &admin);
    warehouse.execute(&format!("reassign owned by {role} to current_user; drop owned by {role}; drop role {role}"));
}

#[test]
fn a_changed_key_is_refused_with_the_way_that_leads_on() {
    let Some((_warehouse, _customers, sink, project)) = delivered(50) else { return };
    let before = sink.stats();
    project.edit("models/customers.toml", "key = [\"id\"]", "key = [\"email\"]");
    project.edit("models/customers.toml", "from customers", "from customers where email is not null");
    project.run().expect(78).says(&["diff = \"local\""]);
    assert_eq!(sink.stats(), before);
}

#[test]
fn a_warehouse_that_cannot_compare_is_refused_at_the_key() {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
    let project = Project::customers(&warehouse, &sink);
    compare_there(&project);
    let file = sync_file();
    project.backhaul(&["validate", "--offline"]).expect(78).says(&[
        "cannot compare rows itself",
        &file,
        "diff = \"warehouse\"",
    ]);
}
