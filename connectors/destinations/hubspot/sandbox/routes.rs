//! The calls of the stand-in.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Account;
use super::batch::{self, Action, Input};
use super::envelope::{self, Problem};
use super::property::NewProperty;
use super::store::{Object, Store};
use crate::destinations::stand_in::{Answer, Call};

/// Records on a page of a list, where the call does not say.
const PAGE: usize = 10;
/// Records on a page of a list, at most.
const MAX_PAGE: usize = 100;
/// The app that the token belongs to.
const APP_ID: u64 = 1;

/// What a token must have any one of to learn an object's definitions.
const DEFINITIONS: &[&str] = &["schemas.read", "objects.read", "objects.write"];

type Said = Result<Answer, Problem>;

/// The body of a batch write.
#[derive(Debug, Deserialize)]
struct WriteBody {
    inputs: Vec<Input>,
}

/// The body of a batch read or archive.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IdsBody {
    id_property: Option<String>,
    #[serde(default)]
    properties: Vec<String>,
    inputs: Vec<IdInput>,
}

#[derive(Debug, Deserialize)]
struct IdInput {
    id: String,
}

impl Account {
    pub(super) fn call(&mut self, call: &Call<'_>) -> Said {
        let ok = |body: Value| Ok(Answer::json(200, &body));
        match (call.method, call.path) {
            ("POST", ["crm", "v3", "objects", object, "batch", action]) => self.batch(object, action, call.body),
            ("GET", ["crm", "v3", "objects", object]) => ok(list(self.object(object, &["objects.read"])?, call)),
            ("GET", ["crm", "v3", "objects", object, id]) => {
                let object = self.object(object, &["objects.read"])?;
                let number = batch::find(object, call.query("idProperty"), id)?;
                let record = number.and_then(|number| envelope::record(object, number, Some(&wanted(call))));
                ok(record.ok_or_else(no_such_resource)?)
            }
            ("GET", ["crm", "v3", "properties", object]) => {
                let properties = self.object(object, DEFINITIONS)?.properties();
                ok(json!({ "results": properties.iter().map(envelope::property).collect::<Vec<_>>() }))
            }
            ("GET", ["crm", "v3", "properties", object, name]) => {
                let property = self.object(object, DEFINITIONS)?.property(name);
                ok(property.map(|(_, property)| envelope::property(property)).ok_or_else(no_such_resource)?)
            }
            ("POST", ["crm", "v3", "properties", object]) => {
                let property = parse::<NewProperty>(call.body)?.define();
                let property = property.ok_or_else(|| Problem::validation("impossible name or type"))?;
                let answer = envelope::property(&property);
                let taken = || Problem::new(409, "CONFLICT", "a property of this name already exists");
                self.object(object, &["schemas.write"])?.add_property(property).ok_or_else(taken)?;
                Ok(Answer::json(201, &answer))
            }
            ("POST", ["oauth", "v2", "private-apps", "get", "access-token-info"]) => {
                if call.json()["tokenKey"] != *self.common.token {
                    return Err(no_such_resource());
                }
                ok(json!({ "userId": 1, "hubId": self.hub_id, "appId": APP_ID, "scopes": self.scopes }))
            }
            ("GET", ["account-info", "v3", "details"]) => ok(json!({
                "portalId": self.hub_id,
                "accountType": "SANDBOX",
                "timeZone": "UTC",
                "companyCurrency": "EUR",
                "additionalCurrencies": [],
                "utcOffset": "+00:00",
                "utcOffsetMilliseconds": 0,
                "uiDomain": "localhost",
                "dataHostingLocation": "local",
            })),
            _ => Err(no_such_call()),
        }
    }

    fn object(&mut self, name: &str, any_of: &[&str]) -> Result<&mut Object, Problem> {
        object(&mut self.store, &self.scopes, name, any_of)
    }

