//! A database on the server of the tests, and what a source reports of it.

use std::str::FromStr as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backhaul_kit::{FaultClass, Source};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, PgConnection};
use tempfile::TempDir;

use super::super::super::testing::{refused, scan, source, sql};
use super::super::PostgresKind;

const VARIABLE: &str = "BACKHAUL_TEST_POSTGRES";
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A database of one test.
pub(super) struct Database {
    /// Its name, which is also what the source calls itself.
    pub(super) name: String,
    /// A superuser's connection to it.
    pub(super) admin: PgConnection,
    /// A source on it.
    pub(super) source: Arc<dyn Source>,
    options: PgConnectOptions,
    folder: TempDir,
}

impl Database {
    /// A new database, made by these statements.
    pub(super) async fn of(statements: &str) -> Option<Self> {
        let Some(url) = std::env::var(VARIABLE).ok().filter(|url| !url.is_empty()) else {
            println!("skipped: {VARIABLE} is not set (tests/run provides it)");
            return None;
        };
        let options = PgConnectOptions::from_str(&url).expect("a URL");
        let name = format!("w{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut server = options.connect().await.expect("the server of the tests");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'"));
        server.execute(create).await.expect("a database");
        let options = options.database(&name);
        let mut admin = options.connect().await.expect("connected");
        admin.execute(sqlx::raw_sql(AssertSqlSafe(statements.to_owned()))).await.expect("executed");
        let folder = tempfile::tempdir().expect("a folder");
        let source = open(&options, &name, &folder);
        Some(Self { name, admin, source, options, folder })
    }

    /// Where the server listens.
    pub(super) fn address(&self) -> (String, u16) {
        (self.options.get_host().to_owned(), self.options.get_port())
    }

    /// A source with other options.
    pub(super) fn source_with(&self, change: impl FnOnce(PgConnectOptions) -> PgConnectOptions) -> Arc<dyn Source> {
        open(&change(self.options.clone()), &self.name, &self.folder)
    }

    /// One value as the server prints it.
    pub(super) async fn text(&mut self, sql: &str) -> String {
        sqlx::query_scalar(AssertSqlSafe(format!("SELECT ({sql})::text")))
            .fetch_one(&mut self.admin)
            .await
            .expect("text")
    }

    /// Another connection of the superuser, which calls itself as the source does.
    pub(super) async fn another(&self) -> PgConnection {
        self.options.clone().application_name(&self.name).connect().await.expect("connected")
    }

    /// Runs statements as the superuser.
    pub(super) async fn run(&mut self, sql: &str) {
        self.admin.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.expect("executed");
    }

    /// How many backends of the source are in a state, in terms of `pg_stat_activity`.
    pub(super) async fn backends(&mut self, state: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE application_name = $1 AND {state}");
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(&self.name).fetch_one(&mut self.admin).await.expect("counted")
    }

    /// Waits until a backend of the source is in a state.
    pub(super) async fn until(&mut self, state: &str) {
        let reached = async {
            while self.backends(state).await == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), reached).await.expect("the state is reached");
    }

    /// Sends a signal to the backends that copy for the source.
    pub(super) async fn signal(&mut self, function: &str) -> i64 {
        let sql = format!(
            "SELECT count({function}(pid)) FROM pg_stat_activity WHERE application_name = $1 AND query LIKE 'COPY%'"
        );
        sqlx::query_scalar(AssertSqlSafe(sql)).bind(&self.name).fetch_one(&mut self.admin).await.expect("signalled")
    }

    /// Removes the database.
    pub(super) async fn drop(self) {
        let Self { name, admin, options, .. } = self;
        drop(admin);
        let mut server = options.database("postgres").connect().await.expect("the server of the tests");
        let sql = AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"));
        server.execute(sql).await.expect("dropped");
    }
}

fn open(options: &PgConnectOptions, name: &str, folder: &TempDir) -> Arc<dyn Source> {
    std::fs::write(folder.path().join("url"), options.to_url_lossy().as_str()).expect("written");
    let config = format!("url = {{ file = \"url\" }}\napplication_name = \"{name}\"\nconnect_timeout = \"5s\"");
    // The URL is read at every connection, so each source has a folder of its own.
    let own = tempfile::tempdir_in(folder.path()).expect("a folder").keep();
    std::fs::rename(folder.path().join("url"), own.join("url")).expect("moved");
    source(&PostgresKind, &config, &own).expect("a source")
}

