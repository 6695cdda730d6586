//! The plan file: exactly what a run will do, before it does it.
//!
//! A sealed file ([`crate::snapshot`]'s `DESIGN.md`): the header, chunks of ops, the footer with counts, the
//! digest of every chunk and the plan hash.

mod chunk;
mod codec;
mod footer;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod reader;
mod writer;

pub use reader::{PlanOps, PlanReader};
pub use writer::PlanWriter;

use serde::{Deserialize, Serialize};

use crate::snapshot::{Binding, hex_digest};

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
    /// Whether the snapshot is to remember addresses.
    pub keep_address: bool,
    /// Whether keys that left the model are removed.
    pub removals: bool,
    /// Whether the mapping changed since the snapshot was made.
    pub remap: bool,
}
