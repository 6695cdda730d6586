//! Rows are made, changed, moved and removed, and arrive as they are.

use backhaul_kit::contract::row;
use backhaul_kit::{FieldValue, Operation, Row, Value, Verdict};

use super::server::Server;
use super::{WRITTEN, batch, found_by, open, text, try_write, write};

super::scenarios!(
    rows_are_made_changed_and_removed
    values_arrive_as_they_are
    a_field_that_is_left_out_keeps_its_value
    what_somebody_else_put_there_stays
    an_update_makes_no_row
    a_moved_row_keeps_its_record
    a_removed_row_is_emptied
    names_are_only_names
    a_batch_is_all_or_nothing
    a_connection_that_was_cut_is_replaced
);

const PEOPLE: &str = "CREATE TABLE people (id int PRIMARY KEY, name varchar(100) DEFAULT 'nobody', points int)";
const ALL: &str = "SELECT concat_ws(' ', id, coalesce(name, 'NULL'), coalesce(points, -1)) FROM people ORDER BY id";

fn person(op: u64, id: i64, name: &str, points: i64) -> Row {
    row(op, id, vec![Value::Int(id), text(name), Value::Int(points)])
}

fn gone(op: u64, id: i64) -> Row {
    found_by(row(op, id, Vec::new()), &id.to_string())
}

async fn rows_are_made_changed_and_removed(server: &mut impl Server) {
    server.run(PEOPLE).await;
    let people = open(server, "match = \"id\"\nremoved = \"delete\"", &["id", "name", "points"]);
    let made = (1..=5).map(|id| person(id as u64, id, "first", 1)).collect();
    assert_eq!(write(&*people, Operation::Upsert, made).await, [WRITTEN; 5]);
    let changed = vec![person(1, 2, "second", 2), person(2, 6, "new", 3)];
    // The same once more, as after a lost answer.
    for _ in 0..2 {
        assert_eq!(write(&*people, Operation::Upsert, changed.clone()).await, [WRITTEN; 2]);
    }
    assert_eq!(server.column(ALL).await, ["1 first 1", "2 second 2", "3 first 1", "4 first 1", "5 first 1", "6 new 3"]);
    for _ in 0..2 {
        let verdicts = write(&*people, Operation::Delete, vec![gone(1, 1), gone(2, 3), gone(3, 6)]).await;
        assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Written { .. } | Verdict::Unchanged)));
    }
    assert_eq!(server.column(ALL).await, ["2 second 2", "4 first 1", "5 first 1"]);
}

async fn values_arrive_as_they_are(server: &mut impl Server) {
    server
        .run("CREATE TABLE people (id bigint PRIMARY KEY, name varchar(100), story text, amount decimal(20, 4), born date, at time)")
        .await;
    let people = open(server, "match = \"id\"", &["id", "name", "story", "amount", "born", "at"]);
    let long = "ü".repeat(20_000);
    let of = |op, id, name: &str, story: &str| {
        let amount = Value::Decimal("-1234567890123456.7891".into());
        row(
            op,
            id,
            vec![Value::Int(id), text(name), text(story), amount, Value::Date(19_000), Value::Time(45_296_000_000)],
        )
    };
    let rows = vec![
        of(1, i64::MAX, "Zoë 😀 \u{200d} 漢字", "it's \"quoted\" `so` \\n \\\\ % _ \r\n\t"),
        of(2, i64::MIN, "'); DROP TABLE people; --", &long),
        row(3, 0, vec![Value::Int(0), Value::Null, Value::Null, Value::Null, Value::Null, Value::Null]),
        of(4, 7, "", ""),
    ];
    assert_eq!(write(&*people, Operation::Upsert, rows).await, [WRITTEN; 4]);
    let ids = server.column("SELECT concat('', id) FROM people ORDER BY id").await;
    assert_eq!(ids, ["-9223372036854775808", "0", "7", "9223372036854775807"]);
    let names = server.column("SELECT coalesce(name, 'NULL') FROM people ORDER BY id").await;
    assert_eq!(names, ["'); DROP TABLE people; --", "NULL", "", "Zoë 😀 \u{200d} 漢字"]);
    let stories = server.column("SELECT coalesce(story, 'NULL') FROM people ORDER BY id").await;
    assert_eq!(stories, [long.as_str(), "NULL", "", "it's \"quoted\" `so` \\n \\\\ % _ \r\n\t"]);
    let others = server.column("SELECT concat_ws(' ', amount, born, at) FROM people WHERE id = 7").await;
    assert_eq!(others, ["-1234567890123456.7891 2022-01-08 12:34:56"]);
}

