//! How a batch changes the records: every input is checked before any is applied.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use serde_json::Value;

use super::envelope::{Problem, refused};
use super::store::Object;
use crate::destinations::stand_in::Rejects;

/// Inputs in one batch.
pub(super) const MAX_INPUTS: usize = 100;

/// What a batch does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Upsert,
    Update,
    Create,
}

/// A record to write.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Input {
    pub(super) id: Option<String>,
    pub(super) id_property: Option<String>,
    pub(super) object_write_trace_id: Option<String>,
    pub(super) properties: BTreeMap<String, String>,
}

/// What became of one input.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) number: u32,
    pub(super) new: bool,
}

/// An input that passed every check.
struct Ready {
    target: Option<u32>,
    changes: Vec<(u16, String)>,
}

/// Writes a batch. Where every input has a trace id the bad ones fail alone; otherwise one bad input refuses all.
///
/// # Errors
/// The problem that refuses the whole batch.
pub(super) fn write(
    object: &mut Object,
    rejects: &Rejects,
    hub_id: u64,
    action: Action,
    inputs: &[Input],
    now: i64,
) -> Result<Vec<Result<Applied, Problem>>, Problem> {
    check_whole(object, hub_id, action, inputs)?;
    let traced = inputs.iter().all(|input| input.object_write_trace_id.is_some());
    let mut claimed = HashMap::new();
    let mut checked = Vec::with_capacity(inputs.len());
    for (place, input) in inputs.iter().enumerate() {
        match check(object, rejects, hub_id, action, input, place, &mut claimed) {
            Err(problem) if !traced => return Err(problem),
            outcome => checked.push(outcome),
        }
    }
    let mut apply = |ready: Ready| match ready.target {
        Some(number) => {
            object.change(number, &ready.changes, now);
            Applied { number, new: false }
        }
        None => Applied { number: object.create(&ready.changes, now), new: true },
    };
    Ok(checked.into_iter().map(|outcome| outcome.map(&mut apply)).collect())
}

/// A value of a property in the form in which it is kept.
pub(super) fn kept(name: &str, value: &str) -> String {
    if name == "email" { value.trim().to_lowercase() } else { value.to_owned() }
}

/// The live record that an id, or a value of a unique property, names.
///
/// # Errors
/// A property whose values are not unique.
pub(super) fn find(object: &Object, id_property: Option<&str>, id: &str) -> Result<Option<u32>, Problem> {
    let Some(name) = id_property.filter(|name| *name != "hs_object_id") else { return Ok(object.by_id(id)) };
    let (number, property) = object
        .property(name)
        .filter(|(_, property)| property.unique)
        .ok_or_else(|| Problem::validation(format!("idProperty {name} is not a property with unique values")))?;
    Ok(object.by_value(number, &kept(&property.name, id)))
}

/// What refuses the batch whatever its trace ids.
fn check_whole(object: &Object, hub_id: u64, action: Action, inputs: &[Input]) -> Result<(), Problem> {
    check_size(inputs.len())?;
    let mut seen = HashSet::new();
    let mut unknown: Vec<Value> = Vec::new();
    for input in inputs {
        if let (Some(id), true) = (&input.id, action != Action::Create) {
            let key = (&input.id_property, kept(input.id_property.as_deref().unwrap_or_default(), id));
            if !seen.insert(key) {
                let problem = Problem::validation("Duplicate IDs found in batch input");
                return Err(problem.with("ids", std::slice::from_ref(id)));
            }
        }
        for name in input.properties.keys().filter(|name| object.property(name).is_none()) {
            if unknown.iter().all(|problem| problem["name"] != **name) {
                let message = format!("Property \"{name}\" does not exist");
                unknown.push(refused(name, "PROPERTY_DOESNT_EXIST", &message, hub_id));
            }
        }
    }
    if unknown.is_empty() { Ok(()) } else { Err(Problem::of_properties(unknown)) }
}

/// The cap of every batch call.
pub(super) fn check_size(inputs: usize) -> Result<(), Problem> {
    if inputs > MAX_INPUTS {
        return Err(Problem::validation(format!(
            "The maximum number of inputs supported in a batch request is {MAX_INPUTS}"
        )));
    }
    Ok(())
}

fn check(
    object: &Object,
    rejects: &Rejects,
    hub_id: u64,
    action: Action,
    input: &Input,
    place: usize,
    claimed: &mut HashMap<(u16, String), usize>,
) -> Result<Ready, Problem> {
    let mut values: BTreeMap<&str, &str> = input.properties.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let target = match action {
        Action::Create => None,
        Action::Upsert | Action::Update => {
            let id = input.id.as_deref().filter(|id| !id.is_empty());
            let id = id.ok_or_else(|| Problem::validation("Some required fields were not set: [id]"))?;
            if rejects.picks(id) {
                return Err(Problem::validation(format!("{id} was refused as the stand-in was told")));
            }
            let found = find(object, input.id_property.as_deref(), id)?;
            match (&input.id_property, action) {
                (Some(name), Action::Upsert) if found.is_none() => {
                    values.entry(name).or_insert(id);
                }
                _ if found.is_none() => return Err(Problem::not_found(object.label, &[id.to_owned()])),
                _ => {}
            }
            found
        }
    };
    let mut changes = Vec::with_capacity(values.len());
    let mut problems = Vec::new();
    for (name, value) in values {
        let Some((number, property)) = object.property(name) else { continue };
        let code = rejects.iter().find_map(|(field, bad)| {
            let (code, field) = field.split_once(':').unwrap_or(("INVALID_VALUE", field));
            (field == name && bad == value).then_some(code)
        });
        let accepted = match code {
            Some(code) => Err((code, format!("{value} was refused as the stand-in was told"))),
            None => property.accept(value),
        };
        match accepted {
            Ok(value) => changes.push((number, value)),
            Err((code, message)) => problems.push(refused(name, code, &message, hub_id)),
        }
    }
    if !problems.is_empty() {
        return Err(Problem::of_properties(problems));
    }
    for (number, value) in changes.iter().filter(|(number, value)| object.is_unique(*number) && !value.is_empty()) {
        let holder = object.by_value(*number, value).filter(|holder| Some(*holder) != target);
        if let Some(holder) = holder {
            return Err(Problem::conflict(object.label, &Object::id(holder)));
        }
        if claimed.get(&(*number, value.clone())).is_some_and(|other| *other != place) {
            return Err(Problem::conflict(object.label, "in this batch"));
        }
    }
    let unique = changes.iter().filter(|(number, value)| object.is_unique(*number) && !value.is_empty());
    claimed.extend(unique.map(|(number, value)| ((*number, value.clone()), place)));
    Ok(Ready { target, changes })
}
