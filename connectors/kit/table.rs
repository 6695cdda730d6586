//! A snapshot that is a table of the warehouse: the comparison runs there, and only rows that changed leave it.
//!
//! The engine says what a table has to hold; the connector knows the warehouse's language. What a record
//! remembers beside its fingerprint (field hashes) is the engine's own and opaque here.

use async_trait::async_trait;
use futures_util::stream::BoxStream;

use crate::batch::Address;
use crate::fault::Fault;
use crate::source::{Proof, RowPage};

/// One state of a snapshot table, as the engine's own manifest has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableState {
    /// The table's name in the schema of snapshots.
    pub name: String,
    /// Names this state; another after every change.
    pub generation: String,
    /// What its fingerprints were made with: [`TableShape::fingerprints`].
    pub fingerprints: String,
    /// How many records it has.
    pub records: u64,
}

/// What a table for a model's rows has to look like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableShape {
    /// The types of the key's columns in the table, in the key's order.
    pub key: Vec<String>,
    /// Names everything that the warehouse's fingerprints depend on: algorithm, version of the server, columns and
    /// their types. Fingerprints of two different names are never compared.
    pub fingerprints: String,
}

/// A comparison of a model with a snapshot table.
#[derive(Clone, Debug)]
pub struct TableScan {
    /// The table as it is expected; a scan of another state fails.
    pub state: TableState,
    /// Every row is handed over, not only those that differ.
    pub all: bool,
    /// Whether records without a row are of interest.
    pub removals: bool,
}

/// What a snapshot table remembers of a key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// The row's fingerprint as the destination accepted it; `None` equals no row: the record is in doubt, was
    /// accepted under a mapping that no longer holds, or its fingerprint was made with something else.
    pub fingerprint: Option<u64>,
    /// Whether nobody knows what the destination has.
    pub in_doubt: bool,
    /// What finds the record at the destination.
    pub address: Address,
    /// The engine's field hashes; `None` where they are unknown.
    pub fields: Option<Vec<u8>>,
    /// Half of the key's hash: ties a record to its key, so that an edit by hand is noticed.
    pub check: u64,
}

/// How a row of a page stands to its record.
#[derive(Clone, Debug)]
pub struct Mark {
    /// The row's fingerprint as the warehouse computes it.
    pub fingerprint: u64,
    /// Whether another row of the model has the same key and came before it.
    pub repeated: bool,
    /// The record of its key.
    pub record: Option<Recorded>,
}

/// Some rows of a comparison.
pub struct ComparedPage {
    /// The rows.
    pub rows: Box<dyn RowPage>,
    /// One for every row.
    pub marks: Vec<Mark>,
}

/// A record whose key is not in the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Canonical key bytes.
    pub key: Vec<u8>,
    /// What is remembered.
    pub record: Recorded,
    /// The warehouse's own hashes of match value and remote id: what [`Compared::Shared`] speaks of.
    pub claims: [Option<u64>; 2],
}

/// What a comparison yields.
pub enum Compared {
    /// Rows that are new or differ, or all of them.
    Page(ComparedPage),
    /// Records without a row; only where removals are of interest.
    Gone(Vec<Gone>),
    /// Claims of records without a row that a record *with* a row holds too. Comes after all of these.
    Shared(Vec<u64>),
    /// The end of a complete comparison; comes exactly once, last.
    End {
        /// How many records the table has.
        records: u64,
        /// How many of them have no row.
        gone: u64,
        /// What proves that no row is missing.
        proof: Proof,
    },
}

/// A table that does not exist yet.
#[derive(Clone, Debug)]
pub struct NewTable {
    /// Its name, from [`SnapshotTables::name`].
    pub name: String,
    /// The sync, for people.
    pub sync: String,
    /// Its first generation.
    pub generation: String,
    /// Its shape.
    pub shape: TableShape,
}

/// A change of a table, from one state to the next.
#[derive(Clone, Debug)]
pub struct TableChange {
    /// The state it is for.
    pub from: TableState,
    /// The next generation.
    pub generation: String,
    /// The next [`TableState::fingerprints`].
    pub fingerprints: String,
    /// The run that is settled.
    pub run: String,
    /// Records that no entry speaks of lose their fingerprints: they equal no row any more.
    pub stale: bool,
    /// Where the field hashes change places: for every new field the place of its four bytes among the old ones;
    /// `None` is a field without a past.
    pub fields: Option<Vec<Option<usize>>>,
    /// How many entries of each kind come.
    pub expected: TableCounts,
}

/// How many entries insert, update and delete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounts {
    /// New records.
    pub inserts: u64,
    /// Records that are there and stay.
    pub updates: u64,
    /// Records that go.
    pub deletes: u64,
}

/// What becomes of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableEntry {
    /// Canonical key bytes.
    pub key: Vec<u8>,
    /// What happens.
    pub effect: TableEffect,
}

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TableEffect {
    /// It is new.
    Insert(Recorded),
    /// It has these values now; `fields` of `None` stay as they are.
    Update(Recorded),
    /// It goes.
    Delete,
}

/// Entries on their way into a table.
pub type TableEntries<'a> = &'a mut (dyn Iterator<Item = Result<TableEntry, Fault>> + Send);

/// The snapshot tables of a warehouse. Each change is one transaction: after a failure the table is as before.
#[async_trait]
pub trait SnapshotTables: Send + Sync {
    /// The name of a sync's table. `owner` tells the state folders of several projects apart.
    fn name(&self, sync: &str, owner: &str) -> String;

    /// Whether tables can be made and written; writes nothing.
    ///
    /// # Errors
    /// `Auth`, with the statements that grant what is missing.
    async fn check(&self) -> Result<(), Fault>;

    /// Makes a table, in place of one of the same name, and gives the number of its records. Takes inserts only.
    ///
    /// # Errors
    /// Missing rights, keys that do not fit the shape, a connection that broke.
    async fn create(&self, table: &NewTable, entries: TableEntries<'_>) -> Result<u64, Fault>;

    /// Brings a table to its next state and gives the generation that it has then. A change whose run the table
    /// shows as applied already changes nothing: the generation is that of the first time.
    ///
    /// # Errors
    /// The table is not in the state that the change is for, or has other records than the entries say.
    async fn apply(&self, change: &TableChange, entries: TableEntries<'_>) -> Result<String, Fault>;

    /// All records with their canonical keys. Ends with an error unless all came.
    ///
    /// # Errors
    /// The table is not in this state.
    async fn records(&self, state: &TableState) -> Result<BoxStream<'static, Result<Vec<Gone>, Fault>>, Fault>;

    /// Removes a table that no snapshot is in any more; it is no error when it is not there.
    ///
    /// # Errors
    /// Missing rights, a connection that broke.
    async fn remove(&self, name: &str) -> Result<(), Fault>;
}
