//! What happens next: `step(event, now) → effects`. No I/O, no clock, no randomness beyond the policy's seed.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use backhaul_kit::{Batch, Facts, Fault, FaultClass, Operation, Row, Session};

use super::breaker::Breaker;
use super::event::{Effect, Event, Meta};
use super::job::Counts;
use super::jobs::Jobs;
use super::limits::Halt;
use super::marks::Marks;
use super::policy::Policy;
use super::pressure::{Budget, Concurrency};
use super::queue::Queue;
use super::reader::{Chunk, ROWS_AHEAD};
use super::verdict::Acks;
use crate::snapshot::log::{Entry, Fate, Replay};

/// A phase as the machine sees it.
#[derive(Clone, Debug)]
pub struct PhaseFacts {
    /// What the destination does with its rows.
    pub operation: Operation,
    /// What is true of that there.
    pub facts: Facts,
}

/// A batch between being cut and being answered.
#[derive(Debug)]
pub(super) struct Flight {
    pub(super) metas: Vec<Meta>,
    /// The batch until it is sent: its mark or intent must be durable first.
    batch: Option<Batch>,
    needs: u64,
    pub(super) sent: Duration,
    /// The batch is not sent: the destination is asked whether its rows are there.
    ask: bool,
}

/// Where the session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No phase has a session.
    None,
    /// Not begun.
    Before,
    /// `begin` or `finish` is on its way.
    Asking,
    /// Batches may be sent.
    Open,
    /// Finished, or given up.
    Over,
}

/// The state of one delivery.
#[derive(Debug)]
pub struct Machine {
    pub(super) policy: Policy,
    pub(super) phases: Vec<PhaseFacts>,
    pub(super) queue: Queue,
    pub(super) flights: BTreeMap<u64, Flight>,
    pub(super) jobs: Jobs,
    pub(super) breaker: Breaker,
    concurrency: Concurrency,
    pub(super) retries: Budget,
    pub(super) counts: Counts,
    pub(super) fault: Option<Fault>,
    pub(super) halted: Option<Halt>,
    pub(super) stage: Stage,
    pub(super) has_session: bool,
    /// Staged ops, as runs of consecutive numbers.
    pub(super) staged: Vec<(u64, u64)>,
    ordered: bool,
    resumed: bool,
    /// New calls are made; if not, only jobs that are open are asked after.
    sends: bool,
    pub(super) interrupted: bool,
    /// The phase that is being read; past the last one everything is read.
    reading: usize,
    read_asked: bool,
    next_seq: u64,
    marks: Marks,
    asked: u64,
    pub(super) durable: u64,
    pub(super) now: Duration,
    /// Verdicts logged since the last sync was asked for, and since when.
    unsynced: usize,
    unsynced_since: Option<Duration>,
    /// Verdicts behind each sync that was asked for and not yet answered.
    syncing: VecDeque<(u64, usize)>,
    closing: Option<u64>,
    done: bool,
}

impl Machine {
    /// A delivery of these phases; `already` is what an earlier process wrote into the log.
    pub fn new(phases: Vec<PhaseFacts>, policy: Policy, already: Option<&Replay>) -> Self {
        let session = |kind: Session| phases.iter().any(|phase| phase.facts.session == kind);
        let ordered = session(Session::Ordered);
        let stage = if ordered || session(Session::AnyOrder) { Stage::Before } else { Stage::None };
        let batch = phases.iter().map(|phase| phase.facts.max_rows.min(ROWS_AHEAD)).max().unwrap_or(1);
        Self {
            concurrency: Concurrency::default(),
            retries: Budget::new(policy.retry_batches.saturating_mul(batch).max(100)),
            breaker: Breaker::new(policy.retry.clone(), policy.failures, policy.throttled),
            policy,
            phases,
            queue: Queue::default(),
            flights: BTreeMap::new(),
            jobs: already.map(Jobs::left_by).unwrap_or_default(),
            counts: Counts::default(),
            fault: None,
            halted: None,
            stage,
            has_session: false,
            staged: Vec::new(),
            ordered,
            resumed: already.is_some(),
            sends: true,
            interrupted: false,
            reading: 0,
            read_asked: false,
            next_seq: already.map_or(0, Jobs::next_id),
            marks: Marks::default(),
            asked: 0,
            durable: 0,
            now: Duration::ZERO,
            unsynced: 0,
            unsynced_since: None,
            syncing: VecDeque::new(),
            closing: None,
            done: false,
        }
    }

    /// Sends no row: jobs of the earlier process are asked after until they end, the rest stays as it is.
    #[must_use]
    pub fn only_jobs(mut self) -> Self {
        self.sends = false;
        self
    }

