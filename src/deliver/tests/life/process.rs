//! One process that delivers a plan.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::{Facts, Fault, Operation};

use super::disk::Disk;
use super::model::Version;
use super::sink::{Call, Sink};
use crate::deliver::reader::Reader;
use crate::deliver::tests::dice::Dice;
use crate::deliver::{Effect, Event, Machine, Phase, PhaseFacts, Policy};
use crate::diff::{OpKind, PlanReader};
use crate::snapshot::log::Replay;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The log is sealed.
    Done,
    /// The operator ended it: the log is whole and open.
    Interrupted,
    /// The power was cut.
    PowerCut,
}

/// What a process has to do with.
pub(super) struct Process<'a> {
    pub(super) plan: &'a PlanReader,
    pub(super) planned_from: &'a Version,
    pub(super) log: &'a Path,
    /// In the order in which they are sent.
    pub(super) phases: &'a [(Operation, Facts, &'static [OpKind])],
    pub(super) sink: &'a mut Sink,
    pub(super) dice: &'a mut Dice,
    pub(super) journal: &'a mut Vec<String>,
}

/// Something that is to happen.
enum Happens {
    Event(Event),
    /// So many entries are on the disk.
    Synced(u64, usize),
    /// A call is applied and answered.
    Arrives(Call),
    /// A call is applied whose answer was lost.
    ArrivesLate(Call),
}

impl Process<'_> {
    /// Delivers until nothing is left to do, or until the power is cut after `steps` events.
    pub(super) fn run(mut self, steps: usize) -> End {
        let run = self.plan.header().run_id.clone();
        let Some((mut disk, already)) = Disk::open(self.log, &run) else { return End::Done };
        let already = already.map(Arc::new);
        let facts =
            self.phases.iter().map(|(operation, facts, _)| PhaseFacts { operation: *operation, facts: facts.clone() });
        let mut machine = Machine::new(facts.collect(), Policy::default(), already.as_deref());
        let mut reader = Reader::new(self.phases(already.as_deref()), already.clone());
        let (mut now, mut number) = (Duration::ZERO, 0);
        let mut agenda = BTreeMap::from([((now, number), Happens::Event(Event::Start))]);
        if !self.sink.is_kind && self.dice.roll(8) == 0 {
            agenda.insert((self.dice.millis(20_000), u64::MAX), Happens::Event(Event::Cancel));
        }
        for _ in 0..steps {
            let wake = machine.wake_at().filter(|at| agenda.keys().next().is_none_or(|(due, _)| at < due));
            let happens = match wake {
                Some(at) => {
                    now = at;
                    Happens::Event(Event::Tick)
                }
                None => {
                    let ((at, _), next) = agenda.pop_first().expect("the machine waits for something");
                    now = now.max(at);
                    next
                }
            };
            let event = match happens {
                Happens::Event(event) => event,
                Happens::Synced(sync, upto) => {
                    disk.sync(upto);
                    Event::Synced(sync)
                }
                Happens::Arrives(mut call) => {
                    if call.is_late {
                        number += 1;
                        let late = now + self.dice.millis(settle_after(self.phases));
                        agenda.insert((late, number), Happens::ArrivesLate(call.without_answer()));
                    } else {
                        self.sink.apply(&mut call, self.planned_from);
                    }
                    let (batch, answer) = call.answer();
                    Event::Answered { batch, found: Vec::new(), answer, saved: false }
                }
                Happens::ArrivesLate(mut call) => {
                    self.sink.apply(&mut call, self.planned_from);
                    continue;
                }
            };
            for effect in machine.step(event, now) {
                number += 1;
                match effect {
                    Effect::Read { phase, rows } => {
                        let event = Event::Read(reader.read(phase, rows).expect("a sound plan"));
                        agenda.insert((now + self.dice.millis(3), number), Happens::Event(event));
                    }
                    Effect::Log(entries) => disk.log(entries),
                    Effect::Reject(_) => {}
                    Effect::Sync(sync) => {
                        let synced = Happens::Synced(sync, disk.logged());
                        agenda.insert((now + self.dice.millis(30), number), synced);
                    }
                    Effect::Send(batch) => {
                        let ops: Vec<u64> = batch.rows.iter().map(|row| row.op).collect();
                        let settled = |op: &u64| already.as_ref().is_some_and(|log| log.fate(*op).is_some());
                        assert!(!ops.iter().any(settled), "{ops:?} are sent, and some have their verdict");
                        self.journal.push(format!("{} {ops:?} at {now:?}", batch.operation.as_str()));
                        let call = self.sink.call(batch, self.dice);
                        agenda.insert((now + self.dice.millis(400), number), Happens::Arrives(call));
                    }
                    Effect::Done => {
                        self.arrive_at_last(agenda, 1);
                        if machine.interrupted() {
                            return End::Interrupted;
                        }
                        if !self.sink.is_kind && self.dice.roll(20) == 0 {
                            disk.power_cut(self.dice);
                            return End::PowerCut;
                        }
                        disk.seal();
                        return End::Done;
                    }
                    Effect::Begin | Effect::Finish | Effect::Poll { .. } | Effect::Ask(_) => {
                        panic!("no session, no job")
                    }
                }
            }
        }
        self.arrive_at_last(agenda, 2);
        let left = disk.power_cut(self.dice);
        self.journal.push(format!("power cut: {left}"));
        End::PowerCut
    }

    /// Calls under way when the process ends: one in `odds` is applied.
    fn arrive_at_last(&mut self, agenda: BTreeMap<(Duration, u64), Happens>, odds: u64) {
        for happens in agenda.into_values() {
            if let Happens::Arrives(mut call) | Happens::ArrivesLate(mut call) = happens
                && self.dice.roll(odds) == 0
            {
                self.sink.apply(&mut call, self.planned_from);
            }
        }
    }

    fn phases(&self, already: Option<&Replay>) -> Vec<Phase> {
        let first = already.map_or(0, Replay::first_open);
        let phase = |(operation, facts, kinds): &(Operation, Facts, &'static [OpKind])| {
            let ops =
                self.plan.ops_from(first, Some(kinds)).map(|op| op.map_err(|e| Fault::bug("a plan").caused_by(e)));
            Phase { operation: *operation, facts: facts.clone(), ops: Box::new(ops) }
        };
        self.phases.iter().map(phase).collect()
    }
}

/// In milliseconds.
fn settle_after(phases: &[(Operation, Facts, &'static [OpKind])]) -> u64 {
    phases.iter().map(|(_, facts, _)| facts.settle_after.as_millis() as u64).min().unwrap_or(0)
}
