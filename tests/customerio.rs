//! People at the stand-in of Customer.io: one row a call, through the whole program.

use backhaul_connectors::destinations::customerio::sandbox;
use backhaul_kit::Sandbox;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::warehouse::Warehouse;

/// A project whose people go to a stand-in in this process.
struct Club {
    warehouse: Warehouse,
    project: Project,
    customerio: Box<dyn Sandbox>,
    _runtime: Runtime,
}

impl Club {
    /// A club with `rows` people, numbered from 1.
    fn new(rows: u32) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let customerio = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            sandbox::kind().start(listener, &[]).await.expect("a running stand-in")
        });
        let warehouse = Warehouse::sqlite();
        warehouse.execute(&format!(
            "create table people (id integer primary key, plan text);
             with recursive n(id) as (select 1 union all select id + 1 from n where id < {rows})
             insert into people select id, 'free' from n;"
        ));
        let mut project = Project::new(&warehouse);
        project.set_variable("CUSTOMERIO_KEY", &customerio.token());
        // After a call whose fate is open its row is left alone for as long as a call may take.
        let account =
            "region = \"us\"\nsite_id = \"sandbox-site\"\napi_key = { env = \"CUSTOMERIO_KEY\" }\ntimeout = \"1s\"";
        let account = format!("type = \"customerio\"\n{account}\nbase_url = \"{}\"\n", customerio.url());
        project.append("backhaul.toml", &format!("\n[destinations.messages]\n{account}"));
        project.write("models/people.toml", &model("select * from people", "id"));
        let into = "[into]\nobject = \"people\"\nmode = \"upsert\"\nremoved = \"delete\"\n";
        let fields = "[fields]\nid = \"id\"\nplan = \"plan\"\n";
        project.write(&sync_file(), &format!("model = \"people\"\ndestination = \"messages\"\n\n{into}\n{fields}"));
        Self { warehouse, project, customerio, _runtime: runtime }
    }

    fn assert_plans(&self, expected: impl IntoIterator<Item = (u32, &'static str)>) {
        let people = expected.into_iter().map(|(id, plan)| (id.to_string(), json!({ "plan": plan })));
        let people: serde_json::Map<String, serde_json::Value> = people.collect();
        assert_eq!(self.customerio.records(), json!({ "people": people }));
    }

    /// How many calls a run makes.
    fn calls_of_a_run(&self) -> u64 {
        let before = self.customerio.calls();
        self.project.run().expect(0);
        self.customerio.calls() - before
    }
}

#[test]
fn only_what_changed_reaches_customer_io_and_who_left_is_removed() {
    let club = Club::new(10);
    // Which workspace is it; then each row.
    assert_eq!(club.calls_of_a_run(), 1 + 10);
    club.assert_plans((1..=10).map(|id| (id, "free")));
    assert_eq!(club.calls_of_a_run(), 0);
    club.warehouse.execute(
        "update people set plan = 'pro' where id = 2; insert into people values (11, 'free');
         delete from people where id = 4;",
    );
    assert_eq!(club.calls_of_a_run(), 1 + 3);
    let rest = [1, 3, 5, 6, 7, 8, 9, 10, 11].map(|id| (id, "free"));
    club.assert_plans(rest.into_iter().chain([(2, "pro")]));
}

#[test]
fn a_person_who_is_refused_is_kept_alone_with_customer_ios_words() {
    let club = Club::new(5);
    club.customerio.set("reject", "plan=gold").expect("a setting");
    club.warehouse.execute("update people set plan = 'gold' where id = 3;");
    club.project.run().expect(3).says(&["4 accepted", "1 rejected"]);
    let rejects = club.project.backhaul(&["rejects", "show", SYNC, "3", "--reveal"]).expect(0);
    rejects.says(&["REFUSED", "plan is not valid"]);
    club.warehouse.execute("update people set plan = 'pro' where id = 3;");
    club.project.run().expect(0);
    club.assert_plans([(1, "free"), (2, "free"), (3, "pro"), (4, "free"), (5, "free")]);
}

#[test]
fn lost_answers_and_failed_calls_end_in_one_person_each() {
    let club = Club::new(10);
    for fault in ["lose_next", "fail_next", "throttle_next"] {
        club.customerio.set(fault, "2").expect("a setting");
    }
    club.project.run().expect(0).says(&["10 accepted"]);
    club.assert_plans((1..=10).map(|id| (id, "free")));
}

#[test]
fn a_wrong_region_stops_a_run_before_its_first_row() {
    let club = Club::new(2);
    club.project.edit("backhaul.toml", "region = \"us\"", "region = \"eu\"");
    club.project.run().expect(78).says(&["another region", "write the other `region`"]);
    club.assert_plans([]);
}
