//! The contract of a warehouse: one read-only snapshot of the data, rows in its own encoding, and a
//! proof that the scan was complete.

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use std::time::Duration;

use crate::config::ConfigTable;
use crate::context::Kit;
use crate::fault::Fault;
use crate::key::KeyHash;
use crate::table::{Compared, SnapshotTables, TableScan, TableShape};
use crate::value::Value;
use std::sync::Arc;

/// A kind of warehouse (`type = "postgres"`); listed once in the registry.
pub trait SourceKind: Send + Sync {
    /// The `type` in `backhaul.toml`.
    fn name(&self) -> &'static str;

    /// One line for `backhaul connectors`.
    fn about(&self) -> &'static str;

    /// Reads `[warehouses.X]` (without `type`). Problems go to the table; `None` when there were any. No I/O.
    fn parse(&self, table: &mut ConfigTable) -> Option<Box<dyn WarehouseConfig>>;

    /// JSON Schema of the table's keys (an object schema with `properties`, without `type`).
    fn json_schema(&self) -> serde_json::Value;
}

/// A checked `[warehouses.X]`, not yet connected.
pub trait WarehouseConfig: Send + Sync {
    /// Looks at a model's query without I/O: what no data could make right is found when the project is read. The
    /// default takes SQL.
    ///
    /// # Errors
    /// `Config`.
    fn check_query(&self, query: &ModelQuery) -> Result<(), Fault> {
        match query {
            ModelQuery::Sql(_) | ModelQuery::Table(_) => Ok(()),
            ModelQuery::Files(_) => Err(ModelQuery::files_refused()),
        }
    }

    /// Makes the source; starts nothing.
    ///
    /// # Errors
    /// A secret that cannot be read.
    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Source>, Fault>;

    /// Whether the column of [`Model::since`] may have texts: whether they are compared as the moments that they say.
    fn times_in_text(&self) -> bool {
        false
    }

    /// Whether its sources have [`Source::snapshot_tables`].
    fn keeps_snapshots(&self) -> bool {
        false
    }

    /// The statements that give `user` what these models need and no more, where the warehouse has users.
    fn grants(&self, user: &str, models: &[(&str, &ModelQuery)]) -> Vec<String> {
        let _ = (user, models);
        Vec::new()
    }

    /// The hosts that are connected to, as `host:port`.
    ///
    /// # Errors
    /// A secret that cannot be read.
    fn hosts(&self, kit: &Kit) -> Result<Vec<String>, Fault> {
        let _ = kit;
        Ok(Vec::new())
    }
}

/// A warehouse.
#[async_trait]
pub trait Source: Send + Sync {
    /// Is it reachable, are we read-only, which rights are missing or in excess? Writes nothing.
    async fn check(&self) -> Result<SourceReport, Fault>;

    /// Opens one connection and one read-only snapshot of the data, and prepares the model there.
    ///
    /// # Errors
    /// `Config` where the model's SQL is refused (with [`Fault::sql_offset`] in the operator's text where
    /// known), `Auth`, or `Transient`.
    async fn open(&self, model: &Model) -> Result<Box<dyn Scan>, Fault>;

    /// The snapshots that can be kept in the warehouse itself; `None` where it cannot.
    fn snapshot_tables(&self) -> Option<&dyn SnapshotTables> {
        None
    }
}

/// What [`Source::check`] found.
#[derive(Clone, Debug, Default)]
pub struct SourceReport {
    /// Server and version, for people.
    pub server: String,
    /// Who we are there.
    pub user: Option<String>,
    /// Rights that are missing, in the warehouse's words.
    pub missing: Vec<String>,
    /// Rights beyond reading, in the warehouse's words.
    pub excess: Vec<String>,
}

/// The query of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ModelQuery {
    /// One SELECT, as the operator wrote it.
    Sql(String),
    /// A table or view, perhaps with its schema (`marts.users`); the source quotes its parts.
    Table(String),
    /// Files below a warehouse's folder, as a pattern (`customers/*.parquet`).
    Files(String),
}

impl ModelQuery {
    /// What a warehouse of SQL says to a model of files.
    pub fn files_refused() -> Fault {
        Fault::config("a model of `files` needs a warehouse of `type = \"files\"`")
            .remedy("name such a warehouse, or give `sql`, `table` or `sql_file`")
    }
}

/// What to scan.
#[derive(Clone, Debug)]
pub struct Model {
    /// The model's name, for messages.
    pub name: String,
    /// Its query.
    pub query: ModelQuery,
    /// The sync's `where`, as SQL over the model's columns.
    pub filter: Option<String>,
    /// The rows that [`Scan::pages`] gives; `None` for all.
    pub since: Option<Since>,
    /// Let the warehouse work on the model in parallel: a plain table is read in several lanes, where the warehouse can
    /// do that; other queries may have parallel plans, whose row order is not repeatable.
    pub parallel: bool,
    /// The longest the whole scan may take.
    pub timeout: Option<Duration>,
    /// How long no byte may come before the source looks whether the other side still works.
    pub idle_timeout: Duration,
}

