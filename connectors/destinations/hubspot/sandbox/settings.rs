//! What the stand-in can be told, at its start and while it runs.

use std::collections::BTreeSet;
use std::time::Duration;

use backhaul_kit::Fault;

use super::Account;
use super::property::Property;
use crate::destinations::stand_in::{Known, Share, list};

/// Every setting, with one line each.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("token", "the token it accepts; another one makes all others expire"),
    ("hub_id", "the account's id"),
    ("scopes", "what the token may do, separated by commas; `all` for everything"),
    ("objects", "custom objects to add, as `2-100=machine`, separated by commas"),
    ("properties", "properties to add, as `contacts.plan:enumeration:free|pro,contacts.customer_id:string:unique`"),
    ("per_ten_seconds", "calls let through in any 10 seconds; 0 for no limit"),
    ("limit", "calls let through in a window of time, as `100/10s` or `20/500ms` (ms, s, m, h, d); 0 for no limit"),
    (
        "window",
        "`rolling`: any such time counts; `fixed`: a window begins with the first call after the last one's end",
    ),
    ("per_day", "calls let through in all, as a daily limit; 0 for no limit"),
    (
        "reject",
        "values to refuse, as `INVALID_OWNER:owner=7`, separated by commas, or a share of the rows, as `1%`; empty for none",
    ),
    ("fail_next", "how many of the next record calls are answered with 500, unapplied"),
    ("throttle_next", "how many of the next record calls are answered with 429 and Retry-After"),
    ("retry_after", "seconds that such a 429 asks to wait"),
    ("lose_next", "how many of the next record calls are applied, but their answer is lost"),
    ("latency", "milliseconds before every answer"),
    ("slow_body", "milliseconds between the halves of every answer's body"),
];

pub(super) const KNOWN: Known = Known(SETTINGS);

/// The objects whose scopes `all` grants.
const SCOPED: [&str; 4] = ["contacts", "companies", "deals", "custom"];

/// The present settings; what concerns objects and properties is in the store.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) token: String,
    pub(super) hub_id: u64,
    pub(super) scopes: BTreeSet<String>,
    /// 0: no limit.
    pub(super) per_day: u64,
    pub(super) rejects: Vec<Refusal>,
    pub(super) reject_share: Share,
    pub(super) fail_next: u64,
    pub(super) throttle_next: u64,
    pub(super) retry_after: u64,
    pub(super) lose_next: u64,
    pub(super) latency: Duration,
    pub(super) slow_body: Duration,
}

/// A value that is refused on purpose.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) code: String,
    pub(super) property: String,
    pub(super) value: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: String::from("sandbox-token"),
            hub_id: 4_242_424,
            scopes: every_scope(),
            per_day: 0,
            rejects: Vec::new(),
            reject_share: Share::default(),
            fail_next: 0,
            throttle_next: 0,
            retry_after: 1,
            lose_next: 0,
            latency: Duration::ZERO,
            slow_body: Duration::ZERO,
        }
    }
}

/// Changes a setting.
///
/// # Errors
/// A setting that is not known or has a wrong value.
pub(super) fn apply(account: &mut Account, key: &str, value: &str) -> Result<(), Fault> {
    let Account { settings, store, gate } = account;
    match key {
        "token" => settings.token = value.to_owned(),
        "hub_id" => settings.hub_id = KNOWN.number(key, value)?,
        "scopes" if value == "all" => settings.scopes = every_scope(),
        "scopes" => settings.scopes = list(value).map(str::to_owned).collect(),
        "objects" => {
            for item in list(value) {
                let (id, name) = item.split_once('=').ok_or_else(|| KNOWN.wrong(key, item))?;
                store.add_object(id, name, settings.hub_id).ok_or_else(|| KNOWN.wrong(key, item))?;
            }
        }
        "properties" => {
            for item in list(value) {
                let (object, property) = property(item).ok_or_else(|| KNOWN.wrong(key, item))?;
                let object = store.object_mut(object).ok_or_else(|| KNOWN.wrong(key, item))?;
                object.add_property(property).ok_or_else(|| KNOWN.wrong(key, item))?;
            }
        }
        "per_ten_seconds" => gate.window.limit(KNOWN.number(key, value)?, Duration::from_secs(10)),
        "per_day" => {
            settings.per_day = KNOWN.number(key, value)?;
            gate.start_day();
        }
        "reject" => {
            settings.reject_share = Share::read(value).unwrap_or_default();
            settings.rejects = list(value)
                .filter(|item| Share::read(item).is_none())
                .map(|item| refusal(item).ok_or_else(|| KNOWN.wrong(key, item)))
                .collect::<Result<_, _>>()?;
        }
        "fail_next" => settings.fail_next = KNOWN.number(key, value)?,
        "throttle_next" => settings.throttle_next = KNOWN.number(key, value)?,
        "retry_after" => settings.retry_after = KNOWN.number(key, value)?,
        "lose_next" => settings.lose_next = KNOWN.number(key, value)?,
        "latency" => settings.latency = Duration::from_millis(KNOWN.number(key, value)?),
        "slow_body" => settings.slow_body = Duration::from_millis(KNOWN.number(key, value)?),
        _ => return Err(KNOWN.unknown(key)),
    }
    Ok(())
}

fn every_scope() -> BTreeSet<String> {
    let objects = SCOPED.iter().flat_map(|object| {
        [
            format!("crm.objects.{object}.read"),
            format!("crm.objects.{object}.write"),
            format!("crm.schemas.{object}.read"),
            format!("crm.schemas.{object}.write"),
        ]
    });
    objects.chain([String::from("oauth")]).collect()
}

/// `CODE:property=value`.
fn refusal(item: &str) -> Option<Refusal> {
    let (code, rest) = item.split_once(':')?;
    let (property, value) = rest.split_once('=')?;
    Some(Refusal { code: code.to_owned(), property: property.to_owned(), value: value.to_owned() })
}

/// `object.name:type[:unique][:read_only][:multiple][:option|option…]`.
fn property(item: &str) -> Option<(&str, Property)> {
    let mut parts = item.split(':');
    let (object, name) = parts.next()?.split_once('.')?;
    let mut property = Property::new(name, parts.next()?)?;
    for part in parts {
        match part {
            "unique" => property.unique = true,
            "read_only" => property.read_only = true,
            "multiple" => property.multiple = true,
            options => property.options = options.split('|').map(str::to_owned).collect(),
        }
    }
    Some((object, property))
}
