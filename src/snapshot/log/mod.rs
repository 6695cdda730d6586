//! The acknowledgement log of a run: which ops were dispatched, and what became of each.
//!
//! [`LogWriter`] appends [`Entry`]s, [`Replay`] reads them back. A file is a header (magic, version, run id,
//! checksum) and frames (marker, kind, sequence, length, checksum seeded by the run id, payload). One
//! [`sync`](LogWriter::sync) writes one frame, and the next frame is written only after the one before it
//! is on disk. So a crash can tear the last frame and no other: a bad frame with a valid one behind it
//! is corruption, a bad tail of an unsealed log is what a crash leaves.

mod entry;
mod fates;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod ids;
mod ranges;
mod replay;
#[cfg(test)]
mod tests;
mod writer;

pub use ids::RemoteIds;
pub use replay::{OpenTicket, Replay, Standing};
pub use writer::{LogWriter, Sealed};

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file system said no.
    #[error("cannot read the acknowledgement log")]
    Io(#[from] std::io::Error),
    /// The bytes at `offset` are not what was written.
    #[error("the acknowledgement log is damaged at byte {offset}")]
    Corrupt {
        /// Where the first bad frame starts.
        offset: u64,
    },
    /// A log of another run.
    #[error("the acknowledgement log belongs to another run")]
    OtherRun,
    /// It was sealed, and is no longer.
    #[error("the acknowledgement log has lost its end")]
    Unsealed,
    /// Written by a newer backhaul.
    #[error("the acknowledgement log has format {0}, which this version cannot read")]
    Version(u16),
}

/// One thing that happened, in the order it happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Ops `first..=last` may be sent from now on; durable before any of them is.
    Dispatched {
        /// First op number.
        first: u64,
        /// Last op number.
        last: u64,
    },
    /// A final verdict.
    Ack {
        /// Op number.
        op: u64,
        /// What became of it.
        fate: Fate,
        /// The vendor's id, where the answer gave it.
        remote_id: Option<String>,
    },
    /// Final verdicts of ops `first..=last`, none with an id. Only said when logging: it is written, and read
    /// back, as one `Ack` an op.
    Acks {
        /// First op number.
        first: u64,
        /// Last op number.
        last: u64,
        /// What became of them.
        fate: Fate,
    },
    /// A batch of an operation that is not safe to resend is about to be sent.
    Intent {
        /// Op numbers.
        ops: Vec<u64>,
    },
    /// An async job was created (or its ticket changed); `ops` are in it until `Closed`.
    Ticket {
        /// Names the job within the run.
        id: u64,
        /// Op numbers.
        ops: Vec<u64>,
        /// The ticket as JSON.
        body: String,
    },
    /// The job ended; its ops have their acks.
    Closed {
        /// The job.
        id: u64,
    },
    /// A session was committed: every op dispatched so far that has no verdict is accepted.
    Committed,
    /// Nothing is in flight any more: an op without a verdict that is in no open ticket was not sent,
    /// whatever a mark before this says.
    Drained,
}

/// The final verdict of an op, as settling sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// Written or already as asked: the snapshot moves.
    Accepted,
    /// Refused: the old state stays.
    Rejected,
    /// Known not to be applied and not to be tried again in this run: the old state stays.
    Deferred,
    /// Nobody knows: in doubt.
    Unknown,
}
