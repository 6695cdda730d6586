//! Whole deliveries on paused time: calls, retries, resuming.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backhaul_kit::{Delivery, Facts, Fault, FaultClass, Operation, Outcomes, Reason, Verdict};

use super::bench::{Bench, RUN, Rejects, SECOND, Scripted, written};
use super::{facts, op, phase};
use crate::deliver::{Counts, DeliverError, Phase};
use crate::snapshot::log::{Entry, Fate, LogWriter, RemoteIds, Standing};

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
    let mut ids = RemoteIds::open(&bench.path(), RUN, &bench.replay()).expect("the log");
    assert_eq!(ids.get(99).expect("read"), Some("r99"));
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
            // Four in flight, less than a batch ahead, and 2048 being read.
            assert!(ahead <= 2548, "{ahead} rows ahead at call {number}");
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
    assert_eq!((delivered.counts.accepted, delivered.counts.unknown), (20, 19));
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

#[tokio::test(start_paused = true)]
async fn a_resumed_run_that_stops_again_leaves_the_crashed_ones_rows_in_doubt() {
    let bench = Bench::new();
    let mut log = LogWriter::create(&bench.path(), RUN).expect("a new log");
    log.push(&Entry::Dispatched { first: 0, last: 499 }).expect("pushed");
    log.sync().expect("synced");
    drop(log);
    let destination = Arc::new(Scripted::new(|_, _| Err(Fault::auth("revoked"))));
    let delivered = bench.upsert(&destination, &facts(), 500).await;
    assert_eq!(delivered.stopped_by.map(|fault| fault.class), Some(FaultClass::Auth));
    let replay = bench.replay();
    assert!((0..500).all(|op| replay.standing(op) == Standing::InDoubt));
}
