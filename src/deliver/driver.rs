//! Tasks and timers: does what the machine says and tells it what happened.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use backhaul_kit::{Batch, Delivery, Destination, Fault, Outcomes, Run, Ticket, Tickets, find};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::event::{Effect, Event};
use super::job::{Counts, DeliverError, Delivered, Job, ProgressSink};
use super::journal::{Journal, JournalTask, Saver};
use super::machine::{Machine, PhaseFacts};
use super::reader::{Chunk, Reader};
use crate::snapshot::log::{Entry, Sealed};

/// Sends a plan and returns when every row has its verdict, or the delivery was ended early, and the log says so.
///
/// Writes in flight are never cut off: after a cancellation this waits for their answers. The future itself must be
/// driven to its end; a dropped delivery is like a crash, and its log is resumed the same way.
///
/// # Errors
/// The log cannot be written, or refused rows cannot be stored. What the destination does is no error here but
/// in [`Delivered`].
pub async fn deliver(job: Job) -> Result<Delivered, DeliverError> {
    let facts =
        job.phases.iter().map(|phase| PhaseFacts { operation: phase.operation, facts: phase.facts.clone() }).collect();
    let machine = Machine::new(facts, job.policy, job.already.as_deref());
    let machine = if job.sends { machine } else { machine.only_jobs() };
    let (journal, journal_task, durable) = Journal::start(job.log, job.rejects);
    let driver = Driver {
        machine,
        destination: job.destination,
        run: Arc::new(job.run),
        reader: Some(Reader::new(job.phases, job.already)),
        journal,
        tasks: JoinSet::new(),
        duties: HashMap::new(),
        session: None,
        progress: job.progress,
        reported: Counts::default(),
        started: Instant::now(),
        done: false,
    };
    // A task of its own: what drives the calls is then on the threads that make them, and not on the caller's. It
    // ends with this future.
    let mut task = JoinSet::new();
    task.spawn(driver.run(job.cancel, journal_task, durable));
    match task.join_next().await {
        Some(Ok(delivered)) => delivered,
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(DeliverError::Log(io::Error::other(error))),
        },
        None => Err(DeliverError::Log(io::Error::other("the delivery did not start"))),
    }
}

struct Driver {
    machine: Machine,
    destination: Arc<dyn Destination>,
    run: Arc<Run>,
    /// The plan, unless a task is reading it.
    reader: Option<Reader>,
    journal: Journal,
    tasks: JoinSet<Outcome>,
    /// What a task is about; nothing for one that reads the plan.
    duties: HashMap<Id, Duty>,
    session: Option<Arc<Ticket>>,
    progress: Arc<dyn ProgressSink>,
    reported: Counts,
    started: Instant,
    done: bool,
}

/// What is to be said when a task breaks down.
#[derive(Clone, Copy)]
enum Duty {
    /// A batch or a job.
    Batch(u64),
    Begin,
    Finish,
}

/// What a task brings back.
enum Outcome {
    Event(Event),
    Read(Reader, Result<Chunk, Fault>),
    Began(Result<Option<Ticket>, Fault>),
}

impl Driver {
    async fn run(
        mut self,
        mut cancel: watch::Receiver<bool>,
        journal_task: JournalTask,
        mut durable: mpsc::UnboundedReceiver<u64>,
    ) -> Result<Delivered, DeliverError> {
        self.step(Event::Start);
        let mut listening = true;
        if *cancel.borrow_and_update() {
            listening = false;
            self.step(Event::Cancel);
        }
        let mut sound = true;
        while sound && !self.done {
            let wake = self.machine.wake_at().map(|at| self.started + at);
            tokio::select! {
                Some(ended) = self.tasks.join_next_with_id() => self.take_in(ended),
                number = durable.recv() => match number {
                    Some(number) => self.step(Event::Synced(number)),
                    None => sound = false,
                },
                () = sleep_until(wake) => self.step(Event::Tick),
                changed = cancel.changed(), if listening => {
                    // Nobody can cancel any more when the sender is gone.
                    if changed.is_err() || *cancel.borrow_and_update() {
                        listening = false;
                    }
                    if changed.is_ok() && !listening {
                        self.step(Event::Cancel);
                    }
                }
            }
        }
        self.end(journal_task).await
    }

    async fn end(mut self, journal_task: JournalTask) -> Result<Delivered, DeliverError> {
        // Only a broken log leaves writes in flight: they end, and their rows are in doubt.
        while self.tasks.join_next().await.is_some() {}
        drop(self.journal);
        let log = journal_task.await.map_err(|e| DeliverError::Log(io::Error::other(e)))??;
        let interrupted = self.machine.interrupted();
        let sealed = if interrupted || self.machine.parked() {
            None
        } else {
            fail::fail_point!("deliver::before_seal", |_| std::process::abort());
            let sealed = tokio::task::spawn_blocking(move || log.seal()).await;
            Some(
                sealed
                    .map_err(io::Error::other)
                    .and_then(|sealed: io::Result<Sealed>| sealed)
                    .map_err(DeliverError::Log)?,
            )
        };
        let (counts, halted) = (self.machine.counts(), self.machine.halted());
        Ok(Delivered { counts, interrupted, stopped_by: self.machine.take_fault(), halted, sealed })
    }

