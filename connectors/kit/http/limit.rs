//! Rate limits per quota holder.
//!
//! A short window is a bucket of the generic cell rate algorithm ([`governor`]) on tokio's clock. Such a bucket with
//! tolerance τ and one call every t lets at most 1 + (W + τ) / t calls through in any window W, rolling or fixed. So t is chosen for
//! (W + τ) / t to stay below the cap: τ is half a percent of W (it makes up for timers that wake late), and a further
//! percent of W is left for the network, which may push calls together. That uses 98.5 % of the cap.
//!
//! Where the vendor says how many calls are left of a short window, that is what the pace leaves anyway, down to none,
//! as long as nobody else calls. Only calls that are missing beyond our own are news: they are somebody else's, and
//! count from then on as if they were ours. So who shares the quota is given way to, and nobody waits for himself.
//!
//! A window of an hour or longer is a counter instead: its calls may be spent at any pace, and the vendor's
//! headers correct it. Where these tell of a window in shares, its calls are kept instead (`share`).

mod forecast;
mod share;
mod used;

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use tokio::time::Instant;

pub use forecast::{Forecast, QuotaShare};
pub use used::Used;

/// Windows from this length on are counters.
const LONG: Duration = Duration::from_secs(60 * 60);
/// A call is so many cells of a bucket, so that the tolerance can be finer than one call.
const CELLS: NonZeroU32 = NonZeroU32::MIN.saturating_add(99);
/// Tolerance τ as a share of the window.
const TOLERANCE: f64 = 0.005;
/// What is left of the window for the network, as a share.
const NETWORK: f64 = 0.01;
/// What the pace and the count of calls take a window to be, in windows.
const STRETCH: f64 = 1.0 + TOLERANCE + NETWORK;
/// Vendors tell the end of a window in whole seconds.
const SECOND: Duration = Duration::from_secs(1);
/// A rolling window of which nothing is left is asked again after this part of it: room comes back bit by bit.
const LOOKS: u32 = 10;

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
    /// The limiter of a quota holder (an account, not a sync). The first caller sets its windows; for a later one each
    /// window is lowered to the lower cap.
    pub fn get(&self, holder: &str, windows: &[Window]) -> Arc<Limiter> {
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
    quotas: Mutex<Quotas>,
    /// Callers pass one after the other, in the order in which they came.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Quotas {
    /// Nothing goes through before this.
    gate: Option<Instant>,
    /// Short windows, the slowest first: a call waits for the scarce one before it takes from the others.
    buckets: Vec<Bucket>,
    /// Long windows, the shortest first.
    counters: Vec<Counter>,
    /// The window of which the used share is told.
    share: Option<share::Share>,
}

/// A short window.
#[derive(Debug)]
struct Bucket {
    window: Window,
    cells: Cells,
    /// Whether it has let the next call through, which waits for another window.
    granted: bool,
    /// Calls of others that are yet to be taken from it, and when a new window lets them off.
    owed: u32,
    let_off: Option<Instant>,
    /// The calls of the last two windows, those of others included, in the order of time.
    calls: VecDeque<Instant>,
    /// When others were last found to call.
    shared: Option<Instant>,
}

type Cells = RateLimiter<NotKeyed, InMemoryState, TokioClock, NoOpMiddleware<Duration>>;

/// A long window: how many calls are left until when. It starts with the first call after the one before ended.
#[derive(Clone, Copy, Debug)]
struct Counter {
    window: Window,
    left: u32,
    resets_at: Option<Instant>,
}

/// What a call waits for.
enum Wait {
    /// The pace of a short window.
    Pace(Instant),
    /// The gate or the end of a long window.
    Closed(Instant),
    /// Others who call, each in his turn until the last.
    Others { next: Instant, last: Instant },
}

impl Limiter {
    /// A limiter with these windows; none means no limit but the gate. A cap of 0 counts as 1.
    pub fn new(windows: &[Window]) -> Self {
        let limiter = Self { quotas: Mutex::default(), turn: tokio::sync::Mutex::new(()) };
        limiter.lower(windows);
        limiter
    }

    /// Lowers each window to the lower cap, and adds windows of other lengths.
    fn lower(&self, windows: &[Window]) {
        let mut quotas = lock(&self.quotas);
        for window in windows {
            let window = Window { cap: window.cap.max(1), per: window.per.max(Duration::from_millis(1)) };
            quotas.lower(window);
        }
    }

