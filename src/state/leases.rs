//! One writer per destination account, among all processes that share the state.
//!
//! A lease is a row with an expiry. Its holder renews it; a holder that died on this machine is noticed at once,
//! any other when the lease runs out. Each new holder gets a higher epoch, and a holder that stood still for
//! longer than its lease finds that it [no longer holds it](Lease::ensure_held) without asking the database.
//! Waiters stand in a queue: by rank, then in the order in which they came.

mod holder;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::Row as _;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub use holder::Holder;

use super::{State, StateError, time};

/// A waiter that has not looked for so long has lost its place: it may be gone.
const PLACE: Duration = Duration::from_secs(5);

/// How long a lease lasts and how often its parties look.
#[derive(Clone, Copy, Debug)]
pub struct LeaseTiming {
    /// A lease that is not renewed ends after that long. It is renewed three times as often.
    pub ttl: Duration,
    /// How often a waiter looks; each wait is up to half as long again, so that waiters do not march in step.
    pub poll: Duration,
}

impl Default for LeaseTiming {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(30), poll: Duration::from_millis(500) }
    }
}

/// What is done where somebody else has the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Nothing: it is an error.
    No,
    /// Standing in the queue, before all of a lower rank.
    Ranked(i64),
}

/// The right to write to a destination account. It is renewed in the background until it is released or dropped.
#[derive(Debug)]
pub struct Lease {
    account: String,
    epoch: i64,
    until: watch::Receiver<Until>,
    lost: Arc<AtomicBool>,
    /// Gone once the lease is being released.
    stop: Option<watch::Sender<()>>,
    renewing: Option<JoinHandle<()>>,
}

impl Lease {
    /// The account.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Rises by one with every holder of the account.
    pub fn epoch(&self) -> u64 {
        self.epoch.cast_unsigned()
    }

    /// As [`LeaseWatch::ensure_held`].
    ///
    /// # Errors
    /// [`StateError::LeaseLost`] where the lease ran out, or somebody else has the account.
    pub fn ensure_held(&self) -> Result<(), StateError> {
        self.watch().ensure_held()
    }

    /// For whoever writes to the account under this lease.
    pub fn watch(&self) -> LeaseWatch {
        LeaseWatch { until: self.until.clone(), lost: Arc::clone(&self.lost) }
    }

    /// Gives the account free and returns when the next process may have it.
    pub async fn release(mut self) {
        self.stop = None;
        if let Some(renewing) = self.renewing.take() {
            // The task ends by itself after giving the lease free; a panic in it leaves the lease to expire.
            renewing.await.unwrap_or_default();
        }
    }
}

/// Tells whether a lease is still held.
#[derive(Clone, Debug)]
pub struct LeaseWatch {
    until: watch::Receiver<Until>,
    lost: Arc<AtomicBool>,
}

/// When a lease ends unless it is renewed, by two clocks: others go by the one that tells the time of day, which may
/// be set, and goes on while the machine sleeps; no setting of it makes the lease longer than the other allows.
#[derive(Clone, Copy, Debug)]
struct Until {
    steady: Instant,
    day: Timestamp,
}

impl Until {
    /// Of a lease that is asked for now.
    fn after(ttl: Duration) -> Self {
        Self { steady: Instant::now() + ttl, day: Timestamp::now().saturating_add(ttl).unwrap_or(Timestamp::MAX) }
    }

    fn is_over(self) -> bool {
        Instant::now() >= self.steady || Timestamp::now() >= self.day
    }
}

impl LeaseWatch {
    /// To be asked at each step of a call; it costs nothing.
    ///
    /// # Errors
    /// [`StateError::LeaseLost`] where the lease ran out, or somebody else has the account.
    pub fn ensure_held(&self) -> Result<(), StateError> {
        if self.lost.load(Ordering::Acquire) || self.until.borrow().is_over() {
            return Err(StateError::LeaseLost);
        }
        Ok(())
    }
}

impl State {
    /// The lease on a destination account. Whoever waits stands in the queue until it is free.
    ///
    /// # Errors
    /// Without waiting: [`StateError::Locked`] with who holds it. Else as any write.
    pub async fn acquire(&self, account: &str, wait: Wait, timing: LeaseTiming) -> Result<Lease, StateError> {
        let me = Holder::this()?;
        let mut ticket = None;
        let mut told = false;
        loop {
            match self.try_acquire(account, &me, &mut ticket, wait, timing.ttl).await? {
                Attempt::Got { epoch, until } => return Ok(self.keep(account, epoch, until, me, timing)),
                Attempt::Locked { holder, since } if wait == Wait::No => {
                    return Err(StateError::Locked { holder, since });
                }
                Attempt::Locked { holder, .. } if !told => {
                    // Syncs of one process take turns all the time; whoever waits for another process wants to know.
                    if holder.pid == me.pid && holder.machine == me.machine {
                        tracing::info!(account, "waiting for the account");
                    } else {
                        tracing::warn!(account, host = holder.host, pid = holder.pid, "waiting for the account");
                    }
                    told = true;
                }
                Attempt::Locked { .. } | Attempt::Queued => {}
            }
            tokio::time::sleep(timing.poll + jitter(timing.poll / 2)).await;
        }
    }

