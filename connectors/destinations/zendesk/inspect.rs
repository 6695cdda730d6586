//! Whose credential it is, what it may do, and which fields the account has. Nothing is written.

use backhaul_kit::http::Auth;
use backhaul_kit::{AccountReport, Fault, ObjectField, ObjectSchema, TypeClass};
use reqwest::Method;
use serde_json::Value;

use super::object::{EXTERNAL_ID, ID};
use super::send::ZendeskDestination;

/// Fields on a page.
const PAGE: &str = "100";

impl ZendeskDestination {
    /// Which account it is, who we are there, and which scopes are missing or in excess.
    pub(super) async fn account_report(&self) -> Result<AccountReport, Fault> {
        let (account, me) = (&self.sync.account, self.read(self.get(&["users", "me"], &[])?).await?);
        // Whom Zendesk does not know it answers as "Anonymous user", without an id.
        let Some(id) = me["user"]["id"].as_u64() else {
            return Err(Fault::auth("Zendesk knows nobody by this credential").remedy("check the credential"));
        };
        let role = me["user"]["role"].as_str().unwrap_or("unknown");
        let stand_in = if account.http.is_stand_in() { ":stand-in" } else { "" };
        let needed = self.sync.scopes();
        let mut report = AccountReport {
            identity: format!("zendesk:{}{stand_in}", account.subdomain),
            label: format!("Zendesk {}, as {role} {id}", account.subdomain),
            grants: needed.clone(),
            ..AccountReport::default()
        };
        if role == "end-user" {
            report.missing.push(String::from("the role of an agent or admin"));
        }
        if !matches!(self.http.auth(), Auth::Bearer(_)) {
            let text = "the scopes: an API token has none, and may do whatever its user may";
            report.unknowable.push(format!("{text} ({role}); from 30 April 2027 Zendesk takes OAuth tokens only"));
            return Ok(report);
        }
        let token = self.ask(account.call(Method::GET, &["oauth", "tokens", "current"])?).await?;
        let Some(scopes) = token.as_ref().and_then(|json| json["token"]["scopes"].as_array()) else {
            report.unknowable.push(String::from("the token's scopes: Zendesk does not tell them"));
            return Ok(report);
        };
        let scopes: Vec<&str> = scopes.iter().filter_map(Value::as_str).collect();
        report.missing.extend(needed.iter().filter(|scope| !covers(&scopes, scope)).cloned());
        let wide = scopes
            .into_iter()
            .filter(|scope| !needed.iter().any(|needed| needed == scope) && !scope.ends_with(":read"));
        report.excess = wide.map(str::to_owned).collect();
        Ok(report)
    }

    /// The fields of users and organizations; custom fields of tickets are not looked at.
    pub(super) async fn object_schema(&self) -> Result<Option<ObjectSchema>, Fault> {
        let object = self.sync.object;
        if object.is_tickets() {
            return Ok(None);
        }
        let unique = |name: &str| [ID, EXTERNAL_ID, "email"].contains(&name);
        let field = |name: &str, native: &str| ObjectField { unique: unique(name), ..ObjectField::new(name, native) };
        let mut fields: Vec<ObjectField> = object.fields().chain([ID]).map(|name| field(name, "standard")).collect();
        let mut after = None;
        loop {
            let next = after.as_deref().map(|after| ("page[after]", after));
            let query: Vec<(&str, &str)> = [("page[size]", PAGE)].into_iter().chain(next).collect();
            let page = self.read(self.get(&[object.custom], &query)?).await?;
            let unreadable = || Fault::transient("Zendesk's list of fields is unreadable");
            for one in page[object.custom].as_array().ok_or_else(unreadable)? {
                let text = |name: &str| one[name].as_str().unwrap_or_default();
                let options = one["custom_field_options"].as_array().into_iter().flatten();
                let choices = options.filter_map(|option| option["value"].as_str().map(str::to_owned)).collect();
                let known = field(&format!("{}.{}", object.custom, text("key")), text("type"));
                let accepts = accepted(text("type"));
                fields.push(ObjectField { accepts, choices, writable: one["active"] != false, ..known });
            }
            after =
                page["meta"]["after_cursor"].as_str().filter(|_| page["meta"]["has_more"] == true).map(str::to_owned);
            if after.is_none() {
                return Ok(Some(ObjectSchema { fields }));
            }
        }
    }
}

/// The types of columns that fit a custom field of that type.
fn accepted(kind: &str) -> Vec<TypeClass> {
    match kind {
        "checkbox" => vec![TypeClass::Bool],
        "date" => vec![TypeClass::Date],
        "integer" => vec![TypeClass::Integer],
        "decimal" => vec![TypeClass::Integer, TypeClass::Decimal, TypeClass::Float],
        _ => Vec::new(),
    }
}

/// Whether scopes cover the one that is needed: without a resource a scope is of all resources, without an access
/// (`users`) of both.
fn covers(scopes: &[&str], needed: &str) -> bool {
    let (resource, access) = needed.split_once(':').unwrap_or(("", needed));
    scopes.iter().any(|scope| *scope == needed || *scope == access || *scope == resource)
}
