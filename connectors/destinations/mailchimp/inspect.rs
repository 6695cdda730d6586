//! Whose credential it is, and which fields the list has. Nothing is written.

use backhaul_kit::{AccountReport, Fault, ObjectField, ObjectSchema};
use reqwest::Method;
use serde_json::Value;

use super::member::Call;
use super::send::MailchimpDestination;
use super::sync::{ADDRESS, root};

/// The parts of an address.
const PARTS: [&str; 6] = ["addr1", "addr2", "city", "state", "zip", "country"];

impl MailchimpDestination {
    /// Which account it is, in which role, and whether it has the list.
    pub(super) async fn account_report(&self) -> Result<AccountReport, Fault> {
        let account = self.read("", "account_id,account_name,role").await?;
        self.read(&format!("lists/{}", self.sync.list), "id").await?;
        let text = |name: &str| account[name].as_str().unwrap_or_default().to_owned();
        if text("account_id").is_empty() {
            return Err(Fault::transient("Mailchimp's answer names no account"));
        }
        let wide = ["owner", "admin"].contains(&text("role").to_lowercase().as_str());
        let excess = wide.then(|| format!("all of the account: it is of a user whose role is {}", text("role")));
        Ok(AccountReport {
            identity: format!("mailchimp:{}", text("account_id")),
            label: text("account_name"),
            excess: excess.into_iter().collect(),
            unknowable: vec![String::from("what it may do: Mailchimp has no scopes, and tells no rights of a role")],
            grants: vec![String::from("a key of a user with a restricted role, who may write the audience's contacts")],
            ..AccountReport::default()
        })
    }

    /// The list's merge fields, and the other fields of the sync, which are the same for all lists.
    pub(super) async fn object_schema(&self) -> Result<Option<ObjectSchema>, Fault> {
        if self.sync.segment.is_some() {
            return Ok(None);
        }
        let path = format!("lists/{}/merge-fields", self.sync.list);
        let list = self.read(&path, "merge_fields.tag,merge_fields.type").await?;
        let fixed = self.sync.targets.iter().filter(|target| root(target) != "merge_fields");
        let mut fields: Vec<ObjectField> = fixed.map(|name| field(name.clone(), "")).collect();
        for merge in list["merge_fields"].as_array().into_iter().flatten() {
            let (name, kind) = (merge["tag"].as_str().unwrap_or_default(), merge["type"].as_str().unwrap_or_default());
            let parts = PARTS.iter().filter(|_| kind == "address");
            fields.extend(parts.map(|part| field(format!("merge_fields.{name}.{part}"), "text")));
            fields.push(field(format!("merge_fields.{name}"), kind));
        }
        Ok(Some(ObjectSchema { fields }))
    }

    async fn read(&self, path: &str, fields: &str) -> Result<Value, Fault> {
        let mut request = self.request(Call { method: Method::GET, path: path.to_owned(), body: Vec::new() })?;
        // Ten are on a page, where nothing is said.
        request.url.query_pairs_mut().append_pair("fields", fields).append_pair("count", "1000");
        self.http.read(request).await
    }
}

fn field(name: String, native: &str) -> ObjectField {
    ObjectField { unique: name == ADDRESS, ..ObjectField::new(name, native) }
}
