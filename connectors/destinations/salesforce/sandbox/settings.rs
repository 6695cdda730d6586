//! What the stand-in can be told, at its start and while it runs.

use std::time::Duration;

use backhaul_kit::Fault;
use serde_json::{Map, Value};

use super::Org;
use crate::destinations::stand_in::{Known, Share, list};

/// Every setting, with one line each.
pub(super) const KNOWN: Known = Known(&[
    ("client_id", "the consumer key of the external client app"),
    ("client_secret", "its consumer secret, for client credentials"),
    ("username", "the user that the app may act for, for JWT bearer"),
    ("public_key", "the PEM public key that assertions are verified by; none is taken without"),
    ("audience", "who assertions must be for"),
    ("org", "the organisation's id"),
    ("scopes", "the scopes of every token, separated by commas"),
    ("expire_tokens", "any value: all tokens given so far are refused"),
    (
        "fields",
        "fields to add, as `Account.Plan__c:string`, separated by commas; types string (255 characters), double, \
      boolean, date, datetime; `:external`, `:required` or `:readonly` behind",
    ),
    ("rights", "what the user may do with every object: create, edit, delete, separated by commas"),
    ("closed", "fields that the user may only read, as `Account.Plan__c`, separated by commas"),
    ("insert", "a record to add, as `User:Email=ada@example.com`"),
    ("daily_limit", "calls in a day"),
    ("used", "calls that were made already"),
    ("page", "records on a page of a query"),
    ("reject", "values to refuse, as `Name=x`, separated by commas, or a share of the rows, as `1%`; empty for none"),
    ("fail_next", "how many of the next writes are answered with 500, unapplied"),
    ("throttle_next", "how many of the next writes are answered with REQUEST_LIMIT_EXCEEDED"),
    ("lose_next", "how many of the next writes are applied, but their answer is lost"),
    ("lock_next", "how many of the next rows are answered with UNABLE_TO_LOCK_ROW"),
    ("stuck", "1: jobs that were begun do not end; 0: they do"),
    ("fail_jobs", "how many of the next jobs fail half-way"),
    ("drop_rows", "how many of the next rows of jobs are in no results"),
    ("forget_jobs", "any value: all jobs so far are forgotten, as after 7 days"),
    ("latency", "milliseconds before every answer"),
]);

/// The present settings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) client_id: String,
    pub(super) client_secret: String,
    pub(super) username: String,
    pub(super) public_key: String,
    pub(super) audience: String,
    pub(super) org: String,
    pub(super) scopes: Vec<String>,
    pub(super) rights: Vec<String>,
    pub(super) closed: Vec<String>,
    pub(super) daily_limit: u64,
    pub(super) used: u64,
    pub(super) page: usize,
    pub(super) rejects: Vec<(String, String)>,
    /// By the external id.
    pub(super) reject_share: Share,
    pub(super) fail_next: u64,
    pub(super) throttle_next: u64,
    pub(super) lose_next: u64,
    pub(super) lock_next: u64,
    pub(super) stuck: bool,
    pub(super) fail_jobs: u64,
    pub(super) drop_rows: u64,
    pub(super) latency: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            client_id: String::from("sandbox-app"),
            client_secret: String::from("sandbox-secret"),
            username: String::from("sync@sandbox.example"),
            public_key: String::new(),
            audience: String::from("https://login.salesforce.com"),
            org: String::from("00D000000000001EAA"),
            scopes: texts(&["api"]),
            rights: texts(&["create", "edit"]),
            closed: Vec::new(),
            daily_limit: 100_000,
            used: 0,
            page: 2000,
            rejects: Vec::new(),
            reject_share: Share::default(),
            fail_next: 0,
            throttle_next: 0,
            lose_next: 0,
            lock_next: 0,
            stuck: false,
            fail_jobs: 0,
            drop_rows: 0,
            latency: Duration::ZERO,
        }
    }
}

/// Changes a setting.
///
/// # Errors
/// A setting that is not known or has a wrong value.
pub(super) fn apply(org: &mut Org, key: &str, value: &str) -> Result<(), Fault> {
    let settings = &mut org.settings;
    let texts = || list(value).map(str::to_owned).collect();
    let pair = |item: &str| {
        let (name, value) = item.split_once('=').ok_or_else(|| KNOWN.wrong(key, item))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    match key {
        "client_id" => settings.client_id = value.to_owned(),
        "client_secret" => settings.client_secret = value.to_owned(),
        "username" => settings.username = value.to_owned(),
        "public_key" => settings.public_key = value.to_owned(),
        "audience" => settings.audience = value.to_owned(),
        "org" => settings.org = value.to_owned(),
        "scopes" => settings.scopes = texts(),
        "expire_tokens" => org.tokens.clear(),
        "fields" => {
            for field in list(value) {
                org.objects.declare(field).ok_or_else(|| KNOWN.wrong(key, field))?;
            }
        }
        "rights" => settings.rights = texts(),
        "closed" => settings.closed = texts(),
        "insert" => {
            let (object, fields) = value.split_once(':').ok_or_else(|| KNOWN.wrong(key, value))?;
            let fields: Result<Vec<(String, String)>, Fault> = list(fields).map(pair).collect();
            let row: Map<String, Value> = fields?.into_iter().map(|(name, text)| (name, Value::String(text))).collect();
            org.objects.insert(object, row).ok_or_else(|| KNOWN.wrong(key, value))?;
        }
        "daily_limit" => settings.daily_limit = KNOWN.number(key, value)?,
        "used" => settings.used = KNOWN.number(key, value)?,
        "page" => settings.page = KNOWN.number::<usize>(key, value)?.max(1),
        "reject" => {
            settings.reject_share = Share::read(value).unwrap_or_default();
            let values = list(value).filter(|item| Share::read(item).is_none());
            settings.rejects = values.map(pair).collect::<Result<_, Fault>>()?;
        }
        "fail_next" => settings.fail_next = KNOWN.number(key, value)?,
        "throttle_next" => settings.throttle_next = KNOWN.number(key, value)?,
        "lose_next" => settings.lose_next = KNOWN.number(key, value)?,
        "lock_next" => settings.lock_next = KNOWN.number(key, value)?,
        "stuck" => settings.stuck = KNOWN.number::<u8>(key, value)? > 0,
        "fail_jobs" => settings.fail_jobs = KNOWN.number(key, value)?,
        "drop_rows" => settings.drop_rows = KNOWN.number(key, value)?,
        "forget_jobs" => org.jobs.clear(),
        "latency" => settings.latency = Duration::from_millis(KNOWN.number(key, value)?),
        _ => return Err(KNOWN.unknown(key)),
    }
    Ok(())
}
