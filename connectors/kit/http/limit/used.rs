//! What has been used of long windows: it outlives the process.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{Counter, Limiter, Limiters, lock};

/// How much of a long window an account has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    /// The quota holder.
    pub holder: String,
    /// The window's length.
    pub per: Duration,
    /// Calls made in it.
    pub calls: u32,
    /// When it ends.
    pub resets_at: Timestamp,
}

impl Limiters {
    /// What all holders have used of long windows that have not ended, to be kept for the next process.
    pub fn used(&self) -> Vec<Used> {
        let mut all: Vec<Used> = lock(&self.known).iter().flat_map(|(holder, limiter)| limiter.used(holder)).collect();
        all.sort_by(|a, b| (&a.holder, a.per).cmp(&(&b.holder, b.per)));
        all
    }

    /// Counts what earlier processes used, also for limiters that are made later.
    pub fn recall(&self, used: Vec<Used>) {
        for (holder, limiter) in lock(&self.known).iter() {
            limiter.recall(used.iter().filter(|used| used.holder == *holder));
        }
        *lock(&self.recalled) = used;
    }
}

impl Limiter {
    fn used(&self, holder: &str) -> Vec<Used> {
        let now = Instant::now();
        let begun = |counter: &Counter| {
            let ends_in = counter.resets_at?.checked_duration_since(now).filter(|left| !left.is_zero())?;
            let resets_at = Timestamp::now().saturating_add(SignedDuration::try_from(ends_in).ok()?).ok()?;
            let calls = counter.window.cap.saturating_sub(counter.left);
            Some(Used { holder: holder.to_owned(), per: counter.window.per, calls, resets_at })
        };
        lock(&self.quotas).counters.iter().filter_map(begun).collect()
    }

    /// Only lowers: what this process knows to be used stays used.
    pub(super) fn recall<'a>(&self, used: impl Iterator<Item = &'a Used>) {
        let now = Instant::now();
        let mut quotas = lock(&self.quotas);
        for Used { per, calls, resets_at, .. } in used {
            let ends_in = Duration::try_from(resets_at.duration_since(Timestamp::now())).unwrap_or_default();
            let Some(counter) = quotas.counters.iter_mut().find(|counter| counter.window.per == *per) else { continue };
            // A clock that was set back must not lock the account for longer than the window.
            if ends_in.is_zero() || ends_in > *per {
                continue;
            }
            counter.left = counter.left_at(now).min(counter.window.cap.saturating_sub(*calls));
            counter.resets_at = now.checked_add(ends_in);
        }
    }
}
