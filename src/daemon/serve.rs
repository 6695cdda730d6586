//! The loop: looks what is due, starts it, waits for the next thing to happen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::schedule::{Due, anchor, due};
use super::shutdown::{Shutdown, Stop};
use crate::config::{Project, Schedule};
use crate::state::{RunError, RunStatus, State, StateError, Trigger};

/// The loop looks at the clock at least so often: a sleep does not notice that the clock was set or that the machine
/// was suspended, and runs are approved by other processes.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// A run that did not come to its end is not taken up again sooner.
const RESUME_PAUSE: Duration = Duration::from_secs(60);
/// How long runs may take to come to rest; service managers kill after 30 s.
const DRAIN: Duration = Duration::from_secs(24);

/// Does the runs.
#[async_trait]
pub trait Runner: Send + Sync + 'static {
    /// The runs that can go on now: interrupted ones that no living process works on, and held ones that were
    /// approved since.
    async fn resumable(&self) -> Result<Vec<Resumable>, StateError>;

    /// Makes a run of the sync and does it. When a shutdown is asked for it comes to rest soon, perhaps unfinished.
    async fn run(&self, sync: &str, trigger: Trigger) -> Result<RunStatus, RunError>;

    /// Goes on with a run.
    async fn resume(&self, run: &str) -> Result<RunStatus, RunError>;
}

/// A run that can go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resumable {
    /// Its id.
    pub run: String,
    /// Its sync.
    pub sync: String,
}

/// Where the used slots stand.
#[async_trait]
pub trait Slots: Send + Sync {
    /// The last slot that was used for the sync.
    async fn last(&self, sync: &str) -> Result<Option<Timestamp>, StateError>;

    /// Records a slot as used; durable when it returns.
    async fn record(&self, sync: &str, slot: Timestamp) -> Result<(), StateError>;

    /// When the sync last finished well.
    async fn finished(&self, sync: &str) -> Result<Option<Timestamp>, StateError>;
}

#[async_trait]
impl Slots for State {
    async fn last(&self, sync: &str) -> Result<Option<Timestamp>, StateError> {
        self.last_slot(sync).await
    }

    async fn record(&self, sync: &str, slot: Timestamp) -> Result<(), StateError> {
        self.record_slot(sync, slot).await
    }

    async fn finished(&self, sync: &str) -> Result<Option<Timestamp>, StateError> {
        self.last_success(sync).await
    }
}

/// The wall clock.
pub trait Clock: Send + Sync {
    /// What time it is.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A sync and its schedule.
#[derive(Clone, Debug)]
pub struct Scheduled {
    /// The sync's name.
    pub sync: String,
    /// When it runs.
    pub schedule: Schedule,
}

impl Scheduled {
    /// All syncs of a project.
    pub fn of(project: &Project) -> Vec<Self> {
        let one =
            |sync: &Arc<crate::config::SyncDef>| Self { sync: sync.name.clone(), schedule: sync.schedule.clone() };
        project.syncs.values().map(one).collect()
    }
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Who asked to stop.
    pub by: Stop,
    /// How many runs had not come to rest in time; the next start takes them up.
    pub abandoned: usize,
}

/// Serves until a stop is asked for, then waits for the runs at work.
pub async fn serve(
    syncs: &[Scheduled],
    runner: Arc<dyn Runner>,
    slots: &dyn Slots,
    clock: &dyn Clock,
    mut shutdown: Shutdown,
) -> Drained {
    let mut serving =
        Serving { syncs, runner, slots, clock, tasks: JoinSet::new(), at_work: HashMap::new(), rested: HashMap::new() };
    tracing::info!(syncs = syncs.len(), "serving");
    let by = loop {
        if let Some(by) = shutdown.asked() {
            break by;
        }
        // Never cut short: a slot that was recorded gets its run.
        let wake = serving.look().await;
        tokio::select! {
            by = shutdown.wait() => break by,
            () = tokio::time::sleep(wake) => {}
            Some(ended) = serving.tasks.join_next_with_id() => serving.note(ended),
        }
    };
    tracing::info!(at_work = serving.tasks.len(), "stopping: no new runs, those at work come to rest");
    let deadline = Instant::now() + DRAIN;
    while let Ok(Some(ended)) = tokio::time::timeout_at(deadline, serving.tasks.join_next_with_id()).await {
        serving.note(ended);
    }
    let abandoned = serving.tasks.len();
    if abandoned > 0 {
        tracing::warn!(abandoned, "runs did not come to rest in time; the next start takes them up");
    }
    Drained { by, abandoned }
}

/// What a task at work does.
struct Work {
    sync: String,
    /// The run, where it was taken up again.
    resumed: Option<String>,
}

struct Serving<'a> {
    syncs: &'a [Scheduled],
    runner: Arc<dyn Runner>,
    slots: &'a dyn Slots,
    clock: &'a dyn Clock,
    tasks: JoinSet<Result<RunStatus, RunError>>,
    at_work: HashMap<Id, Work>,
    /// When a run was last taken up without coming to its end.
    rested: HashMap<String, Instant>,
}

