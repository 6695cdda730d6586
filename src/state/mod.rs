//! Runs, rejects, approvals, raised limits, schedule slots and account leases, in one SQLite file of the state folder.
//!
//! The snapshot's manifest is the truth about rows; what stands here is about runs and what they left over, and
//! is brought into line with the manifests at start. Keys and vendors' texts are people's data: they are stored
//! sealed ([`Sealer`]) and found by the hash of the key.
//!
//! Several processes may use one state folder at a time: each operation is one transaction, and
//! [`State::acquire`] sees to it that a destination account has one writer.

mod allowances;
mod approvals;
mod error;
mod leases;
mod lists;
mod quotas;
mod rejects;
mod rename;
mod runs;
mod slots;
mod store;

use std::time::Duration;

use jiff::Timestamp;

pub use allowances::Allowance;
pub use error::StateError;
pub use leases::{Holder, Lease, LeaseTiming, LeaseWatch, Wait};
pub use rejects::{NewReject, Reject, RejectClass, RejectCode, Resolution, Withheld};
pub use runs::{FieldValues, NewRun, RunCounts, RunError, RunRecord, RunStatus, Trigger};
pub use store::State;

/// The database's name in the state folder.
const FILE: &str = "state.db";
/// How long an operation waits for another process's transaction.
const BUSY: Duration = Duration::from_secs(15);

/// Encrypts what must not be read by whoever finds the file.
pub trait Sealer: Send + Sync {
    /// Encrypts `plain`; it opens only under the same `context`. `None` where the machine has no random bytes.
    fn seal(&self, context: &[u8], plain: &[u8]) -> Option<Vec<u8>>;

    /// Decrypts what [`Sealer::seal`] made; `None` for another key, another context or altered bytes.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>>;
}

/// A time from the database.
fn time(micros: i64) -> Result<Timestamp, StateError> {
    Timestamp::from_microsecond(micros).map_err(|_| StateError::Corrupt(String::from("a time is out of range")))
}

/// A count from the database.
fn count(n: i64) -> Result<u64, StateError> {
    u64::try_from(n).map_err(|_| StateError::Corrupt(String::from("a count is negative")))
}
