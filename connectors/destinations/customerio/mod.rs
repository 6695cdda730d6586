//! Customer.io: people, by your own id (Track API, version 1). The destination to copy where a call takes one row.
//!
//! ```toml
//! [destinations.messages]
//! type    = "customerio"
//! region  = "eu"                              # us or eu: a workspace lives in one of them
//! site_id = "3f1c9a27d84be0a1f6c2"
//! api_key = { secret = "customerio-key" }     # of the Track API, with that site id
//! quota   = "50%"                             # of 100 calls in a second
//!
//! [into]
//! object  = "people"
//! mode    = "upsert"
//! removed = "delete"
//!
//! [fields]
//! id    = "customer_id"
//! email = "email"
//! plan  = "plan"
//! ```
//!
//! All of it is here but for the stand-in (`sandbox`): account, sync, destination.
//!
//! # Facts, and where they come from
//!
//! *Spec* is an archive of the vendor's OpenAPI description (api-evangelist/customer-io).
//!
//! - `PUT /api/v1/customers/ID` makes a person or changes the attributes that it is given; `DELETE` removes the person with
//!   all information, and a later `PUT` makes another (spec). Both may be repeated.
//! - 200 with an empty object is success (spec), and means *taken in*: it is applied later. **Where `email` or another
//!   identifier already belongs to somebody else, the answer is 200 all the same**, and only the workspace's activity log
//!   has an *Attribute Update Failure* (spec): keep them unique in the model. Removals go first for the same reason.
//! - The kind of an identifier is told by the shape of its value (spec): an id with `@` could be an address, and one that
//!   begins with `cio_` would be Customer.io's own. Rows with such ids are refused here.
//! - An id cannot be changed without Customer.io's own (spec), which this API does not tell. A row whose `id` changes is
//!   another person, and **the former one stays**: let the id be the model's key.
//! - Attributes are texts, whole numbers and booleans (spec). A point in time goes as seconds since 1970, the form of
//!   `created_at` (spec), NULL as an empty text, all else as text.
//! - Some members are no attributes but say how a call is meant (`_update`, `cio_id`, …; spec): they cannot be fields.
//! - An id has at most 150 bytes, a name of an attribute 150, a value 1,000; a person has 300 attributes (spec, in parts
//!   that the archived copy lacks).
//! - A call of the US host for a workspace of the EU is redirected, and may be logged in the US (vendor documentation):
//!   `check` compares `region` with what `GET /api/v1/accounts/region` tells.
//! - 1,000 calls in a second, "not strictly enforced" (spec); 100 by a third party: the smaller is kept. No `Retry-After`
//!   is documented; it is honoured. How many calls may be in flight is not said.
//! - A key of the Track API has no scopes: it writes everything in its workspace and reads nothing.
//!
//! Not verified against a live account: that an empty text removes an attribute of a person (spec has it for objects and
//! relationships), `email` among them, which spec wants to be an address; what becomes of values that are too large; that
//! 400, which spec does not have for these calls, speaks of the row; the answer to removing somebody who is not there; how
//! long it takes until a call is applied.

pub mod sandbox;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::config::{ConfigTable, SecretRef, schema};
use backhaul_kit::http::{Answer, Auth, Http, HttpAccount, Request, account_schema, fault_of_status};
use backhaul_kit::{
    Account, AccountReport, AddressKind, Batch, Delivery, Destination, DestinationKind, Evidence, Facts, Fault,
    FieldRef, KindSchema, Kit, Mode, Object, ObjectName, Operation, Order, Outcomes, Prepared, Reason, Removed,
    RequestPreview, Row, Run, SyncShape, Tickets, ValueRef, Verdict,
};
use reqwest::Method;
use serde_json::{Map, Value, json};