    /// One look, in one transaction: takes the lease where it is free and nobody came earlier, else renews the
    /// place in the queue.
    async fn try_acquire(
        &self,
        account: &str,
        me: &Holder,
        ticket: &mut Option<i64>,
        wait: Wait,
        ttl: Duration,
    ) -> Result<Attempt, StateError> {
        let now = Timestamp::now();
        let until = Until::after(ttl);
        let mut tx = self.begin().await?;
        sqlx::query("delete from lease_waiters where expires <= ?1")
            .bind(now.as_microsecond())
            .execute(&mut *tx)
            .await?;
        if let Wait::Ranked(rank) = wait {
            let place = now.saturating_add(PLACE).unwrap_or(Timestamp::MAX).as_microsecond();
            let kept = sqlx::query("update lease_waiters set expires = ?2 where ticket = ?1")
                .bind(*ticket)
                .bind(place)
                .execute(&mut *tx)
                .await?;
            if kept.rows_affected() == 0 {
                let row = sqlx::query(
                    "insert into lease_waiters (account, expires, rank) values (?1, ?2, ?3) returning ticket",
                )
                .bind(account)
                .bind(place)
                .bind(rank)
                .fetch_one(&mut *tx)
                .await?;
                *ticket = Some(row.try_get("ticket")?);
            }
        }
        let row = sqlx::query("select * from leases where account = ?1").bind(account).fetch_optional(&mut *tx).await?;
        let mut epoch = 0;
        if let Some(row) = &row {
            epoch = row.try_get("epoch")?;
            if let Some((holder, since, expires)) = held_by(row)? {
                if expires > now && !holder.is_dead(me) {
                    tx.commit().await?;
                    return Ok(Attempt::Locked { holder, since });
                }
                tracing::warn!(account, host = holder.host, pid = holder.pid, "took over from a process that is gone");
            }
        }
        if wait != Wait::No {
            let next = "select ticket from lease_waiters where account = ?1 order by rank desc, ticket limit 1";
            let first: Option<i64> = sqlx::query_scalar(next).bind(account).fetch_optional(&mut *tx).await?;
            if first != *ticket {
                tx.commit().await?;
                return Ok(Attempt::Queued);
            }
            sqlx::query("delete from lease_waiters where ticket = ?1").bind(*ticket).execute(&mut *tx).await?;
        }
        epoch += 1;
        sqlx::query(
            "insert into leases (account, epoch, holder, host, machine, pid, born, since, expires)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
             on conflict (account) do update set epoch = ?2, holder = ?3, host = ?4, machine = ?5, pid = ?6,
                born = ?7, since = ?8, expires = ?9",
        )
        .bind(account)
        .bind(epoch)
        .bind(&me.process)
        .bind(&me.host)
        .bind(&me.machine)
        .bind(me.pid)
        .bind(me.born.map(u64::cast_signed))
        .bind(now.as_microsecond())
        .bind(until.day.as_microsecond())
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(Attempt::Got { epoch, until })
    }

    /// Starts renewing.
    fn keep(&self, account: &str, epoch: i64, until: Until, me: Holder, timing: LeaseTiming) -> Lease {
        let (renewed, until) = watch::channel(until);
        let (stop, mut stopped) = watch::channel(());
        let lost = Arc::new(AtomicBool::new(false));
        let renewing = tokio::spawn({
            let (state, account, lost) = (self.clone(), account.to_owned(), Arc::clone(&lost));
            async move {
                loop {
                    tokio::select! {
                        () = tokio::time::sleep(timing.ttl / 3) => {}
                        // The sender is only ever dropped.
                        _ = stopped.changed() => break,
                    }
                    // Before it is asked for: it may be running since then.
                    let until = Until::after(timing.ttl);
                    match state.renew(&account, epoch, &me.process, until.day).await {
                        Ok(true) => {
                            renewed.send_replace(until);
                        }
                        Ok(false) => {
                            tracing::error!(account, "the account was taken over by another process");
                            lost.store(true, Ordering::Release);
                            return;
                        }
                        // The lease may outlast the trouble; `ensure_held` knows when it does not.
                        Err(error) => tracing::warn!(account, error = %error, "the lease could not be renewed"),
                    }
                }
                if let Err(error) = state.free(&account, epoch, &me.process).await {
                    tracing::debug!(account, error = %error, "the lease is left to expire");
                }
            }
        });
        let account = account.to_owned();
        Lease { account, epoch, until, lost, stop: Some(stop), renewing: Some(renewing) }
    }

