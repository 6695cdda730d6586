//! How hard a destination is pressed: calls in flight by the latency of its answers, and how much is sent again.

use std::time::Duration;

/// A window whose mean latency is beyond this many times the usual one is slow.
const SLOW: f64 = 2.0;
/// What is left of the limit after a slow window or a call that was pushed back.
const SHRINK: f64 = 0.9;
/// How much of a usual window goes into what is usual.
const LEARN: f64 = 0.4;
/// The same of a slow one: a destination that has become slow for good is the new usual after some dozens of windows.
const DRIFT: f64 = 0.02;

/// How many calls may be in flight, from one to what is configured.
///
/// It starts with all that are configured. Answers are looked at in windows as long as an answer usually takes: a
/// slow window takes a tenth away, one that is as usual gives one call back where all that were allowed were in use.
#[derive(Debug, Default)]
pub(super) struct Concurrency {
    limit: Option<f64>,
    usual: Option<f64>,
    window: Window,
}

#[derive(Debug, Default)]
struct Window {
    since: Duration,
    answers: u32,
    seconds: f64,
    /// Every call that was allowed was in flight at some moment.
    used: bool,
}

impl Concurrency {
    /// How many calls may be in flight, of `most`.
    pub(super) fn allowed(&self, most: usize) -> usize {
        let most = most.max(1);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at least one, at most `most`")]
        let limit = self.limit.map_or(most, |limit| limit as usize);
        limit.clamp(1, most)
    }

    /// A call was answered after `latency`, while `in_flight` calls, this one included, were out, of `most`.
    pub(super) fn answered(&mut self, latency: Duration, in_flight: usize, most: usize, now: Duration) {
        let allowed = self.allowed(most);
        let window = &mut self.window;
        if window.answers == 0 {
            window.since = now.saturating_sub(latency);
        }
        window.answers += 1;
        window.seconds += latency.as_secs_f64();
        window.used |= in_flight >= allowed;
        let length = self.usual.unwrap_or_default();
        if (now.saturating_sub(window.since)).as_secs_f64() < length {
            return;
        }
        let Window { answers, seconds, used, .. } = std::mem::take(window);
        let mean = seconds / f64::from(answers);
        let Some(usual) = &mut self.usual else {
            self.usual = Some(mean);
            return;
        };
        let slow = mean > SLOW * *usual;
        *usual += (mean - *usual) * if slow { DRIFT } else { LEARN };
        if slow {
            self.shrink(most);
        } else if used {
            self.limit = Some((self.limit_of(most) + 1.0).min(most.max(1) as f64));
        }
    }

    /// A call was pushed back or came to nothing.
    pub(super) fn pushed_back(&mut self, most: usize) {
        self.shrink(most);
    }

    fn shrink(&mut self, most: usize) {
        self.limit = Some((self.limit_of(most) * SHRINK).max(1.0));
    }

    fn limit_of(&self, most: usize) -> f64 {
        let most = most.max(1) as f64;
        self.limit.unwrap_or(most).min(most)
    }
}

/// How many rows may be sent again: some to begin with, then a share of those that are done with.
#[derive(Debug)]
pub(super) struct Budget {
    rows: f64,
    most: f64,
}

impl Budget {
    /// Rows for each row that has its verdict.
    const SHARE: f64 = 0.5;

    /// A budget of `rows` to begin with; it never grows beyond.
    pub(super) fn new(rows: usize) -> Self {
        Self { rows: rows as f64, most: rows as f64 }
    }

    /// A row is done with.
    pub(super) fn earn(&mut self) {
        self.rows = (self.rows + Self::SHARE).min(self.most);
    }

    /// Takes a row that is to be sent again out of the budget, if it has one.
    pub(super) fn take(&mut self) -> bool {
        let there = self.rows >= 1.0;
        if there {
            self.rows -= 1.0;
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 16;

    /// Answers windows of calls of one latency; gives what is allowed after each.
    fn windows(concurrency: &mut Concurrency, now: &mut Duration, latency: Duration, count: usize) -> Vec<usize> {
        let mut allowed = Vec::new();
        for _ in 0..count {
            *now += latency.max(Duration::from_millis(1));
            let in_flight = concurrency.allowed(MOST);
            for _ in 0..in_flight {
                concurrency.answered(latency, in_flight, MOST, *now);
            }
            allowed.push(concurrency.allowed(MOST));
        }
        allowed
    }

    #[test]
    fn a_hundredfold_latency_halves_it_within_ten_windows_and_it_comes_back() {
        let (mut concurrency, mut now) = (Concurrency::default(), Duration::ZERO);
        let usual = Duration::from_millis(50);
        assert_eq!(windows(&mut concurrency, &mut now, usual, 20).last(), Some(&MOST));
        let slow = windows(&mut concurrency, &mut now, Duration::from_secs(5), 10);
        assert!(slow.last().is_some_and(|allowed| *allowed <= MOST / 2), "{slow:?}");
        let back = windows(&mut concurrency, &mut now, usual, 200);
        assert_eq!(back.last(), Some(&MOST), "{back:?}");
        assert!(back.windows(2).all(|pair| pair[1] >= pair[0]), "it opens step by step: {back:?}");
    }

    #[test]
    fn a_destination_that_stays_slow_is_the_new_usual_in_the_end() {
        let (mut concurrency, mut now) = (Concurrency::default(), Duration::ZERO);
        windows(&mut concurrency, &mut now, Duration::from_millis(50), 20);
        let slow = windows(&mut concurrency, &mut now, Duration::from_millis(500), 300);
        assert_eq!(slow.iter().min(), Some(&1));
        assert_eq!(slow.last(), Some(&MOST), "{slow:?}");
    }

    #[test]
    fn what_is_pushed_back_shrinks_it_and_never_below_one() {
        let mut concurrency = Concurrency::default();
        for _ in 0..100 {
            concurrency.pushed_back(MOST);
        }
        assert_eq!(concurrency.allowed(MOST), 1);
        assert_eq!(Concurrency::default().allowed(0), 1);
    }

    #[test]
    fn a_budget_is_spent_and_earned() {
        let mut budget = Budget::new(3);
        assert_eq!((0..5).filter(|_| budget.take()).count(), 3);
        budget.earn();
        assert!(!budget.take(), "half a row");
        (0..100).for_each(|_| budget.earn());
        assert_eq!((0..100).filter(|_| budget.take()).count(), 3);
    }
}
