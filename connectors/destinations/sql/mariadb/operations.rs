//! The table of operations.

use backhaul_kit::Fault;
use sqlx::AssertSqlSafe;

use super::super::database::{Entries, Failure};
use super::super::name::TableName;
use super::values::Cell;
use super::{Connection, bind, fault, inspect};

const QUOTE: char = '`';

/// Makes the table where it is missing.
pub(super) async fn make(connection: &mut Connection, name: &TableName) -> Result<(), Fault> {
    // Asked first: CREATE TABLE IF NOT EXISTS wants the right to create even where the table is there.
    if inspect::is_there(connection, name).await? {
        return Ok(());
    }
    let sql = format!(
        "CREATE TABLE IF NOT EXISTS {} (sync VARCHAR(190) NOT NULL, run VARCHAR(64) NOT NULL, op BIGINT NOT NULL, \
         key_hash VARCHAR(64) NOT NULL, fingerprint BIGINT NOT NULL, \
         written TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP, PRIMARY KEY (sync, run, op)) \
         ENGINE = InnoDB CHARACTER SET utf8mb4 COLLATE utf8mb4_bin",
        name.quoted(QUOTE)
    );
    let made = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection.inner).await;
    made.map(|_| ()).map_err(|error| fault::of_call(&error, &connection.place))
}

/// Deletes the entries of other runs.
pub(super) async fn prune(connection: &mut Connection, entries: &Entries<'_>) -> Result<(), Failure> {
    let sql = format!("DELETE FROM {} WHERE sync = ? AND run <> ?", entries.table.quoted(QUOTE));
    connection.execute(&sql, [text(entries.sync), text(entries.run)].iter()).await.map(|_| ())
}

/// Writes entries; those that are there stay.
pub(super) async fn record(connection: &mut Connection, entries: &Entries<'_>) -> Result<(), Failure> {
    if entries.entries.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO {} (sync, run, op, key_hash, fingerprint) VALUES {} ON DUPLICATE KEY UPDATE op = VALUES(op)",
        entries.table.quoted(QUOTE),
        vec!["(?, ?, ?, ?, ?)"; entries.entries.len()].join(", ")
    );
    let cells: Vec<Cell> = entries
        .entries
        .iter()
        .flat_map(|entry| {
            let [op, fingerprint] = [entry.op, entry.fingerprint].map(Cell::Int);
            [text(entries.sync), text(entries.run), op, text(&entry.key), fingerprint]
        })
        .collect();
    connection.execute(&sql, cells.iter()).await.map(|_| ())
}

/// The ops that have an entry. A locking read waits for transactions that write one.
pub(super) async fn recorded(connection: &mut Connection, entries: &Entries<'_>) -> Result<Vec<i64>, Failure> {
    let sql = format!(
        "SELECT op FROM {} WHERE sync = ? AND run = ? AND op IN ({}) FOR UPDATE",
        entries.table.quoted(QUOTE),
        vec!["?"; entries.entries.len()].join(", ")
    );
    let ops = entries.entries.iter().map(|entry| Cell::Int(entry.op));
    let cells: Vec<Cell> = [text(entries.sync), text(entries.run)].into_iter().chain(ops).collect();
    let query = cells.iter().fold(sqlx::query(AssertSqlSafe(sql)), bind);
    let rows = query.fetch_all(&mut connection.inner).await;
    let failed = |error: sqlx::Error| fault::of_statement(&error, &connection.place);
    rows.map_err(failed)?.iter().map(|row| sqlx::Row::try_get(row, 0).map_err(failed)).collect()
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}
