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

/// Windows from this length on are counters.
const LONG: Duration = Duration::from_secs(60 * 60);
/// A call is so many cells of a bucket, so that the tolerance can be finer than one call.
const CELLS: u32 = 100;
/// Tolerance τ as a share of the window.
const TOLERANCE: f64 = 0.005;
/// What is left of the window for the network, as a share.
const NETWORK: f64 = 0.01;

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
    /// The limiter of `holder`; where it exists its windows are lowered to these.
    pub(crate) fn get(&self, holder: &str, windows: &[Window]) -> Arc<Limiter> {
        let mut all = lock(&self.0);
        if let Some(limiter) = all.get(holder) {
            limiter.lower(windows);
            return limiter.clone();
        }
        let limiter = Arc::new(Limiter::new(windows));
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
        let _turn = self.turn.lock().await;
        loop {
            self.pass_gate().await;
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
            let Some(until) = lock(&self.quotas).try_counters(Instant::now()) else { return };
            tokio::time::sleep_until(until).await;
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

    fn closed_until(&self) -> Option<Instant> {
        lock(&self.gate).filter(|until| *until > Instant::now())
    }

    async fn pass_gate(&self) {
        while let Some(until) = self.closed_until() {
            tokio::time::sleep_until(until).await;
        }
    }
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
        match cells.check_n(NonZeroU32::new(CELLS)?) {
            Ok(Ok(())) => None,
            Ok(Err(not_until)) => Some(not_until.earliest_possible().0),
            // A bucket holds at least one call: see `Bucket::new`.
            Err(_) => None,
        }
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
mod tests {
    use super::*;

    const fn window(cap: u32, seconds: u64) -> Window {
        Window { cap, per: Duration::from_secs(seconds) }
    }

    /// What `callers` tasks get through in `time`, as moments since the start.
    async fn run(limiter: &Arc<Limiter>, callers: usize, time: Duration) -> Vec<Duration> {
        let start = Instant::now();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let (limiter, calls) = (limiter.clone(), calls.clone());
            tasks.spawn(async move {
                loop {
                    limiter.acquire().await;
                    lock(&calls).push(start.elapsed());
                }
            });
        }
        tokio::time::sleep(time).await;
        tasks.shutdown().await;
        let mut calls = std::mem::take(&mut *lock(&calls));
        calls.sort();
        calls
    }

    /// The most calls in any closed window of that length.
    fn worst_rolling(calls: &[Duration], per: Duration) -> usize {
        let mut from = 0;
        let mut worst = 0;
        for (i, at) in calls.iter().enumerate() {
            while *at - calls[from] > per {
                from += 1;
            }
            worst = worst.max(i + 1 - from);
        }
        worst
    }

    /// The most calls in any window that starts at a multiple of its length.
    fn worst_fixed(calls: &[Duration], per: Duration) -> usize {
        let mut windows: HashMap<u128, usize> = HashMap::new();
        for at in calls {
            *windows.entry(at.as_nanos() / per.as_nanos()).or_default() += 1;
        }
        windows.into_values().max().unwrap_or(0)
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_is_used_almost_whole_and_never_exceeded() {
        for one in [
            window(1, 1),
            window(4, 1),
            window(10, 1),
            window(40, 1),
            window(100, 10),
            window(190, 10),
            window(2000, 60),
        ] {
            let limiter = Arc::new(Limiter::new(&[one]));
            let windows = 40;
            let calls = run(&limiter, 8, one.per * windows).await;
            let (rolling, fixed) = (worst_rolling(&calls, one.per), worst_fixed(&calls, one.per));
            assert!(rolling <= one.cap as usize, "{one:?}: {rolling} in a rolling window");
            assert!(fixed <= one.cap as usize, "{one:?}: {fixed} in a fixed window");
            let used = calls.len() as f64 / f64::from(one.cap * windows);
            assert!(used >= 0.98, "{one:?}: {used} used");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn several_windows_hold_at_once() {
        for pair in
            [[window(100, 10), window(550, 60)], [window(5, 1), window(290, 60)], [window(4, 1), window(40, 10)]]
        {
            let limiter = Arc::new(Limiter::new(&pair));
            let time = Duration::from_secs(60 * 20);
            let calls = run(&limiter, 8, time).await;
            for one in pair {
                assert!(worst_rolling(&calls, one.per) <= one.cap as usize, "{one:?}");
                assert!(worst_fixed(&calls, one.per) <= one.cap as usize, "{one:?}");
            }
            let rate = |w: &Window| f64::from(w.cap) * time.as_secs_f64() / w.per.as_secs_f64();
            let effective = pair.iter().map(rate).fold(f64::INFINITY, f64::min);
            let used = calls.len() as f64 / effective;
            assert!(used >= 0.98, "{pair:?}: {used} used");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_moment_lets_through_no_more_than_a_small_burst() {
        let limiter = Arc::new(Limiter::new(&[window(1000, 10)]));
        let calls = run(&limiter, 64, Duration::from_millis(1)).await;
        assert!(calls.len() <= 20, "{} calls in the first millisecond", calls.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_gate_holds_everyone_and_only_grows() {
        let limiter = Arc::new(Limiter::new(&[window(100, 1)]));
        limiter.close_for(Duration::from_secs(30));
        limiter.close_for(Duration::from_secs(5));
        let calls = run(&limiter, 8, Duration::from_secs(60)).await;
        assert!(calls[0] >= Duration::from_secs(30) && calls[0] < Duration::from_secs(31), "{:?}", calls[0]);
        assert!(worst_rolling(&calls, Duration::from_secs(1)) <= 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_that_closes_while_someone_waits_holds_him_too() {
        let limiter = Arc::new(Limiter::new(&[window(1, 10)]));
        limiter.acquire().await;
        let start = Instant::now();
        let waiting = tokio::spawn({
            let limiter = limiter.clone();
            async move { limiter.acquire().await }
        });
        tokio::time::sleep(Duration::from_secs(5)).await;
        limiter.close_for(Duration::from_secs(60));
        waiting.await.expect("the waiter");
        assert!(start.elapsed() >= Duration::from_secs(65), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_caller_with_a_lower_cap_slows_everyone() {
        let all = Limiters::default();
        let limiter = all.get("hubspot:1", &[window(100, 10)]);
        let same = all.get("hubspot:1", &[window(50, 10), window(200, 60)]);
        assert!(Arc::ptr_eq(&limiter, &same));
        all.get("hubspot:1", &[window(1000, 10)]);
        let calls = run(&limiter, 8, Duration::from_secs(600)).await;
        assert!(worst_rolling(&calls, Duration::from_secs(10)) <= 50);
        assert!(worst_rolling(&calls, Duration::from_secs(60)) <= 200);
        assert!(calls.len() >= 1960, "{} calls", calls.len());
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_window_is_a_counter_that_is_spent_at_any_pace() {
        let limiter = Arc::new(Limiter::new(&[window(100, 86_400)]));
        let calls = run(&limiter, 8, Duration::from_secs(86_400 * 3 - 60)).await;
        assert_eq!(calls.len(), 300);
        assert!(calls[99] < Duration::from_secs(1) && calls[100] >= Duration::from_secs(86_400));
    }

    #[tokio::test(start_paused = true)]
    async fn the_vendors_count_lowers_a_long_window_and_never_raises_it() {
        let limiter = Arc::new(Limiter::new(&[window(10, 1), window(100, 86_400)]));
        limiter.acquire().await;
        limiter.steer(7, Duration::from_secs(7200));
        limiter.steer(50, Duration::from_secs(7200));
        let calls = run(&limiter, 4, Duration::from_secs(7199)).await;
        assert_eq!(calls.len(), 7);
        let calls = run(&limiter, 4, Duration::from_secs(120)).await;
        assert_eq!(calls.len(), 100, "the next day has its whole cap");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_left_closes_the_gate_until_the_window_ends() {
        let limiter = Arc::new(Limiter::new(&[window(100, 10)]));
        limiter.steer(0, Duration::from_secs(8));
        limiter.steer(3, Duration::from_secs(8));
        let start = Instant::now();
        limiter.acquire().await;
        assert!(start.elapsed() >= Duration::from_secs(8));
    }

    #[tokio::test(start_paused = true)]
    async fn callers_pass_in_the_order_in_which_they_came() {
        let limiter = Arc::new(Limiter::new(&[window(1, 1)]));
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = tokio::task::JoinSet::new();
        for caller in 0..5 {
            let (limiter, order) = (limiter.clone(), order.clone());
            tasks.spawn(async move {
                limiter.acquire().await;
                lock(&order).push(caller);
            });
            tokio::task::yield_now().await;
        }
        tasks.join_all().await;
        assert_eq!(*lock(&order), [0, 1, 2, 3, 4]);
    }
}
