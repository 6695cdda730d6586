//! Two syncs on one object, in a group: what one of them removes is never what the other has delivered.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::{Project, model};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// `buyers` writes plans and deletes; `readers` writes names and removes nothing. `buyers` finds a record to delete by
/// `address`: a template of its URL.
struct Shop {
    warehouse: Warehouse,
    sink: Sink,
    project: Project,
}

const CALL: &str = "success = { evidence = \"call\", statuses = [200] }";

impl Shop {
    fn new(address: &str) -> Self {
        let (warehouse, sink) = (Warehouse::sqlite(), Sink::start());
        let mut project = Project::new(&warehouse);
        project.add_sink(&sink.url());
        project.append("backhaul.toml", "\n[groups.people]\nsyncs = [\"readers\", \"buyers\"]\n");
        warehouse.execute(
            "create table buyers (id bigint primary key, email text, plan text);
             create table readers (id bigint primary key, email text, name text);",
        );
        let sync = |name: &str, field: &str, into: &str| {
            project.write(&format!("models/{name}.toml"), &model(&format!("select * from {name}"), "id"));
            project.write(
                &format!("syncs/{name}.toml"),
                &format!(
                    "model = \"{name}\"\ndestination = \"api\"\n\n[into]\nobject = \"people\"\ngroup = \"people\"\n\
                     mode = \"upsert\"\nmatch = \"id\"\n{into}\n\n[fields]\nid = \"email\"\n{field} = \"{field}\"\n\n\
                     [into.request]\nurl = \"/rows/{{{{ match_value }}}}\"\nmethod = \"PUT\"\n{CALL}\n"
                ),
            );
        };
        sync("readers", "name", "");
        sync("buyers", "plan", "removed = \"delete\"");
        project.append("syncs/buyers.toml", &format!("\n[into.remove]\nurl = \"/rows/{{{{ {address} }}}}\"\n{CALL}\n"));
        Self { warehouse, sink, project }
    }

    fn run(&self, sync: &str, code: i32) {
        self.project.backhaul(&["run", sync]).expect(code);
    }

    /// The keys that were deleted from the `from`-th applied row on.
    fn deleted_since(&self, from: u64) -> BTreeSet<String> {
        keys(&applied_since(&self.sink, from), Change::Delete)
    }
}

fn set<const N: usize>(keys: [&str; N]) -> BTreeSet<String> {
    keys.map(str::to_owned).into()
}

#[test]
fn a_removal_of_what_another_member_delivered_becomes_a_forgetting() {
    let shop = Shop::new("match_value");
    shop.warehouse.execute(
        "insert into buyers values (1, 'a@x.de', 'pro'), (2, 'b@x.de', 'pro'), (3, 'c@x.de', 'pro'), (4, 'e@x.de', 'pro');
         insert into readers values (71, 'b@x.de', 'Bea'), (72, 'd@x.de', 'Dan');",
    );
    let all = shop.project.backhaul(&["run", "dest:api"]).expect(0);
    let (readers, buyers) = (all.stdout.find("readers"), all.stdout.find("buyers"));
    assert!(readers.is_some() && readers < buyers, "the group's order: {}", all.stdout);
    let applied = shop.sink.stats().rows;
    assert_eq!(applied, 6);

    shop.warehouse.execute("delete from buyers where id in (1, 2)");
    shop.run("buyers", 0);
    assert_eq!(shop.deleted_since(applied), set(["a@x.de"]));

    // Given up by the other too, it is gone from both and stays: nobody who removes has it.
    shop.warehouse.execute("delete from readers where id = 71; delete from buyers where id = 3");
    let applied = shop.sink.stats().rows;
    shop.run("readers", 0);
    shop.run("buyers", 0);
    assert_eq!(shop.deleted_since(applied), set(["c@x.de"]));
}

