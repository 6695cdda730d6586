//! MariaDB: rows as lists of placeholders, in statements no larger than the server takes.

mod connect;
mod fault;
mod inspect;
mod operations;
mod statement;
mod values;

use async_trait::async_trait;
use backhaul_kit::{AccountReport, Fault, Reason, ValueRef};
use sqlx::mysql::{MySqlArguments, MySqlConnection};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Connection as _, MySql};

use super::database::{Action, Database, Entries, Failure, Work};
use super::name::TableName;
use super::sync::SqlSync;
use super::table::{Column, Table};
pub(super) use connect::MariaDb;
use values::Cell;

/// A connection, and where it goes to.
pub(super) struct Connection {
    inner: MySqlConnection,
    /// `host:port`, for messages.
    place: String,
    /// The largest message that the server takes, in bytes.
    max_packet: usize,
}

impl Connection {
    /// Binds the cells and runs the statement; the number of rows that it found or made.
    async fn execute<'q>(&mut self, sql: &str, cells: impl Iterator<Item = &'q Cell>) -> Result<u64, Failure> {
        let query = cells.fold(sqlx::query(AssertSqlSafe(sql.to_owned())), bind);
        let done = query.execute(&mut self.inner).await;
        done.map(|done| done.rows_affected()).map_err(|error| fault::of_statement(&error, &self.place))
    }

    async fn simple(&mut self, sql: &'static str) -> Result<(), Fault> {
        let done = sqlx::raw_sql(sql).execute(&mut self.inner).await;
        done.map(|_| ()).map_err(|error| fault::of_call(&error, &self.place))
    }
}

fn bind<'q>(query: Query<'q, MySql, MySqlArguments>, cell: &'q Cell) -> Query<'q, MySql, MySqlArguments> {
    match cell {
        Cell::Null => query.bind(None::<&str>),
        Cell::Int(number) => query.bind(*number),
        Cell::Text(text) => query.bind(text.as_str()),
        Cell::Bytes(bytes) => query.bind(bytes.as_slice()),
    }
}

#[async_trait]
impl Database for MariaDb {
    type Cell = Cell;
    type Connection = Connection;

    fn cell(column: &Column, value: ValueRef<'_>) -> Result<Cell, Reason> {
        values::cell(&column.class, value)
    }

    fn address(column: &Column, text: &str) -> Result<Cell, Reason> {
        values::cell(&column.class, ValueRef::Text(text))
    }

    fn null() -> Cell {
        Cell::Null
    }

    async fn connect(&self) -> Result<Connection, Fault> {
        self.open().await
    }

    async fn close(&self, connection: Connection) {
        // Nothing hangs on the answer: the socket closes in any case.
        let _ = tokio::time::timeout(connect::GOODBYE, connection.inner.close()).await;
    }

    async fn table(&self, connection: &mut Connection, name: &TableName) -> Result<Table, Fault> {
        inspect::table(connection, name).await
    }

    async fn report(&self, connection: &mut Connection, sync: &SqlSync) -> Result<AccountReport, Fault> {
        inspect::report(connection, sync).await
    }

    async fn begin(&self, connection: &mut Connection) -> Result<(), Fault> {
        connection.simple("START TRANSACTION READ WRITE").await
    }

    async fn write(&self, connection: &mut Connection, work: &Work<'_, Cell>) -> Result<Vec<usize>, Failure> {
        let mut missed = Vec::new();
        if work.action == Action::Update {
            // The server does not say which rows of a longer statement it found.
            let sql = statement::of(work, 1);
            for (place, row) in work.rows.iter().enumerate() {
                if connection.execute(&sql, row.cells.iter().chain(&row.address)).await? == 0 {
                    missed.push(place);
                }
            }
            return Ok(missed);
        }
        let mut rest = work.rows.as_slice();
        while !rest.is_empty() {
            let count = statement::fitting(work, rest, connection.max_packet)?;
            let (now, later) = rest.split_at(count);
            let cells = now.iter().flat_map(|row| statement::cells(work.action, row));
            connection.execute(&statement::of(work, count), cells).await?;
            rest = later;
        }
        // Rows that a removal did not find are as they should be, like those that it removed.
        Ok(missed)
    }

    async fn commit(&self, connection: &mut Connection) -> Result<(), Failure> {
        let done = sqlx::raw_sql("COMMIT").execute(&mut connection.inner).await;
        done.map(|_| ()).map_err(|error| fault::of_commit(&error, &connection.place))
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
        operations::record(connection, entries).await
    }

    async fn recorded(&self, connection: &mut Connection, entries: &Entries<'_>) -> Result<Vec<i64>, Failure> {
        operations::recorded(connection, entries).await
    }

    fn statement(work: &Work<'_, Cell>) -> String {
        statement::of(work, work.rows.len())
    }

    fn shown(cell: &Cell) -> String {
        match cell {
            Cell::Null => String::from("NULL"),
            Cell::Int(number) => number.to_string(),
            Cell::Text(text) => super::name::quoted(text, '\''),
            Cell::Bytes(bytes) => format!("({} bytes)", bytes.len()),
        }
    }
}
