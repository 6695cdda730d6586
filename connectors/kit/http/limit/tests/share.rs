//! A vendor that tells which share of an hour's quota is used, in whole percents: what is used of it, and that no call is
//! refused.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

/// The vendor: from 100 % on it refuses calls, and says for how long.
struct Vendor {
    percent_of_a_call: f64,
    rounds: fn(f64) -> f64,
    /// How much later than after an hour a call counts no more, at most: it is counted with all others of such a time.
    lags: Duration,
    /// When a window began that does not roll.
    fixed: Option<Instant>,
    calls: VecDeque<Instant>,
    /// Calls of the whole time.
    all: u32,
    most: f64,
}

/// The vendor that Meta says it is, were it to round down.
fn vendor(percent_of_a_call: f64) -> Vendor {
    let (rounds, lags, calls) = (f64::floor, Duration::from_millis(1), VecDeque::new());
    Vendor { percent_of_a_call, rounds, lags, fixed: None, calls, all: 0, most: 0.0 }
}

impl Vendor {
    /// Answers a call with the percentage that is used.
    fn answer(&mut self, start: Instant) -> f64 {
        let now = Instant::now();
        if self.fixed.is_some_and(|began| now.duration_since(began) >= HOUR) {
            (self.fixed, self.calls) = (Some(now), VecDeque::new());
        }
        let span = |at: Instant| at.duration_since(start).as_nanos() / self.lags.as_nanos();
        while self.fixed.is_none() && self.calls.front().is_some_and(|call| span(*call + HOUR) < span(now)) {
            self.calls.pop_front();
        }
        let used = |calls: &VecDeque<Instant>| calls.len() as f64 * self.percent_of_a_call;
        // Less what no double holds exactly.
        assert!(used(&self.calls) < 100.0 - 1e-9, "a call is refused after {:?}", start.elapsed());
        self.calls.push_back(now);
        self.all += 1;
        let used = used(&self.calls) + 1e-9;
        self.most = self.most.max(used);
        (self.rounds)(used)
    }
}

/// What `callers`, who may use `most` of the quota, use of it in eight hours, and the most at a time. A call takes a fifth
/// of a second, and no two callers are as quick as each other.
async fn used(callers: u64, most: f64, vendor: Vendor) -> (f64, f64) {
    let (limiter, start) = (Arc::new(Limiter::new(&[])), Instant::now());
    let vendor = Arc::new(Mutex::new(vendor));
    let mut tasks = tokio::task::JoinSet::new();
    for caller in 0..callers {
        let (limiter, vendor) = (limiter.clone(), vendor.clone());
        tasks.spawn(async move {
            loop {
                limiter.acquire().await;
                let asked = Instant::now();
                tokio::time::sleep(Duration::from_millis(100 + 7 * caller)).await;
                let percent = lock(&vendor).answer(start);
                tokio::time::sleep(Duration::from_millis(100 + 7 * caller)).await;
                limiter.steer_by_share(percent / 100.0, most, HOUR, asked);
                if percent >= 100.0 {
                    limiter.close_for(HOUR / 12);
                }
            }
        });
    }
    tokio::select! {
        () = tokio::time::sleep(8 * HOUR) => {}
        Some(failed) = tasks.join_next() => failed.expect("no call is refused"),
    }
    let vendor = lock(&vendor);
    (f64::from(vendor.all) * vendor.percent_of_a_call / 800.0, vendor.most / 100.0)
}

#[tokio::test(start_paused = true)]
async fn an_hour_is_used_until_99_is_told_and_no_call_is_refused() {
    for (percent_of_a_call, callers) in [(0.02, 1), (0.02, 8), (0.2, 1), (0.2, 4), (0.9, 1)] {
        // Where 99 is told some 98 to 99.98 are used: which of them is not known.
        for (rounds, least) in [(f64::floor as fn(f64) -> f64, 0.99), (f64::round, 0.985), (f64::ceil, 0.98)] {
            let (used, most) = used(callers, 0.99, Vendor { rounds, ..vendor(percent_of_a_call) }).await;
            let what = format!("{percent_of_a_call} % a call of {callers} callers, {least}: {used}, at most {most}");
            // A call that leaves and one that comes, and those that were on their way when 99 was told.
            let more = (1 + callers) as f64 * percent_of_a_call / 100.0;
            assert!(used >= least - 1e-9 && most < least + more + 1e-9, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_of_an_hour_is_used_and_no_more() {
    for (part, percent_of_a_call) in [(0.5, 0.02), (0.5, 0.2), (0.1, 0.2)] {
        let (used, most) = used(1, part, vendor(percent_of_a_call)).await;
        let more = 2.0 * percent_of_a_call / 100.0;
        assert!(
            used >= part - 1e-9 && most < part + more,
            "{part}, {percent_of_a_call} % a call: {used}, at most {most}"
        );
    }
}

/// What is not as it is told to be costs time, and still no call is refused.
#[tokio::test(start_paused = true)]
async fn a_vendor_that_counts_otherwise_refuses_no_call_either() {
    let lags = |lags, of| Vendor { lags: Duration::from_secs(lags), ..of };
    for percent_of_a_call in [0.02, 0.2] {
        let vendor = || vendor(percent_of_a_call);
        let fixed = Vendor { fixed: Some(Instant::now()), ..vendor() };
        for (vendor, least, most) in [
            (fixed, 0.99, 0.995),
            (lags(30, vendor()), 0.99, 0.999),
            (lags(60, vendor()), 0.95, 1.001),
            (lags(300, vendor()), 0.90, 1.001),
        ] {
            let lags = vendor.lags;
            let used = used(1, 0.99, vendor).await;
            assert!(used.0 >= least - 1e-9 && used.1 < most, "{percent_of_a_call} % a call, lags {lags:?}: {used:?}");
        }
    }
    let (used, most) = used(1, 0.99, vendor(3.0)).await;
    assert!(used >= 0.9 && most < 1.03, "a call of 3 %: {used}, at most {most}");
}
