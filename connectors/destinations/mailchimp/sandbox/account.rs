//! What the stand-in holds.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::destinations::stand_in::Common;

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) operations: Vec<Value>,
    /// The results of one that has run.
    pub(super) done: Option<Vec<Value>>,
}

/// The state of a running stand-in.
#[derive(Debug, Default)]
pub(super) struct Account {
    pub(super) common: Common,
    pub(super) url: String,
    pub(super) list: String,
    pub(super) role: String,
    /// By tag.
    pub(super) merge_fields: BTreeMap<String, String>,
    pub(super) edge_next: u64,
    pub(super) job_calls: u64,
    /// Calls until the next job is run.
    waits: u64,
    /// By id, as the vendor has them.
    pub(super) members: BTreeMap<String, Value>,
    /// Ids of members that were deleted for good.
    pub(super) forgotten: BTreeSet<String>,
    /// Ids of the segment's members.
    pub(super) segment: BTreeSet<String>,
    pub(super) jobs: Vec<Job>,
    /// Ids of jobs that it forgot are below this.
    pub(super) forgot: usize,
}

impl Account {
    /// One without members.
    pub(super) fn new() -> Self {
        let mut common = Common::new("sandbox-us1", 0);
        common.connections = 10;
        Self {
            common,
            list: String::from("abc123"),
            role: String::from("manager"),
            merge_fields: ["FNAME", "LNAME", "PLAN"].map(|tag| (tag.to_owned(), String::from("text"))).into(),
            job_calls: 1,
            ..Self::default()
        }
    }

    /// Runs the job whose time has come.
    pub(super) fn tick(&mut self) {
        let Some(next) = self.jobs.iter().position(|job| job.done.is_none()) else { return };
        self.waits += 1;
        if self.waits <= self.job_calls {
            return;
        }
        self.waits = 0;
        let operations = std::mem::take(&mut self.jobs[next].operations);
        let done = operations.iter().map(|operation| self.run(operation)).collect();
        self.jobs[next].done = Some(done);
    }
}
