//! What a plan and the fates of its ops do to single records.

use backhaul_kit::Address;

use super::error::FileError;
use super::fingerprint::{DELETED, FieldHasher, IN_DOUBT, UNKNOWN_FIELD};
use super::segment::SegmentEntry;
use super::sort::{Sorted, Sorter};
use super::{Settle, Settlement};
use crate::diff::{Op, OpKind, PlanHeader};

/// Says what becomes of the record of an op.
pub(super) struct Judgement<'a> {
    header: &'a PlanHeader,
    replay: &'a dyn Settlement,
    hasher: FieldHasher,
}

impl<'a> Judgement<'a> {
    /// Of the ops of a plan.
    pub(super) fn new(header: &'a PlanHeader, replay: &'a dyn Settlement) -> Self {
        Self { header, replay, hasher: FieldHasher::new(header.seed) }
    }

    /// The fate of an op; what no destination hears of settles by itself.
    pub(super) fn fate(&self, op: &Op) -> Settle {
        match op.kind {
            OpKind::Touch => Settle::Accepted,
            // The row that takes its address did not get there: the record is still its own. In doubt it may be that
            // row's by now, and must not be removed.
            OpKind::Forget => match op.fingerprint.checked_sub(1).map(|claimant| self.replay.fate(claimant)) {
                Some(Settle::Kept) => Settle::Kept,
                None | Some(Settle::Accepted | Settle::InDoubt) => Settle::Accepted,
            },
            OpKind::Reject => Settle::Kept,
            OpKind::Add | OpKind::Change | OpKind::Move | OpKind::Remove | OpKind::Refresh => {
                self.replay.fate(op.number)
            }
        }
    }

    /// The state of a key that the snapshot does not have; `None` where it still does not get it.
    pub(super) fn new_state(&self, op: &Op) -> Option<u64> {
        if op.kind == OpKind::Add { self.state(op) } else { None }
    }

    /// The state of a key that the snapshot has ([`DELETED`] where it goes); `None` where it stays.
    pub(super) fn state(&self, op: &Op) -> Option<u64> {
        match self.fate(op) {
            Settle::Kept => None,
            Settle::InDoubt => Some(IN_DOUBT),
            Settle::Accepted if matches!(op.kind, OpKind::Remove | OpKind::Forget) => Some(DELETED),
            Settle::Accepted => Some(op.fingerprint),
        }
    }

    /// The record of a key that the snapshot does not have, under `ordinal`.
    pub(super) fn new_record(&self, op: &Op, ordinal: u64) -> Result<Option<SegmentEntry>, FileError> {
        let Some(fingerprint) = self.new_state(op) else { return Ok(None) };
        let address = Some(self.address(op)?);
        let mut fields = if fingerprint == IN_DOUBT { Vec::new() } else { self.field_hashes(op, |_| true) };
        fields.resize(self.header.fields.len(), Some(UNKNOWN_FIELD));
        Ok(Some(SegmentEntry { ordinal, fingerprint, key: Some(op.key.to_vec()), address, fields }))
    }

    /// What the op does to the record that it was planned for; `None` where the old state stays.
    pub(super) fn effect(&self, op: &Op, ordinal: u64) -> Result<Option<SegmentEntry>, FileError> {
        let Some(fingerprint) = self.state(op) else { return Ok(None) };
        if fingerprint == DELETED {
            return Ok(Some(SegmentEntry::tombstone(ordinal)));
        }
        let address = Some(self.address(op)?).filter(|address| *address != op.old_address);
        // Where it is not known which fields changed, all did.
        let changed = |place: usize| op.changed.get(place).copied().unwrap_or(true);
        let same = fingerprint == IN_DOUBT || matches!(op.kind, OpKind::Touch | OpKind::Refresh);
        let fields = if same { Vec::new() } else { self.field_hashes(op, changed) };
        Ok(Some(SegmentEntry { ordinal, fingerprint, key: None, address, fields }))
    }

    /// The hashes of the op's mapped values, as far as they are `wanted`.
    pub(super) fn field_hashes(&self, op: &Op, wanted: impl Fn(usize) -> bool) -> Vec<Option<u32>> {
        let fields = op.fields.encodings().enumerate();
        fields.map(|(place, field)| wanted(place).then(|| self.hasher.of_encoded(field))).collect()
    }

    /// What to remember of a record. In doubt the old match value stays: the vendor's id, where it is
    /// known, finds the record under either.
    pub(super) fn address(&self, op: &Op) -> Result<Address, FileError> {
        if !self.header.keep_address {
            return Ok(Address::default());
        }
        let (old, now) = (op.old_address.match_value.as_ref(), op.match_value.as_ref());
        let in_doubt = self.fate(op) == Settle::InDoubt;
        let match_value = if in_doubt { old.or(now).cloned() } else { now.or(old).cloned() };
        let match_value = match (old, now) {
            // Whatever was sent may be there: the next run removes what it does not want.
            (Some(old), Some(now)) if in_doubt && self.header.hashes => Some(union(old, now)),
            _ => match_value,
        };
        let answered = if op.kind.is_sent() { self.replay.remote_id(op.number)? } else { None };
        let remote_id = answered.or_else(|| op.old_address.remote_id.clone());
        Ok(Address { remote_id, match_value })
    }
}

/// The hashes, one a line, of both.
fn union(old: &str, now: &str) -> String {
    let fresh = now.lines().filter(|hash| old.lines().all(|known| known != *hash));
    old.lines().chain(fresh).collect::<Vec<_>>().join("\n")
}

/// Effects on records that exist, by ordinal.
pub(super) struct Effects {
    sorted: Sorted,
    fields: usize,
    bytes: Vec<u8>,
}

impl Effects {
    /// Adds an effect to those that are to be sorted.
    pub(super) fn push(sorter: &mut Sorter<'_>, effect: &SegmentEntry) -> Result<(), FileError> {
        sorter.push(effect.ordinal, |out| effect.encode(effect.ordinal, out))
    }

    /// All that were pushed; entries have `fields` mapped fields.
    pub(super) fn new(sorter: Sorter<'_>, fields: usize) -> Result<Self, FileError> {
        Ok(Self { sorted: sorter.into_sorted()?, fields, bytes: Vec::new() })
    }

    /// The ordinal of the next effect.
    pub(super) fn next_ordinal(&self) -> Option<u64> {
        self.sorted.peek()
    }

    /// The next effect, if it is for `ordinal`.
    pub(super) fn take(&mut self, ordinal: u64) -> Result<Option<SegmentEntry>, FileError> {
        if self.sorted.peek() != Some(ordinal) {
            return Ok(None);
        }
        self.sorted.next(&mut self.bytes)?;
        let entry = SegmentEntry::decode(&mut self.bytes.as_slice(), ordinal, self.fields);
        entry.map(Some).ok_or(FileError::Crypto("an effect changed in memory"))
    }
}
