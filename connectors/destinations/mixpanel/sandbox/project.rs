//! What the stand-in holds, and what it makes of a record.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use crate::destinations::mixpanel::event::FORBIDDEN_IDS;
use crate::destinations::stand_in::Common;

/// 1971-01-01 in milliseconds.
const EARLIEST: i64 = 31_536_000_000;
/// Integers below are seconds.
const LEAST_MILLIS: i64 = 100_000_000_000;
/// How far ahead a time may be.
const AHEAD: i64 = 3_600_000;

/// The state of a running stand-in.
#[derive(Debug, Default)]
pub(super) struct Project {
    pub(super) common: Common,
    /// Events in the order of their first arrival.
    pub(super) events: Vec<Value>,
    /// By event, time, distinct id and insert id.
    pub(super) known: HashMap<[String; 4], usize>,
    pub(super) profiles: BTreeMap<String, Map<String, Value>>,
}

/// Why a record is not valid: the field and the words.
pub(super) type Refusal = (String, String);

impl Project {
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
        if token != self.common.token {
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
        let has = |name: &str, value: &str| match fields.get(name) {
            Some(Value::String(text)) => text == value,
            Some(other) => serde_json::from_str(value).is_ok_and(|value: Value| value == *other),
            None => false,
        };
        if self.common.rejects.picks(&fields.values().map(Value::to_string).collect::<String>()) {
            return Some(String::from("record"));
        }
        self.common.rejects.iter().find(|(name, value)| has(name, value)).map(|(name, _)| name.to_owned())
    }
}

fn is_forbidden(id: &str) -> bool {
    FORBIDDEN_IDS.contains(&id)
}
