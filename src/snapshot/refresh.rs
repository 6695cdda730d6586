//! When rows were last sent although nothing in them had changed: destinations forget what they have not heard of for
//! long.
//!
//! Keys are cut into slices by their hash, and the manifest has the time of each slice. A slice has that of the last
//! run that brought all of its rows to their end: what was rejected stands among the rejects, what is in doubt comes
//! again by itself, and where one was not sent the slice keeps its time.

use std::time::Duration;

use backhaul_kit::KeyHash;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Settle;
use crate::diff::{Op, OpKind, PlanReader};

const SLICES: u32 = 64;
/// A run sends so many slices again at most: an eighth of the rows.
const SLICES_AT_ONCE: usize = 8;

/// Some of the slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slices(u64);

impl Slices {
    /// All of them.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether the key is in one of them.
    pub fn contains(self, key: KeyHash) -> bool {
        self.has(slice_of(key))
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn has(self, slice: u32) -> bool {
        self.0 >> slice & 1 == 1
    }

    fn insert(&mut self, slice: u32) {
        self.0 |= 1 << slice;
    }
}

fn slice_of(key: KeyHash) -> u32 {
    (key.0 >> 122) as u32
}

/// What a plan sends again, and when its rows were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refreshing {
    /// The slices whose rows are sent again.
    pub slices: Slices,
    /// The time of the scan.
    pub at: Timestamp,
}

/// When every slice was sent; empty where nobody has noted it yet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Refreshed(Vec<Option<Timestamp>>);

impl Refreshed {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn of(&self, slice: u32) -> Option<Timestamp> {
        self.0.get(slice as usize).copied().flatten()
    }

    /// The slices that were sent `after` ago or earlier, the oldest first, as far as one run sends them. What nobody
    /// has noted is older than all.
    pub(super) fn due(&self, now: Timestamp, after: Duration) -> Slices {
        let after = SignedDuration::try_from(after).unwrap_or(SignedDuration::MAX);
        let last = now.saturating_sub(after).unwrap_or(Timestamp::MIN);
        let mut due: Vec<u32> = (0..SLICES).filter(|slice| self.of(*slice).is_none_or(|at| at <= last)).collect();
        due.sort_by_key(|slice| self.of(*slice));
        let mut slices = Slices::default();
        due.into_iter().take(SLICES_AT_ONCE).for_each(|slice| slices.insert(slice));
        slices
    }
}

/// The slices of a plan of which a row was not sent again.
#[derive(Default)]
pub(super) struct Unsent(Slices);

impl Unsent {
    /// Takes an op and what became of it.
    pub(super) fn note(&mut self, op: &Op, fate: Settle) {
        if op.kind == OpKind::Refresh && fate == Settle::Kept {
            self.0.insert(slice_of(op.key_hash));
        }
    }

    /// When the slices were sent, once the plan is settled; `first` says that nothing had been accepted before it.
    pub(super) fn settle(self, plan: &PlanReader, was: &Refreshed, first: bool) -> Refreshed {
        let Some(Refreshing { slices, at }) = plan.header().refresh else { return was.clone() };
        let counts = &plan.summary().counts;
        let looked_at_all = counts.left_alone + counts.postponed == 0;
        let sent = |slice| first || looked_at_all && slices.has(slice) && !self.0.has(slice);
        let now: Vec<_> = (0..SLICES).map(|slice| if sent(slice) { Some(at) } else { was.of(slice) }).collect();
        if now.iter().all(Option::is_none) { was.clone() } else { Refreshed(now) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(day: i64) -> Timestamp {
        Timestamp::from_second(day * 86_400).expect("a time")
    }

    #[test]
    fn the_oldest_slices_come_first_and_not_all_at_once() {
        let after = Duration::from_secs(500 * 86_400);
        assert_eq!(Refreshed::default().due(day(600), after), Slices(0xff), "nobody knows how old they are");
        let all = Refreshed((0..64).map(|slice| Some(day(slice))).collect());
        assert!(all.due(day(499), after).is_empty());
        assert_eq!(all.due(day(502), after), Slices(0b111));
        let mut turned = all;
        turned.0.reverse();
        assert_eq!(turned.due(day(600), after), Slices(0xff << 56));
    }

    #[test]
    fn a_key_is_in_one_slice() {
        for (hash, slice) in [(1, 0), (1 << 122, 1), (u128::MAX, 63)] {
            assert_eq!(slice_of(KeyHash(hash)), slice);
            assert!(Slices(1 << slice).contains(KeyHash(hash)) && !Slices(!(1 << slice)).contains(KeyHash(hash)));
        }
    }
}
