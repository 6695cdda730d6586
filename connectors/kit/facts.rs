//! What is true of an operation at a destination.

use std::time::Duration;

words! {
    /// What can count as proof that a row was accepted.
    pub enum Evidence {
        /// The answer names rows.
        Row = "row",
        /// A documented status settles the whole batch.
        Call = "call",
        /// Accepted when received = sent and invalid = 0.
        Count = "count",
        /// Accepted now, settled when the job says so.
        Job = "job",
    }
}

/// Whether batches belong to a session that is committed at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// No session.
    None,
    /// A session whose batches may come in any order.
    AnyOrder,
    /// One batch at a time, in order; `last` is true on the last of each operation.
    Ordered,
}

/// Which kinds of operation go first on one object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Writes, then removals.
    WritesFirst,
    /// Moves, removals, then writes: where fields are unique.
    RemovalsFirst,
}

words! {
    /// What an operation needs to find an existing record.
    pub enum AddressKind {
        /// Nothing: the key or the fields say it all.
        None = "",
        /// The vendor's id, remembered from the answer to the write.
        RemoteId = "its id",
        /// The value of the match field.
        MatchValue = "the match field",
        /// The hashes that it was sent as: [`Prepared::hashes`](crate::Prepared::hashes) of its fields.
        Hashes = "the hashes it was sent as",
    }
}

/// Facts of one operation at one destination. They come from the vendor's documents, not from hope.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The most rows a call takes; 0 where the operation is not offered.
    pub max_rows: usize,
    /// The most bytes a call's body takes, where known.
    pub max_bytes: Option<usize>,
    /// What proves a row accepted.
    pub evidence: Evidence,
    /// Whether a call whose answer was lost may be made again without harm.
    pub resend_safe: bool,
    /// Whether the destination can be asked whether rows whose answer was lost are there
    /// ([`Destination::find_written`](crate::Destination::find_written)).
    pub read_back: bool,
    /// Whether it changes the fields that it is given of a record that is there, leaves the others as they are, and makes
    /// no record where there is none. A row whose former values were accepted is then sent without those that stayed.
    pub merges: bool,
    /// What finds the record.
    pub address: AddressKind,
    /// Order between kinds.
    pub order: Order,
    /// Session kind.
    pub session: Session,
    /// Every row of the model goes into the plan when anything changed (a full file); what left the model is gone
    /// with the next one, whatever `removed` says.
    pub whole_set: bool,
    /// How many calls may be in flight.
    pub concurrency: usize,
    /// How long after an ambiguous call the same address is left alone.
    pub settle_after: Duration,
    /// Scopes or rights that the operation needs.
    pub scopes: Vec<String>,
    /// Signals of consent that the vendor demands for each person sent, by the vendor's names (`ad_user_data`): a sync
    /// must say in `[consent]` which columns have them.
    pub consent: &'static [&'static str],
    /// How long what was written stays at the destination before it is gone by itself, where it does not stay.
    pub expires: Option<Duration>,
}

impl Default for Facts {
    /// One row a call, evidence by row, not safe to resend, one call in flight: the careful start.
    fn default() -> Self {
        Self {
            max_rows: 1,
            max_bytes: None,
            evidence: Evidence::Row,
            resend_safe: false,
            read_back: false,
            merges: false,
            address: AddressKind::None,
            order: Order::WritesFirst,
            session: Session::None,
            whole_set: false,
            concurrency: 1,
            settle_after: Duration::from_secs(30),
            scopes: Vec::new(),
            consent: &[],
            expires: None,
        }
    }
}
