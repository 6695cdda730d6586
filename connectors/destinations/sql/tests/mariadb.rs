//! The MariaDB of the tests, and what is its own.

use std::path::Path;
use std::str::FromStr as _;

use async_trait::async_trait;
use backhaul_kit::{DestinationKind, FaultClass, Operation, Value};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, MySqlConnection, Row as _};
use tempfile::TempDir;

use super::server::{Server, address, name};
use super::{WRITTEN, bisect, found_by, open, row, text, write};
use crate::destinations::sql::MARIADB;

pub(super) struct MariaDbServer {
    name: String,
    admin: MySqlConnection,
    watcher: MySqlConnection,
    options: MySqlConnectOptions,
    folder: TempDir,
}

#[async_trait]
impl Server for MariaDbServer {
    async fn start() -> Option<Self> {
        let url = address("BACKHAUL_TEST_MARIADB")?;
        let options = MySqlConnectOptions::from_str(&url).expect("a URL");
        let name = name();
        let mut watcher = options.connect().await.expect("the server of the tests");
        watcher.execute(AssertSqlSafe(format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"))).await.expect("made");
        let options = options.database(&name);
        let admin = options.connect().await.expect("connected");
        let folder = tempfile::tempdir().expect("a folder");
        let server = Self { name, admin, watcher, options, folder };
        server.write_url(&server.options);
        Some(server)
    }

    async fn end(mut self) {
        drop(self.admin);
        let sql = format!("DROP DATABASE {0}; DROP USER IF EXISTS weak_{0}", self.name);
        self.watcher.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("dropped");
    }

    fn kind(&self) -> &'static DestinationKind {
        &MARIADB
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn run(&mut self, sql: &str) {
        let sql = sql.replace("weak", &format!("weak_{}", self.name));
        self.admin.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("executed");
    }

    async fn column(&mut self, sql: &str) -> Vec<String> {
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(&mut self.admin).await.expect("rows");
        // What CONCAT makes of a number is bytes to the driver.
        let bytes = rows.iter().map(|row| row.try_get_unchecked::<Vec<u8>, _>(0).expect("bytes"));
        bytes.map(|bytes| String::from_utf8(bytes).expect("text")).collect()
    }

    async fn waiting(&mut self) -> usize {
        let sql = "SELECT COUNT(*) FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p \
                   ON p.ID = t.trx_mysql_thread_id WHERE t.trx_state = 'LOCK WAIT' AND p.DB = ?";
        let count: i64 = sqlx::query_scalar(sql).bind(&self.name).fetch_one(&mut self.watcher).await.expect("counted");
        usize::try_from(count).expect("a count")
    }

    async fn cut(&mut self) -> usize {
        let own: u64 = sqlx::query_scalar("SELECT CONNECTION_ID()").fetch_one(&mut self.admin).await.expect("a number");
        let sql = "SELECT CAST(ID AS SIGNED) FROM information_schema.PROCESSLIST WHERE DB = ? AND ID <> ?";
        let ids: Vec<i64> =
            sqlx::query_scalar(sql).bind(&self.name).bind(own).fetch_all(&mut self.watcher).await.expect("ids");
        for id in &ids {
            self.watcher.execute(sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}")))).await.expect("killed");
        }
        ids.len()
    }

    async fn as_weak_user(&mut self) {
        let user = format!("weak_{}", self.name);
        self.run("CREATE USER weak IDENTIFIED BY 'secret'").await;
        self.write_url(&self.options.clone().username(&user).password("secret"));
    }
}

impl MariaDbServer {
    fn write_url(&self, options: &MySqlConnectOptions) {
        let url = options.to_url_lossy().to_string().replacen("mysql://", "mariadb://", 1);
        std::fs::write(self.folder.path().join("url"), url).expect("written");
    }
}

#[tokio::test]
async fn types_of_the_server_take_what_a_warehouse_has() {
    let Some(mut server) = MariaDbServer::start().await else { return };
    server
        .run(
            "CREATE TABLE people (id uuid PRIMARY KEY, mood enum('glad', 'sad'), doc json, raw varbinary(10), flag boolean,
                                  flags bit(3), at datetime(6), stamp timestamp(6) NULL, big bigint unsigned, ratio double)",
        )
        .await;
    let fields = ["id", "mood", "doc", "raw", "flag", "flags", "at", "stamp", "big", "ratio"];
    let people = open(&server, "match = \"id\"\nremoved = \"delete\"", &fields);
    people.describe().await.expect("described");
    let values = vec![
        Value::Uuid([0xab; 16]),
        text("glad"),
        Value::Json(r#"{"a": "ü"}"#.into()),
        Value::Bytes(vec![0, 92, 255]),
        Value::Bool(true),
        Value::Int(5),
        Value::LocalTimestamp(1_700_000_000_123_456),
        Value::Timestamp(1_700_000_000_123_456),
        Value::Decimal("18446744073709551615".into()),
        Value::Float(0.1),
    ];
    assert_eq!(write(&*people, Operation::Upsert, vec![row(1, 1, values)]).await, [WRITTEN]);
    server.run("SET time_zone = '+00:00'").await;
    let seen = server
        .column("SELECT CONCAT_WS(' | ', id, mood, doc, HEX(raw), flag, flags + 0, at, stamp, big, ratio) FROM people")
        .await;
    let expected = [
        "abababab-abab-abab-abab-abababababab",
        "glad",
        r#"{"a": "ü"}"#,
        "005CFF",
        "1",
        "5",
        "2023-11-14 22:13:20.123456",
        "2023-11-14 22:13:20.123456",
        "18446744073709551615",
        "0.1",
    ];
    assert_eq!(seen, [expected.join(" | ")]);
    let gone = found_by(row(2, 1, Vec::new()), "abababab-abab-abab-abab-abababababab");
    write(&*people, Operation::Delete, vec![gone]).await;
    assert_eq!(server.column("SELECT CONCAT('', COUNT(*)) FROM people").await, ["0"]);
    server.end().await;
}

#[tokio::test]
async fn a_key_beyond_what_a_double_holds_finds_its_own_row_alone() {
    let Some(mut server) = MariaDbServer::start().await else { return };
    server.run("CREATE TABLE people (id bigint PRIMARY KEY, at datetime UNIQUE)").await;
    server.run("INSERT INTO people VALUES (9007199254740992, '2023-11-14 22:13:20'), (9007199254740993, NULL)").await;
    let people = open(&server, "match = \"id\"\nremoved = \"delete\"", &["id"]);
    write(&*people, Operation::Delete, vec![found_by(row(1, 1, Vec::new()), "9007199254740993")]).await;
    assert_eq!(server.column("SELECT CONCAT('', id) FROM people").await, ["9007199254740992"]);
    let people = open(&server, "match = \"at\"\nremoved = \"delete\"", &["at", "id"]);
    write(&*people, Operation::Delete, vec![found_by(row(1, 1, Vec::new()), "2023-11-14T22:13:20Z")]).await;
    assert_eq!(server.column("SELECT CONCAT('', COUNT(*)) FROM people").await, ["0"]);
    server.end().await;
}

#[tokio::test]
async fn a_table_without_transactions_is_refused() {
    let Some(mut server) = MariaDbServer::start().await else { return };
    server.run("CREATE TABLE people (id int PRIMARY KEY) ENGINE = MyISAM").await;
    let fault = open(&server, "match = \"id\"", &["id"]).describe().await.expect_err("refused");
    assert_eq!(fault.class, FaultClass::Config);
    assert!(fault.remedy_text().contains("InnoDB"));
    server.run("DROP TABLE people; CREATE TABLE people (id int UNIQUE, email varchar(50) UNIQUE)").await;
    let fault = open(&server, "match = \"id\"", &["id", "email"]).describe().await.expect_err("refused");
    assert!(fault.message.contains("NOT NULL"), "{fault}");
    server.end().await;
}

#[tokio::test]
async fn more_than_a_message_takes_goes_in_several() {
    let Some(mut server) = MariaDbServer::start().await else { return };
    server.run("CREATE TABLE people (id int PRIMARY KEY, story longtext)").await;
    let limit = server.column("SELECT CONCAT('', @@max_allowed_packet)").await;
    let limit: usize = limit[0].parse().expect("a number");
    let people = open(&server, "match = \"id\"", &["id", "story"]);
    let of = |id: i64, length: usize| row(id as u64, id, vec![Value::Int(id), text(&"x".repeat(length))]);
    let rows = vec![of(1, limit / 2), of(2, limit / 2), of(3, limit * 3 / 4), of(4, 1)];
    assert_eq!(write(&*people, Operation::Upsert, rows).await, [WRITTEN; 4]);
    let rejected = bisect(&*people, Operation::Upsert, vec![of(5, 1), of(6, limit + 1)]).await;
    assert_eq!(rejected, [(6, String::from("TOO_LARGE"))]);
    assert_eq!(server.column("SELECT CONCAT('', COUNT(*)) FROM people").await, ["5"]);
    server.end().await;
}
