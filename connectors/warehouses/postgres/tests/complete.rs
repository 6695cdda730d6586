//! A scan is complete or has no end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use backhaul_kit::{Fault, FaultClass, Model, Scanned, Source, Value};
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use sqlx::{AssertSqlSafe, Executor as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::super::super::testing::{drain, pages, refused, scan, sql};
use super::server::Database;

/// More than any buffer between here and the server holds.
const LARGE: &str = "select i as id, repeat('x', 1000) as x from generate_series(1, 1000000) as i";

/// Opens a scan and reads its first page.
async fn first_page(source: &dyn Source, model: &Model) -> BoxStream<'static, Result<Scanned, Fault>> {
    let mut pages = pages(source.open(model).await.expect("open"), &["id", "x"], 1);
    assert!(matches!(pages.next().await, Some(Ok(Scanned::Page(_)))), "a first page");
    pages
}

#[tokio::test]
async fn no_rows_are_a_complete_scan() {
    let Some(database) = Database::of("CREATE TABLE t(id int)").await else { return };
    let whole = scan(&*database.source, &sql("select id from t"), &["id"], 1).await.expect("a scan");
    assert_eq!((whole.records.len(), whole.pages), (0, 0));
    database.drop().await;
}

#[tokio::test]
async fn a_backend_that_is_killed_or_cancelled_leaves_no_end() {
    let Some(mut database) = Database::of("").await else { return };
    for signal in ["pg_terminate_backend", "pg_cancel_backend"] {
        let pages = first_page(&*database.source, &sql(LARGE)).await;
        assert_eq!(database.signal(signal).await, 1);
        let fault = drain(pages).await.expect_err("not complete");
        assert_eq!(fault.class, FaultClass::Transient, "{signal}: {fault:?}");
    }
    database.drop().await;
}

#[tokio::test]
async fn an_error_in_a_late_row_leaves_no_end_and_no_value_in_the_message() {
    let Some(database) = Database::of("").await else { return };
    let late = "select i as id, case when i = 99999 then 1 / (i - 99999) end as x from generate_series(1, 100000) as i";
    let fault = drain(first_page(&*database.source, &sql(late)).await).await.expect_err("not complete");
    assert_eq!(fault.class, FaultClass::Config);
    assert!(fault.to_string().contains("division by zero (22012)"), "{fault}");
    let cast =
        "select i as id, (case when i = 99999 then 'canary' else '1' end)::int as x from generate_series(1, 100000) i";
    let fault = drain(first_page(&*database.source, &sql(cast)).await).await.expect_err("not complete");
    assert!(
        fault.to_string().contains("invalid input syntax") && !format!("{fault:?}").contains("canary"),
        "{fault:?}"
    );
    database.drop().await;
}

#[tokio::test]
async fn a_dropped_scan_ends_its_backend() {
    let Some(mut database) = Database::of("").await else { return };
    drop(first_page(&*database.source, &sql(LARGE)).await);
    until_gone(&mut database).await;
    database.drop().await;
}

/// Waits until no backend works for the source.
pub(super) async fn until_gone(database: &mut Database) {
    let gone = async {
        while database.backends("true").await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), gone).await.expect("the backend ends");
}

