//! What the stand-in holds, what it can be told, and what it makes of a record.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::time::Duration;

use backhaul_kit::Fault;
use serde_json::{Map, Value, json};

use crate::destinations::mixpanel::event::FORBIDDEN_IDS;
use crate::destinations::stand_in::{Share, list};

/// Every setting, with one line each.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("token", "the project's token; another one is refused by /import and vanishes in /engage"),
    (
        "reject",
        "values to refuse, as `plan=gold`, separated by commas, or a share of the records, as `1%`; empty for none",
    ),
    ("fail_next", "how many of the next calls with a valid record are answered with 500, unapplied"),
    ("throttle_next", "how many of the next calls with a valid record are answered with 429 and Retry-After"),
    ("retry_after", "seconds that such a 429 asks to wait"),
    ("lose_next", "how many of the next calls with a valid record are applied, but their answer is lost"),
    ("expire_after", "calls of events until the token is refused; 0 for never"),
    ("latency", "milliseconds before every answer"),
];
/// 1971-01-01 in milliseconds.
const EARLIEST: i64 = 31_536_000_000;
/// Integers below are seconds.
const LEAST_MILLIS: i64 = 100_000_000_000;
/// How far ahead a time may be.
const AHEAD: i64 = 3_600_000;

/// What it was told.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) token: String,
    rejects: Vec<(String, String)>,
    /// By what a record says.
    reject_share: Share,
    pub(super) fail_next: u64,
    pub(super) throttle_next: u64,
    pub(super) retry_after: u64,
    pub(super) lose_next: u64,
    /// Calls left, and one; 0: without end.
    pub(super) expires: u64,
    pub(super) latency: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: String::from("sandbox-token"),
            rejects: Vec::new(),
            reject_share: Share::default(),
            fail_next: 0,
            throttle_next: 0,
            retry_after: 1,
            lose_next: 0,
            expires: 0,
            latency: Duration::ZERO,
        }
    }
}

/// The state of a running stand-in.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) settings: Settings,
    pub(super) calls: u64,
    /// Events in the order of their first arrival.
    events: Vec<Value>,
    /// By event, time, distinct id and insert id.
    known: HashMap<[String; 4], usize>,
    profiles: BTreeMap<String, Map<String, Value>>,
}

/// Why a record is not valid: the field and the words.
pub(super) type Refusal = (String, String);

