//! Customers at the stand-in of Stripe: one row a call, through the whole program.

use std::time::Duration;

use backhaul_connectors::destinations::stripe::sandbox;
use backhaul_kit::Sandbox;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::warehouse::Warehouse;

/// A project whose customers go to a stand-in in this process.
struct Shop {
    warehouse: Warehouse,
    project: Project,
    stripe: Box<dyn Sandbox>,
    _runtime: Runtime,
}

impl Shop {
    /// A shop with `rows` customers, numbered from 1; `into` is a part of `[into]`.
    fn new(rows: u32, into: &str) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let stripe = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            sandbox::kind().start(listener, &[]).await.expect("a running stand-in")
        });
        let warehouse = Warehouse::sqlite();
        warehouse.execute(&format!(
            "create table people (id integer primary key, email text, plan text);
             with recursive n(id) as (select 1 union all select id + 1 from n where id < {rows})
             insert into people select id, 'p' || id || '@example.com', 'free' from n;"
        ));
        let mut project = Project::new(&warehouse);
        project.set_variable("STRIPE_KEY", &stripe.token());
        // After a call whose fate is open its row is left alone for as long as a call may take.
        let account = format!("key = {{ env = \"STRIPE_KEY\" }}\nbase_url = \"{}\"\ntimeout = \"1s\"\n", stripe.url());
        project.append("backhaul.toml", &format!("\n[destinations.billing]\ntype = \"stripe\"\n{account}"));
        project.write("models/people.toml", &model("select * from people", "id"));
        let fields = "\"metadata.customer_id\" = \"id\"\n\"metadata.plan\" = \"plan\"\nemail = \"email\"\n";
        let sync =
            "model = \"people\"\ndestination = \"billing\"\n\n[into]\nobject = \"customers\"\nmode = \"upsert\"\n";
        project.write(&sync_file(), &format!("{sync}{into}\n[fields]\n{fields}"));
        Self { warehouse, project, stripe, _runtime: runtime }
    }

    fn set(&self, key: &str, value: &str) {
        self.stripe.set(key, value).expect("a setting");
    }

    /// What stands at Stripe: for each value of `customer_id` its plans, one of each customer.
    fn plans(&self) -> Vec<(u32, String)> {
        let records = self.stripe.records();
        let text = |values: &Value, param: &str| values[param].as_str().unwrap_or_default().to_owned();
        let customers = records["customers"].as_object().expect("customers").values();
        let mut plans: Vec<(u32, String)> = customers
            .map(|values| {
                let id = text(values, "metadata[customer_id]").parse().expect("a number");
                (id, text(values, "metadata[plan]"))
            })
            .collect();
        plans.sort();
        plans
    }

    /// The rows of the model.
    fn assert_as(&self, expected: impl IntoIterator<Item = (u32, &'static str)>) {
        let expected: Vec<(u32, String)> = expected.into_iter().map(|(id, plan)| (id, plan.to_owned())).collect();
        assert_eq!(self.plans(), expected);
    }

    /// The customer of a row: its id and its values.
    fn customer(&self, row: u32) -> (String, Value) {
        let records = self.stripe.records();
        let customers = records["customers"].as_object().expect("customers");
        let row = row.to_string();
        let of_row = |values: &Value| values["metadata[customer_id]"].as_str() == Some(&row);
        let found = customers.iter().find(|(_, values)| of_row(values)).expect("the row's customer");
        (found.0.clone(), found.1.clone())
    }

    /// How many calls a run makes.
    fn calls_of_a_run(&self) -> u64 {
        let before = self.stripe.calls();
        self.project.run().expect(0);
        self.stripe.calls() - before
    }
}

#[test]
fn only_what_changed_reaches_stripe_and_who_left_is_emptied() {
    let shop = Shop::new(10, "removed = \"clear\"\n");
    // Who are we: three calls; then each is searched for, created, and, in the first minute of a run, read back.
    assert_eq!(shop.calls_of_a_run(), 3 + 30);
    shop.assert_as((1..=10).map(|id| (id, "free")));
    assert_eq!(shop.calls_of_a_run(), 0);
    shop.warehouse.execute(
        "update people set plan = 'pro' where id in (2, 3);
         insert into people values (11, 'p11@example.com', 'free');
         delete from people where id = 4;",
    );
    assert_eq!(shop.calls_of_a_run(), 3 + 2 + 3 + 1);
    assert_eq!(shop.customer(2).1["metadata[plan]"], "pro");
    assert_eq!(shop.customer(11).1["email"], "p11@example.com");
    assert_eq!(shop.customer(4).1, json!({ "metadata[customer_id]": "4" }));
    assert_eq!(shop.plans().len(), 11);
}

