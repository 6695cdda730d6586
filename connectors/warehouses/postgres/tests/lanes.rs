//! Parallel scans: what several connections read is what one would.

use backhaul_kit::{Fault, FaultClass, KeyHash, Model, ModelQuery, RowDigest, Scan, Scanned, Value};
use futures_util::StreamExt as _;
use futures_util::stream::{self, BoxStream};
use sqlx::Executor as _;

use super::super::super::testing::{Whole, drain, pages, scan, sql};
use super::complete::until_gone;
use super::server::Database;

/// About a megabyte in some 130 blocks; two rows a block are gone.
const ROWS: &str = "CREATE TABLE t(id int, x text); \
    INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 8000) AS i; DELETE FROM t WHERE id % 29 = 0";
/// More in every lane than any buffer between here and the server holds.
const LARGE: &str = "CREATE TABLE t(id int, x text); \
    INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 60000) AS i";

fn table(name: &str) -> Model {
    Model { query: ModelQuery::Table(name.into()), ..sql("") }
}

fn parallel(name: &str) -> Model {
    Model { parallel: true, ..table(name) }
}

/// The rows in an order of their own, and whether they came in more than one lane.
fn rows(whole: &Whole) -> (Vec<(KeyHash, u64)>, bool) {
    let row = |digest: &RowDigest| (digest.key, digest.fingerprint);
    let mut rows: Vec<_> = whole.digests.iter().map(row).collect();
    rows.sort_unstable();
    (rows, whole.lanes.iter().any(|lane| *lane > 0))
}

async fn assert_same_rows(database: &Database, model: &Model, expect_lanes: bool) {
    let single = Model { parallel: false, ..model.clone() };
    let (expected, one) = rows(&scan(&*database.source, &single, &["id", "x"], 1).await.expect("a scan"));
    assert!(!one);
    let whole = scan(&*database.source, model, &["id", "x"], 1).await.expect("a scan");
    let (found, several) = rows(&whole);
    assert_eq!(found, expected, "{model:?}");
    assert_eq!(several, expect_lanes, "{model:?}");
    // Rows, all of one length, were written by their number, so that is the order of every lane.
    for lane in 0..=whole.lanes.iter().copied().max().unwrap_or(0) {
        let of_lane = whole.records.iter().zip(&whole.lanes).filter(|(_, of)| **of == lane);
        let ids: Vec<i64> =
            of_lane.filter_map(|(record, _)| if let Value::Int(id) = record[0] { Some(id) } else { None }).collect();
        assert!(ids.is_sorted(), "lane {lane} of {model:?}");
    }
}

#[tokio::test]
async fn lanes_together_are_the_whole_table() {
    let Some(mut database) = Database::of(ROWS).await else { return };
    assert_same_rows(&database, &parallel("t"), true).await;
    for filter in ["id % 3 = 1", "id > 4000 -- half", "x = 'nowhere'", "id in (select max(id) from t)"] {
        let filtered = Model { filter: Some(filter.into()), ..parallel("t") };
        assert_same_rows(&database, &filtered, !filter.contains("nowhere")).await;
    }
    // An index that finds the few rows is used once, not once a lane.
    database.run("CREATE INDEX ON t(id); ANALYZE t").await;
    assert_same_rows(&database, &Model { filter: Some("id = 17".into()), ..parallel("t") }, false).await;
    database.drop().await;
}

#[tokio::test]
async fn the_ends_of_a_table_belong_to_a_lane() {
    let Some(mut database) = Database::of(ROWS).await else { return };
    // Pages at the end without rows, then without themselves.
    database.run("DELETE FROM t WHERE id > 3000").await;
    assert_same_rows(&database, &parallel("t"), true).await;
    database.run("VACUUM t").await;
    assert_same_rows(&database, &parallel("t"), true).await;
    database.run("DELETE FROM t WHERE id > 20").await;
    database.run("VACUUM t").await;
    assert_same_rows(&database, &parallel("t"), false).await;
    database.run("TRUNCATE t").await;
    assert_same_rows(&database, &parallel("t"), false).await;
    database.drop().await;
}