#[tokio::test]
async fn a_scan_is_bounded_by_the_wall_clock() {
    let Some(mut database) = Database::of("").await else { return };
    let limited = |text: &str| Model { timeout: Some(Duration::from_millis(400)), ..sql(text) };
    let open = database.source.open(&limited("select 1 as id from pg_sleep(60)")).await.expect("open");
    let fault = drain(pages(open, &["id"], 1)).await.expect_err("too long");
    assert_eq!(fault.class, FaultClass::Transient, "{fault:?}");
    assert!(fault.remedy_text().contains("timeout"), "{fault:?}");

    // The consumer is slow: no statement takes long, the scan does.
    let mut pages = first_page(&*database.source, &limited(LARGE)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let fault = loop {
        match pages.next().await {
            Some(Ok(Scanned::Page(_))) => {}
            Some(Err(fault)) => break fault,
            Some(Ok(Scanned::End { .. })) | None => panic!("an end"),
        }
    };
    assert_eq!(fault.class, FaultClass::Transient, "{fault:?}");
    drop(pages);
    until_gone(&mut database).await;
    database.drop().await;
}

#[tokio::test]
async fn a_backend_that_computes_in_silence_is_waited_for() {
    let Some(database) = Database::of("").await else { return };
    let patient = Model { idle_timeout: Duration::from_millis(200), ..sql("select 1 as id from pg_sleep(1)") };
    let whole = scan(&*database.source, &patient, &["id"], 1).await.expect("a scan");
    assert_eq!(whole.records, [[Value::Int(1)]]);
    database.drop().await;
}

#[tokio::test]
async fn a_table_that_was_replaced_after_the_snapshot_is_not_an_empty_one() {
    let Some(mut database) = Database::of("CREATE TABLE t(id int); INSERT INTO t VALUES (1)").await else { return };
    let swap =
        "CREATE TABLE t2(id int); INSERT INTO t2 VALUES (1); ALTER TABLE t RENAME TO t1; ALTER TABLE t2 RENAME TO t";
    for replace in ["ALTER TABLE t ALTER id TYPE bigint", "TRUNCATE t; INSERT INTO t VALUES (1)", swap] {
        let mut other = database.another().await;
        other.execute(sqlx::raw_sql(AssertSqlSafe(format!("BEGIN; {replace}")))).await.expect("replaced");
        let source = database.source.clone();
        let opened = tokio::spawn(async move { source.open(&sql("select id from t")).await.map(drop) });
        database.until("wait_event_type = 'Lock'").await;
        other.execute("COMMIT").await.expect("committed");
        let fault = opened.await.expect("a task").expect_err("replaced");
        assert_eq!(fault.class, FaultClass::Transient, "{replace}: {fault:?}");
        assert!(fault.to_string().contains("table t was replaced"), "{replace}: {fault}");
        let whole = scan(&*database.source, &sql("select id from t"), &["id"], 1).await.expect("a scan");
        assert_eq!(whole.records.len(), 1, "{replace}");
    }
    database.drop().await;
}

/// Forwards connections to the server; the first can be cut without either side being told.
struct Cable {
    port: u16,
    cut: Arc<AtomicBool>,
}

impl Cable {
    async fn to(server: (String, u16)) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let cut = Arc::new(AtomicBool::new(false));
        let flag = cut.clone();
        let connections = AtomicUsize::new(0);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect((server.0.as_str(), server.1)).await.expect("the server");
                let first = connections.fetch_add(1, Ordering::Relaxed) == 0;
                let cut = if first { flag.clone() } else { Arc::default() };
                let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
                tokio::spawn(forward(from_client, to_server, cut.clone()));
                tokio::spawn(forward(from_server, to_client, cut));
            }
        });
        Self { port, cut }
    }
}

async fn forward(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    cut: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 8192];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        if cut.load(Ordering::Relaxed) {
            // Both sides keep their connection and hear nothing.
            std::future::pending::<()>().await;
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_without_a_word_ends_with_an_error() {
    let Some(mut database) = Database::of("").await else { return };
    let cable = Cable::to(database.address()).await;
    let source = database.source_with(|o| o.host("127.0.0.1").port(cable.port));
    let model = Model { idle_timeout: Duration::from_millis(300), ..sql(LARGE) };
    let pages = first_page(&*source, &model).await;
    cable.cut.store(true, Ordering::Relaxed);
    let fault = tokio::time::timeout(Duration::from_secs(60), drain(pages)).await.expect("no hang").expect_err("cut");
    assert_eq!(fault.class, FaultClass::Transient, "{fault:?}");
    assert!(fault.to_string().contains("the connection is cut"), "{fault}");
    until_gone(&mut database).await;
    database.drop().await;
}

#[tokio::test]
async fn a_lock_on_the_table_ends_with_the_timeout() {
    let Some(mut database) = Database::of("CREATE TABLE t(id int)").await else { return };
    sqlx::raw_sql("BEGIN; LOCK TABLE t").execute(&mut database.admin).await.expect("locked");
    let model = Model { timeout: Some(Duration::from_millis(300)), ..sql("select id from t") };
    let fault = refused(&*database.source, &model).await;
    assert_eq!(fault.class, FaultClass::Transient, "{fault:?}");
    database.drop().await;
}
