//! `serve`: every sync on its schedule, one run a sync at a time, interrupted runs taken up again, and an orderly
//! end.
//!
//! | module | its one job |
//! |---|---|
//! | [`schedule`] | when the next slot of a schedule is due; pure |
//! | [`serve`] | the loop that starts, resumes and drains runs |
//! | [`shutdown`] | signals, and who asked to stop |

pub mod schedule;
mod serve;
pub mod shutdown;

pub use serve::{Clock, Drained, Resumable, Runner, Scheduled, Slots, SystemClock, serve};
pub use shutdown::{Shutdown, Stop};