    async fn renew(&self, account: &str, epoch: i64, process: &str, expires: Timestamp) -> Result<bool, StateError> {
        let done = sqlx::query("update leases set expires = ?4 where account = ?1 and epoch = ?2 and holder = ?3")
            .bind(account)
            .bind(epoch)
            .bind(process)
            .bind(expires.as_microsecond())
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// The epoch stays, so that the next holder's is higher.
    async fn free(&self, account: &str, epoch: i64, process: &str) -> Result<(), StateError> {
        sqlx::query("update leases set holder = null where account = ?1 and epoch = ?2 and holder = ?3")
            .bind(account)
            .bind(epoch)
            .bind(process)
            .execute(&self.pool)
            .await?;
        Ok(())
    }
}

enum Attempt {
    Got { epoch: i64, until: Until },
    Locked { holder: Holder, since: Timestamp },
    Queued,
}

fn held_by(row: &sqlx::sqlite::SqliteRow) -> Result<Option<(Holder, Timestamp, Timestamp)>, StateError> {
    let Some(process) = row.try_get::<Option<String>, _>("holder")? else { return Ok(None) };
    let holder = Holder {
        process,
        host: row.try_get("host")?,
        pid: row.try_get("pid")?,
        machine: row.try_get("machine")?,
        born: row.try_get::<Option<i64>, _>("born")?.map(i64::cast_unsigned),
    };
    Ok(Some((holder, time(row.try_get("since")?)?, time(row.try_get("expires")?)?)))
}

/// A random part of `most`; none where there is no randomness.
fn jitter(most: Duration) -> Duration {
    let mut random = [0];
    aws_lc_rs::rand::fill(&mut random).map_or(Duration::ZERO, |()| most * u32::from(random[0]) / 256)
}

#[cfg(test)]
mod tests {
    use super::super::store::tests::open;
    use super::*;
    use std::io::BufRead as _;
    use std::process::{Child, Command, Stdio};

    const QUICK: LeaseTiming = LeaseTiming { ttl: Duration::from_secs(30), poll: Duration::from_millis(5) };

    /// Puts another process into the row of the account, as that process would have.
    async fn held_by_process(state: &State, account: &str, holder: &Holder, expires_in: i64) {
        let now = Timestamp::now().as_microsecond();
        sqlx::query(
            "insert into leases (account, epoch, holder, host, machine, pid, born, since, expires)
             values (?1, 41, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )
        .bind(account)
        .bind(&holder.process)
        .bind(&holder.host)
        .bind(&holder.machine)
        .bind(holder.pid)
        .bind(holder.born.map(u64::cast_signed))
        .bind(now)
        .bind(now + expires_in * 1_000_000)
        .execute(&state.pool)
        .await
        .expect("inserted");
    }

    fn bystander() -> (Child, Holder) {
        let child = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().expect("a process");
        let holder = Holder {
            process: "another".into(),
            pid: child.id(),
            born: holder::birth(child.id()),
            ..Holder::this().expect("randomness")
        };
        (child, holder)
    }

    #[tokio::test]
    async fn an_account_has_one_writer_among_two_openings() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let (one, two) = (open(dir.path()).await, open(dir.path()).await);
        let lease = one.acquire("hubspot:1", Wait::No, QUICK).await.expect("free");
        lease.ensure_held().expect("held");
        let refused = two.acquire("hubspot:1", Wait::No, QUICK).await.expect_err("held elsewhere");
        assert!(matches!(&refused, StateError::Locked { holder, .. } if holder.pid == std::process::id()));
        assert_eq!(refused.exit_code(), 6);
        let other = two.acquire("hubspot:2", Wait::No, QUICK).await.expect("another account is free");
        assert_eq!((lease.epoch(), other.epoch()), (1, 1));
        lease.release().await;
        assert_eq!(two.acquire("hubspot:1", Wait::No, QUICK).await.expect("free again").epoch(), 2);
    }

