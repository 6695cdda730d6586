//! What an answer means for every row.

use std::time::Duration;

use backhaul_kit::{Batch, Delivery, Evidence, Fault, FaultClass, Presence, Reason, Row, Verdict};

use super::event::{Effect, Meta, RejectedRow, Work};
use super::machine::{Machine, Stage};
use super::retry::Retry;
use crate::snapshot::log::{Entry, Fate};

/// The code of a row that the destination refuses even alone, where it gives no reason of its own.
const REFUSED_ALONE: &str = "refused_alone";

/// What is said of the rows of one answer, collected so that it is logged together.
#[derive(Default)]
struct Said {
    acks: Acks,
    rejects: Vec<RejectedRow>,
    /// Known not to be applied; with the longest wait that was asked for.
    retry: Vec<Work>,
    retry_after: Option<Duration>,
    /// Nobody knows; safe to send again.
    resend: Vec<Work>,
    /// Nobody knows; the destination can be asked.
    ask: Vec<Work>,
}

/// Verdicts for the log; neighbours that share theirs are one entry.
#[derive(Default)]
pub(super) struct Acks {
    pub(super) entries: Vec<Entry>,
    pub(super) rows: usize,
}

impl Acks {
    pub(super) fn push(&mut self, op: u64, fate: Fate, remote_id: Option<String>) {
        self.rows += 1;
        match (self.entries.last_mut(), remote_id) {
            (Some(Entry::Acks { last, fate: same, .. }), None) if *same == fate && last.checked_add(1) == Some(op) => {
                *last = op;
            }
            (_, None) => self.entries.push(Entry::Acks { first: op, last: op, fate }),
            (_, remote_id) => self.entries.push(Entry::Ack { op, fate, remote_id }),
        }
    }
}

impl Machine {
    pub(super) fn on_answer(
        &mut self,
        batch: Batch,
        found: Vec<(Row, Verdict)>,
        answer: Result<Delivery, Fault>,
        saved: bool,
        out: &mut Vec<Effect>,
    ) {
        let seq = batch.seq;
        let Some(flight) = self.flights.remove(&seq) else {
            return self.stop(Fault::bug(format!("an answer to batch {seq}, which is not in flight")));
        };
        self.counts.calls += 1;
        let sent = flight.sent;
        self.note_latency(flight.metas.first().map(|meta| meta.phase), sent);
        let is_found = |meta: &Meta| found.iter().any(|(row, _)| row.op == meta.op);
        let (done, metas) = flight.metas.into_iter().partition(is_found);
        let (verdicts, rows) = found.into_iter().map(|(row, verdict)| ((row.op, verdict), row)).unzip();
        self.settle(rows, done, verdicts, sent, out);
        match answer {
            Ok(Delivery::Pending(ticket)) => {
                self.breaker.succeeded();
                return self.follow(seq, metas, ticket, batch, out);
            }
            Ok(Delivery::Settled(outcomes)) => {
                self.settle(batch.rows, metas, outcomes.into_vec(), sent, out);
            }
            Ok(Delivery::Staged) if self.has_session => {
                self.breaker.succeeded();
                self.stage_rows(&metas);
            }
            Ok(Delivery::Staged | Delivery::Committed) => {
                self.all_unknown(&metas, out);
                self.stop(Fault::bug("the destination answered a write as if there were a session"));
            }
            Err(fault) => self.on_fault(join(batch.rows, metas), fault, sent, out),
        }
        if saved {
            out.push(Effect::Log(vec![Entry::Closed { id: seq }]));
        }
    }

    /// A fault of the whole call.
    fn on_fault(&mut self, works: Vec<Work>, fault: Fault, sent: Duration, out: &mut Vec<Effect>) {
        let mut said = Said { retry_after: fault.retry_after, ..Said::default() };
        match fault.class {
            FaultClass::Throttled => {
                for mut work in works {
                    work.meta.throttles += 1;
                    if work.meta.throttles >= self.policy.throttles {
                        self.not_applied(&work.meta, &mut said);
                    } else {
                        said.retry.push(work);
                    }
                }
                self.call_failed(fault, sent);
            }
            FaultClass::Transient => {
                works.into_iter().for_each(|work| self.try_again(work, &mut said));
                self.call_failed(fault, sent);
            }
            FaultClass::Ambiguous => {
                works.into_iter().for_each(|work| self.unknown(work, &mut said));
                self.call_failed(fault, sent);
            }
            FaultClass::Split => {
                self.breaker.succeeded();
                self.bisect(works, &fault, &mut said);
            }
            // The call was refused as a whole: nothing of it was applied.
            FaultClass::Auth | FaultClass::Config => {
                works.iter().for_each(|work| self.not_applied(&work.meta, &mut said));
                self.stop(fault);
            }
            FaultClass::Bug => {
                works.iter().for_each(|work| self.doubt(&work.meta, &mut said));
                self.stop(fault);
            }
        }
        self.say(said, out);
    }

