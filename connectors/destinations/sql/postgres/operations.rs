//! The table of operations.

use sqlx::{AssertSqlSafe, Row as _};

use super::super::database::{Entries, Failure};
use super::super::name::TableName;
use super::{Connection, fault};
use backhaul_kit::Fault;

/// Makes the table where it is missing.
pub(super) async fn make(connection: &mut Connection, name: &TableName) -> Result<(), Fault> {
    let quoted = name.quoted('"');
    // Asked first: CREATE TABLE IF NOT EXISTS wants the right to create even where the table is there.
    let there = sqlx::query_scalar::<_, bool>("SELECT pg_catalog.to_regclass($1) IS NOT NULL").bind(&quoted);
    let there = there.fetch_one(&mut connection.inner).await;
    if there.map_err(|error| fault::of_call(error, &connection.place))? {
        return Ok(());
    }
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {quoted} (sync text NOT NULL, run text NOT NULL, op bigint NOT NULL, \
         key_hash text NOT NULL, fingerprint bigint NOT NULL, written timestamptz NOT NULL DEFAULT now(), \
         PRIMARY KEY (sync, run, op))"
    );
    let made = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection.inner).await;
    made.map(|_| ()).map_err(|error| fault::of_call(error, &connection.place))
}

/// Deletes the entries of other runs.
pub(super) async fn prune(connection: &mut Connection, entries: &Entries<'_>) -> Result<(), Failure> {
    let sql = format!("DELETE FROM {} WHERE sync = $1 AND run <> $2", entries.table.quoted('"'));
    let query = sqlx::query(AssertSqlSafe(sql)).bind(entries.sync).bind(entries.run);
    let done = query.execute(&mut connection.inner).await;
    done.map(|_| ()).map_err(|error| fault::of_statement(error, &connection.place))
}

/// Writes entries; the ops of those that were not there before.
pub(super) async fn record(connection: &mut Connection, entries: &Entries<'_>) -> Result<Vec<i64>, Failure> {
    let sql = format!(
        "INSERT INTO {} (sync, run, op, key_hash, fingerprint) SELECT $1, $2, r.op, r.key_hash, r.fingerprint \
         FROM UNNEST($3::bigint[], $4::text[], $5::bigint[]) AS r(op, key_hash, fingerprint) \
         ON CONFLICT DO NOTHING RETURNING op",
        entries.table.quoted('"')
    );
    let ops: Vec<i64> = entries.entries.iter().map(|entry| entry.op).collect();
    let keys: Vec<&str> = entries.entries.iter().map(|entry| entry.key.as_str()).collect();
    let fingerprints: Vec<i64> = entries.entries.iter().map(|entry| entry.fingerprint).collect();
    let query = sqlx::query(AssertSqlSafe(sql)).bind(entries.sync).bind(entries.run);
    let rows = query.bind(ops).bind(keys).bind(fingerprints).fetch_all(&mut connection.inner).await;
    let failed = |error| fault::of_statement(error, &connection.place);
    rows.map_err(failed)?.iter().map(|row| row.try_get(0).map_err(failed)).collect()
}