async fn a_field_that_is_left_out_keeps_its_value(server: &mut impl Server) {
    server.run(PEOPLE).await;
    server.run("INSERT INTO people VALUES (1, 'Ann', 1), (2, 'Ben', 2)").await;
    let people = open(server, "match = \"id\"", &["id", "name", "points"]);
    let of = |op, id, name, points| {
        let mut row = row(op, id, Vec::new());
        row.fields = [FieldValue::Set(Value::Int(id)), name, points].into_iter().collect();
        row
    };
    let rows = vec![
        of(1, 1, FieldValue::Skip, FieldValue::Set(Value::Int(10))),
        of(2, 2, FieldValue::Clear, FieldValue::Skip),
        of(3, 3, FieldValue::Skip, FieldValue::Skip),
    ];
    assert_eq!(write(&*people, Operation::Upsert, rows).await, [WRITTEN; 3]);
    assert_eq!(server.column(ALL).await, ["1 Ann 10", "2 NULL 2", "3 nobody -1"]);
}

async fn what_somebody_else_put_there_stays(server: &mut impl Server) {
    server.run(PEOPLE).await;
    server.run("INSERT INTO people VALUES (1, 'Ann', 1), (2, NULL, NULL)").await;
    let into = "match = \"id\"\nremoved = \"clear\"";
    let people = open(server, into, &["id", "name=if_empty", "points=on_create"]);
    let rows = || vec![person(1, 1, "Anna", 10), person(2, 2, "Ben", 20), person(3, 3, "Cleo", 30)];
    assert_eq!(write(&*people, Operation::Upsert, rows()).await, [WRITTEN; 3]);
    assert_eq!(server.column(ALL).await, ["1 Ann 1", "2 Ben -1", "3 Cleo 30"]);
    // A row that moves is changed by the same rules; one that is nowhere is made.
    let moved = vec![found_by(person(1, 4, "Dora", 40), "3"), found_by(person(2, 5, "Emil", 50), "9")];
    assert_eq!(write(&*people, Operation::Move, moved).await, [WRITTEN; 2]);
    assert_eq!(server.column(ALL).await, ["1 Ann 1", "2 Ben -1", "4 Cleo 30", "5 Emil 50"]);
    let people = open(server, into, &["id", "name", "points=on_create"]);
    assert_eq!(write(&*people, Operation::Clear, vec![gone(1, 4)]).await, [WRITTEN]);
    assert_eq!(server.column(ALL).await, ["1 Ann 1", "2 Ben -1", "4 NULL 30", "5 Emil 50"]);
}

async fn an_update_makes_no_row(server: &mut impl Server) {
    server.run(PEOPLE).await;
    server.run("INSERT INTO people VALUES (1, 'Ann', 1), (2, 'Ben', 2)").await;
    let people = open(server, "match = \"id\"\nmode = \"update\"", &["id", "name", "points"]);
    let rows = vec![person(1, 1, "Anna", 5), person(2, 9, "Nobody", 5), person(3, 2, "Ben", 2)];
    let verdicts = write(&*people, Operation::Update, rows).await;
    assert!(matches!(&verdicts[1], Verdict::Rejected(reason) if reason.code == "NOT_FOUND"), "{verdicts:?}");
    // A row that says what is there already is found too.
    assert_eq!([&verdicts[0], &verdicts[2]], [&WRITTEN; 2]);
    assert_eq!(server.column(ALL).await, ["1 Anna 5", "2 Ben 2"]);
    let people = open(server, "match = \"id\"\nmode = \"update\"", &["id"]);
    let only = write(&*people, Operation::Update, vec![row(1, 1, vec![Value::Int(1)])]).await;
    assert_eq!(only, [WRITTEN]);
}

