//! What an account and its objects are like: identity, scopes, properties. Nothing is written.

use backhaul_kit::http::{Auth, Request};
use backhaul_kit::{AccountReport, Fault, FaultClass, ObjectField, ObjectSchema, Prepared as _, TypeClass};
use reqwest::Method;
use secrecy::ExposeSecret as _;

use super::object::RECORD_ID;
use super::send::{HubSpotDestination, json};
use super::wire::{AccountDetails, PropertyDefinition, PropertyList, TokenInfo, TokenQuery};

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
        let Some(token) = self.introspect().await? else {
            let url = self.sync.account.http.base.join(&["account-info", "v3", "details"])?;
            let answer = self.read(Request::new(Method::GET, url)).await?;
            let details: AccountDetails =
                answer.json().ok_or_else(|| Fault::transient("HubSpot's account details are unreadable"))?;
            let unknowable = vec![String::from("the token's scopes: HubSpot introspects no token of this kind")];
            return Ok(AccountReport { unknowable, ..report(details.portal_id) });
        };
        let needed = self.needed_scopes();
        let useful = [object.read_scope(), object.schema_scope(), IMPLICIT_SCOPE.to_owned()];
        let missing = needed.iter().filter(|scope| !token.scopes.contains(scope)).cloned().collect();
        let excess = token.scopes.iter().filter(|scope| !needed.contains(scope) && !useful.contains(scope));
        Ok(AccountReport { missing, excess: excess.cloned().collect(), ..report(token.hub_id) })
    }

    /// The properties of the object.
    pub(super) async fn object_schema(&self) -> Result<ObjectSchema, Fault> {
        let url = self.sync.account.http.base.join(&["crm", "v3", "properties", self.sync.object.path()])?;
        let answer = self.read(Request::new(Method::GET, url)).await?;
        let list: PropertyList =
            answer.json().ok_or_else(|| Fault::transient("HubSpot's list of properties is unreadable"))?;
        let fields = list.results.into_iter().map(|definition| self.field(definition)).collect();
        Ok(ObjectSchema { fields })
    }

    /// The token's account and scopes, where an introspection knows the token.
    async fn introspect(&self) -> Result<Option<TokenInfo>, Fault> {
        let Auth::Bearer(secret) = self.http.auth() else {
            return Err(Fault::bug("HubSpot's client has no bearer token"));
        };
        let token = secret.reveal()?;
        let token = token.expose_secret();
        let account = &self.sync.account;
        let private_app = account.http.base.join(&["oauth", "v2", "private-apps", "get", "access-token-info"])?;
        let oauth = account.http.base.join(&["oauth", "v1", "access-tokens", token])?;
        for request in [
            Request::new(Method::POST, private_app).json(json(&TokenQuery { token_key: token })?),
            Request::new(Method::GET, oauth),
        ] {
            match self.read(request).await {
                Ok(answer) => {
                    if let Some(info) = answer.json::<TokenInfo>() {
                        return Ok(Some(info));
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

    fn field(&self, definition: PropertyDefinition) -> ObjectField {
        let matched = self.sync.match_property.as_ref().is_some_and(|property| property.name == definition.name);
        let email = self.sync.object.is_contacts() && definition.name == "email";
        let read_only =
            definition.calculated || definition.modification_metadata.is_some_and(|metadata| metadata.read_only_value);
        let is_id = definition.name == RECORD_ID;
        ObjectField {
            accepts: accepted(&definition.kind),
            choices: if definition.external_options {
                Vec::new()
            } else {
                definition.options.into_iter().map(|option| option.value).collect()
            },
            // A match by the record's own id writes nothing into it.
            writable: !read_only || (is_id && matched),
            unique: definition.has_unique_value || email || is_id,
            native: definition.kind,
            name: definition.name,
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
