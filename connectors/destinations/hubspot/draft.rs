//! A batch as the inputs of one call.

use backhaul_kit::{Address, Batch, FieldRef, Operation, Reason, Row, Verdict};
use serde_json::{Map, Value, json};

use super::sync::HubSpotSync;
use super::values;

/// What finds one row's record in a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    /// Its record id.
    Id(String),
    /// Only a value of the match property is known.
    Value(String),
    /// It was looked for, and HubSpot has none.
    Absent,
    /// Nothing is known of it.
    Unknown,
}

impl Target {
    /// What an address says.
    pub(super) fn remembered(sync: &HubSpotSync, address: &Address) -> Self {
        match (&address.remote_id, &sync.match_property, &address.match_value) {
            (Some(id), ..) => Self::Id(id.clone()),
            (None, Some(property), Some(value)) if property.id_property().is_none() => Self::Id(value.clone()),
            (None, Some(_), Some(value)) => Self::Value(value.clone()),
            _ => Self::Unknown,
        }
    }
}

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
    /// The inputs of a batch. `targets` are the records to write, row by row, for the operations that find them by what
    /// is remembered (`move`, `clear`, `archive`).
    pub(super) fn of(sync: &HubSpotSync, batch: &Batch, operation: Operation, targets: &[Target]) -> Self {
        let mut draft = Self { operation, inputs: Vec::new(), places: Vec::new(), settled: Vec::new() };
        for (place, (row, target)) in batch.rows.iter().zip(targets).enumerate() {
            match input(sync, operation, row, target) {
                Ok(input) => {
                    draft.inputs.push(input);
                    draft.places.push(place);
                }
                Err(_) if operation.is_removal() && *target == Target::Absent => {
                    draft.settled.push((place, Verdict::Unchanged));
                }
                Err(reason) => draft.settled.push((place, Verdict::Rejected(reason))),
            }
        }
        draft
    }
}

fn input(sync: &HubSpotSync, operation: Operation, row: &Row, target: &Target) -> Result<Value, Reason> {
    let no_address = || Reason::new("NO_ADDRESS", "neither HubSpot's id of the record nor a match value is known");
    let by_value = |value: &str| {
        let property = sync.match_property.as_ref().ok_or_else(no_address)?.id_property();
        Ok(property.map_or_else(|| json!({ "id": value }), |name| json!({ "idProperty": name, "id": value })))
    };
    let mut input = match (operation, target) {
        (Operation::Create, _) => json!({ "associations": [] }),
        (Operation::Upsert | Operation::Update, _) => {
            let property = sync.match_property.as_ref().ok_or_else(no_address)?;
            let value = row.fields.get(property.place).map(values::text).transpose()?.flatten();
            let missing = || Reason::new("NO_MATCH_VALUE", "the match property has no value in this row");
            by_value(&value.filter(|value| !value.is_empty()).ok_or_else(missing)?)?
        }
        (_, Target::Id(id)) => json!({ "id": id }),
        (Operation::Clear, Target::Value(value)) => by_value(value)?,
        (_, Target::Value(_)) => {
            let text = "HubSpot answered the look-up without a word of this match value";
            return Err(Reason::new("MATCH_NOT_CONFIRMED", text));
        }
        (_, Target::Absent | Target::Unknown) => return Err(no_address()),
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
    let kept = sync.match_property.as_ref().map(|property| property.place).filter(|_| !writes_match);
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
