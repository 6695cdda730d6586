//! What is kept of a run.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::diff::CauseCounts;
use crate::state::StateError;

/// Where a run stands; a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// Made, not begun.
    Queued,
    /// Scanning and comparing.
    Planning,
    /// A guard stopped the plan: nothing was sent, or its canary alone.
    Held,
    /// Sending.
    Delivering,
    /// Writing down what was accepted, or waiting for jobs at the vendor.
    Settling,
    /// Everything that was to be sent was accepted.
    Succeeded,
    /// Some rows were rejected or deferred.
    Partial,
    /// It stopped with an error.
    Failed,
    /// Held, then given up or superseded.
    Discarded,
    /// Stopped by its operator.
    Cancelled,
}

impl RunStatus {
    /// All, in the order of a run's life.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Planning,
        Self::Held,
        Self::Delivering,
        Self::Settling,
        Self::Succeeded,
        Self::Partial,
        Self::Failed,
        Self::Discarded,
        Self::Cancelled,
    ];

    /// Whether the run is over.
    pub fn terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Partial | Self::Failed | Self::Discarded | Self::Cancelled)
    }

    /// Whether a run of this status may get that one. Staying is always allowed: stages repeat themselves after
    /// a crash.
    pub fn may_become(self, next: Self) -> bool {
        if self == next {
            return true;
        }
        match self {
            Self::Queued => matches!(next, Self::Planning | Self::Failed | Self::Cancelled),
            Self::Planning => {
                matches!(next, Self::Held | Self::Delivering | Self::Settling | Self::Failed | Self::Cancelled)
            }
            Self::Held => {
                matches!(next, Self::Delivering | Self::Settling | Self::Discarded | Self::Failed | Self::Cancelled)
            }
            Self::Delivering => matches!(next, Self::Held | Self::Settling | Self::Failed | Self::Cancelled),
            Self::Settling => matches!(next, Self::Succeeded | Self::Partial | Self::Failed | Self::Cancelled),
            Self::Succeeded | Self::Partial | Self::Failed | Self::Discarded | Self::Cancelled => false,
        }
    }

    /// Its word in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Planning => "planning",
            Self::Held => "held",
            Self::Delivering => "delivering",
            Self::Settling => "settling",
            Self::Succeeded => "succeeded",
            Self::Partial => "partial",
            Self::Failed => "failed",
            Self::Discarded => "discarded",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for RunStatus {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| unknown_word("run status"))
    }
}

pub(super) fn unknown_word(what: &str) -> StateError {
    StateError::Corrupt(format!("a {what} is not known"))
}

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// A person or a script, by command.
    Manual,
    /// Its `every` or `cron` schedule.
    Schedule,
    /// The syncs it comes `after`.
    After,
}

impl Trigger {
    pub(super) const ALL: [Self; 3] = [Self::Manual, Self::Schedule, Self::After];

    /// Its word in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Manual => "manual",
            Self::Schedule => "schedule",
            Self::After => "after",
        }
    }
}

/// Numbers of rows in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunCounts {
    /// Rows that the model had.
    pub rows: u64,
    /// Of these, equal to what was accepted.
    pub unchanged: u64,
    /// Planned as new.
    pub added: u64,
    /// Planned as changed, changes of address included.
    pub changed: u64,
    /// Planned as removed, for whatever cause.
    pub removed: u64,
    /// Planned to be sent again though unchanged.
    pub refreshed: u64,
    /// Changed in the source without a mapped value changing: nothing was sent.
    pub touched: u64,
    /// Not sent: rejected before, with the same values, and not due yet.
    pub withheld: u64,
    /// Not sent yet: they refer to a record that is not there.
    pub waiting: u64,
    /// Of these: the record is one that the run sent, or that waits likewise.
    pub next_wave: u64,
    /// Values that were looked up at the destination.
    pub looked_up: u64,
    /// Accepted by the destination.
    pub accepted: u64,
    /// Refused by the mapping or the destination.
    pub rejected: u64,
    /// Not sent in the end, to be sent by the next run.
    pub deferred: u64,
    /// Sent, fate unknown.
    pub in_doubt: u64,
    /// Of the removals of what left the model: accepted, or in doubt.
    pub removals_sent: u64,
    /// Removals that a guard held back; the next run plans them again.
    pub held_back: u64,
    /// Of the removals that were planned: those of people who may not be sent, by cause.
    pub removed_for: CauseCounts,
    /// Rows of the model that may not be sent, by cause.
    pub ineligible: CauseCounts,
    /// Of these: records that stay as they are at the destination.
    pub frozen: u64,
    /// Planned and not sent: rows that were not to be sent any more when the plan was approved.
    pub vetoed: u64,
}

/// Values that a field of a run's plan refused, for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldValues {
    /// The field.
    pub field: String,
    /// The reason's code.
    pub code: String,
    /// How many were refused.
    pub invalid: u64,
    /// How many values of the field were taken.
    pub valid: u64,
}

impl fmt::Display for FieldValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, code, invalid, valid } = self;
        write!(f, "`{field}`: {invalid} values cannot be sent ({code}), {valid} can")
    }
}

/// Why a run failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunError {
    /// A word for scripts: a fault class, `guard`, `state` …
    pub class: String,
    /// What happened; never row values.
    pub message: String,
    /// What to do.
    pub remedy: Option<String>,
}

/// What is known of a run when it is made.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The sync's name.
    pub sync: String,
    /// What started it.
    pub trigger: Trigger,
    /// The first stage.
    pub stage: String,
    /// Digest of the configuration it runs by.
    pub config_digest: Option<String>,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunRecord {
    /// `20261120T123456-7f3a`: sorts by start.
    pub id: String,
    /// The sync's name.
    pub sync: String,
    /// Where it stands, for people.
    pub status: RunStatus,
    /// The durable stage it goes on from after a crash, in the run's own words.
    pub stage: String,
    /// What started it.
    pub trigger: Trigger,
    /// When it was made.
    pub started: Timestamp,
    /// When it was last written.
    pub updated: Timestamp,
    /// When it ended.
    pub finished: Option<Timestamp>,
    /// Numbers of rows.
    pub counts: RunCounts,
    /// Hash of its plan.
    pub plan_hash: Option<String>,
    /// The plan's file.
    pub plan_path: Option<PathBuf>,
    /// Digest of the configuration it runs by.
    pub config_digest: Option<String>,
    /// The destination account's identity.
    pub identity: Option<String>,
    /// Why it failed.
    pub error: Option<RunError>,
    /// Why it is (or was) held; sentences without row values.
    pub held_reasons: Vec<String>,
    /// What else its owner should know; sentences without row values.
    pub warnings: Vec<String>,
    /// The values that its fields refused.
    pub fields: Vec<FieldValues>,
    /// How many rows go first, as `[guards] canary` says it: `1%`, `100`.
    pub canary: Option<String>,
    /// Calls made to the destination.
    pub calls: u64,
    /// The exit code of its command.
    pub exit_code: Option<u8>,
}
