//! The account behind the stand-in: records, and the jobs that change them.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use backhaul_kit::json::items;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::destinations::stand_in::{Call, Common, Window, take};

/// An account.
#[derive(Debug, Default)]
pub(super) struct Desk {
    pub(super) common: Common,
    pub(super) scopes: Vec<String>,
    pub(super) role: String,
    /// Whether users may be imported in bulk.
    pub(super) imports: bool,
    pub(super) fields: Vec<String>,
    /// Jobs that may be open at once.
    pub(super) max_jobs: usize,
    pub(super) job_time: Duration,
    pub(super) stuck_next: u64,
    pub(super) fail_jobs_next: u64,
    pub(super) forget_next: u64,
    /// By object and id.
    pub(super) records: BTreeMap<String, BTreeMap<u64, Value>>,
    pub(super) jobs: Vec<Job>,
    /// The first that had a value, for every value that any record ever had of what records are found by.
    known: HashMap<String, u64>,
    last_id: u64,
}

/// What a job does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    Upsert,
    Update,
    Delete,
}

/// A job. It does its work when its time has come.
#[derive(Debug)]
pub(super) struct Job {
    object: String,
    task: Task,
    rows: Vec<Value>,
    /// None for a job that never ends.
    due: Option<Instant>,
    pub(super) status: &'static str,
    pub(super) results: Value,
    pub(super) forgotten: bool,
}