    /// Cuts a batch in two; a row that is refused alone is rejected.
    fn bisect(&mut self, mut works: Vec<Work>, fault: &Fault, said: &mut Said) {
        if works.len() > 1 {
            for work in &mut works {
                work.meta.counted |= self.facts(work.meta.phase).evidence == Evidence::Count;
            }
            let second = works.split_off(works.len() / 2);
            self.queue.again(works, self.now);
            self.queue.again(second, self.now);
        } else {
            for work in works {
                self.reject(work, Reason::new(REFUSED_ALONE, fault.message.clone()), said);
            }
        }
    }

    /// A job was done for some of its rows, and nobody says for which: its halves tell, where sending again is safe.
    pub(super) fn split_job(&mut self, rows: Vec<Row>, metas: Vec<Meta>, fault: &Fault, out: &mut Vec<Effect>) {
        if metas.first().is_none_or(|meta| !self.facts(meta.phase).resend_safe) {
            return self.all_unknown(&metas, out);
        }
        let mut works = join(rows, metas);
        works.iter_mut().for_each(|work| work.meta.doubt = true);
        let mut said = Said::default();
        self.bisect(works, fault, &mut said);
        self.say(said, out);
    }

    /// Verdicts row by row.
    pub(super) fn settle(
        &mut self,
        rows: Vec<Row>,
        metas: Vec<Meta>,
        verdicts: Vec<(u64, Verdict)>,
        sent: Duration,
        out: &mut Vec<Effect>,
    ) {
        let lengths = [rows.len(), metas.len()];
        if lengths != [verdicts.len(); 2] || metas.iter().zip(&verdicts).any(|(meta, (op, _))| meta.op != *op) {
            self.all_unknown(&metas, out);
            return self.stop(Fault::bug("the destination gave verdicts on rows of another batch"));
        }
        let mut said = Said::default();
        // Rows that go out again and fail again say nothing new of the destination.
        let first_try = metas.iter().any(|meta| meta.attempts + meta.throttles == 0);
        let (mut progress, mut unknown) = (false, false);
        // Rows that are done with are not touched again.
        let (mut rows, mut passed) = (rows.into_iter(), 0);
        for (place, (meta, (_, verdict))) in metas.into_iter().zip(verdicts).enumerate() {
            progress |= matches!(verdict, Verdict::Written { .. } | Verdict::Unchanged | Verdict::Rejected(_));
            let remote_id = match verdict {
                Verdict::Written { remote_id } => remote_id,
                Verdict::Unchanged => None,
                other => {
                    let row = rows.nth(place - std::mem::replace(&mut passed, place + 1));
                    if let Some(work) = row.map(|row| Work { row, meta }) {
                        unknown |= other == Verdict::Unknown;
                        self.not_accepted(work, other, &mut said);
                    }
                    continue;
                }
            };
            self.last_word(&meta, Fate::Accepted, remote_id, &mut said);
        }
        self.say(said, out);
        if progress {
            self.breaker.succeeded();
        } else if first_try && unknown {
            self.call_failed(Fault::ambiguous("the destination's answers say nothing of any row"), sent);
        } else if first_try {
            self.call_failed(Fault::transient("the destination takes no row"), sent);
        }
    }

    fn not_accepted(&mut self, work: Work, verdict: Verdict, said: &mut Said) {
        match verdict {
            Verdict::Rejected(reason) => self.reject(work, reason, said),
            Verdict::Retry(after) if !Retry::is_patient(after) => self.not_applied(&work.meta, said),
            Verdict::Retry(after) => {
                said.retry_after = said.retry_after.max(after);
                self.try_again(work, said);
            }
            Verdict::Unknown | Verdict::Written { .. } | Verdict::Unchanged => {
                tracing::debug!(op = work.meta.op, "the answer says nothing of this row");
                self.unknown(work, said);
            }
        }
    }

