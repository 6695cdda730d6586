//! Sessions and asynchronous jobs on paused time.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backhaul_kit::{Address, AddressKind, Batch, Delivery, Facts, Fault, FaultClass, Match, Operation, Session};

use super::bench::{Bench, SECOND, Scripted, ticket};
use super::{facts, op, phase};
use crate::diff::{Op, OpKind};
use crate::snapshot::log::{Fate, Standing};

#[tokio::test(start_paused = true)]
async fn an_ordered_session_goes_batch_by_batch_and_marks_the_last_of_each_operation() {
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
        let last: Vec<u64> = calls.iter().filter(|call| call.last).map(|call| call.ops[call.ops.len() - 1]).collect();
        assert_eq!(last, [rows - 1, rows + 4], "{rows} rows: the last row of every operation that has rows");
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
async fn many_add_the_same_hash_at_once_and_a_move_waits_for_who_gives_its_hash_up() {
    let facts = Facts { address: AddressKind::Hashes, ..facts() };
    let hash = |n: u64| Some(format!("hash {n}"));
    let destination = Arc::new(Scripted::new(|_, _| Ok(Delivery::Pending(ticket("bulk")))));
    let adds = (0..10).map(|n| Op { match_value: hash(7), ..op(n) });
    let bench = Bench::new();
    bench.deliver(&destination, vec![phase(Operation::AudienceAdd, &facts, adds)]).await.expect("a sound log");
    assert_eq!(destination.calls().len(), 1);

    let destination = Arc::new(Scripted::new(|_, _| Ok(Delivery::Pending(ticket("bulk")))));
    let moves = (0..2).map(|n| Op {
        kind: OpKind::Move,
        old_address: Address { match_value: hash(n), ..Address::default() },
        match_value: hash(n + 1),
        ..op(n)
    });
    let bench = Bench::new();
    bench.deliver(&destination, vec![phase(Operation::Move, &facts, moves)]).await.expect("a sound log");
    assert_eq!(destination.calls().iter().map(|call| call.ops.clone()).collect::<Vec<_>>(), [[0], [1]]);
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
async fn a_job_that_was_done_in_part_is_cut_in_two_until_it_is_known_for_which_row_it_was_not() {
    let destination = Arc::new(Scripted::new(|_, _| Ok(Delivery::Pending(ticket("partly")))));
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &facts(), 10).await;
    // The one row may have been taken in by an earlier job.
    assert_eq!((delivered.counts.accepted, delivered.counts.unknown), (9, 1));
    let replay = bench.replay();
    assert!((0..10).all(|op| (replay.standing(op) == Standing::InDoubt) == (op == 3)));
    assert_eq!(replay.open_tickets().count(), 0);
    assert_eq!((destination.times_sent(3), destination.times_sent(9)), (5, 2));

    let careful = Facts { resend_safe: false, ..facts() };
    let bench = Bench::new();
    let delivered = bench.upsert(&destination, &careful, 10).await;
    assert_eq!((delivered.counts.unknown, bench.replay().open_tickets().count()), (10, 0));
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
async fn a_job_that_nobody_answers_for_is_left_open_and_asked_after_by_the_next_process() {
    let destination = Arc::new(Scripted::new(|_, _| Ok(Delivery::Pending(ticket("unreachable")))));
    let (bench, facts) = (Bench::new(), Facts { resend_safe: false, concurrency: 1, ..facts() });
    let parked = bench.upsert(&destination, &facts, 30).await;
    assert!(parked.sealed.is_none() && !parked.interrupted && parked.stopped_by.is_some());
    assert_eq!(bench.replay().open_tickets().map(|ticket| ticket.ops.len()).collect::<Vec<_>>(), [10]);

    let delivered = bench.upsert(&destination, &facts, 30).await;
    assert!(delivered.sealed.is_some());
    assert_eq!((delivered.counts.accepted, delivered.counts.unknown), (30, 0));
    assert!((0..30).all(|op| destination.times_sent(op) == 1), "no job is created twice");
    assert_eq!(bench.replay().open_tickets().count(), 0);
}

/// Removals of which the destination's id is not remembered.
fn removals(numbers: std::ops::Range<u64>) -> impl Iterator<Item = Op> {
    let old_address = |n: u64| Address { match_value: Some(n.to_string()), ..Address::default() };
    numbers.map(move |n| Op { kind: OpKind::Remove, old_address: old_address(n), match_value: None, ..op(n) })
}

/// The records of these removals: one is gone, of one there are two.
fn records(value: &str) -> Result<Match, Fault> {
    Ok(match value {
        "1" => Match::Absent,
        "2" => Match::Several,
        id => Match::One(id.to_owned()),
    })
}

#[tokio::test(start_paused = true)]
async fn rows_that_a_look_up_settles_are_in_no_call_and_in_no_job() {
    let by_id = |batch: &Batch| batch.rows.iter().all(|row| row.address.remote_id == Some(row.op.to_string()));
    let mut scripted = Scripted::new(move |_, batch| {
        assert!(by_id(batch), "every row has its id");
        Ok(Delivery::Pending(ticket("unreachable")))
    });
    scripted.records = Some(records);
    let (destination, bench) = (Arc::new(scripted), Bench::new());
    let facts = Facts { resend_safe: false, concurrency: 1, ..facts() };
    let parked =
        bench.deliver(&destination, vec![phase(Operation::Delete, &facts, removals(0..7))]).await.expect("a sound log");
    assert!(parked.sealed.is_none() && parked.stopped_by.is_some());
    assert_eq!((parked.counts.accepted, parked.counts.rejected, parked.counts.unknown), (1, 1, 5));
    let rejected = |bench: &Bench| -> Vec<(u64, String)> {
        let rows = bench.rejects.rows.lock().expect("rows");
        rows.iter().map(|row| (row.op, row.reason.code.clone())).collect()
    };
    assert_eq!(rejected(&bench), [(2, String::from("AMBIGUOUS_MATCH"))]);
    let replay = bench.replay();
    assert_eq!(replay.open_tickets().map(|ticket| ticket.ops.clone()).collect::<Vec<_>>(), [[0, 3, 4, 5, 6]]);
    assert_eq!([1, 2].map(|op| replay.fate(op)), [Some(Fate::Accepted), Some(Fate::Rejected)]);

    // The next process asks after the job of the five, and looks for nobody.
    let phases = vec![phase(Operation::Delete, &facts, removals(0..7))];
    let delivered = bench.deliver(&destination, phases).await.expect("a sound log");
    assert_eq!((delivered.counts.accepted, delivered.counts.unknown), (5, 0));
    assert_eq!((0..7).map(|op| destination.times_sent(op)).collect::<Vec<_>>(), [1, 0, 0, 1, 1, 1, 1]);
    assert_eq!(rejected(&bench).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_a_look_up_settles_whole_makes_no_call_and_one_that_fails_is_looked_for_again() {
    let mut scripted = Scripted::new(|_, _| Err(Fault::bug("nothing is left to be sent")));
    scripted.records = Some(|_| Ok(Match::Absent));
    let (nowhere, bench) = (Arc::new(scripted), Bench::new());
    let phases = vec![phase(Operation::Delete, &facts(), removals(0..30))];
    let delivered = bench.deliver(&nowhere, phases).await.expect("a sound log");
    assert_eq!((delivered.counts.accepted, nowhere.calls().len()), (30, 0));
    assert!(delivered.stopped_by.is_none() && delivered.sealed.is_some());

    let mut scripted = Scripted::new(|_, _| Err(Fault::bug("nothing is sent")));
    scripted.records = Some(|_| Err(Fault::ambiguous("no answer")));
    let (silent, bench) = (Arc::new(scripted), Bench::new());
    let careful = Facts { resend_safe: false, ..facts() };
    let delivered =
        bench.deliver(&silent, vec![phase(Operation::Delete, &careful, removals(0..3))]).await.expect("a sound log");
    // Whatever became of the question, no row was sent.
    assert_eq!((delivered.counts.deferred, delivered.counts.unknown, delivered.counts.calls), (3, 0, 5));
}
