//! What the machine hears and what it says.

use backhaul_kit::{Batch, Delivery, Fault, Presence, Progress, Reason, Row, Ticket, Verdict};

use super::reader::Chunk;
use crate::snapshot::log::Entry;

/// What a row occupies while it is on its way: hashes of its key and addresses; 0 is none. Two that are equal by
/// chance make a row wait, and nothing else.
pub(crate) type Claims = [u64; 4];

/// What the machine remembers of a row while its batch is away.
#[derive(Clone, Debug)]
pub struct Meta {
    /// Op number.
    pub op: u64,
    /// Estimated bytes in a request.
    pub bytes: usize,
    pub(crate) phase: usize,
    pub(crate) claims: Claims,
    /// Calls that came to nothing.
    pub(crate) attempts: u32,
    /// Calls that were throttled.
    pub(crate) throttles: u32,
    /// An earlier call may have been applied: from then on "not applied" can no longer be said.
    pub(crate) doubt: bool,
    /// An earlier call was counted row by row and then cut in two: what was right of it was applied. Only a verdict on
    /// the row itself says more.
    pub(crate) counted: bool,
    /// The destination is asked whether the row is there before anything else happens to it.
    pub(crate) ask: bool,
}

/// A row and what is remembered of it.
#[derive(Clone, Debug)]
pub struct Work {
    /// What the destination gets.
    pub row: Row,
    /// What it does not get.
    pub meta: Meta,
}

/// A row that the destination refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RejectedRow {
    /// Op number.
    pub op: u64,
    /// Canonical key bytes.
    pub key: Vec<u8>,
    /// Fingerprint of the source row.
    pub fingerprint: u64,
    /// The destination's reason.
    pub reason: Reason,
    /// Calls made for the row in this run, the last one included.
    pub attempts: u32,
}

/// Something that happened outside.
#[derive(Debug)]
pub enum Event {
    /// The first event.
    Start,
    /// Rows were read, in answer to [`Effect::Read`].
    Read(Chunk),
    /// The plan cannot be read any further.
    ReadFailed(Fault),
    /// Everything logged before [`Effect::Sync`] of this number is on disk.
    Synced(u64),
    /// `begin` answered; whether there is a session.
    Began(Result<bool, Fault>),
    /// `write` answered.
    Answered {
        /// The batch, back: what was sent of it.
        batch: Batch,
        /// Rows that looking for their records was enough for.
        found: Vec<(Row, Verdict)>,
        /// The answer.
        answer: Result<Delivery, Fault>,
        /// Whether the connector saved a ticket on the way.
        saved: bool,
    },
    /// `find_written` answered.
    Asked {
        /// The batch, back.
        batch: Batch,
        /// The answer.
        answer: Result<Vec<Presence>, Fault>,
    },
    /// The task that wrote the batch of this number broke down.
    Broken(u64),
    /// `poll` answered.
    Polled {
        /// The job.
        id: u64,
        /// The batch, back.
        batch: Batch,
        /// The answer.
        progress: Result<Progress, Fault>,
    },
    /// `finish` answered.
    Finished(Result<Delivery, Fault>),
    /// The time of [`Machine::wake_at`](super::Machine::wake_at) has come.
    Tick,
    /// The operator wants it to end: finish what is in flight.
    Cancel,
}

/// Something to do.
#[derive(Debug)]
pub enum Effect {
    /// Read up to so many rows of a phase.
    Read {
        /// Place of the phase.
        phase: usize,
        /// At most.
        rows: usize,
    },
    /// Call `begin`.
    Begin,
    /// Report refused rows; done before anything logged after it is on disk.
    Reject(Vec<RejectedRow>),
    /// Append to the log.
    Log(Vec<Entry>),
    /// Make everything logged so far durable, then say [`Event::Synced`] with this number. Several
    /// may be answered together.
    Sync(u64),
    /// Call `write`.
    Send(Batch),
    /// Call `find_written`.
    Ask(Batch),
    /// Call `poll`.
    Poll {
        /// The job.
        id: u64,
        /// Its ticket.
        ticket: Ticket,
        /// Its batch.
        batch: Batch,
    },
    /// Call `finish`.
    Finish,
    /// Nothing more will come; the log is durable.
    Done,
}
