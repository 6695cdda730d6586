//! Models that grow, and rows that are sent again after a while.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::crash::failpoints;
use crate::support::project::{Project, SUCCESS, SYNC, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::{Warehouse, on_each_warehouse};

on_each_warehouse!(
    new_rows_are_asked_for_and_late_ones_within_the_lookback,
    what_was_refused_is_asked_for_by_its_key,
    a_run_that_does_not_send_all_moves_nothing,
    rows_without_a_time_are_sent_and_counted,
    what_comes_after_the_first_run_is_sent_where_it_begins_now,
    a_column_without_times_is_refused,
);

/// A table of events that grows, a sync of it, and its sink. The column `at` says when a row came: in days of March
/// 2024, long ago, so that no clock makes a row one of the future.
struct World<'a> {
    warehouse: &'a Warehouse,
    sink: Sink,
    project: Project,
}

impl<'a> World<'a> {
    fn new(warehouse: &'a Warehouse) -> Self {
        let kind = if warehouse.url().is_some() { "timestamptz" } else { "text" };
        warehouse.execute(&format!("create table events (id bigint primary key, name text not null, at {kind})"));
        let sink = Sink::start();
        let mut project = Project::new(warehouse);
        project.add_sink(&sink.url());
        let world = Self { warehouse, sink, project };
        world.project.write("models/events.toml", &model("lookback = \"12h\", begin = \"all\""));
        world.project.write(&sync_file(), &sync("upsert", ""));
        world
    }

    /// Adds rows, one an hour from that day on.
    fn add(&self, ids: impl IntoIterator<Item = i64>, day: u32) {
        for (hour, id) in ids.into_iter().enumerate() {
            let at = format!("2024-03-{:02}T{:02}:00:00Z", day + hour as u32 / 24, hour % 24);
            self.warehouse.execute(&format!("insert into events values ({id}, 'event {id}', '{at}')"));
        }
    }

    fn run(&self, arguments: &[&str]) -> crate::support::program::Finished {
        self.project.backhaul(&[&["run", SYNC], arguments].concat())
    }

    /// One count of the plan that a run would make.
    fn planned(&self, count: &str) -> u64 {
        let plan = self.project.backhaul(&["plan", SYNC, "--output", "json"]).expect(0).json();
        plan["plans"][0]["counts"][count].as_u64().expect("a count")
    }

    /// The names that the sink has, by id.
    fn names(&self) -> BTreeMap<i64, String> {
        let name = |record: &Value| record["name"].as_str().expect("a name").to_owned();
        self.sink.records().iter().map(|(id, record)| (id.parse().expect("a number"), name(record))).collect()
    }

    fn ids(&self) -> Vec<i64> {
        self.names().into_keys().collect()
    }
}

fn model(incremental: &str) -> String {
    format!(
        "warehouse = \"analytics\"\ntable = \"events\"\nkey = [\"id\"]\nincremental = {{ column = \"at\", {incremental} }}\n"
    )
}

/// A sync in this mode, whose calls may be made again.
fn sync(mode: &str, top: &str) -> String {
    format!(
        "model = \"events\"\ndestination = \"api\"\non_unknown = \"resend\"\n{top}\n[into]\nmode = \"{mode}\"\n\
         same_name = [\"id\", \"name\"]\n\n[into.request]\nmethod = \"PUT\"\nurl = \"/rows\"\nbatch_size = 10\n\
         success = {SUCCESS}\n"
    )
}

fn new_rows_are_asked_for_and_late_ones_within_the_lookback(warehouse: &Warehouse) {
    let world = World::new(warehouse);
    world.add(1..=30, 1);
    world.run(&[]).expect(0).says(&["30 accepted"]);
    assert_eq!((world.planned("rows"), world.planned("unchanged")), (13, 13), "twelve hours, and the newest row");
    world.project.backhaul(&["plan", SYNC]).expect(0).says(&["asked for rows since 2024-03-01T17:00:00Z (`at`)"]);

    world
        .project
        .backhaul(&["status"])
        .expect(0)
        .says(&["has delivered the rows of its model up to 2024-03-02 05:00:00Z"]);
    let status = world.project.backhaul(&["status", "--output", "json"]).expect(0).json();
    assert_eq!(status["syncs"][0]["watermark"], "2024-03-02T05:00:00.000Z");

    // Row 31 is new, 32 is late within the lookback, 33 is later than that.
    world.add([31], 3);
    world.add([32, 33], 2);
    warehouse.execute("update events set at = '2024-03-01T03:00:00Z' where id = 33");
    warehouse.execute("update events set name = 'changed', at = '2024-03-03T01:00:00Z' where id = 2");
    world.run(&[]).expect(0).says(&["3 accepted"]);
    let names = world.names();
    assert_eq!((names.len(), names[&2].as_str()), (32, "changed"));
    assert!(!names.contains_key(&33), "it is later than the lookback");

    // A longer lookback finds it, and sends nothing twice; `--full` asks for all, and sends all.
    world.project.write("models/events.toml", &model("lookback = \"30d\", begin = \"all\""));
    assert_eq!((world.planned("rows"), world.planned("added"), world.planned("changed")), (33, 1, 0));
    world.project.write("models/events.toml", &model("lookback = \"12h\", begin = 2024-03-02"));
    world.run(&["--full"]).expect(0).says(&["9 accepted"]);

    // Nothing is removed, whatever becomes of the table.
    warehouse.execute("delete from events");
    world.run(&[]).expect(0);
    assert_eq!((world.ids().len(), world.sink.stats().deletes), (32, 0));
}

