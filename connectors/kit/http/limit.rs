//! Rate limits per quota holder.
//!
//! A short window is a bucket of the generic cell rate algorithm ([`governor`]) on tokio's clock. Such a
//! bucket with tolerance τ and one call every t lets at most 1 + (W + τ) / t calls through in any window W,
//! rolling or fixed. So t is chosen for (W + τ) / t to stay below the cap: τ is half a percent of W (it makes up
//! for timers that wake late), and a further percent of W is left for the network, which may push calls
//! together. That uses 98.5 % of the cap.
//!
//! A window of an hour or longer is a counter instead: its calls may be spent at any pace, and the vendor's
//! headers correct it.

mod forecast;
mod used;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::ops::Add;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

pub use forecast::{Forecast, QuotaShare};
pub use used::Used;

/// Windows from this length on are counters.
const LONG: Duration = Duration::from_secs(60 * 60);
/// A call is so many cells of a bucket, so that the tolerance can be finer than one call.
const CELLS: u32 = 100;
/// Tolerance τ as a share of the window.
const TOLERANCE: f64 = 0.005;
/// What is left of the window for the network, as a share.
const NETWORK: f64 = 0.01;
/// The share of a quota that may be used before calls are slowed down.
const EASY: f64 = 0.75;
/// The wait for the next call where all of a quota is used.
const SLOWEST: Duration = Duration::from_secs(60);

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
pub struct Limiters {
    known: Mutex<HashMap<String, Arc<Limiter>>>,
    /// What earlier processes used, for limiters that are not made yet.
    recalled: Mutex<Vec<Used>>,
}

impl Limiters {
    /// The limiter of `holder`; where it exists its windows are lowered to these.
    pub(crate) fn get(&self, holder: &str, windows: &[Window]) -> Arc<Limiter> {
        let mut all = lock(&self.known);
        if let Some(limiter) = all.get(holder) {
            limiter.lower(windows);
            return limiter.clone();
        }
        let limiter = Arc::new(Limiter::new(windows));
        limiter.recall(lock(&self.recalled).iter().filter(|used| used.holder == holder));
        all.insert(holder.to_owned(), limiter.clone());
        limiter
    }
}

/// The limiter of one quota holder.
#[derive(Debug)]
pub struct Limiter {
    /// Nothing goes through before this.
    gate: Mutex<Option<Instant>>,
    quotas: Mutex<Quotas>,
    /// Callers pass one after the other, in the order in which they came.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Quotas {
    /// Short windows, the slowest first: a call waits for the scarce one before it takes from the others.
    buckets: Vec<Bucket>,
    /// Long windows.
    counters: Vec<Counter>,
}

#[derive(Clone, Debug)]
struct Bucket {
    window: Window,
    cells: Arc<RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Moment>>>,
}

/// A long window: how many calls are left until when. It starts with the first call after the one before ended.
#[derive(Clone, Copy, Debug)]
struct Counter {
    window: Window,
    left: u32,
    resets_at: Option<Instant>,
}

impl Limiter {
    /// A limiter with these windows; none means no limit but the gate. A cap of 0 counts as 1.
    pub fn new(windows: &[Window]) -> Self {
        let limiter =
            Self { gate: Mutex::new(None), quotas: Mutex::new(Quotas::default()), turn: tokio::sync::Mutex::new(()) };
        limiter.lower(windows);
        limiter
    }

    /// Waits until one more call may be made, and counts it.
    pub async fn acquire(&self) {
        // Nothing is beyond this patience, so nothing is refused.
        let _ = self.acquire_within(Duration::MAX).await;
    }

    /// Waits until one more call may be made, and counts it; but not for a gate or a long window that stays
    /// closed for longer than `patience`: whoever has to wait that long should do so where it can be called off.
    ///
    /// # Errors
    /// How long it stays closed; no call was counted.
    pub async fn acquire_within(&self, patience: Duration) -> Result<(), Duration> {
        let _turn = self.turn.lock().await;
        loop {
            while let Some(until) = self.closed_until() {
                wait_until(until, patience).await?;
            }
            let places = lock(&self.quotas).buckets.len();
            for place in 0..places {
                while let Some(until) = self.try_bucket(place) {
                    tokio::time::sleep_until(until).await;
                }
            }
            // The gate may have closed in the meantime; what was taken is then taken anew, because the
            // buckets have filled while nothing was sent.
            if self.closed_until().is_some() {
                continue;
            }
            let Some(until) = self.try_counters() else { return Ok(()) };
            wait_until(until, patience).await?;
        }
    }

    /// Lets no call through for `wait`: the vendor said so.
    pub fn close_for(&self, wait: Duration) {
        let now = Instant::now();
        // Beyond what the clock can hold is for ever, as far as a process goes.
        let until = now.checked_add(wait).unwrap_or(now + 24 * LONG);
        let mut gate = lock(&self.gate);
        if gate.is_none_or(|old| old < until) {
            *gate = Some(until);
        }
    }

    /// The vendor said that `remaining` calls are left in a window that ends in `resets_in`. Only lowers.
    ///
    /// With nothing left the gate closes until then. A window that ends later than every short window could is
    /// a long one: its counter takes the vendor's numbers over.
    pub fn steer(&self, remaining: u32, resets_in: Duration) {
        if remaining == 0 {
            self.close_for(resets_in);
        }
        let now = Instant::now();
        let Some(resets_at) = now.checked_add(resets_in) else { return };
        let mut quotas = lock(&self.quotas);
        if quotas.buckets.iter().any(|bucket| resets_in <= bucket.window.per) {
            return;
        }
        if let Some(counter) = quotas.counters.iter_mut().find(|counter| resets_in <= counter.window.per) {
            counter.left = counter.left_at(now).min(remaining);
            counter.resets_at = Some(resets_at);
        }
    }

