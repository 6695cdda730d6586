//! HubSpot's JSON, as the stand-in writes it.

use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::batch::{Applied, Input};
use super::property::{Kind, Property};
use super::record::Record;
use super::store::Object;
use crate::destinations::stand_in::json as json_answer;

/// A refusal: of a whole call, or of one input of a batch.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: u16,
    category: &'static str,
    message: String,
    context: Map<String, Value>,
    policy: Option<&'static str>,
}

/// A property whose value was refused.
#[derive(Debug)]
pub(super) struct PropertyProblem {
    pub(super) name: String,
    pub(super) code: String,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(status: u16, category: &'static str, message: impl Into<String>) -> Self {
        Self { status, category, message: message.into(), context: Map::new(), policy: None }
    }

    pub(super) fn validation(message: String) -> Self {
        Self::new(400, "VALIDATION_ERROR", message)
    }

    /// `Property values were not valid: [{…}]`.
    pub(super) fn of_properties(problems: &[PropertyProblem], hub_id: u64) -> Self {
        let list: Vec<Value> = problems
            .iter()
            .map(|problem| {
                json!({
                    "isValid": false,
                    "message": problem.message,
                    "error": problem.code,
                    "name": problem.name,
                    "localizedErrorMessage": problem.message,
                    "portalId": hub_id,
                })
            })
            .collect();
        Self::validation(format!("Property values were not valid: {}", Value::Array(list)))
    }

    pub(super) fn not_found(label: &str, ids: &[String]) -> Self {
        let message =
            format!("Could not get some {label} objects, they may be deleted or not exist. Check that ids are valid.");
        Self::new(404, "OBJECT_NOT_FOUND", message).with("ids", ids)
    }

    pub(super) fn conflict(label: &str, holder: &str) -> Self {
        Self::new(409, "CONFLICT", format!("{label} already exists. Existing ID: {holder}"))
    }

    pub(super) fn throttled(policy: &'static str, message: &str) -> Self {
        Self { policy: Some(policy), ..Self::new(429, "RATE_LIMITS", message) }
    }

    /// Adds a list of texts to the context.
    #[must_use]
    pub(super) fn with(mut self, key: &str, texts: &[String]) -> Self {
        self.context.insert(key.to_owned(), json!(texts));
        self
    }

    /// An entry of a 207's `errors`.
    fn entry(&self) -> Value {
        json!({
            "status": self.status.to_string(),
            "category": self.category,
            "message": self.message,
            "context": self.context,
            "errors": [],
            "links": {},
        })
    }

    /// The answer of a refused call.
    pub(super) fn response(&self) -> Response {
        let mut body = json!({
            "status": "error",
            "message": self.message,
            "correlationId": correlation_id(),
            "category": self.category,
        });
        if let Some(policy) = self.policy {
            body["errorType"] = json!("RATE_LIMIT");
            body["policyName"] = json!(policy);
        }
        if !self.context.is_empty() {
            body["context"] = Value::Object(self.context.clone());
        }
        json_answer(self.status, &body)
    }
}

/// An answer without a body.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A record in an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RecordJson<'a> {
    id: String,
    properties: Map<String, Value>,
    created_at: String,
    updated_at: String,
    archived: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    new: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    object_write_trace_id: Option<&'a str>,
}

/// The answer of a batch call.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BatchJson<'a> {
    status: &'static str,
    started_at: String,
    completed_at: String,
    results: &'a [RecordJson<'a>],
    #[serde(skip_serializing_if = "Option::is_none")]
    num_errors: Option<usize>,
    #[serde(skip_serializing_if = "<[Value]>::is_empty")]
    errors: &'a [Value],
}

