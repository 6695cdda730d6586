//! How long calls will take, before they are made.

use std::time::Duration;

use tokio::time::Instant;

use super::{Limiter, lock};

/// What calls mean for a quota.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Forecast {
    /// The least time that the limits let them take; nothing where there are none.
    pub takes: Duration,
    /// The share of the scarcest long window that they use.
    pub share: Option<QuotaShare>,
}

/// A part of a long window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QuotaShare {
    /// The window's length.
    pub per: Duration,
    /// The part that the calls use: above 1 they do not fit into one window.
    pub part: f64,
    /// Calls that are left of the window now.
    pub left: u32,
}

impl Limiter {
    /// What `calls` calls from now on come to.
    pub fn forecast(&self, calls: u64) -> Forecast {
        let now = Instant::now();
        let quotas = lock(&self.quotas);
        let paced = quotas.buckets.iter().map(|bucket| {
            // The first call waits for nobody.
            calls.saturating_sub(1) as f64 * bucket.pace().as_secs_f64()
        });
        let counted = quotas.counters.iter().map(|counter| {
            let left = u64::from(counter.left_at(now));
            if calls <= left {
                return 0.0;
            }
            let ends = counter.resets_at.map_or(counter.window.per, |at| at.saturating_duration_since(now));
            let windows_more = (calls - left).div_ceil(u64::from(counter.window.cap)) - 1;
            ends.as_secs_f64() + windows_more as f64 * counter.window.per.as_secs_f64()
        });
        let closed = quotas.closed_until(now).map_or(0.0, |until| until.saturating_duration_since(now).as_secs_f64());
        let takes = paced.chain(counted).fold(0.0, f64::max) + closed;
        let shares = quotas.counters.iter().map(|counter| QuotaShare {
            per: counter.window.per,
            part: calls as f64 / f64::from(counter.window.cap),
            left: counter.left_at(now),
        });
        Forecast {
            takes: Duration::try_from_secs_f64(takes).unwrap_or(Duration::MAX),
            share: shares.max_by(|a, b| a.part.total_cmp(&b.part)),
        }
    }
}
