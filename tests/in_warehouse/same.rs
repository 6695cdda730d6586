//! The same scenario with both engines sends the same rows.

use serde_json::Value;

use super::compare_there;
use crate::support::customers::Customers;
use crate::support::journal::Change;
use crate::support::judge::applied_since;
use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// A project, its model and its sink, and what every step sent.
struct World {
    warehouse: Warehouse,
    customers: Customers,
    sink: Sink,
    project: Project,
    sent: Vec<Step>,
}

/// A row that the sink applied: whether it was written, its key, its record.
type Row = (bool, String, Option<Value>);

/// What a step did.
#[derive(Debug, PartialEq)]
struct Step {
    /// The exit codes of its runs.
    codes: Vec<Option<i32>>,
    /// The counts of its last run.
    counts: Value,
    /// The rows that the sink applied, by key.
    rows: Vec<Row>,
}

impl World {
    fn new(there: bool) -> Option<Self> {
        let warehouse = Warehouse::postgres()?;
        let sink = Sink::start();
        let project = Project::customers(&warehouse, &sink);
        // A call whose answer is lost leaves its rows in doubt.
        project.edit(&sync_file(), "batch_size = 100\n", "batch_size = 100\nresend_safe = false\n");
        project.append(&sync_file(), "\n[guards]\non_remap = \"full\"\nmax_changed = 100000\n");
        if there {
            compare_there(&project);
        }
        Some(Self { warehouse, customers: Customers::new(120), sink, project, sent: Vec::new() })
    }

    fn run(&mut self, arguments: &[&str]) {
        self.runs(&[arguments]);
    }

    /// Several runs as one step: which rows come first is not promised.
    fn runs(&mut self, several: &[&[&str]]) {
        let before = self.sink.stats().rows;
        let mut codes = Vec::new();
        for arguments in several {
            codes.push(self.project.backhaul(&[&["run", SYNC], *arguments].concat()).code);
        }
        let applied = applied_since(&self.sink, before);
        let mut rows: Vec<_> = applied.into_iter().map(|row| (row.change == Change::Put, row.key, row.body)).collect();
        rows.sort_by(|a, b| (&a.1, a.0).cmp(&(&b.1, b.0)));
        let listed = self.project.backhaul(&["runs", "--output", "json"]).expect(0).json();
        let counts = listed["runs"][0]["counts"].clone();
        assert!(counts["rows"].is_u64(), "{listed}");
        self.sent.push(Step { codes, counts, rows });
    }

    fn publish(&mut self) {
        self.customers.publish(&self.warehouse, Some(&self.sink));
    }

    /// A row takes over the address of one that leaves, and leaves in its turn.
    fn merge(mut self) -> Vec<Step> {
        self.project.edit(&sync_file(), "removed = \"delete\"\n", "removed = \"delete\"\nmatch = \"email\"\n");
        self.publish();
        self.run(&[]);
        self.customers.remove([20]);
        self.customers.rows.get_mut(&22).expect("a row").email = Some("c20@example.com".into());
        self.publish();
        self.run(&[]);
        self.customers.remove([22, 30]);
        self.publish();
        self.run(&[]);
        self.run(&[]);
        let keys = |step: &Step| step.rows.iter().map(|(put, key, _)| (*put, key.clone())).collect::<Vec<_>>();
        let removed = ["22", "30"].map(|key| (false, key.to_owned()));
        assert_eq!(
            self.sent[1..].iter().map(keys).collect::<Vec<_>>(),
            [vec![(true, "22".to_owned())], removed.into(), vec![]]
        );
        self.sent
    }

    /// Everything that can happen to a row, one after the other.
    fn live(mut self) -> Vec<Step> {
        self.publish();
        self.run(&[]);
        self.run(&[]);
        // Added, changed, removed.
        self.customers.set_plan([1, 2, 3], "pro");
        self.customers.add([200, 201]);
        self.customers.remove([10, 11]);
        self.publish();
        self.run(&[]);
        // Refused: kept, tried again, and sent when they change.
        self.sink.reject(&[20, 21, 202], "INVALID", "no");
        self.customers.set_plan([20, 21, 22], "bad");
        self.customers.add([202]);
        self.customers.remove([23]);
        self.publish();
        self.run(&[]);
        self.run(&[]);
        self.run(&[]);
        self.run(&[]);
        self.run(&[]);
        self.sink.reject(&[], "", "");
        self.customers.set_plan([20], "good");
        self.publish();
        self.run(&[]);
        // A → B with the answer lost → A; a lost removal comes back; a lost addition leaves.
        self.customers.set_plan([30], "B");
        self.customers.remove([31]);
        self.customers.add([203]);
        self.publish();
        self.sink.lose_answers(0, 1_000);
        self.run(&[]);
        self.sink.lose_answers(0, 0);
        self.customers.set_plan([30], "free");
        self.customers.add([31]);
        self.customers.remove([203]);
        self.publish();
        self.run(&[]);
        // The encoding of every row changes and no value does.
        let narrow = "select id::int as id, email::varchar(99) as email, name, plan from customers";
        self.project.write("models/customers.toml", &model(narrow, "id"));
        self.run(&[]);
        self.customers.set_plan([40], "after");
        self.publish();
        self.run(&[]);
        // Some rows, a few rows, all rows.
        self.customers.set_plan([50, 51, 52, 53], "some");
        self.customers.remove([54]);
        self.publish();
        self.run(&["--only", "51"]);
        self.runs(&[&["--max-rows", "2"], &[]]);
        self.run(&["--full"]);
        // Another mapping, with some of the rows refused under it and some left for later.
        self.project.append(&sync_file(), "\n[fields]\nsource = { value = \"backhaul\" }\n");
        self.sink.reject(&[60], "INVALID", "no");
        self.customers.set_plan([61], "mapped");
        self.publish();
        self.runs(&[&["--max-rows", "90"], &[]]);
        self.sink.reject(&[], "", "");
        self.run(&[]);
        self.run(&[]);
        // Rows that leave after that.
        self.customers.remove(60..=70);
        self.publish();
        self.run(&[]);
        self.run(&[]);
        self.sent
    }
}

/// Lets both engines live the same life and compares what they did.
fn compare(life: fn(World) -> Vec<Step>) {
    let (Some(here), Some(there)) = (World::new(false), World::new(true)) else { return };
    let (here, there) = std::thread::scope(|scope| {
        let here = scope.spawn(|| life(here));
        let there = scope.spawn(|| life(there));
        (here.join().expect("the local engine"), there.join().expect("the warehouse's engine"))
    });
    assert!(here.iter().any(|step| !step.rows.is_empty()));
    assert_eq!(here.len(), there.len());
    for (number, (here, there)) in here.iter().zip(&there).enumerate() {
        let beyond =
            |a: &Step, b: &Step| a.rows.iter().filter(|row| !b.rows.contains(row)).take(3).cloned().collect::<Vec<_>>();
        let (only_here, only_there) = (beyond(here, there), beyond(there, here));
        assert!(
            here == there,
            "step {number}: {:?} {} {only_here:?} | {:?} {} {only_there:?}",
            here.codes,
            here.counts,
            there.codes,
            there.counts
        );
    }
}

#[test]
fn both_engines_send_the_same_rows() {
    compare(World::live);
}

#[test]
fn both_engines_spare_a_record_that_another_row_claims() {
    compare(World::merge);
}
