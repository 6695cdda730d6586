use std::time::Duration;

use backhaul_kit::{
    Batch, Delivery, Evidence, Facts, Fault, FaultClass, FieldValue, Fields, Operation, Outcomes, Reason, Value,
    Verdict,
};

use super::{facts, op, phase};
use crate::config::Threshold;
use crate::deliver::reader::Reader;
use crate::deliver::{CanaryGate, Chunk, Effect, Event, Halt, Machine, Phase, PhaseFacts, Policy};
use crate::snapshot::log::{Entry, Fate};

const SECOND: Duration = Duration::from_secs(1);

/// A machine whose reads and syncs are answered at once.
pub(super) struct Table {
    pub(super) machine: Machine,
    reader: Reader,
    pub(super) sent: Vec<Batch>,
    log: Vec<Entry>,
    rejected: Vec<u64>,
    pub(super) done: bool,
    pub(super) now: Duration,
}

impl Table {
    pub(super) fn new(operation: Operation, facts: &Facts, ops: impl IntoIterator<Item = crate::diff::Op>) -> Self {
        Self::of(vec![phase(operation, facts, ops)], Policy::default())
    }

    fn of(phases: Vec<Phase>, policy: Policy) -> Self {
        let facts = |phase: &Phase| PhaseFacts { operation: phase.operation, facts: phase.facts.clone() };
        let mut table = Self {
            machine: Machine::new(phases.iter().map(facts).collect(), policy, None),
            reader: Reader::new(phases, None),
            sent: Vec::new(),
            log: Vec::new(),
            rejected: Vec::new(),
            done: false,
            now: Duration::ZERO,
        };
        table.hear(Event::Start);
        table
    }

    pub(super) fn hear(&mut self, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for effect in self.machine.step(event, self.now) {
                match effect {
                    Effect::Read { phase, rows } => {
                        let chunk = self.reader.read(phase, rows).expect("a sound plan");
                        events.push(Event::Read(chunk));
                    }
                    Effect::Log(entries) => self.log.extend(entries),
                    Effect::Reject(rows) => self.rejected.extend(rows.iter().map(|row| row.op)),
                    Effect::Sync(number) => events.insert(0, Event::Synced(number)),
                    Effect::Send(batch) => self.sent.push(batch),
                    Effect::Begin => events.push(Event::Began(Ok(true))),
                    Effect::Finish => events.push(Event::Finished(Ok(Delivery::Committed))),
                    Effect::Ask(_) | Effect::Poll { .. } => panic!("no job, and nothing to read back"),
                    Effect::Done => self.done = true,
                }
            }
        }
    }

    /// The oldest batch that was sent and not answered.
    pub(super) fn next_sent(&mut self) -> Batch {
        self.sent.remove(0)
    }

    pub(super) fn answer(&mut self, batch: Batch, answer: Result<Delivery, Fault>) {
        self.hear(Event::Answered { batch, found: Vec::new(), answer, saved: false });
    }

    pub(super) fn settle(&mut self, batch: Batch, verdict: &Verdict) {
        let outcomes = Outcomes::all(&batch, verdict);
        self.answer(batch, Ok(Delivery::Settled(outcomes)));
    }

    pub(super) fn wait(&mut self) {
        self.now = self.machine.wake_at().expect("something to wait for");
        self.hear(Event::Tick);
    }

    pub(super) fn fates(&self) -> Vec<(u64, Fate)> {
        let acks = self.log.iter().flat_map(|entry| match entry {
            Entry::Ack { op, fate, .. } => vec![(*op, *fate)],
            Entry::Acks { first, last, fate } => (*first..=*last).map(|op| (op, *fate)).collect(),
            _ => Vec::new(),
        });
        acks.collect()
    }
}

fn ops_of(batch: &Batch) -> Vec<u64> {
    batch.rows.iter().map(|row| row.op).collect()
}

#[test]
fn a_mark_is_durable_before_any_row_it_covers_is_sent() {
    let phases = vec![PhaseFacts { operation: Operation::Upsert, facts: facts() }];
    let mut machine = Machine::new(phases, Policy::default(), None);
    let mut reader = Reader::new(vec![phase(Operation::Upsert, &facts(), (0..5).map(op))], None);
    machine.step(Event::Start, Duration::ZERO);
    let chunk = reader.read(0, 10).expect("a sound plan");
    let effects = machine.step(Event::Read(Chunk { end: true, ..chunk }), Duration::ZERO);
    assert!(
        matches!(&effects[..], [Effect::Log(log), Effect::Sync(1)] if log[..] == [Entry::Dispatched { first: 0, last: 9999 }]),
        "{effects:?}"
    );
    let effects = machine.step(Event::Synced(1), Duration::ZERO);
    assert!(matches!(&effects[..], [Effect::Send(batch)] if ops_of(batch) == [0, 1, 2, 3, 4]), "{effects:?}");
}