async fn a_moved_row_keeps_its_record(server: &mut impl Server) {
    server.run("CREATE TABLE people (id int PRIMARY KEY, name varchar(100) UNIQUE, points int, kept int)").await;
    server.run("INSERT INTO people VALUES (1, 'old', 1, 7), (2, 'taken', 2, 8)").await;
    let people = open(server, "match = \"name\"", &["name", "id", "points"]);
    let moved =
        |op, from: &str, to: &str, id| found_by(row(op, id, vec![text(to), Value::Int(id), Value::Int(5)]), from);
    let all = "SELECT concat_ws(' ', id, name, points, coalesce(kept, -1)) FROM people ORDER BY id";
    for _ in 0..2 {
        // The second finds the record at its new value; a third record is nowhere and is made.
        let rows = vec![moved(1, "old", "new", 1), moved(2, "never", "made", 3)];
        assert_eq!(write(&*people, Operation::Move, rows).await, [WRITTEN; 2]);
        assert_eq!(server.column(all).await, ["1 new 5 7", "2 taken 2 8", "3 made 5 -1"]);
    }
    let refused =
        super::bisect(&*people, Operation::Move, vec![moved(1, "new", "taken", 1), moved(2, "made", "free", 3)]);
    assert_eq!(refused.await.len(), 1);
    assert_eq!(server.column(all).await, ["1 new 5 7", "2 taken 2 8", "3 free 5 -1"]);

    let people = open(server, "match = \"name\"\nmode = \"update\"", &["name", "points"]);
    let moved = |op, from: &str, to: &str| found_by(row(op, 1, vec![text(to), Value::Int(6)]), from);
    let rows = vec![moved(1, "new", "newer"), moved(2, "gone", "free"), moved(3, "gone too", "nowhere")];
    let verdicts = write(&*people, Operation::Move, rows).await;
    assert_eq!(verdicts[..2], [WRITTEN; 2]);
    assert!(matches!(&verdicts[2], Verdict::Rejected(reason) if reason.code == "NOT_FOUND"));
    assert_eq!(server.column(all).await, ["1 newer 6 7", "2 taken 2 8", "3 free 6 -1"]);
}

async fn a_removed_row_is_emptied(server: &mut impl Server) {
    server.run(PEOPLE).await;
    server.run("INSERT INTO people VALUES (1, 'Ann', 1), (2, 'Ben', 2)").await;
    let people = open(server, "match = \"id\"\nremoved = \"clear\"", &["id", "name"]);
    let verdicts = write(&*people, Operation::Clear, vec![gone(1, 2), gone(2, 5)]).await;
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Written { .. } | Verdict::Unchanged)));
    assert_eq!(server.column(ALL).await, ["1 Ann 1", "2 NULL 2"]);
    let forgotten = write(&*people, Operation::Clear, vec![row(1, 1, Vec::new())]).await;
    assert!(matches!(&forgotten[0], Verdict::Rejected(reason) if reason.code == "NO_ADDRESS"));
    let people = open(server, "match = \"id\"", &["id", "name"]);
    let unmatched = write(&*people, Operation::Upsert, vec![row(1, 1, vec![Value::Null, text("x")])]).await;
    assert!(matches!(&unmatched[0], Verdict::Rejected(reason) if reason.code == "NO_MATCH_VALUE"));
}

async fn names_are_only_names(server: &mut impl Server) {
    // In the way in which each server quotes names.
    let quote = if server.kind().name == "postgres" { '"' } else { '`' };
    let quoted = |name: &str| super::super::name::quoted(name, quote);
    let (table, column) = ("Select \"x\"; `drop`", "order by \"1\" -- `2`");
    server.run(&format!("CREATE TABLE {} (id int PRIMARY KEY, {} int)", quoted(table), quoted(column))).await;
    let object = format!("object = '{table}'\nmatch = \"id\"\nremoved = \"delete\"");
    let things = open(server, &object, &["id", column]);
    things.describe().await.expect("described");
    let rows = vec![row(1, 1, vec![Value::Int(1), Value::Int(10)]), row(2, 2, vec![Value::Int(2), Value::Int(20)])];
    assert_eq!(write(&*things, Operation::Upsert, rows).await, [WRITTEN; 2]);
    write(&*things, Operation::Delete, vec![gone(1, 1)]).await;
    let seen = server.column(&format!("SELECT concat('', {}) FROM {}", quoted(column), quoted(table))).await;
    assert_eq!(seen, ["20"]);
}

async fn a_batch_is_all_or_nothing(server: &mut impl Server) {
    server.run(PEOPLE).await;
    let people = open(server, "match = \"id\"", &["id", "name", "points"]);
    let mut rows: Vec<Row> = (1..=20).map(|id| person(id as u64, id, "x", 1)).collect();
    rows[13] = person(14, 14, &"x".repeat(101), 1);
    let fault = try_write(&*people, &batch(Operation::Upsert, rows)).await.expect_err("one name is too long");
    assert_eq!(fault.class, backhaul_kit::FaultClass::Split);
    assert!(!fault.message.contains("xxx"), "{fault:?}");
    assert_eq!(server.column(ALL).await, Vec::<String>::new());
}

async fn a_connection_that_was_cut_is_replaced(server: &mut impl Server) {
    server.run(PEOPLE).await;
    let people = open(server, "match = \"id\"", &["id", "name", "points"]);
    write(&*people, Operation::Upsert, vec![person(1, 1, "x", 1)]).await;
    assert!(server.cut().await > 0, "a connection waits for the next batch");
    assert_eq!(write(&*people, Operation::Upsert, vec![person(1, 2, "y", 1)]).await, [WRITTEN]);
    assert_eq!(server.column(ALL).await, ["1 x 1", "2 y 1"]);
}
