//! PostgreSQL: rows as arrays of text, one for each column, cast to the columns' types by the server.

mod fault;
mod inspect;
mod operations;
mod statement;
mod values;

use std::collections::HashSet;

use async_trait::async_trait;
use backhaul_kit::{AccountReport, Fault, Kit, Reason, ValueRef};
use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres as Driver, Row as _};

use super::account::SqlAccount;
use super::database::{Action, Database, Entries, Failure, Work};
use super::name::TableName;
use super::sync::SqlSync;
use super::table::{Column, Table};
use crate::warehouses::postgres::config::{Address, place};
use crate::warehouses::postgres::session::{Server, goodbye};

/// A PostgreSQL server.
pub(super) struct Postgres {
    address: Address,
    /// Settings of every connection.
    settings: String,
}

/// A connection, and where it goes to.
pub(super) struct Connection {
    inner: PgConnection,
    /// `host:port`, for messages.
    place: String,
}

impl Postgres {
    /// The server of an account.
    ///
    /// # Errors
    /// A URL that cannot be read or is none of PostgreSQL.
    pub(super) fn new(account: &SqlAccount, kit: &Kit) -> Result<Self, Fault> {
        let address = Address::new(kit, &account.url, account.sslrootcert.as_deref(), account.connect_timeout);
        address.options()?;
        let millis = i32::try_from(account.timeout.as_millis()).unwrap_or(i32::MAX).max(1);
        // Moments go without an offset into columns that have none. What is acknowledged must be on disk.
        let settings = format!(
            "SET TimeZone = 'UTC'; \
             SET statement_timeout = {millis}; \
             SET lock_timeout = {millis}; \
             SET idle_in_transaction_session_timeout = {millis}; \
             SELECT pg_catalog.set_config('synchronous_commit', 'on', false) \
             WHERE pg_catalog.current_setting('synchronous_commit') = 'off'"
        );
        Ok(Self { address, settings })
    }

    /// `host:port` of the URL.
    pub(super) fn host(&self) -> Result<String, Fault> {
        self.address.options().map(|options| place(&options))
    }
}

/// A statement that does something to every array of a column.
fn bound<'q>(sql: String, arrays: Vec<Vec<Option<String>>>) -> Query<'q, Driver, PgArguments> {
    arrays.into_iter().fold(sqlx::query(AssertSqlSafe(sql)), Query::bind)
}

#[async_trait]
impl Database for Postgres {
    type Cell = Option<String>;
    type Connection = Connection;

    fn cell(column: &Column, value: ValueRef<'_>) -> Result<Self::Cell, Reason> {
        values::text(&column.class, value)
    }

    fn address(_column: &Column, text: &str) -> Result<Self::Cell, Reason> {
        Ok(Some(text.to_owned()))
    }

    fn null() -> Self::Cell {
        None
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        let server = Server::at(&self.address)?;
        let mut inner = server.connect().await?;
        let set = sqlx::raw_sql(AssertSqlSafe(self.settings.clone())).execute(&mut inner).await;
        set.map_err(|error| fault::of_call(error, &server.place))?;
        Ok(Connection { inner, place: server.place })
    }

    async fn close(&self, connection: Connection) {
        goodbye(connection.inner).await;
    }

    async fn table(&self, connection: &mut Connection, name: &TableName) -> Result<Table, Fault> {
        inspect::table(connection, name).await
    }

    async fn report(&self, connection: &mut Connection, sync: &SqlSync) -> Result<AccountReport, Fault> {
        inspect::report(connection, sync).await
    }

    async fn begin(&self, connection: &mut Connection) -> Result<(), Fault> {
        connection.simple("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await
    }

    async fn write(&self, connection: &mut Connection, work: &Work<'_, Self::Cell>) -> Result<Vec<usize>, Failure> {
        let sql = statement::of(work);
        let query = bound(sql, statement::arrays(work));
        let failed = |error| fault::of_statement(error, &connection.place);
        if matches!(work.action, Action::Insert | Action::Upsert) {
            let done = query.execute(&mut connection.inner).await.map_err(failed)?;
            if done.rows_affected() == work.rows.len() as u64 {
                return Ok(Vec::new());
            }
            // A trigger, a rule or a policy has left rows out without a word.
            let text = "the server took the statement and left the row out: a trigger or a rule of the table does that";
            return Err(Failure::Row(Reason::new("NOT_WRITTEN", text)));
        }
        let mut hit = vec![false; work.rows.len()];
        for row in query.fetch_all(&mut connection.inner).await.map_err(failed)? {
            let number: i64 = row.try_get(0).map_err(failed)?;
            let place = usize::try_from(number - 1).ok();
            if let Some(slot) = place.and_then(|place| hit.get_mut(place)) {
                *slot = true;
            }
        }
        Ok(hit.iter().enumerate().filter(|(_, hit)| !**hit).map(|(place, _)| place).collect())
    }

    async fn commit(&self, connection: &mut Connection) -> Result<(), Failure> {
        let done = sqlx::raw_sql("COMMIT").execute(&mut connection.inner).await;
        done.map(|_| ()).map_err(|error| fault::of_commit(error, &connection.place))
    }

    async fn rollback(&self, connection: &mut Connection) -> Result<(), Fault> {
        connection.simple("ROLLBACK").await
    }

    async fn make_operations(&self, connection: &mut Connection, name: &TableName) -> Result<(), Fault> {
        operations::make(connection, name).await
    }

    async fn prune(&self, connection: &mut Connection, entries: &Entries<'_>) -> Result<(), Failure> {
        operations::prune(connection, entries).await
    }

    async fn record(&self, connection: &mut Connection, entries: &Entries<'_>) -> Result<(), Failure> {
        operations::record(connection, entries).await.map(|_| ())
    }

    async fn recorded(&self, connection: &mut Connection, entries: &Entries<'_>) -> Result<Vec<i64>, Failure> {
        // An entry that is being written by a transaction that is not over makes this wait for its end.
        let new: HashSet<i64> = operations::record(connection, entries).await?.into_iter().collect();
        let ops = entries.entries.iter().map(|entry| entry.op);
        Ok(ops.filter(|op| !new.contains(op)).collect())
    }

    fn statement(work: &Work<'_, Self::Cell>) -> String {
        statement::of(work)
    }

    fn shown(cell: &Self::Cell) -> String {
        cell.as_ref().map_or_else(|| String::from("NULL"), |text| super::name::quoted(text, '\''))
    }
}

impl Connection {
    /// A statement without parameters or rows.
    async fn simple(&mut self, sql: &'static str) -> Result<(), Fault> {
        let done = sqlx::raw_sql(sql).execute(&mut self.inner).await;
        done.map(|_| ()).map_err(|error| fault::of_call(error, &self.place))
    }
}
