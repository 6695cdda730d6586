mod share;
mod steering;

use super::*;

impl Limiter {
    /// Waits for as long as it takes.
    async fn acquire(&self) {
        self.acquire_within(Duration::MAX).await.expect("nothing is beyond this patience");
    }
}

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
    for one in
        [window(1, 1), window(4, 1), window(10, 1), window(40, 1), window(100, 10), window(190, 10), window(2000, 60)]
    {
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
    for pair in [[window(100, 10), window(550, 60)], [window(5, 1), window(290, 60)], [window(4, 1), window(40, 10)]] {
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
    limiter.steer(7, Duration::from_secs(7200), Instant::now());
    limiter.steer(50, Duration::from_secs(7200), Instant::now());
    let calls = run(&limiter, 4, Duration::from_secs(7199)).await;
    assert_eq!(calls.len(), 7);
    let calls = run(&limiter, 4, Duration::from_secs(120)).await;
    assert_eq!(calls.len(), 100, "the next day has its whole cap");
}

#[tokio::test(start_paused = true)]
async fn nothing_left_closes_the_gate_until_the_window_ends() {
    let limiter = Arc::new(Limiter::new(&[window(100, 10)]));
    limiter.steer(0, Duration::from_secs(8), Instant::now());
    limiter.steer(3, Duration::from_secs(8), Instant::now());
    let start = Instant::now();
    limiter.acquire().await;
    assert!(start.elapsed() >= Duration::from_secs(8));
}

#[tokio::test(start_paused = true)]
async fn who_has_no_patience_learns_how_long_it_takes() {
    let limiter = Limiter::new(&[window(1, 60), window(2, 86_400)]);
    let (patience, start) = (Duration::from_secs(10), Instant::now());
    assert_eq!(limiter.acquire_within(patience).await, Ok(()));
    assert_eq!(limiter.acquire_within(patience).await, Ok(()), "a short window is always waited for");
    assert!(start.elapsed() >= Duration::from_secs(60));
    let wait = limiter.acquire_within(patience).await.expect_err("the day is used up");
    assert!(wait > Duration::from_secs(86_000) && wait <= Duration::from_secs(86_400), "{wait:?}");
    limiter.close_for(Duration::from_secs(100_000));
    assert_eq!(limiter.acquire_within(patience).await, Err(Duration::from_secs(100_000)));
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

fn day(left_of: u32) -> [Window; 1] {
    [window(left_of, 86_400)]
}

#[tokio::test(start_paused = true)]
async fn what_was_used_of_a_day_outlives_the_process() {
    let first = Limiters::default();
    let limiter = first.get("crm", &day(100));
    assert_eq!(first.used(), [], "a window begins with its first call");
    for _ in 0..30 {
        limiter.acquire().await;
    }
    let used = first.used();
    assert_eq!(used.iter().map(|used| (used.holder.as_str(), used.calls)).collect::<Vec<_>>(), [("crm", 30)]);

    let second = Limiters::default();
    let others = second.get("other", &day(100));
    second.recall(used.clone());
    let again = second.get("crm", &day(100));
    assert_eq!(again.forecast(70).takes, Duration::ZERO);
    let over = again.forecast(71);
    assert!(over.takes > Duration::from_secs(86_000), "{over:?}");
    assert_eq!(over.share.map(|share| share.left), Some(70));
    assert_eq!(others.forecast(100).takes, Duration::ZERO, "another account has its own day");

    // What this process has used since is not given back.
    again.acquire().await;
    second.recall(used);
    assert_eq!(again.forecast(1).share.map(|share| share.left), Some(69));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_has_ended_or_ends_too_late_is_not_recalled() {
    let now = jiff::Timestamp::now();
    for off in [-10, 200_000] {
        let all = Limiters::default();
        let resets_at = now + jiff::SignedDuration::from_secs(off);
        all.recall(vec![Used { holder: "crm".into(), per: Duration::from_secs(86_400), calls: 100, resets_at }]);
        assert_eq!(all.get("crm", &day(100)).forecast(100).takes, Duration::ZERO, "{off}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_forecast_is_the_time_that_the_calls_take() {
    for (windows, calls) in [
        (vec![window(100, 10)], 1000),
        (vec![window(5, 1), window(100, 60)], 300),
        (vec![window(10, 1), window(400, 86_400)], 1000),
    ] {
        let limiter = Arc::new(Limiter::new(&windows));
        let forecast = limiter.forecast(calls);
        let start = Instant::now();
        for _ in 0..calls {
            limiter.acquire().await;
        }
        let took = start.elapsed();
        let ratio = took.as_secs_f64() / forecast.takes.as_secs_f64();
        assert!((0.97..1.03).contains(&ratio), "{windows:?}: forecast {:?}, took {took:?}", forecast.takes);
    }
    assert_eq!(Limiter::new(&[]).forecast(1000), Forecast { takes: Duration::ZERO, share: None });
}
