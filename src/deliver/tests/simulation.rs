//! A world of random answers, latencies and crashes; the machine must keep its promises in each.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::{Batch, Delivery, Facts, Fault, Fields, Operation, Outcomes, Reason, Verdict};

use super::dice::Dice;
use super::{facts, op, phase};
use crate::deliver::reader::Reader;
use crate::deliver::{Effect, Event, Machine, PhaseFacts, Policy};
use crate::diff::{Op, OpKind};
use crate::snapshot::log::{Entry, Fate, Replay, Standing};

const ROWS: u64 = 120;

struct World {
    dice: Dice,
    resend_safe: bool,
    plan: Vec<Op>,
    /// How often each op was applied at the destination.
    applied: BTreeMap<u64, u64>,
    /// Ops whose acceptance the machine has heard of.
    accepted: BTreeSet<u64>,
    log: Vec<Entry>,
    durable: usize,
    /// Calls per op, over all processes.
    calls: BTreeMap<u64, u64>,
}

impl World {
    fn new(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let resend_safe = dice.roll(3) > 0;
        let mut plan: Vec<Op> = (0..ROWS).map(op).collect();
        for op in &mut plan {
            // Some ops share an address with another; the last third are removals.
            if dice.roll(6) == 0 {
                op.match_value = Some(format!("shared{}@example.com", dice.roll(5)));
            }
            if op.number >= 80 {
                op.kind = OpKind::Remove;
                op.old_address.match_value = op.match_value.take();
                op.fields = Fields::default();
            }
        }
        Self {
            dice,
            resend_safe,
            plan,
            applied: BTreeMap::new(),
            accepted: BTreeSet::new(),
            log: Vec::new(),
            durable: 0,
            calls: BTreeMap::new(),
        }
    }

    fn facts(&self) -> Facts {
        Facts { max_rows: 7, concurrency: 3, resend_safe: self.resend_safe, ..facts() }
    }

    /// One process: from its start to its end or to a crash after `steps` events. Returns whether it ended.
    fn process(&mut self, steps: usize) -> bool {
        let already = (!self.log.is_empty()).then(|| Arc::new(Replay::of_entries(self.log.clone())));
        let facts = self.facts();
        let (writes, removals): (Vec<Op>, Vec<Op>) = self.plan.iter().cloned().partition(|op| op.kind == OpKind::Add);
        let phases = [(Operation::Upsert, writes), (Operation::Archive, removals)];
        let machine_facts =
            phases.iter().map(|(operation, _)| PhaseFacts { operation: *operation, facts: facts.clone() }).collect();
        let mut machine = Machine::new(machine_facts, Policy::default(), already.as_deref());
        let phases = phases.into_iter().map(|(operation, ops)| phase(operation, &facts, ops)).collect();
        let mut reader = Reader::new(phases, already);
        let mut agenda: BTreeMap<(Duration, u64), (Event, usize)> = BTreeMap::new();
        let mut in_flight: HashSet<String> = HashSet::new();
        let (mut now, mut number) = (Duration::ZERO, 0);
        agenda.insert((now, number), (Event::Start, 0));
        if self.dice.roll(8) == 0 {
            agenda.insert((self.dice.millis(200_000), u64::MAX), (Event::Cancel, 0));
        }
        for _ in 0..steps {
            let wake = machine.wake_at().filter(|at| agenda.keys().next().is_none_or(|(due, _)| at < due));
            let (event, durable) = match wake {
                Some(at) => {
                    now = at;
                    (Event::Tick, 0)
                }
                None => {
                    let ((at, _), next) = agenda.pop_first().expect("the machine waits for something");
                    now = now.max(at);
                    next
                }
            };
            self.durable = self.durable.max(durable);
            if let Event::Answered { batch, answer, .. } = &event {
                for row in &batch.rows {
                    claims(&self.plan[row.op as usize]).iter().for_each(|claim| {
                        in_flight.remove(claim);
                    });
                }
                if let Ok(Delivery::Settled(outcomes)) = answer {
                    let good =
                        outcomes.iter().filter(|(_, v)| matches!(v, Verdict::Written { .. } | Verdict::Unchanged));
                    self.accepted.extend(good.map(|(op, _)| op));
                }
            }
            for effect in machine.step(event, now) {
                number += 1;
                match effect {
                    Effect::Read { phase, rows } => {
                        let chunk = reader.read(phase, rows).expect("a sound plan");
                        let event = Event::Read(chunk);
                        agenda.insert((now + self.dice.millis(3), number), (event, 0));
                    }
                    Effect::Log(entries) => self.log.extend(entries),
                    Effect::Reject(_) => {}
                    Effect::Sync(sync) => {
                        agenda.insert((now + self.dice.millis(30), number), (Event::Synced(sync), self.log.len()));
                    }
                    Effect::Send(batch) => {
                        self.check_send(&batch, &mut in_flight);
                        let (latency, answer) = self.answer(&batch);
                        let event = Event::Answered { batch, found: Vec::new(), answer, saved: false };
                        agenda.insert((now + latency, number), (event, 0));
                    }
                    Effect::Done => {
                        assert_eq!(self.durable, self.log.len(), "the end is durable");
                        return true;
                    }
                    Effect::Begin | Effect::Finish | Effect::Ask(_) | Effect::Poll { .. } => {
                        panic!("no session and no job")
                    }
                }
            }
        }
        // kill -9: what was not durable is gone, and calls in flight may still be applied (they were, above).
        self.log.truncate(self.durable);
        false
    }

