//! What an answer says of each row. Rows that it does not name stay unknown; rows that it names as written
//! and as failed stay unknown too.

use std::borrow::Cow;
use std::collections::HashMap;

use backhaul_kit::http::Answer;
use backhaul_kit::{Batch, Fault, Operation, Outcomes, Reason, Verdict};
use serde_json::Value;

use super::draft::Draft;
use super::values;
use super::wire::{BatchAnswer, Record, VendorError, WriteInput};

/// The code of an unknown property.
const UNKNOWN_PROPERTY: &str = "PROPERTY_DOESNT_EXIST";
/// The code of a property that cannot be written.
const READ_ONLY: &str = "READ_ONLY_VALUE";
/// The category of a record that is not there.
pub(super) const NOT_FOUND: &str = "OBJECT_NOT_FOUND";
/// The batch is done; other statuses promise nothing.
const COMPLETE: &str = "COMPLETE";

/// Reads the answer of a batch call, whatever its 2xx status.
///
/// # Errors
/// `Ambiguous` where it is not the JSON that was promised.
pub(super) fn parse(answer: &Answer) -> Result<BatchAnswer<'_>, Fault> {
    serde_json::from_slice(&answer.body).map_err(|error| {
        Fault::ambiguous(format!("HubSpot answered {} without readable JSON", answer.status.as_u16())).caused_by(error)
    })
}

/// The verdicts of a write call that was answered with 2xx.
///
/// # Errors
/// `Ambiguous` for an unreadable answer; `Config` where every row failed for the same property.
pub(super) fn of_write(answer: &Answer, batch: &Batch, draft: Draft<'_>) -> Result<Outcomes, Fault> {
    let parsed = parse(answer)?;
    if draft.inputs.len() == parsed.errors.len() {
        let faults: Option<Vec<Fault>> = parsed.errors.iter().map(property_fault).collect();
        if let Some(fault) = faults.and_then(|mut faults| faults.pop()) {
            return Err(fault);
        }
    }
    let rows = Rows::of(&draft);
    let mut said: Vec<Said> = vec![Said::Nothing; batch.rows.len()];
    if parsed.status.as_deref().is_none_or(|status| status == COMPLETE) {
        for record in &parsed.results {
            if let Some(place) = rows.of_record(record) {
                said[place].add(Verdict::Written { remote_id: Some(record.id.clone()) });
            }
        }
    }
    for error in &parsed.errors {
        let verdict = verdict(error, batch.operation);
        for place in rows.of_error(error) {
            said[place].add(verdict.clone());
        }
    }
    let mut outcomes = Outcomes::of(batch);
    for (place, said) in said.into_iter().enumerate() {
        if let Said::One(verdict) = said {
            outcomes.set_at(place, verdict)?;
        }
    }
    reject(&mut outcomes, draft.refused)?;
    Ok(outcomes)
}

/// What a refusal of the whole call (400, 409, 422, or 404 for a record) means: nothing was applied.
///
/// # Errors
/// `Config` where it speaks of the mapping; `Split` where one row of several may be the cause.
pub(super) fn of_refusal(error: &VendorError, batch: &Batch, draft: Draft<'_>) -> Result<Outcomes, Fault> {
    if let Some(fault) = property_fault(error) {
        return Err(fault);
    }
    let [place] = draft.places.as_slice() else {
        return Err(Fault::split(format!("HubSpot refused the batch: {}", error.category)));
    };
    let mut outcomes = Outcomes::of(batch);
    let verdict = verdict(error, batch.operation);
    if verdict != Verdict::Unknown {
        outcomes.set_at(*place, verdict)?;
    }
    reject(&mut outcomes, draft.refused)?;
    Ok(outcomes)
}

/// Rejects rows that were not sent.
pub(super) fn reject(outcomes: &mut Outcomes, refused: Vec<(usize, Reason)>) -> Result<(), Fault> {
    for (place, reason) in refused {
        outcomes.set_at(place, Verdict::Rejected(reason))?;
    }
    Ok(())
}

/// What was said of one row so far.
#[derive(Clone)]
enum Said {
    Nothing,
    One(Verdict),
    Contradiction,
}

