//! What the stand-in holds, and what it can be told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backhaul_kit::Fault;
use serde_json::{Value, json};

use crate::destinations::stand_in::{Known, Share, list};

/// Every setting, with one line each.
pub(super) const KNOWN: Known = Known(&[
    ("key", "the API key or token that it accepts"),
    ("list", "the id of its list"),
    ("role", "the role of the key's user"),
    ("merge_fields", "the list's merge fields, separated by commas; `TAG:type` for another type than text"),
    (
        "reject",
        "merge fields' values to refuse, as `PLAN=gold`, separated by commas, or a share of the members, as `1%`",
    ),
    ("unsubscribe", "an address that unsubscribes now"),
    ("fail_next", "how many of the next writes are answered with 500, unapplied"),
    ("throttle_next", "how many of the next writes are answered with 429"),
    ("edge_next", "how many of the next writes are answered with 403 in HTML"),
    ("lose_next", "how many of the next writes are applied, but their answer is lost"),
    ("job_calls", "calls until a job is run"),
    ("forget_jobs", "any value: jobs are not known any more"),
    ("connections", "calls at a time"),
    ("latency", "milliseconds before every answer"),
]);

/// A job.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) operations: Vec<Value>,
    /// The results of one that has run.
    pub(super) done: Option<Vec<Value>>,
}

/// The state of a running stand-in.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) url: String,
    pub(super) key: String,
    pub(super) list: String,
    pub(super) role: String,
    /// By tag.
    pub(super) merge_fields: BTreeMap<String, String>,
    pub(super) rejects: Vec<(String, String)>,
    /// By address.
    pub(super) reject_share: Share,
    pub(super) fail_next: u64,
    pub(super) throttle_next: u64,
    pub(super) edge_next: u64,
    pub(super) lose_next: u64,
    job_calls: u64,
    pub(super) connections: u64,
    pub(super) latency: Duration,
    pub(super) calls: u64,
    pub(super) in_flight: u64,
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

impl Default for Account {
    fn default() -> Self {
        let text = |tag: &str| (tag.to_owned(), String::from("text"));
        Self {
            url: String::new(),
            key: String::from("sandbox-us1"),
            list: String::from("abc123"),
            role: String::from("manager"),
            merge_fields: ["FNAME", "LNAME", "PLAN"].map(text).into(),
            rejects: Vec::new(),
            reject_share: Share::default(),
            fail_next: 0,
            throttle_next: 0,
            edge_next: 0,
            lose_next: 0,
            job_calls: 1,
            connections: 10,
            latency: Duration::ZERO,
            calls: 0,
            in_flight: 0,
            waits: 0,
            members: BTreeMap::new(),
            forgotten: BTreeSet::new(),
            segment: BTreeSet::new(),
            jobs: Vec::new(),
            forgot: 0,
        }
    }
}

impl Account {
    /// Changes a setting.
    ///
    /// # Errors
    /// One that is not known or has a wrong value.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        let pair = |item: &str, mark| item.split_once(mark).map(|(a, b): (&str, &str)| (a.to_owned(), b.to_owned()));
        match key {
            "key" => value.clone_into(&mut self.key),
            "list" => value.clone_into(&mut self.list),
            "role" => value.clone_into(&mut self.role),
            "merge_fields" => {
                let field = |item: &str| pair(item, ':').unwrap_or((item.to_owned(), String::from("text")));
                self.merge_fields = list(value).map(field).collect();
            }
            "reject" => {
                self.reject_share = Share::read(value).unwrap_or_default();
                let items = list(value).filter(|item| Share::read(item).is_none());
                let pairs = items.map(|item| pair(item, '=').ok_or_else(|| KNOWN.wrong(key, item)));
                self.rejects = pairs.collect::<Result<_, _>>()?;
            }
            "unsubscribe" => {
                let of_address = |member: &&mut Value| member["email_address"] == value;
                let member = self.members.values_mut().find(of_address).ok_or_else(|| KNOWN.wrong(key, value))?;
                member["status"] = json!("unsubscribed");
            }
            "fail_next" => self.fail_next = KNOWN.number(key, value)?,
            "throttle_next" => self.throttle_next = KNOWN.number(key, value)?,
            "edge_next" => self.edge_next = KNOWN.number(key, value)?,
            "lose_next" => self.lose_next = KNOWN.number(key, value)?,
            "job_calls" => self.job_calls = KNOWN.number(key, value)?,
            "forget_jobs" => self.forgot = self.jobs.len(),
            "connections" => self.connections = KNOWN.number(key, value)?,
            "latency" => self.latency = Duration::from_millis(KNOWN.number(key, value)?),
            _ => return Err(KNOWN.unknown(key)),
        }
        Ok(())
    }

    /// Members by address, and the addresses of the segment's.
    pub(super) fn records(&self) -> Value {
        let address = |member: &Value| member["email_address"].as_str().unwrap_or_default().to_owned();
        let members: serde_json::Map<String, Value> =
            self.members.values().map(|member| (address(member), member.clone())).collect();
        let segment: Vec<String> = self.segment.iter().filter_map(|id| self.members.get(id)).map(address).collect();
        json!({ "members": members, "segment": segment })
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
