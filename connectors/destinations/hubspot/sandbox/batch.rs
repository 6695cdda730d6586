//! Batch calls, and how they change the records: every input is checked before any is applied.

use std::collections::{BTreeSet, HashSet};

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Account;
use super::object::{self, Object, Values};
use super::problem::Problem;
use super::property::{accept, kept};
use super::routes::{READ, Said, WRITE, no_such_call};

/// Inputs in one batch.
const MAX_INPUTS: usize = 100;

/// The body of a batch call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    inputs: Vec<Input>,
    /// Of a read.
    id_property: Option<String>,
    /// Of a read.
    #[serde(default)]
    properties: Vec<String>,
}

/// A record to write, to read or to archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Input {
    id: Option<String>,
    id_property: Option<String>,
    object_write_trace_id: Option<String>,
    properties: Option<Values>,
}

impl Input {
    fn id(&self) -> Result<&str, Problem> {
        self.id.as_deref().filter(|id| !id.is_empty()).ok_or_else(|| not_set("id"))
    }
}

/// The results and the errors of a batch.
type Results = (Vec<Value>, Vec<Value>);

impl Account {
    pub(super) fn batch(&mut self, name: &str, action: &str, body: &[u8]) -> Said {
        let right = match action {
            "read" => READ,
            "upsert" | "update" | "create" | "archive" => WRITE,
            _ => return Err(no_such_call()),
        };
        let started = Timestamp::now();
        let invalid = |error| Problem::validation(format!("Invalid input JSON: {error}"));
        let body: Body = serde_json::from_slice(body).map_err(invalid)?;
        let place = self.object(name, &[right])?;
        if body.inputs.len() > MAX_INPUTS {
            let message = format!("The maximum number of inputs supported in a batch request is {MAX_INPUTS}");
            return Err(Problem::validation(message));
        }
        let (results, errors) = match action {
            "read" => read(&self.objects[place], &body)?,
            "archive" => {
                let ids: Vec<&str> = body.inputs.iter().map(Input::id).collect::<Result<_, _>>()?;
                for id in ids {
                    let object = &mut self.objects[place];
                    object.find(None, id)?.into_iter().for_each(|record| object.archive(record));
                }
                return Ok((204, Value::Null));
            }
            _ => self.write(place, action, &body.inputs)?,
        };
        let [started, completed] = [started, Timestamp::now()].map(|time| format!("{time:.3}"));
        let mut said =
            json!({ "status": "COMPLETE", "startedAt": started, "completedAt": completed, "results": results });
        if errors.is_empty() {
            return Ok((if action == "create" { 201 } else { 200 }, said));
        }
        (said["numErrors"], said["errors"]) = (json!(errors.len()), json!(errors));
        Ok((207, said))
    }

    /// Writes a batch. Where every input has a trace id the bad ones fail alone; otherwise one bad input refuses all.
    fn write(&mut self, place: usize, action: &str, inputs: &[Input]) -> Result<Results, Problem> {
        let object = &self.objects[place];
        self.check_whole(object, action, inputs)?;
        let are_traced = inputs.iter().all(|input| input.object_write_trace_id.is_some());
        let (mut claimed, mut checked) = (HashSet::new(), Vec::with_capacity(inputs.len()));
        for input in inputs {
            match self.check(object, action, input, &mut claimed) {
                Err(problem) if !are_traced => return Err(problem),
                outcome => checked.push(outcome),
            }
        }
        let object = &mut self.objects[place];
        let (mut results, mut errors) = (Vec::new(), Vec::new());
        for (input, outcome) in inputs.iter().zip(checked) {
            let trace = &input.object_write_trace_id;
            match outcome {
                Ok((target, changes)) => {
                    let record = object.put(target, changes);
                    let mut result = object.json(record, None);
                    if action == "upsert" {
                        result["new"] = json!(target.is_none());
                    }
                    if let Some(trace) = trace {
                        result["objectWriteTraceId"] = json!(trace);
                    }
                    results.push(result);
                }
                Err(problem) => errors.push(problem.with("objectWriteTraceId", trace.as_slice()).entry()),
            }
        }
        Ok((results, errors))
    }

