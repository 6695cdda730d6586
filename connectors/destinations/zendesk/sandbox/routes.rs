//! The calls of the stand-in.

use backhaul_kit::json::items;
use serde_json::{Value, json};

use super::desk::{Desk, Task};
use crate::destinations::stand_in::Call;

/// Records in a call.
const MAX_ROWS: usize = 100;

/// Status and body; both arms are answers.
type Said = Result<(u16, Value), (u16, Value)>;

impl Desk {
    pub(super) fn call(&mut self, call: &Call<'_>) -> Said {
        let ["api", "v2", path @ ..] = call.path else { return Err(no_such_call()) };
        let ok = |body: Value| Ok((200, body));
        let (object, task) = match (call.method, path) {
            ("GET", ["users", "me"]) => {
                return ok(json!({ "user": { "id": 1, "name": "Sandbox", "role": self.role } }));
            }
            ("GET", ["oauth", "tokens", "current"]) => {
                return ok(json!({ "token": { "user_id": 1, "scopes": self.scopes } }));
            }
            ("GET", ["job_statuses", id]) => return self.job(id.parse().unwrap_or(usize::MAX)),
            ("GET", [list @ ("user_fields" | "organization_fields")]) => {
                // One on a page.
                let at: usize = call.query("page[after]").and_then(|after| after.parse().ok()).unwrap_or(0);
                let field = |key: &String| json!({ "key": key, "type": "text", "active": true });
                let page: Vec<Value> = self.fields.iter().skip(at).take(1).map(field).collect();
                let meta = json!({ "has_more": at + 1 < self.fields.len(), "after_cursor": (at + 1).to_string() });
                return ok(json!({ *list: page, "meta": meta }));
            }
            ("GET", [object, "show_many"]) => return ok(self.show(object, call.query("external_ids"))),
            ("POST", ["organizations", "create_or_update"]) => return self.organization(&call.json()["organization"]),
            ("POST", ["users", "create_or_update_many"]) => ("users", Task::Upsert),
            ("PUT", [object @ ("users" | "organizations" | "tickets"), "update_many"]) => (*object, Task::Update),
            ("DELETE", [object @ ("users" | "organizations"), "destroy_many"]) => (*object, Task::Delete),
            _ => return Err(no_such_call()),
        };
        if task == Task::Upsert && !self.imports {
            return Err((403, json!({ "error": "Forbidden", "message": "Data imports are not enabled" })));
        }
        if self.open_jobs() >= self.max_jobs {
            let description = "The maximum number of jobs is queued or running";
            return Err((429, json!({ "error": "TooManyJobs", "description": description, "current_job_ids": [] })));
        }
        let rows: Vec<Value> = match task {
            Task::Delete => {
                let ids = call.query("ids").unwrap_or_default().split(',');
                ids.filter_map(|id| id.parse::<u64>().ok()).map(|id| json!({ "id": id })).collect()
            }
            _ => items(&call.json()[object]).cloned().collect(),
        };
        if rows.is_empty() || rows.len() > MAX_ROWS {
            return Err((422, json!({ "error": "TooManyValues", "description": "1 to 100 records are taken" })));
        }
        let number = self.begin(object, task, rows);
        Ok((200, self.status(number)))
    }

    /// The records that have these external ids.
    fn show(&self, object: &str, ids: Option<&str>) -> Value {
        let wanted: Vec<String> = ids.unwrap_or_default().split(',').map(str::to_lowercase).collect();
        let named =
            |record: &Value| record["external_id"].as_str().is_some_and(|id| wanted.contains(&id.to_lowercase()));
        let records = self.records.get(object).into_iter().flatten().filter(|(_, record)| named(record));
        let found: Vec<Value> =
            records.map(|(id, record)| json!({ "id": id, "external_id": record["external_id"] })).collect();
        json!({ object: found })
    }

    fn organization(&mut self, row: &Value) -> Said {
        match self.apply("organizations", Task::Upsert, row) {
            Ok((id, created)) => {
                let body = json!({ "id": id, "external_id": row["external_id"], "name": row["name"] });
                Ok((if created { 201 } else { 200 }, json!({ "organization": body })))
            }
            Err((_, text)) => {
                let details = json!({ "base": [{ "description": text, "error": "InvalidValue" }] });
                let description = "Record validation errors";
                Err((422, json!({ "error": "RecordInvalid", "description": description, "details": details })))
            }
        }
    }

    fn job(&self, number: usize) -> Said {
        match self.jobs.get(number).filter(|job| !job.forgotten) {
            Some(_) => Ok((200, self.status(number))),
            None => Err((404, json!({ "error": "RecordNotFound", "description": "Not found" }))),
        }
    }

    fn status(&self, number: usize) -> Value {
        let job = &self.jobs[number];
        let status = if job.status == "failing" { "working" } else { job.status };
        json!({ "job_status": { "id": number.to_string(), "status": status, "results": job.results } })
    }
}

fn no_such_call() -> (u16, Value) {
    (404, json!({ "error": "InvalidEndpoint", "description": "Not found" }))
}
