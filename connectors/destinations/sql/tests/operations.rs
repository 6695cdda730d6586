//! The table of operations tells what was committed.

use backhaul_kit::contract::{row, run};
use backhaul_kit::{Operation, Presence, Row, Run, Value};

use super::server::Server;
use super::{WRITTEN, batch, open, prepared, write};

super::scenarios!(
    what_was_committed_is_known
    a_question_waits_for_a_transaction_that_is_not_over
    entries_of_earlier_runs_go
    a_call_that_is_made_again_has_one_entry
    without_the_table_nothing_is_known
);

const EVENTS: &str = "CREATE TABLE people (id int, note int)";
const INTO: &str = "mode = \"append\"\noperations = \"delivered\"";
const THERE: Presence = Presence::There { remote_id: None };

fn event(op: u64) -> Row {
    row(op, i64::try_from(op).expect("small"), vec![Value::Int(1), Value::Int(2)])
}

async fn what_was_committed_is_known(server: &mut impl Server) {
    server.run(EVENTS).await;
    let facts = prepared(server, INTO, &["id", "note"]).facts(Operation::Append);
    assert!(facts.read_back && !facts.resend_safe);
    let events = open(server, INTO, &["id", "note"]);
    let asked = batch(Operation::Append, (1..=4).map(event).collect());
    assert_eq!(events.find_written(&run(), &asked).await.expect("asked"), [const { Presence::Absent }; 4]);
    assert_eq!(write(&*events, Operation::Append, vec![event(2), event(4)]).await, [WRITTEN; 2]);
    let expected = [Presence::Absent, THERE, Presence::Absent, THERE];
    assert_eq!(events.find_written(&run(), &asked).await.expect("asked"), expected);
    // Asking leaves nothing behind: another process is told the same.
    let events = open(server, INTO, &["id", "note"]);
    assert_eq!(events.find_written(&run(), &asked).await.expect("asked"), expected);
    assert_eq!(server.column("SELECT concat('', count(*)) FROM people").await, ["2"]);
}

async fn a_question_waits_for_a_transaction_that_is_not_over(server: &mut impl Server) {
    server.run(EVENTS).await;
    let events = open(server, INTO, &["id", "note"]);
    write(&*events, Operation::Append, vec![event(1)]).await;
    for (op, end, expected) in [(2, "COMMIT", THERE), (3, "ROLLBACK", Presence::Absent)] {
        // As a transaction whose COMMIT is still on its way.
        server.run("BEGIN").await;
        let entry = format!(
            "INSERT INTO delivered (sync, run, op, key_hash, fingerprint) VALUES ('contract', 'run-1', {op}, 'x', 1)"
        );
        server.run(&entry).await;
        let asking = events.clone();
        let asked = batch(Operation::Append, vec![event(op)]);
        let answer = tokio::spawn(async move { asking.find_written(&run(), &asked).await });
        server.until_one_waits().await;
        server.run(end).await;
        assert_eq!(answer.await.expect("no panic").expect("answered"), [expected], "{end}");
    }
}

async fn entries_of_earlier_runs_go(server: &mut impl Server) {
    server.run(EVENTS).await;
    let events = open(server, INTO, &["id", "note"]);
    write(&*events, Operation::Append, vec![event(1), event(2)]).await;
    server
        .run("INSERT INTO delivered (sync, run, op, key_hash, fingerprint) VALUES ('other', 'run-0', 1, 'x', 1)")
        .await;
    let events = open(server, INTO, &["id", "note"]);
    let next = Run { id: "run-2".into(), ..run() };
    let rows = batch(Operation::Append, vec![event(1)]);
    events.write(&next, &rows, backhaul_kit::contract::NO_TICKETS).await.expect("written");
    let seen = server.column("SELECT concat_ws(' ', sync, run, op) FROM delivered ORDER BY sync").await;
    assert_eq!(seen, ["contract run-2 1", "other run-0 1"]);
}

async fn a_call_that_is_made_again_has_one_entry(server: &mut impl Server) {
    server.run("CREATE TABLE people (id int PRIMARY KEY, note int)").await;
    let into = "match = \"id\"\nremoved = \"delete\"\noperations = \"delivered\"";
    let people = open(server, into, &["id", "note"]);
    let rows = vec![row(1, 1, vec![Value::Int(1), Value::Int(2)]), row(2, 2, vec![Value::Int(2), Value::Int(2)])];
    for _ in 0..2 {
        assert_eq!(write(&*people, Operation::Upsert, rows.clone()).await, [WRITTEN; 2]);
        write(&*people, Operation::Delete, vec![super::found_by(row(3, 2, Vec::new()), "2")]).await;
    }
    assert_eq!(server.column("SELECT concat('', op) FROM delivered ORDER BY op").await, ["1", "2", "3"]);
    // What is rejected was not delivered.
    let people = open(server, &into.replace("\"id\"", "\"id\"\nmode = \"update\""), &["id", "note"]);
    write(&*people, Operation::Update, vec![row(4, 9, vec![Value::Int(9), Value::Int(2)])]).await;
    assert_eq!(server.column("SELECT concat('', op) FROM delivered ORDER BY op").await, ["1", "2", "3"]);
}

async fn without_the_table_nothing_is_known(server: &mut impl Server) {
    server.run(EVENTS).await;
    let prepared = prepared(server, "mode = \"append\"", &["id", "note"]);
    assert!(!prepared.facts(Operation::Append).read_back);
    let events = open(server, "mode = \"append\"", &["id", "note"]);
    write(&*events, Operation::Append, vec![event(1)]).await;
    let asked = events.find_written(&run(), &batch(Operation::Append, vec![event(1)])).await.expect("asked");
    assert_eq!(asked, [Presence::Unknown]);
}
