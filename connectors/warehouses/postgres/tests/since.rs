//! Scans that ask for some rows of a model only.

use backhaul_kit::{Model, ModelQuery, Since, Value};

use super::super::super::testing::{scan, sql, text};
use super::server::Database;

const EVENTS: &str = "CREATE TABLE e(id int, part text, uid uuid, day date, at timestamptz, local timestamp); \
    INSERT INTO e VALUES \
    (1, 'a', '00000000-0000-0000-0000-000000000001', '2026-11-01', '2026-11-01 09:59:59.999999+00', '2026-11-01 09:59'), \
    (2, 'a', '00000000-0000-0000-0000-000000000002', '2026-11-02', '2026-11-01 12:00:00+02', '2026-11-01 10:00'), \
    (3, 'a', '00000000-0000-0000-0000-000000000003', NULL, NULL, NULL), \
    (4, 'it''s \\', '00000000-0000-0000-0000-000000000004', '-infinity', '-infinity', '-infinity'), \
    (5, 'b', '00000000-0000-0000-0000-000000000005', '2020-01-01', '2020-01-01', '2020-01-01')";
/// 2026-11-01T10:00:00Z.
const TEN: i64 = 1_793_527_200_000_000;

fn since(column: &str, from: i64, key: &[&str], keys: Vec<Vec<Value>>) -> Model {
    let key = key.iter().map(|column| (*column).to_owned()).collect();
    let since = Some(Since { column: column.into(), from: Some(from), key, keys });
    Model { since, ..sql("select * from e -- all") }
}

async fn ids(database: &Database, model: &Model) -> String {
    let whole = scan(&*database.source, model, &["id"], 1).await.expect("a scan");
    let mut ids: Vec<String> = whole.records.iter().map(|record| record[0].to_text()).collect();
    ids.sort();
    ids.join(" ")
}

#[tokio::test]
async fn rows_since_a_moment_come_whatever_the_type_of_their_column() {
    let Some(database) = Database::of(EVENTS).await else { return };
    assert_eq!(ids(&database, &since("at", TEN, &["id"], Vec::new())).await, "2 3 4");
    assert_eq!(ids(&database, &since("at", TEN + 1, &["id"], Vec::new())).await, "3 4");
    assert_eq!(ids(&database, &since("local", TEN, &["id"], Vec::new())).await, "2 3 4");
    assert_eq!(ids(&database, &since("day", TEN, &["id"], Vec::new())).await, "1 2 3 4", "a day begins at midnight");
    let filtered = Model { filter: Some("id > 2 -- x".into()), ..since("at", TEN, &["id"], Vec::new()) };
    assert_eq!(ids(&database, &filtered).await, "3 4");
    let table = Model { query: ModelQuery::Table("e".into()), parallel: true, ..since("at", TEN, &["id"], Vec::new()) };
    assert_eq!(ids(&database, &table).await, "2 3 4");
    database.drop().await;
}

#[tokio::test]
async fn rows_come_by_key_whatever_its_type() {
    let Some(database) = Database::of(EVENTS).await else { return };
    let (mut fifth, late) = ([0; 16], TEN + 1);
    fifth[15] = 5;
    let keys = vec![vec![Value::Int(1)], vec![Value::Int(5)], vec![Value::Int(77)]];
    assert_eq!(ids(&database, &since("at", late, &["id"], keys)).await, "1 3 4 5");
    assert_eq!(ids(&database, &since("at", late, &["uid"], vec![vec![Value::Uuid(fifth)]])).await, "3 4 5");
    let pairs = vec![vec![Value::Int(5), text("b")], vec![Value::Int(1), text("it's \\")]];
    assert_eq!(ids(&database, &since("at", late, &["id", "part"], pairs)).await, "3 4 5");
    let day = vec![vec![Value::Date(18_262)]];
    assert_eq!(ids(&database, &since("at", late, &["day"], day)).await, "3 4 5");
    let at = vec![vec![Value::Timestamp(TEN - 1)]];
    assert_eq!(ids(&database, &since("at", late, &["at"], at)).await, "1 3 4");
    // As many as a run may ask for, in lists that the server must not recurse into too deeply.
    let many = (0..5_000).map(|n| vec![Value::Int(n), text("b")]).collect();
    assert_eq!(ids(&database, &since("at", late, &["id", "part"], many)).await, "3 4 5");
    database.drop().await;
}
