//! What a plan comes to, in numbers.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::CauseCounts;

/// What became of the rows of a scan. Every row of the scan is in exactly one of `unchanged`, `added`,
/// `changed`, `moved`, `touched`, `refreshed`, `rejected`, `withheld`, `waiting`, `in_doubt`, `ignored`, `postponed`,
/// `left_alone` and `ineligible`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PlanCounts {
    /// Rows of the scan.
    pub rows: u64,
    /// Rows that the destination has as they are.
    pub unchanged: u64,
    /// `Add` ops.
    pub added: u64,
    /// `Change` ops.
    pub changed: u64,
    /// `Move` ops.
    pub moved: u64,
    /// `Remove` ops.
    pub removed: u64,
    /// Of the removals: those whose rows may not be sent, by cause. The others left the model.
    pub removed_for: CauseCounts,
    /// Rows that may not be sent, by cause, whether or not the destination has their records.
    pub ineligible: CauseCounts,
    /// Of these: records that the destination has and that stay as they are.
    pub frozen: u64,
    /// `Forget` ops: keys that left the model while another live row claims their address.
    pub forgotten: u64,
    /// `Touch` ops.
    pub touched: u64,
    /// `Refresh` ops.
    pub refreshed: u64,
    /// `Reject` ops: rows that the mapper refused.
    pub rejected: u64,
    /// Rows and removals that were rejected as they are now, and are not due to be tried again.
    pub withheld: u64,
    /// Rows that wait for a record which they refer to.
    pub waiting: u64,
    /// Of these: rows whose record is one that this plan adds, or that waits likewise.
    pub next_wave: u64,
    /// Values that were looked up at the destination.
    pub looked_up: u64,
    /// Rows and removals in doubt that wait for a decision.
    pub in_doubt: u64,
    /// Accepted rows that have changed since, of a sync that sends a row once.
    pub ignored: u64,
    /// Of the changes: records that were in doubt before.
    pub repeats: u64,
    /// Rows and removals left for the next run by `max_rows`.
    pub postponed: u64,
    /// Rows that were not asked for by name.
    pub left_alone: u64,
    /// Of the rows that were looked at: those whose key the destination had not accepted.
    pub new_keys: u64,
    /// Keys that the destination has, or may have, and that are not in the model, whatever becomes of them.
    pub left: u64,
    /// Rows that did not stand where the snapshot's order made them expected.
    pub misses: u64,
}

impl PlanCounts {
    /// Removals of what left the model.
    pub fn removed_left(&self) -> u64 {
        self.removed - self.removed_for.total().min(self.removed)
    }

    /// How many ops send fields.
    pub fn written(&self) -> u64 {
        self.added + self.changed + self.moved + self.refreshed
    }

    /// How many ops a destination hears of.
    pub fn sent(&self) -> u64 {
        self.written() + self.removed
    }
}

/// A finished plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSummary {
    /// The plan hash: SHA-256 in lower-case hexadecimal digits. It names exactly these ops against exactly
    /// this state of the snapshot.
    pub hash: String,
    /// What it comes to.
    pub counts: PlanCounts,
    /// What proved that the scan was complete, in the source's words.
    pub proof: String,
    /// When the newest row of a model that grows came, as far as the scan saw.
    pub newest: Option<Timestamp>,
    /// Length of the plan file.
    pub bytes: u64,
}
