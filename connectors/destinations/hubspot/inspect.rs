//! What an account and its objects are like: identity, scopes, properties. Nothing is written.

use backhaul_kit::http::{Auth, Request};
use backhaul_kit::json::{items, text};
use backhaul_kit::{AccountReport, Fault, FaultClass, ObjectField, ObjectSchema, Prepared as _, TypeClass};
use reqwest::Method;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::object::RECORD_ID;
use super::send::HubSpotDestination;
use super::wire::texts;

/// Part of every token's scopes; nobody asked for it.
const IMPLICIT_SCOPE: &str = "oauth";

impl HubSpotDestination {
    /// Which account the token is of, and which scopes are missing or in excess.
    pub(super) async fn account_report(&self) -> Result<AccountReport, Fault> {
        let report = |hub: u64| AccountReport {
            identity: format!("hubspot:{hub}"),
            label: format!("HubSpot account {hub}"),
            ..AccountReport::default()
        };
        let object = &self.sync.object;
        let Some((hub, scopes)) = self.introspect().await? else {
            let details = self.read(self.get(&["account-info", "v3", "details"])?).await?;
            let hub = details["portalId"].as_u64();
            let hub = hub.ok_or_else(|| Fault::transient("HubSpot's account details are unreadable"))?;
            let unknowable = vec![String::from("the token's scopes: HubSpot introspects no token of this kind")];
            return Ok(AccountReport { unknowable, ..report(hub) });
        };
        let needed = self.needed_scopes();
        let useful = [object.read_scope(), object.schema_scope(), IMPLICIT_SCOPE.to_owned()];
        let missing = needed.iter().filter(|scope| !scopes.contains(scope)).cloned().collect();
        let excess = scopes.iter().filter(|scope| !needed.contains(scope) && !useful.contains(scope));
        Ok(AccountReport { missing, excess: excess.cloned().collect(), ..report(hub) })
    }

    /// The properties of the object.
    pub(super) async fn object_schema(&self) -> Result<ObjectSchema, Fault> {
        let list = self.read(self.get(&["crm", "v3", "properties", self.sync.object.path()])?).await?;
        let unreadable = || Fault::transient("HubSpot's list of properties is unreadable");
        let fields = list["results"].as_array().ok_or_else(unreadable)?.iter().map(|property| self.field(property));
        Ok(ObjectSchema { fields: fields.collect() })
    }

    fn get(&self, path: &[&str]) -> Result<Request, Fault> {
        self.sync.account.http.call(Method::GET, path)
    }

    /// The token's account and scopes, where an introspection knows the token.
    async fn introspect(&self) -> Result<Option<(u64, Vec<String>)>, Fault> {
        let Auth::Bearer(secret) = self.http.auth() else {
            return Err(Fault::bug("HubSpot's client has no bearer token"));
        };
        let token = secret.reveal()?;
        let token = token.expose_secret();
        let private_app = ["oauth", "v2", "private-apps", "get", "access-token-info"];
        let private_app = self.sync.account.http.call(Method::POST, &private_app)?;
        let private_app = private_app.json(json!({ "tokenKey": token }).to_string());
        for request in [private_app, self.get(&["oauth", "v1", "access-tokens", token])?] {
            match self.read(request).await {
                Ok(json) => {
                    // Private apps name it in one way, OAuth in the other.
                    let hub = json["hubId"].as_u64().or_else(|| json["hub_id"].as_u64());
                    if let Some(hub) = hub.filter(|_| json["scopes"].is_array()) {
                        return Ok(Some((hub, texts(&json["scopes"]).map(str::to_owned).collect())));
                    }
                }
                // Each introspection refuses the tokens that it does not know: the next may.
                Err(fault) if matches!(fault.class, FaultClass::Auth | FaultClass::Config) => {}
                Err(fault) => return Err(fault),
            }
        }
        Ok(None)
    }

    fn needed_scopes(&self) -> Vec<String> {
        let mut scopes: Vec<String> = self.sync.operations().flat_map(|op| self.sync.facts(op).scopes).collect();
        scopes.sort_unstable();
        scopes.dedup();
        scopes
    }

    fn field(&self, property: &Value) -> ObjectField {
        let (name, native) = (text(property, "name"), text(property, "type"));
        let matched = self.sync.matched.as_ref().is_some_and(|matched| matched.by == name);
        let (is_id, is_email) = (name == RECORD_ID, self.sync.object.is_contacts() && name == "email");
        let read_only = property["calculated"] == true || property["modificationMetadata"]["readOnlyValue"] == true;
        // The allowed values may stand elsewhere.
        let options = items(&property["options"]).filter(|_| property["externalOptions"] != true);
        ObjectField {
            accepts: accepted(native),
            choices: options.map(|option| text(option, "value").to_owned()).collect(),
            // A match by the record's own id writes nothing into it.
            writable: !read_only || (is_id && matched),
            unique: property["hasUniqueValue"] == true || is_email || is_id,
            ..ObjectField::new(name, native)
        }
    }
}

/// The types of columns that fit a property. Text is what travels, and HubSpot judges each value: what could be read is
/// not refused here.
fn accepted(kind: &str) -> Vec<TypeClass> {
    use TypeClass as T;
    match kind {
        "number" => vec![T::Integer, T::Decimal, T::Float],
        "bool" => vec![T::Bool],
        "date" => vec![T::Date],
        "datetime" => vec![T::Timestamp, T::LocalTimestamp, T::Date],
        "enumeration" => vec![T::Bool, T::Integer, T::Uuid, T::Array(Box::new(T::Any))],
        _ => Vec::new(),
    }
}
