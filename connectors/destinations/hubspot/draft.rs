//! A batch as the inputs of one call.

use std::borrow::Cow;

use backhaul_kit::{Batch, FieldRef, Operation, Reason, Row, Verdict};
use serde_json::{Map, Value, json};

use super::sync::HubSpotSync;
use super::values;

/// The inputs of one write call, and the rows that are settled without.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) operation: Operation,
    /// What is sent.
    pub(super) inputs: Vec<Value>,
    /// The place in the batch of each input.
    pub(super) places: Vec<usize>,
    /// Verdicts of rows that are not sent, by place.
    pub(super) settled: Vec<(usize, Verdict)>,
}

impl Draft {
    /// The inputs of a batch.
    pub(super) fn of(sync: &HubSpotSync, batch: &Batch) -> Self {
        let operation = batch.operation;
        let (sent, settled) = batch.draft(|place, row| Ok((place, input(sync, operation, row)?)));
        let (places, inputs) = sent.into_iter().unzip();
        Self { operation, inputs, places, settled }
    }
}

fn input(sync: &HubSpotSync, operation: Operation, row: &Row) -> Result<Value, Reason> {
    let (matched, property) = (sync.matched.as_ref(), sync.id_property());
    let value = match operation {
        Operation::Upsert | Operation::Update => {
            matched.map(|own| row.match_value(own.place)).transpose()?;
            let field = matched.and_then(|own| row.fields.get(own.place));
            field.map(values::text).transpose()?.flatten().map(Cow::into_owned)
        }
        // What is emptied is found by the call itself; a value of no property is HubSpot's own id.
        _ if row.address.remote_id.is_none() && (operation == Operation::Clear || property.is_none()) => {
            row.address.match_value.clone()
        }
        _ => None,
    };
    let mut input = match (operation, value, property) {
        (Operation::Create, ..) => json!({ "associations": [] }),
        (_, Some(value), Some(property)) => json!({ "idProperty": property, "id": value }),
        (_, Some(value), None) => json!({ "id": value }),
        (_, None, _) => json!({ "id": row.id()? }),
    };
    if operation != Operation::Archive {
        // The answer names the row by it.
        input["objectWriteTraceId"] = format!("op-{}", row.op).into();
        input["properties"] = properties(sync, operation, row)?.into();
    }
    Ok(input)
}

/// What is written. A match value travels as the record's address, unless the record is made or gets another one.
fn properties(sync: &HubSpotSync, operation: Operation, row: &Row) -> Result<Map<String, Value>, Reason> {
    let writes_match = matches!(operation, Operation::Create | Operation::Move);
    let kept = sync.matched.as_ref().map(|matched| matched.place).filter(|_| !writes_match);
    // A removal has no fields: what it leaves there is emptied.
    let given = row.fields.iter().chain(std::iter::repeat(FieldRef::Clear));
    let written = sync.properties.iter().zip(given).enumerate().filter(|(place, _)| Some(*place) != kept);
    let mut properties = Map::new();
    for (_, (name, field)) in written {
        let text = values::text(field).map_err(|reason| Reason { field: Some(name.clone()), ..reason })?;
        properties.extend(text.map(|text| (name.clone(), text.into())));
    }
    Ok(properties)
}