/// The rows of a growing model that a scan asks for: those since a moment, those whose moment is not known, and some by
/// their keys.
#[derive(Clone, Debug, PartialEq)]
pub struct Since {
    /// The column that says when a row came.
    pub column: String,
    /// The first moment that is asked for, in microseconds since 1970 (UTC); `None` asks for all rows.
    pub from: Option<i64>,
    /// The key's columns.
    pub key: Vec<String>,
    /// Keys that are asked for whenever their rows came, each with a value for every column of the key.
    pub keys: Vec<Vec<Value>>,
}

/// The class of a column's type: what stays the same between warehouses and engine versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeClass {
    /// Booleans.
    Bool,
    /// Whole numbers of any width.
    Integer,
    /// Exact decimals.
    Decimal,
    /// Binary floating point.
    Float,
    /// Text, enums, network addresses: whatever travels as text.
    Text,
    /// Raw bytes.
    Bytes,
    /// Calendar dates.
    Date,
    /// Times of day.
    Time,
    /// Points in time.
    Timestamp,
    /// Date and time of no zone.
    LocalTimestamp,
    /// Spans.
    Interval,
    /// UUIDs.
    Uuid,
    /// JSON documents.
    Json,
    /// Lists.
    Array(Box<TypeClass>),
    /// The warehouse types values one by one (SQLite).
    Any,
    /// A type that backhaul cannot decode; using the column is an error that names it.
    Unsupported,
}

impl std::fmt::Display for TypeClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = match self {
            Self::Array(of) => return write!(f, "array of {of}"),
            Self::Bool => "boolean",
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Float => "float",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Date => "date",
            Self::Time => "time",
            Self::Timestamp => "timestamp",
            Self::LocalTimestamp => "local timestamp",
            Self::Interval => "interval",
            Self::Uuid => "uuid",
            Self::Json => "json",
            Self::Any => "any",
            Self::Unsupported => "unsupported",
        };
        f.write_str(name)
    }
}

/// One column of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, as the warehouse gives it.
    pub name: String,
    /// The class of its type.
    pub class: TypeClass,
    /// The warehouse's own name of the type (`int8`, `numeric`), for messages.
    pub native: String,
}

/// The columns of a model, in its own order; names are unique.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The columns.
    pub columns: Vec<Column>,
}

impl Schema {
    /// The column of that name and its place.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, c)| c.name == name)
    }

    /// All names, for suggestions.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|c| c.name.as_str())
    }
}

/// The columns a scan hands over, and how it hashes them.
#[derive(Clone, Debug)]
pub struct Projection {
    /// Names of the columns to fetch, each once; records have their values in this order.
    pub columns: Vec<String>,
    /// How many of the columns, from the first, make the fingerprint; the others are only looked at.
    pub fingerprinted: usize,
    /// Places in `columns` of the key's parts, in the key's order.
    pub key: Vec<usize>,
    /// The snapshot's secret hash seed.
    pub seed: u64,
}

/// A question about the model, asked in the scan's own snapshot. `{model}` in the text stands for the
/// wrapped model as a table expression.
#[derive(Clone, Debug)]
pub struct Query {
    /// SQL with `{model}` in place of the model.
    pub sql: String,
    /// At most this many rows are read.
    pub limit: usize,
}

/// The answer to a [`Query`].
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// The columns.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Vec<Value>>,
}

/// Takes the values of a row.
pub type TakeRow<'a> = dyn FnMut(&[Value]) -> Result<(), Fault> + Send + 'a;

/// One open scan: a connection with a read-only snapshot, and a prepared model.
#[async_trait]
pub trait Scan: Send {
    /// The model's columns.
    async fn columns(&mut self) -> Result<Schema, Fault>;

    /// Asks a question in the same snapshot.
    async fn check(&mut self, query: &Query) -> Result<Rows, Fault>;

    /// The columns of another model of the same warehouse, made ready in the same snapshot; `None` where a scan cannot
    /// read other models.
    ///
    /// # Errors
    /// As [`Source::open`]; the scan is of no use any more.
    async fn other_columns(&mut self, _other: &Model) -> Result<Option<Schema>, Fault> {
        Ok(None)
    }

    /// Gives all rows of another model to `take`, with the values of these columns, out of the same snapshot; returns
    /// how many there were once none can be missing.
    ///
    /// # Errors
    /// They could not be read to their end, or `take` refuses one; the scan is of no use any more.
    async fn other_rows(&mut self, _other: &Model, _columns: &[String], _take: &mut TakeRow<'_>) -> Result<u64, Fault> {
        Err(Fault::bug("this scan cannot read other models"))
    }

    /// All rows, or those of [`Model::since`], projected. Exactly one [`Scanned::End`] comes, last; a stream that ends without it, or
    /// with an error, was not complete.
    fn pages(self: Box<Self>, projection: Projection) -> BoxStream<'static, Result<Scanned, Fault>>;