    /// Logs what was said, and puts aside what goes out again.
    fn say(&mut self, said: Said, out: &mut Vec<Effect>) {
        if !said.rejects.is_empty() {
            out.push(Effect::Reject(said.rejects));
        }
        self.log_acks(said.acks, out);
        let wait = |works: &[Work], asked: Option<Duration>, retry: &Retry| {
            let tries = works.iter().map(|work| work.meta.attempts + work.meta.throttles).max().unwrap_or(1);
            retry.next(tries, works.first().map_or(0, |work| work.meta.op), asked)
        };
        let due = self.now + wait(&said.retry, said.retry_after, &self.policy.retry);
        self.queue.again(said.retry, due);
        if let Some(first) = said.resend.first() {
            let quiet = self.facts(first.meta.phase).settle_after;
            let due = self.now + wait(&said.resend, said.retry_after, &self.policy.retry).max(quiet);
            self.queue.again(said.resend, due);
        }
        if let Some(first) = said.ask.first() {
            let quiet = self.facts(first.meta.phase).settle_after;
            let due = self.now + wait(&said.ask, said.retry_after, &self.policy.retry).max(quiet);
            self.queue.again(said.ask, due);
        }
    }

    /// Known not to be applied: once more, within the row's attempts.
    fn try_again(&mut self, mut work: Work, said: &mut Said) {
        work.meta.attempts += 1;
        if work.meta.attempts >= self.policy.attempts || !self.retries.take() {
            self.not_applied(&work.meta, said);
        } else {
            said.retry.push(work);
        }
    }

    /// Nobody knows: once more where that is safe, within the row's attempts.
    fn unknown(&mut self, mut work: Work, said: &mut Said) {
        work.meta.attempts += 1;
        work.meta.doubt = true;
        let facts = self.facts(work.meta.phase);
        if work.meta.attempts >= self.policy.attempts {
            self.doubt(&work.meta, said);
        } else if facts.resend_safe {
            if self.retries.take() {
                said.resend.push(work);
            } else {
                self.doubt(&work.meta, said);
            }
        } else if facts.read_back {
            work.meta.ask = true;
            said.ask.push(work);
        } else {
            self.doubt(&work.meta, said);
        }
    }

    /// Has the destination asked about rows that an earlier process sent, once a late call is over.
    pub(super) fn ask_about(&mut self, mut works: Vec<Work>) {
        while let Some(first) = works.first() {
            let facts = self.facts(first.meta.phase);
            let (most, due) = (facts.max_rows.max(1), self.now + facts.settle_after);
            let rest = works.split_off(most.min(works.len()));
            works.iter().for_each(|work| self.queue.occupy(&work.meta.claims));
            self.queue.again(std::mem::replace(&mut works, rest), due);
        }
    }

    /// The destination said which rows of a batch in doubt are there.
    pub(super) fn on_asked(&mut self, batch: Batch, answer: Result<Vec<Presence>, Fault>, out: &mut Vec<Effect>) {
        let Some(flight) = self.flights.remove(&batch.seq) else {
            return self.stop(Fault::bug(format!("an answer to batch {}, which is not in flight", batch.seq)));
        };
        self.counts.calls += 1;
        let sent = flight.sent;
        let works = join(batch.rows, flight.metas);
        let mut said = Said::default();
        match answer {
            Ok(there) if there.len() == works.len() => {
                self.breaker.succeeded();
                for (mut work, presence) in works.into_iter().zip(there) {
                    match presence {
                        Presence::There { remote_id } => {
                            self.last_word(&work.meta, Fate::Accepted, remote_id, &mut said);
                        }
                        Presence::Absent => {
                            (work.meta.doubt, work.meta.ask) = (false, false);
                            self.try_again(work, &mut said);
                        }
                        Presence::Unknown => self.doubt(&work.meta, &mut said),
                    }
                }
            }
            Ok(_) => {
                works.iter().for_each(|work| self.doubt(&work.meta, &mut said));
                self.stop(Fault::bug("the destination told of another number of rows than it was asked about"));
            }
            Err(fault) => {
                said.retry_after = fault.retry_after;
                works.into_iter().for_each(|work| self.unknown(work, &mut said));
                self.call_failed(fault, sent);
            }
        }
        self.say(said, out);
    }