fn what_was_refused_is_asked_for_by_its_key(warehouse: &Warehouse) {
    let world = World::new(warehouse);
    world.add(1..=20, 1);
    world.sink.reject(&[3, 7], "BAD_NAME", "that name");
    world.run(&[]).expect(3);
    world.add(21..=40, 10);
    world.sink.reject(&[7], "BAD_NAME", "that name");
    world.run(&[]).expect(3).says(&["21 accepted", "1 rejected"]);
    assert_eq!(world.planned("rows"), 13 + 1, "the window, and one key");
    // As often as it is refused, until it is corrected where it stands.
    for _ in 0..4 {
        world.run(&[]);
    }
    assert_eq!((world.planned("withheld"), world.planned("rows")), (1, 14), "it waits, and is asked for all the same");
    world.sink.reject(&[], "", "");
    warehouse.execute("update events set name = 'corrected' where id = 7");
    world.run(&[]).expect(0).says(&["1 accepted"]);
    assert_eq!((world.ids().len(), world.names()[&7].as_str()), (40, "corrected"));
    assert_eq!(world.planned("rows"), 13);
    world.project.backhaul(&["rejects", "list", SYNC]).expect(0).hides(&["BAD_NAME"]);

    // So is what was never sent.
    world.add(41..=60, 20);
    world.sink.answer(401, 9);
    world.run(&[]).expect(4);
    world.sink.forget_answers();
    warehouse.execute("update events set at = '2024-03-01T00:00:00Z' where id in (41, 42)");
    world.run(&[]).expect(0).says(&["20 accepted"]);
    assert_eq!(world.ids(), (1..=60).collect::<Vec<_>>());
}

fn a_run_that_does_not_send_all_moves_nothing(warehouse: &Warehouse) {
    let world = World::new(warehouse);
    world.add(1..=48, 1);
    world.run(&["--max-rows", "5"]).expect(0).says(&["5 accepted"]);
    world.run(&["--only", "48"]).expect(0).says(&["1 accepted"]);
    assert_eq!(world.planned("rows"), 48);

    world.project.write(&sync_file(), &sync("upsert", "[guards]\nmax_added = 10\n"));
    world.run(&[]).expect(5);
    let listed = world.project.backhaul(&["runs", "--output", "json"]).expect(0).json();
    let held = listed["runs"][0]["id"].as_str().expect("a run").to_owned();
    world.add([49], 5);
    world.project.backhaul(&["discard", &held]).expect(0);
    assert_eq!(world.planned("rows"), 49);
    world.project.write(&sync_file(), &sync("upsert", "[guards]\ncanary = 5\ncanary_max_rejects = \"1%\"\n"));
    let all: Vec<i64> = (1..=49).collect();
    world.sink.reject(&all, "NOT_NOW", "not now");
    world.run(&[]).expect(5).says(&["canary"]);
    world.sink.reject(&[], "", "");
    world.run(&["--yes"]).says(&["43 accepted"]);
    assert_eq!(world.ids(), all);
}

fn rows_without_a_time_are_sent_and_counted(warehouse: &Warehouse) {
    let world = World::new(warehouse);
    world.add(1..=3, 1);
    warehouse.execute("insert into events values (4, 'event 4', null)");
    world.run(&[]).expect(0).says(&["4 accepted", "1 rows have no time in `at`"]);
    world.add([5], 9);
    world.run(&[]).expect(0).says(&["1 accepted"]);
    assert_eq!(world.planned("rows"), 2);
    warehouse.execute("update events set name = 'changed' where id = 4");
    world.run(&[]).expect(0).says(&["1 accepted"]);
    assert_eq!(world.names()[&4], "changed");
}

