//! What can go wrong with the files of a snapshot or a plan, and what the operator can do about it.

use std::io;
use std::path::{Path, PathBuf};

/// What went wrong with one file.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system refused.
    #[error("cannot {action} {}: {source}", .file.display())]
    Io {
        /// A verb: `read`, `write`, `create`.
        action: &'static str,
        /// The file or folder.
        file: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Writing would leave less free space than must be kept.
    #[error("{} has {free} bytes free where {needed} are needed", .folder.display())]
    NoSpace {
        /// The folder on the file system in question.
        folder: PathBuf,
        /// Free bytes there.
        free: u64,
        /// Bytes that must be free.
        needed: u64,
    },
    /// The file is not what was written.
    #[error("{} is damaged: {what}", .file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What does not fit, as a sentence fragment.
        what: String,
    },
    /// The file is of a version that this program does not know.
    #[error("{} has format version {found}; this program knows version {known}", .file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// The version it states.
        found: u32,
        /// The version of this program.
        known: u32,
    },
    /// The state key does not open the file.
    #[error("{} was encrypted with another state key", .file.display())]
    OtherKey {
        /// The file.
        file: PathBuf,
    },
    /// A key file that others may read.
    #[error("{} can be read by other users", .file.display())]
    Exposed {
        /// The file.
        file: PathBuf,
    },
    /// Text or a file that does not hold a key.
    #[error("{place} does not hold a state key: {what}")]
    NotAKey {
        /// Where the text came from.
        place: String,
        /// What does not fit; never the text itself.
        what: &'static str,
    },
    /// The library behind encryption refused.
    #[error("encryption is not available: {0}")]
    Crypto(&'static str),
}

impl FileError {
    /// Makes an I/O error of `action` on `file`; a full disk gets its own sentence.
    pub(crate) fn io(action: &'static str, file: &Path, source: io::Error) -> Self {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let folder = file.parent().unwrap_or(file).to_owned();
            return Self::NoSpace { folder, free: 0, needed: 1 };
        }
        Self::Io { action, file: file.to_owned(), source }
    }

    /// The file does not hold what was written.
    pub(crate) fn damaged(file: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { file: file.to_owned(), what: what.into() }
    }

    /// Whether the bytes are not those that were written: nothing but another copy of them helps.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    /// The error of a file that belongs to another, which has opened under the state key: the key is right.
    pub(crate) fn under_known_key(self) -> Self {
        match self {
            Self::OtherKey { file } => Self::damaged(&file, "its key was altered"),
            other => other,
        }
    }

    /// What the reader can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Io { .. } => "check that the folder exists and that this user may read and write it",
            Self::NoSpace { .. } => "free space on that file system, move `state.dir`, or lower `state.min_free`",
            Self::Damaged { .. } => {
                "check the disk, then restore the state from a backup; without one, `backhaul state rebuild SYNC` lets \
                 the sync begin anew. Nothing was sent on the strength of this file"
            }
            Self::Version { .. } => "use the version of backhaul that wrote it, or a newer one",
            Self::OtherKey { .. } => "provide the state key that this state was made with (`state.key`)",
            Self::Exposed { .. } => "run `chmod 600` on it",
            Self::NotAKey { .. } => "a state key is 32 bytes as 64 hexadecimal digits or as base64",
            Self::Crypto(_) => "this is a defect of backhaul or of the machine's random source: please report it",
        }
    }
}

/// What went wrong with a snapshot.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// One of its files.
    #[error(transparent)]
    File(#[from] FileError),
    /// The plan was made from another state of the snapshot and cannot be settled on this one.
    #[error("run {run} was planned from snapshot {planned}, but the snapshot is now {present}")]
    OtherBase {
        /// The run of the plan.
        run: String,
        /// The state that the plan was made from.
        planned: String,
        /// The state on disk.
        present: String,
    },
}

impl SnapshotError {
    /// What the reader can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::File(error) => error.remedy(),
            Self::OtherBase { .. } => "discard the plan and run again: a new scan compares every row afresh",
        }
    }
}
