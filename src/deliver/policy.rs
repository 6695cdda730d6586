//! How often, how long and how much a delivery tries.

use std::time::Duration;

use super::limits::CanaryGate;
use super::retry::Retry;
use crate::config::Threshold;

/// Attempts, waits and limits of a delivery.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Calls a row gets before it is deferred or in doubt; default 5.
    pub attempts: u32,
    /// Throttled calls a row gets before it is deferred; default 30.
    pub throttles: u32,
    /// Failed calls in a row after which the destination counts as down; default 10.
    pub failures: u32,
    /// Throttled calls in a row after which the destination counts as down; default 30.
    pub throttled: u32,
    /// Verdicts that may wait for a sync; default 10,000.
    pub ack_rows: usize,
    /// How long a verdict may wait for a sync; default 200 ms.
    pub ack_delay: Duration,
    /// Ops that one dispatch mark covers; default 10,000.
    pub mark_ops: u64,
    /// Full batches that may be sent again before any row is done with; default 20. Later half as many rows as
    /// are done with.
    pub retry_batches: usize,
    /// Most refused rows, of those with a verdict; default none.
    pub max_rejected: Option<Threshold>,
    /// What the rows of phase 0 have to show before any others go out; default nothing.
    pub canary: Option<CanaryGate>,
    /// Waits between attempts.
    pub retry: Retry,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 5,
            throttles: 30,
            failures: 10,
            throttled: 30,
            ack_rows: 10_000,
            ack_delay: Duration::from_millis(200),
            mark_ops: 10_000,
            retry_batches: 20,
            max_rejected: None,
            canary: None,
            retry: Retry::default(),
        }
    }
}