    fn reject(&mut self, work: Work, reason: Reason, said: &mut Said) {
        let Work { row, meta } = work;
        let fate = if meta.doubt { Fate::Unknown } else { Fate::Rejected };
        self.last_word(&meta, fate, None, said);
        said.rejects.push(RejectedRow {
            op: meta.op,
            key: row.key.to_vec(),
            fingerprint: row.fingerprint,
            reason,
            attempts: meta.attempts + meta.throttles + 1,
        });
    }

    /// This call was not applied and there will be no other in this run.
    fn not_applied(&mut self, meta: &Meta, said: &mut Said) {
        // An earlier call may have been.
        let fate = if meta.doubt || meta.counted { Fate::Unknown } else { Fate::Deferred };
        self.last_word(meta, fate, None, said);
    }

    fn doubt(&mut self, meta: &Meta, said: &mut Said) {
        self.last_word(meta, Fate::Unknown, None, said);
    }

    fn last_word(&mut self, meta: &Meta, fate: Fate, remote_id: Option<String>, said: &mut Said) {
        let count = match fate {
            Fate::Accepted => &mut self.counts.accepted,
            Fate::Rejected => &mut self.counts.rejected,
            Fate::Deferred => &mut self.counts.deferred,
            Fate::Unknown => &mut self.counts.unknown,
        };
        *count += 1;
        self.retries.earn();
        match fate {
            // A late application must not meet a new write to the same address.
            Fate::Unknown => {
                let quiet = self.facts(meta.phase).settle_after;
                self.queue.release_at(meta.claims, self.now + quiet);
            }
            Fate::Accepted | Fate::Rejected | Fate::Deferred => self.queue.release(&meta.claims),
        }
        said.acks.push(meta.op, fate, remote_id);
    }

    pub(super) fn all_unknown(&mut self, metas: &[Meta], out: &mut Vec<Effect>) {
        let mut said = Said::default();
        metas.iter().for_each(|meta| self.doubt(meta, &mut said));
        self.say(said, out);
    }

    /// Rows that were taken back before they were sent (again). After a cancellation those that are known not
    /// to be applied keep their chance: they get no verdict, so that the resumed run sends them.
    pub(super) fn resolve_unsent(&mut self, metas: &[Meta], resumable: bool, out: &mut Vec<Effect>) {
        let mut said = Said::default();
        for meta in metas {
            if meta.doubt || meta.counted {
                self.doubt(meta, &mut said);
            } else if !resumable && meta.attempts + meta.throttles > 0 {
                self.not_applied(meta, &mut said);
            } else {
                self.queue.release(&meta.claims);
            }
        }
        self.say(said, out);
    }

    pub(super) fn on_broken(&mut self, seq: u64, out: &mut Vec<Effect>) {
        if let Some(flight) = self.flights.remove(&seq) {
            self.counts.calls += 1;
            self.all_unknown(&flight.metas, out);
        } else {
            self.park(seq);
        }
        self.stop(Fault::bug("the connector broke down during a call"));
    }

    fn stage_rows(&mut self, metas: &[Meta]) {
        for meta in metas {
            self.queue.release(&meta.claims);
            match self.staged.last_mut() {
                Some((_, last)) if last.checked_add(1) == Some(meta.op) => *last = meta.op,
                _ => self.staged.push((meta.op, meta.op)),
            }
        }
    }

    pub(super) fn on_finished(&mut self, answer: Result<Delivery, Fault>, out: &mut Vec<Effect>) {
        self.stage = Stage::Over;
        match answer {
            Ok(Delivery::Committed) => {
                let staged = std::mem::take(&mut self.staged);
                self.counts.accepted += staged.iter().map(|(first, last)| last - first + 1).sum::<u64>();
                out.push(Effect::Log(vec![Entry::Committed]));
            }
            Ok(Delivery::Settled(_) | Delivery::Staged | Delivery::Pending(_)) => {
                self.stop(Fault::bug("the destination did not commit its session"));
            }
            Err(fault) if matches!(fault.class, FaultClass::Throttled | FaultClass::Transient) => {
                // Not applied: the session is still there to be finished.
                self.stage = Stage::Open;
                self.call_failed(fault, self.now);
            }
            Err(fault) => self.stop(fault),
        }
    }
}

fn join(rows: Vec<Row>, metas: Vec<Meta>) -> Vec<Work> {
    rows.into_iter().zip(metas).map(|(row, meta)| Work { row, meta }).collect()
}
