//! The calls of the stand-in, but for batches.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Account;
use super::object::{self, Object};
use super::problem::Problem;
use super::property;
use crate::destinations::stand_in::Call;

/// Records on a page of a list, where the call does not say.
const PAGE: u64 = 10;
/// Records on a page of a list, at most.
const MAX_PAGE: u64 = 100;
/// The app that the token belongs to.
const APP_ID: u64 = 1;

/// What a token may do with an object, whose word takes the place of the star.
pub(super) const READ: &str = "crm.objects.*.read";
pub(super) const WRITE: &str = "crm.objects.*.write";
const READ_SCHEMA: &str = "crm.schemas.*.read";
const WRITE_SCHEMA: &str = "crm.schemas.*.write";

/// A status and a body.
pub(super) type Said = Result<(u16, Value), Problem>;

/// All that `all` grants.
pub(super) fn every_scope() -> BTreeSet<String> {
    let of = |object: &'static str| [READ, WRITE, READ_SCHEMA, WRITE_SCHEMA].map(|right| right.replace('*', object));
    let objects = ["contacts", "companies", "deals", "custom"].into_iter();
    objects.flat_map(of).chain([String::from("oauth")]).collect()
}

impl Account {
    pub(super) fn call(&mut self, call: &Call<'_>) -> Said {
        // Any of these lets a token learn an object's definitions.
        let definitions = &[READ_SCHEMA, READ, WRITE];
        let body = match (call.method, call.path) {
            ("POST", ["crm", "v3", "objects", object, "batch", action]) => {
                return self.batch(object, action, call.body);
            }
            ("GET", ["crm", "v3", "objects", object]) => list(&self.objects[self.object(object, &[READ])?], call),
            ("GET", ["crm", "v3", "objects", object, id]) => {
                let object = &self.objects[self.object(object, &[READ])?];
                let place = object.find(call.query("idProperty"), id)?.ok_or_else(no_such_resource)?;
                object.json(place, Some(&wanted(call)))
            }
            ("GET", ["crm", "v3", "properties", object]) => {
                let properties = &self.objects[self.object(object, definitions)?].properties;
                json!({ "results": properties.values().collect::<Vec<_>>() })
            }
            ("GET", ["crm", "v3", "properties", object, name]) => {
                let properties = &self.objects[self.object(object, definitions)?].properties;
                properties.get(*name).cloned().ok_or_else(no_such_resource)?
            }
            ("POST", ["crm", "v3", "properties", object]) => {
                let place = self.object(object, &[WRITE_SCHEMA])?;
                let property = property::define(&call.json());
                let property = property.ok_or_else(|| Problem::validation("impossible name or type"))?;
                let taken = || Problem::new(409, "CONFLICT", "a property of this name already exists");
                self.objects[place].add_property(property.clone()).ok_or_else(taken)?;
                return Ok((201, property));
            }
            ("POST", ["oauth", "v2", "private-apps", "get", "access-token-info"]) => {
                if call.json()["tokenKey"] != *self.common.token {
                    return Err(no_such_resource());
                }
                json!({ "userId": 1, "hubId": self.hub_id, "appId": APP_ID, "scopes": self.scopes })
            }
            ("GET", ["account-info", "v3", "details"]) => json!({
                "portalId": self.hub_id, "accountType": "SANDBOX", "timeZone": "UTC", "companyCurrency": "EUR",
                "additionalCurrencies": [], "utcOffset": "+00:00", "utcOffsetMilliseconds": 0,
                "uiDomain": "localhost", "dataHostingLocation": "local",
            }),
            _ => return Err(no_such_call()),
        };
        Ok((200, body))
    }

    /// The place of an object of which the token has any one of these rights.
    pub(super) fn object(&self, name: &str, any_of: &[&str]) -> Result<usize, Problem> {
        let unknown = || format!("Unable to infer object type from: {name}");
        let place = self.place(name).ok_or_else(|| Problem::new(404, "OBJECT_TYPE_NOT_FOUND", unknown()))?;
        let any_of: Vec<String> = any_of.iter().map(|right| right.replace('*', self.objects[place].scope)).collect();
        if any_of.iter().any(|scope| self.scopes.contains(scope)) {
            return Ok(place);
        }
        let message = "This app hasn't been granted all required scopes to make this call.";
        Err(Problem::new(403, "MISSING_SCOPES", message).with("missingScopes", &any_of))
    }
}

/// A page of the records.
fn list(object: &Object, call: &Call<'_>) -> Value {
    let number = |name: &str| call.query(name).and_then(|text| text.parse::<u64>().ok());
    let limit = number("limit").unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let mut rest = object.live(number("after").unwrap_or(0));
    let page: Vec<usize> = rest.by_ref().take(limit as usize).collect();
    let wanted = wanted(call);
    let mut body = json!({ "results": page.iter().map(|place| object.json(*place, Some(&wanted))).collect::<Value>() });
    if let (Some(last), Some(_)) = (page.last(), rest.next()) {
        body["paging"]["next"]["after"] = json!(object::id(*last));
    }
    body
}

fn wanted(call: &Call<'_>) -> Vec<String> {
    call.query("properties").unwrap_or_default().split(',').map(str::to_owned).collect()
}

pub(super) fn no_such_call() -> Problem {
    Problem::new(404, "NOT_FOUND", "no such call")
}

fn no_such_resource() -> Problem {
    Problem::new(404, "OBJECT_NOT_FOUND", "resource not found")
}