    fn batch(&mut self, name: &str, action: &str, body: &[u8]) -> Said {
        let action = match action {
            "upsert" => Action::Upsert,
            "update" => Action::Update,
            "create" => Action::Create,
            "archive" | "read" => return self.by_ids(name, action == "read", &parse(body)?),
            _ => return Err(no_such_call()),
        };
        let (inputs, started) = (parse::<WriteBody>(body)?.inputs, envelope::now());
        let object = object(&mut self.store, &self.scopes, name, &["objects.write"])?;
        let outcomes = batch::write(object, &self.common.rejects, self.hub_id, action, &inputs, started)?;
        Ok(envelope::written(object, &inputs, &outcomes, started, action))
    }

    fn by_ids(&mut self, name: &str, reads: bool, body: &IdsBody) -> Said {
        batch::check_size(body.inputs.len())?;
        let now = envelope::now();
        let object = self.object(name, if reads { &["objects.read"] } else { &["objects.write"] })?;
        if !reads {
            body.inputs.iter().for_each(|input| object.archive(&input.id, now));
            return Ok(Answer::plain(204, Vec::new()));
        }
        let (mut results, mut missing) = (Vec::new(), Vec::new());
        for IdInput { id } in &body.inputs {
            let number = batch::find(object, body.id_property.as_deref(), id)?;
            match number.and_then(|number| envelope::record(object, number, Some(&body.properties))) {
                Some(record) => results.push(record),
                None => missing.push(id.clone()),
            }
        }
        let errors = (!missing.is_empty()).then(|| Problem::not_found(object.label, &missing).entry());
        Ok(envelope::batch(&results, &Vec::from_iter(errors), now, 200))
    }
}

/// A page of the records.
fn list(object: &Object, call: &Call<'_>) -> Value {
    let number = |name| call.query(name).and_then(|text| text.parse::<usize>().ok());
    let (limit, after) = (number("limit").unwrap_or(PAGE).clamp(1, MAX_PAGE), number("after").unwrap_or(0));
    let numbers = object.live().map(|(number, _)| number);
    let mut page = numbers.skip_while(|number| Object::id(*number).parse().unwrap_or(0) <= after);
    let taken: Vec<u32> = page.by_ref().take(limit).collect();
    let wanted = wanted(call);
    let results: Vec<Value> =
        taken.iter().filter_map(|number| envelope::record(object, *number, Some(&wanted))).collect();
    let mut body = json!({ "results": results });
    if let (Some(last), Some(_)) = (taken.last(), page.next()) {
        body["paging"] = json!({ "next": { "after": Object::id(*last) } });
    }
    body
}

fn wanted(call: &Call<'_>) -> Vec<String> {
    call.query("properties").unwrap_or_default().split(',').map(str::to_owned).collect()
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::validation(format!("Invalid input JSON: {error}")))
}

/// An object of which the token has any one of these rights.
fn object<'a>(
    store: &'a mut Store,
    scopes: &BTreeSet<String>,
    name: &str,
    any_of: &[&str],
) -> Result<&'a mut Object, Problem> {
    let unknown = || Problem::new(404, "OBJECT_TYPE_NOT_FOUND", format!("Unable to infer object type from: {name}"));
    let object = store.object_mut(name).ok_or_else(unknown)?;
    let scope = |(kind, verb): (&str, &str)| format!("crm.{kind}.{}.{verb}", object.scope);
    let any_of: Vec<String> = any_of.iter().filter_map(|right| right.split_once('.')).map(scope).collect();
    if any_of.iter().any(|scope| scopes.contains(scope)) {
        return Ok(object);
    }
    let message = "This app hasn't been granted all required scopes to make this call.";
    Err(Problem::new(403, "MISSING_SCOPES", message).with("missingScopes", &any_of))
}

fn no_such_call() -> Problem {
    Problem::new(404, "NOT_FOUND", "no such call")
}

fn no_such_resource() -> Problem {
    Problem::new(404, "OBJECT_NOT_FOUND", "resource not found")
}
