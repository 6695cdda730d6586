//! A window of which the vendor tells the used share, and not how many calls are left.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::{Limiter, forget, lock};

/// A window that rolls, and our calls in it. What a call takes of it nobody says.
#[derive(Debug)]
pub(super) struct Share {
    per: Duration,
    pub(super) calls: VecDeque<Instant>,
    /// A call is let through while there are fewer.
    most: usize,
}

impl Share {
    /// Until when nothing goes through: so many of our calls have to leave the window first, and then it is one after the
    /// other, as if they were spread over it, in case that the vendor sees them leave later than we do.
    pub(super) fn closed_until(&mut self, now: Instant) -> Option<Instant> {
        forget(&mut self.calls, self.per, now);
        let leaves = self.calls.len().checked_sub(self.most).and_then(|place| Some(*self.calls.get(place)? + self.per));
        let evenly = self.calls.back().map(|last| *last + self.per.div_f64(self.most as f64));
        leaves.max(evenly).filter(|until| *until > now)
    }
}

impl Limiter {
    /// The vendor said, in the answer of a call that was let through at `asked`, which share of what may be used in any
    /// `per` is used (1.0: all of it). Below `most` calls are let through as they come. From there on one is where one of
    /// ours has left the window, and where more than `most` is used as many have to leave as make that up: what is used
    /// stays as it is then, whatever a call takes and at whatever pace they were made.
    pub fn steer_by_share(&self, used: f64, most: f64, per: Duration, asked: Instant) {
        let share = &mut lock(&self.quotas).share;
        let share = share.get_or_insert_with(|| Share { per, calls: VecDeque::from([asked]), most: usize::MAX });
        forget(&mut share.calls, per, Instant::now());
        // Calls that were let through since may not be in what was told.
        let told = share.calls.partition_point(|call| *call <= asked);
        share.most = if used < most { usize::MAX } else { (told as f64 * (most / used)) as usize }.max(1);
    }
}
