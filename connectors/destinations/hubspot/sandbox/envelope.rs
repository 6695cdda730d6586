//! HubSpot's JSON, as the stand-in writes it.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};

use super::batch::{Action, Applied, Input};
use super::property::{Kind, Property};
use super::store::Object;
use crate::destinations::stand_in::Answer;

/// A refusal: of a whole call, or of one input of a batch.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    status: u16,
    /// What both have in common: category, message, context.
    body: Value,
}

impl Problem {
    pub(super) fn new(status: u16, category: &str, message: impl Into<String>) -> Self {
        Self { status, body: json!({ "category": category, "message": message.into(), "context": {} }) }
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "VALIDATION_ERROR", message)
    }

    /// `Property values were not valid: [{…}]`: each is what [`refused`] made.
    pub(super) fn of_properties(refused: Vec<Value>) -> Self {
        Self::validation(format!("Property values were not valid: {}", Value::Array(refused)))
    }

    pub(super) fn not_found(label: &str, ids: &[String]) -> Self {
        let message =
            format!("Could not get some {label} objects, they may be deleted or not exist. Check that ids are valid.");
        Self::new(404, "OBJECT_NOT_FOUND", message).with("ids", ids)
    }

    pub(super) fn conflict(label: &str, holder: &str) -> Self {
        Self::new(409, "CONFLICT", format!("{label} already exists. Existing ID: {holder}"))
    }

    pub(super) fn throttled(policy: &str, message: &str) -> Self {
        let mut problem = Self::new(429, "RATE_LIMITS", message);
        problem.body["errorType"] = json!("RATE_LIMIT");
        problem.body["policyName"] = json!(policy);
        problem
    }

    /// Adds a list of texts to the context.
    #[must_use]
    pub(super) fn with(mut self, key: &str, texts: &[String]) -> Self {
        self.body["context"][key] = json!(texts);
        self
    }

    /// An entry of a 207's `errors`.
    pub(super) fn entry(mut self) -> Value {
        self.body["status"] = json!(self.status.to_string());
        self.body["errors"] = json!([]);
        self.body["links"] = json!({});
        self.body
    }

    /// The answer of a refused call. Ids count up, so that two answers can be told apart.
    pub(super) fn answer(mut self) -> Answer {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        self.body["status"] = json!("error");
        self.body["correlationId"] =
            json!(format!("00000000-0000-4000-8000-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed)));
        Answer::json(self.status, &self.body)
    }
}

/// A property whose value is refused.
pub(super) fn refused(name: &str, code: &str, message: &str, hub_id: u64) -> Value {
    json!({
        "isValid": false, "message": message, "error": code, "name": name,
        "localizedErrorMessage": message, "portalId": hub_id,
    })
}

/// The answer of a batch write.
pub(super) fn written(
    object: &Object,
    inputs: &[Input],
    outcomes: &[Result<Applied, Problem>],
    started: i64,
    action: Action,
) -> Answer {
    let (mut results, mut errors) = (Vec::with_capacity(outcomes.len()), Vec::new());
    for (input, outcome) in inputs.iter().zip(outcomes) {
        let trace = &input.object_write_trace_id;
        match outcome {
            Ok(applied) => {
                let Some(mut result) = record(object, applied.number, None) else { continue };
                if action == Action::Upsert {
                    result["new"] = json!(applied.new);
                }
                if let Some(trace) = trace {
                    result["objectWriteTraceId"] = json!(trace);
                }
                results.push(result);
            }
            Err(problem) => errors.push(problem.clone().with("objectWriteTraceId", trace.as_slice()).entry()),
        }
    }
    batch(&results, &errors, started, if action == Action::Create { 201 } else { 200 })
}

/// The answer of a batch call: multi-status where there are errors.
pub(super) fn batch(results: &[Value], errors: &[Value], started: i64, success: u16) -> Answer {
    let mut body = json!({
        "status": "COMPLETE", "startedAt": iso(started), "completedAt": iso(now()), "results": results,
    });
    if errors.is_empty() {
        return Answer::json(success, &body);
    }
    body["numErrors"] = json!(errors.len());
    body["errors"] = json!(errors);
    Answer::json(207, &body)
}

/// A record with the properties `wanted` (all without a list), and those that every answer has.
pub(super) fn record(object: &Object, number: u32, wanted: Option<&[String]>) -> Option<Value> {
    let record = object.record(number)?;
    let (id, created, updated) = (Object::id(number), iso(record.created), iso(record.updated));
    let mut properties: Map<String, Value> = object.values(record);
    if let Some(wanted) = wanted {
        properties.retain(|name, _| wanted.contains(name));
    }
    let modified = if object.scope == "contacts" { "lastmodifieddate" } else { "hs_lastmodifieddate" };
    for (name, value) in [("hs_object_id", &id), ("createdate", &created), (modified, &updated)] {
        properties.insert(name.to_owned(), json!(value));
    }
    Some(json!({
        "id": id, "properties": properties, "createdAt": created, "updatedAt": updated, "archived": record.archived,
    }))
}

/// A property's definition.
pub(super) fn property(property: &Property) -> Value {
    let option = |(place, option): (i32, &String)| json!({ "label": option, "value": option, "displayOrder": place, "hidden": false });
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
        "options": (0..).zip(&property.options).map(option).collect::<Vec<_>>(),
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
