//! What the caller hands over and gets back.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use backhaul_kit::{Destination, Facts, Fault, Operation, Run};
use tokio::sync::watch;

use super::event::RejectedRow;
use super::limits::Halt;
use super::policy::Policy;
use crate::diff::Op;
use crate::snapshot::log::{LogWriter, Replay, Sealed};

/// Ops of one operation, in plan order; phases run one after the other.
pub struct Phase {
    /// What the destination does with them.
    pub operation: Operation,
    /// What is true of that operation there.
    pub facts: Facts,
    /// The ops; read as they are needed. Ops that are not sent are passed over.
    pub ops: Box<dyn Iterator<Item = Result<Op, Fault>> + Send>,
}

/// One delivery.
pub struct Job {
    /// Where to.
    pub destination: Arc<dyn Destination>,
    /// The run, for the destination.
    pub run: Run,
    /// What, in order.
    pub phases: Vec<Phase>,
    /// The run's log, new or resumed.
    pub log: LogWriter,
    /// What the log said when it was resumed: ops with a verdict are left out.
    pub already: Option<Arc<Replay>>,
    /// Whether rows are sent; if not, jobs that the log left open are asked after and nothing else happens.
    pub sends: bool,
    /// Who is told of refused rows.
    pub rejects: Arc<dyn RejectSink>,
    /// Who is told how far it is.
    pub progress: Arc<dyn ProgressSink>,
    /// Becomes true when the delivery shall end early: what is in flight is finished.
    pub cancel: watch::Receiver<bool>,
    /// Attempts, waits and limits.
    pub policy: Policy,
}

/// Takes refused rows.
#[async_trait]
pub trait RejectSink: Send + Sync {
    /// Returns when the rows are stored; only then are their verdicts logged.
    ///
    /// # Errors
    /// They cannot be stored; the delivery ends without logging their verdicts.
    async fn rejected(&self, rows: Vec<RejectedRow>) -> Result<(), Fault>;
}

/// Hears how far a delivery is, after every answer.
pub trait ProgressSink: Send + Sync {
    /// The counts so far.
    fn progress(&self, counts: Counts);
}

/// Rows by what became of them in this process, and calls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written, or already as asked.
    pub accepted: u64,
    /// Refused.
    pub rejected: u64,
    /// Tried, known not to be applied, left for the next run.
    pub deferred: u64,
    /// In doubt.
    pub unknown: u64,
    /// Calls of `write`.
    pub calls: u64,
}

/// How a delivery ended.
#[derive(Debug)]
pub struct Delivered {
    /// What became of the rows.
    pub counts: Counts,
    /// It was cancelled, or its canary failed; ops not yet sent are neither sent nor counted.
    pub interrupted: bool,
    /// What ended it early: ops not yet sent stay unsent.
    pub stopped_by: Option<Fault>,
    /// Which limit ended it early: likewise.
    pub halted: Option<Halt>,
    /// Length and digest of the log. `None` after an interruption, and where jobs are still open at the
    /// destination: the log is durable but open, so that the run can go on with [`LogWriter::resume`] (or be settled as far as it came).
    pub sealed: Option<Sealed>,
}

/// Why a delivery could not record what it did. Nothing was sealed: the log says what is in doubt.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The log cannot be written.
    #[error("cannot write the acknowledgement log")]
    Log(#[source] io::Error),
    /// Refused rows cannot be stored.
    #[error("cannot store rejected rows")]
    Rejects(#[source] Fault),
}