    /// What became of rows so far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Jobs are still open at the destination, and the log says so: the run can go on by asking after them.
    pub fn parked(&self) -> bool {
        self.jobs.parked()
    }

    /// Whether the operator ended it.
    pub fn interrupted(&self) -> bool {
        self.interrupted
    }

    /// Which limit ended it early.
    pub fn halted(&self) -> Option<Halt> {
        self.halted
    }

    /// What ended it early, once.
    pub fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// When the next [`Event::Tick`] is wanted, if nothing else happens before.
    pub fn wake_at(&self) -> Option<Duration> {
        let acks = self.unsynced_since.map(|since| since + self.policy.ack_delay);
        let breaker = Some(self.breaker.closed_until());
        let queue = [self.queue.next_due(), self.queue.next_release()];
        let all = queue.into_iter().chain([acks, breaker, self.jobs.next_due()]);
        all.flatten().filter(|at| *at > self.now).min()
    }

    /// Takes in what happened and says what to do. `now` is the time since some fixed moment and never goes back.
    pub fn step(&mut self, event: Event, now: Duration) -> Vec<Effect> {
        let mut out = Vec::new();
        self.now = now;
        self.queue.release_quiet(now);
        let rejected = self.counts.rejected;
        match event {
            Event::Start | Event::Tick => {}
            Event::Cancel => self.interrupted = true,
            Event::Read(chunk) => self.on_read(chunk, &mut out),
            Event::ReadFailed(fault) => {
                self.read_asked = false;
                self.stop(fault);
            }
            Event::Synced(number) => {
                self.durable = self.durable.max(number);
                while self.syncing.front().is_some_and(|(sync, _)| *sync <= number) {
                    self.syncing.pop_front();
                }
            }
            Event::Began(answer) => self.on_began(answer),
            Event::Answered { batch, found, answer, saved } => self.on_answer(batch, found, answer, saved, &mut out),
            Event::Asked { batch, answer } => self.on_asked(batch, answer, &mut out),
            Event::Broken(seq) => self.on_broken(seq, &mut out),
            Event::Polled { id, batch, progress } => self.on_poll(id, batch, progress, &mut out),
            Event::Finished(answer) => self.on_finished(answer, &mut out),
        }
        if let Some(max) = self.policy.max_rejected.filter(|_| self.counts.rejected > rejected) {
            self.check_rejected(max);
        }
        if self.stopping() {
            self.give_up(&mut out);
        } else {
            self.launch(&mut out);
            self.read_on(&mut out);
            self.finish(&mut out);
        }
        self.release_sends(&mut out);
        self.poll_jobs(&mut out);
        self.sync_acks(&mut out);
        self.close(&mut out);
        out
    }

    /// Ends the delivery early; the first reason is kept.
    pub(super) fn stop(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }

    fn stopping(&self) -> bool {
        self.interrupted || self.fault.is_some() || self.halted.is_some()
    }

    pub(super) fn facts(&self, phase: usize) -> &Facts {
        &self.phases[phase].facts
    }

    fn on_read(&mut self, chunk: Chunk, out: &mut Vec<Effect>) {
        let Chunk { rows, doubtful, in_jobs, end } = chunk;
        self.read_asked = false;
        self.reading += usize::from(end);
        self.take_up(in_jobs, out);
        self.counts.unknown += doubtful.len() as u64;
        let mut acks = Acks::default();
        doubtful.into_iter().for_each(|op| acks.push(op, Fate::Unknown, None));
        self.log_acks(acks, out);
        if self.sends && !self.stopping() {
            let (asks, rows) = rows.into_iter().partition(|work| work.meta.ask);
            self.queue.add(rows);
            self.ask_about(asks);
        }
    }

    fn on_began(&mut self, answer: Result<bool, Fault>) {
        self.stage = Stage::Before;
        match answer {
            Ok(has_session) => {
                self.has_session = has_session;
                self.stage = Stage::Open;
                self.breaker.succeeded();
            }
            Err(fault) => self.call_failed(fault, self.now),
        }
    }

    /// A call that was sent at `sent` has an answer, good or bad.
    pub(super) fn note_latency(&mut self, phase: Option<usize>, sent: Duration) {
        let most = phase.map_or(1, |phase| self.facts(phase).concurrency);
        self.concurrency.answered(self.now.saturating_sub(sent), self.flights.len() + 1, most, self.now);
    }

    /// A call came to nothing: the destination is left alone for a while, or given up.
    pub(super) fn call_failed(&mut self, fault: Fault, sent: Duration) {
        let most = self.phases.iter().map(|phase| phase.facts.concurrency).max().unwrap_or(1);
        self.concurrency.pushed_back(most);
        let waits = matches!(fault.class, FaultClass::Throttled | FaultClass::Transient | FaultClass::Ambiguous);
        if !waits || self.breaker.failed(&fault, sent, self.now) {
            self.stop(fault);
        }
    }

