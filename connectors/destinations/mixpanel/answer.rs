//! What an answer says of each row.

use std::collections::HashMap;

use backhaul_kit::http::{Answer, fault_of_status};
use backhaul_kit::{Fault, Reason, Verdict};
use serde::Deserialize;
use serde_json::Value;

use super::draft::Call;

/// Mixpanel's answers have words, and no codes.
const CODE: &str = "INVALID_RECORD";

/// The JSON of both APIs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Said {
    /// 1 or 0 of profiles; a word of events.
    status: Value,
    error: Option<String>,
    num_records_imported: Option<usize>,
    failed_records: Option<Vec<Failed>>,
}

/// A record that was refused.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Failed {
    index: Option<f64>,
    #[serde(alias = "$insert_id")]
    insert_id: Option<String>,
    field: Option<String>,
    message: Option<String>,
}

impl Failed {
    /// Which record of the call it speaks of, where index and id say the same.
    fn place(&self, call: &Call) -> Option<usize> {
        let index = self.index.filter(|index| *index >= 0.0)? as usize;
        let sent = call.insert_ids.get(index)?;
        self.insert_id.as_ref().is_none_or(|id| id.is_empty() || id == sent).then_some(index)
    }

    fn reason(&self) -> Reason {
        let field = self.field.as_deref().map(|field| field.strip_prefix("properties.").unwrap_or(field).to_owned());
        Reason { field, ..refusal(self.message.as_deref()) }
    }
}

fn refusal(text: Option<&str>) -> Reason {
    let text = text.filter(|text| !text.is_empty()).unwrap_or("Mixpanel refused the record without a word");
    Reason::new(CODE, text)
}

/// The verdicts of a call of events, record by record. Events that are neither named nor counted stay unknown.
///
/// # Errors
/// A refused call; `Split` where one event of several may be the cause.
pub(super) fn of_events(answer: &Answer, call: &Call) -> Result<Vec<Verdict>, Fault> {
    let said = read(answer)?;
    let failed = said.failed_records.unwrap_or_default();
    if failed.is_empty() && answer.status == 400 {
        return refused(call, said.error.as_deref());
    }
    let mut named = HashMap::with_capacity(failed.len());
    let mut all_named = true;
    for record in &failed {
        match record.place(call) {
            Some(place) => drop(named.entry(place).or_insert_with(|| record.reason())),
            None => all_named = false,
        }
    }
    let counted = all_named && said.num_records_imported.is_some_and(|n| n + named.len() == call.places.len());
    let rest = if counted { Verdict::Written { remote_id: None } } else { Verdict::Unknown };
    let verdict = |place| named.remove(&place).map_or_else(|| rest.clone(), Verdict::Rejected);
    Ok((0..call.places.len()).map(verdict).collect())
}

/// The verdicts of a call of profiles, whose status is 200 whatever became of them.
///
/// # Errors
/// A refused call; `Split` where one profile of several may be the cause; `Ambiguous` where the answer is no word of
/// Mixpanel's.
pub(super) fn of_profiles(answer: &Answer, call: &Call) -> Result<Vec<Verdict>, Fault> {
    let said = read(answer)?;
    let failed = said.failed_records.unwrap_or_default();
    let error = said.error.filter(|error| !error.is_empty());
    let error = error.or_else(|| failed.first()?.message.clone());
    match said.status.as_u64() {
        Some(1) if answer.status == 200 && error.is_none() && failed.is_empty() => {
            Ok(vec![Verdict::Written { remote_id: None }; call.places.len()])
        }
        Some(0) => refused(call, error.as_deref()),
        _ if answer.status == 400 || !failed.is_empty() => refused(call, error.as_deref()),
        _ => Err(Fault::ambiguous("Mixpanel's answer does not say whether the profiles were taken")),
    }
}

/// What only records can be blamed for.
fn refused(call: &Call, error: Option<&str>) -> Result<Vec<Verdict>, Fault> {
    match call.places.len() {
        1 => Ok(vec![Verdict::Rejected(refusal(error))]),
        _ => Err(Fault::split("Mixpanel refused the call and named no record")),
    }
}

/// The JSON of a call that was judged record by record: 200 or 400.
fn read(answer: &Answer) -> Result<Said, Fault> {
    let unreadable = |error| match answer.status.as_u16() {
        400 => Fault::config("Mixpanel answered 400 without readable JSON").caused_by(error),
        status => Fault::ambiguous(format!("Mixpanel answered {status} without readable JSON")).caused_by(error),
    };
    if answer.status != 400
        && let Some(fault) = fault(answer)
    {
        return Err(fault);
    }
    let json: Value = serde_json::from_slice(&answer.body).map_err(unreadable)?;
    match json {
        Value::Object(_) => serde_json::from_value(json).map_err(unreadable),
        // The plain 1 or 0. Lists would be read member by member, whatever they mean.
        _ => Ok(Said { status: json, ..Said::default() }),
    }
}

/// The fault of a call that was refused as a whole.
pub(super) fn fault(answer: &Answer) -> Option<Fault> {
    let fault = fault_of_status(answer)?;
    Some(match answer.status.as_u16() {
        401 | 403 => fault.remedy("Mixpanel refused the token: check it and `region` in the project's settings"),
        _ => fault,
    })
}
