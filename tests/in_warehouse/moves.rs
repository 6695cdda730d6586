//! From one engine to the other in one run, in which nothing is sent that the destination has.

use super::crashes::end_at;
use super::{compare_here, compare_there};
use crate::support::customers::Customers;
use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::{Project, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

struct World {
    warehouse: Warehouse,
    customers: Customers,
    sink: Sink,
    project: Project,
    round: i64,
}

impl World {
    fn new() -> Option<Self> {
        let warehouse = Warehouse::postgres()?;
        let sink = Sink::start();
        let project = Project::customers(&warehouse, &sink);
        // A call whose answer is lost leaves its rows in doubt.
        project.edit(&sync_file(), "batch_size = 100\n", "batch_size = 100\nresend_safe = false\n");
        project.edit(&sync_file(), "destination = \"api\"\n", "destination = \"api\"\non_unknown = \"resend\"\n");
        let mut customers = Customers::new(3_000);
        customers.publish(&warehouse, Some(&sink));
        project.run().expect(0);
        Some(Self { warehouse, customers, sink, project, round: 0 })
    }

    fn publish(&mut self) {
        self.customers.publish(&self.warehouse, Some(&self.sink));
    }

    /// Leaves the row `round` in doubt: the destination has a plan that the model takes back.
    fn leave_in_doubt(&mut self, id: i64) {
        self.customers.set_plan([id], "lost");
        self.publish();
        self.sink.lose_answers(0, 1_000);
        assert_ne!(self.project.run().code, Some(0), "a run cannot succeed without an answer");
        self.sink.lose_answers(0, 0);
        self.customers.set_plan([id], "free");
    }

    /// A change, an addition, a removal, a refused row and a row in doubt in the run that moves the snapshot.
    fn move_with_everything(&mut self, turn: fn(&Project), failpoint: Option<&str>) {
        self.round += 1;
        let base = self.round * 100;
        self.leave_in_doubt(base);
        self.customers.set_plan([base + 1], "changed");
        self.customers.add([10_000 + base]);
        self.customers.remove([base + 2]);
        self.customers.set_plan([base + 3], "refused");
        self.sink.reject(&[base + 3], "INVALID", "no");
        self.publish();
        turn(&self.project);
        let before = self.sink.stats().rows;
        if let Some(failpoint) = failpoint {
            end_at(&mut self.project, failpoint);
        }
        self.project.run().expect(3);
        let rows = applied_since(&self.sink, before);
        let written = [base, base + 1, 10_000 + base].map(|id| id.to_string());
        assert_eq!(keys(&rows, Change::Put), written.into(), "{failpoint:?}");
        assert_eq!(keys(&rows, Change::Delete), [(base + 2).to_string()].into(), "{failpoint:?}");

        self.sink.reject(&[], "", "");
        let before = self.sink.stats().rows;
        self.project.run().expect(0);
        let rows = applied_since(&self.sink, before);
        assert_eq!(keys(&rows, Change::Put), [(base + 3).to_string()].into(), "{failpoint:?}");
        self.customers.judge(&self.sink).assert_converged();
        let settled = self.sink.stats();
        self.project.run().expect(0);
        assert_eq!(self.sink.stats(), settled, "{failpoint:?}");
    }
}

#[test]
fn a_move_into_the_warehouse_and_back_is_one_run_each_without_sending_again() {
    let Some(mut world) = World::new() else { return };
    world.move_with_everything(compare_there, None);
    world.warehouse.assert_count("select 1 from backhaul.snapshots where records = 3000", 1);
    world.move_with_everything(compare_here, None);
    world.warehouse.assert_count("select 1 from backhaul.snapshots", 0);
    world.warehouse.assert_count("select 1 from pg_tables where schemaname = 'backhaul' and tablename like 'snap%'", 1);
}

#[test]
fn a_move_that_ends_at_any_failpoint_is_made_again() {
    let Some(mut world) = World::new() else { return };
    let there = [
        "home::table_filled",
        "manifest::before_rename",
        "home::moved_into_table",
        "plan::before_rename",
        "settle::table_changed",
    ];
    let here = [
        "home::files_written",
        "manifest::after_rename",
        "home::moved_into_files",
        "run::in_deliver",
        "settle::written",
    ];
    for (there, here) in there.into_iter().zip(here) {
        world.move_with_everything(compare_there, Some(there));
        world.move_with_everything(compare_here, Some(here));
    }
}