    /// Cuts batches for as long as there is room for them.
    fn launch(&mut self, out: &mut Vec<Effect>) {
        while self.now >= self.breaker.closed_until() && self.acks_keep_up() {
            let Some(phase) = self.active_phase() else { return };
            if phase > 0 && self.is_held_by_canary() {
                return;
            }
            let most = if self.ordered { 1 } else { self.facts(phase).concurrency };
            if self.flights.len() + self.jobs.len() >= self.breaker.allowed(self.concurrency.allowed(most)) {
                return;
            }
            match self.stage {
                Stage::Before => {
                    self.stage = Stage::Asking;
                    out.push(Effect::Begin);
                    return;
                }
                Stage::Asking => return,
                Stage::None | Stage::Open | Stage::Over => {}
            }
            // An ordered batch waits until it is known whether it is the last of its phase.
            if self.ordered && self.reading <= phase && self.queue.fresh() <= self.facts(phase).max_rows {
                return;
            }
            let (rows, metas) = match self.queue.take_due(self.now) {
                Some(rows) => rows.into_iter().map(|work| (work.row, work.meta)).unzip(),
                None if self.may_cut(phase, most) => self.queue.cut(phase, &self.phases[phase].facts),
                None => return,
            };
            if rows.is_empty() {
                return;
            }
            if metas.iter().any(|meta: &Meta| meta.ask) {
                self.fly(phase, rows, metas, 0, true);
            } else {
                let needs = self.record_dispatch(phase, &metas, out);
                self.fly(phase, rows, metas, needs, false);
            }
        }
    }

    /// The phase whose rows may go out: the next one begins when the one before it is done with.
    fn active_phase(&self) -> Option<usize> {
        let flying = self.flights.values().flat_map(|flight| &flight.metas).next().map(|meta| meta.phase);
        let in_hand = flying.or_else(|| self.jobs.phase());
        in_hand.or_else(|| self.queue.waiting_phase()).or_else(|| self.queue.fresh_phase())
    }

    /// Whether fresh rows may be cut: memory is bounded, and in an ordered session nothing overtakes.
    fn may_cut(&self, phase: usize, most: usize) -> bool {
        let facts = self.facts(phase);
        let in_hand = self.rows_in_hand() + self.queue.waiting();
        let room = in_hand < most.max(1).saturating_mul(facts.max_rows.max(1));
        // What is left of the rows that were read waits for those that will fill its batch.
        let whole = self.queue.fresh() >= facts.max_rows || self.reading > phase;
        room && whole && !(self.ordered && self.queue.waiting() > 0)
    }

    fn rows_in_hand(&self) -> usize {
        self.flights.values().map(|flight| flight.metas.len()).sum::<usize>() + self.jobs.rows()
    }

    fn all_read(&self) -> bool {
        self.reading >= self.phases.len()
    }

    /// Takes a batch in hand. It leaves once sync number `needs` is durable.
    fn fly(&mut self, phase: usize, rows: Vec<Row>, metas: Vec<Meta>, needs: u64, ask: bool) {
        let rest = self.queue.waiting() > 0 || self.queue.fresh_phase() == Some(phase);
        let last = self.ordered && self.reading > phase && !rest;
        let seq = self.next_seq;
        self.next_seq += 1;
        let batch = Batch { operation: self.phases[phase].operation, seq, last, rows };
        self.flights.insert(seq, Flight { metas, batch: Some(batch), needs, sent: Duration::ZERO, ask });
    }

    /// Logs that the rows may be sent, and says which sync must be durable before they are.
    ///
    /// Where sending again is safe one mark covers the next ops by number, sent or not: after a crash they
    /// are simply sent again. Where it is not, an intent names exactly the rows of this batch.
    fn record_dispatch(&mut self, phase: usize, metas: &[Meta], out: &mut Vec<Effect>) -> u64 {
        if !self.facts(phase).resend_safe {
            out.push(Effect::Log(vec![Entry::Intent { ops: metas.iter().map(|meta| meta.op).collect() }]));
            return self.sync(out);
        }
        let ops = metas.iter().map(|meta| meta.op);
        let (needs, fresh) = self.marks.cover(ops, self.policy.mark_ops, self.asked + 1);
        if !fresh.is_empty() {
            out.push(Effect::Log(fresh));
            self.sync(out);
        }
        needs
    }