#[test]
fn an_unsafe_batch_waits_for_its_intent_and_all_verdicts_before_it() {
    let unsafe_facts = Facts { resend_safe: false, concurrency: 1, ..facts() };
    let mut table = Table::new(Operation::Append, &unsafe_facts, (0..20).map(op));
    let first = table.next_sent();
    assert_eq!(table.log, [Entry::Intent { ops: (0..10).collect() }]);
    table.settle(first, &Verdict::Unchanged);
    // The second intent is behind the ten verdicts, so the sync that lets the batch go covers them.
    let place = table.log.iter().position(|e| matches!(e, Entry::Intent { ops } if ops[0] == 10)).expect("an intent");
    assert_eq!(table.log[1..place], [Entry::Acks { first: 0, last: 9, fate: Fate::Accepted }]);
    assert_eq!(ops_of(&table.next_sent()), (10..20).collect::<Vec<_>>());
}

#[test]
fn an_empty_plan_says_nothing_to_the_destination() {
    let facts = Facts { session: backhaul_kit::Session::Ordered, ..facts() };
    let table = Table::new(Operation::Upsert, &facts, []);
    assert!(table.done && table.log.is_empty());
}

#[test]
fn rows_that_share_an_address_go_one_after_the_other_in_plan_order() {
    let mut plan: Vec<_> = (0..6).map(op).collect();
    for at in [0, 2, 4] {
        plan[at].match_value = Some("shared@example.com".into());
    }
    // Row 3 shares its old address with row 2, so it waits behind it.
    plan[2].old_address.remote_id = Some("r".into());
    plan[3].old_address.remote_id = Some("r".into());
    let mut table = Table::new(Operation::Upsert, &facts(), plan);
    let first = table.next_sent();
    assert_eq!(ops_of(&first), [0, 1, 5]);
    assert!(table.sent.is_empty());
    table.settle(first, &Verdict::Unchanged);
    let second = table.next_sent();
    assert_eq!(ops_of(&second), [2]);
    assert!(table.sent.is_empty());
    table.settle(second, &Verdict::Unchanged);
    assert_eq!(ops_of(&table.next_sent()), [3, 4]);
}

#[test]
fn a_later_row_waits_while_the_earlier_one_waits_to_be_sent_again() {
    let mut plan: Vec<_> = (0..2).map(op).collect();
    plan[1].match_value = plan[0].match_value.clone();
    let mut table = Table::new(Operation::Upsert, &facts(), plan);
    let first = table.next_sent();
    table.settle(first, &Verdict::Retry(Some(7 * SECOND)));
    assert!(table.sent.is_empty());
    while table.sent.is_empty() {
        table.wait();
    }
    assert!(table.now >= 7 * SECOND);
    assert_eq!(ops_of(&table.next_sent()), [0]);
}

#[test]
fn an_address_in_doubt_is_left_alone_for_as_long_as_the_facts_say() {
    let mut plan: Vec<_> = (0..2).map(op).collect();
    plan[1].match_value = plan[0].match_value.clone();
    let facts = Facts { resend_safe: false, settle_after: 20 * SECOND, ..facts() };
    let mut table = Table::new(Operation::Append, &facts, plan);
    let first = table.next_sent();
    table.answer(first, Err(Fault::ambiguous("no answer")));
    assert_eq!(table.fates(), [(0, Fate::Unknown)]);
    while table.sent.is_empty() {
        table.wait();
    }
    assert!(table.now >= 20 * SECOND);
    assert_eq!(ops_of(&table.next_sent()), [1]);
}

#[test]
fn batches_stay_within_the_byte_cap_and_a_giant_row_goes_alone() {
    let mut plan: Vec<_> = (0..6).map(op).collect();
    let text = |n: usize| FieldValue::Set(Value::Text("x".repeat(n)));
    for (op, size) in plan.iter_mut().zip([300, 300, 300, 5000, 300, 300]) {
        op.fields = Fields::from_iter([text(size)]);
    }
    let facts = Facts { max_bytes: Some(1000), concurrency: 9, ..facts() };
    let mut table = Table::new(Operation::Upsert, &facts, plan);
    let batches: Vec<Vec<u64>> = std::mem::take(&mut table.sent).iter().map(ops_of).collect();
    assert_eq!(batches, [vec![0, 1], vec![2], vec![3], vec![4, 5]]);
}

