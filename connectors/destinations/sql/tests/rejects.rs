//! Rows that the server refuses are found, and what is not a row's fault rejects none.

use backhaul_kit::contract::row;
use backhaul_kit::{FaultClass, Operation, Row, Value, Verdict};

use super::server::Server;
use super::{batch, bisect, open, text, try_write};

super::scenarios!(
    every_bad_row_is_found_and_no_other
    the_servers_words_are_kept_for_the_reject
    a_lock_that_is_held_is_waited_for_and_tried_again
    a_batch_that_was_cut_off_was_not_applied
);

async fn every_bad_row_is_found_and_no_other(server: &mut impl Server) {
    server
        .run(
            "CREATE TABLE plans (name varchar(20) PRIMARY KEY);
             CREATE TABLE people (id int PRIMARY KEY, name varchar(5) NOT NULL, email varchar(20) UNIQUE,
                                  plan varchar(20) REFERENCES plans (name), points smallint CHECK (points > 0));
             INSERT INTO plans VALUES ('pro');
             INSERT INTO people VALUES (100, 'x', 'taken', 'pro', 1)",
        )
        .await;
    let people = open(server, "match = \"id\"", &["id", "name", "email", "plan", "points"]);
    let good = |id: i64| vec![Value::Int(id), text("ok"), text(&format!("e{id}")), text("pro"), Value::Int(1)];
    let mut rows: Vec<Row> = (0..32).map(|id| row(id as u64, id, good(id))).collect();
    let mut spoil = |id: i64, column: usize, value: Value| {
        let mut values = good(id);
        values[column] = value;
        rows[usize::try_from(id).expect("small")] = row(id as u64, id, values);
    };
    spoil(3, 1, text("too long"));
    spoil(4, 1, Value::Null);
    // An upsert by `id` must not change the record of another id that has this e-mail.
    spoil(11, 2, text("taken"));
    spoil(17, 3, text("nope"));
    spoil(18, 4, Value::Int(0));
    spoil(25, 4, Value::Int(70_000));
    spoil(31, 4, text("many"));
    let rejected = bisect(&*people, Operation::Upsert, rows).await;
    assert_eq!(rejected.iter().map(|(op, _)| *op).collect::<Vec<_>>(), [3, 4, 11, 17, 18, 25, 31], "{rejected:?}");
    assert_eq!(server.column("SELECT concat('', count(*)) FROM people").await, ["26"]);
    let taken = server.column("SELECT concat_ws(' ', id, name, points) FROM people WHERE email = 'taken'").await;
    assert_eq!(taken, ["100 x 1"]);
}

async fn the_servers_words_are_kept_for_the_reject(server: &mut impl Server) {
    server.run("CREATE TABLE people (id int PRIMARY KEY, email varchar(50) UNIQUE)").await;
    server.run("INSERT INTO people VALUES (1, 'ann@example.com')").await;
    let people = open(server, "mode = \"append\"", &["id", "email"]);
    let row = row(1, 2, vec![Value::Int(2), text("ann@example.com")]);
    let verdicts = try_write(&*people, &batch(Operation::Append, vec![row])).await.expect("judged");
    let [Verdict::Rejected(reason)] = verdicts.as_slice() else { panic!("{verdicts:?}") };
    assert!(reason.text.contains("ann@example.com"), "{reason:?}");
}

async fn a_lock_that_is_held_is_waited_for_and_tried_again(server: &mut impl Server) {
    server.run("CREATE TABLE people (id int PRIMARY KEY, points int)").await;
    server.run("INSERT INTO people VALUES (1, 1)").await;
    let people = open(server, "match = \"id\"", &["id", "points"]);
    server.run("BEGIN").await;
    server.run("UPDATE people SET points = 2 WHERE id = 1").await;
    let rows = batch(Operation::Upsert, vec![row(1, 1, vec![Value::Int(1), Value::Int(3)])]);
    let fault = try_write(&*people, &rows).await.expect_err("the row is locked for longer than `timeout`");
    assert_eq!(fault.class, FaultClass::Transient, "{fault:?}");
    server.run("COMMIT").await;
    assert_eq!(server.column("SELECT concat('', points) FROM people").await, ["2"]);
    try_write(&*people, &rows).await.expect("written");
    assert_eq!(server.column("SELECT concat('', points) FROM people").await, ["3"]);
}

async fn a_batch_that_was_cut_off_was_not_applied(server: &mut impl Server) {
    server.run("CREATE TABLE people (id int PRIMARY KEY, points int)").await;
    server.run("INSERT INTO people VALUES (1, 1)").await;
    let people = open(server, "match = \"id\"", &["id", "points"]);
    server.run("BEGIN").await;
    server.run("UPDATE people SET points = 2 WHERE id = 1").await;
    let rows = (1..=3).map(|id| row(id as u64, id, vec![Value::Int(id), Value::Int(3)])).collect();
    let writing = tokio::spawn(async move { try_write(&*people, &batch(Operation::Upsert, rows)).await });
    server.until_one_waits().await;
    server.cut().await;
    let fault = writing.await.expect("no panic").expect_err("cut off before COMMIT");
    assert_eq!(fault.class, FaultClass::Transient, "{fault:?}");
    server.run("COMMIT").await;
    assert_eq!(server.column("SELECT concat_ws(' ', id, points) FROM people").await, ["1 2"]);
}
