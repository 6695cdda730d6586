//! Records that are found by a value of their row, which changes, is taken over or comes back, each time with the
//! answer lost: the destination ends as the model.

use std::collections::BTreeMap;

use serde_json::json;

use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// What becomes of a call whose answer nobody hears.
#[derive(Clone, Copy, Debug)]
enum Lost {
    /// It was applied.
    Answer,
    /// It was not.
    Request,
}

/// People by `id`: address and name.
type People = BTreeMap<i64, (&'static str, &'static str)>;

/// Ada, Bob and Cy are delivered, each call on one row, none of which may be made again by itself.
struct World {
    warehouse: Warehouse,
    sink: Sink,
    project: Project,
}

impl World {
    fn new() -> Self {
        let (warehouse, sink) = (Warehouse::sqlite(), Sink::with(&["--address", "email"]));
        let mut project = Project::new(&warehouse);
        project.add_sink(&sink.url());
        project.edit("backhaul.toml", "type = \"http\"", "type = \"http\"\ntimeouts = { total = \"1s\" }");
        project.write("models/people.toml", &model("select * from people", "id"));
        let call = "url = \"/rows/{{ match_value }}\"\nresend_safe = false\n\
                    success = { evidence = \"call\", statuses = [200] }\n";
        let sync = format!(
            "model = \"people\"\ndestination = \"api\"\non_unknown = \"resend\"\n\n[into]\nmode = \"upsert\"\nremoved = \"delete\"\n\
             match = \"email\"\nsame_name = [\"id\", \"email\", \"name\"]\n\n[into.request]\nmethod = \"PUT\"\n{call}\n\
             [into.remove]\n{call}"
        );
        project.write(&sync_file(), &sync);
        warehouse.execute("create table people (id bigint primary key, email text not null, name text not null)");
        let world = Self { warehouse, sink, project };
        world.publish(&three());
        world.run_until_done();
        world
    }

    fn publish(&self, people: &People) {
        let rows: Vec<String> =
            people.iter().map(|(id, (email, name))| format!("({id}, '{email}', '{name}')")).collect();
        self.warehouse.execute(&format!("delete from people; insert into people values {};", rows.join(", ")));
    }

    /// Makes the model `people` in a run of which nobody hears an answer.
    fn publish_unheard(&self, people: &People, lost: Lost) {
        self.publish(people);
        match lost {
            Lost::Answer => self.sink.lose_answers(0, 100),
            Lost::Request => self.sink.answer(500, 100),
        }
        let calls = self.sink.stats().calls;
        let run = self.project.run();
        assert_ne!(run.code, Some(0), "{lost:?}: a run cannot succeed without an answer");
        assert!(run.stdout.contains("in doubt"), "{lost:?}: {}", run.stdout);
        assert!(self.sink.stats().calls > calls);
        self.sink.lose_answers(0, 0);
        self.sink.forget_answers();
    }

    fn run_until_done(&self) {
        for _ in 0..3 {
            if self.project.run().code == Some(0) {
                return;
            }
        }
        self.project.backhaul(&["run", SYNC]).expect(0);
    }

    /// The destination has these people and nobody else.
    #[track_caller]
    fn assert_has(&self, people: &People, lost: Lost) {
        let wanted: BTreeMap<String, serde_json::Value> = people
            .iter()
            .map(|(id, (email, name))| ((*email).to_owned(), json!({ "id": id, "email": email, "name": name })))
            .collect();
        assert_eq!(self.sink.records(), wanted, "{lost:?} was lost");
    }
}

fn three() -> People {
    People::from([(1, ("ada@a", "Ada")), (2, ("bob@a", "Bob")), (3, ("cy@a", "Cy"))])
}

/// The model becomes `unheard`, of which no answer comes, then `last`.
#[track_caller]
fn check(unheard: &People, last: &People) {
    for lost in [Lost::Answer, Lost::Request] {
        let world = World::new();
        world.publish_unheard(unheard, lost);
        world.publish(last);
        world.run_until_done();
        world.assert_has(last, lost);
    }
}

