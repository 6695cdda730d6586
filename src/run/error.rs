//! Why a run stopped, in one type with a sentence, a remedy and an exit code.

use std::path::{Path, PathBuf};

use backhaul_kit::config::Problem;
use backhaul_kit::{Fault, FaultClass};

use crate::deliver::DeliverError;
use crate::diff::{DiffError, PlanError};
use crate::snapshot::SnapshotError;
use crate::snapshot::log::LogError;
use crate::state::{RunError as RunFailure, StateError};

/// Why a run stopped, or could not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A call failed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The project does not fit the warehouse or the destination.
    #[error("{}", first_line(.0))]
    Problems(Vec<Problem>),
    /// The state database.
    #[error(transparent)]
    State(#[from] StateError),
    /// The snapshot.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Comparing.
    #[error(transparent)]
    Diff(#[from] DiffError),
    /// The plan file.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The acknowledgement log.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Sending.
    #[error(transparent)]
    Deliver(#[from] DeliverError),
    /// A file of a run.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// What was asked for does not fit the run's state.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
        /// What to do.
        remedy: String,
        /// The exit code.
        exit: u8,
    },
    /// The operator stopped it before anything was sent.
    #[error("stopped before anything was sent")]
    Cancelled,
    /// A run's files went with its snapshot.
    #[error("the plan and the log of run {run} are gone with the snapshot that it was made from")]
    Gone {
        /// The run.
        run: String,
    },
    /// A run ended before its plan was complete; nothing was sent.
    #[error("run {run} was interrupted before it sent anything")]
    Interrupted {
        /// The run.
        run: String,
    },
}

fn first_line(problems: &[Problem]) -> String {
    match problems {
        [] => String::from("no problem"),
        [one] => one.message.clone(),
        [first, rest @ ..] => format!("{} (and {} more)", first.message, rest.len()),
    }
}

/// The exit code of the program when a run, or a command, ends with a fault of that class.
pub fn exit_code(class: FaultClass) -> u8 {
    match class {
        FaultClass::Auth => 4,
        FaultClass::Config => 78,
        FaultClass::Throttled | FaultClass::Transient | FaultClass::Ambiguous => 75,
        FaultClass::Split | FaultClass::Bug => 1,
    }
}

impl RunError {
    /// The exit code of language.md.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Fault(fault) => exit_code(fault.class),
            Self::Problems(_) => exit_code(FaultClass::Config),
            Self::State(error) => error.exit_code(),
            Self::Refused { exit, .. } => *exit,
            Self::Cancelled => 130,
            Self::Snapshot(_)
            | Self::Diff(_)
            | Self::Plan(_)
            | Self::Log(_)
            | Self::Deliver(_)
            | Self::Io { .. }
            | Self::Gone { .. }
            | Self::Interrupted { .. } => 1,
        }
    }

    /// What the reader can do.
    pub fn remedy(&self) -> String {
        match self {
            Self::Fault(fault) => fault.remedy_text().to_owned(),
            Self::Problems(_) => FaultClass::Config.remedy().to_owned(),
            Self::State(error) => error.remedy().to_owned(),
            Self::Refused { remedy, .. } => remedy.clone(),
            Self::Snapshot(error) => error.remedy().to_owned(),
            Self::Diff(error) => error.remedy().to_owned(),
            Self::Plan(error) => error.remedy().to_owned(),
            Self::Log(_) => format!("restore the state from a backup; {}", begin_anew("SYNC")),
            Self::Gone { .. } => {
                String::from("nothing to do: every row of the model is sent again; rows that left it are not removed")
            }
            Self::Deliver(_) | Self::Io { .. } => {
                String::from("check free space and rights of the state folder, then run again")
            }
            Self::Cancelled | Self::Interrupted { .. } => String::from("run again: the next scan compares afresh"),
        }
    }

    /// A word for scripts.
    pub fn class(&self) -> &'static str {
        match self {
            Self::Fault(fault) => fault.class.as_str(),
            Self::Problems(_) => "config",
            Self::State(_) => "state",
            Self::Snapshot(_) | Self::Log(_) | Self::Gone { .. } => "snapshot",
            Self::Diff(_) | Self::Plan(_) => "plan",
            Self::Deliver(_) | Self::Io { .. } => "io",
            Self::Refused { .. } => "refused",
            Self::Cancelled => "cancelled",
            Self::Interrupted { .. } => "interrupted",
        }
    }

    /// What the state keeps.
    pub fn failure(&self) -> RunFailure {
        RunFailure { class: self.class().to_owned(), message: self.to_string(), remedy: Some(self.remedy()) }
    }
}

/// The plan no longer fits the world it was made for; `why` says how.
pub(super) fn stale(run: &str, why: &str) -> RunError {
    RunError::Refused {
        message: format!("run {run} cannot be approved: {why}"),
        remedy: format!("`backhaul discard {run}`, then run the sync again"),
        exit: 5,
    }
}

/// What a run has sent cannot be told any more, because its plan is gone or damaged.
pub(super) fn lost(run: &str, sync: &str, error: &PlanError) -> RunError {
    RunError::Refused {
        message: format!("run {run} had begun to send, and its plan cannot be read: {error}"),
        remedy: format!("restore the state from a backup; {}", begin_anew(sync)),
        exit: 1,
    }
}

/// The way on without a backup.
fn begin_anew(sync: &str) -> String {
    format!(
        "without one, `backhaul state rebuild {sync}`: every row is then sent again, and rows that left the model are \
         not removed"
    )
}

pub(super) fn io_error(path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path = path.to_owned();
    move |source| RunError::Io { path, source }
}
