//! Batches that became asynchronous jobs at the destination: asked after until they end, over restarts too.

use std::collections::BTreeMap;
use std::time::Duration;

use backhaul_kit::{Batch, Fault, FaultClass, Operation, Progress, Row, Ticket};

use super::event::{Effect, Meta, Work};
use super::machine::Machine;
use crate::snapshot::log::{Entry, OpenTicket, Replay};

/// How soon a job is asked after again at the earliest.
const POLL_AT_LEAST: Duration = Duration::from_millis(100);

/// The jobs of a delivery.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    open: BTreeMap<u64, Open>,
    /// Jobs that an earlier process left, whose rows are being read.
    left: BTreeMap<u64, Left>,
    /// A job was left open at the destination.
    parked: bool,
}

/// A job that is asked after.
#[derive(Debug)]
struct Open {
    metas: Vec<Meta>,
    ticket: Ticket,
    /// The batch, unless a poll has it.
    batch: Option<Batch>,
    /// The sync that makes its ticket durable.
    needs: u64,
    due: Duration,
    failures: u32,
}

/// A job of which the log knows the ticket and the ops.
#[derive(Debug)]
struct Left {
    /// `None` where it cannot be read: its rows are in doubt.
    ticket: Option<Ticket>,
    missing: usize,
    rows: Vec<Row>,
    metas: Vec<Meta>,
}

impl Jobs {
    /// Those that the log left open.
    pub(super) fn left_by(already: &Replay) -> Self {
        let left = |ticket: &OpenTicket| Left {
            ticket: serde_json::from_str(&ticket.body).ok(),
            missing: ticket.ops.len(),
            rows: Vec::new(),
            metas: Vec::new(),
        };
        Self { left: already.open_tickets().map(|ticket| (ticket.id, left(ticket))).collect(), ..Self::default() }
    }

    /// A number that no open job has.
    pub(super) fn next_id(already: &Replay) -> u64 {
        already.open_tickets().map(|ticket| ticket.id + 1).max().unwrap_or_default()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Rows in them.
    pub(super) fn rows(&self) -> usize {
        self.open.values().map(|job| job.metas.len()).sum()
    }

    /// The phase of their rows.
    pub(super) fn phase(&self) -> Option<usize> {
        self.open.values().flat_map(|job| &job.metas).next().map(|meta| meta.phase)
    }

    /// When the next one is to be asked after.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.open.values().filter(|job| job.batch.is_some()).map(|job| job.due).min()
    }

    /// Whether one was left open.
    pub(super) fn parked(&self) -> bool {
        self.parked
    }
}

impl Machine {
    /// Asks after a new job once its ticket is durable.
    pub(super) fn follow(&mut self, id: u64, metas: Vec<Meta>, ticket: Ticket, batch: Batch, out: &mut Vec<Effect>) {
        let ops = metas.iter().map(|meta| meta.op).collect();
        // A ticket is plain data: writing it as JSON cannot fail.
        let body = serde_json::to_string(&ticket).unwrap_or_default();
        out.push(Effect::Log(vec![Entry::Ticket { id, ops, body }]));
        let needs = self.sync(out);
        let job = Open { metas, ticket, batch: Some(batch), needs, due: self.now, failures: 0 };
        self.jobs.open.insert(id, job);
    }

    /// Takes in rows of jobs that an earlier process left; a job whose rows are all there is asked after.
    pub(super) fn take_up(&mut self, rows: Vec<(u64, Work)>, out: &mut Vec<Effect>) {
        for (id, Work { row, meta }) in rows {
            let Some(left) = self.jobs.left.get_mut(&id) else { continue };
            self.queue.occupy(&meta.claims);
            left.rows.push(row);
            left.metas.push(meta);
            left.missing -= 1;
            if left.missing > 0 {
                continue;
            }
            let Some(Left { ticket, rows, metas, .. }) = self.jobs.left.remove(&id) else { continue };
            let Some(ticket) = ticket else {
                self.all_unknown(&metas, out);
                out.push(Effect::Log(vec![Entry::Closed { id }]));
                continue;
            };
            let phase = metas.first().and_then(|meta| self.phases.get(meta.phase));
            let operation = phase.map_or(Operation::Upsert, |phase| phase.operation);
            let batch = Some(Batch { operation, seq: id, last: false, rows });
            self.jobs.open.insert(id, Open { metas, ticket, batch, needs: 0, due: self.now, failures: 0 });
        }
    }

    /// Asks after the jobs whose time has come.
    pub(super) fn poll_jobs(&mut self, out: &mut Vec<Effect>) {
        let (durable, now) = (self.durable, self.now);
        for (id, job) in self.jobs.open.iter_mut().filter(|(_, job)| job.needs <= durable && job.due <= now) {
            if let Some(batch) = job.batch.take() {
                out.push(Effect::Poll { id: *id, ticket: job.ticket.clone(), batch });
            }
        }
    }

    /// A job was asked after.
    pub(super) fn on_poll(&mut self, id: u64, batch: Batch, progress: Result<Progress, Fault>, out: &mut Vec<Effect>) {
        let Some(job) = self.jobs.open.get_mut(&id) else { return };
        match progress {
            Ok(Progress::Running { after }) => {
                job.failures = 0;
                job.due = self.now + after.max(POLL_AT_LEAST);
                job.batch = Some(batch);
            }
            Ok(Progress::Done(outcomes)) => {
                let metas = self.jobs.open.remove(&id).map(|job| job.metas).unwrap_or_default();
                self.settle(batch.rows, metas, outcomes.into_vec(), self.now, out);
                out.push(Effect::Log(vec![Entry::Closed { id }]));
            }
            Ok(Progress::Lost) => {
                let metas = self.jobs.open.remove(&id).map(|job| job.metas).unwrap_or_default();
                self.all_unknown(&metas, out);
                out.push(Effect::Log(vec![Entry::Closed { id }]));
            }
            Err(fault) if fault.class == FaultClass::Split => {
                let metas = self.jobs.open.remove(&id).map(|job| job.metas).unwrap_or_default();
                self.split_job(batch.rows, metas, &fault, out);
                out.push(Effect::Log(vec![Entry::Closed { id }]));
            }
            Err(fault) => {
                job.failures += 1;
                job.batch = Some(batch);
                job.due = self.now + self.policy.retry.next(job.failures, id, fault.retry_after);
                let waits =
                    matches!(fault.class, FaultClass::Throttled | FaultClass::Transient | FaultClass::Ambiguous);
                if !waits || job.failures >= self.policy.failures {
                    self.stop(fault);
                }
            }
        }
    }

    /// Stops asking after all jobs that no poll is out for.
    pub(super) fn park_jobs(&mut self) {
        let idle = self.jobs.open.iter().filter(|(_, job)| job.batch.is_some()).map(|(id, _)| *id);
        for id in idle.collect::<Vec<_>>() {
            self.park(id);
        }
    }

    /// Stops asking after a job. Its ticket stays open in the log: the run goes on with it later.
    pub(super) fn park(&mut self, id: u64) {
        let Some(job) = self.jobs.open.remove(&id) else { return };
        self.jobs.parked = true;
        self.counts.unknown += job.metas.len() as u64;
        job.metas.iter().for_each(|meta| self.queue.release(&meta.claims));
    }
}
