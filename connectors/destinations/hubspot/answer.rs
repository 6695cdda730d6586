//! What an answer says of each row. Rows that it does not name stay unknown; rows that it names as written
//! and as failed stay unknown too.

use backhaul_kit::http::Answer;
use backhaul_kit::json::{items, text};
use backhaul_kit::{Batch, Fault, Operation, Outcomes, Reason, Verdict};
use serde_json::Value;

use super::draft::Draft;
use super::object::ObjectType;
use super::wire::{http_status, property_errors, texts};
use super::{fault, values};

/// The code of an unknown property.
const UNKNOWN_PROPERTY: &str = "PROPERTY_DOESNT_EXIST";
/// The code of a property that cannot be written.
const READ_ONLY: &str = "READ_ONLY_VALUE";
/// The category of a record that is not there.
pub(super) const NOT_FOUND: &str = "OBJECT_NOT_FOUND";

/// The verdicts of a write call.
///
/// # Errors
/// `Config` where it speaks of the mapping; `Split` where one row of several may be the cause of a refusal; `Ambiguous`
/// for an unreadable answer; else what the answer says of the call.
pub(super) fn of_write(answer: &Answer, batch: &Batch, draft: &Draft, object: &ObjectType) -> Result<Outcomes, Fault> {
    let said = match refusal(answer) {
        Some(error) => {
            if let Some(fault) = property_fault(&error) {
                return Err(fault);
            }
            let [place] = draft.places.as_slice() else {
                return Err(Fault::split(format!("HubSpot refused the batch: {}", text(&error, "category"))));
            };
            vec![(*place, verdict(&error, draft.operation))]
        }
        None => match fault::of_answer(answer, object) {
            Some(fault) => return Err(fault),
            None if draft.operation == Operation::Archive => of_archive(answer, draft),
            None => of_rows(answer, draft)?,
        },
    };
    Outcomes::at_places(batch, said.into_iter().chain(draft.settled.iter().cloned()))
}

/// Another 2xx than the documented one proves nothing.
fn of_archive(answer: &Answer, draft: &Draft) -> Vec<(usize, Verdict)> {
    let archived = draft.inputs.iter().filter(|_| answer.status == 204);
    let verdict = |input: &Value| Verdict::Written { remote_id: input["id"].as_str().map(str::to_owned) };
    draft.places.iter().copied().zip(archived.map(verdict)).collect()
}

fn of_rows(answer: &Answer, draft: &Draft) -> Result<Vec<(usize, Verdict)>, Fault> {
    let json: Value = serde_json::from_slice(&answer.body).map_err(|error| {
        Fault::ambiguous(format!("HubSpot answered {} without readable JSON", answer.status.as_u16())).caused_by(error)
    })?;
    let faults: Option<Vec<Fault>> = items(&json["errors"]).map(property_fault).collect();
    if let Some(fault) = faults.filter(|faults| faults.len() == draft.inputs.len()).and_then(|mut faults| faults.pop())
    {
        return Err(fault);
    }
    let mut said: Vec<Vec<Verdict>> = vec![Vec::new(); draft.inputs.len()];
    // Other statuses promise nothing.
    for record in items(&json["results"]).filter(|_| json["status"].is_null() || json["status"] == "COMPLETE") {
        if let (Some(number), Some(id)) = (of_record(draft, record), record["id"].as_str()) {
            said[number].push(Verdict::Written { remote_id: Some(id.to_owned()) });
        }
    }
    for error in items(&json["errors"]) {
        of_error(draft, error).into_iter().for_each(|number| said[number].push(verdict(error, draft.operation)));
    }
    // Words that differ leave the row unknown.
    let agreed = |mut said: Vec<Verdict>| {
        said.dedup();
        said.pop().filter(|_| said.is_empty()).unwrap_or(Verdict::Unknown)
    };
    Ok(draft.places.iter().copied().zip(said.into_iter().map(agreed)).collect())
}

/// The input whose record it is: by trace id; without one by the id or match value that was sent; and an only one by
/// being the only one.
fn of_record(draft: &Draft, record: &Value) -> Option<usize> {
    if let Some(trace) = record["objectWriteTraceId"].as_str() {
        return draft.inputs.iter().position(|input| input["objectWriteTraceId"] == trace);
    }
    let is_it = |input: &Value| {
        let name = input["idProperty"].as_str().map_or(&record["id"], |property| &record["properties"][property]);
        name.as_str().is_some_and(|name| is_named(input, name))
    };
    draft.inputs.iter().position(is_it).or_else(|| only(draft))
}

fn of_error(draft: &Draft, error: &Value) -> Vec<usize> {
    let (traces, ids) = (&error["context"]["objectWriteTraceId"], &error["context"]["ids"]);
    let position = |is_it: &dyn Fn(&Value) -> bool| draft.inputs.iter().position(is_it);
    if texts(traces).next().is_some() {
        return texts(traces).filter_map(|trace| position(&|input| input["objectWriteTraceId"] == trace)).collect();
    }
    if texts(ids).next().is_some() {
        return texts(ids).filter_map(|id| position(&|input| is_named(input, id))).collect();
    }
    only(draft).into_iter().collect()
}

/// Whether an input names its record so.
fn is_named(input: &Value, name: &str) -> bool {
    let property = text(input, "idProperty");
    input["id"].as_str().is_some_and(|id| values::kept(property, id) == values::kept(property, name))
}

fn only(draft: &Draft) -> Option<usize> {
    (draft.inputs.len() == 1).then_some(0)
}

/// The error of a call that HubSpot refused because of what its rows say; nothing of it was applied.
fn refusal(answer: &Answer) -> Option<Value> {
    let error: Value = answer.json().unwrap_or_default();
    let of_rows = match answer.status.as_u16() {
        400 | 409 | 422 => true,
        404 => error["category"] == NOT_FOUND,
        _ => false,
    };
    of_rows.then_some(error)
}

/// What an error says of a row that it names.
fn verdict(error: &Value, operation: Operation) -> Verdict {
    match http_status(error) {
        Some(429) => Verdict::Retry(None),
        Some(500..=599) => Verdict::Unknown,
        _ if operation.is_removal() && error["category"] == NOT_FOUND => Verdict::Unchanged,
        _ => Verdict::Rejected(reason(error)),
    }
}

/// The most telling code, text and field that an error has.
fn reason(error: &Value) -> Reason {
    let (properties, detail, category) = (property_errors(error), &error["errors"][0], text(error, "category"));
    let (code, message, field) = match properties.first() {
        Some(property) => (text(property, "error"), text(property, "message"), text(property, "name")),
        None => (text(detail, "code"), text(error, "message"), text(detail, "in")),
    };
    let or = |text: &str, other: &str| String::from(if text.is_empty() { other } else { text });
    let field = Some(field).filter(|field| !field.is_empty()).map(str::to_owned);
    Reason { code: or(code, category), text: or(message, text(detail, "message")), field }
}

/// A refusal that no row can help: the sync maps a property that is not there or cannot be written.
fn property_fault(error: &Value) -> Option<Fault> {
    let errors = property_errors(error);
    let found = errors.iter().find(|property| [UNKNOWN_PROPERTY, READ_ONLY].contains(&text(property, "error")))?;
    let (name, code) = (text(found, "name"), text(found, "error"));
    let fault = Fault::config(format!("HubSpot refuses the property `{name}` ({code})"));
    Some(if code == UNKNOWN_PROPERTY {
        fault.remedy(format!("create the property `{name}` in HubSpot, or take it out of the sync's fields"))
    } else {
        fault.remedy(format!("HubSpot sets `{name}` itself: take it out of the sync's fields"))
    })
}
