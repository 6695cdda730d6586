//! Connections: how they are opened, which settings are pinned, how they end.

use std::time::Duration;

use backhaul_kit::{Fault, Model};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _};

use super::config::Address;
use super::fault::of_call;

/// How long a connection may take to say goodbye.
const GOODBYE: Duration = Duration::from_secs(2);
/// The server ends a transaction in which this program has not asked anything for so long: it is gone.
const IDLE_IN_TRANSACTION: &str = "30min";
const NO_WORKERS: &str = "SET LOCAL max_parallel_workers_per_gather = 0; ";
/// How long a part of a scan waits for its table.
const LOCK_TIMEOUT: &str = if cfg!(test) { "300ms" } else { "10s" };

/// An address that was read: where the server is at this moment.
///
/// Without `Debug`: the driver's options show the password.
#[derive(Clone)]
pub(crate) struct Server {
    options: PgConnectOptions,
    /// `host:port`, for messages.
    pub(crate) place: String,
    connect_timeout: Duration,
}

impl Server {
    /// Reads the address.
    ///
    /// # Errors
    /// A secret that cannot be read, or that is not a URL of PostgreSQL.
    pub(crate) fn at(address: &Address) -> Result<Self, Fault> {
        let options = address.options()?;
        Ok(Self { place: super::config::place(&options), options, connect_timeout: address.connect_timeout })
    }

    /// Opens a connection, never a pooled one.
    pub(crate) async fn connect(&self) -> Result<PgConnection, Fault> {
        match tokio::time::timeout(self.connect_timeout, PgConnection::connect_with(&self.options)).await {
            Ok(connected) => connected.map_err(|e| of_call(e, &self.place)),
            Err(_) => {
                let seconds = self.connect_timeout.as_secs_f32();
                Err(Fault::transient(format!("PostgreSQL at {} did not answer within {seconds} s", self.place))
                    .remedy("check host, port, network and firewall, or raise `connect_timeout`"))
            }
        }
    }
}

/// Which backend of the server works for a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Backend {
    /// Its process.
    pub(super) pid: i32,
    /// When it started, as the server prints it: process ids come again.
    pub(super) started: String,
}

/// Starts the read-only snapshot with pinned settings, and says which backend holds it.
pub(super) async fn begin(conn: &mut PgConnection, model: &Model) -> Result<Backend, sqlx::Error> {
    begin_with(conn, begin_sql(model)).await
}

/// The same in a snapshot that another connection has exported, for a part of its scan. The transaction that exported
/// it must still be open.
pub(super) async fn join(conn: &mut PgConnection, model: &Model, snapshot: &str) -> Result<Backend, sqlx::Error> {
    let mut sql = begin_sql(&Model { parallel: false, ..model.clone() });
    // Whoever waits to change the table waits for the first connection, which waits for this one.
    sql.push_str(&format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; "));
    sql.push_str(&format!("SET TRANSACTION SNAPSHOT '{}'; ", snapshot.replace('\'', "''")));
    begin_with(conn, sql).await
}

/// Lets other connections [`join`] the snapshot of this one, which from now on works alone on its part.
pub(super) async fn export(conn: &mut PgConnection) -> Result<String, sqlx::Error> {
    sqlx::raw_sql(NO_WORKERS).execute(&mut *conn).await?;
    sqlx::query_scalar("SELECT pg_catalog.pg_export_snapshot()").fetch_one(conn).await
}

/// Tables that our statements hold now, and that are not what they were when the snapshot was taken: whoever rewrote
/// or replaced them has ended meanwhile, and their rows are not in the snapshot.
const REPLACED: &str = "\
    SELECT l.relation::regclass::text
    FROM pg_catalog.pg_locks l LEFT JOIN pg_catalog.pg_class c ON c.oid = l.relation
    WHERE l.locktype = 'relation' AND l.pid = pg_catalog.pg_backend_pid()
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
      AND (c.oid IS NULL OR c.relfilenode <> 0 AND c.relfilenode <> pg_catalog.pg_relation_filenode(c.oid))
    LIMIT 1";

/// A table of the statements prepared so far that was rewritten (`ALTER TABLE`, `TRUNCATE`) or replaced by another of
/// its name after the snapshot was taken. It looks empty there, which no snapshot tells from a table without rows.
pub(super) async fn replaced(conn: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    sqlx::query_scalar(REPLACED).fetch_optional(conn).await
}

async fn begin_with(conn: &mut PgConnection, sql: String) -> Result<Backend, sqlx::Error> {
    if conn.server_version_num().is_some_and(|version| version >= 140_000) {
        // Not every platform of the server has it; then the server notices a lost client at its next message.
        match sqlx::raw_sql("SET client_connection_check_interval = '10s'").execute(&mut *conn).await {
            Ok(_) | Err(sqlx::Error::Database(_)) => {}
            Err(error) => return Err(error),
        }
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *conn).await?;
    backend(conn).await
}

/// Which backend works for the connection.
pub(super) async fn backend(conn: &mut PgConnection) -> Result<Backend, sqlx::Error> {
    let row = sqlx::query("SELECT pid, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()")
        .fetch_one(conn)
        .await?;
    Ok(Backend { pid: row.try_get(0)?, started: row.try_get(1)? })
}

/// Everything that changes how values are written or in which order rows come.
fn begin_sql(model: &Model) -> String {
    let mut sql = String::from(
        "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; \
         SET LOCAL TimeZone = 'UTC'; \
         SET LOCAL DateStyle = 'ISO, MDY'; \
         SET LOCAL IntervalStyle = 'postgres'; \
         SET LOCAL extra_float_digits = 1; \
         SET LOCAL bytea_output = 'hex'; \
         SET LOCAL synchronize_seqscans = off; ",
    );
    sql.push_str(&format!("SET LOCAL idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION}'; "));
    if !model.parallel {
        // The order in which workers hand over rows differs from run to run.
        sql.push_str(NO_WORKERS);
    }
    if let Some(timeout) = model.timeout {
        let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX).max(1);
        sql.push_str(&format!("SET LOCAL statement_timeout = {millis}; "));
    }
    sql
}

/// Ends a connection whose work is done.
pub(crate) async fn goodbye(conn: PgConnection) {
    // Nothing hangs on the answer: the socket closes in any case.
    let _ = tokio::time::timeout(GOODBYE, conn.close()).await;
}