    /// The vendor said which share of a quota is used (1.0: all of it), and not how many calls are left. Above three
    /// quarters the next call waits, the longer the nearer it is to all, up to a minute: a quota of the last hour is then
    /// not used up by calls that take 0.2 % of it each, one after the other.
    pub fn steer_by_share(&self, used: f64) {
        if used > EASY {
            let pressure = (used.min(1.0) - EASY) / (1.0 - EASY);
            self.close_for(SLOWEST.mul_f64(pressure));
        }
    }

    /// Lowers each window to the lower cap, and adds windows of other lengths.
    fn lower(&self, windows: &[Window]) {
        let mut quotas = lock(&self.quotas);
        for window in windows {
            let window = Window { cap: window.cap.max(1), per: window.per.max(Duration::from_millis(1)) };
            quotas.lower(window);
        }
    }

    /// Takes a call from a bucket, or says when to try again.
    fn try_bucket(&self, place: usize) -> Option<Instant> {
        lock(&self.quotas).try_bucket(place)
    }

    fn try_counters(&self) -> Option<Instant> {
        lock(&self.quotas).try_counters(Instant::now())
    }

    fn closed_until(&self) -> Option<Instant> {
        lock(&self.gate).filter(|until| *until > Instant::now())
    }
}

/// Sleeps until then, or says how long that would be.
async fn wait_until(until: Instant, patience: Duration) -> Result<(), Duration> {
    let wait = until.saturating_duration_since(Instant::now());
    if wait > patience {
        return Err(wait);
    }
    tokio::time::sleep_until(until).await;
    Ok(())
}

impl Quotas {
    fn lower(&mut self, window: Window) {
        if window.per >= LONG {
            match self.counters.iter_mut().find(|counter| counter.window.per == window.per) {
                Some(counter) if counter.window.cap > window.cap => {
                    counter.left = counter.left.saturating_sub(counter.window.cap - window.cap);
                    counter.window = window;
                }
                Some(_) => {}
                None => self.counters.push(Counter { window, left: window.cap, resets_at: None }),
            }
            self.counters.sort_by_key(|counter| counter.window.per);
            return;
        }
        match self.buckets.iter_mut().find(|bucket| bucket.window.per == window.per) {
            Some(bucket) if bucket.window.cap > window.cap => {
                // A new bucket starts full: it is emptied first, so that the swap gives nothing away.
                *bucket = Bucket::new(window);
                bucket.drain();
            }
            Some(_) => {}
            None => self.buckets.push(Bucket::new(window)),
        }
        self.buckets.sort_by_key(|bucket| std::cmp::Reverse(bucket.window.per / bucket.window.cap));
    }

    /// Takes a call from a bucket, or says when to try again.
    fn try_bucket(&self, place: usize) -> Option<Instant> {
        let cells = &self.buckets.get(place)?.cells;
        // The outer error would be a bucket that cannot hold one call: see `Bucket::new`.
        let not_until = cells.check_n(NonZeroU32::new(CELLS)?).ok()?.err()?;
        Some(not_until.earliest_possible().0)
    }

    /// Takes a call from every counter, or from none and says when to try again.
    fn try_counters(&mut self, now: Instant) -> Option<Instant> {
        let empty = self.counters.iter().filter(|counter| counter.left_at(now) == 0);
        if let Some(until) = empty.filter_map(|counter| counter.resets_at).max() {
            return Some(until);
        }
        for counter in &mut self.counters {
            if counter.resets_at.is_none_or(|at| at <= now) {
                counter.resets_at = Some(now + counter.window.per);
                counter.left = counter.window.cap;
            }
            counter.left = counter.left.saturating_sub(1);
        }
        None
    }
}

impl Counter {
    fn left_at(&self, now: Instant) -> u32 {
        if self.resets_at.is_some_and(|at| at <= now) { self.window.cap } else { self.left }
    }
}

impl Bucket {
    fn new(window: Window) -> Self {
        let nanos = window.per.as_nanos() as f64;
        let call = nanos * (1.0 + TOLERANCE + NETWORK) / f64::from(window.cap);
        let cell = Duration::from_nanos((call / f64::from(CELLS)).ceil().max(1.0) as u64);
        let tolerance = (nanos * TOLERANCE / cell.as_nanos() as f64).floor() as u32;
        let burst = NonZeroU32::MIN.saturating_add(CELLS - 1).saturating_add(tolerance);
        // `cell` is not zero, so there is a quota.
        let quota = Quota::with_period(cell).unwrap_or(Quota::per_second(NonZeroU32::MIN)).allow_burst(burst);
        Self { window, cells: Arc::new(RateLimiter::direct_with_clock(quota, TokioClock)) }
    }

    fn drain(&self) {
        while self.cells.check().is_ok() {}
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// tokio's clock for governor: tests can pause it.
#[derive(Clone, Copy, Debug)]
struct TokioClock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Moment(Instant);

impl Clock for TokioClock {
    type Instant = Moment;

    fn now(&self) -> Moment {
        Moment(Instant::now())
    }
}

impl Add<Nanos> for Moment {
    type Output = Self;

    fn add(self, nanos: Nanos) -> Self {
        Self(self.0 + Duration::from(nanos))
    }
}

impl Reference for Moment {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_duration_since(earlier.0).into()
    }

    fn saturating_sub(&self, duration: Nanos) -> Self {
        Self(self.0.checked_sub(duration.into()).unwrap_or(self.0))
    }
}

#[cfg(test)]
mod tests;