/// Regions, and where the API of each is.
const REGIONS: &[(&str, &str)] = &[("us", "https://track.customer.io"), ("eu", "https://track-eu.customer.io")];
/// Calls in a second.
const PER_SECOND: u32 = 100;
/// Calls in flight; the limit is what bounds the rate.
const CONCURRENCY: usize = 8;
/// The field that finds a person, and its most bytes.
const ID: &str = "id";
const MAX_ID: usize = 150;
/// What the names and ids of Customer.io's own begin with.
const OWN: &str = "cio_";

/// `type = "customerio"`.
pub static CUSTOMERIO: DestinationKind = DestinationKind {
    name: "customerio",
    title: "Customer.io",
    summary: "people by your own id, one a call",
    objects: &[Object {
        name: ObjectName::Is("people"),
        modes: &[Mode::Upsert],
        removed: &[Removed::Ignore, Removed::Delete],
        matched: &[ID],
        flat: true,
        ..Object::PLAIN
    }],
    proof: "spec",
    validated: include_str!("validated.txt"),
    errors: &[
        ("INVALID_ID (rejects)", "the id could be taken for an address or for Customer.io's own: use another"),
        ("REFUSED (rejects)", "Customer.io's words are in `rejects show`: mend the value or the mapping"),
        ("401", "site id and API key are no pair of the Track API"),
    ],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(Workspace::read(table)?)),
    schema: || KindSchema { account: account_keys(), into: json!({}) },
    sandbox: Some(sandbox::kind),
};

/// A checked workspace.
#[derive(Clone, Debug)]
struct Workspace {
    /// Where the API of its region is.
    home: &'static str,
    site_id: String,
    api_key: SecretRef,
    http: HttpAccount,
}

impl Workspace {
    fn read(table: &mut ConfigTable) -> Option<Self> {
        let home = table.required_choice("region", REGIONS);
        let http = HttpAccount::read(table, "customerio", home.unwrap_or(REGIONS[0].1));
        let (site_id, api_key) = (table.required_text("site_id"), table.required_secret("api_key"));
        let (home, site_id, api_key) = (home?, site_id?, api_key?);
        let http = http?.of(&site_id).limited(None, PER_SECOND, Duration::from_secs(1));
        Some(Self { home, site_id, api_key, http })
    }
}

/// The keys of the table, for editors.
fn account_keys() -> Value {
    let own = json!({
        "region": schema::choice(REGIONS.iter().map(|(name, _)| *name), "Where the workspace's data lives."),
        "site_id": schema::text("The site id of a key of the Track API."),
        "api_key": schema::secret("The API key that belongs to the site id, by reference."),
    });
    account_schema("the region's own", own, &["region", "site_id", "api_key"])
}

impl Account for Workspace {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        for field in shape.fields.iter().filter(|field| field.target.starts_with('_') || field.target.starts_with(OWN))
        {
            let message = format!("`{}` is no attribute: it says how Customer.io takes a call", field.target);
            into.problems().refuse("reserved-target", &field.span, message, "take the field out");
        }
        Some(Arc::new(People { workspace: self.clone(), id: shape.match_field.as_ref()?.0, fields: shape.targets() }))
    }

    fn http(&self) -> Option<&HttpAccount> {
        Some(&self.http)
    }
}

/// A checked sync of people.
#[derive(Clone, Debug)]
struct People {
    workspace: Workspace,
    /// The place of the id among the fields.
    id: usize,
    fields: Vec<String>,
}

