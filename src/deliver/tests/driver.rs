use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Facts, Fault, FaultClass, Operation, Outcomes, Progress, Reason,
    RequestPreview, Run, SaveTicket, Session, Ticket, Verdict,
};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{facts, op, phase};
use crate::deliver::{
    Counts, DeliverError, Delivered, Job, Phase, Policy, ProgressSink, RejectSink, RejectedRow, deliver,
};
use crate::snapshot::log::{Fate, LogWriter, Replay, Standing};

const RUN: &str = "run-1";
const SECOND: Duration = Duration::from_secs(1);

/// One `write` as the destination saw it.
#[derive(Clone, Debug)]
struct Call {
    at: Duration,
    ops: Vec<u64>,
    operation: Operation,
    last: bool,
}

type Script = Box<dyn Fn(usize, &Batch) -> Result<Delivery, Fault> + Send + Sync>;

/// A destination that answers as the script says: the number of the call and its batch go in.
struct Scripted {
    started: Instant,
    latency: Duration,
    script: Script,
    calls: Mutex<Vec<Call>>,
    begun: AtomicU64,
    finished: AtomicU64,
    commit: bool,
    polls: AtomicU64,
}

impl Scripted {
    fn new(script: impl Fn(usize, &Batch) -> Result<Delivery, Fault> + Send + Sync + 'static) -> Self {
        Self {
            started: Instant::now(),
            latency: Duration::from_millis(50),
            script: Box::new(script),
            calls: Mutex::default(),
            begun: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            commit: true,
            polls: AtomicU64::new(0),
        }
    }

    fn calls(&self) -> Vec<Call> {
        self.calls.lock().expect("no panic while held").clone()
    }

    /// How often each op was sent.
    fn times_sent(&self, op: u64) -> usize {
        self.calls().iter().filter(|call| call.ops.contains(&op)).count()
    }
}

#[async_trait]
impl Destination for Scripted {
    async fn check(&self) -> Result<AccountReport, Fault> {
        Ok(AccountReport::default())
    }

    async fn begin(&self, _run: &Run) -> Result<Option<Ticket>, Fault> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        Ok(Some(ticket("session")))
    }

    async fn write(
        &self,
        _run: &Run,
        _session: Option<&Ticket>,
        batch: &Batch,
        save: &dyn SaveTicket,
    ) -> Result<Delivery, Fault> {
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
            save.save(ticket).await?;
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
            _ if polls < 3 => Progress::Running { after: SECOND },
            _ => Progress::Done(Outcomes::all(batch, &Verdict::Unchanged)),
        })
    }

    fn preview(&self, _run: &Run, _batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        Ok(Vec::new())
    }
}

fn ticket(kind: &str) -> Ticket {
    Ticket { kind: kind.into(), version: 1, body: serde_json::json!({}) }
}

fn written(batch: &Batch) -> Result<Delivery, Fault> {
    let mut outcomes = Outcomes::of(batch);
    for row in &batch.rows {
        outcomes.set(row.op, Verdict::Written { remote_id: Some(format!("r{}", row.op)) })?;
    }
    Ok(Delivery::Settled(outcomes))
}

#[derive(Default)]
struct Rejects {
    rows: Mutex<Vec<RejectedRow>>,
    full: bool,
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
struct Bench {
    folder: tempfile::TempDir,
    rejects: Arc<Rejects>,
    cancel: watch::Sender<bool>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder, rejects: Arc::default(), cancel: watch::channel(false).0 }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("run.log")
    }

    fn replay(&self) -> Replay {
        Replay::read(&self.path(), RUN).expect("a sound log")
    }

    async fn deliver(&self, destination: &Arc<Scripted>, phases: Vec<Phase>) -> Result<Delivered, DeliverError> {
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
            rejects: self.rejects.clone(),
            progress: Arc::new(Quiet),
            cancel: self.cancel.subscribe(),
            policy: Policy::default(),
        };
        deliver(job).await
    }

    async fn upsert(&self, destination: &Arc<Scripted>, facts: &Facts, rows: u64) -> Delivered {
        let phases = vec![phase(Operation::Upsert, facts, (0..rows).map(op))];
        self.deliver(destination, phases).await.expect("a sound log")
    }
}