    /// Waits until one more call may be made, and counts it; but not for a gate, a long window or others who call
    /// where that takes longer than `patience`: whoever has to wait that long should do so where it can be called off.
    ///
    /// # Errors
    /// How long it stays closed; no call was counted.
    pub async fn acquire_within(&self, patience: Duration) -> Result<(), Duration> {
        let _turn = self.turn.lock().await;
        loop {
            let wait = lock(&self.quotas).take(Instant::now());
            match wait {
                None => return Ok(()),
                Some(Wait::Pace(until)) => tokio::time::sleep_until(until).await,
                Some(Wait::Closed(until)) => wait_until(until, until, patience).await?,
                Some(Wait::Others { next, last }) => wait_until(next, last, patience).await?,
            }
        }
    }

    /// Lets no call through for `wait`: the vendor said so.
    pub fn close_for(&self, wait: Duration) {
        lock(&self.quotas).close_for(wait, Instant::now());
    }

    /// The vendor said, in the answer of a call that was let through at `asked`, that `left` calls are left of a window
    /// that ends in `resets_in`. Only lowers.
    ///
    /// A window that ends later than every short window could is a long one: its counter takes the vendor's numbers
    /// over. With nothing left the gate closes until its end.
    pub fn steer(&self, left: u32, resets_in: Duration, asked: Instant) {
        let now = Instant::now();
        let mut quotas = lock(&self.quotas);
        let short = quotas.buckets.iter_mut().find(|bucket| resets_in <= bucket.window.per + SECOND);
        if let Some(bucket) = short {
            // The end is told in whole seconds.
            let spans = (bucket.window.per + SECOND).saturating_sub(resets_in);
            bucket.give_way(left, spans, asked, now);
            bucket.let_off = Some(now + resets_in).filter(|_| bucket.owed > 0);
            return;
        }
        if left == 0 {
            quotas.close_for(resets_in, now);
        }
        let Some(resets_at) = now.checked_add(resets_in) else { return };
        if let Some(counter) = quotas.counters.iter_mut().find(|counter| resets_in <= counter.window.per) {
            counter.left = counter.left_at(now).min(left);
            counter.resets_at = Some(resets_at);
        }
    }

    /// The vendor said, in the answer of a call that was let through at `asked`, that `left` calls are left of those
    /// that may be made in any `per`. Only lowers.
    ///
    /// Where that is no window of ours the next call waits for a tenth of it when nothing is left.
    pub fn steer_rolling(&self, left: u32, per: Duration, asked: Instant) {
        let now = Instant::now();
        let mut quotas = lock(&self.quotas);
        if let Some(bucket) = quotas.buckets.iter_mut().find(|bucket| bucket.window.per == per) {
            bucket.give_way(left, per, asked, now);
        } else if left == 0 {
            quotas.close_for(per / LOOKS, now);
        }
    }
}

/// Sleeps until then, or says how long it is until the `last` wait has ended.
async fn wait_until(until: Instant, last: Instant, patience: Duration) -> Result<(), Duration> {
    let wait = last.saturating_duration_since(Instant::now());
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
                let cells = cells(window);
                while cells.check().is_ok() {}
                (bucket.window, bucket.cells) = (window, cells);
            }
            Some(_) => {}
            None => self.buckets.push(Bucket::new(window)),
        }
        self.buckets.sort_by_key(|bucket| std::cmp::Reverse(bucket.pace()));
    }

    /// Counts a call in every window, or says what it waits for.
    fn take(&mut self, now: Instant) -> Option<Wait> {
        let wait = self.wait(now);
        match wait {
            // Buckets fill while nothing is sent: what was taken from them is taken anew.
            Some(Wait::Closed(_)) => self.buckets.iter_mut().for_each(|bucket| bucket.granted = false),
            Some(Wait::Pace(_) | Wait::Others { .. }) => {}
            None => {
                self.buckets.iter_mut().for_each(|bucket| bucket.count(now));
                self.counters.iter_mut().for_each(|counter| counter.take(now));
                self.share.iter_mut().for_each(|share| share.calls.push_back(now));
            }
        }
        wait
    }

    fn wait(&mut self, now: Instant) -> Option<Wait> {
        let shared = self.share.as_mut().and_then(|share| share.closed_until(now));
        if let Some(until) = self.closed_until(now).max(shared) {
            return Some(Wait::Closed(until));
        }
        for bucket in &mut self.buckets {
            if let Some(wait) = bucket.grant(now) {
                return Some(wait);
            }
        }
        let empty = self.counters.iter().filter(|counter| counter.left_at(now) == 0);
        empty.filter_map(|counter| counter.resets_at).max().map(Wait::Closed)
    }

    fn closed_until(&self, now: Instant) -> Option<Instant> {
        self.gate.filter(|until| *until > now)
    }

    fn close_for(&mut self, wait: Duration, now: Instant) {
        // Beyond what the clock can hold is for ever, as far as a process goes.
        let until = now.checked_add(wait).unwrap_or(now + 24 * LONG);
        self.gate = self.gate.max(Some(until));
    }
}