fn what_comes_after_the_first_run_is_sent_where_it_begins_now(warehouse: &Warehouse) {
    let world = World::new(warehouse);
    world.project.write("models/events.toml", &model("begin = \"now\""));
    world.add(1..=3, 1);
    world.run(&[]).expect(0);
    let now = if warehouse.url().is_some() { "now()" } else { "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')" };
    warehouse.execute(&format!("insert into events values (4, 'event 4', {now})"));
    world.run(&[]).expect(0).says(&["1 accepted"]);
    world.run(&["--full"]).expect(0);
    assert_eq!(world.ids(), [4]);
}

fn a_column_without_times_is_refused(warehouse: &Warehouse) {
    let world = World::new(warehouse);
    world.add([1], 1);
    let numbers = model("begin = \"all\"").replace("\"at\"", "\"id\"");
    world.project.write("models/events.toml", &numbers);
    world.run(&[]).expect(78).says(&["`id`", "name a column with a date or a time"]);
    assert_eq!(world.sink.stats().calls, 0);
}

#[test]
fn an_event_that_changed_is_not_appended_again_unless_that_is_wanted() {
    let warehouse = Warehouse::sqlite();
    let world = World::new(&warehouse);
    world.project.write(&sync_file(), &sync("append", ""));
    world.add(1..=5, 1);
    world.run(&[]).expect(0).says(&["5 accepted"]);
    warehouse.execute("update events set name = 'changed', at = '2024-03-02T00:00:00Z' where id = 2");
    world.run(&[]).expect(0);
    assert_eq!((world.sink.stats().puts, world.planned("ignored")), (5, 1));
    world.project.backhaul(&["plan", SYNC]).expect(0).says(&["1 changed since they were sent, and left alone"]);
    world.project.edit(&sync_file(), "mode = \"append\"", "mode = \"append\"\nchanged = \"send\"");
    world.run(&[]).expect(0).says(&["1 accepted"]);
    assert_eq!((world.sink.stats().puts, world.names()[&2].as_str()), (6, "changed"));
}

#[test]
fn syncs_of_one_model_have_their_own_watermarks() {
    let warehouse = Warehouse::sqlite();
    let mut world = World::new(&warehouse);
    let other = Sink::start();
    world.project.append(
        "backhaul.toml",
        &format!(
            "\n[destinations.other]\ntype = \"http\"\nurl = \"{}\"\ntoken = {{ env = \"SINK_TOKEN\" }}\n",
            other.url()
        ),
    );
    world.project.set_variable("SINK_TOKEN", "any");
    world.project.write("syncs/other.toml", &sync("upsert", "").replace("\"api\"", "\"other\""));
    world.add(1..=3, 1);
    world.run(&[]).expect(0);
    world.add(4..=6, 20);
    world.project.backhaul(&["run", "other"]).expect(0).says(&["6 accepted"]);
    assert_eq!((world.ids(), other.records().len()), (vec![1, 2, 3], 6));
    world.run(&[]).expect(0).says(&["3 accepted"]);
}

#[test]
fn a_kill_at_any_failpoint_passes_no_row_over() {
    let of_this_sync =
        |name: &String| !failpoints::is_of_held_runs(name) && !name.contains("finish") && !name.contains("poll");
    let all: Vec<String> = failpoints::all().into_iter().filter(of_this_sync).collect();
    assert!(all.len() > 15, "{all:?}");
    let warehouse = Warehouse::sqlite();
    let mut world = World::new(&warehouse);
    // A step of values is never exceeded, and they are kept for it.
    world.project.append(&sync_file(), "\n[guards.fields.id]\nmax_step = 1\n");
    let mut killed = 0;
    for (round, failpoint) in (0i64..).zip(&all) {
        // One row of every round is refused, and asked for by its key in the next.
        let first = round * 15 + 1;
        world.add(first..first + 15, u32::try_from(round % 25 + 1).expect("a day"));
        world.warehouse.execute(&format!(
            "update events set at = '{}-01-01T00:00:00Z' where id between {first} and {}",
            1980 + round,
            first + 14
        ));
        world.sink.reject(&[first], "NOT_YET", "not yet");
        world.project.set_variable("FAILPOINT_KILL", &format!("{failpoint}=1"));
        let run = world.run(&[]);
        killed += u32::from(run.signal.is_some());
        world.project.set_variable("FAILPOINT_KILL", "");
        // What the killed run planned is no more: its rows have moved on.
        world.warehouse.execute(&format!("update events set name = 'later' where id = {}", first + 1));
        world.run(&[]);
        world.sink.reject(&[], "", "");
        world.warehouse.execute(&format!(
            "update events set at = '{}-06-01T00:00:00Z' where id = {}",
            1980 + round,
            first + 1
        ));
        world.run(&[]).expect(0);
        let names = world.names();
        assert_eq!(names.len() as i64, first + 14, "after a kill at {failpoint}");
        assert_eq!(names[&(first + 1)], "later", "after a kill at {failpoint}");
    }
    assert_eq!(killed as usize, all.len(), "the failpoints that were passed, of {all:?}");
}