    fn take_in(&mut self, ended: Result<(Id, Outcome), JoinError>) {
        match ended {
            Ok((id, outcome)) => {
                self.duties.remove(&id);
                match outcome {
                    Outcome::Event(event) => self.step(event),
                    Outcome::Read(reader, chunk) => {
                        self.reader = Some(reader);
                        self.step(match chunk {
                            Ok(chunk) => Event::Read(chunk),
                            Err(fault) => Event::ReadFailed(fault),
                        });
                    }
                    Outcome::Began(answer) => {
                        let answer = answer.map(|ticket| {
                            self.session = ticket.map(Arc::new);
                            self.session.is_some()
                        });
                        self.step(Event::Began(answer));
                    }
                }
            }
            Err(error) => {
                let broken = || Fault::bug("the connector broke down during a call");
                let event = match self.duties.remove(&error.id()) {
                    Some(Duty::Batch(seq)) => Event::Broken(seq),
                    Some(Duty::Begin) => Event::Began(Err(broken())),
                    Some(Duty::Finish) => Event::Finished(Err(broken())),
                    None => Event::ReadFailed(Fault::bug("reading the plan broke down").caused_by(error)),
                };
                self.step(event);
            }
        }
    }

    fn step(&mut self, event: Event) {
        for effect in self.machine.step(event, self.started.elapsed()) {
            self.perform(effect);
        }
        let counts = self.machine.counts();
        if counts != self.reported {
            self.reported = counts;
            self.progress.progress(counts);
        }
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Read { phase, rows } => {
                if let Some(mut reader) = self.reader.take() {
                    self.tasks.spawn_blocking(move || {
                        let chunk = reader.read(phase, rows);
                        Outcome::Read(reader, chunk)
                    });
                }
            }
            Effect::Reject(rows) => self.journal.reject(rows),
            Effect::Log(entries) => {
                if entries.iter().any(|entry| matches!(entry, Entry::Dispatched { .. } | Entry::Intent { .. })) {
                    fail::fail_point!("deliver::before_dispatch", |_| std::process::abort());
                }
                self.journal.log(entries);
            }
            Effect::Sync(number) => self.journal.sync(number),
            Effect::Begin => {
                let (destination, run) = (self.destination.clone(), self.run.clone());
                let task = self.tasks.spawn(async move { Outcome::Began(destination.begin(&run).await) });
                self.duties.insert(task.id(), Duty::Begin);
            }
            Effect::Send(batch) => self.send(batch),
            Effect::Ask(batch) => {
                let (destination, run, seq) = (self.destination.clone(), self.run.clone(), batch.seq);
                let task = self.tasks.spawn(async move {
                    let answer = destination.find_written(&run, &batch).await;
                    Outcome::Event(Event::Asked { batch, answer })
                });
                self.duties.insert(task.id(), Duty::Batch(seq));
            }
            Effect::Poll { id, ticket, batch } => {
                let (destination, run) = (self.destination.clone(), self.run.clone());
                let task = self.tasks.spawn(async move {
                    fail::fail_point!("deliver::before_poll", |_| std::process::abort());
                    let progress = destination.poll(&run, &ticket, &batch).await;
                    fail::fail_point!("deliver::after_poll", |_| std::process::abort());
                    Outcome::Event(Event::Polled { id, batch, progress })
                });
                self.duties.insert(task.id(), Duty::Batch(id));
            }
            Effect::Finish => {
                let (destination, run, session) = (self.destination.clone(), self.run.clone(), self.session.clone());
                let task = self.tasks.spawn(async move {
                    let answer = match &session {
                        Some(session) => destination.finish(&run, session).await,
                        None => Err(Fault::bug("finish without a session")),
                    };
                    fail::fail_point!("deliver::after_finish", |_| std::process::abort());
                    Outcome::Event(Event::Finished(answer))
                });
                self.duties.insert(task.id(), Duty::Finish);
            }
            Effect::Done => self.done = true,
        }
    }

    fn send(&mut self, mut batch: Batch) {
        let (destination, run, session) = (self.destination.clone(), self.run.clone(), self.session.clone());
        let (journal, seq) = (self.journal.clone(), batch.seq);
        let task = self.tasks.spawn(async move {
            fail::fail_point!("deliver::before_send", |_| std::process::abort());
            let found = match find::records(&*destination, &mut batch).await {
                Ok(found) => found,
                Err(fault) => {
                    let (found, answer) = (Vec::new(), Err(fault));
                    return Outcome::Event(Event::Answered { batch, found, answer, saved: false });
                }
            };
            let ops = batch.rows.iter().map(|row| row.op).collect();
            let saver = Saver { journal, id: seq, ops, saved: AtomicBool::new(false) };
            let tickets = Tickets { session: session.as_deref(), save: &saver };
            let answer = if batch.rows.is_empty() {
                Ok(Delivery::Settled(Outcomes::of(&batch)))
            } else {
                destination.write(&run, &batch, tickets).await
            };
            fail::fail_point!("deliver::after_send", |_| std::process::abort());
            Outcome::Event(Event::Answered { batch, found, answer, saved: saver.saved.load(Ordering::Relaxed) })
        });
        self.duties.insert(task.id(), Duty::Batch(seq));
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
