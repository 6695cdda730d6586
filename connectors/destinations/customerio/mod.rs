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
//! All of it is here but for the stand-in (`sandbox`); what vendors of one row a call have in common is the kit's
//! ([`RowCalls`]).
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

use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::config::{ConfigTable, SecretRef, schema};
use backhaul_kit::http::{Answer, Auth, Http, HttpAccount, Request, account_schema, fault_of_status};
use backhaul_kit::{
    AccountReport, AddressKind, DestinationKind, Facts, Fault, KindSchema, Kit, Mode, Object, ObjectName, OneRow,
    Operation, Order, Reason, Removed, RowCalls, ValueRef, Verdict,
};
use reqwest::Method;
use serde_json::{Value, json};

/// Regions, and where the API of each is.
const REGIONS: &[(&str, &str)] = &[("us", "https://track.customer.io"), ("eu", "https://track-eu.customer.io")];
/// Calls in a second.
const PER_SECOND: u32 = 100;
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

#[async_trait]
impl RowCalls for Workspace {
    fn over(&self) -> &HttpAccount {
        &self.http
    }

    fn auth(&self, kit: &Kit) -> Auth {
        Auth::Basic { user: self.site_id.clone(), password: kit.secret(&self.api_key) }
    }

    fn facts(&self) -> Facts {
        let (address, order) = (AddressKind::MatchValue, Order::RemovalsFirst);
        // The limit is what bounds the rate.
        Facts { resend_safe: true, address, order, concurrency: 8, ..Facts::default() }
    }

    fn refuses(&self, target: &str) -> Option<&'static str> {
        let is_own = target.starts_with('_') || target.starts_with(OWN);
        is_own.then_some("is no attribute: it says how Customer.io takes a call")
    }

    fn call(&self, operation: Operation, row: &OneRow<'_>) -> Result<Request, Reason> {
        let fits = row.id.len() <= MAX_ID && !row.id.contains('@') && !row.id.starts_with(OWN);
        let method = if operation == Operation::Delete { Method::DELETE } else { Method::PUT };
        let call = self.http.call(method, &["api", "v1", "customers", &row.id]).ok().filter(|_| fits);
        let why = "an id has 1 to 150 bytes and no `@`, is not `.` or `..`, and does not begin with `cio_`";
        let call = call.ok_or_else(|| Reason::new("INVALID_ID", why))?;
        Ok(if operation == Operation::Delete {
            call
        } else {
            call.json(Value::from(row.members(attribute)).to_string())
        })
    }

    fn verdict(&self, answer: &Answer) -> Result<Verdict, Fault> {
        let said: Value = answer.json().unwrap_or_default();
        let refusal = said["meta"]["errors"][0].as_str().or(said["meta"]["error"].as_str());
        match (answer.status.as_u16(), refusal) {
            (200, _) if said.is_object() => Ok(Verdict::Written { remote_id: None }),
            (400, Some(text)) => Ok(Verdict::Rejected(Reason::new("REFUSED", text))),
            _ => fault_of_status(answer).map_or(Ok(Verdict::Unknown), Err),
        }
    }

    async fn report(&self, http: &Http) -> Result<AccountReport, Fault> {
        let said = http.read(self.http.call(Method::GET, &["api", "v1", "accounts", "region"])?).await?;
        let id = said["environment_id"].as_u64();
        let id = id.ok_or_else(|| Fault::transient("Customer.io's answer names no workspace"))?;
        if said["url"] != *self.home {
            return Err(Fault::config("the workspace lives in another region").remedy("write the other `region`"));
        }
        let (identity, label) = (format!("customerio:{id}"), format!("Customer.io workspace {id}"));
        Ok(AccountReport { identity, label, ..AccountReport::default() })
    }
}

/// A value in Customer.io's form.
fn attribute(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Bool(_) | ValueRef::Int(_) => value.to_json(),
        ValueRef::Timestamp(micros) => json!(micros.div_euclid(1_000_000)),
        value => json!(value.to_text()),
    }
}