impl Said {
    /// Takes one more statement in. Two that differ, or one that itself knows nothing, leave the row unknown.
    fn add(&mut self, verdict: Verdict) {
        *self = match self {
            Self::Nothing if verdict != Verdict::Unknown => Self::One(verdict),
            Self::One(first) if *first == verdict => return,
            Self::Nothing | Self::One(_) | Self::Contradiction => Self::Contradiction,
        };
    }
}

/// Finds the row that a part of an answer speaks of: by trace id; without one by the id or match value that
/// was sent; and an only row by being the only one.
struct Rows<'a> {
    id_property: Option<&'a str>,
    by_trace: HashMap<&'a str, usize>,
    by_id: HashMap<Cow<'a, str>, usize>,
    only: Option<usize>,
}

impl<'a> Rows<'a> {
    fn of(draft: &'a Draft<'_>) -> Self {
        let id_property = draft.inputs.first().and_then(|input| input.id_property);
        let inputs = || draft.inputs.iter().zip(draft.places.iter().copied());
        let id = |input: &'a WriteInput<'_>| Some(values::kept(id_property, input.id.as_deref()?));
        Self {
            id_property,
            by_trace: inputs().map(|(input, place)| (input.object_write_trace_id.as_str(), place)).collect(),
            by_id: inputs().filter_map(|(input, place)| Some((id(input)?, place))).collect(),
            only: match draft.places.as_slice() {
                [place] => Some(*place),
                _ => None,
            },
        }
    }

    fn of_record(&self, record: &Record<'_>) -> Option<usize> {
        if let Some(trace) = &record.object_write_trace_id {
            return self.by_trace.get(trace.as_str()).copied();
        }
        let by_id = match self.id_property {
            None => self.by_id.get(record.id.as_str()).copied(),
            Some(property) => record.fields().get(property).and_then(Value::as_str).and_then(|value| self.of_id(value)),
        };
        by_id.or(self.only)
    }

    fn of_error(&self, error: &VendorError) -> Vec<usize> {
        let traces = error.context_texts("objectWriteTraceId");
        let ids = error.context_texts("ids");
        if traces.is_empty() && ids.is_empty() {
            return self.only.into_iter().collect();
        }
        if traces.is_empty() {
            return ids.into_iter().filter_map(|id| self.of_id(id)).collect();
        }
        traces.into_iter().filter_map(|trace| self.by_trace.get(trace).copied()).collect()
    }

    fn of_id(&self, id: &str) -> Option<usize> {
        self.by_id.get(&values::kept(self.id_property, id)).copied()
    }
}

/// What an error says of a row that it names.
pub(super) fn verdict(error: &VendorError, operation: Operation) -> Verdict {
    match error.http_status() {
        Some(429) => return Verdict::Retry(None),
        Some(500..=599) => return Verdict::Unknown,
        _ => {}
    }
    if operation.is_removal() && error.category == NOT_FOUND {
        return Verdict::Unchanged;
    }
    Verdict::Rejected(reason(error))
}

/// The most telling code, text and field that an error has.
fn reason(error: &VendorError) -> Reason {
    if let Some(property) = error.property_errors().into_iter().next() {
        let code = if property.code.is_empty() { error.category.clone() } else { property.code };
        let field = (!property.name.is_empty()).then_some(property.name);
        return Reason { code, text: property.message, field };
    }
    let detail = error.errors.first();
    let code = detail.and_then(|detail| detail.code.clone()).unwrap_or_else(|| error.category.clone());
    let text = if error.message.is_empty() {
        detail.map(|detail| detail.message.clone()).unwrap_or_default()
    } else {
        error.message.clone()
    };
    Reason { code, text, field: detail.and_then(|detail| detail.place.clone()) }
}

/// A refusal that no row can help: the sync maps a property that is not there or cannot be written.
fn property_fault(error: &VendorError) -> Option<Fault> {
    let errors = error.property_errors();
    let found = errors.iter().find(|property| [UNKNOWN_PROPERTY, READ_ONLY].contains(&property.code.as_str()))?;
    let (name, code) = (&found.name, &found.code);
    let fault = Fault::config(format!("HubSpot refuses the property `{name}` ({code})"));
    Some(if code == UNKNOWN_PROPERTY {
        fault.remedy(format!("create the property `{name}` in HubSpot, or take it out of the sync's fields"))
    } else {
        fault.remedy(format!("HubSpot sets `{name}` itself: take it out of the sync's fields"))
    })
}
