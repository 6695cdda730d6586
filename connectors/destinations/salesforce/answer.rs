//! What an answer says of each row, and what a refused call means.

use std::time::Duration;

use backhaul_kit::http::limit::Limiter;
use backhaul_kit::http::{Answer, Manner, fault_of_status, retry_after};
use backhaul_kit::json::{items, text};
use backhaul_kit::{Batch, Fault, Operation, Outcomes, Reason, Verdict};
use serde_json::{Value, json};

use super::draft::{Draft, is_by_id};
use super::sync::CONCURRENCY;

/// How long nothing is sent once the day's calls are used up. The day is a rolling one, and nothing says when calls are
/// free again. More than an hour, so that the run ends and its rows come with a later one.
const DAY_PAUSE: Duration = Duration::from_secs(61 * 60);
/// Codes that no row is to blame for.
const OF_SYNC: [&str; 4] = ["INVALID_FIELD", "INVALID_TYPE", "NOT_FOUND", "MALFORMED_QUERY"];

/// How Salesforce speaks of calls.
pub(super) const MANNER: Manner = Manner { steer, fault };

/// The day's calls are counted by Salesforce; ours end with our share of them.
fn steer(answer: &Answer, limiter: &Limiter, share: f64) {
    let Some((used, most)) = usage(answer) else { return };
    // Calls in flight are not in what is used.
    let left = ((most as f64 * share) as u64).saturating_sub(used + CONCURRENCY as u64);
    limiter.steer(u32::try_from(left).unwrap_or(u32::MAX), DAY_PAUSE, answer.asked);
}

/// The calls of the last day, and how many a day has: `Sforce-Limit-Info: api-usage=18/5000`.
fn usage(answer: &Answer) -> Option<(u64, u64)> {
    let mut parts = answer.header("sforce-limit-info")?.split([';', ',']);
    let (used, most) = parts.find_map(|part| part.trim().strip_prefix("api-usage="))?.split_once('/')?;
    Some((used.trim().parse().ok()?, most.trim().parse().ok()?))
}

/// The verdicts of a call of sObject Collections: as many results as records, in their order.
///
/// # Errors
/// What the answer says of the call and not of rows.
pub(super) fn of_collection(answer: &Answer, batch: &Batch, draft: &Draft<'_>) -> Result<Outcomes, Fault> {
    let results = match fault(answer) {
        None => answer.json().unwrap_or_default(),
        Some(fault) => {
            let error = first_error(answer);
            // One value that cannot be read has the whole call refused.
            let is_of_row = answer.status == 400 && !error.is_null() && !OF_SYNC.contains(&code(&error));
            match draft.records.len() {
                _ if !is_of_row => return Err(fault),
                1 => json!([{ "errors": [error] }]),
                _ => return Err(Fault::split(fault.message)),
            }
        }
    };
    // An answer that does not name the rows proves nothing.
    let fits = items(&results).count() == draft.records.len();
    let named = draft.records.iter().zip(items(&results)).filter(|_| fits);
    let said = named.map(|(record, result)| (record.place, of_result(result, draft.operation, &record.key)));
    Outcomes::at_places(batch, said.chain(draft.settled.iter().cloned()))
}

fn of_result(result: &Value, operation: Operation, key: &str) -> Verdict {
    // An id has 15 characters, and three more that only check them.
    let is_it = |id: &str| !is_by_id(operation) || id.get(..15) == key.get(..15);
    match (result["id"].as_str(), &result["errors"][0]) {
        (Some(id), _) if result["success"] == true && is_it(id) => Verdict::Written { remote_id: Some(id.to_owned()) },
        (_, error) if result["success"] != true && error.is_object() => {
            of_error(code(error), text(error, "message"), error["fields"][0].as_str(), operation)
        }
        _ => Verdict::Unknown,
    }
}

/// The verdict of a row with that error. `message` is for people, and may quote values.
pub(super) fn of_error(code: &str, message: &str, field: Option<&str>, operation: Operation) -> Verdict {
    match code {
        // Somebody else was at the record, or the organisation's own triggers had too much to do at once.
        "UNABLE_TO_LOCK_ROW" | "SERVER_UNAVAILABLE" | "REQUEST_LIMIT_EXCEEDED" => Verdict::Retry(None),
        _ if message.contains("Too many SOQL queries") => Verdict::Retry(None),
        "ENTITY_IS_DELETED" if operation.is_removal() => Verdict::Unchanged,
        _ => Verdict::Rejected(Reason { field: field.map(str::to_owned), ..Reason::new(code, message) }),
    }
}

fn first_error(answer: &Answer) -> Value {
    items(&answer.json().unwrap_or_default()).next().cloned().unwrap_or_default()
}

/// `REQUIRED_FIELD_MISSING` …; calls and rows name it differently.
fn code(error: &Value) -> &str {
    error["statusCode"].as_str().unwrap_or_else(|| text(error, "errorCode"))
}

/// The fault of an answer that is no success. The vendor's text may quote values and stays out of it.
fn fault(answer: &Answer) -> Option<Fault> {
    let mut fault = fault_of_status(answer)?;
    let error = first_error(answer);
    let code = code(&error);
    fault.message = format!("Salesforce answered {} {code}", answer.status.as_u16());
    if code != "REQUEST_LIMIT_EXCEEDED" {
        return Some(fault.remedy("check the object, its fields, `domain`, and what `backhaul doctor` says of rights"));
    }
    // The day's calls, or too many long ones at once.
    let day = usage(answer).is_some_and(|(used, most)| used >= most).then_some(DAY_PAUSE);
    Some(Fault::throttled(fault.message, retry_after(answer).or(day)))
}
