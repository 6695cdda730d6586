//! When a destination counts as down, and how it is tried again.

use std::time::Duration;

use backhaul_kit::{Fault, FaultClass};

use super::retry::Retry;

/// Failed rounds in a row for which what the destination asks for is all that is waited.
const OBEDIENT: u32 = 5;

/// Counts failed calls in a row. After a failure the whole destination is left alone for a while, then tried
/// with one call; each success doubles what may be in flight.
///
/// Calls that were already in flight when one failed belong to the same round: eight workers that fail together
/// are one failure, not eight.
#[derive(Debug)]
pub(super) struct Breaker {
    retry: Retry,
    failures: u32,
    throttles: u32,
    failed: u32,
    throttled: u32,
    allowed: usize,
    round: Option<Duration>,
    closed_until: Duration,
}

impl Breaker {
    /// Gives up after so many failed, or so many throttled, rounds in a row.
    pub(super) fn new(retry: Retry, failures: u32, throttles: u32) -> Self {
        Self {
            retry,
            failures,
            throttles,
            failed: 0,
            throttled: 0,
            allowed: usize::MAX,
            round: None,
            closed_until: Duration::ZERO,
        }
    }

    /// How many calls may be in flight, of `most`.
    pub(super) fn allowed(&self, most: usize) -> usize {
        self.allowed.min(most.max(1))
    }

    /// Until when nothing is sent.
    pub(super) fn closed_until(&self) -> Duration {
        self.closed_until
    }

    /// A call got through.
    pub(super) fn succeeded(&mut self) {
        (self.failed, self.throttled, self.round) = (0, 0, None);
        self.allowed = self.allowed.saturating_mul(2);
    }

    /// A call that was sent at `sent` came to nothing. Returns whether the destination counts as down.
    pub(super) fn failed(&mut self, fault: &Fault, sent: Duration, now: Duration) -> bool {
        let throttled = fault.class == FaultClass::Throttled;
        if self.round.is_none_or(|round| sent > round) {
            self.round = Some(now);
            let count = if throttled { &mut self.throttled } else { &mut self.failed };
            *count += 1;
        }
        self.allowed = 1;
        let rounds = (self.failed + self.throttled).max(1);
        let mut wait = self.retry.next(rounds, 0, fault.retry_after);
        if rounds > OBEDIENT {
            // It asks for a little patience again and again: each probe is one more call that it refuses.
            wait = wait.max(self.retry.next(rounds - OBEDIENT, 0, None));
        }
        self.closed_until = self.closed_until.max(now + wait);
        self.failed >= self.failures || self.throttled >= self.throttles || !Retry::is_patient(fault.retry_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn calls_that_fail_together_are_one_failure() {
        let mut breaker = Breaker::new(Retry::default(), 2, 9);
        for _ in 0..8 {
            assert!(!breaker.failed(&Fault::transient("down"), Duration::ZERO, SECOND));
        }
        assert_eq!(breaker.allowed(8), 1);
        assert!(breaker.closed_until() > SECOND);
        assert!(breaker.failed(&Fault::transient("down"), 5 * SECOND, 6 * SECOND));
    }

    #[test]
    fn success_opens_it_step_by_step() {
        let mut breaker = Breaker::new(Retry::default(), 2, 9);
        breaker.failed(&Fault::transient("down"), Duration::ZERO, SECOND);
        let opened: Vec<usize> = (0..4)
            .map(|_| {
                breaker.succeeded();
                breaker.allowed(6)
            })
            .collect();
        assert_eq!(opened, [2, 4, 6, 6]);
    }

    #[test]
    fn a_wait_of_a_day_counts_as_down() {
        let mut breaker = Breaker::new(Retry::default(), 9, 9);
        let fault = Fault::throttled("daily quota", Some(86_400 * SECOND));
        assert!(breaker.failed(&fault, Duration::ZERO, SECOND));
    }
}