#[tokio::test(start_paused = true)]
async fn three_bad_rows_of_a_thousand_are_rejected_and_the_rest_arrives() {
    let destination = Arc::new(Scripted::new(|_, batch| {
        let mut outcomes = Outcomes::of(batch);
        for row in &batch.rows {
            let bad = [3, 500, 999].contains(&row.op);
            let reason = || Reason::new("INVALID_EMAIL", "not an address");
            outcomes.set(row.op, if bad { Verdict::Rejected(reason()) } else { Verdict::Unchanged })?;
        }
        Ok(Delivery::Settled(outcomes))
    }));
    let bench = Bench::new();
    let facts = Facts { max_rows: 1000, ..facts() };
    let delivered = bench.upsert(&destination, &facts, 1000).await;
    assert_eq!(delivered.counts, Counts { accepted: 997, rejected: 3, calls: 1, ..Counts::default() });
    let replay = bench.replay();
    assert_eq!(replay.sealed(), delivered.sealed);
    assert_eq!((0..1000).filter(|op| replay.standing(*op) == Standing::Accepted).count(), 997);
    let rejected = bench.rejects.rows.lock().expect("rows");
    assert_eq!(rejected.iter().map(|row| row.op).collect::<Vec<_>>(), [3, 500, 999]);
    assert!(rejected.iter().all(|row| row.reason.code == "INVALID_EMAIL" && row.attempts == 1 && !row.key.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn poison_rows_are_found_by_bisecting_within_the_bound() {
    const POISON: [u64; 3] = [17, 18, 940];
    let destination = Arc::new(Scripted::new(|_, batch| {
        let poisoned = batch.rows.iter().any(|row| POISON.contains(&row.op));
        if poisoned { Err(Fault::split("a row is bad")) } else { written(batch) }
    }));
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &Facts { max_rows: 1000, ..facts() }, 1000).await;
    assert_eq!((delivered.counts.accepted, delivered.counts.rejected), (997, 3));
    let bound = 2 * POISON.len() as u64 * 10 + 1;
    assert!(delivered.counts.calls <= bound, "{} calls, {bound} allowed", delivered.counts.calls);
    let rejected: Vec<u64> = bench.rejects.rows.lock().expect("rows").iter().map(|row| row.op).collect();
    assert_eq!(rejected.len(), 3);
    assert!(rejected.iter().all(|op| POISON.contains(op)));
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_by_every_worker_and_no_row_is_lost() {
    let destination = Arc::new(Scripted::new(|number, batch| match number {
        0..3 => Err(Fault::throttled("slow down", Some(30 * SECOND))),
        _ => written(batch),
    }));
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &Facts { concurrency: 3, ..facts() }, 100).await;
    assert_eq!(delivered.counts.accepted, 100);
    assert_eq!(delivered.counts.deferred, 0);
    let calls = destination.calls();
    assert!(calls[..3].iter().all(|call| call.at < SECOND));
    let reopened = calls[3].at;
    assert!(reopened >= 30 * SECOND && reopened < 32 * SECOND, "{reopened:?}");
    assert!(calls[4].at >= reopened + Duration::from_millis(50), "the first call after the wait is a probe");
    assert_eq!(bench.replay().remote_id(99), Some("r99"));
}

#[tokio::test(start_paused = true)]
async fn after_a_spell_of_server_errors_no_row_is_lost_and_no_accepted_row_is_sent_again() {
    let destination = Arc::new(Scripted::new(|number, batch| match number {
        2..6 => Err(Fault::transient("the destination answered 503")),
        6 => Err(Fault::throttled("the destination answered 429", Some(5 * SECOND))),
        _ => written(batch),
    }));
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &facts(), 200).await;
    assert_eq!(delivered.counts, Counts { accepted: 200, calls: 25, ..Counts::default() });
    let calls = destination.calls();
    for op in 0..200 {
        let failed = calls[2..=6].iter().filter(|call| call.ops.contains(&op)).count();
        assert_eq!(destination.times_sent(op), failed + 1, "op {op}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_sent_again_where_that_is_safe_and_not_too_soon() {
    let destination = Arc::new(Scripted::new(|number, batch| match number {
        0 => Err(Fault::ambiguous("no answer")),
        _ => written(batch),
    }));
    let bench = Bench::new();
    let facts = Facts { settle_after: 45 * SECOND, concurrency: 1, ..facts() };
    let delivered = bench.upsert(&destination, &facts, 30).await;
    assert_eq!(delivered.counts.accepted, 30);
    let again = destination.calls().into_iter().skip(1).find(|call| call.ops.contains(&0)).expect("sent again");
    assert!(again.at >= 45 * SECOND, "{:?}", again.at);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_leaves_doubt_where_sending_again_is_not_safe() {
    let destination = Arc::new(Scripted::new(|number, batch| match number {
        1 => Err(Fault::ambiguous("no answer")),
        _ => written(batch),
    }));
    let bench = Bench::new();
    let facts = Facts { resend_safe: false, concurrency: 1, ..facts() };
    let delivered = bench.upsert(&destination, &facts, 30).await;
    assert_eq!(delivered.counts, Counts { accepted: 20, unknown: 10, calls: 3, ..Counts::default() });
    let replay = bench.replay();
    assert!((10..20).all(|op| replay.standing(op) == Standing::InDoubt));
    assert!((10..20).all(|op| destination.times_sent(op) == 1));
}

#[tokio::test(start_paused = true)]
async fn rows_that_an_answer_does_not_name_are_never_taken_for_accepted() {
    let destination = Arc::new(Scripted::new(|_, batch| {
        let mut outcomes = Outcomes::of(batch);
        for row in batch.rows.iter().filter(|row| row.op != 4) {
            outcomes.set(row.op, Verdict::Unchanged)?;
        }
        Ok(Delivery::Settled(outcomes))
    }));
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &facts(), 10).await;
    assert_eq!((delivered.counts.accepted, delivered.counts.unknown), (9, 1));
    assert_eq!(destination.times_sent(4), 5);
    assert_eq!(bench.replay().standing(4), Standing::InDoubt);
}

#[tokio::test(start_paused = true)]
async fn an_ordered_session_goes_batch_by_batch_and_marks_the_last() {
    for rows in [1, 10, 100, 105] {
        let destination = Arc::new(Scripted::new(|_, _| Ok(Delivery::Staged)));
        let bench = Bench::new();
        let facts = Facts { session: Session::Ordered, concurrency: 4, ..facts() };
        let phases = vec![
            phase(Operation::Upsert, &facts, (0..rows).map(op)),
            phase(Operation::Archive, &facts, (rows..rows + 5).map(op)),
            phase(Operation::Delete, &facts, []),
        ];
        let delivered = bench.deliver(&destination, phases).await.expect("a sound log");
        assert_eq!(delivered.counts.accepted, rows + 5);
        let calls = destination.calls();
        let order: Vec<u64> = calls.iter().flat_map(|call| call.ops.clone()).collect();
        assert_eq!(order, (0..rows + 5).collect::<Vec<_>>());
        assert!(calls.windows(2).all(|pair| pair[1].at >= pair[0].at + Duration::from_millis(50)));
        let last: Vec<bool> = calls.iter().map(|call| call.last).collect();
        assert_eq!(last.iter().position(|last| *last), Some(calls.len() - 1), "{rows} rows: {last:?}");
        assert_eq!((destination.begun.load(Ordering::SeqCst), destination.finished.load(Ordering::SeqCst)), (1, 1));
        let replay = bench.replay();
        assert!((0..rows + 5).all(|op| replay.standing(op) == Standing::Accepted));
    }
}

#[tokio::test(start_paused = true)]
async fn an_ordered_session_sends_the_last_batch_again_as_the_last() {
    let destination = Arc::new(Scripted::new(|number, _| match number {
        0 | 2 => Err(Fault::transient("busy")),
        _ => Ok(Delivery::Staged),
    }));
    let bench = Bench::new();
    let facts = Facts { session: Session::Ordered, ..facts() };
    bench.upsert(&destination, &facts, 20).await;
    let calls: Vec<(u64, bool)> = destination.calls().iter().map(|call| (call.ops[0], call.last)).collect();
    assert_eq!(calls, [(0, false), (0, false), (10, true), (10, true)]);
}

#[tokio::test(start_paused = true)]
async fn staged_rows_of_a_session_that_was_not_committed_are_in_doubt() {
    let mut scripted = Scripted::new(|_, _| Ok(Delivery::Staged));
    scripted.commit = false;
    let destination = Arc::new(scripted);
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &Facts { session: Session::AnyOrder, ..facts() }, 30).await;
    assert_eq!((delivered.counts.accepted, delivered.counts.unknown), (0, 30));
    assert_eq!(delivered.stopped_by.map(|fault| fault.class), Some(FaultClass::Ambiguous));
    let replay = bench.replay();
    assert!((0..30).all(|op| replay.standing(op) == Standing::InDoubt));
    assert_eq!(replay.standing(30), Standing::Kept);
}

#[tokio::test(start_paused = true)]
async fn a_session_is_not_begun_for_nothing_nor_committed_when_it_was_cut_short() {
    let destination = Arc::new(Scripted::new(|_, _| Ok(Delivery::Staged)));
    let facts = Facts { session: Session::AnyOrder, ..facts() };
    Bench::new().upsert(&destination, &facts, 0).await;
    assert_eq!(destination.begun.load(Ordering::SeqCst), 0);
    let refusing = Arc::new(Scripted::new(|number, _| match number {
        0 => Ok(Delivery::Staged),
        _ => Err(Fault::auth("revoked")),
    }));
    Bench::new().upsert(&refusing, &facts, 100).await;
    assert_eq!(refusing.finished.load(Ordering::SeqCst), 0);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_polled_until_it_is_done() {
    let destination = Arc::new(Scripted::new(|_, _| Ok(Delivery::Pending(ticket("bulk")))));
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &Facts { concurrency: 1, ..facts() }, 10).await;
    assert_eq!(delivered.counts.accepted, 10);
    assert_eq!(destination.polls.load(Ordering::SeqCst), 4);
    assert_eq!(bench.replay().open_tickets().count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_job_leaves_its_rows_in_doubt() {
    let destination = Arc::new(Scripted::new(|_, _| Ok(Delivery::Pending(ticket("lost")))));
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &facts(), 10).await;
    assert_eq!(delivered.counts.unknown, 10);
    assert_eq!(bench.replay().open_tickets().count(), 0);
    assert_eq!(bench.replay().fate(0), Some(Fate::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_still_running_at_the_end_keeps_its_ticket_in_the_log() {
    let destination = Arc::new(Scripted::new(|_, _| Ok(Delivery::Pending(ticket("endless")))));
    let bench = Bench::new();
    let cancel = bench.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(90 * SECOND).await;
        cancel.send_replace(true);
    });
    let delivered = bench.upsert(&destination, &Facts { concurrency: 1, ..facts() }, 30).await;
    assert!(delivered.interrupted);
    assert_eq!(delivered.counts.unknown, 10);
    let replay = bench.replay();
    assert_eq!(replay.open_tickets().map(|ticket| ticket.ops.len()).collect::<Vec<_>>(), [10]);
    assert!((0..10).all(|op| replay.standing(op) == Standing::InDoubt));
    assert!((10..30).all(|op| replay.standing(op) == Standing::Kept));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_delivery_finishes_what_is_in_flight_and_can_be_resumed() {
    let destination = Arc::new(Scripted::new(|_, batch| written(batch)));
    let bench = Bench::new();
    let cancel = bench.cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(120)).await;
        cancel.send_replace(true);
    });
    let first = bench.upsert(&destination, &facts(), 500).await;
    assert!(first.interrupted && first.sealed.is_none());
    assert!(first.counts.accepted > 0 && first.counts.accepted < 500);
    assert_eq!(first.counts.accepted, destination.calls().iter().map(|call| call.ops.len() as u64).sum::<u64>());
    let replay = bench.replay();
    assert_eq!((0..500).filter(|op| replay.standing(*op) == Standing::InDoubt).count(), 0);

    bench.cancel.send_replace(false);
    let second = bench.upsert(&destination, &facts(), 500).await;
    assert!(!second.interrupted && second.sealed.is_some());
    assert_eq!(first.counts.accepted + second.counts.accepted, 500);
    assert!((0..500).all(|op| destination.times_sent(op) == 1));
}

#[tokio::test(start_paused = true)]
async fn a_revoked_credential_stops_the_run_within_the_batches_in_flight() {
    let destination = Arc::new(Scripted::new(|number, batch| match number {
        0 | 1 => written(batch),
        2 => Err(Fault::auth("revoked")),
        _ => written(batch),
    }));
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &facts(), 500).await;
    assert_eq!(delivered.stopped_by.map(|fault| fault.class), Some(FaultClass::Auth));
    assert_eq!(delivered.counts, Counts { accepted: 30, deferred: 10, calls: 4, ..Counts::default() });
    assert!(delivered.sealed.is_some());
    let replay = bench.replay();
    assert!((40..500).all(|op| replay.standing(op) == Standing::Kept), "what was not sent is not in doubt");
}

#[tokio::test(start_paused = true)]
async fn a_plan_that_cannot_be_read_stops_the_run() {
    let destination = Arc::new(Scripted::new(|_, batch| written(batch)));
    let bench = Bench::new();
    let ops = (0..100).map(|n| Ok(op(n))).chain([Err(Fault::bug("the plan is damaged"))]);
    let phases = vec![Phase { operation: Operation::Upsert, facts: facts(), ops: Box::new(ops) }];
    let delivered = bench.deliver(&destination, phases).await.expect("a sound log");
    assert_eq!(delivered.stopped_by.map(|fault| fault.message), Some("the plan is damaged".into()));
}

#[tokio::test(start_paused = true)]
async fn ops_are_read_no_further_ahead_than_memory_allows() {
    let read = Arc::new(AtomicU64::new(0));
    let destination = Arc::new(Scripted::new({
        let read = read.clone();
        move |number, batch| {
            let ahead = read.load(Ordering::SeqCst) - number as u64 * 100;
            // Four in flight, one batch ahead and one being read.
            assert!(ahead <= 700, "{ahead} rows ahead at call {number}");
            written(batch)
        }
    }));
    let ops = (0..20_000).map(move |n| {
        read.fetch_add(1, Ordering::SeqCst);
        Ok(op(n))
    });
    let facts = Facts { max_rows: 100, concurrency: 4, ..facts() };
    let bench = Bench::new();
    let phases = vec![Phase { operation: Operation::Upsert, facts, ops: Box::new(ops) }];
    let delivered = bench.deliver(&destination, phases).await.expect("a sound log");
    assert_eq!(delivered.counts, Counts { accepted: 20_000, calls: 200, ..Counts::default() });
}

#[tokio::test(start_paused = true)]
async fn phases_run_one_after_the_other() {
    let destination = Arc::new(Scripted::new(|number, batch| match number {
        1 => Err(Fault::throttled("slow down", Some(10 * SECOND))),
        _ => written(batch),
    }));
    let bench = Bench::new();
    let phases = vec![
        phase(Operation::Archive, &facts(), (50..70).map(op)),
        phase(Operation::Upsert, &facts(), (0..50).map(op)),
    ];
    bench.deliver(&destination, phases).await.expect("a sound log");
    let operations: Vec<Operation> = destination.calls().iter().map(|call| call.operation).collect();
    assert_eq!(operations[..3], [Operation::Archive; 3]);
    assert_eq!(operations[3..], [Operation::Upsert; 5]);
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_unsafe_rows_that_were_sent_are_in_doubt_and_the_rest_goes_out() {
    use crate::snapshot::log::Entry;
    let bench = Bench::new();
    let mut log = LogWriter::create(&bench.path(), RUN).expect("a new log");
    log.push(&Entry::Intent { ops: (0..10).collect() }).expect("pushed");
    log.push(&Entry::Ack { op: 0, fate: Fate::Accepted, remote_id: None }).expect("pushed");
    log.push(&Entry::Intent { ops: (10..20).collect() }).expect("pushed");
    log.sync().expect("synced");
    drop(log);
    let destination = Arc::new(Scripted::new(|_, batch| written(batch)));
    let facts = Facts { resend_safe: false, ..facts() };
    let delivered = bench.upsert(&destination, &facts, 40).await;
    assert_eq!(delivered.counts.accepted, 20);
    assert!((0..20).all(|op| destination.times_sent(op) == 0));
    let replay = bench.replay();
    assert_eq!(replay.standing(0), Standing::Accepted);
    assert!((1..20).all(|op| replay.standing(op) == Standing::InDoubt));
    assert!((20..40).all(|op| replay.standing(op) == Standing::Accepted));
}

#[tokio::test(start_paused = true)]
async fn rejects_that_cannot_be_stored_end_the_delivery_without_their_verdicts() {
    let destination = Arc::new(Scripted::new(|_, batch| {
        Ok(Delivery::Settled(Outcomes::all(batch, &Verdict::Rejected(Reason::new("BAD", "bad")))))
    }));
    let mut bench = Bench::new();
    bench.rejects = Arc::new(Rejects { full: true, ..Rejects::default() });
    let phases = vec![phase(Operation::Upsert, &facts(), (0..30).map(op))];
    let error = bench.deliver(&destination, phases).await.expect_err("nowhere to put rejects");
    assert!(matches!(error, DeliverError::Rejects(_)), "{error}");
    let replay = bench.replay();
    assert_eq!(replay.sealed(), None);
    assert!((0..10).all(|op| replay.fate(op).is_none() && replay.standing(op) == Standing::InDoubt));
}

#[tokio::test(start_paused = true)]
async fn a_connector_that_panics_leaves_doubt_and_stops_the_run() {
    let destination = Arc::new(Scripted::new(|number, batch| {
        assert!(number != 1, "a defect");
        written(batch)
    }));
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &Facts { concurrency: 1, ..facts() }, 50).await;
    assert_eq!(delivered.stopped_by.map(|fault| fault.class), Some(FaultClass::Bug));
    assert_eq!((delivered.counts.accepted, delivered.counts.unknown), (10, 10));
}
