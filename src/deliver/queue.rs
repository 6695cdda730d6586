//! Which rows may go out together.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};
use std::time::Duration;

use backhaul_kit::{Facts, Row};

use super::event::{Claims, Meta, Work};

/// Rows that wait: fresh ones in plan order, and batches that go out again.
///
/// A key or address belongs to one row from its first call to its final verdict; a later row that shares it
/// waits, and so does every row behind it that shares one with *that* row.
#[derive(Debug, Default)]
pub(super) struct Queue {
    fresh: VecDeque<Work>,
    again: BTreeMap<(Duration, u64), Vec<Work>>,
    next_again: u64,
    waiting: usize,
    busy: ClaimSet,
    /// Claims of rows in doubt, by the time at which they are given back.
    quiet: BTreeMap<(Duration, u64), Claims>,
    next_quiet: u64,
}

impl Queue {
    /// Adds rows as they were read.
    pub(super) fn add(&mut self, rows: Vec<Work>) {
        self.fresh.extend(rows);
    }

    /// Puts rows that share nothing aside, to go out as one batch at `due`.
    pub(super) fn again(&mut self, rows: Vec<Work>, due: Duration) {
        if rows.is_empty() {
            return;
        }
        self.waiting += rows.len();
        self.again.insert((due, self.next_again), rows);
        self.next_again += 1;
    }

    /// Fresh rows.
    pub(super) fn fresh(&self) -> usize {
        self.fresh.len()
    }

    /// The phase of the first fresh row.
    pub(super) fn fresh_phase(&self) -> Option<usize> {
        self.fresh.front().map(|work| work.meta.phase)
    }

    /// Rows put aside.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// When the next batch put aside is due.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.again.first_key_value().map(|((due, _), _)| *due)
    }

    /// The phase of the rows put aside; they are all of one.
    pub(super) fn waiting_phase(&self) -> Option<usize> {
        self.again.values().flatten().next().map(|work| work.meta.phase)
    }

    /// Takes the batch that was put aside and is due.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<Vec<Work>> {
        let entry = self.again.first_entry().filter(|entry| entry.key().0 <= now)?;
        let rows = entry.remove();
        self.waiting -= rows.len();
        Some(rows)
    }

    /// Cuts the next batch off the fresh rows: one phase, within the caps, nothing shared. A row that alone is
    /// beyond `max_bytes` goes alone. Empty when every row has to wait.
    pub(super) fn cut(&mut self, phase: usize, facts: &Facts) -> (Vec<Row>, Vec<Meta>) {
        let room = facts.max_rows.min(self.fresh.len());
        let (mut rows, mut metas, mut bytes) = (Vec::with_capacity(room), Vec::with_capacity(room), 0usize);
        let mut passed_over = VecDeque::new();
        let mut blocked = ClaimSet::default();
        while let Some(work) = self.fresh.front() {
            let full = rows.len() >= facts.max_rows.max(1)
                || facts.max_bytes.is_some_and(|max| !rows.is_empty() && bytes + work.meta.bytes > max);
            if full || work.meta.phase != phase {
                break;
            }
            let Some(work) = self.fresh.pop_front() else { break };
            if parts(&work.meta.claims).any(|claim| self.busy.contains(&claim) || blocked.contains(&claim)) {
                blocked.extend(parts(&work.meta.claims));
                passed_over.push_back(work);
            } else {
                self.busy.extend(parts(&work.meta.claims));
                bytes += work.meta.bytes;
                rows.push(work.row);
                metas.push(work.meta);
            }
        }
        while let Some(work) = passed_over.pop_back() {
            self.fresh.push_front(work);
        }
        (rows, metas)
    }

    /// The row is with the destination already.
    pub(super) fn occupy(&mut self, claims: &Claims) {
        self.busy.extend(parts(claims));
    }

    /// The row has its final verdict: others may have its key and addresses.
    pub(super) fn release(&mut self, claims: &Claims) {
        for claim in parts(claims) {
            self.busy.remove(&claim);
        }
    }

    /// The row is in doubt: its key and addresses are left alone until `due`.
    pub(super) fn release_at(&mut self, claims: Claims, due: Duration) {
        self.quiet.insert((due, self.next_quiet), claims);
        self.next_quiet += 1;
    }

    /// Gives back what was left alone long enough.
    pub(super) fn release_quiet(&mut self, now: Duration) {
        while let Some(entry) = self.quiet.first_entry().filter(|entry| entry.key().0 <= now) {
            let claims = entry.remove();
            self.release(&claims);
        }
    }

    /// When the next key or address is given back.
    pub(super) fn next_release(&self) -> Option<Duration> {
        self.quiet.first_key_value().map(|((due, _), _)| *due)
    }

    /// Drops the fresh rows and hands over what was put aside.
    pub(super) fn clear(&mut self) -> Vec<Work> {
        self.fresh.clear();
        self.waiting = 0;
        std::mem::take(&mut self.again).into_values().flatten().collect()
    }
}

/// A set of claims, which are hashes already.
type ClaimSet = HashSet<u64, BuildHasherDefault<AsItIs>>;

#[derive(Debug, Default)]
struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Never asked for by a u64.
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

fn parts(claims: &Claims) -> impl Iterator<Item = u64> {
    claims.iter().copied().filter(|claim| *claim != 0)
}
