//! What a server can do: the seam between the destination and the two dialects.

use async_trait::async_trait;
use backhaul_kit::{AccountReport, Fault, Reason, ValueRef, WritePolicy};

use super::draft::DraftRow;
use super::name::TableName;
use super::sync::SqlSync;
use super::table::{Column, Table};

/// Why a statement came to nothing. What it did is rolled back.
#[derive(Debug)]
pub(super) enum Failure {
    /// The server refuses what one of the rows says.
    Row(Reason),
    /// Anything else.
    Call(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Call(fault)
    }
}

/// What is done with rows of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// New rows.
    Insert,
    /// New rows, or changes of those whose match value is there.
    Upsert,
    /// Changes of the rows with these match values.
    Update,
    /// Deletes them.
    Delete,
    /// Empties the columns.
    Clear,
}

/// Rows that one kind of statement writes.
pub(super) struct Work<'a, C> {
    pub(super) table: &'a Table,
    pub(super) action: Action,
    /// The columns written, in the order of the rows' cells.
    pub(super) columns: Vec<&'a Column>,
    /// When each of them is written to a row that is there.
    pub(super) writes: Vec<WritePolicy>,
    /// The column that finds rows; none where they are appended.
    pub(super) matched: Option<&'a Column>,
    pub(super) rows: Vec<&'a DraftRow<C>>,
}

/// One entry of the table of operations.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// The op's number in its plan.
    pub(super) op: i64,
    /// A hash of the row's key.
    pub(super) key: String,
    /// Its fingerprint.
    pub(super) fingerprint: i64,
}

/// The entries of a run in a table of operations.
pub(super) struct Entries<'a> {
    pub(super) table: &'a TableName,
    pub(super) sync: &'a str,
    pub(super) run: &'a str,
    pub(super) entries: Vec<Entry>,
}

/// A kind of server.
#[async_trait]
pub(super) trait Database: Send + Sync + 'static {
    /// A value as it is bound.
    type Cell: Clone + Send + Sync;
    /// An open connection. Dropping it rolls back.
    type Connection: Send;

    /// A value for a column.
    ///
    /// # Errors
    /// The reason to reject the row.
    fn cell(column: &Column, value: ValueRef<'_>) -> Result<Self::Cell, Reason>;

    /// A match value that was remembered as text.
    ///
    /// # Errors
    /// The reason to reject the row.
    fn address(column: &Column, text: &str) -> Result<Self::Cell, Reason>;

    /// NULL.
    fn null() -> Self::Cell;

    /// Opens a connection with pinned settings.
    async fn connect(&self) -> Result<Self::Connection, Fault>;

    /// Ends a connection whose work is done.
    async fn close(&self, connection: Self::Connection);

    /// What the server says of a table.
    async fn table(&self, connection: &mut Self::Connection, name: &TableName) -> Result<Table, Fault>;

    /// Who we are there, and with which rights.
    async fn report(&self, connection: &mut Self::Connection, sync: &SqlSync) -> Result<AccountReport, Fault>;

    /// Begins a transaction.
    async fn begin(&self, connection: &mut Self::Connection) -> Result<(), Fault>;

    /// Writes rows; says which of them (places in `work.rows`) were not found.
    async fn write(
        &self,
        connection: &mut Self::Connection,
        work: &Work<'_, Self::Cell>,
    ) -> Result<Vec<usize>, Failure>;

    /// Ends the transaction. `Failure::Row` and faults other than `Ambiguous` say that it was not applied.
    async fn commit(&self, connection: &mut Self::Connection) -> Result<(), Failure>;

    /// Takes the transaction back.
    async fn rollback(&self, connection: &mut Self::Connection) -> Result<(), Fault>;

    /// Makes the table of operations where it is missing.
    async fn make_operations(&self, connection: &mut Self::Connection, name: &TableName) -> Result<(), Fault>;

    /// Deletes the entries of other runs of the sync.
    async fn prune(&self, connection: &mut Self::Connection, entries: &Entries<'_>) -> Result<(), Failure>;

    /// Writes entries; those that are there stay.
    async fn record(&self, connection: &mut Self::Connection, entries: &Entries<'_>) -> Result<(), Failure>;

    /// The ops that have an entry. Waits for transactions that have one and are not ended yet.
    async fn recorded(&self, connection: &mut Self::Connection, entries: &Entries<'_>) -> Result<Vec<i64>, Failure>;

    /// The statement that `work` comes to, for people.
    fn statement(work: &Work<'_, Self::Cell>) -> String;

    /// A cell for people.
    fn shown(cell: &Self::Cell) -> String;
}
