//! The members of the audience, and the sessions that brought and took them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};

use crate::destinations::stand_in::Rejects;

/// Keys that stand for one person, and the rest. Those below are not hashed.
const OWN: [&str; 4] = ["EMAIL", "PHONE", "MADID", "EXTERN_ID"];
const SHARED: [&str; 11] = ["FN", "LN", "FI", "GEN", "DOBY", "DOBM", "DOBD", "CT", "ST", "ZIP", "COUNTRY"];
const PLAIN: [&str; 2] = ["MADID", "EXTERN_ID"];
const OPTIONS: &str = "DATA_PROCESSING_OPTIONS";
const PLACES: [&str; 2] = ["DATA_PROCESSING_OPTIONS_COUNTRY", "DATA_PROCESSING_OPTIONS_STATE"];
/// Rows in a call.
const MAX_ROWS: usize = 10_000;

/// A row of a call: values by key, none empty.
type Person = Map<String, Value>;

/// An audience.
#[derive(Debug, Default)]
pub(super) struct Audience {
    members: Vec<Person>,
    /// Who among them has an own key: key and value → places. Places of those who left are empty people.
    known: BTreeMap<String, BTreeSet<usize>>,
    sessions: BTreeMap<u64, Session>,
}

#[derive(Debug, Default)]
struct Session {
    removes: bool,
    batches: u64,
    received: usize,
    invalid: usize,
    over: bool,
}

/// Rows received, rows invalid, and an example of these.
pub(super) type Counts = (usize, usize, Map<String, Value>);

impl Audience {
    /// Adds or removes the people of a call.
    ///
    /// # Errors
    /// Why the call is refused as a whole.
    pub(super) fn apply(&mut self, body: &Value, removes: bool, told: &Rejects) -> Result<Counts, String> {
        let (session, payload) = (&body["session"], &body["payload"]);
        let (Some(id), Some(seq)) = (session["session_id"].as_u64(), session["batch_seq"].as_u64()) else {
            return Err("session: session_id and batch_seq must be numbers".into());
        };
        let (Some(schema), Some(data)) = (payload["schema"].as_array(), payload["data"].as_array()) else {
            return Err("payload: schema and data must be arrays".into());
        };
        let schema: Vec<&str> = schema.iter().filter_map(Value::as_str).collect();
        let is_known =
            |name: &&str| OWN.contains(name) || SHARED.contains(name) || PLACES.contains(name) || *name == OPTIONS;
        if schema.is_empty() || !schema.iter().all(is_known) {
            return Err("payload: unknown key in schema".into());
        }
        let rows: Option<Vec<&Vec<Value>>> = data.iter().map(Value::as_array).collect();
        let Some(rows) = rows.filter(|rows| rows.iter().all(|row| row.len() == schema.len())) else {
            return Err("Data is missing or does not match schema".into());
        };
        if rows.is_empty() || rows.len() > MAX_ROWS {
            return Err(format!("data: {} rows", rows.len()));
        }
        let known = self.sessions.entry(id).or_insert_with(|| Session { removes, ..Session::default() });
        // A batch may come again; none may be left out, and none follows the last.
        if known.removes != removes || seq == 0 || seq > known.batches + 1 || (known.over && seq > known.batches) {
            return Err(format!("session: batch {seq} after {} of {}", known.batches, known.over));
        }
        let mut invalid = Map::new();
        let people: Vec<Person> = rows.iter().filter_map(|row| person(&schema, row, told, &mut invalid)).collect();
        let known = self.sessions.entry(id).or_default();
        known.batches = known.batches.max(seq);
        known.received += rows.len();
        known.invalid += rows.len() - people.len();
        known.over |= session["last_batch_flag"] == true;
        let counts = (rows.len(), rows.len() - people.len(), invalid);
        people.into_iter().for_each(|person| self.put(person, removes));
        Ok(counts)
    }

    fn put(&mut self, person: Person, removes: bool) {
        let own = own_keys(&person);
        let mut same: BTreeSet<usize> = own.iter().filter_map(|key| self.known.get(key)).flatten().copied().collect();
        if own.is_empty() {
            same = (0..self.members.len()).filter(|place| self.members[*place] == person).collect();
        }
        let mut merged = Person::new();
        for place in same {
            let member = std::mem::take(&mut self.members[place]);
            for key in own_keys(&member) {
                self.known.get_mut(&key).map(|places| places.remove(&place));
            }
            merged.extend(member);
        }
        if !removes {
            merged.extend(person);
            for key in own_keys(&merged) {
                self.known.entry(key).or_default().insert(self.members.len());
            }
            self.members.push(merged);
        }
    }

    /// The sessions, as the API lists them.
    pub(super) fn sessions(&self) -> Value {
        let session = |(id, session): (&u64, &Session)| {
            json!({
                "session_id": id.to_string(), "stage": if session.over { "finished" } else { "uploading" },
                "num_received": session.received.to_string(), "num_invalid_entries": session.invalid.to_string(),
            })
        };
        self.sessions.iter().map(session).collect()
    }

    /// Members by number; sessions: what they did, in how many batches, and whether the last was marked.
    pub(super) fn records(&self) -> Value {
        let members = self.members.iter().filter(|member| !member.is_empty()).enumerate();
        let members: Map<String, Value> = members.map(|(n, member)| (n.to_string(), json!(member))).collect();
        let session = |(id, session): (&u64, &Session)| {
            let did = if session.removes { "remove" } else { "add" };
            (
                id.to_string(),
                json!({ "did": did, "batches": session.batches, "rows": session.received, "over": session.over }),
            )
        };
        json!({ "members": members, "sessions": self.sessions.iter().map(session).collect::<Map<_, _>>() })
    }
}

fn own_keys(person: &Person) -> Vec<String> {
    OWN.iter().filter_map(|key| Some(format!("{key}={}", person.get(*key)?))).collect()
}

/// A row as a person; `None` where it is invalid, which is shown by one example of a value for each key.
fn person(schema: &[&str], row: &[Value], told: &Rejects, invalid: &mut Map<String, Value>) -> Option<Person> {
    let mut person = Person::new();
    let is_chosen = told.picks(&json!(row).to_string());
    for (key, value) in schema.iter().zip(row) {
        let is_rejected = is_chosen || value.as_str().is_some_and(|text| told.has(key, text));
        let is_valid = match (*key, value) {
            (OPTIONS, Value::Array(items)) => items.iter().all(|item| item == "LDU"),
            (_, Value::Number(_)) => PLACES.contains(key),
            (_, Value::String(text)) if text.is_empty() => true,
            (_, Value::String(text)) => PLAIN.contains(key) || is_hash(text),
            _ => false,
        };
        if is_rejected || !is_valid {
            invalid.insert((*key).to_owned(), value.clone());
            return None;
        }
        if value != "" {
            person.insert((*key).to_owned(), value.clone());
        }
    }
    Some(person)
}

fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
