//! The journal of the sink: one JSON line for each row that a request changed, in the order it was applied.
//! The sink writes it, the judge reads it; nothing of backhaul has a hand in it.

use serde::{Deserialize, Serialize};

/// A line of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case")]
pub(crate) enum Line {
    /// From here on this version of the model is in force. Versions count from 0.
    Version {
        /// Its number.
        version: usize,
    },
    /// A row was applied.
    Applied(Applied),
}

/// A row that the sink applied.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Applied {
    /// Number of the line among the applied rows, from 0.
    pub(crate) seq: u64,
    /// Number of the call, from 0: rows of one call share it.
    pub(crate) call: u64,
    /// HTTP method.
    pub(crate) method: String,
    /// Path of the request.
    pub(crate) path: String,
    /// What was done.
    pub(crate) change: Change,
    /// The row's `id`, as text.
    pub(crate) key: String,
    /// The record as sent; none for a removal.
    pub(crate) body: Option<serde_json::Value>,
    /// The request's `Idempotency-Key`.
    pub(crate) idempotency_key: Option<String>,
}

/// What was done to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    /// Written.
    Put,
    /// Removed.
    Delete,
}