    fn check_send(&mut self, batch: &Batch, in_flight: &mut HashSet<String>) {
        assert!(!batch.rows.is_empty() && batch.rows.len() <= 7);
        let durable = Replay::of_entries(self.log[..self.durable].to_vec());
        for row in &batch.rows {
            assert!(durable.dispatched(row.op), "op {} was sent without a durable mark", row.op);
            assert!(!self.accepted.contains(&row.op), "op {} was accepted and sent again", row.op);
            assert_eq!(durable.fate(row.op), None, "op {} has its verdict and was sent again", row.op);
            for claim in claims(&self.plan[row.op as usize]) {
                assert!(in_flight.insert(claim), "op {} shares a key or an address in flight", row.op);
            }
            assert_eq!(batch.operation.is_removal(), row.op >= 80);
            let calls = self.calls.entry(row.op).or_default();
            *calls += 1;
        }
    }

    /// The destination's answer, and what it really did.
    fn answer(&mut self, batch: &Batch) -> (Duration, Result<Delivery, Fault>) {
        let latency = self.dice.millis(400);
        let all = |world: &mut Self| batch.rows.iter().for_each(|row| *world.applied.entry(row.op).or_default() += 1);
        let answer = match self.dice.roll(20) {
            0 => Err(Fault::transient("busy")),
            1 => Err(Fault::throttled("slow down", Some(Duration::from_secs(self.dice.roll(5))))),
            2 => {
                if self.dice.roll(2) == 0 {
                    all(self);
                }
                Err(Fault::ambiguous("no answer"))
            }
            3 | 4 => Err(Fault::split("one row is bad")),
            5 if self.dice.roll(12) == 0 => Err(Fault::auth("revoked")),
            _ => {
                let mut outcomes = Outcomes::of(batch);
                for row in &batch.rows {
                    let applied = self.applied.entry(row.op).or_default();
                    let verdict = match self.dice.roll(30) {
                        0 => Verdict::Rejected(Reason::new("BAD", "bad")),
                        1 | 2 => Verdict::Retry(None),
                        3 => {
                            *applied += self.dice.roll(2);
                            continue;
                        }
                        4 => {
                            *applied += 1;
                            Verdict::Unchanged
                        }
                        _ => {
                            *applied += 1;
                            Verdict::Written { remote_id: Some(format!("r{}", row.op)) }
                        }
                    };
                    outcomes.set(row.op, verdict).expect("one verdict a row");
                }
                Ok(Delivery::Settled(outcomes))
            }
        };
        (latency, answer)
    }

    /// What the log says must be true of the destination, whenever it is read.
    fn check_truth(&self, seed: u64, crashed: bool) -> Replay {
        let replay = Replay::of_entries(self.log.clone());
        for op in 0..ROWS {
            let applied = self.applied.get(&op).copied().unwrap_or(0);
            match replay.standing(op) {
                Standing::Accepted => {
                    assert!(applied > 0, "seed {seed}: op {op} counts as accepted and was not applied");
                }
                Standing::Kept => assert_eq!(applied, 0, "seed {seed}: op {op} counts as kept and was applied"),
                // A crash may come between a durable mark and the call.
                Standing::InDoubt => {
                    assert!(crashed || self.calls.contains_key(&op), "seed {seed}: op {op} was not sent");
                }
            }
            if !self.resend_safe {
                let is_ack = |entry: &&Entry| match entry {
                    Entry::Ack { op: o, .. } => *o == op,
                    Entry::Acks { first, last, .. } => (*first..=*last).contains(&op),
                    _ => false,
                };
                let acks = self.log.iter().filter(is_ack).count();
                assert!(acks <= 1, "seed {seed}: op {op} has {acks} verdicts");
            }
        }
        replay
    }
}

fn claims(op: &Op) -> Vec<String> {
    let addresses = [&op.match_value, &op.old_address.match_value].into_iter().flatten().cloned();
    let mut claims: Vec<String> = addresses.collect();
    claims.push(format!("key {:?}", op.key));
    claims.sort();
    claims.dedup();
    claims
}

#[test]
fn the_log_tells_the_truth_in_every_world() {
    let (mut whole, mut resumed) = (0, 0);
    for seed in 0..400 {
        let mut world = World::new(seed);
        let crash = world.dice.roll(150) as usize;
        let mut crashed = false;
        if world.dice.roll(2) == 0 && !world.process(crash) {
            world.check_truth(seed, true);
            crashed = true;
            // Answers that were on their way when the process was killed are known to nobody.
            world.accepted.retain({
                let replay = Replay::of_entries(world.log.clone());
                move |op| replay.fate(*op) == Some(Fate::Accepted)
            });
            resumed += 1;
            assert!(world.process(usize::MAX), "seed {seed}: it ends");
        } else if world.log.is_empty() {
            assert!(world.process(usize::MAX), "seed {seed}: it ends");
        }
        let replay = world.check_truth(seed, crashed);
        whole += usize::from((0..ROWS).all(|op| replay.fate(op).is_some()));
    }
    assert!(whole > 200 && resumed > 100, "{whole} ran to the last row, {resumed} were resumed");
}

#[test]
fn a_seed_repeats_its_world_exactly() {
    let run = |seed| {
        let mut world = World::new(seed);
        world.process(usize::MAX);
        world.log
    };
    assert_eq!(run(11), run(11));
    assert_ne!(run(11), run(12));
}
