//! What ends a delivery because too many rows come to nothing.

use super::job::Counts;
use super::machine::Machine;
use crate::config::Threshold;

/// Which limit ended a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Halt {
    /// More rows were refused than may be. What was not sent is left for the next run.
    Rejected,
    /// The rows that went first came to nothing too often. The log stays open: the delivery can go on.
    Canary,
}

/// The rows that go first: those of phase 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CanaryGate {
    /// The share of them that may come to nothing, as a fraction.
    pub most: f64,
    /// Of them, what an earlier process had answers to: so many in all.
    pub answered: u64,
    /// Of these, so many were not accepted.
    pub failed: u64,
}

impl CanaryGate {
    /// Whether too many of the rows that went first have come to nothing.
    fn is_shut(self, counts: &Counts) -> bool {
        let failed = self.failed + counts.rejected + counts.deferred + counts.unknown;
        let answered = self.answered + counts.answered();
        failed as f64 > self.most * answered as f64
    }
}

impl Counts {
    /// Rows with a verdict.
    pub fn answered(&self) -> u64 {
        self.accepted + self.rejected + self.deferred + self.unknown
    }
}

impl Machine {
    /// Ends a delivery in which too many rows are refused.
    pub(super) fn check_rejected(&mut self, max: Threshold) {
        let staged: u64 = self.staged.iter().map(|(first, last)| last - first + 1).sum();
        if max.is_exceeded(self.counts.rejected, self.counts.answered() + staged) {
            self.halted.get_or_insert(Halt::Rejected);
        }
    }

    /// Whether rows behind the canary have to wait for a person. Asked when every row of it has its verdict; once it
    /// has passed, it is asked no more.
    pub(super) fn is_held_by_canary(&mut self) -> bool {
        let shut = self.policy.canary.take().is_some_and(|gate| gate.is_shut(&self.counts));
        if shut {
            self.halted.get_or_insert(Halt::Canary);
            self.interrupted = true;
        }
        shut
    }
}
