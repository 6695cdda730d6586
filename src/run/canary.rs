//! The rows of a plan that go first.

use std::collections::{BinaryHeap, HashSet};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::config::Canary;
use crate::deliver::CanaryGate;
use crate::diff::{Op, OpKind, PlanError, PlanReader};
use crate::snapshot::log::{Fate, Replay};

const KINDS: [OpKind; 2] = [OpKind::Add, OpKind::Change];

/// The additions and changes of a plan with the lowest hash of key and plan: whoever looks at the plan, in whatever
/// process, finds the same rows, and another plan has others.
pub(super) struct CanaryRows {
    seed: u64,
    highest: u64,
    /// Match values that a move of the plan gives free: rows that take one over go after it.
    moved: HashSet<u64>,
}

impl CanaryRows {
    /// Chooses so many; `None` where there is nothing to choose from.
    pub(super) fn choose(plan: &PlanReader, size: Canary) -> Result<Option<Self>, PlanError> {
        let summary = plan.summary();
        let seed = xxh3_64(summary.hash.as_bytes());
        let wanted = size.of(summary.counts.added + summary.counts.changed);
        let mut rows = Self { seed, highest: u64::MAX, moved: HashSet::new() };
        if summary.counts.moved > 0 {
            for op in plan.ops(Some(&[OpKind::Move])) {
                let freed = op?.old_address.match_value;
                rows.moved.extend(freed.map(|value| xxh3_64_with_seed(value.as_bytes(), seed)));
            }
        }
        let mut lowest = BinaryHeap::new();
        for op in plan.ops(Some(&KINDS)) {
            let op = op?;
            if rows.contains(&op) {
                lowest.push(rows.rank(&op));
            }
            if lowest.len() as u64 > wanted {
                lowest.pop();
            }
        }
        Ok(lowest.pop().map(|highest| Self { highest, ..rows }))
    }

    /// Whether the op goes first.
    pub(super) fn contains(&self, op: &Op) -> bool {
        let follows_a_move = || {
            let value = op.match_value.as_ref().filter(|_| !self.moved.is_empty());
            value.is_some_and(|value| self.moved.contains(&xxh3_64_with_seed(value.as_bytes(), self.seed)))
        };
        KINDS.contains(&op.kind) && self.rank(op) <= self.highest && !follows_a_move()
    }

    /// What they have to show, and have shown to an earlier process.
    pub(super) fn gate(&self, plan: &PlanReader, already: Option<&Replay>, most: f64) -> Result<CanaryGate, PlanError> {
        let mut gate = CanaryGate { most, answered: 0, failed: 0 };
        let Some(replay) = already else { return Ok(gate) };
        for op in plan.ops(Some(&KINDS)) {
            let op = op?;
            if let Some(fate) = replay.fate(op.number).filter(|_| self.contains(&op)) {
                gate.answered += 1;
                gate.failed += u64::from(fate != Fate::Accepted);
            }
        }
        Ok(gate)
    }

    fn rank(&self, op: &Op) -> u64 {
        xxh3_64_with_seed(&op.key_hash.0.to_le_bytes(), self.seed)
    }
}
