//! A batch as the inputs of one call.

use std::borrow::Cow;

use backhaul_kit::{Batch, Fields, Operation, Reason, Row};

use super::sync::HubSpotSync;
use super::values;
use super::wire::{Properties, WriteInput};

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
    /// What is remembered of a row.
    pub(super) fn remembered(sync: &HubSpotSync, row: &Row) -> Self {
        if let Some(id) = &row.address.remote_id {
            return Self::Id(id.clone());
        }
        match (&sync.match_property, &row.address.match_value) {
            (Some(property), Some(value)) if property.id_property().is_none() => Self::Id(value.clone()),
            (Some(_), Some(value)) => Self::Value(value.clone()),
            _ => Self::Unknown,
        }
    }

    /// The record id, where it is known.
    pub(super) fn id(&self) -> Option<&str> {
        match self {
            Self::Id(id) => Some(id),
            Self::Value(_) | Self::Absent | Self::Unknown => None,
        }
    }
}

/// The inputs of one write call, and the rows that cannot be sent.
#[derive(Debug, Default)]
pub(super) struct Draft<'a> {
    /// What is sent.
    pub(super) inputs: Vec<WriteInput<'a>>,
    /// The place in the batch of each input.
    pub(super) places: Vec<usize>,
    /// Rows refused here, by place.
    pub(super) refused: Vec<(usize, Reason)>,
}

impl<'a> Draft<'a> {
    /// The inputs of a batch of any operation but `archive`. `targets` are the records to write, row by
    /// row, for the operations that find them by what is remembered (`move`, `clear`).
    pub(super) fn of(sync: &'a HubSpotSync, batch: &'a Batch, targets: &'a [Target]) -> Self {
        let mut draft = Self::default();
        for (place, row) in batch.rows.iter().enumerate() {
            match input(sync, batch.operation, row, targets.get(place)) {
                Ok(input) => {
                    draft.inputs.push(input);
                    draft.places.push(place);
                }
                Err(reason) => draft.refused.push((place, reason)),
            }
        }
        draft
    }
}

/// The id by which an answer names a row.
fn trace_id(op: u64) -> String {
    format!("op-{op}")
}

fn input<'a>(
    sync: &'a HubSpotSync,
    operation: Operation,
    row: &'a Row,
    target: Option<&'a Target>,
) -> Result<WriteInput<'a>, Reason> {
    let mut input = WriteInput {
        id_property: None,
        id: None,
        object_write_trace_id: trace_id(row.op),
        properties: Properties::default(),
        associations: None,
    };
    match operation {
        Operation::Create => {
            input.properties = properties(sync, &row.fields, None)?;
            input.associations = Some([]);
        }
        Operation::Move => {
            (input.id_property, input.id) = address(sync, target)?;
            input.properties = properties(sync, &row.fields, None)?;
        }
        Operation::Clear => {
            (input.id_property, input.id) = address(sync, target)?;
            input.properties = emptied(sync);
        }
        _ => {
            let property = sync.match_property.as_ref().ok_or_else(no_address)?;
            let value = row.fields.get(property.place).map(values::text).transpose()?.flatten();
            input.id = Some(value.filter(|value| !value.is_empty()).ok_or_else(no_match_value)?);
            input.id_property = property.id_property();
            input.properties = properties(sync, &row.fields, Some(property.place))?;
        }
    }
    Ok(input)
}

type IdPropertyAndId<'a> = (Option<&'a str>, Option<Cow<'a, str>>);

fn address<'a>(sync: &'a HubSpotSync, target: Option<&'a Target>) -> Result<IdPropertyAndId<'a>, Reason> {
    match target {
        Some(Target::Id(id)) => Ok((None, Some(Cow::Borrowed(id)))),
        Some(Target::Value(value)) => {
            let property = sync.match_property.as_ref().ok_or_else(no_address)?;
            Ok((property.id_property(), Some(Cow::Borrowed(value))))
        }
        Some(Target::Absent | Target::Unknown) | None => Err(no_address()),
    }
}

/// The values of a row, without the field at `except`: a match value travels as the record's address.
fn properties<'a>(sync: &'a HubSpotSync, fields: &'a Fields, except: Option<usize>) -> Result<Properties<'a>, Reason> {
    let mut pairs = Vec::with_capacity(fields.len());
    for (place, (name, field)) in sync.properties.iter().zip(fields).enumerate() {
        if Some(place) == except {
            continue;
        }
        let text = values::text(field).map_err(|reason| Reason { field: Some(name.clone()), ..reason })?;
        if let Some(text) = text {
            pairs.push((name.as_str(), text));
        }
    }
    Ok(Properties(pairs))
}

/// Every property that the sync writes, emptied; the match property stays, so that the record is found again.
fn emptied(sync: &HubSpotSync) -> Properties<'_> {
    let kept = sync.match_property.as_ref().map(|property| property.place);
    let names = sync.properties.iter().enumerate().filter(|(place, _)| Some(*place) != kept);
    Properties(names.map(|(_, name)| (name.as_str(), Cow::Borrowed(""))).collect())
}

pub(super) fn no_address() -> Reason {
    Reason::new("NO_ADDRESS", "neither HubSpot's id of the record nor a match value is known")
}

fn no_match_value() -> Reason {
    Reason::new("NO_MATCH_VALUE", "the match property has no value in this row")
}