#[test]
fn a_row_gets_five_attempts_and_is_then_deferred() {
    let mut table = Table::new(Operation::Upsert, &facts(), [op(0)]);
    let mut calls = 0;
    while !table.done {
        while let Some(batch) = (!table.sent.is_empty()).then(|| table.next_sent()) {
            calls += 1;
            table.settle(batch, &Verdict::Retry(None));
        }
        if !table.done {
            table.wait();
        }
    }
    assert_eq!(calls, 5);
    assert_eq!(table.fates(), [(0, Fate::Deferred)]);
    assert_eq!(table.machine.counts().deferred, 1);
}

#[test]
fn after_a_lost_answer_nobody_says_not_applied_any_more() {
    let mut table = Table::new(Operation::Upsert, &facts(), [op(0)]);
    let first = table.next_sent();
    table.answer(first, Err(Fault::ambiguous("no answer")));
    while table.sent.is_empty() {
        table.wait();
    }
    let second = table.next_sent();
    table.settle(second, &Verdict::Rejected(Reason::new("X", "no")));
    assert_eq!(table.fates(), [(0, Fate::Unknown)]);
    assert_eq!(table.rejected, [0], "the operator still hears of it");
}

#[test]
fn what_a_counted_call_may_have_applied_before_it_was_cut_is_in_doubt_unless_it_is_told_of() {
    for (evidence, unsent) in [(Evidence::Count, Fate::Unknown), (Evidence::Call, Fate::Deferred)] {
        let mut table =
            Table::new(Operation::AudienceAdd, &Facts { evidence, concurrency: 1, ..facts() }, (0..4).map(op));
        let parts = [vec![0, 1, 2, 3], vec![0, 1], vec![2, 3], vec![0]];
        for part in parts {
            let sent = table.next_sent();
            assert_eq!(ops_of(&sent), part);
            match part.as_slice() {
                [0] => table.settle(sent, &Verdict::Rejected(Reason::new("INVALID", "no"))),
                [2, 3] => table.settle(sent, &Verdict::Written { remote_id: None }),
                _ => table.answer(sent, Err(Fault::split("one of them is invalid"))),
            }
        }
        // Before the last part is told of, the delivery ends.
        let sent = table.next_sent();
        table.answer(sent, Err(Fault::auth("revoked")));
        let told = [(2, Fate::Accepted), (3, Fate::Accepted), (0, Fate::Rejected)];
        assert_eq!(table.fates(), [&told[..], &[(1, unsent)]].concat(), "{evidence:?}");
    }
}

#[test]
fn a_destination_that_is_down_is_given_up_after_ten_rounds() {
    let mut table = Table::new(Operation::Upsert, &facts(), (0..1000).map(op));
    let mut calls = 0;
    while !table.done {
        while let Some(batch) = (!table.sent.is_empty()).then(|| table.next_sent()) {
            calls += 1;
            table.answer(batch, Err(Fault::transient("down")));
        }
        if !table.done {
            table.wait();
        }
    }
    // Two in flight in the first round, then one probe a round.
    assert_eq!(calls, 11);
    assert_eq!(table.machine.take_fault().map(|fault| fault.class), Some(FaultClass::Transient));
    assert!(table.fates().iter().all(|(_, fate)| *fate == Fate::Deferred));
    assert_eq!(table.log.last(), Some(&Entry::Drained));
}

#[test]
fn verdicts_on_rows_of_another_batch_are_a_defect_and_prove_nothing() {
    let mut table = Table::new(Operation::Upsert, &facts(), (0..20).map(op));
    let (first, second) = (table.next_sent(), table.next_sent());
    let foreign = Outcomes::all(&second, &Verdict::Unchanged);
    table.answer(first, Ok(Delivery::Settled(foreign)));
    assert!(table.fates().iter().all(|(op, fate)| *op < 10 && *fate == Fate::Unknown));
    assert!(!table.done, "the other batch is still in flight");
    table.settle(second, &Verdict::Unchanged);
    assert!(table.done);
    assert_eq!(table.machine.take_fault().map(|fault| fault.class), Some(FaultClass::Bug));
}

