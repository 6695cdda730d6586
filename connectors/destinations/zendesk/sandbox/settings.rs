//! What the stand-in can be told, at its start and while it runs.

use std::time::Duration;

use backhaul_kit::Fault;
use serde_json::json;

use super::desk::Desk;
use crate::destinations::stand_in::{Known, Share, list};

/// Every setting, with one line each.
pub(super) const KNOWN: Known = Known(&[
    ("token", "the OAuth token, or API token, that it accepts; another one makes all others expire"),
    ("scopes", "the OAuth token's scopes, separated by commas"),
    ("role", "the role of the credential's user: admin, agent or end-user"),
    ("imports", "`off` where bulk imports of users are not enabled"),
    ("fields", "keys of the custom fields of users and organizations, separated by commas"),
    ("tickets", "so many tickets there are, with ids from 1"),
    ("per_minute", "calls let through in a minute; 0 for no limit"),
    ("limit", "calls let through in a window of time, as `100/10s` or `20/500ms` (ms, s, m, h, d); 0 for no limit"),
    (
        "window",
        "`rolling`: any such time counts; `fixed`: a window begins with the first call after the last one's end",
    ),
    ("max_jobs", "jobs that may be open at once"),
    ("resets", "seconds that a used-up limit and a 429 ask for"),
    ("job_time", "milliseconds that a job takes"),
    ("stuck_next", "how many of the next jobs never end"),
    ("fail_jobs_next", "how many of the next jobs fail without having done anything"),
    ("forget_next", "how many of the next jobs are done, but forgotten"),
    (
        "reject",
        "values to refuse, as `email=x@example.com`, separated by commas, or a share of the rows, as `1%`; empty for none",
    ),
    ("fail_next", "how many of the next writes are answered with 500, unapplied"),
    ("throttle_next", "how many of the next writes are answered with 429"),
    ("lose_next", "how many of the next writes are taken in, but their answer is lost"),
    ("latency", "milliseconds before every answer"),
]);

/// The present settings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) token: String,
    pub(super) scopes: Vec<String>,
    pub(super) role: String,
    pub(super) imports: bool,
    pub(super) fields: Vec<String>,
    pub(super) max_jobs: usize,
    pub(super) resets: u32,
    pub(super) job_time: Duration,
    pub(super) stuck_next: u64,
    pub(super) fail_jobs_next: u64,
    pub(super) forget_next: u64,
    /// Fields and the values that they may not have.
    pub(super) rejects: Vec<(String, String)>,
    /// By what a row says.
    pub(super) reject_share: Share,
    pub(super) fail_next: u64,
    pub(super) throttle_next: u64,
    pub(super) lose_next: u64,
    pub(super) latency: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: String::from("sandbox-token"),
            scopes: ["read", "users:write", "organizations:write", "tickets:write"].map(str::to_owned).into(),
            role: String::from("admin"),
            imports: true,
            fields: vec![String::from("plan")],
            max_jobs: 30,
            resets: 1,
            job_time: Duration::ZERO,
            stuck_next: 0,
            fail_jobs_next: 0,
            forget_next: 0,
            rejects: Vec::new(),
            reject_share: Share::default(),
            fail_next: 0,
            throttle_next: 0,
            lose_next: 0,
            latency: Duration::ZERO,
        }
    }
}

/// Changes a setting.
///
/// # Errors
/// A setting that is not known or has a wrong value.
pub(super) fn apply(desk: &mut Desk, key: &str, value: &str) -> Result<(), Fault> {
    let settings = &mut desk.settings;
    let millis = || KNOWN.number(key, value).map(Duration::from_millis);
    match key {
        "token" => settings.token = value.to_owned(),
        "scopes" => settings.scopes = list(value).map(str::to_owned).collect(),
        "role" => settings.role = value.to_owned(),
        "imports" => settings.imports = value != "off",
        "fields" => settings.fields = list(value).map(str::to_owned).collect(),
        "tickets" => {
            let tickets = (1..=KNOWN.number::<u64>(key, value)?).map(|id| (id, json!({ "status": "open" })));
            desk.records.insert("tickets".into(), tickets.collect());
        }
        "per_minute" => desk.window.limit(KNOWN.number(key, value)?, Duration::from_secs(60)),
        "max_jobs" => settings.max_jobs = KNOWN.number(key, value)?,
        "resets" => settings.resets = KNOWN.number(key, value)?,
        "job_time" => settings.job_time = millis()?,
        "stuck_next" => settings.stuck_next = KNOWN.number(key, value)?,
        "fail_jobs_next" => settings.fail_jobs_next = KNOWN.number(key, value)?,
        "forget_next" => settings.forget_next = KNOWN.number(key, value)?,
        "reject" => {
            let pair = |item: &str| item.split_once('=').map(|(field, value)| (field.to_owned(), value.to_owned()));
            settings.reject_share = Share::read(value).unwrap_or_default();
            let items = list(value).filter(|item| Share::read(item).is_none());
            settings.rejects =
                items.map(|item| pair(item).ok_or_else(|| KNOWN.wrong(key, item))).collect::<Result<_, _>>()?;
        }
        "fail_next" => settings.fail_next = KNOWN.number(key, value)?,
        "throttle_next" => settings.throttle_next = KNOWN.number(key, value)?,
        "lose_next" => settings.lose_next = KNOWN.number(key, value)?,
        "latency" => settings.latency = millis()?,
        _ => return Err(KNOWN.unknown(key)),
    }
    Ok(())
}
