//! A scripted destination, and a log with what goes around a delivery.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Facts, Fault, Finder, Lookup, Match, Operation, Outcomes, Progress,
    Reason, RequestPreview, Run, Ticket, Tickets, Verdict,
};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{op, phase};
use crate::deliver::{
    Counts, DeliverError, Delivered, Job, Phase, Policy, ProgressSink, RejectSink, RejectedRow, deliver,
};
use crate::snapshot::log::{LogWriter, Replay};

pub(super) const RUN: &str = "run-1";
pub(super) const SECOND: Duration = Duration::from_secs(1);

/// One `write` as the destination saw it.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) at: Duration,
    pub(super) ops: Vec<u64>,
    pub(super) operation: Operation,
    pub(super) last: bool,
}

/// What a look-up says of a match value.
type Records = fn(&str) -> Result<Match, Fault>;

type Script = Box<dyn Fn(usize, &Batch) -> Result<Delivery, Fault> + Send + Sync>;

/// A destination that answers as the script says: the number of the call and its batch go in.
pub(super) struct Scripted {
    started: Instant,
    latency: Duration,
    script: Script,
    calls: Mutex<Vec<Call>>,
    pub(super) begun: AtomicU64,
    pub(super) finished: AtomicU64,
    pub(super) commit: bool,
    pub(super) polls: AtomicU64,
    /// Where records are removed by their ids.
    pub(super) records: Option<Records>,
}

impl Scripted {
    pub(super) fn new(script: impl Fn(usize, &Batch) -> Result<Delivery, Fault> + Send + Sync + 'static) -> Self {
        Self {
            started: Instant::now(),
            latency: Duration::from_millis(50),
            script: Box::new(script),
            calls: Mutex::default(),
            begun: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            commit: true,
            polls: AtomicU64::new(0),
            records: None,
        }
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no panic while held").clone()
    }

    /// How often each op was sent.
    pub(super) fn times_sent(&self, op: u64) -> usize {
        self.calls().iter().filter(|call| call.ops.contains(&op)).count()
    }
}

#[async_trait]
impl Destination for Scripted {
    async fn check(&self) -> Result<AccountReport, Fault> {
        Ok(AccountReport::default())
    }

    async fn lookup(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        let told = self.records.expect("nothing is looked up");
        query.values.iter().map(|value| told(&value.to_text())).collect()
    }

    fn finder(&self, operation: Operation) -> Option<Finder> {
        let is_needed = self.records.is_some() && operation.is_removal();
        is_needed.then(|| Finder { object: "o".into(), by: "f".into(), place: 0, upserts: true, most: 10 })
    }

    async fn begin(&self, _run: &Run) -> Result<Option<Ticket>, Fault> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Ok(Some(ticket("session")))
    }

    async fn write(&self, _run: &Run, batch: &Batch, tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        let number = {
            let mut calls = self.calls.lock().expect("no panic while held");
            calls.push(Call {
                at: self.started.elapsed(),
                ops: batch.rows.iter().map(|row| row.op).collect(),
                operation: batch.operation,
                last: batch.last,
            });
            calls.len() - 1
        };
        tokio::time::sleep(self.latency).await;
        let answer = (self.script)(number, batch);
        if let Ok(Delivery::Pending(ticket)) = &answer {
            tickets.save.save(ticket).await?;
        }
        answer
    }

    async fn finish(&self, _run: &Run, _session: &Ticket) -> Result<Delivery, Fault> {
        self.finished.fetch_add(1, Ordering::SeqCst);
        if self.commit { Ok(Delivery::Committed) } else { Err(Fault::ambiguous("no answer")) }
    }

    async fn poll(&self, _run: &Run, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        let polls = self.polls.fetch_add(1, Ordering::SeqCst);
        Ok(match ticket.kind.as_str() {
            "lost" => Progress::Lost,
            "endless" => Progress::Running { after: SECOND },
            "unreachable" if polls < 12 => return Err(Fault::transient("nobody answers")),
            "partly" if batch.rows.iter().any(|row| row.op == 3) => match batch.rows.len() {
                1 => Progress::Done(Outcomes::all(batch, &Verdict::Rejected(Reason::new("BAD", "no")))),
                _ => return Err(Fault::split("some of the rows were taken")),
            },
            _ if polls < 3 => Progress::Running { after: SECOND },
            _ => Progress::Done(Outcomes::all(batch, &Verdict::Unchanged)),
        })
    }

    fn preview(&self, _run: &Run, _batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        Ok(Vec::new())
    }
}

pub(super) fn ticket(kind: &str) -> Ticket {
    Ticket { kind: kind.into(), version: 1, body: serde_json::json!({}) }
}

pub(super) fn written(batch: &Batch) -> Result<Delivery, Fault> {
    let mut outcomes = Outcomes::of(batch);
    for row in &batch.rows {
        outcomes.set(row.op, Verdict::Written { remote_id: Some(format!("r{}", row.op)) })?;
    }
    Ok(Delivery::Settled(outcomes))
}

#[derive(Default)]
pub(super) struct Rejects {
    pub(super) rows: Mutex<Vec<RejectedRow>>,
    pub(super) full: bool,
}

#[async_trait]
impl RejectSink for Rejects {
    async fn rejected(&self, rows: Vec<RejectedRow>) -> Result<(), Fault> {
        if self.full {
            return Err(Fault::transient("disk full"));
        }
        self.rows.lock().expect("no panic while held").extend(rows);
        Ok(())
    }
}

struct Quiet;

impl ProgressSink for Quiet {
    fn progress(&self, _counts: Counts) {}
}

/// A log and what goes around a delivery.
pub(super) struct Bench {
    folder: tempfile::TempDir,
    pub(super) rejects: Arc<Rejects>,
    pub(super) cancel: watch::Sender<bool>,
}

impl Bench {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, rejects: Arc::default(), cancel: watch::channel(false).0 }
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("run.log")
    }

    pub(super) fn replay(&self) -> Replay {
        Replay::read(&self.path(), RUN).expect("a sound log")
    }

    pub(super) async fn deliver(
        &self,
        destination: &Arc<Scripted>,
        phases: Vec<Phase>,
    ) -> Result<Delivered, DeliverError> {
        let (log, already) = if self.path().exists() {
            let replay = self.replay();
            let log = LogWriter::resume(&self.path(), RUN, &replay).expect("an open log");
            (log, Some(Arc::new(replay)))
        } else {
            (LogWriter::create(&self.path(), RUN).expect("a new log"), None)
        };
        let job = Job {
            destination: destination.clone(),
            run: Run { id: RUN.into(), sync: "people".into(), rows: 0, started: jiff::Timestamp::UNIX_EPOCH },
            phases,
            log,
            already,
            sends: true,
            rejects: self.rejects.clone(),
            progress: Arc::new(Quiet),
            cancel: self.cancel.subscribe(),
            policy: Policy::default(),
        };
        deliver(job).await
    }

    pub(super) async fn upsert(&self, destination: &Arc<Scripted>, facts: &Facts, rows: u64) -> Delivered {
        let phases = vec![phase(Operation::Upsert, facts, (0..rows).map(op))];
        self.deliver(destination, phases).await.expect("a sound log")
    }
}