#[test]
fn rows_that_wait_to_be_sent_again_hold_back_new_ones() {
    let mut table = Table::new(Operation::Upsert, &facts(), (0..1000).map(op));
    let mut sent = 0;
    while !table.sent.is_empty() {
        let batch = table.next_sent();
        sent += batch.rows.len();
        let mut outcomes = Outcomes::of(&batch);
        for row in &batch.rows {
            let later = Verdict::Retry(Some(600 * SECOND));
            outcomes.set(row.op, if row.op % 2 == 0 { later } else { Verdict::Unchanged }).expect("a row of it");
        }
        table.answer(batch, Ok(Delivery::Settled(outcomes)));
    }
    // Two batches may be in hand: with half of every batch waiting, four or five were sent.
    assert!((40..=50).contains(&sent), "{sent} rows sent");
}

/// A table whose first phase, of so many rows, is a canary; the second has as many again.
fn with_canary(rows: u64, gate: CanaryGate) -> Table {
    let ops = |range: std::ops::Range<u64>| phase(Operation::Upsert, &facts(), range.map(op));
    Table::of(vec![ops(0..rows), ops(rows..2 * rows)], Policy { canary: Some(gate), ..Policy::default() })
}

const NOTHING_YET: CanaryGate = CanaryGate { most: 0.1, answered: 0, failed: 0 };

/// Answers a batch: the first `refused` rows are refused, the others taken.
fn refuse(table: &mut Table, batch: Batch, refused: usize) {
    let mut outcomes = Outcomes::of(&batch);
    for (place, row) in batch.rows.iter().enumerate() {
        let reason = || Reason::new("NO", "no");
        let verdict = if place < refused { Verdict::Rejected(reason()) } else { Verdict::Unchanged };
        outcomes.set(row.op, verdict).expect("a row of the batch");
    }
    table.answer(batch, Ok(Delivery::Settled(outcomes)));
}

#[test]
fn nothing_follows_a_canary_before_its_last_verdict() {
    let mut table = with_canary(20, NOTHING_YET);
    assert_eq!(table.sent.iter().map(|batch| batch.rows.len()).sum::<usize>(), 20);
    let (first, second) = (table.next_sent(), table.next_sent());
    table.settle(first, &Verdict::Unchanged);
    assert!(table.sent.is_empty() && !table.done, "ten rows of the canary have no verdict");
    table.settle(second, &Verdict::Unchanged);
    assert_eq!(ops_of(&table.next_sent()), (20..30).collect::<Vec<_>>());
    assert_eq!(table.machine.halted(), None);
}

#[test]
fn a_canary_that_fails_ends_the_delivery_with_its_log_open() {
    let mut table = with_canary(20, NOTHING_YET);
    let (first, second) = (table.next_sent(), table.next_sent());
    table.settle(first, &Verdict::Unchanged);
    refuse(&mut table, second, 3);
    assert!(table.sent.is_empty() && table.done);
    assert_eq!((table.machine.halted(), table.machine.interrupted()), (Some(Halt::Canary), true));
    assert_eq!(table.fates().len(), 20, "rows that were not sent have no verdict");
}

#[test]
fn what_a_canary_showed_before_a_restart_counts() {
    let mut table = with_canary(10, CanaryGate { most: 0.1, answered: 10, failed: 3 });
    let batch = table.next_sent();
    table.settle(batch, &Verdict::Unchanged);
    assert_eq!(table.machine.halted(), Some(Halt::Canary), "three of twenty");
}

#[test]
fn too_many_refused_rows_end_a_delivery() {
    let run = |refused_of_ten: usize| {
        let max_rejected = Some(Threshold::Percent { fraction: 0.5, beyond: 20 });
        let one_at_a_time = Facts { concurrency: 1, ..facts() };
        let rows = phase(Operation::Upsert, &one_at_a_time, (0..100).map(op));
        let mut table = Table::of(vec![rows], Policy { max_rejected, ..Policy::default() });
        while !table.sent.is_empty() {
            let batch = table.next_sent();
            refuse(&mut table, batch, refused_of_ten);
        }
        assert!(table.done);
        (table.machine.counts().rejected, table.machine.halted())
    };
    assert_eq!(run(5), (50, None), "half of the rows");
    assert_eq!(run(6), (24, Some(Halt::Rejected)), "more than half, and more than twenty");
}