#[test]
fn a_held_removal_is_stale_once_another_member_has_delivered() {
    let shop = Shop::new("match_value");
    shop.project.append("syncs/buyers.toml", "\n[guards]\nmax_removed = 0\n");
    shop.warehouse.execute("insert into buyers values (1, 'a@x.de', 'pro'), (2, 'b@x.de', 'pro')");
    shop.run("buyers", 0);
    shop.warehouse.execute("delete from buyers where id = 1; insert into readers values (71, 'a@x.de', 'Ann')");
    shop.run("buyers", 5);
    let runs = shop.project.backhaul(&["runs", "buyers", "--limit", "1", "--output", "json"]).expect(0).json();
    let run: &Value = &runs["runs"][0];
    let (id, hash) = (run["id"].as_str().expect("an id"), run["plan_hash"].as_str().expect("a hash"));

    let applied = shop.sink.stats().rows;
    shop.run("readers", 0);
    let refused = shop.project.backhaul(&["approve", id, "--plan-hash", hash]).expect(5);
    refused.says(&["another sync of its group has delivered since"]);
    shop.project.backhaul(&["discard", id]).expect(0);
    shop.run("buyers", 0);
    assert_eq!(shop.deleted_since(applied), set([]));
}

#[test]
fn nothing_is_removed_while_another_member_s_run_is_not_settled() {
    let mut shop = Shop::new("match_value");
    shop.warehouse.execute("insert into buyers values (1, 'a@x.de', 'pro'), (2, 'b@x.de', 'pro')");
    shop.run("buyers", 0);
    shop.warehouse.execute("delete from buyers where id = 1; insert into readers values (71, 'a@x.de', 'Ann')");
    // It has delivered, and its snapshot does not say so.
    shop.project.set_variable("FAILPOINTS", "run::in_settle=return");
    assert_eq!(shop.project.backhaul(&["run", "readers"]).code, None);
    shop.project.set_variable("FAILPOINTS", "");
    let applied = shop.sink.stats().rows;
    let refused = shop.project.backhaul(&["run", "buyers"]).expect(75);
    refused.says(&["of sync `readers` is not settled", "backhaul run readers"]);
    shop.run("readers", 0);
    shop.run("buyers", 0);
    assert_eq!(shop.deleted_since(applied), set([]));
}

#[test]
fn an_interrupted_run_does_not_remove_what_another_member_delivered_meanwhile() {
    let mut shop = Shop::new("match_value");
    shop.warehouse.execute("insert into buyers values (1, 'a@x.de', 'pro'), (2, 'b@x.de', 'pro')");
    shop.run("buyers", 0);
    shop.warehouse.execute("delete from buyers where id = 1; insert into readers values (71, 'a@x.de', 'Ann')");
    shop.project.set_variable("FAILPOINTS", "deliver::before_send=return");
    assert_eq!(shop.project.backhaul(&["run", "buyers"]).code, None);
    shop.project.set_variable("FAILPOINTS", "");
    let applied = shop.sink.stats().rows;
    shop.run("readers", 0);
    let resumed = shop.project.backhaul(&["run", "buyers"]);
    assert!(matches!(resumed.code, Some(0 | 75)), "{resumed:?}");
    shop.run("buyers", 0);
    assert_eq!(shop.deleted_since(applied), set([]));
    let bodies: Vec<Value> = applied_since(&shop.sink, applied).into_iter().filter_map(|row| row.body).collect();
    assert_eq!(bodies, [json!({ "id": "a@x.de", "name": "Ann" })]);
}

#[test]
fn where_records_are_removed_by_keys_those_of_another_member_count() {
    let shop = Shop::new("key");
    shop.warehouse.execute(
        "insert into buyers values (1, 'a@x.de', 'pro'), (2, 'b@x.de', 'pro');
         insert into readers values (2, 'z@x.de', 'Zoe');",
    );
    shop.run("buyers", 0);
    shop.run("readers", 0);
    shop.warehouse.execute("delete from buyers");
    shop.warehouse.execute("insert into buyers values (3, 'c@x.de', 'pro')");
    let applied = shop.sink.stats().rows;
    shop.run("buyers", 0);
    assert_eq!(shop.deleted_since(applied), set(["1"]));
}
