//! One operation of a plan.

use backhaul_kit::key::Key;
use backhaul_kit::{Address, Fields, KeyHash, Reason, RowDigest};

use super::Cause;

/// What an op does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpKind {
    /// The key was not accepted before.
    Add,
    /// The key was accepted with another fingerprint, or is in doubt.
    Change,
    /// Like `Change`, and the address at the destination changes too, or may have changed in a call whose fate is
    /// open.
    Move,
    /// The key left the model, or its row may not be sent.
    Remove,
    /// The raw fingerprint changed but no mapped value did: stored, nothing sent.
    Touch,
    /// Unchanged, sent again on purpose.
    Refresh,
    /// Dropped from the snapshot without a call: another live row claims the address.
    Forget,
    /// The mapper refused the row: kept in `rejects`, nothing sent. Without a reason: it waits there already.
    Reject,
}

impl OpKind {
    /// Whether a destination hears of it.
    pub fn is_sent(self) -> bool {
        matches!(self, Self::Add | Self::Change | Self::Move | Self::Remove | Self::Refresh)
    }
}

/// One operation. Numbers start at 0 and have no gaps.
#[derive(Clone, Debug, PartialEq)]
pub struct Op {
    /// Its number in the plan.
    pub number: u64,
    /// What it does.
    pub kind: OpKind,
    /// The key's record in the snapshot the plan was made from; `None` for keys it does not have. Records of a table
    /// are numbered as the scan met them.
    pub ordinal: Option<u64>,
    /// Canonical key bytes.
    pub key: Key,
    /// Hash of the key under the snapshot's seed.
    pub key_hash: KeyHash,
    /// Fingerprint of the source row; 0 for `Remove`; for `Forget` the [`claimant`](Self::claimant).
    pub fingerprint: u64,
    /// The row's fingerprint as its warehouse computes it, where the snapshot is a table there.
    pub table_fingerprint: Option<u64>,
    /// Why it is removed (`Remove` only).
    pub cause: Cause,
    /// What was remembered of the record at the destination before this plan.
    pub old_address: Address,
    /// The match field's value now; `None` where the sync has no match field or the row is gone.
    pub match_value: Option<String>,
    /// Whether the record was in doubt before this plan.
    pub was_in_doubt: bool,
    /// For `Change`, `Move`, `Touch`: which mapped fields differ from what was accepted, by place; empty
    /// where it is not known.
    pub changed: Vec<bool>,
    /// Mapped values in field order; empty for `Remove`, `Forget`, `Reject`.
    pub fields: Fields,
    /// Why the mapper refused it (`Reject` only).
    pub reason: Option<Box<Reason>>,
}

impl Op {
    /// An op that does nothing with its row yet.
    pub(super) fn without_effect(key: Key, digest: RowDigest) -> Self {
        Self {
            number: 0,
            kind: OpKind::Reject,
            ordinal: None,
            key,
            key_hash: digest.key,
            fingerprint: digest.fingerprint,
            cause: Cause::Left,
            table_fingerprint: None,
            old_address: Address::default(),
            match_value: None,
            was_in_doubt: false,
            changed: Vec::new(),
            fields: Fields::default(),
            reason: None,
        }
    }
}

impl Op {
    /// What a `Forget` remembers of the op that claims its address: its number + 1, or 0 where the claim does not
    /// hang on what becomes of the op.
    pub(crate) fn claimant(&self) -> u64 {
        match self.kind {
            OpKind::Add | OpKind::Change | OpKind::Move => self.number + 1,
            OpKind::Remove | OpKind::Touch | OpKind::Refresh | OpKind::Forget | OpKind::Reject => 0,
        }
    }
}