#[test]
fn a_deletion_is_confirmed_first_and_a_customer_who_comes_back_is_a_new_one() {
    let shop = Shop::new(3, "removed = \"delete\"\n");
    shop.project.backhaul(&["validate", "--offline"]).expect(78).says(&["cancels its subscriptions"]);
    shop.project.edit(&sync_file(), "removed = \"delete\"", "removed = \"delete\"\ncancel_subscriptions = true");
    shop.project.run().expect(0);
    let deleted = shop.customer(2).0;
    shop.warehouse.execute("create table gone as select * from people where id = 2; delete from people where id = 2;");
    assert_eq!(shop.calls_of_a_run(), 3 + 1);
    shop.assert_as([(1, "free"), (3, "free")]);
    shop.set("search_lag", "3600000");
    shop.warehouse.execute("insert into people select * from gone;");
    shop.project.run().expect(0);
    shop.assert_as([(1, "free"), (2, "free"), (3, "free")]);
    assert_ne!(shop.customer(2).0, deleted);
}

#[test]
fn a_row_that_stripe_refuses_is_kept_alone_with_its_words() {
    let shop = Shop::new(5, "");
    shop.warehouse.execute("update people set email = 'nonsense' where id = 3;");
    shop.project.run().expect(3).says(&["4 accepted", "1 rejected"]);
    shop.assert_as([1, 2, 4, 5].map(|id| (id, "free")));
    let rejects = shop.project.backhaul(&["rejects", "show", SYNC, "3", "--reveal"]).expect(0);
    rejects.says(&["email_invalid", "Invalid email address: nonsense"]);
    shop.warehouse.execute("update people set email = 'p3@example.com' where id = 3;");
    shop.project.run().expect(0);
    shop.assert_as((1..=5).map(|id| (id, "free")));
}

#[test]
fn lost_answers_and_throttling_make_no_second_customer_while_the_search_is_late() {
    let shop = Shop::new(20, "");
    shop.set("search_lag", "3600000");
    shop.set("lose_next", "5");
    shop.set("throttle_next", "2");
    shop.project.run().expect(0).says(&["20 accepted"]);
    shop.assert_as((1..=20).map(|id| (id, "free")));
}

#[test]
fn a_lost_creation_whose_row_changes_is_deferred_until_the_search_knows_it() {
    let shop = Shop::new(1, "");
    shop.set("search_lag", "3600000");
    // No answer comes through: the run ends without knowing.
    shop.set("lose_next", "1000");
    shop.project.run().expect(75);
    shop.set("lose_next", "0");
    shop.warehouse.execute("update people set plan = 'pro' where id = 1;");
    shop.project.run().expect(75);
    assert_eq!(shop.plans().len(), 1, "never two of one row");
    shop.set("search_lag", "0");
    shop.project.run().expect(0);
    shop.assert_as([(1, "pro")]);
}

#[test]
fn a_key_that_is_revoked_in_mid_run_stops_it_and_the_next_run_sends_the_rest() {
    let shop = Shop::new(200, "");
    shop.set("latency", "5");
    let run = shop.project.start(&["run", SYNC]);
    while shop.stripe.calls() < 50 {
        std::thread::sleep(Duration::from_millis(2));
    }
    shop.set("token", "rk_test_another");
    run.finish().expect(4).says(&["401"]).hides(&["rk_test_sandbox", "rk_test_another"]);
    let there = shop.plans().len();
    assert!(there > 0 && there < 200, "{there} customers");
    shop.set("token", "rk_test_sandbox");
    shop.set("latency", "0");
    shop.project.run().expect(0);
    shop.assert_as((1..=200).map(|id| (id, "free")));
}

#[test]
fn a_run_that_is_killed_goes_on_without_a_second_customer() {
    let shop = Shop::new(200, "");
    shop.set("search_lag", "3600000");
    shop.set("latency", "5");
    let run = shop.project.start(&["run", SYNC]);
    while shop.stripe.calls() < 100 {
        std::thread::sleep(Duration::from_millis(2));
    }
    run.kill();
    shop.set("latency", "0");
    shop.project.run().expect(0);
    shop.assert_as((1..=200).map(|id| (id, "free")));
}

#[test]
fn a_key_without_the_permission_to_write_is_told_by_its_name() {
    let shop = Shop::new(2, "");
    shop.set("permissions", "rak_customer_read,rak_account_read");
    shop.project.run().expect(4).says(&["rak_customer_write"]);
    shop.set("permissions", "rak_customer_write,rak_account_read");
    shop.project.run().expect(4).says(&["rak_customer_read"]);
    assert_eq!(shop.stripe.records(), json!({ "customers": {} }));
}
