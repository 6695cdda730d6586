//! What a plan is asked to be.

use std::collections::{HashMap, HashSet};

use backhaul_kit::KeyHash;
use serde::{Deserialize, Serialize};

use super::Doubts;
use crate::snapshot::{Binding, Growing, Refreshing};

/// What a plan is asked to be.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// The run that it is for.
    pub run_id: String,
    /// Digest of everything that decides what a row is sent as.
    pub config_digest: [u8; 32],
    /// Whose data it becomes.
    pub binding: Binding,
    /// Whether the destination is told of removals.
    pub removals: bool,
    /// Whether keys that left the model are among them; if not, only people who may not be sent are removed.
    pub removes_left: bool,
    /// Whether a changed match value is a [`Move`](super::OpKind::Move); otherwise it is a change.
    pub moves: bool,
    /// Place of the match field among the mapped fields.
    pub match_field: Option<usize>,
    /// Whether match values are the hashes of [`RowMapper::hashes`](super::RowMapper::hashes).
    pub hashes: bool,
    /// Whether the snapshot remembers what finds a record again.
    pub keep_address: bool,
    /// Every row goes into the plan, unchanged ones as `Refresh`; if nothing else is to be sent, none does.
    pub whole_set: bool,
    /// The mapping changed: every row is mapped and compared field by field.
    pub remap: bool,
    /// Every row is sent, changed or not.
    pub full: bool,
    /// What the scan asks for, where the model is one that grows. Such a plan removes nothing.
    pub growing: Option<Growing>,
    /// What is sent again although nothing has changed.
    pub refresh: Option<Refreshing>,
    /// An accepted row is not sent again because it has changed.
    pub ignores_changed: bool,
    /// Rejected rows that are not due: a row with this fingerprint is passed over, with 0 the removal of the key.
    pub withheld: HashMap<KeyHash, u64>,
    /// What happens to rows in doubt.
    pub doubts: Doubts,
    /// If set, only these keys (as [`backhaul_kit::key::display`] shows them) are looked at.
    pub only: Option<HashSet<String>>,
    /// At most so many ops are sent; the rest stays for the next run.
    pub max_rows: Option<u64>,
    /// Whether the destination is told the key alone of what is removed, and no address.
    pub removal_by_key: bool,
    /// The snapshots of other syncs that removals are netted against.
    pub siblings: Vec<SiblingState>,
    /// Bytes that must stay free on the file system of the plan.
    pub min_free: u64,
    /// Bytes of memory that comparing may take for rows that do not come in the snapshot's order.
    pub memory: u64,
}

/// The state of another sync's snapshot that a plan was netted against.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiblingState {
    /// The sync's name.
    pub sync: String,
    /// Names the state.
    pub base_id: String,
}
