//! What an answer says of each row, and what a refused call means.

use std::time::Duration;

use backhaul_kit::http::{Answer, fault_of_status, retry_after};
use backhaul_kit::{Batch, Fault, Operation, Outcomes, Reason, Verdict};
use serde::Deserialize;

use super::draft::{Draft, is_by_id};

/// How long nothing is sent once the day's calls are used up. The day is a rolling one, and nothing says when calls are
/// free again. More than an hour, so that the run ends and its rows come with a later one.
pub(super) const DAY_PAUSE: Duration = Duration::from_secs(61 * 60);
/// Codes that no row is to blame for.
const OF_SYNC: [&str; 4] = ["INVALID_FIELD", "INVALID_TYPE", "NOT_FOUND", "MALFORMED_QUERY"];

/// An error, of a call or of a row.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct VendorError {
    /// `REQUIRED_FIELD_MISSING` …; calls and rows name it differently.
    #[serde(alias = "errorCode", alias = "statusCode")]
    pub(super) code: String,
    /// For people; may quote values.
    pub(super) message: String,
    pub(super) fields: Vec<String>,
}

/// What became of one record.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct SaveResult {
    pub(super) id: Option<String>,
    pub(super) success: bool,
    pub(super) errors: Vec<VendorError>,
}

/// The calls of the last day, and how many a day has: `Sforce-Limit-Info: api-usage=18/5000`.
pub(super) fn usage(answer: &Answer) -> Option<(u64, u64)> {
    let mut parts = answer.header("sforce-limit-info")?.split([';', ',']);
    let (used, most) = parts.find_map(|part| part.trim().strip_prefix("api-usage="))?.split_once('/')?;
    Some((used.trim().parse().ok()?, most.trim().parse().ok()?))
}

/// The verdicts of a call of sObject Collections: as many results as records, in their order.
///
/// # Errors
/// What the answer says of the call and not of rows.
pub(super) fn of_collection(answer: &Answer, batch: &Batch, draft: &Draft<'_>) -> Result<Outcomes, Fault> {
    let results = match refusal(answer, draft.records.len())? {
        Some(error) => vec![SaveResult { errors: vec![error], ..SaveResult::default() }],
        None => answer.json().unwrap_or_default(),
    };
    // An answer that does not name the rows proves nothing.
    let fits = results.len() == draft.records.len();
    let named = draft.records.iter().zip(results).filter(|_| fits);
    let said = named.map(|(record, result)| (record.place, of_result(result, draft.operation, &record.key)));
    Outcomes::at_places(batch, said.chain(draft.settled.iter().cloned()))
}

fn of_result(result: SaveResult, operation: Operation, key: &str) -> Verdict {
    // An id has 15 characters, and three more that only check them.
    let is_it = |id: &str| !is_by_id(operation) || id.get(..15) == key.get(..15);
    match (result.id, result.errors.into_iter().next()) {
        (Some(id), _) if result.success && is_it(&id) => Verdict::Written { remote_id: Some(id) },
        (_, Some(error)) if !result.success => of_error(error, operation),
        _ => Verdict::Unknown,
    }
}

/// The verdict of a row with that error.
pub(super) fn of_error(error: VendorError, operation: Operation) -> Verdict {
    match error.code.as_str() {
        // Somebody else was at the record, or the organisation's own triggers had too much to do at once.
        "UNABLE_TO_LOCK_ROW" | "SERVER_UNAVAILABLE" | "REQUEST_LIMIT_EXCEEDED" => Verdict::Retry(None),
        _ if error.message.contains("Too many SOQL queries") => Verdict::Retry(None),
        "ENTITY_IS_DELETED" if operation.is_removal() => Verdict::Unchanged,
        _ => Verdict::Rejected(Reason {
            field: error.fields.into_iter().next(),
            ..Reason::new(error.code, error.message)
        }),
    }
}

/// What the only row of a call was refused for; `None` for a success. One value that cannot be read has the whole call
/// refused.
fn refusal(answer: &Answer, records: usize) -> Result<Option<VendorError>, Fault> {
    let Some(fault) = fault(answer) else { return Ok(None) };
    match first_error(answer).filter(|error| !OF_SYNC.contains(&error.code.as_str())) {
        Some(error) if answer.status == 400 && records == 1 => Ok(Some(error)),
        Some(_) if answer.status == 400 => Err(Fault::split(fault.message)),
        _ => Err(fault),
    }
}

fn first_error(answer: &Answer) -> Option<VendorError> {
    answer.json::<Vec<VendorError>>()?.into_iter().next()
}

/// The fault of an answer that is no success. The vendor's text may quote values and stays out of it.
pub(super) fn fault(answer: &Answer) -> Option<Fault> {
    let mut fault = fault_of_status(answer)?;
    let code = first_error(answer).unwrap_or_default().code;
    fault.message = format!("Salesforce answered {} {code}", answer.status.as_u16());
    if code != "REQUEST_LIMIT_EXCEEDED" {
        return Some(fault.remedy("check the object, its fields, `domain`, and what `backhaul doctor` says of rights"));
    }
    // The day's calls, or too many long ones at once.
    let day = usage(answer).is_some_and(|(used, most)| used >= most).then_some(DAY_PAUSE);
    Some(Fault::throttled(fault.message, retry_after(answer).or(day)))
}
