//! The PostgreSQL of the tests, and what is its own.

use std::path::Path;
use std::str::FromStr as _;

use async_trait::async_trait;
use backhaul_kit::{DestinationKind, FaultClass, Operation, Value};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;

use super::server::{Server, address, name};
use super::{WRITTEN, batch, bisect, open, row, text, try_write, write};
use crate::destinations::sql::POSTGRES;

pub(super) struct PostgresServer {
    name: String,
    admin: PgConnection,
    /// Never in a transaction, in which the server would go on showing the activity of its beginning.
    watcher: PgConnection,
    options: PgConnectOptions,
    folder: TempDir,
}

#[async_trait]
impl Server for PostgresServer {
    async fn start() -> Option<Self> {
        let url = address("BACKHAUL_TEST_POSTGRES")?;
        let options = PgConnectOptions::from_str(&url).expect("a URL");
        let name = name();
        let mut server = options.connect().await.expect("the server of the tests");
        let create = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        server.execute(AssertSqlSafe(create)).await.expect("a database");
        let options = options.database(&name);
        let admin = options.connect().await.expect("connected");
        let watcher = options.connect().await.expect("connected");
        let folder = tempfile::tempdir().expect("a folder");
        let server = Self { name, admin, watcher, options, folder };
        server.write_url(&server.options);
        Some(server)
    }

    async fn end(self) {
        let Self { name, admin, options, .. } = self;
        admin.close().await.expect("closed");
        let mut server = options.database("postgres").connect().await.expect("the server of the tests");
        let sql = format!("DROP DATABASE {name} WITH (FORCE)");
        server.execute(AssertSqlSafe(sql)).await.expect("dropped");
        let sql = format!("DROP ROLE IF EXISTS weak_{name}");
        server.execute(AssertSqlSafe(sql)).await.expect("dropped");
    }

    fn kind(&self) -> &'static DestinationKind {
        &POSTGRES
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn run(&mut self, sql: &str) {
        let sql = sql.replace("weak", &format!("weak_{}", self.name));
        self.admin.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("executed");
    }

    async fn column(&mut self, sql: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.admin).await.expect("rows")
    }

    async fn waiting(&mut self) -> usize {
        self.backends("wait_event_type = 'Lock'", "true").await
    }

    async fn cut(&mut self) -> usize {
        self.backends("true", "pg_terminate_backend(pid)").await
    }

    async fn as_weak_user(&mut self) {
        let user = format!("weak_{}", self.name);
        self.run("CREATE ROLE weak LOGIN PASSWORD 'secret'").await;
        self.write_url(&self.options.clone().username(&user).password("secret"));
    }
}

impl PostgresServer {
    /// The destination calls itself as the database is called.
    fn write_url(&self, options: &PgConnectOptions) {
        let mut url = options.to_url_lossy();
        url.query_pairs_mut().append_pair("application_name", &self.name);
        std::fs::write(self.folder.path().join("url"), url.as_str()).expect("written");
    }

    /// How many connections of the destination are in a state and let something be done to them.
    async fn backends(&mut self, state: &str, done: &str) -> usize {
        let sql = format!("SELECT count({done}) FROM pg_stat_activity WHERE application_name = $1 AND {state}");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
            .bind(&self.name)
            .fetch_one(&mut self.watcher)
            .await
            .expect("counted");
        usize::try_from(count).expect("a count")
    }
}

