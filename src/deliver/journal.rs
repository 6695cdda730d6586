//! Verdicts onto the disk: one task owns the log, and one sync serves all who wait for it.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use backhaul_kit::{Fault, SaveTicket, Ticket};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::event::RejectedRow;
use super::job::{DeliverError, RejectSink};
use crate::snapshot::log::{Entry, LogWriter};

/// What the journal is told, in order.
enum Command {
    Reject(Vec<RejectedRow>),
    Log(Vec<Entry>),
    Sync(u64),
    /// Log this and say when it is durable.
    Save(Entry, oneshot::Sender<()>),
}

/// Speaks to the journal's task.
#[derive(Clone)]
pub(super) struct Journal(mpsc::UnboundedSender<Command>);

/// The task; it ends when the last [`Journal`] is dropped, or with the first error.
pub(super) type JournalTask = JoinHandle<Result<LogWriter, DeliverError>>;

impl Journal {
    /// Starts the task. The receiver hears the numbers of finished syncs.
    pub(super) fn start(
        log: LogWriter,
        rejects: Arc<dyn RejectSink>,
    ) -> (Self, JournalTask, mpsc::UnboundedReceiver<u64>) {
        let (commands, receiver) = mpsc::unbounded_channel();
        let (synced, durable) = mpsc::unbounded_channel();
        let task = tokio::spawn(keep(log, rejects, receiver, synced));
        (Self(commands), task, durable)
    }

    // A closed channel means that the task ended with an error; whoever waits for its syncs learns that.

    pub(super) fn reject(&self, rows: Vec<RejectedRow>) {
        let _ = self.0.send(Command::Reject(rows));
    }

    pub(super) fn log(&self, entries: Vec<Entry>) {
        let _ = self.0.send(Command::Log(entries));
    }

    pub(super) fn sync(&self, number: u64) {
        let _ = self.0.send(Command::Sync(number));
    }
}

async fn keep(
    mut log: LogWriter,
    rejects: Arc<dyn RejectSink>,
    mut commands: mpsc::UnboundedReceiver<Command>,
    synced: mpsc::UnboundedSender<u64>,
) -> Result<LogWriter, DeliverError> {
    // What the next sync makes durable, for the failpoints.
    let (mut marks, mut acks) = (false, false);
    while let Some(first) = commands.recv().await {
        let (mut sync, mut savers) = (None, Vec::new());
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Reject(rows) => rejects.rejected(rows).await.map_err(DeliverError::Rejects)?,
                Command::Log(entries) => {
                    for entry in &entries {
                        marks |= matches!(entry, Entry::Dispatched { .. } | Entry::Intent { .. });
                        acks |= matches!(entry, Entry::Ack { .. } | Entry::Acks { .. });
                        log.push(entry).map_err(DeliverError::Log)?;
                    }
                }
                Command::Sync(number) => sync = Some(number),
                Command::Save(entry, saver) => {
                    log.push(&entry).map_err(DeliverError::Log)?;
                    savers.push(saver);
                }
            }
            next = commands.try_recv().ok();
        }
        if sync.is_none() && savers.is_empty() {
            continue;
        }
        log = sync_on_disk(log).await?;
        if std::mem::take(&mut marks) {
            fail::fail_point!("deliver::after_mark", |_| std::process::abort());
        }
        if std::mem::take(&mut acks) {
            fail::fail_point!("deliver::after_ack", |_| std::process::abort());
        }
        for saver in savers {
            // A connector that no longer waits does not mind.
            let _ = saver.send(());
        }
        if let Some(number) = sync {
            let _ = synced.send(number);
        }
    }
    Ok(log)
}

async fn sync_on_disk(mut log: LogWriter) -> Result<LogWriter, DeliverError> {
    let synced = tokio::task::spawn_blocking(move || log.sync().map(|()| log)).await;
    synced.map_err(io::Error::other).and_then(|log| log).map_err(DeliverError::Log)
}

/// The handle that a connector saves tickets with during one `write`.
pub(super) struct Saver {
    pub(super) journal: Journal,
    pub(super) id: u64,
    pub(super) ops: Vec<u64>,
    pub(super) saved: std::sync::atomic::AtomicBool,
}

#[async_trait]
impl SaveTicket for Saver {
    async fn save(&self, ticket: &Ticket) -> Result<(), Fault> {
        let body = serde_json::to_string(ticket)
            .map_err(|e| Fault::bug("a ticket that cannot be written as JSON").caused_by(e))?;
        let (saver, durable) = oneshot::channel();
        let entry = Entry::Ticket { id: self.id, ops: self.ops.clone(), body };
        let lost = || Fault::transient("the acknowledgement log cannot be written");
        self.journal.0.send(Command::Save(entry, saver)).map_err(|_| lost())?;
        durable.await.map_err(|_| lost())?;
        self.saved.store(true, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }
}
