//! What a vendor says of its short window, alone in the account and together with others.

use super::*;

/// How a window ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    /// It rolls: any stretch of time is one.
    Rolling,
    /// It begins anew, and all is free again.
    Fixed,
}

/// A vendor that counts every call, refuses those beyond its cap, and says how many are left.
#[derive(Debug)]
struct Vendor {
    window: Window,
    ends: Ends,
    began: Instant,
    admitted: VecDeque<Instant>,
    /// Admitted and refused calls, ours and those of others.
    ours: (usize, usize),
    others: (usize, usize),
}

impl Vendor {
    fn new(window: Window, ends: Ends) -> Arc<Mutex<Self>> {
        let now = Instant::now();
        let none = (0, 0);
        Arc::new(Mutex::new(Self { window, ends, began: now, admitted: VecDeque::new(), ours: none, others: none }))
    }

    fn call(&mut self, is_ours: bool) -> (bool, u32) {
        let now = Instant::now();
        match self.ends {
            Ends::Rolling => {
                while self.admitted.front().is_some_and(|at| now - *at >= self.window.per) {
                    self.admitted.pop_front();
                }
            }
            Ends::Fixed if now - self.began >= self.window.per => {
                self.began += self.window.per;
                self.admitted.clear();
            }
            Ends::Fixed => {}
        }
        let admits = self.admitted.len() < self.window.cap as usize;
        if admits {
            self.admitted.push_back(now);
        }
        let counts = if is_ours { &mut self.ours } else { &mut self.others };
        *(if admits { &mut counts.0 } else { &mut counts.1 }) += 1;
        (admits, self.window.cap - self.admitted.len() as u32)
    }

    /// In whole seconds, as vendors say it.
    fn resets_in(&self) -> Duration {
        let left = self.window.per.saturating_sub(Instant::now() - self.began);
        Duration::from_secs(left.as_secs() + 1)
    }
}

/// Calls with four callers for ever, as the client does: a way there, an answer, a way back.
fn callers(vendor: &Arc<Mutex<Vendor>>, limiter: &Arc<Limiter>, tasks: &mut tokio::task::JoinSet<()>) {
    for caller in 0..8_u64 {
        let (vendor, limiter) = (vendor.clone(), limiter.clone());
        tasks.spawn(async move {
            let way = |n: u64| Duration::from_millis(20 + 10 * (n * 7 % 6));
            for n in caller.. {
                limiter.acquire().await;
                let asked = Instant::now();
                tokio::time::sleep(way(n)).await;
                let ((admitted, left), ends) = {
                    let mut vendor = lock(&vendor);
                    let said = vendor.call(true);
                    (said, (vendor.ends, vendor.window.per, vendor.resets_in()))
                };
                tokio::time::sleep(way(n + 3)).await;
                if !admitted {
                    limiter.close_for(SECOND);
                }
                match ends {
                    (Ends::Rolling, per, _) => limiter.steer_rolling(left, per, asked),
                    (Ends::Fixed, _, resets_in) => limiter.steer(left, resets_in, asked),
                }
            }
        });
    }
}

/// Somebody else, who uses a share of the cap in each window, in so many bursts.
fn others(vendor: &Arc<Mutex<Vendor>>, share: f64, bursts: u32, tasks: &mut tokio::task::JoinSet<()>) {
    let (vendor, one) = (vendor.clone(), lock(vendor).window);
    tasks.spawn(async move {
        let (a_burst, mut due) = (f64::from(one.cap) * share / f64::from(bursts), 0.0);
        loop {
            due += a_burst;
            while due >= 1.0 {
                lock(&vendor).call(false);
                due -= 1.0;
            }
            tokio::time::sleep(one.per / bursts).await;
        }
    });
}

const WINDOWS: [(Window, Ends); 4] = [
    (window(100, 10), Ends::Rolling),
    (window(250, 10), Ends::Rolling),
    (window(200, 60), Ends::Fixed),
    (window(700, 60), Ends::Fixed),
];

