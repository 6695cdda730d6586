//! The acknowledgement log of a run: which ops were dispatched, and what became of each.

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
    /// A session was committed: everything staged counts.
    Committed,
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
