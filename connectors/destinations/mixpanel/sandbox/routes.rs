//! The calls of the stand-in.

use serde_json::{Value, json};

use super::project::Project;
use crate::destinations::stand_in::{Answer, Call};

/// Records in a call.
const MAX_RECORDS: usize = 2000;
/// Bytes of a call.
const MAX_BYTES: usize = 10 << 20;

impl Project {
    /// Whether a call has events of which none is valid.
    pub(super) fn has_no_event(&self, call: &Call<'_>) -> bool {
        call.json().as_array().is_some_and(|events| events.iter().all(|event| self.judge(event).is_err()))
    }

    /// The answer of `/import`.
    pub(super) fn imported(&mut self, call: &Call<'_>) -> Answer {
        let Value::Array(events) = call.json() else {
            return refusal(400, "request body is not a JSON array", "Bad Request");
        };
        if call.body.len() > MAX_BYTES || events.len() > MAX_RECORDS {
            return refusal(413, "request exceeds max limit", "Request Entity Too Large");
        }
        let (mut failed, all) = (Vec::new(), events.len());
        for (index, event) in events.into_iter().enumerate() {
            match self.judge(&event) {
                Ok(identity) => self.import(identity, event),
                Err((field, message)) => {
                    let insert_id = event["properties"]["$insert_id"].as_str().unwrap_or_default();
                    failed.push(json!({ "index": index, "insert_id": insert_id, "field": field, "message": message }));
                }
            }
        }
        let imported = all - failed.len();
        if failed.is_empty() {
            return Answer::json(200, &json!({ "code": 200, "num_records_imported": imported, "status": "OK" }));
        }
        let error = "some data points in the request failed validation";
        let answer = json!({
            "code": 400, "error": error, "failed_records": failed, "num_records_imported": imported,
            "status": "Bad Request",
        });
        Answer::json(400, &answer)
    }

    /// The answer of `/engage`.
    pub(super) fn engaged(&mut self, call: &Call<'_>) -> Answer {
        let said = |error: Option<String>| {
            let status = i32::from(error.is_none());
            Answer::json(
                200,
                &match (call.query("verbose"), error) {
                    (Some("1"), None) => json!({ "status": status }),
                    (Some("1"), Some(error)) => json!({ "status": status, "error": error }),
                    _ => json!(status),
                },
            )
        };
        let Value::Array(updates) = call.json() else { return said(Some(String::from("data, missing or empty"))) };
        if updates.len() > MAX_RECORDS {
            return refusal(413, "request exceeds max limit", "Request Entity Too Large");
        }
        let outcomes: Vec<_> = updates.iter().map(|update| self.update(update)).collect();
        // One valid record is enough.
        let error = outcomes.iter().all(Result::is_err).then(|| outcomes.into_iter().find_map(Result::err)).flatten();
        said(error.map(|(_, message)| message))
    }
}

pub(super) fn refusal(code: u16, error: &str, status: &str) -> Answer {
    Answer::json(code, &json!({ "code": code, "error": error, "status": status }))
}