/// What became of the calls of 30 windows in which others use a share of the cap: both kinds together as a share of the
/// cap; and what was refused, as shares of our calls and of theirs.
async fn shared(one: Window, ends: Ends, share: f64, bursts: u32) -> (f64, f64, f64) {
    let (vendor, limiter) = (Vendor::new(one, ends), Arc::new(Limiter::new(&[one])));
    let mut tasks = tokio::task::JoinSet::new();
    callers(&vendor, &limiter, &mut tasks);
    others(&vendor, share, bursts, &mut tasks);
    tokio::time::sleep(one.per * 30).await;
    let vendor = lock(&vendor);
    let refused = |(admitted, refused): (usize, usize)| refused as f64 / ((admitted + refused) as f64).max(1.0);
    let used = (vendor.ours.0 + vendor.others.0) as f64 / f64::from(one.cap * 30);
    (used, refused(vendor.ours), refused(vendor.others))
}

#[tokio::test(start_paused = true)]
async fn who_is_alone_never_waits_for_himself() {
    for (one, ends) in WINDOWS {
        let (used, refused, _) = shared(one, ends, 0.0, 1).await;
        assert_eq!(refused, 0.0, "{one:?}, {ends:?}");
        assert!(used >= 0.98, "{one:?}, {ends:?}: {used} used");
    }
}

#[tokio::test(start_paused = true)]
async fn who_shares_the_quota_is_given_way_to() {
    for (one, ends) in WINDOWS {
        for (share, bursts) in [(0.1, 20), (0.5, 50), (0.5, 2)] {
            let (used, ours, theirs) = shared(one, ends, share, bursts).await;
            let what = format!("{one:?}, {ends:?}, {share} in {bursts}: {used} used, {ours} and {theirs} refused");
            assert!(ours <= 0.001 && theirs == 0.0, "{what}");
            assert!(used >= if bursts > 2 { 0.98 } else { 0.88 }, "{what}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_others_use_up_is_not_stormed() {
    for (one, ends) in WINDOWS {
        let (vendor, limiter) = (Vendor::new(one, ends), Arc::new(Limiter::new(&[one])));
        let mut tasks = tokio::task::JoinSet::new();
        callers(&vendor, &limiter, &mut tasks);
        others(&vendor, 1.5, 100, &mut tasks);
        tokio::time::sleep(one.per * 30).await;
        let (admitted, refused) = lock(&vendor).ours;
        assert!(
            admitted + refused <= 30 * (one.cap as usize) / 6,
            "{one:?}, {ends:?}: {admitted} and {refused} refused"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_leave_is_taken_again() {
    for (one, ends) in WINDOWS {
        let (vendor, limiter) = (Vendor::new(one, ends), Arc::new(Limiter::new(&[one])));
        let mut tasks = tokio::task::JoinSet::new();
        callers(&vendor, &limiter, &mut tasks);
        {
            let mut tasks = tokio::task::JoinSet::new();
            others(&vendor, 0.5, 10, &mut tasks);
            tokio::time::sleep(one.per * 10).await;
        }
        tokio::time::sleep(one.per * 2).await;
        let before = lock(&vendor).ours.0;
        tokio::time::sleep(one.per * 20).await;
        let used = (lock(&vendor).ours.0 - before) as f64 / f64::from(one.cap * 20);
        assert!(used >= 0.98, "{one:?}, {ends:?}: {used} used");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_with_a_lower_cap_than_it_was_said_to_have_is_kept_to_its_own() {
    for (real, said) in [(window(100, 10), window(190, 10)), (window(100, 10), window(250, 10))] {
        let (vendor, limiter) = (Vendor::new(real, Ends::Rolling), Arc::new(Limiter::new(&[said])));
        let mut tasks = tokio::task::JoinSet::new();
        callers(&vendor, &limiter, &mut tasks);
        tokio::time::sleep(real.per * 30).await;
        let (admitted, refused) = lock(&vendor).ours;
        assert!(refused <= 8, "{said:?}: {refused} refused of {admitted}");
        assert!(admitted >= 30 * 90, "{said:?}: {admitted}");
    }
}