#[tokio::test]
async fn types_of_the_server_take_what_a_warehouse_has() {
    let Some(mut server) = PostgresServer::start().await else { return };
    server
        .run(
            "CREATE TYPE mood AS ENUM ('glad', 'sad');
             CREATE DOMAIN short AS varchar(3) CHECK (value <> 'bad');
             CREATE TABLE people (id uuid PRIMARY KEY, tags text[], numbers int[], doc jsonb, mood mood, code char(4),
                                  name short, flags bit(3), raw bytea, span interval, at timestamptz, local timestamp,
                                  wide numeric(30, 10), net inet, \"odd \"\"name\"\" $1\" text)",
        )
        .await;
    let fields = [
        "id",
        "tags",
        "numbers",
        "doc",
        "mood",
        "code",
        "name",
        "flags",
        "raw",
        "span",
        "at",
        "local",
        "wide",
        "net",
        "odd \"name\" $1",
    ];
    let people = open(&server, "match = \"id\"", &fields);
    let values = vec![
        Value::Uuid([0xab; 16]),
        Value::Array(vec![text("a,\"b\""), Value::Null]),
        Value::Array(vec![Value::Int(1), Value::Int(-2)]),
        Value::Json(r#"{"a": "ü"}"#.into()),
        text("glad"),
        text("ab"),
        text("abc"),
        text("101"),
        Value::Bytes(vec![0, 92, 255]),
        Value::Interval { months: 14, days: -3, micros: 500_000 },
        Value::Timestamp(1_700_000_000_123_456),
        Value::LocalTimestamp(1_700_000_000_000_000),
        Value::Decimal("12345678901234567890.0123456789".into()),
        text("10.0.0.1"),
        text("'); DROP TABLE people; --"),
    ];
    assert_eq!(write(&*people, Operation::Upsert, vec![row(1, 1, values)]).await, [WRITTEN]);
    server.run("SET TimeZone = 'UTC'").await;
    let seen = server
        .column(
            "SELECT concat_ws(' | ', tags, numbers, doc, mood, code, name, flags, raw, span, at, local, wide, net, \
             \"odd \"\"name\"\" $1\") FROM people",
        )
        .await;
    let expected = [
        r#"{"a,\"b\"",NULL}"#,
        "{1,-2}",
        r#"{"a": "ü"}"#,
        "glad",
        "ab  ",
        "abc",
        "101",
        r"\x005cff",
        "1 year 2 mons -3 days +00:00:00.5",
        "2023-11-14 22:13:20.123456+00",
        "2023-11-14 22:13:20",
        "12345678901234567890.0123456789",
        "10.0.0.1",
        "'); DROP TABLE people; --",
    ];
    assert_eq!(seen, [expected.join(" | ")]);

    // A text that is too long is refused, not cut, and a domain's check is heard.
    let named = |op, name: &str| row(op, 1, vec![Value::Uuid([1; 16]), text(name)]);
    let people = open(&server, "match = \"id\"", &["id", "name"]);
    for (name, code) in [("abcd", "22001"), ("bad", "23514")] {
        assert_eq!(bisect(&*people, Operation::Upsert, vec![named(1, name)]).await, [(1, code.to_owned())]);
    }
    server.end().await;
}

#[tokio::test]
async fn a_text_that_the_server_cannot_hold_is_a_bad_row() {
    let Some(mut server) = PostgresServer::start().await else { return };
    server.run("CREATE TABLE people (id int PRIMARY KEY, name text)").await;
    let people = open(&server, "match = \"id\"", &["id", "name"]);
    let rows = [(1, "a"), (2, "a\0b"), (3, "b")].map(|(id, name)| row(id, 1, vec![Value::Int(id as i64), text(name)]));
    assert_eq!(bisect(&*people, Operation::Upsert, rows.to_vec()).await, [(2, String::from("22021"))]);
    server.end().await;
}

#[tokio::test]
async fn rights_on_the_table_of_operations_are_named_too() {
    let Some(mut server) = PostgresServer::start().await else { return };
    server.run("CREATE TABLE people (id int PRIMARY KEY)").await;
    server.as_weak_user().await;
    server.run("GRANT INSERT ON people TO weak").await;
    let events = open(&server, "mode = \"append\"\noperations = \"delivered\"", &["id"]);
    let report = events.check().await.expect("checked");
    assert_eq!(report.missing, ["CREATE in schema public"]);
    assert!(report.grants.iter().any(|grant| grant.starts_with("GRANT CREATE ON SCHEMA \"public\"")), "{report:?}");
    server.run("GRANT CREATE ON SCHEMA public TO weak").await;
    assert_eq!(events.check().await.expect("checked").missing, Vec::<String>::new());
    assert_eq!(write(&*events, Operation::Append, vec![row(1, 1, vec![Value::Int(1)])]).await, [WRITTEN]);
    // A table that somebody else has made.
    server.run("ALTER TABLE delivered OWNER TO CURRENT_USER").await;
    assert_eq!(events.check().await.expect("checked").missing, ["SELECT, INSERT, DELETE on delivered"]);
    server.end().await;
}

#[tokio::test]
async fn what_a_trigger_leaves_out_is_not_written() {
    let Some(mut server) = PostgresServer::start().await else { return };
    server
        .run(
            "CREATE TABLE people (id int PRIMARY KEY, name text);
             CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS
                 $$ BEGIN IF new.name = 'skip' THEN RETURN NULL; END IF; RETURN new; END $$;
             CREATE TRIGGER skip BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION skip()",
        )
        .await;
    let people = open(&server, "match = \"id\"", &["id", "name"]);
    let rows = (1..=5).map(|id| row(id, 1, vec![Value::Int(id as i64), text(if id == 3 { "skip" } else { "x" })]));
    assert_eq!(bisect(&*people, Operation::Upsert, rows.collect()).await, [(3, String::from("NOT_WRITTEN"))]);
    assert_eq!(server.column("SELECT count(*)::text FROM people").await, ["4"]);
    server.end().await;
}

#[tokio::test]
async fn what_commit_refuses_is_rejected() {
    let Some(mut server) = PostgresServer::start().await else { return };
    server
        .run(
            "CREATE TABLE plans (name text PRIMARY KEY); INSERT INTO plans VALUES ('pro');
             CREATE TABLE people (id int PRIMARY KEY, plan text REFERENCES plans DEFERRABLE INITIALLY DEFERRED)",
        )
        .await;
    let people = open(&server, "match = \"id\"", &["id", "plan"]);
    let rows =
        [(1, "pro"), (2, "nope"), (3, "pro")].map(|(id, plan)| row(id, 1, vec![Value::Int(id as i64), text(plan)]));
    assert_eq!(bisect(&*people, Operation::Upsert, rows.to_vec()).await, [(2, String::from("23503"))]);
    assert_eq!(server.column("SELECT id::text FROM people ORDER BY id").await, ["1", "3"]);
    server.end().await;
}

#[tokio::test]
async fn a_standby_is_told_from_a_bad_row() {
    let Some(mut server) = PostgresServer::start().await else { return };
    server.run("CREATE TABLE people (id int PRIMARY KEY)").await;
    let name = server.name.clone();
    server.run(&format!("ALTER DATABASE {name} SET default_transaction_read_only = on")).await;
    let people = open(&server, "match = \"id\"", &["id"]);
    // Each transaction says that it writes, so the default is no obstacle.
    assert_eq!(write(&*people, Operation::Upsert, vec![row(1, 1, vec![Value::Int(1)])]).await, [WRITTEN]);
    server.run("ALTER TABLE people RENAME TO persons").await;
    let fault = try_write(&*people, &batch(Operation::Upsert, vec![row(1, 1, vec![Value::Int(1)])])).await;
    assert_eq!(fault.expect_err("no table").class, FaultClass::Config);
    server.end().await;
}