impl Counter {
    fn left_at(&self, now: Instant) -> u32 {
        if self.resets_at.is_some_and(|at| at <= now) { self.window.cap } else { self.left }
    }

    fn take(&mut self, now: Instant) {
        if self.resets_at.is_none_or(|at| at <= now) {
            self.resets_at = Some(now + self.window.per);
            self.left = self.window.cap;
        }
        self.left = self.left.saturating_sub(1);
    }
}

impl Bucket {
    fn new(window: Window) -> Self {
        let (calls, cells) = (VecDeque::new(), cells(window));
        Self { window, cells, granted: false, owed: 0, let_off: None, calls, shared: None }
    }

    /// The time from one call to the next.
    fn pace(&self) -> Duration {
        self.window.per.mul_f64(STRETCH / f64::from(self.window.cap))
    }

    /// Lets the next call through, or says what it waits for.
    fn grant(&mut self, now: Instant) -> Option<Wait> {
        if self.let_off.is_some_and(|at| at <= now) {
            (self.owed, self.let_off) = (0, None);
        }
        while self.owed > 0 {
            if let Some(next) = self.take() {
                let last = next + self.pace() * self.owed;
                let earlier = |instant: Instant| self.let_off.map_or(instant, |at| at.min(instant));
                return Some(Wait::Others { next: earlier(next), last: earlier(last) });
            }
            self.owed -= 1;
        }
        if self.granted {
            return None;
        }
        let until = self.take();
        self.granted = until.is_none();
        until.map(Wait::Pace)
    }

    /// Takes a call from the bucket, or says when there is room for it.
    fn take(&self) -> Option<Instant> {
        // The outer error would be a bucket that cannot hold one call: see `cells`.
        let full = self.cells.check_n(CELLS).ok()?.err()?;
        Some(self.cells.clock().start + full.earliest_possible())
    }

    /// Notes the call that was let through.
    fn count(&mut self, now: Instant) {
        self.granted = false;
        forget(&mut self.calls, 2 * self.window.per, now);
        self.calls.push_back(now);
    }

    /// When a call was made that was let through at `asked`, so many calls were left of a window that `spans` the time
    /// before it: those that are missing beyond the ones that we know of are counted as if they were ours.
    fn give_way(&mut self, left: u32, spans: Duration, asked: Instant, now: Instant) {
        let shared = self.shared.is_some_and(|at| now.duration_since(at) < self.window.per);
        // Calls overtake each other on their way. Where nobody else has called, what may be ours is; where somebody
        // has, what need not be ours is not.
        let slack = self.window.per.mul_f64(STRETCH - 1.0);
        let (spans, until) = if shared { (spans, asked) } else { (spans + slack, now) };
        let upto = |at: Option<Instant>| at.map_or(0, |at| self.calls.partition_point(|call| *call <= at));
        let known = u32::try_from(upto(Some(until)) - upto(asked.checked_sub(spans))).unwrap_or(u32::MAX);
        let others = self.window.cap.saturating_sub(left).saturating_sub(known);
        if others > 0 {
            self.shared = Some(now);
            self.owed = self.owed.saturating_add(others);
            self.calls.extend(std::iter::repeat_n(asked, others as usize));
            self.calls.make_contiguous().sort_unstable();
        }
    }
}

/// Drops the calls that were made that long ago.
fn forget(calls: &mut VecDeque<Instant>, ago: Duration, now: Instant) {
    while calls.front().is_some_and(|at| now.duration_since(*at) >= ago) {
        calls.pop_front();
    }
}

/// A full bucket.
fn cells(window: Window) -> Cells {
    let nanos = window.per.as_nanos() as f64;
    let cell = nanos * STRETCH / f64::from(window.cap) / f64::from(CELLS.get());
    let cell = Duration::from_nanos(cell.ceil().max(1.0) as u64);
    let tolerance = (nanos * TOLERANCE / cell.as_nanos() as f64).floor() as u32;
    // `cell` is not zero, so there is a quota.
    let quota = Quota::with_period(cell).unwrap_or(Quota::per_second(NonZeroU32::MIN));
    let clock = TokioClock { start: Instant::now() };
    RateLimiter::direct_with_clock(quota.allow_burst(CELLS.saturating_add(tolerance)), clock)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// tokio's clock for governor: tests can pause it.
#[derive(Clone, Copy, Debug)]
struct TokioClock {
    start: Instant,
}

impl Clock for TokioClock {
    type Instant = Duration;

    /// The time since the start.
    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

#[cfg(test)]
mod tests;
