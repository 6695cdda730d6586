//! A stand-in of Customer.io's Track API: in memory, stateful, on a local port.
//!
//! `PUT` and `DELETE /api/v1/customers/ID` and `GET /api/v1/accounts/region`, with a limit and faults on demand. As at
//! Customer.io an `email` that somebody else has is passed over, and the answer is 200 all the same.
//!
//! It differs where nothing is documented: what is taken in is applied at once; an empty text and null remove an
//! attribute; values that are no text, whole number or boolean, or too large, and ids that are, are refused with 400. People
//! are found by id alone: an id with `@` is refused, and `_update` and `cio_id` are attributes like others.

use std::collections::BTreeMap;

use backhaul_kit::{Fault, SandboxKind};
use serde_json::{Map, Value, json};

use super::REGIONS;
use crate::destinations::stand_in::{Answer, Call, Common, Kind, Setting, StandIn, Stopped, Told};

const MAX_ATTRIBUTES: usize = 300;
const MAX_NAME: usize = 150;
const MAX_VALUE: usize = 1000;

/// `backhaul sandbox customerio`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Workspace>::NEW
}

/// All state of a running stand-in.
#[derive(Debug)]
struct Workspace {
    common: Common,
    site_id: String,
    /// Its name, and where its API is.
    region: (&'static str, &'static str),
    people: BTreeMap<String, Map<String, Value>>,
}

impl Workspace {
    /// Makes a person or changes it; or says why not.
    fn identify(&mut self, id: &str, body: &Value) -> Result<(), String> {
        let Value::Object(attributes) = body else { return Err(String::from("the body is no JSON object")) };
        if id.is_empty() || id.len() > super::MAX_ID || id.contains('@') {
            return Err(String::from("the identifier is not valid"));
        }
        if self.common.rejects.picks(id) || attributes.len() > MAX_ATTRIBUTES {
            return Err(String::from("the customer is refused"));
        }
        for (name, value) in attributes {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            let is_described =
                value.is_string() || value.is_i64() || value.is_u64() || value.is_boolean() || value.is_null();
            let is_large = name.len() > MAX_NAME || text.len() > MAX_VALUE;
            if !is_described || is_large || self.common.rejects.has(name, &text) {
                return Err(format!("{name} is not valid"));
            }
        }
        let taken =
            |email: &Value| self.people.iter().any(|(other, has)| other != id && has.get("email") == Some(email));
        let passed_over = attributes.get("email").is_some_and(taken);
        let person = self.people.entry(id.to_owned()).or_default();
        for (name, value) in attributes.iter().filter(|(name, _)| *name != "email" || !passed_over) {
            if value.is_null() || value == "" {
                person.remove(name);
            } else {
                person.insert(name.clone(), value.clone());
            }
        }
        Ok(())
    }
}

impl StandIn for Workspace {
    const NAME: &'static str = "customerio";
    const SETTINGS: &'static [Setting] = &[
        ("token", "the API key"),
        ("site_id", "the site id that belongs to it"),
        ("region", "us or eu: where the workspace lives"),
    ];

    fn new() -> Result<Self, Fault> {
        let (common, people) = (Common::new("sandbox-key", 0), BTreeMap::new());
        Ok(Self { common, site_id: String::from("sandbox-site"), region: REGIONS[0], people })
    }

    fn account(&self) -> String {
        format!(
            "region = \"{}\"\nsite_id = \"{}\"\napi_key = {{ secret = \"sandbox\" }}\n",
            self.region.0, self.site_id
        )
    }

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn accepts(&mut self, call: &Call<'_>) -> bool {
        call.basic().is_some_and(|(user, password)| user == self.site_id && password == self.common.token)
    }

    fn refuse(&mut self, _call: &Call<'_>, why: Stopped) -> Answer {
        let status = match why {
            Stopped::Stranger => 401,
            Stopped::Limit | Stopped::Throttled => 429,
            Stopped::Failed => 500,
        };
        Answer::from((status, Value::Null))
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        let answer = match (call.method, call.path) {
            ("GET", ["api", "v1", "accounts", "region"]) => {
                let (region, url) = self.region;
                (200, json!({ "url": url, "region": region, "environment_id": 1 }))
            }
            ("PUT", ["api", "v1", "customers", id @ ..]) => match self.identify(&id.join("/"), &call.json()) {
                Ok(()) => (200, json!({})),
                Err(why) => (400, json!({ "meta": { "errors": [why] } })),
            },
            ("DELETE", ["api", "v1", "customers", id @ ..]) => {
                self.people.remove(&id.join("/"));
                (200, json!({}))
            }
            _ => (404, Value::Null),
        };
        Answer::from(answer)
    }

    fn records(&mut self) -> Value {
        json!({ "people": self.people })
    }

    fn set(&mut self, told: Told<'_>) -> Result<bool, Fault> {
        match told.key {
            "site_id" => self.site_id = told.text(),
            "region" => {
                let known = REGIONS.iter().find(|(name, _)| *name == told.value);
                self.region = *known.ok_or_else(|| told.wrong(told.value))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}