#[tokio::test]
async fn a_check_tells_who_we_are_and_what_is_too_much() {
    let Some(mut database) =
        Database::of("CREATE TABLE t(id int); CREATE SCHEMA marts; CREATE TABLE marts.u(id int)").await
    else {
        return;
    };
    let report = database.source.check().await.expect("a report");
    assert!(report.server.starts_with("PostgreSQL "), "{report:?}");
    assert!(report.excess.iter().any(|e| e == "SUPERUSER"), "{report:?}");
    assert!(report.excess.iter().any(|e| e.starts_with("write rights on 2 tables")), "{report:?}");

    let role = format!("reader_{}", database.name);
    let create = format!("CREATE ROLE {role} LOGIN PASSWORD 'pw'; REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    database.admin.execute(sqlx::raw_sql(AssertSqlSafe(create))).await.expect("a role");
    let reader = database.source_with(|o| o.username(&role).password("pw"));
    let report = reader.check().await.expect("a report");
    assert_eq!(report.user.as_deref(), Some(role.as_str()));
    assert_eq!(report.missing, ["SELECT on any table or view"]);
    assert!(report.excess.is_empty(), "{report:?}");
    let fault = refused(&*reader, &sql("select id from t")).await;
    assert_eq!(fault.class, FaultClass::Auth, "{fault:?}");
    assert!(fault.remedy_text().contains("GRANT"), "{fault:?}");

    let grant = AssertSqlSafe(format!("GRANT SELECT ON t TO {role}"));
    database.admin.execute(grant).await.expect("granted");
    let report = reader.check().await.expect("a report");
    assert!(report.missing.is_empty() && report.excess.is_empty(), "{report:?}");
    assert_eq!(scan(&*reader, &sql("select id from t"), &["id"], 1).await.expect("a scan").records.len(), 0);

    let drop = format!("DROP OWNED BY {role}; DROP ROLE {role}");
    database.admin.execute(sqlx::raw_sql(AssertSqlSafe(drop))).await.expect("dropped");
    database.drop().await;
}

#[tokio::test]
async fn a_wrong_password_is_a_fault_of_credentials_and_stays_secret() {
    let Some(database) = Database::of("").await else { return };
    let wrong = database.source_with(|o| o.password("canary-4711"));
    match wrong.check().await {
        Ok(_) => println!("skipped: the server of the tests trusts every password"),
        Err(fault) => {
            assert_eq!(fault.class, FaultClass::Auth, "{fault:?}");
            assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
        }
    }
    database.drop().await;
}

#[tokio::test]
async fn a_database_that_is_not_there_is_a_mistake_of_configuration() {
    let Some(database) = Database::of("").await else { return };
    let fault = database.source_with(|o| o.database("no_such_database")).check().await.expect_err("missing");
    assert_eq!(fault.class, FaultClass::Config, "{fault:?}");
    assert!(fault.to_string().contains("no_such_database"), "{fault}");
    database.drop().await;
}

#[tokio::test]
async fn a_server_without_tls_is_told_apart() {
    let Some(mut database) = Database::of("").await else { return };
    if database.text("current_setting('ssl')").await == "on" {
        println!("skipped: the server of the tests has TLS");
    } else {
        let strict = database.source_with(|o| o.ssl_mode(sqlx::postgres::PgSslMode::VerifyFull));
        let fault = strict.check().await.expect_err("no TLS");
        assert_eq!(fault.class, FaultClass::Config, "{fault:?}");
        assert!(fault.to_string().contains("TLS"), "{fault}");
    }
    database.drop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_by_host_and_port() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    drop(listener);
    let folder = tempfile::tempdir().expect("a folder");
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username("u").password("canary");
    let fault = open(&options, "nobody", &folder).check().await.expect_err("nobody listens");
    assert_eq!(fault.class, FaultClass::Transient);
    assert!(fault.to_string().contains(&format!("127.0.0.1:{port}")), "{fault}");
    assert!(!format!("{fault:?}").contains("canary"));
}
