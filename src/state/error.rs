//! What can go wrong with the state, each with what to do about it.

use std::path::PathBuf;

use jiff::Timestamp;

use super::{Holder, RunStatus};

/// An error of the state database. Its text is a sentence fragment for people; [`StateError::remedy`] says
/// what to do. Neither carries row values.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The folder or a file in it cannot be made, read or written.
    #[error("cannot use the state at {}: {reason}", path.display())]
    Unusable {
        /// The folder or file.
        path: PathBuf,
        /// The operating system's or SQLite's words.
        reason: String,
    },
    /// No space is left.
    #[error("the disk that holds the state is full")]
    DiskFull,
    /// Another process kept the database locked for too long.
    #[error("the state database is busy: another process has held it for over {seconds} s", seconds = super::BUSY.as_secs())]
    Busy,
    /// The file is not a database, or is damaged.
    #[error("the state database is damaged: {0}")]
    Corrupt(String),
    /// Written by a later version of backhaul.
    #[error("the state was written by a newer version of backhaul (schema {found}, this one knows {known})")]
    Newer {
        /// The schema version in the file.
        found: i64,
        /// The latest that this program knows.
        known: i64,
    },
    /// A sealed value does not open under the key.
    #[error("a sealed value in the state cannot be opened with this key")]
    Sealed,
    /// A value could not be sealed.
    #[error("a value cannot be sealed: the machine gives no random bytes")]
    Sealing,
    /// No run has that id.
    #[error("there is no run {0}")]
    NoSuchRun(String),
    /// The status of a run cannot go from one to the other.
    #[error("run {run} is {from}: it cannot become {to}")]
    Transition {
        /// The run.
        run: String,
        /// What it is.
        from: RunStatus,
        /// What it was to become.
        to: RunStatus,
    },
    /// Only a held run can be approved or discarded.
    #[error("run {run} is not held but {status}")]
    NotHeld {
        /// The run.
        run: String,
        /// What it is.
        status: RunStatus,
    },
    /// The hash is not the plan's.
    #[error("the plan of run {run} has another hash than the one approved")]
    OtherPlan {
        /// The run.
        run: String,
    },
    /// The run was approved before.
    #[error("run {run} was already approved")]
    AlreadyApproved {
        /// The run.
        run: String,
    },
    /// The destination account is in use.
    #[error("the destination account is in use by process {} on {} since {}", holder.pid, holder.host, since.strftime("%Y-%m-%d %H:%M:%SZ"))]
    Locked {
        /// Who holds it.
        holder: Holder,
        /// Since when.
        since: Timestamp,
    },
    /// The lease ran out or was taken over.
    #[error("the lease on the destination account was lost")]
    LeaseLost,
    /// Anything else that SQLite or the driver said.
    #[error("the state database failed: {0}")]
    Database(String),
}

impl StateError {
    /// What the reader can do.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unusable { .. } => {
                "check that the folder exists and belongs to this user, and that its disk is sound and not full"
            }
            Self::DiskFull => "free some space and run again: nothing was lost",
            Self::Busy => "wait for the other backhaul process, or stop it",
            Self::Corrupt(_) => {
                "restore the state folder from a backup, or move state.db away: runs and rejects are forgotten, \
                 what the destinations have accepted is kept apart from it"
            }
            Self::Newer { .. } => "use the newer backhaul, or restore the state folder of the older one",
            Self::Sealing => "check the machine's random source, then run again",
            Self::Sealed => "use the key that the state was made with (`[state] key`)",
            Self::NoSuchRun(_) => "see `backhaul runs`",
            Self::Transition { .. } | Self::NotHeld { .. } => "see `backhaul runs show RUN`",
            Self::OtherPlan { .. } => {
                "look at the plan again with `backhaul runs show RUN` and approve its present hash"
            }
            Self::AlreadyApproved { .. } => "nothing to do: it goes on with the next `backhaul run` or under `serve`",
            Self::Locked { .. } => "wait for it (leave out `--no-wait`), or stop the other process",
            Self::LeaseLost => "run again: another process may have taken the account over, or this one stood still",
            Self::Database(_) => "run again; if it persists, please report it",
        }
    }

    /// The exit code of the program when a command ends with it.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Locked { .. } | Self::LeaseLost => 6,
            Self::NoSuchRun(_) => 64,
            Self::Sealed => 4,
            Self::NotHeld { .. } | Self::OtherPlan { .. } | Self::AlreadyApproved { .. } => 5,
            Self::Newer { .. } => 78,
            _ => 1,
        }
    }
}

impl From<sqlx::Error> for StateError {
    fn from(error: sqlx::Error) -> Self {
        let sqlx::Error::Database(database) = &error else {
            return match error {
                sqlx::Error::PoolTimedOut => Self::Busy,
                // A column that does not decode was not written by this program.
                sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => Self::Corrupt(error.to_string()),
                other => Self::Database(other.to_string()),
            };
        };
        // Extended result codes carry the primary code in their low byte.
        let code = database.code().and_then(|c| c.parse::<u32>().ok()).map(|c| c & 0xff);
        let message = database.message().to_owned();
        match code {
            Some(5 | 6) => Self::Busy,
            Some(11 | 26) => Self::Corrupt(message),
            Some(13) => Self::DiskFull,
            Some(8 | 10 | 14) => Self::Unusable { path: PathBuf::from(super::FILE), reason: message },
            _ => Self::Database(message),
        }
    }
}
