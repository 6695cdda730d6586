//! Which organisation it is, and what the app's user may do there. Nothing is written.

use backhaul_kit::http::Auth;
use backhaul_kit::json::{items, text};
use backhaul_kit::{AccountReport, Fault, Mode, ObjectField, ObjectSchema, Removed};
use reqwest::Method;
use serde_json::Value;

use super::send::SalesforceDestination;
use super::sync::ID;

/// Scopes that are no excess: the one that is needed, and those that only say who the token is of.
const HARMLESS: [&str; 5] = ["api", "id", "openid", "profile", "email"];

impl SalesforceDestination {
    /// The object, which is asked for once.
    async fn object(&self) -> Result<&Value, Fault> {
        let call = self.sync.account.call(Method::GET, &["sobjects", &self.sync.matched.object, "describe"])?;
        self.described.get_or_try_init(|| self.http.read(call)).await
    }

    /// Which organisation it is; which scopes and rights are missing, and which are more than the sync needs.
    pub(super) async fn account_report(&self) -> Result<AccountReport, Fault> {
        let whose = self.sync.account.http.call(Method::GET, &["services", "oauth2", "userinfo"])?;
        let user = self.http.read(whose).await?;
        let Auth::OAuth(tokens) = self.http.auth() else { return Err(Fault::bug("a client without access tokens")) };
        let organisation = user["organization_id"].as_str();
        let organisation = organisation.ok_or_else(|| Fault::transient("Salesforce does not say who it is"))?;
        let mut report = AccountReport {
            identity: format!("salesforce:{organisation}"),
            label: format!("Salesforce organisation {organisation} as {}", text(&user, "preferred_username")),
            unknowable: vec![String::from("whether the user may Modify or View All Data: see its permission sets")],
            grants: self.grants(),
            ..AccountReport::default()
        };
        match tokens.scope().await? {
            None => report.unknowable.push(String::from("the token's scopes: the answer did not name them")),
            Some(scopes) => {
                let scopes: Vec<&str> = scopes.split_whitespace().collect();
                let suffices = ["api", "full"].iter().any(|scope| scopes.contains(scope));
                report.missing.extend((!suffices).then(|| String::from("the OAuth scope api")));
                let more = scopes.iter().filter(|scope| !HARMLESS.contains(scope));
                report.excess.extend(more.map(|scope| format!("the OAuth scope {scope}")));
            }
        }
        // Who lacks the scope is told nothing of objects.
        if report.missing.is_empty() {
            let (object, name) = (self.object().await?, &self.sync.matched.object);
            for (right, mark, needed) in self.rights() {
                match (needed, object[mark] == true) {
                    (true, false) => report.missing.push(format!("{right} on {name}")),
                    (false, true) if right == "delete" => report.excess.push(format!("{right} on {name}")),
                    _ => {}
                }
            }
            // A field that nobody can write, or that is not there, is told with the fields of the configuration.
            let is_open = |field: &Value| field["permissionable"] != true || field["calculated"] == true;
            let closed = items(&object["fields"]).filter(|field| !is_open(field) && !self.writes(field));
            let names = closed.map(|field| text(field, "name"));
            let mapped = names.filter(|name| self.sync.fields.iter().any(|field| field == name));
            report.missing.extend(mapped.map(|field| format!("edit on {name}.{field}")));
        }
        Ok(report)
    }

    /// The object's fields.
    pub(super) async fn object_schema(&self) -> Result<ObjectSchema, Fault> {
        let field = |field: &Value| {
            let (is_id, choices) = (field["name"] == ID, items(&field["picklistValues"]));
            ObjectField {
                choices: choices.filter(|one| one["active"] == true).map(|one| text(one, "value").to_owned()).collect(),
                // Its own id finds a record and is not written.
                writable: self.writes(field) || (is_id && self.sync.by_id()),
                unique: field["externalId"] == true || is_id,
                // Salesforce judges each value.
                ..ObjectField::new(text(field, "name"), text(field, "type"))
            }
        };
        Ok(ObjectSchema { fields: items(&self.object().await?["fields"]).map(field).collect() })
    }

    /// Whether the sync can write a field whenever it has to.
    fn writes(&self, field: &Value) -> bool {
        self.rights()[..2].iter().all(|(_, mark, needed)| !needed || field[*mark] == true)
    }

    /// The rights on the object, by what marks them there and at its fields, and whether the sync needs each.
    fn rights(&self) -> [(&'static str, &'static str, bool); 3] {
        let (mode, removed) = (self.sync.mode, self.sync.removed);
        [
            ("create", "createable", mode != Mode::Update),
            ("edit", "updateable", mode != Mode::Create || removed == Removed::Clear),
            ("delete", "deletable", removed == Removed::Delete),
        ]
    }

    /// The smallest grant.
    fn grants(&self) -> Vec<String> {
        let name = &self.sync.matched.object;
        let needed = self.rights().into_iter().filter_map(|(right, _, needed)| needed.then_some(right));
        let rights: Vec<&str> = ["read"].into_iter().chain(needed).collect();
        let fields = self.sync.fields.iter().filter(|field| *field != ID).map(|field| format!("{name}.{field}"));
        vec![
            String::from("external client app: OAuth scope api;"),
            String::from("its user: licence Salesforce Integration, profile Minimum Access - API Only Integrations;"),
            format!("one permission set: {} on {name};", rights.join(", ")),
            format!("field-level edit on {}.", fields.collect::<Vec<_>>().join(", ")),
        ]
    }
}