    fn release_sends(&mut self, out: &mut Vec<Effect>) {
        let (durable, now) = (self.durable, self.now);
        for flight in self.flights.values_mut().filter(|flight| flight.needs <= durable) {
            if let Some(batch) = flight.batch.take() {
                flight.sent = now;
                out.push(if flight.ask { Effect::Ask(batch) } else { Effect::Send(batch) });
            }
        }
    }

    fn read_on(&mut self, out: &mut Vec<Effect>) {
        /// Rows that are ready where batches are smaller.
        const READY: usize = 64;
        if self.read_asked || self.all_read() {
            return;
        }
        let batch = self.facts(self.reading).max_rows;
        // In an ordered session one row more than a batch must be known, to tell the last batch.
        if self.queue.fresh() < batch.max(READY) + usize::from(self.ordered) {
            self.read_asked = true;
            out.push(Effect::Read { phase: self.reading, rows: batch.max(ROWS_AHEAD) });
        }
    }

    /// Commits the session once every row is staged or has its verdict.
    fn finish(&mut self, out: &mut Vec<Effect>) {
        let sent_all = self.all_read() && self.idle() && self.queue.fresh() == 0 && self.queue.waiting() == 0;
        if self.stage == Stage::Open && sent_all && self.now >= self.breaker.closed_until() {
            self.stage = if self.has_session { Stage::Asking } else { Stage::Over };
            if self.has_session {
                out.push(Effect::Finish);
            }
        }
    }

    /// Logs verdicts; they are synced a little later, many at once.
    pub(super) fn log_acks(&mut self, acks: Acks, out: &mut Vec<Effect>) {
        if acks.rows == 0 {
            return;
        }
        self.unsynced += acks.rows;
        self.unsynced_since.get_or_insert(self.now);
        out.push(Effect::Log(acks.entries));
    }

    fn sync_acks(&mut self, out: &mut Vec<Effect>) {
        let old = self.unsynced_since.is_some_and(|since| self.now >= since + self.policy.ack_delay);
        if old || self.unsynced >= self.policy.ack_rows {
            self.sync(out);
        }
    }

    pub(super) fn sync(&mut self, out: &mut Vec<Effect>) -> u64 {
        self.asked += 1;
        self.syncing.push_back((self.asked, std::mem::take(&mut self.unsynced)));
        self.unsynced_since = None;
        out.push(Effect::Sync(self.asked));
        self.asked
    }

    /// Whether the log is not too far behind the answers.
    fn acks_keep_up(&self) -> bool {
        let behind = self.unsynced + self.syncing.iter().map(|(_, acks)| acks).sum::<usize>();
        behind < self.policy.ack_rows.saturating_mul(2)
    }

    /// Nothing is with the destination.
    fn idle(&self) -> bool {
        self.flights.is_empty() && self.jobs.is_empty() && self.stage != Stage::Asking
    }

    /// Takes back what has not left: nothing new is sent once the delivery is stopping.
    fn give_up(&mut self, out: &mut Vec<Effect>) {
        let mut left: Vec<Meta> = self.queue.clear().into_iter().map(|work| work.meta).collect();
        let unsent: Vec<u64> =
            self.flights.iter().filter(|(_, flight)| flight.batch.is_some()).map(|(seq, _)| *seq).collect();
        left.extend(unsent.into_iter().filter_map(|seq| self.flights.remove(&seq)).flat_map(|flight| flight.metas));
        self.resolve_unsent(&left, self.interrupted, out);
        self.park_jobs();
    }

    fn close(&mut self, out: &mut Vec<Effect>) {
        let rows_left = self.queue.fresh() + self.queue.waiting() > 0 || !self.all_read();
        let session_open = matches!(self.stage, Stage::Open);
        if self.done || !self.idle() || self.read_asked || (!self.stopping() && (rows_left || session_open)) {
            return;
        }
        match self.closing {
            None => {
                self.log_end(out);
                self.closing = Some(self.sync(out));
            }
            Some(sync) if sync <= self.durable => {
                self.done = true;
                out.push(Effect::Done);
            }
            Some(_) => {}
        }
    }

    /// The last entries: marks no longer stand for ops that were not sent, except those that stay in doubt.
    fn log_end(&mut self, out: &mut Vec<Effect>) {
        let staged = std::mem::take(&mut self.staged);
        self.counts.unknown += staged.iter().map(|(first, last)| last - first + 1).sum::<u64>();
        // Ops that an earlier process sent and that were not read again must stay in doubt.
        if self.asked == 0 || (self.resumed && (self.stopping() || !self.sends)) {
            return;
        }
        let staged = staged.into_iter().map(|(first, last)| Entry::Dispatched { first, last });
        out.push(Effect::Log([Entry::Drained].into_iter().chain(staged).collect()));
    }
}