/// Code and details of a refused row.
type Refused = (&'static str, String);

impl Desk {
    /// An account of which nothing is known.
    pub(super) fn new() -> Self {
        let mut common = Common::new("sandbox-token", 1);
        common.window = Window::fixed();
        Self {
            common,
            scopes: ["read", "users:write", "organizations:write", "tickets:write"].map(str::to_owned).into(),
            role: String::from("admin"),
            imports: true,
            fields: vec![String::from("plan")],
            max_jobs: 30,
            ..Self::default()
        }
    }

    /// Whether a call has the OAuth token, and with it its scopes alone.
    pub(super) fn is_of_oauth(&self, call: &Call<'_>) -> bool {
        call.bearer() == Some(self.common.token.as_str())
    }

    /// Begins a job; its number.
    pub(super) fn begin(&mut self, object: &str, task: Task, rows: Vec<Value>) -> usize {
        let stuck = take(&mut self.stuck_next);
        let due = (!stuck).then(|| Instant::now() + self.job_time);
        let failed = !stuck && take(&mut self.fail_jobs_next);
        let forgotten = !stuck && !failed && take(&mut self.forget_next);
        let (status, results) = (if failed { "failing" } else { "queued" }, Value::Null);
        self.jobs.push(Job { object: object.to_owned(), task, rows, due, status, results, forgotten });
        self.jobs.len() - 1
    }

    /// Jobs that have not ended.
    pub(super) fn open_jobs(&self) -> usize {
        self.jobs.iter().filter(|job| !matches!(job.status, "completed" | "failed")).count()
    }

    /// Does the work of the jobs whose time has come.
    pub(super) fn work(&mut self) {
        let now = Instant::now();
        for number in 0..self.jobs.len() {
            let job = &mut self.jobs[number];
            if job.due.is_none_or(|due| due > now) {
                continue;
            }
            job.due = None;
            if job.status == "failing" {
                job.status = "failed";
                continue;
            }
            let (object, task, rows) = (job.object.clone(), job.task, std::mem::take(&mut job.rows));
            let results = rows.iter().enumerate().map(|(index, row)| self.result(&object, task, index, row)).collect();
            (self.jobs[number].status, self.jobs[number].results) = ("completed", results);
        }
    }

    fn result(&mut self, object: &str, task: Task, index: usize, row: &Value) -> Value {
        match (self.apply(object, task, row), task) {
            (Ok((id, created)), Task::Upsert) => {
                let status = if created { "Created" } else { "Updated" };
                json!({ "id": id, "index": index, "status": status, "email": row["email"], "external_id": row["external_id"] })
            }
            (Ok((id, _)), Task::Update) => {
                json!({ "id": id, "action": "update", "success": true, "status": "Updated" })
            }
            (Ok((id, _)), Task::Delete) => {
                json!({ "id": id, "action": "delete", "success": true, "status": "Deleted" })
            }
            (Err((error, details)), Task::Upsert) => {
                json!({ "id": index, "error": error, "details": details, "status": "Failed" })
            }
            (Err((error, details)), _) => {
                json!({ "id": row["id"], "error": error, "details": details, "success": false, "status": "Failed" })
            }
        }
    }

    /// Changes a record; its id, and whether it is new.
    pub(super) fn apply(&mut self, object: &str, task: Task, row: &Value) -> Result<(u64, bool), Refused> {
        let records = self.records.entry(object.to_owned()).or_default();
        let by = |field: &str, value: &Value| {
            let same = |one: &Value| one.as_str().zip(value.as_str()).is_some_and(|(a, b)| a.eq_ignore_ascii_case(b));
            let has =
                |record: &Value| same(&record[field]) || (field == "email" && items(&record["other_emails"]).any(same));
            let id = *self.known.get(&known_by(object, field, value)?)?;
            if records.get(&id).is_some_and(has) {
                return Some(id);
            }
            records.iter().find(|(_, record)| has(record)).map(|(id, _)| *id)
        };
        let found = match (task, row["id"].as_u64()) {
            (Task::Upsert, None) => by("external_id", &row["external_id"]).or_else(|| by("email", &row["email"])),
            (_, id) => Some(id.filter(|id| records.contains_key(id)).ok_or(("RecordNotFound", "Not found".into()))?),
        };
        if let (Task::Delete, Some(id)) = (task, found) {
            records.remove(&id);
            return Ok((id, false));
        }
        let error = if object == "users" && found.is_some() { "UserUpdateError" } else { "RecordInvalid" };
        let holder = by("external_id", &row["external_id"]);
        if holder.is_some() && holder != found {
            return Err((error, "External has already been taken".into()));
        }
        if found.is_none() && !row["name"].is_string() {
            return Err((error, "Name: is too short (minimum is 1 character)".into()));
        }
        if let Some(email) = row["email"].as_str().filter(|email| !email.contains('@')) {
            return Err((error, format!("Email: {email} is not properly formatted")));
        }
        if let Some((field, _)) = self.common.rejects.iter().find(|(field, value)| row[field] == *value) {
            return Err((error, format!("{field}: is invalid")));
        }
        if self.common.rejects.picks(&row.to_string()) {
            return Err((error, "This record is refused".into()));
        }
        let id = found.unwrap_or_else(|| {
            self.last_id += 1;
            1_000_000 + self.last_id
        });
        for field in ["external_id", "email"] {
            if let Some(known_by) = known_by(object, field, &row[field]) {
                self.known.entry(known_by).or_insert(id);
            }
        }
        let record = records.entry(id).or_insert_with(|| json!({}));
        for (name, value) in row.as_object().into_iter().flatten() {
            match (name.as_str(), value) {
                ("id" | "skip_verify_email", _) => {}
                // The primary address is written once.
                ("email", value) if record["email"].is_string() && record["email"] != *value => {
                    let others = items(&record["other_emails"]).chain([value]).cloned().collect::<Value>();
                    record["other_emails"] = others;
                }
                ("custom_fields", Value::Array(fields)) => {
                    for field in fields {
                        record["custom_fields"][field["id"].to_string()] = field["value"].clone();
                    }
                }
                (_, Value::Object(members)) => {
                    members.iter().for_each(|(key, value)| record[name][key] = value.clone());
                }
                (_, value) => record[name] = value.clone(),
            }
        }
        Ok((id, found.is_none()))
    }
}

/// A value of an object's field, as records are found by it.
fn known_by(object: &str, field: &str, value: &Value) -> Option<String> {
    value.as_str().map(|value| format!("{object} {field} {}", value.to_ascii_lowercase()))
}
