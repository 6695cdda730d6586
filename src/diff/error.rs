//! Why a scan did not become a plan.

use backhaul_kit::Fault;

use crate::snapshot::{FileError, SnapshotError};

/// What went wrong with a plan file.
pub type PlanError = FileError;

/// Why a scan did not become a plan. No plan file is left.
#[derive(Debug, thiserror::Error)]
pub enum DiffError {
    /// Rows without a key.
    #[error("{rows} rows have no key: a key column is NULL")]
    NullKeys {
        /// How many.
        rows: u64,
    },
    /// Keys that name more than one row.
    #[error("{count} rows repeat the key of another row")]
    DuplicateKeys {
        /// Rows beyond the first of their key.
        count: u64,
        /// Canonical bytes of up to five of the keys, as far as they are at hand. People's data: mask them
        /// before they are shown.
        examples: Vec<Vec<u8>>,
    },
    /// Match values that name more than one row, where records can be removed by them.
    #[error("{count} rows repeat the match value of another row")]
    DuplicateMatchValues {
        /// Rows beyond the first of their value.
        count: u64,
    },
    /// Rows that wait for each other's ids.
    #[error("{rows} rows wait for each other: each refers to one that must be there before it")]
    ReferenceRing {
        /// How many rows the ring has.
        rows: usize,
        /// Canonical bytes of up to five of their keys, each followed by that of the row it waits for. People's data: mask
        /// them before they are shown.
        examples: Vec<Vec<u8>>,
        /// Place of the field that refers.
        field: usize,
    },
    /// It was stopped while records were looked up.
    #[error("stopped before anything was sent")]
    Stopped,
    /// The pages had another number of rows than the source says.
    #[error("the scan is incomplete: the source counts {said} rows, {seen} came")]
    Incomplete {
        /// Rows that came.
        seen: u64,
        /// Rows that the source counts.
        said: u64,
    },
    /// Another sync of the group does not know what finds its records, so that they could be removed by mistake.
    #[error("{records} records of sync `{sync}`, of the same group, are remembered without what finds them")]
    UnknownAddresses {
        /// The other sync.
        sync: String,
        /// How many.
        records: u64,
    },
    /// A page could not be read.
    #[error(transparent)]
    Source(#[from] Fault),
    /// The snapshot could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The plan, or a scratch file beside it, could not be written.
    #[error(transparent)]
    Plan(#[from] PlanError),
}

impl DiffError {
    /// What the reader can do about it.
    pub fn remedy(&self) -> &str {
        match self {
            Self::NullKeys { .. } => "leave such rows out of the model, or choose a key that is never NULL",
            Self::DuplicateKeys { .. } => "make the model return one row a key, or add columns to the key",
            Self::DuplicateMatchValues { .. } => "match by a field whose values are unique in the model",
            Self::ReferenceRing { .. } => "make one of the rows refer to nothing until the others are there",
            Self::Stopped => "run again: the next scan compares afresh",
            Self::UnknownAddresses { .. } => {
                "send all of that sync's rows once more (`backhaul run SYNC --full`): what finds them is remembered then"
            }
            Self::Incomplete { .. } => "run again: nothing was sent and nothing was removed",
            Self::Source(fault) => fault.remedy_text(),
            Self::Snapshot(error) => error.remedy(),
            Self::Plan(error) => error.remedy(),
        }
    }
}
