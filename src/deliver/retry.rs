//! When to try again: the one place that knows `backoff`.
//!
//! The crate is the operator's choice although it is unmaintained (RUSTSEC-2025-0012) and brings the
//! unmaintained `instant` (RUSTSEC-2024-0384). It is used as a sequence of intervals only: deadlines,
//! sleeping and jitter are ours, so that tests can pause the clock and a seed repeats a run exactly.

use std::time::Duration;

use backoff::ExponentialBackoffBuilder;
use backoff::backoff::Backoff as _;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The longest wait that [`Retry::next`] gives, however long the other side asked for. Whoever holds
/// a request open for longer than this gives up instead: see [`Retry::is_patient`].
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60 * 60);

/// What is added to a wait that the other side asked for, so that many callers do not come back at once.
const SPREAD: Duration = Duration::from_millis(250);

/// Exponential waits with jitter: 1 s, 2 s, 4 s … up to a minute, each ± 25 %, unless set otherwise.
#[derive(Clone, Debug)]
pub struct Retry {
    first: Duration,
    most: Duration,
    seed: u64,
}

impl Retry {
    /// Waits from `first`, doubling, up to `most`. The same seed gives the same waits.
    pub fn new(first: Duration, most: Duration, seed: u64) -> Self {
        Self { first, most: most.max(first), seed }
    }

    /// How long to wait after failure number `attempt` (from 1). `salt` tells apart those who wait at the
    /// same time: a batch, a row, a job.
    ///
    /// A `retry_after` is honoured: the wait is never shorter, and at most a quarter of a second longer,
    /// up to [`MAX_RETRY_AFTER`].
    pub fn next(&self, attempt: u32, salt: u64, retry_after: Option<Duration>) -> Duration {
        if let Some(asked) = retry_after {
            return asked.min(MAX_RETRY_AFTER) + SPREAD.mul_f64(self.share(attempt, salt));
        }
        self.interval(attempt).mul_f64(0.75 + 0.5 * self.share(attempt, salt))
    }

    /// Whether the other side asked for a wait that is worth waiting for.
    pub fn is_patient(retry_after: Option<Duration>) -> bool {
        retry_after.is_none_or(|asked| asked <= MAX_RETRY_AFTER)
    }

    /// The wait number `attempt` without jitter.
    fn interval(&self, attempt: u32) -> Duration {
        /// Doubling so often passes every maximum.
        const ENOUGH: u32 = 64;
        let mut intervals = ExponentialBackoffBuilder::new()
            .with_initial_interval(self.first)
            .with_max_interval(self.most)
            .with_multiplier(2.0)
            .with_randomization_factor(0.0)
            .with_max_elapsed_time(None)
            .build();
        let mut interval = self.first;
        for _ in 0..attempt.clamp(1, ENOUGH) {
            interval = intervals.next_backoff().unwrap_or(self.most);
        }
        interval.min(self.most)
    }

    /// A number from 0 to below 1 that depends on nothing but seed, salt and attempt.
    fn share(&self, attempt: u32, salt: u64) -> f64 {
        let mut input = [0; 12];
        input[..8].copy_from_slice(&salt.to_le_bytes());
        input[8..].copy_from_slice(&attempt.to_le_bytes());
        let hash = xxh3_64_with_seed(&input, self.seed);
        // 53 bits are what a double holds exactly.
        (hash >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Default for Retry {
    fn default() -> Self {
        Self::new(Duration::from_secs(1), Duration::from_secs(60), 0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_maximum() {
        let retry = Retry::default();
        let plain: Vec<u64> = (1..=9).map(|n| retry.interval(n).as_secs()).collect();
        assert_eq!(plain, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(retry.interval(u32::MAX), Duration::from_secs(60));
    }

    #[test]
    fn a_seed_repeats_its_waits_and_salts_spread_them() {
        let (one, same) = (Retry { seed: 7, ..Retry::default() }, Retry { seed: 7, ..Retry::default() });
        assert_eq!(one.next(3, 1, None), same.next(3, 1, None));
        let spread: std::collections::BTreeSet<Duration> = (0..100).map(|salt| one.next(3, salt, None)).collect();
        assert!(spread.len() > 90, "{} of 100", spread.len());
    }

    proptest! {
        #[test]
        fn jitter_stays_within_a_quarter(attempt in 1u32..40, salt: u64, seed: u64) {
            let retry = Retry { seed, ..Retry::default() };
            let (plain, wait) = (retry.interval(attempt), retry.next(attempt, salt, None));
            prop_assert!(wait >= plain.mul_f64(0.75) && wait <= plain.mul_f64(1.25), "{wait:?} for {plain:?}");
        }

        #[test]
        fn what_was_asked_for_is_honoured_within_a_second(asked in 0u64..3600, attempt in 1u32..40, salt: u64) {
            let asked = Duration::from_secs(asked);
            let wait = Retry::default().next(attempt, salt, Some(asked));
            prop_assert!(wait >= asked && wait < asked + Duration::from_secs(1));
            prop_assert!(Retry::is_patient(Some(asked)));
        }
    }

    #[test]
    fn a_wait_of_a_day_is_not_waited_for() {
        let day = Duration::from_secs(86_400);
        assert!(!Retry::is_patient(Some(day)));
        assert!(Retry::default().next(1, 0, Some(day)) <= MAX_RETRY_AFTER + SPREAD);
    }
}