impl Prepared for People {
    fn facts(&self, operation: Operation) -> Facts {
        Facts {
            max_rows: usize::from(matches!(operation, Operation::Upsert | Operation::Delete)),
            evidence: Evidence::Call,
            resend_safe: true,
            address: AddressKind::MatchValue,
            order: Order::RemovalsFirst,
            concurrency: CONCURRENCY,
            settle_after: self.workspace.http.settle_after(),
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        String::from("people")
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        let Workspace { site_id, api_key, http, .. } = &self.workspace;
        let auth = Auth::Basic { user: site_id.clone(), password: kit.secret(api_key) };
        Ok(Arc::new(Sender { people: self.clone(), http: http.client(&kit, auth)? }))
    }
}

/// The destination.
#[derive(Debug)]
struct Sender {
    people: People,
    http: Http,
}

impl Sender {
    /// The call of a row, or why it has none.
    fn call(&self, operation: Operation, row: &Row) -> Result<Request, Reason> {
        let (method, id) = match operation {
            Operation::Delete => (Method::DELETE, row.address.match_value.clone().unwrap_or_default()),
            _ => (Method::PUT, row.match_value(self.people.id)?),
        };
        let fits = id.len() <= MAX_ID && !id.contains('@') && !id.starts_with(OWN);
        let call = self.people.workspace.http.call(method, &["api", "v1", "customers", &id]).ok().filter(|_| fits);
        let why = "an id has 1 to 150 bytes and no `@`, is not `.` or `..`, and does not begin with `cio_`";
        let call = call.ok_or_else(|| Reason::new("INVALID_ID", why))?;
        Ok(if operation == Operation::Delete { call } else { call.json(self.attributes(row)?.to_string()) })
    }

    fn attributes(&self, row: &Row) -> Result<Value, Reason> {
        let mut attributes = Map::new();
        for (name, field) in self.people.fields.iter().zip(row.fields.iter()).filter(|(name, _)| *name != ID) {
            let value = match field {
                FieldRef::Skip => continue,
                FieldRef::Clear => json!(""),
                FieldRef::Set(value @ (ValueRef::Bool(_) | ValueRef::Int(_))) => value.to_json(),
                FieldRef::Set(ValueRef::Timestamp(micros)) => json!(micros.div_euclid(1_000_000)),
                FieldRef::Set(ValueRef::Invalid(why)) => return Err(Reason::new("INVALID_VALUE", why)),
                FieldRef::Set(value) => json!(value.to_text()),
            };
            attributes.insert(name.clone(), value);
        }
        Ok(Value::Object(attributes))
    }
}

/// What an answer says of its row.
fn verdict(answer: &Answer) -> Result<Verdict, Fault> {
    let said: Value = answer.json().unwrap_or_default();
    let refusal = said["meta"]["errors"][0].as_str().or(said["meta"]["error"].as_str());
    match (answer.status.as_u16(), refusal) {
        (200, _) if said.is_object() => Ok(Verdict::Written { remote_id: None }),
        (400, Some(text)) => Ok(Verdict::Rejected(Reason::new("REFUSED", text))),
        _ => fault_of_status(answer).map_or(Ok(Verdict::Unknown), Err),
    }
}

#[async_trait]
impl Destination for Sender {
    async fn check(&self) -> Result<AccountReport, Fault> {
        let Workspace { home, http, .. } = &self.people.workspace;
        let answer = self.http.ask(http.call(Method::GET, &["api", "v1", "accounts", "region"])?).await?;
        if let Some(fault) = fault_of_status(&answer) {
            return Err(fault.not_applied());
        }
        let said: Value = answer.json().unwrap_or_default();
        let Some(id) = said["environment_id"].as_u64() else {
            return Err(Fault::transient("Customer.io's answer names no workspace"));
        };
        if said["url"] != *home {
            return Err(Fault::config("the workspace lives in another region").remedy("write the other `region`"));
        }
        let (identity, label) = (format!("customerio:{id}"), format!("Customer.io workspace {id}"));
        Ok(AccountReport { identity, label, ..AccountReport::default() })
    }

    async fn write(&self, _run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        batch.at_most(1)?;
        let Some(row) = batch.rows.first() else { return Ok(Delivery::Settled(Outcomes::of(batch))) };
        let verdict = match self.call(batch.operation, row) {
            Ok(call) => verdict(&self.http.send(call).await?)?,
            Err(reason) => Verdict::Rejected(reason),
        };
        Ok(Delivery::Settled(Outcomes::all(batch, &verdict)))
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        // A row that is refused makes no call.
        let calls: Vec<Request> = batch.rows.iter().filter_map(|row| self.call(batch.operation, row).ok()).collect();
        Ok(self.http.previews(&calls))
    }
}