/// The answer of a batch write.
pub(super) fn written(
    object: &Object,
    inputs: &[Input],
    outcomes: &[Result<Applied, Problem>],
    started: i64,
    success: u16,
    tells_new: bool,
) -> Response {
    let mut results = Vec::with_capacity(outcomes.len());
    let mut errors = Vec::new();
    for (input, outcome) in inputs.iter().zip(outcomes) {
        let trace = input.object_write_trace_id.as_deref();
        match outcome {
            Ok(applied) => {
                let Some(record) = object.record(applied.number) else { continue };
                let new = tells_new.then_some(applied.new);
                results.push(RecordJson {
                    new,
                    object_write_trace_id: trace,
                    ..record_of(object, applied.number, record, None)
                });
            }
            Err(problem) => {
                let traces: Vec<String> = trace.into_iter().map(str::to_owned).collect();
                errors.push(problem.clone().with("objectWriteTraceId", &traces).entry());
            }
        }
    }
    batch(&results, &errors, started, success)
}

/// The answer of a batch read: `missing` are the ids that no record has.
pub(super) fn read(results: &[RecordJson<'_>], missing: &[String], label: &str, started: i64) -> Response {
    let errors = if missing.is_empty() { Vec::new() } else { vec![Problem::not_found(label, missing).entry()] };
    batch(results, &errors, started, 200)
}

/// The answer of a batch call: multi-status where there are errors.
fn batch(results: &[RecordJson<'_>], errors: &[Value], started: i64, success: u16) -> Response {
    let body = BatchJson {
        status: "COMPLETE",
        started_at: iso(started),
        completed_at: iso(now()),
        results,
        num_errors: (!errors.is_empty()).then_some(errors.len()),
        errors,
    };
    json_answer(if errors.is_empty() { success } else { 207 }, &body)
}

/// A record with the properties `wanted` (all without a list), and those that every answer has.
pub(super) fn record_of(
    object: &Object,
    number: u32,
    record: &Record,
    wanted: Option<&[String]>,
) -> RecordJson<'static> {
    let mut properties = object.values(record);
    if let Some(wanted) = wanted {
        properties.retain(|name, _| wanted.contains(name));
    }
    add_read_only(object, number, record, &mut properties);
    RecordJson {
        id: Object::id(number),
        properties,
        created_at: iso(record.created),
        updated_at: iso(record.updated),
        archived: record.archived,
        new: None,
        object_write_trace_id: None,
    }
}

fn add_read_only(object: &Object, number: u32, record: &Record, properties: &mut Map<String, Value>) {
    let modified = if object.scope == "contacts" { "lastmodifieddate" } else { "hs_lastmodifieddate" };
    properties.insert(String::from("hs_object_id"), json!(Object::id(number)));
    properties.insert(String::from("createdate"), json!(iso(record.created)));
    properties.insert(String::from(modified), json!(iso(record.updated)));
}

/// A property's definition.
pub(super) fn property(property: &Property) -> Value {
    let options: Vec<Value> = (0..)
        .zip(&property.options)
        .map(|(place, option): (i32, _)| {
            json!({ "label": option, "value": option, "displayOrder": place, "hidden": false })
        })
        .collect();
    let field_type = match property.kind {
        Kind::Text => "text",
        Kind::Number => "number",
        Kind::Bool => "booleancheckbox",
        Kind::Date | Kind::DateTime => "date",
        Kind::Choice if property.multiple => "checkbox",
        Kind::Choice => "select",
    };
    json!({
        "name": property.name,
        "label": property.name,
        "description": "",
        "groupName": "standin",
        "type": property.kind.name(),
        "fieldType": field_type,
        "options": options,
        "externalOptions": property.external_options,
        "calculated": false,
        // The uniqueness of contacts' e-mail addresses is not part of their definition.
        "hasUniqueValue": property.unique && !property.built_in,
        "hubspotDefined": property.built_in,
        "hidden": false,
        "archived": false,
        "modificationMetadata": {
            "archivable": !property.built_in,
            "readOnlyDefinition": property.built_in,
            "readOnlyOptions": property.built_in,
            "readOnlyValue": property.read_only,
        },
    })
}

/// The present time in milliseconds since 1970.
pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

fn iso(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map(|time| time.to_string()).unwrap_or_default()
}

/// Ids count up, so that two answers can be told apart.
fn correlation_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("00000000-0000-4000-8000-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed))
}