impl Serving<'_> {
    fn is_at_work(&self, sync: &str) -> bool {
        self.at_work.values().any(|work| work.sync == sync)
    }

    /// Starts what can go on and what is due; returns how long nothing else is to be done.
    async fn look(&mut self) -> Duration {
        let mut wake = LONGEST_SLEEP;
        let interrupted = match self.runner.resumable().await {
            Ok(runs) => runs,
            Err(error) => {
                tracing::error!(error = %error, remedy = error.remedy(), "cannot look for interrupted runs");
                return wake;
            }
        };
        self.rested.retain(|_, since| since.elapsed() < RESUME_PAUSE);
        for Resumable { run, sync } in &interrupted {
            if self.is_at_work(sync) || self.rested.contains_key(run) {
                continue;
            }
            tracing::info!(sync, run, "taking up");
            let (runner, id) = (Arc::clone(&self.runner), run.clone());
            let task = self.tasks.spawn(async move { runner.resume(&id).await });
            self.at_work.insert(task.id(), Work { sync: sync.clone(), resumed: Some(run.clone()) });
        }
        for scheduled in self.syncs {
            // A sync that still has a run to end begins no other; its slot stays unused until then.
            if self.is_at_work(&scheduled.sync) || interrupted.iter().any(|i| i.sync == scheduled.sync) {
                continue;
            }
            match self.start_if_due(scheduled).await {
                Ok(Some(at)) => {
                    let left = at.duration_since(self.clock.now());
                    wake = wake.min(Duration::try_from(left).unwrap_or(Duration::ZERO));
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::error!(sync = scheduled.sync, error = %error, remedy = error.remedy(), "cannot schedule");
                }
            }
        }
        wake
    }

    /// Starts the sync where it is due; else returns when it will be, as far as the clock tells.
    async fn start_if_due(&mut self, scheduled: &Scheduled) -> Result<Option<Timestamp>, StateError> {
        let Scheduled { sync, schedule } = scheduled;
        let now = self.clock.now();
        let mut last = self.slots.last(sync).await?;
        if let Some(start) = anchor(schedule, last, now) {
            if let Some(ahead) = last {
                tracing::warn!(sync, slot = %ahead, "the last slot lies ahead of the clock: counting from now");
            }
            self.slots.record(sync, start).await?;
            last = Some(start);
        }
        let mut parents = Vec::new();
        if let Schedule::After(names) = schedule {
            for name in names {
                parents.push(self.slots.finished(name).await?);
            }
        }
        let slot = match due(schedule, last, &parents, now) {
            Due::Now { slot } => slot,
            Due::At(at) => return Ok(Some(at)),
            Due::Unknown => return Ok(None),
        };
        self.slots.record(sync, slot).await?;
        let trigger = if matches!(schedule, Schedule::After(_)) { Trigger::After } else { Trigger::Schedule };
        tracing::info!(sync, slot = %slot, "due");
        let (runner, name) = (Arc::clone(&self.runner), sync.clone());
        let task = self.tasks.spawn(async move { runner.run(&name, trigger).await });
        self.at_work.insert(task.id(), Work { sync: sync.clone(), resumed: None });
        Ok(None)
    }

    /// Says how a task ended and frees its sync.
    fn note(&mut self, ended: Result<(Id, Result<RunStatus, RunError>), JoinError>) {
        let (id, result) = match ended {
            Ok((id, result)) => (id, Ok(result)),
            Err(error) => (error.id(), Err(error)),
        };
        let Some(Work { sync, resumed }) = self.at_work.remove(&id) else { return };
        let over = match result {
            Ok(Ok(status)) => {
                tracing::info!(sync, status = status.as_str(), "run came to rest");
                status.terminal()
            }
            Ok(Err(error)) => {
                tracing::error!(sync, class = error.class, error = error.message, remedy = error.remedy, "run failed");
                false
            }
            Err(_) => {
                tracing::error!(sync, "run broke off: this is a defect of backhaul; it is taken up again");
                false
            }
        };
        if let Some(run) = resumed.filter(|_| !over) {
            self.rested.insert(run, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicI64, Ordering};

    /// A wall clock that goes with tokio's paused one and can be set.
    struct TestClock {
        start: Instant,
        step: AtomicI64,
    }

    impl TestClock {
        fn new() -> Self {
            Self { start: Instant::now(), step: AtomicI64::new(0) }
        }
    }

    impl Clock for TestClock {
        fn now(&self) -> Timestamp {
            let base: Timestamp = "2026-11-20T12:00:00Z".parse().expect("a timestamp");
            let passed = SignedDuration::try_from(self.start.elapsed()).expect("in range");
            base + passed + SignedDuration::from_secs(self.step.load(Ordering::Relaxed))
        }
    }

    #[derive(Default)]
    struct Memory {
        slots: Mutex<HashMap<String, Timestamp>>,
        finished: Mutex<HashMap<String, Timestamp>>,
    }

    #[async_trait]
    impl Slots for Memory {
        async fn last(&self, sync: &str) -> Result<Option<Timestamp>, StateError> {
            Ok(self.slots.lock().expect("unpoisoned").get(sync).copied())
        }

        async fn record(&self, sync: &str, slot: Timestamp) -> Result<(), StateError> {
            self.slots.lock().expect("unpoisoned").insert(sync.into(), slot);
            Ok(())
        }

        async fn finished(&self, sync: &str) -> Result<Option<Timestamp>, StateError> {
            Ok(self.finished.lock().expect("unpoisoned").get(sync).copied())
        }
    }

    /// Writes down what it is asked to do; every run takes `takes`.
    struct Journal {
        clock: Arc<TestClock>,
        memory: Arc<Memory>,
        takes: Duration,
        interrupted: Mutex<Vec<Resumable>>,
        resumed_to: RunStatus,
        entries: Mutex<Vec<String>>,
    }

    impl Journal {
        fn new(clock: &Arc<TestClock>, memory: &Arc<Memory>, takes: u64) -> Arc<Self> {
            Arc::new(Self::plain(clock, memory, takes))
        }

        fn plain(clock: &Arc<TestClock>, memory: &Arc<Memory>, takes: u64) -> Self {
            Self {
                clock: Arc::clone(clock),
                memory: Arc::clone(memory),
                takes: Duration::from_secs(takes),
                interrupted: Mutex::default(),
                resumed_to: RunStatus::Succeeded,
                entries: Mutex::default(),
            }
        }

        fn write(&self, what: &str) {
            let minutes = self.clock.start.elapsed().as_secs() / 60;
            self.entries.lock().expect("unpoisoned").push(format!("{minutes:02} {what}"));
        }

        fn entries(&self) -> Vec<String> {
            self.entries.lock().expect("unpoisoned").clone()
        }
    }

    #[async_trait]
    impl Runner for Journal {
        async fn resumable(&self) -> Result<Vec<Resumable>, StateError> {
            Ok(self.interrupted.lock().expect("unpoisoned").clone())
        }

        async fn run(&self, sync: &str, trigger: Trigger) -> Result<RunStatus, RunError> {
            self.write(&format!("{sync} {}", trigger.as_str()));
            tokio::time::sleep(self.takes).await;
            assert_ne!(sync, "panics", "as it was told to");
            self.memory.finished.lock().expect("unpoisoned").insert(sync.into(), self.clock.now());
            Ok(RunStatus::Succeeded)
        }

        async fn resume(&self, run: &str) -> Result<RunStatus, RunError> {
            self.write(&format!("resume {run}"));
            tokio::time::sleep(self.takes).await;
            if self.resumed_to.terminal() {
                self.interrupted.lock().expect("unpoisoned").retain(|i| i.run != run);
            }
            Ok(self.resumed_to)
        }
    }

    fn every(sync: &str, minutes: u64) -> Scheduled {
        Scheduled { sync: sync.into(), schedule: Schedule::Every(Duration::from_secs(60 * minutes)) }
    }

    /// Serves for so many minutes of paused time.
    async fn serve_for(minutes: u64, syncs: &[Scheduled], runner: &Arc<Journal>) -> Drained {
        let (ask, shutdown) = Shutdown::new();
        let (clock, memory) = (Arc::clone(&runner.clock), Arc::clone(&runner.memory));
        let stop = async {
            tokio::time::sleep(Duration::from_secs(60 * minutes)).await;
            ask.send_replace(Some(Stop::Terminate));
        };
        let runner: Arc<dyn Runner> = Arc::<Journal>::clone(runner);
        tokio::join!(serve(syncs, runner, memory.as_ref(), clock.as_ref(), shutdown), stop).0
    }

    fn fixture() -> (Arc<TestClock>, Arc<Memory>) {
        (Arc::new(TestClock::new()), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn syncs_run_on_their_slots_and_children_after_them() {
        let (clock, memory) = fixture();
        let runner = Journal::new(&clock, &memory, 30);
        let child = Scheduled { sync: "child".into(), schedule: Schedule::After(vec!["a".into()]) };
        let manual = Scheduled { sync: "manual".into(), schedule: Schedule::Manual };
        let drained = serve_for(31, &[every("a", 15), every("b", 20), child, manual], &runner).await;
        assert_eq!(drained, Drained { by: Stop::Terminate, abandoned: 0 });
        let expected = [
            "00 a schedule",
            "00 b schedule",
            "00 child after",
            "15 a schedule",
            "15 child after",
            "20 b schedule",
            "30 a schedule",
            "30 child after",
        ];
        assert_eq!(runner.entries(), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_sync_has_one_run_at_a_time_and_missed_slots_become_one() {
        let (clock, memory) = fixture();
        let runner = Journal::new(&clock, &memory, 40 * 60);
        let drained = serve_for(90, &[every("slow", 15)], &runner).await;
        assert_eq!(runner.entries(), ["00 slow schedule", "40 slow schedule", "80 slow schedule"]);
        assert_eq!(drained.abandoned, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_uses_no_slot_twice() {
        let (clock, memory) = fixture();
        let runner = Journal::new(&clock, &memory, 1);
        serve_for(7, &[every("a", 15)], &runner).await;
        serve_for(15, &[every("a", 15)], &runner).await;
        assert_eq!(runner.entries(), ["00 a schedule", "15 a schedule"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_forward_by_a_day_brings_one_run_and_no_burst() {
        let (clock, memory) = fixture();
        let runner = Journal::new(&clock, &memory, 1);
        let step = async {
            tokio::time::sleep(Duration::from_secs(5 * 60)).await;
            clock.step.store(86_400, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(15 * 60)).await;
            clock.step.store(0, Ordering::Relaxed);
        };
        let syncs = [every("a", 15)];
        tokio::join!(serve_for(46, &syncs, &runner), step);
        let seen = ["00 a schedule", "05 a schedule", "15 a schedule", "30 a schedule", "45 a schedule"];
        assert_eq!(runner.entries(), seen);
    }

    #[tokio::test(start_paused = true)]
    async fn an_interrupted_run_goes_on_before_its_sync_runs_again() {
        let (clock, memory) = fixture();
        let runner = Journal::new(&clock, &memory, 60);
        *runner.interrupted.lock().expect("unpoisoned") = vec![Resumable { run: "r1".into(), sync: "a".into() }];
        serve_for(3, &[every("a", 15), every("b", 15)], &runner).await;
        assert_eq!(runner.entries(), ["00 resume r1", "00 b schedule", "01 a schedule"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_cannot_go_on_is_not_tried_without_pause() {
        let (clock, memory) = fixture();
        let runner = Arc::new(Journal { resumed_to: RunStatus::Settling, ..Journal::plain(&clock, &memory, 0) });
        *runner.interrupted.lock().expect("unpoisoned") = vec![Resumable { run: "r1".into(), sync: "a".into() }];
        serve_for(3, &[every("a", 15)], &runner).await;
        assert_eq!(runner.entries(), ["00 resume r1", "01 resume r1", "02 resume r1"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_broken_run_does_not_end_the_service() {
        let (clock, memory) = fixture();
        let runner = Journal::new(&clock, &memory, 1);
        serve_for(16, &[every("a", 15), every("panics", 15)], &runner).await;
        assert_eq!(runner.entries(), ["00 a schedule", "00 panics schedule", "15 a schedule", "15 panics schedule"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_waits_for_runs_at_work_but_not_for_ever() {
        let (clock, memory) = fixture();
        let quick = Journal::new(&clock, &memory, 70);
        assert_eq!(serve_for(1, &[every("a", 60)], &quick).await.abandoned, 0);
        let before = Instant::now();
        let slow = Journal::new(&clock, &memory, 3600);
        assert_eq!(serve_for(1, &[every("b", 60)], &slow).await.abandoned, 1);
        assert_eq!(before.elapsed(), Duration::from_secs(60) + DRAIN);
    }
}