impl Project {
    /// Changes a setting.
    ///
    /// # Errors
    /// One that is not known or has a wrong value.
    pub(super) fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        let settings = &mut self.settings;
        match key {
            "token" => value.clone_into(&mut settings.token),
            "reject" => {
                settings.reject_share = Share::read(value).unwrap_or_default();
                let items = list(value).filter(|item| Share::read(item).is_none());
                let pairs: Option<_> = items.map(|item| item.split_once('=')).collect();
                let pairs: Vec<(&str, &str)> = pairs.ok_or_else(|| wrong(key, value))?;
                settings.rejects = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
            }
            "fail_next" => settings.fail_next = number(key, value)?,
            "throttle_next" => settings.throttle_next = number(key, value)?,
            "retry_after" => settings.retry_after = number(key, value)?,
            "lose_next" => settings.lose_next = number(key, value)?,
            "expire_after" => {
                settings.expires = number::<u64>(key, value)?.checked_add(1).filter(|n| *n > 1).unwrap_or(0);
            }
            "latency" => settings.latency = Duration::from_millis(number(key, value)?),
            _ => {
                let known: Vec<&str> = SETTINGS.iter().map(|(name, _)| *name).collect();
                let remedy = format!("one of: {}", known.join(", "));
                return Err(Fault::config(format!("the stand-in has no setting `{key}`")).remedy(remedy));
            }
        }
        Ok(())
    }

    /// Object → id → fields. Events are named by their insert id, and numbered where several have the same.
    pub(super) fn records(&self) -> Value {
        let mut events = Map::new();
        for event in &self.events {
            let id = event["properties"]["$insert_id"].as_str().unwrap_or_default();
            let mut name = id.to_owned();
            let mut number = 1;
            while events.contains_key(&name) {
                number += 1;
                name = format!("{id}#{number}");
            }
            events.insert(name, event.clone());
        }
        json!({ "events": events, "profiles": self.profiles })
    }

    /// What tells an event from others: name, time, distinct id and insert id.
    ///
    /// # Errors
    /// Why it is not valid.
    pub(super) fn judge(&self, event: &Value) -> Result<[String; 4], Refusal> {
        let properties = &event["properties"];
        let refuse = |field: &str, why: &str| {
            Err((format!("properties.{field}"), format!("'properties.{field}' is invalid: {why}")))
        };
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let Some(name) = text(&event["event"]).filter(|name| !name.is_empty()) else {
            return Err((String::from("event"), String::from("'event' is invalid: must not be missing")));
        };
        let Some(time) = properties["time"].as_i64() else {
            return refuse("time", "must be specified as seconds since epoch");
        };
        let millis = if time.abs() < LEAST_MILLIS { time * 1000 } else { time };
        if !(EARLIEST..=jiff::Timestamp::now().as_millisecond() + AHEAD).contains(&millis) {
            return refuse("time", "must be after 1971 and not in the future");
        }
        let Some(id) = text(&properties["distinct_id"]).filter(|id| !is_forbidden(id)) else {
            return refuse("distinct_id", "must be a known id");
        };
        let is_plain = |id: &String| {
            (1..=36).contains(&id.len())
                && !is_forbidden(id)
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        let Some(insert_id) = text(&properties["$insert_id"]).filter(is_plain) else {
            return refuse("$insert_id", "must be at most 36 letters, digits and dashes");
        };
        let fields = properties.as_object();
        if fields.is_none_or(|fields| fields.len() >= 255) {
            return refuse("", "too many properties");
        }
        if let Some(name) = fields.and_then(|fields| self.refused(fields)) {
            return refuse(&name, "refused as the stand-in was told");
        }
        Ok([name, time.to_string(), id, insert_id])
    }

    /// Takes a valid event in.
    pub(super) fn import(&mut self, identity: [String; 4], event: Value) {
        let place = *self.known.entry(identity).or_insert(self.events.len());
        match self.events.get_mut(place) {
            Some(known) => *known = event,
            None => self.events.push(event),
        }
    }

    /// Applies an update of a profile.
    ///
    /// # Errors
    /// Why it is not valid.
    pub(super) fn update(&mut self, update: &Value) -> Result<(), Refusal> {
        let invalid = |field: &str| Err((field.to_owned(), format!("{field}, missing or invalid")));
        let Some(token) = update["$token"].as_str() else { return invalid("$token") };
        let Some(id) = update["$distinct_id"].as_str().filter(|id| !id.is_empty() && !is_forbidden(id)) else {
            return invalid("$distinct_id");
        };
        let verb = |name: &str| update.get(name).filter(|value| !value.is_null());
        if let Some(name) = verb("$set").and_then(Value::as_object).and_then(|fields| self.refused(fields)) {
            return invalid(&name);
        }
        let verbs = ["$set", "$set_once", "$unset", "$delete"];
        if verbs.iter().filter(|name| update.get(**name).is_some()).count() != 1 {
            return invalid("operation");
        }
        if token != self.settings.token {
            // It is valid, and it goes nowhere.
            return Ok(());
        }
        if update.get("$delete").is_some() {
            self.profiles.remove(id);
            return Ok(());
        }
        let profile = self.profiles.entry(id.to_owned()).or_default();
        match (verb("$set"), verb("$set_once"), verb("$unset")) {
            (Some(Value::Object(fields)), None, None) => profile.extend(fields.clone()),
            (None, Some(Value::Object(fields)), None) => {
                for (name, value) in fields {
                    profile.entry(name).or_insert_with(|| value.clone());
                }
            }
            (None, None, Some(Value::Array(names))) => {
                for name in names.iter().filter_map(Value::as_str) {
                    profile.remove(name);
                }
            }
            _ => return invalid("operation"),
        }
        Ok(())
    }

    /// A field whose value it was told to refuse.
    fn refused(&self, fields: &Map<String, Value>) -> Option<String> {
        let has = |name: &String, value: &String| match fields.get(name) {
            Some(Value::String(text)) => text == value,
            Some(other) => serde_json::from_str(value).is_ok_and(|value: Value| value == *other),
            None => false,
        };
        if self.settings.reject_share.has(&fields.values().map(Value::to_string).collect::<String>()) {
            return Some(String::from("record"));
        }
        self.settings.rejects.iter().find(|(name, value)| has(name, value)).map(|(name, _)| name.clone())
    }
}

fn is_forbidden(id: &str) -> bool {
    FORBIDDEN_IDS.contains(&id)
}

fn number<T: FromStr>(key: &str, value: &str) -> Result<T, Fault> {
    value.parse().map_err(|_| wrong(key, value))
}

fn wrong(key: &str, value: &str) -> Fault {
    let about = SETTINGS.iter().find(|(name, _)| *name == key).map_or("", |(_, about)| about);
    Fault::config(format!("the stand-in's setting `{key}` cannot be \"{value}\"")).remedy(format!("{key}: {about}"))
}
