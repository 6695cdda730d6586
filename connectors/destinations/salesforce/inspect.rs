//! Which organisation it is, and what the app's user may do there. Nothing is written.

use backhaul_kit::http::Auth;
use backhaul_kit::{AccountReport, Fault, Mode, ObjectField, ObjectSchema, Removed, TypeClass};
use reqwest::Method;

use super::send::SalesforceDestination;
use super::sync::ID;
use super::wire::{Described, DescribedField, UserInfo};

/// Scopes that are no excess: the one that is needed, and those that only say who the token is of.
const HARMLESS: [&str; 5] = ["api", "id", "openid", "profile", "email"];
const NUMBERS: [&str; 5] = ["int", "long", "double", "currency", "percent"];

impl Described {
    /// Whether the object has such a field that holds numbers.
    pub(super) fn is_number(&self, name: &str) -> bool {
        self.fields.iter().any(|field| field.name == name && NUMBERS.contains(&field.kind.as_str()))
    }
}

impl SalesforceDestination {
    /// The object, which is asked for once.
    async fn object(&self) -> Result<&Described, Fault> {
        let call = self.sync.account.call(Method::GET, &["sobjects", &self.sync.object, "describe"])?;
        self.described.get_or_try_init(|| self.read(call)).await
    }

    /// Which organisation it is; which scopes and rights are missing, and which are more than the sync needs.
    pub(super) async fn account_report(&self) -> Result<AccountReport, Fault> {
        let user: UserInfo = self.read(self.sync.account.oauth_call("userinfo")?).await?;
        let Auth::OAuth(tokens) = self.http.auth() else { return Err(Fault::bug("a client without access tokens")) };
        let (mut missing, mut excess) = (Vec::new(), Vec::new());
        let mut unknowable =
            vec![String::from("whether the user may Modify or View All Data: see its permission sets")];
        match tokens.scope().await? {
            None => unknowable.push(String::from("the token's scopes: the answer did not name them")),
            Some(scopes) => {
                let scopes: Vec<&str> = scopes.split_whitespace().collect();
                if !scopes.contains(&"api") && !scopes.contains(&"full") {
                    missing.push(String::from("the OAuth scope api"));
                }
                let more = scopes.iter().filter(|scope| !HARMLESS.contains(scope));
                excess.extend(more.map(|scope| format!("the OAuth scope {scope}")));
            }
        }
        // Who lacks the scope is told nothing of objects.
        if missing.is_empty() {
            let (object, name) = (self.object().await?, &self.sync.object);
            let has = [object.createable, object.updateable, object.deletable];
            for ((right, needed), has) in self.rights().into_iter().zip(has) {
                match (needed, has) {
                    (true, false) => missing.push(format!("{right} on {name}")),
                    (false, true) if right == "delete" => excess.push(format!("{right} on {name}")),
                    _ => {}
                }
            }
            // A field that nobody can write, or that is not there, is told with the fields of the configuration.
            let closed = |field: &&DescribedField| field.permissionable && !field.calculated && !self.writes(field);
            let mapped = object.fields.iter().filter(|field| self.sync.fields.contains(&field.name));
            missing.extend(mapped.filter(closed).map(|field| format!("edit on {name}.{}", field.name)));
        }
        let identity = format!("salesforce:{}", user.organization_id);
        let label = format!("Salesforce organisation {} as {}", user.organization_id, user.preferred_username);
        Ok(AccountReport { identity, label, missing, excess, unknowable, grants: self.grants() })
    }

    /// The object's fields.
    pub(super) async fn object_schema(&self) -> Result<ObjectSchema, Fault> {
        let field = |field: &DescribedField| ObjectField {
            name: field.name.clone(),
            native: field.kind.clone(),
            // Salesforce judges each value.
            accepts: vec![TypeClass::Any],
            choices: field.picklist_values.iter().filter(|one| one.active).map(|one| one.value.clone()).collect(),
            // Its own id finds a record and is not written.
            writable: self.writes(field) || (field.name == ID && self.sync.by_id()),
            unique: field.external_id || field.name == ID,
        };
        Ok(ObjectSchema { fields: self.object().await?.fields.iter().map(field).collect() })
    }

    fn creates(&self) -> bool {
        matches!(self.sync.mode, Mode::Upsert | Mode::Create)
    }

    fn edits(&self) -> bool {
        self.sync.mode != Mode::Create || self.sync.removed == Removed::Clear
    }

    /// Whether the sync can write a field whenever it has to.
    fn writes(&self, field: &DescribedField) -> bool {
        (field.createable || !self.creates()) && (field.updateable || !self.edits())
    }

    /// The rights on the object, and whether the sync needs each.
    fn rights(&self) -> [(&'static str, bool); 3] {
        let deletes = self.sync.removed == Removed::Delete;
        // A permission set gives the right to delete with that to edit only.
        [("create", self.creates()), ("edit", self.edits() || deletes), ("delete", deletes)]
    }

    /// The smallest grant.
    fn grants(&self) -> Vec<String> {
        let name = &self.sync.object;
        let needed = self.rights().into_iter().filter_map(|(right, needed)| needed.then_some(right));
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