#[test]
fn unchanged_rows_are_sent_again_slice_by_slice() {
    let warehouse = Warehouse::sqlite();
    let world = World::new(&warehouse);
    world.project.write("models/events.toml", "warehouse = \"analytics\"\ntable = \"events\"\nkey = [\"id\"]\n");
    world.project.write(&sync_file(), &sync("upsert", ""));
    world.add(1..=200, 1);
    world.run(&[]).expect(0).says(&["200 accepted"]);
    // Nobody knows when rows were sent before it was asked for.
    let sync = |after: &str| sync("upsert", &format!("refresh_after = \"{after}\"\n[guards]\nmax_changed = 1\n"));
    world.project.write(&sync_file(), &sync("100d"));
    let mut refreshed = 0;
    for _ in 0..8 {
        let due = world.planned("refreshed");
        assert!((1..60).contains(&due), "{due} rows of about 25");
        world.project.backhaul(&["plan", SYNC]).expect(0).says(&["to send again"]);
        world.run(&[]).expect(0).says(&[&format!("{due} accepted")]);
        refreshed += due;
    }
    assert_eq!((refreshed, world.planned("refreshed"), world.planned("unchanged")), (200, 0, 200));
    assert_eq!(world.sink.stats().puts, 400);

    // What is not sent keeps its slices due.
    world.project.write(&sync_file(), &sync("1ms"));
    let due = world.planned("refreshed");
    world.sink.answer(401, 9);
    world.run(&[]).expect(4);
    world.sink.forget_answers();
    assert!(world.planned("refreshed") >= due);
    world.run(&["--full"]).expect(0).says(&["200 accepted"]);
    world.project.write(&sync_file(), &sync("100d"));
    assert_eq!(world.planned("refreshed"), 0);
}

#[test]
fn files_grow_by_the_times_in_them() {
    let sink = Sink::start();
    let mut project = Project::new(&Warehouse::sqlite());
    project.add_sink(&sink.url());
    project.append("backhaul.toml", "\n[warehouses.lake]\ntype = \"files\"\nroot = \"lake\"\nquiet = false\n");
    let by_files = model("lookback = \"12h\", begin = \"all\"")
        .replace("\"analytics\"", "\"lake\"")
        .replace("table = \"events\"", "files = \"*.csv\"");
    project.write("models/events.toml", &by_files);
    project.write(&sync_file(), &sync("upsert", ""));
    let file = |name: &str, rows: &[(i64, &str)]| {
        let rows: String = rows.iter().map(|(id, at)| format!("{id},event {id},{at}\n")).collect();
        project.write(&format!("lake/{name}.csv"), &format!("id,name,at\n{rows}"));
    };
    let run = |code: i32, says: &str| {
        project.backhaul(&["run", SYNC]).expect(code).says(&[says]);
    };
    file("one", &[(1, "2024-03-01T00:00:00Z"), (2, "2024-03-01 20:00:00"), (3, "2024-03-02T01:00:00+01:00")]);
    sink.reject(&[1], "NOT_YET", "not yet");
    run(3, "2 accepted");
    let planned = |count: &str| {
        let plan = project.backhaul(&["plan", SYNC, "--output", "json"]).expect(0).json();
        plan["plans"][0]["counts"][count].as_u64().expect("a count")
    };
    assert_eq!(planned("rows"), 3, "the window, and the key that was refused");
    sink.reject(&[], "", "");
    // 4 is late within the lookback, 5 later than that, and 2 leaves.
    file("one", &[(1, "2024-03-01T00:00:00Z"), (3, "2024-03-02T01:00:00+01:00")]);
    file("two", &[(4, "2024-03-01T13:00:00Z"), (5, "2024-03-01T11:00:00Z"), (6, "2024-03-05")]);
    run(0, "3 accepted");
    let ids: Vec<String> = sink.records().into_keys().collect();
    assert_eq!(ids, ["1", "2", "3", "4", "6"]);
    assert_eq!(planned("rows"), 1);
    project.write("models/events.toml", &by_files.replace("column = \"at\"", "column = \"name\""));
    run(0, "rows have no time in `name`");
}