    /// What a snapshot table for the projected rows looks like.
    ///
    /// # Errors
    /// The warehouse keeps no snapshots, or a column cannot be compared there.
    fn table_shape(&self, _projection: &Projection) -> Result<TableShape, Fault> {
        Err(no_tables())
    }

    /// Compares the projected rows with a snapshot table inside the warehouse. Exactly one [`Compared::End`]
    /// comes, last; a stream that ends without it, or with an error, was not complete.
    fn compared(
        self: Box<Self>,
        _projection: Projection,
        _table: TableScan,
    ) -> BoxStream<'static, Result<Compared, Fault>> {
        Box::pin(futures_util::stream::once(async { Err(no_tables()) }))
    }
}

fn no_tables() -> Fault {
    Fault::bug("this warehouse keeps no snapshots")
}

/// What a scan yields.
pub enum Scanned {
    /// Some rows.
    Page(Box<dyn RowPage>),
    /// The end of a complete scan.
    End {
        /// How many rows all pages had.
        rows: u64,
        /// What proves that none is missing.
        proof: Proof,
    },
}

/// What a source offers as proof that a scan was complete: that no row is missing of those that were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    words: &'static str,
    of_all: bool,
}

impl Proof {
    /// Of a scan that asked for all rows of its model.
    pub const fn of_all(words: &'static str) -> Self {
        Self { words, of_all: true }
    }

    /// The same proof of a scan that asked for some rows only: what did not come may be in the model all the same.
    #[must_use]
    pub const fn of_part(self) -> Self {
        Self { of_all: false, ..self }
    }

    /// The proof in the source's words.
    pub const fn words(&self) -> &'static str {
        self.words
    }

    /// Whether a row that did not come is not in the model.
    pub const fn is_of_all(&self) -> bool {
        self.of_all
    }
}

/// The hashes of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowDigest {
    /// Hash of the canonical key bytes; [`KeyHash::NULL`] where a key part is NULL.
    pub key: KeyHash,
    /// Hash of the row's fingerprinted columns in the source's own encoding (xxh3-64 under the seed): what else is
    /// projected changes nothing.
    pub fingerprint: u64,
}

/// Some rows in the source's own encoding. A page owns its bytes.
pub trait RowPage: Send {
    /// How many rows.
    fn rows(&self) -> usize;

    /// Which of the parallel parts of the scan the page belongs to; the rows of one lane come in the lane's own
    /// order.
    fn lane(&self) -> usize {
        0
    }

    /// Appends one digest a row, without decoding values.
    ///
    /// # Errors
    /// Bytes that are not the source's encoding.
    fn digest(&self, out: &mut Vec<RowDigest>) -> Result<(), Fault>;

    /// Appends the canonical key bytes of a row (whose key is not NULL).
    ///
    /// # Errors
    /// Bytes that are not the source's encoding.
    fn key(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault>;

    /// The typed values of a row, in projection order. A value that no destination can take is
    /// [`Value::Invalid`].
    ///
    /// # Errors
    /// Bytes that are not the source's encoding.
    fn record(&self, row: usize) -> Result<Vec<Value>, Fault>;

    /// One value of a row, by its place in the projection; no other need be decoded. The default decodes all.
    ///
    /// # Errors
    /// Bytes that are not the source's encoding; no such column.
    fn value(&self, row: usize, column: usize) -> Result<Value, Fault> {
        let value = self.record(row)?.into_iter().nth(column);
        value.ok_or_else(|| Fault::bug(format!("column {column} was asked of a row that does not have it")))
    }

    /// Appends a row whole, as [`RowPage::decoder`] reads it again: rows that must wait for the end of the scan
    /// are put aside without being decoded. The default is the compact encoding of the row's values.
    ///
    /// # Errors
    /// Bytes that are not the source's encoding.
    fn raw(&self, row: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
        for value in self.record(row)? {
            value.encode(out);
        }
        Ok(())
    }

    /// What reads the rows of [`RowPage::raw`]; one decoder reads the rows of all pages of a scan.
    fn decoder(&self) -> Arc<dyn RowDecoder> {
        Arc::new(EncodedValues)
    }
}

/// Reads rows that were put aside by [`RowPage::raw`].
pub trait RowDecoder: Send + Sync {
    /// The typed values of the row, in projection order.
    ///
    /// # Errors
    /// Bytes that are not such a row.
    fn record(&self, raw: &[u8]) -> Result<Vec<Value>, Fault>;
}

/// Reads rows in the compact encoding of values.
#[derive(Clone, Copy, Debug)]
pub struct EncodedValues;

impl RowDecoder for EncodedValues {
    fn record(&self, mut raw: &[u8]) -> Result<Vec<Value>, Fault> {
        let mut values = Vec::new();
        while !raw.is_empty() {
            values.push(Value::decode(&mut raw).ok_or_else(|| Fault::bug("a row that was put aside cannot be read"))?);
        }
        Ok(values)
    }
}
