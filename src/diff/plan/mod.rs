//! The plan file: exactly what a run will do, before it does it.
//!
//! A sealed file ([`crate::snapshot`]'s `DESIGN.md`): the header, chunks of ops, the footer with counts, the
//! digest of every chunk and the plan hash.

mod chunk;
pub(in crate::diff) mod codec;
mod footer;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod reader;
mod writer;

pub use reader::{PlanOps, PlanReader};
pub use writer::PlanWriter;

use serde::{Deserialize, Serialize};

use crate::diff::{PlanRequest, RowMapper, SiblingState};
use crate::snapshot::{Binding, Growing, Refreshing, hex_digest};

/// What a plan was made for and from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanHeader {
    /// The run.
    pub run_id: String,
    /// The state of the snapshot that the rows were compared with.
    pub base_id: String,
    /// The seed of the key hashes.
    pub seed: u64,
    /// Digest of everything that decided what a row is sent as.
    #[serde(with = "hex_digest")]
    pub config_digest: [u8; 32],
    /// Whose data it is.
    pub binding: Binding,
    /// Names of the mapped fields, in the order of every op's values.
    pub fields: Vec<String>,
    /// Place of the match field among them.
    pub match_field: Option<usize>,
    /// Whether match values are hashes, one a line.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub hashes: bool,
    /// Whether the snapshot is to remember addresses.
    pub keep_address: bool,
    /// Whether keys that left the model are removed.
    pub removals: bool,
    /// Whether the mapping changed since the snapshot was made.
    pub remap: bool,
    /// Whether every row is sent, changed or not.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub full: bool,
    /// What the ops' table fingerprints were made with, where the snapshot is a table of the warehouse.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_fingerprints: Option<String>,
    /// What the scan asked for, where the model is one that grows: a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub growing: Option<Growing>,
    /// What is sent again although nothing has changed, where the sync wants that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<Refreshing>,
    /// The snapshots of other syncs that removals were netted against.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub siblings: Vec<SiblingState>,
}

impl PlanHeader {
    /// The header of a plan of this request against the state `base_id` of a snapshot.
    pub(super) fn new(base_id: &str, seed: u64, request: &PlanRequest, mapper: &dyn RowMapper) -> Self {
        Self {
            run_id: request.run_id.clone(),
            base_id: base_id.to_owned(),
            seed,
            config_digest: request.config_digest,
            binding: request.binding.clone(),
            fields: mapper.fields().to_vec(),
            match_field: request.match_field,
            hashes: request.hashes,
            keep_address: request.keep_address,
            removals: request.removals,
            remap: request.remap,
            full: request.full,
            table_fingerprints: None,
            growing: request.growing.clone(),
            refresh: request.refresh,
            siblings: request.siblings.clone(),
        }
    }
}