    /// What refuses the batch whatever its trace ids.
    fn check_whole(&self, object: &Object, action: &str, inputs: &[Input]) -> Result<(), Problem> {
        let mut seen = HashSet::new();
        for input in inputs.iter().filter(|_| action != "create") {
            let (by, id) = (input.id_property.as_deref().unwrap_or_default(), input.id.as_deref().unwrap_or_default());
            if !seen.insert((by, kept(by, id))) {
                return Err(Problem::validation("Duplicate IDs found in batch input").with("ids", &[id]));
            }
        }
        let named = inputs.iter().flat_map(|input| input.properties.iter().flat_map(Values::keys));
        let unknown: BTreeSet<&String> = named.filter(|name| !object.properties.contains_key(*name)).collect();
        let refused = |name| (name, "PROPERTY_DOESNT_EXIST", format!("Property \"{name}\" does not exist"));
        self.refuse_values(&unknown.into_iter().map(refused).collect::<Vec<_>>())
    }

    /// The record that an input is for, none for a new one, and what it changes. `claimed` is what the inputs before it
    /// have of unique values.
    fn check(
        &self,
        object: &Object,
        action: &str,
        input: &Input,
        claimed: &mut HashSet<u128>,
    ) -> Result<(Option<usize>, Values), Problem> {
        let mut values = input.properties.clone().ok_or_else(|| not_set("properties"))?;
        let (mut target, by, rejects) = (None, input.id_property.as_deref(), &self.common.rejects);
        if action != "create" {
            let id = input.id()?;
            if rejects.picks(id) {
                return Err(Problem::validation(format!("{id} was refused as the stand-in was told")));
            }
            target = object.find(by, id)?;
            match by {
                _ if target.is_some() => {}
                Some(by) if action == "upsert" => _ = values.entry(by.to_owned()).or_insert_with(|| id.to_owned()),
                _ => return Err(Problem::not_found(object.label, &[id])),
            }
        }
        let mut refused = Vec::new();
        for (name, value) in &mut values {
            let Some(property) = object.properties.get(name) else { continue };
            let told = rejects.iter().find_map(|(field, bad)| {
                let (code, field) = field.split_once(':').unwrap_or(("INVALID_VALUE", field));
                (field == name && bad == value).then_some(code)
            });
            let accepted = match told {
                Some(code) => Err((code, format!("{value} was refused as the stand-in was told"))),
                None => accept(property, value),
            };
            match accepted {
                Ok(accepted) => *value = accepted,
                Err((code, why)) => refused.push((name, code, why)),
            }
        }
        self.refuse_values(&refused)?;
        let digests = object.digests(&values);
        let holder = digests.iter().find_map(|digest| object.holder(*digest).filter(|holder| Some(*holder) != target));
        if let Some(holder) = holder {
            return Err(Problem::conflict(object.label, &object::id(holder)));
        }
        if digests.iter().any(|digest| claimed.contains(digest)) {
            return Err(Problem::conflict(object.label, "in this batch"));
        }
        claimed.extend(digests);
        Ok((target, values))
    }

    /// Refuses where there are properties whose values are refused: each with a code, and why.
    fn refuse_values(&self, refused: &[(&String, &str, String)]) -> Result<(), Problem> {
        let said = |(name, code, why): &(&String, &str, String)| {
            json!({
                "isValid": false, "message": why, "error": code, "name": name, "localizedErrorMessage": why,
                "portalId": self.hub_id,
            })
        };
        if refused.is_empty() {
            return Ok(());
        }
        let said: Value = refused.iter().map(said).collect();
        Err(Problem::validation(format!("Property values were not valid: {said}")))
    }
}

/// Reads a batch.
fn read(object: &Object, body: &Body) -> Result<Results, Problem> {
    let (mut results, mut missing) = (Vec::new(), Vec::new());
    for input in &body.inputs {
        match object.find(body.id_property.as_deref(), input.id()?)? {
            Some(record) => results.push(object.json(record, Some(&body.properties))),
            None => missing.push(input.id()?),
        }
    }
    let errors = (!missing.is_empty()).then(|| Problem::not_found(object.label, &missing).entry());
    Ok((results, Vec::from_iter(errors)))
}

fn not_set(name: &str) -> Problem {
    Problem::validation(format!("Some required fields were not set: [{name}]"))
}