    #[tokio::test]
    async fn waiters_are_served_by_rank_and_then_in_the_order_they_came() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        let first = state.acquire("a", Wait::Ranked(0), QUICK).await.expect("free");
        let (done_in, mut done) = tokio::sync::mpsc::unbounded_channel();
        for (n, rank) in [(0, 0), (1, -1), (2, 1), (3, 0)] {
            let (waiter, done_in) = (open(dir.path()).await, done_in.clone());
            tokio::spawn(async move {
                let lease = waiter.acquire("a", Wait::Ranked(rank), QUICK).await.expect("its turn comes");
                done_in.send(n).expect("the test listens");
                lease.release().await;
            });
            // The next one comes only when this one stands in the queue.
            loop {
                let waiting: i64 = sqlx::query_scalar("select count(*) from lease_waiters")
                    .fetch_one(&state.pool)
                    .await
                    .expect("read");
                if waiting == n + 1 {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        first.release().await;
        for n in [2, 0, 3, 1] {
            assert_eq!(done.recv().await, Some(n));
        }
    }

    /// The folder for [`another_process`].
    const FOLDER: &str = "BACKHAUL_TEST_LEASE_FOLDER";

    /// Not a test of its own: what the process does that [`a_holder_that_died_here_is_replaced_at_once`] starts.
    #[tokio::test]
    #[ignore = "run by another test, in a process of its own"]
    async fn another_process() {
        let Some(folder) = std::env::var_os(FOLDER) else { return };
        let state = open(folder.as_ref()).await;
        let _lease = state.acquire("a", Wait::No, QUICK).await.expect("free");
        println!("held");
        std::future::pending::<()>().await;
    }

    #[tokio::test]
    async fn a_holder_that_died_here_is_replaced_at_once() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "state::leases::tests::another_process", "--ignored", "--nocapture"])
            .env(FOLDER, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process");
        let out = std::io::BufReader::new(child.stdout.take().expect("its output"));
        assert!(out.lines().any(|line| line.expect("text").ends_with("held")), "the process took the lease");
        let state = open(dir.path()).await;
        let refused = state.acquire("a", Wait::No, QUICK).await.expect_err("the process lives");
        assert!(matches!(refused, StateError::Locked { holder, .. } if holder.pid == child.id()));
        child.kill().expect("killed");
        child.wait().expect("reaped");
        assert_eq!(state.acquire("a", Wait::No, QUICK).await.expect("taken over").epoch(), 2);
    }

    #[tokio::test]
    async fn a_later_process_with_the_same_id_is_not_the_holder() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        let (mut child, holder) = bystander();
        held_by_process(&state, "a", &Holder { born: Some(1), ..holder }, 3600).await;
        state.acquire("a", Wait::No, QUICK).await.expect("taken over");
        child.kill().expect("killed");
        child.wait().expect("reaped");
    }

    #[tokio::test]
    async fn a_holder_elsewhere_counts_until_its_lease_runs_out() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        let elsewhere = Holder {
            process: "another".into(),
            machine: Some("another boot".into()),
            pid: 4_000_000,
            ..Holder::this().expect("randomness")
        };
        held_by_process(&state, "live", &elsewhere, 3600).await;
        assert!(matches!(state.acquire("live", Wait::No, QUICK).await, Err(StateError::Locked { .. })));
        held_by_process(&state, "gone", &elsewhere, -1).await;
        assert_eq!(state.acquire("gone", Wait::No, QUICK).await.expect("run out").epoch(), 42);
    }

    #[tokio::test]
    async fn a_holder_that_was_replaced_notices() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        let timing = LeaseTiming { ttl: Duration::from_millis(60), ..QUICK };
        let lease = state.acquire("a", Wait::No, timing).await.expect("free");
        sqlx::query("update leases set epoch = epoch + 1").execute(&state.pool).await.expect("taken over");
        while lease.ensure_held().is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        lease.release().await;
        let epoch: i64 = sqlx::query_scalar("select epoch from leases where holder is not null")
            .fetch_one(&state.pool)
            .await
            .expect("the new holder keeps it");
        assert_eq!(epoch, 2);
    }

    #[test]
    fn a_lease_is_over_by_whichever_clock_says_so_first() {
        let hour = Duration::from_secs(3600);
        let until = Until::after(hour);
        assert!(!until.is_over());
        // The machine slept, or its clock was set: others see a lease that has run out.
        assert!(Until { day: Timestamp::now(), ..until }.is_over());
        // The clock was set back: they would see one that never ends.
        assert!(Until { steady: Instant::now(), ..until }.is_over());
    }

    #[tokio::test]
    async fn a_dropped_lease_is_free() {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let state = open(dir.path()).await;
        drop(state.acquire("a", Wait::Ranked(0), QUICK).await.expect("free"));
        assert_eq!(state.acquire("a", Wait::Ranked(0), QUICK).await.expect("free again").epoch(), 2);
    }
}
