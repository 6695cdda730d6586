//! What each call does.

use backhaul_kit::json::{items, text};
use backhaul_kit::value::hex;
use md5::{Digest as _, Md5};
use serde_json::{Map, Value, json};

use super::account::{Account, Job};

const MAX_MEMBERS: usize = 500;
const MAX_OPERATIONS: usize = 1000;
const MAX_OPEN_JOBS: usize = 500;
const SEGMENT: &str = "123";
const STATUSES: [&str; 5] = ["subscribed", "unsubscribed", "cleaned", "pending", "transactional"];

/// A status and a body; null for none.
pub(super) type Said = (u16, Value);

/// Why a member is not written: the title or code, the field, and the words.
type Refusal = (&'static str, String, String);

/// A refused call.
pub(super) fn problem(status: u16, title: &str, detail: &str) -> Said {
    let kind = "https://mailchimp.com/developer/marketing/docs/errors/";
    (status, json!({ "type": kind, "title": title, "status": status, "detail": detail, "instance": "sandbox" }))
}

fn missing() -> Said {
    problem(404, "Resource Not Found", "The requested resource could not be found.")
}

fn id(address: &str) -> String {
    hex(&Md5::digest(address.to_lowercase()))
}

impl Account {
    /// Answers a call; `path` is below the API's root.
    pub(super) fn call(&mut self, method: &str, path: &[&str], body: &Value) -> Said {
        let (list, below) = match path {
            [] | [""] => {
                let (account, name) = ("sandbox0123456789", "Sandbox");
                return (200, json!({ "account_id": account, "account_name": name, "role": self.role }));
            }
            ["batches"] if method == "POST" => return self.start(body),
            ["batches", job] if method == "GET" => return self.job(job),
            ["lists", list, below @ ..] => (*list, below),
            _ => return missing(),
        };
        match (method, below) {
            _ if list != self.list => missing(),
            ("GET", []) => (200, json!({ "id": self.list, "name": "Sandbox" })),
            ("GET", ["merge-fields"]) => {
                let field = |(tag, kind): (&String, &String)| json!({ "tag": tag, "name": tag, "type": kind });
                let fields: Vec<Value> = self.merge_fields.iter().map(field).collect();
                (200, json!({ "list_id": list, "total_items": fields.len(), "merge_fields": fields }))
            }
            ("POST", []) => self.write_many(body),
            ("POST", ["segments", SEGMENT]) => self.change_segment(body),
            ("GET", ["members", id]) => self.members.get(*id).map_or_else(missing, |member| (200, member.clone())),
            ("PUT", ["members", key]) => match body["status_if_new"].as_str() {
                Some(_) if id(text(body, "email_address")) != *key => {
                    problem(400, "Invalid Resource", "another address")
                }
                Some(new) => self.one(body, new),
                None => problem(400, "Invalid Resource", "status_if_new is required"),
            },
            ("PATCH", ["members", key]) if self.members.contains_key(*key) => self.one(body, ""),
            ("DELETE", ["members", key]) => match self.members.get_mut(*key) {
                None => missing(),
                Some(member) if member["status"] == "archived" => {
                    problem(405, "Method Not Allowed", "This list member cannot be removed.")
                }
                Some(member) => {
                    member["status"] = json!("archived");
                    self.segment.remove(*key);
                    (204, Value::Null)
                }
            },
            ("POST", ["members", key, "actions", "delete-permanent"]) if self.members.remove(*key).is_some() => {
                self.segment.remove(*key);
                self.forgotten.insert((*key).to_owned());
                (204, Value::Null)
            }
            _ => missing(),
        }
    }

    fn one(&mut self, body: &Value, new: &str) -> Said {
        match self.write(body, new) {
            Ok(member) => (200, member),
            Err((title, field, message)) => {
                let (status, mut refused) = problem(400, title, "The resource submitted could not be validated.");
                refused["errors"] = json!([{ "field": field, "message": message }]);
                (status, refused)
            }
        }
    }

    /// Writes a member; `new` is the state of one that is not there.
    fn write(&mut self, sent: &Value, new: &str) -> Result<Value, Refusal> {
        let refuse = |title, field: &str, message: &str| Err((title, field.to_owned(), message.to_owned()));
        let address = text(sent, "email_address");
        let id = id(address);
        if !address.contains('@') || address.contains("fake") || self.common.rejects.picks(address) {
            return refuse("Invalid Resource", "email_address", "Please provide a valid email address.");
        }
        if self.forgotten.contains(&id) {
            return refuse("Forgotten Email Not Subscribed", "", "This contact was permanently deleted.");
        }
        for (tag, value) in sent["merge_fields"].as_object().unwrap_or(&Map::new()) {
            if !self.merge_fields.contains_key(tag) {
                return refuse("Invalid Resource", tag, "There is no such merge field.");
            }
            let is_address = self.merge_fields[tag] == "address";
            let fits = value.is_string() || value.is_number() || (is_address && value.is_object());
            if !fits || value.as_str().is_some_and(|text| self.common.rejects.has(tag, text)) {
                return refuse("Invalid Resource", tag, "This value is not valid.");
            }
        }
        let asked = sent["status"].as_str();
        if asked.is_some_and(|status| !STATUSES.contains(&status)) {
            return refuse("Invalid Resource", "status", "There is no such status.");
        }
        let there = self.members.get(&id).cloned();
        let status = match (there.as_ref().map(|member| text(member, "status")), asked) {
            (None, asked) => asked.unwrap_or(new).to_owned(),
            // Who unsubscribed comes back of their own will alone.
            (Some("unsubscribed"), Some("subscribed")) => String::from("unsubscribed"),
            (Some(was), asked) => asked.unwrap_or(was).to_owned(),
        };
        let mut member = there.unwrap_or_else(|| json!({ "merge_fields": {} }));
        for (name, value) in sent.as_object().unwrap_or(&Map::new()) {
            match (name.as_str(), value) {
                ("merge_fields", Value::Object(fields)) => fields.iter().for_each(|(tag, value)| {
                    member["merge_fields"][tag] = value.clone();
                }),
                ("status" | "status_if_new" | "tags", _) => {}
                _ => member[name] = value.clone(),
            }
        }
        member["id"] = json!(id);
        member["list_id"] = json!(self.list);
        member["status"] = json!(status);
        self.members.insert(id, member.clone());
        Ok(member)
    }

    fn write_many(&mut self, body: &Value) -> Said {
        let members: Vec<&Value> = items(&body["members"]).collect();
        if members.len() > MAX_MEMBERS {
            return problem(400, "Invalid Resource", "too many members");
        }
        let (mut new, mut updated, mut errors) = (Vec::new(), Vec::new(), Vec::new());
        for sent in members {
            let (address, key) = (text(sent, "email_address"), id(text(sent, "email_address")));
            let is_there = self.members.get(&key).is_some_and(|member| member["status"] != "archived");
            let mut refuse = |code: &str, field: &str, message: &str| {
                errors.push(json!({ "email_address": address, "error": message, "error_code": code, "field": field, "field_message": message }));
            };
            if is_there && body["update_existing"] != true {
                refuse("ERROR_CONTACT_EXISTS", "", "is already a list member");
                continue;
            }
            match self.write(sent, "") {
                Err((_, field, message)) => refuse("ERROR_GENERIC", &field, &message),
                Ok(mut member) => {
                    let tags = items(&sent["tags"]).map(|name| json!({ "name": name }));
                    let had = items(&member["tags"]).filter(|_| body["sync_tags"] != true).cloned();
                    member["tags"] = had.chain(tags).collect::<Value>();
                    self.members.insert(key, member.clone());
                    if is_there { &mut updated } else { &mut new }.push(member);
                }
            }
        }
        let counts = (new.len(), updated.len(), errors.len());
        let said = json!({
            "new_members": new, "updated_members": updated, "errors": errors,
            "total_created": counts.0, "total_updated": counts.1, "error_count": counts.2,
        });
        (200, said)
    }

    /// Addresses that are not on the list are passed over.
    fn change_segment(&mut self, body: &Value) -> Said {
        let lists = ["members_to_add", "members_to_remove"]
            .map(|name| items(&body[name]).filter_map(Value::as_str).map(id).collect::<Vec<_>>());
        if lists.iter().any(|list| list.len() > MAX_MEMBERS) {
            return problem(400, "Invalid Resource", "too many members");
        }
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        let [to_add, to_remove] = lists;
        for key in to_add {
            let member = self.members.get(&key).filter(|member| member["status"] != "archived");
            added.extend(member.filter(|_| self.segment.insert(key)).cloned());
        }
        for key in to_remove {
            let was_there = self.segment.remove(&key);
            removed.extend(self.members.get(&key).filter(|_| was_there).cloned());
        }
        let counts = (added.len(), removed.len());
        let said = json!({
            "members_added": added, "members_removed": removed, "errors": [],
            "total_added": counts.0, "total_removed": counts.1, "error_count": 0,
        });
        (200, said)
    }

    fn start(&mut self, body: &Value) -> Said {
        let operations: Vec<Value> = items(&body["operations"]).cloned().collect();
        let open = self.jobs.iter().filter(|job| job.done.is_none()).count();
        if operations.is_empty() || operations.len() > MAX_OPERATIONS {
            return problem(400, "Invalid Resource", "a batch has 1 to 1000 operations");
        }
        if open >= MAX_OPEN_JOBS {
            return problem(429, "Too Many Requests", "You have 500 pending batches.");
        }
        self.jobs.push(Job { operations, done: None });
        self.job(&self.jobs.len().to_string())
    }

    fn job(&self, id: &str) -> Said {
        let number: usize = id.parse().unwrap_or_default();
        let Some(job) = self.jobs.get(number.wrapping_sub(1)).filter(|_| number > self.forgot) else {
            return missing();
        };
        let failed = |done: &&Value| done["status_code"].as_u64().is_some_and(|status| status >= 400);
        let (done, open) = (job.done.as_deref().unwrap_or_default(), job.operations.len());
        let mut said = json!({
            "id": id, "status": if job.done.is_some() { "finished" } else { "started" },
            "total_operations": done.len() + open, "finished_operations": done.len(),
            "errored_operations": done.iter().filter(failed).count(), "submitted_at": "2026-01-01T00:00:00+00:00",
        });
        if job.done.is_some() {
            said["completed_at"] = json!("2026-01-01T00:00:01+00:00");
            said["response_body_url"] = json!(format!("{}/results/{id}.tar.gz", self.url));
        }
        (200, said)
    }

    /// Runs an operation of a job, and gives its result.
    pub(super) fn run(&mut self, operation: &Value) -> Value {
        let body = serde_json::from_str(text(operation, "body")).unwrap_or_default();
        let path: Vec<&str> = text(operation, "path").trim_start_matches('/').split('/').collect();
        let (status, said) = self.call(text(operation, "method"), &path, &body);
        let response = if said.is_null() { String::new() } else { said.to_string() };
        json!({ "status_code": status, "operation_id": operation["operation_id"], "response": response })
    }
}