#[test]
fn a_value_that_goes_and_comes_back_unheard_is_as_it_was() {
    let mut b = three();
    b.insert(1, ("ada@a", "Countess"));
    check(&b, &three());
}

#[test]
fn a_row_that_leaves_unheard_and_comes_back_is_there() {
    let mut without = three();
    without.remove(&1);
    check(&without, &three());
}

#[test]
fn a_row_that_comes_unheard_and_leaves_is_gone() {
    let mut more = three();
    more.insert(4, ("dee@a", "Dee"));
    check(&more, &three());
}

#[test]
fn a_match_value_that_changes_unheard_leaves_one_record() {
    let mut moved = three();
    moved.insert(1, ("ada@b", "Ada"));
    check(&moved, &moved);
}

#[test]
fn a_key_that_takes_over_anothers_match_value_unheard_keeps_one_record() {
    let mut merged = three();
    merged.remove(&2);
    merged.insert(1, ("bob@a", "Ada Bob"));
    check(&merged, &merged);
}

#[test]
fn a_row_that_comes_unheard_under_another_match_value_leaves_one_record() {
    let (mut early, mut late) = (three(), three());
    early.insert(4, ("dee@a", "Dee"));
    late.insert(4, ("dee@b", "Dee"));
    check(&early, &late);
}

#[test]
fn a_match_value_of_two_rows_stops_the_run_where_records_are_removed_by_it() {
    let world = World::new();
    let calls = world.sink.stats().calls;
    let as_email = "same_name = [\"id\", \"name\"]\n\n[fields]\nemail = { column = \"email\", as = \"email\" }\n";
    world.project.edit(&sync_file(), "same_name = [\"id\", \"email\", \"name\"]", as_email.trim_end());
    // [fields] has to stand behind the keys of [into].
    let text = std::fs::read_to_string(world.project.path(&sync_file())).expect("the sync");
    let (head, tail) = text.split_once("[fields]").expect("fields");
    let (fields, rest) = tail.split_once("\n\n").expect("the calls");
    world.project.write(&sync_file(), &format!("{head}{rest}\n[fields]{fields}\n"));

    let twins = People::from([(1, ("ada@a.org", "Ada")), (2, ("ADA@a.org", "Bob")), (3, ("cy@a.org", "Cy"))]);
    world.publish(&twins);
    let run = world.project.run().expect(78).hides(&["ada@a.org", "ADA@a.org"]);
    assert!(run.stderr.contains("1 rows whose `email` is that of another row"), "{}", run.stderr);
    assert!(run.stderr.contains("having count(*) > 1"), "{}", run.stderr);
    assert_eq!(world.sink.stats().calls, calls, "nothing was sent");

    // Nothing is removed by it: the later one is written over the earlier.
    world.project.edit(&sync_file(), "removed = \"delete\"", "removed = \"ignore\"");
    let text = std::fs::read_to_string(world.project.path(&sync_file())).expect("the sync");
    let (head, tail) = text.split_once("[into.remove]").expect("the call");
    let (_, fields) = tail.split_once("[fields]").expect("fields");
    world.project.write(&sync_file(), &format!("{head}[fields]{fields}"));
    world.project.edit(&sync_file(), "[fields]", "[guards]\non_remap = \"full\"\n\n[fields]");
    world.project.run().expect(0);
}

#[test]
fn match_values_that_go_from_row_to_row_end_where_the_model_has_them() {
    let world = World::new();
    let step = |people: &People| {
        world.publish(people);
        world.project.run().expect(0);
        assert_eq!(world.sink.records().len(), people.len());
        world.assert_has(people, Lost::Answer);
    };
    // Ada takes Bob's address, Bob takes Cy's, Cy has a new one: whoever goes first would find a record of another.
    step(&People::from([(1, ("bob@a", "Ada")), (2, ("cy@a", "Bob")), (3, ("new@a", "Cy"))]));
    // All three change in a ring.
    step(&People::from([(1, ("new@a", "Ada")), (2, ("bob@a", "Bob")), (3, ("cy@a", "Cy"))]));
    // A ring of two beside a chain that ends at an address which a row that leaves gives up.
    step(&People::from([(1, ("bob@a", "Ada")), (2, ("new@a", "Bob"))]));
}