#[tokio::test]
async fn only_a_plain_table_has_lanes() {
    let Some(mut database) = Database::of(ROWS).await else { return };
    database
        .run(
            "CREATE VIEW seen AS SELECT * FROM t; CREATE MATERIALIZED VIEW kept AS SELECT * FROM t; \
             CREATE TABLE parted(LIKE t) PARTITION BY RANGE (id); \
             CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10000); INSERT INTO parted SELECT * FROM t; \
             CREATE TABLE parent(LIKE t); INSERT INTO parent SELECT * FROM t; CREATE TABLE child() INHERITS (parent); \
             CREATE TABLE guarded(LIKE t); INSERT INTO guarded SELECT * FROM t; \
             ALTER TABLE guarded ENABLE ROW LEVEL SECURITY",
        )
        .await;
    for name in ["seen", "kept", "parted", "parent", "guarded"] {
        assert_same_rows(&database, &parallel(name), false).await;
    }
    assert_same_rows(&database, &parallel("part"), true).await;
    assert_same_rows(&database, &parallel("public.t"), true).await;
    assert_same_rows(&database, &Model { parallel: true, ..sql("select * from t") }, false).await;
    let none = format!("ALTER DATABASE {} SET max_parallel_workers_per_gather = 0", database.name);
    database.run(&none).await;
    assert_same_rows(&database, &parallel("t"), false).await;
    database.drop().await;
}

#[tokio::test]
async fn all_lanes_see_the_snapshot_of_the_first() {
    let Some(mut database) = Database::of(ROWS).await else { return };
    let (expected, _) = rows(&scan(&*database.source, &table("t"), &["id", "x"], 1).await.expect("a scan"));
    let open = database.source.open(&parallel("t")).await.expect("open");
    database
        .run(
            "UPDATE t SET x = 'new' WHERE id % 2 = 0; DELETE FROM t WHERE id % 5 = 0; \
             INSERT INTO t SELECT i, 'late' FROM generate_series(8001, 20000) AS i",
        )
        .await;
    let pages = from_first_page(open).await;
    // While the lanes read.
    database.run("UPDATE t SET x = 'newer'; INSERT INTO t SELECT i, '' FROM generate_series(20001, 30000) AS i").await;
    let (found, several) = rows(&drain(pages).await.expect("complete"));
    assert!(several);
    assert_eq!(found, expected);
    database.drop().await;
}

/// The pages of a scan, the first of which has come: of a large table no lane can be at its end.
async fn from_first_page(open: Box<dyn Scan>) -> BoxStream<'static, Result<Scanned, Fault>> {
    let mut pages = pages(open, &["id", "x"], 1);
    let first = pages.next().await.expect("a page");
    Box::pin(stream::iter([first]).chain(pages))
}

#[tokio::test]
async fn a_lane_that_breaks_leaves_no_end_and_no_other_lane() {
    let Some(mut database) = Database::of(LARGE).await else { return };
    for which in ["min", "max"] {
        let pages = from_first_page(database.source.open(&parallel("t")).await.expect("open")).await;
        assert!(database.backends("query LIKE 'COPY%'").await > 1, "several lanes");
        let killed = format!(
            "pg_terminate_backend((SELECT {which}(pid) FROM pg_stat_activity \
             WHERE application_name = '{}' AND query LIKE 'COPY%'))",
            database.name
        );
        assert_eq!(database.text(&killed).await, "true");
        let fault = drain(pages).await.expect_err("not complete");
        assert_eq!(fault.class, FaultClass::Transient, "{fault:?}");
        until_gone(&mut database).await;
    }
    drop(from_first_page(database.source.open(&parallel("t")).await.expect("open")).await);
    until_gone(&mut database).await;
    database.drop().await;
}

#[tokio::test]
async fn a_table_stays_what_it_is_until_the_last_lane_has_ended() {
    let Some(mut database) = Database::of(LARGE).await else { return };
    let pages = from_first_page(database.source.open(&parallel("t")).await.expect("open")).await;
    let truncate = database.admin.execute(sqlx::raw_sql("SET lock_timeout = '50ms'; TRUNCATE t")).await;
    let refused = truncate.expect_err("locked").into_database_error().expect("an answer of the server");
    assert_eq!(refused.code().as_deref(), Some("55P03"), "{refused}");
    assert_eq!(drain(pages).await.expect("complete").records.len(), 60_000);
    database.drop().await;
}

#[tokio::test]
async fn lanes_do_not_wait_for_somebody_who_waits_for_the_first() {
    let Some(mut database) = Database::of(ROWS).await else { return };
    let open = database.source.open(&parallel("t")).await.expect("open");
    let mut other = database.another().await;
    let alter = tokio::spawn(async move { other.execute("ALTER TABLE t ALTER id TYPE bigint").await.map(drop) });
    database.until("query LIKE 'ALTER TABLE%' AND wait_event_type = 'Lock'").await;
    let fault = drain(pages(open, &["id", "x"], 1)).await.expect_err("no lock");
    assert_eq!(fault.class, FaultClass::Transient, "{fault:?}");
    alter.await.expect("a task").expect("altered");
    assert_same_rows(&database, &parallel("t"), true).await;
    database.drop().await;
}
