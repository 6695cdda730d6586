//! A plan → verdicts: a pure state machine ([`Machine`]) and its thin driver ([`deliver`]).
//!
//! | file | its one job |
//! |---|---|
//! | `job` | what the caller hands over and gets back |
//! | `reader` | ops of a plan → rows, lazily; what an earlier process already settled is left out |
//! | `machine` | what happens next: `step(event, now) → effects`, without I/O and clocks |
//! | `policy` | how often, how long and how much a delivery tries |
//! | `retry` | how long to wait before the next try |
//! | `marks` | which ops the log says may be sent |
//! | `queue` | which rows may go out together |
//! | `verdict` | what an answer means for every row |
//! | `jobs` | batches that became asynchronous jobs, over restarts too |
//! | `limits` | when too many rows come to nothing |
//! | `breaker` | when a destination counts as down |
//! | `pressure` | how many calls may be in flight, how much may be sent again |
//! | `journal` | verdicts onto the disk, many workers a sync |
//! | `driver` | tasks and timers: does what the machine says |
//!
//! The reasons are in `DESIGN.md` beside this file.

mod breaker;
mod driver;
mod event;
mod job;
mod jobs;
mod journal;
mod limits;
mod machine;
mod marks;
mod policy;
mod pressure;
mod queue;
mod reader;
mod retry;
#[cfg(test)]
mod tests;
mod verdict;

pub use driver::deliver;
pub use event::{Effect, Event, Meta, RejectedRow, Work};
pub use job::{Counts, DeliverError, Delivered, Job, Phase, ProgressSink, RejectSink};
pub use limits::{CanaryGate, Halt};
pub use machine::{Machine, PhaseFacts};
pub use policy::Policy;
pub use reader::{Chunk, row};
pub(crate) use retry::Retry;
