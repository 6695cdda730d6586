//! The calls of the stand-in, and what stands before each: the credential, its scopes, the limit, faults on demand.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, Uri, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::Shared;
use super::desk::{Desk, Task};
use crate::destinations::stand_in::{json as answer, lost_answer, take};

/// Records in a call.
const MAX_ROWS: usize = 100;

/// Status and body; both arms are answers.
type Said = Result<(u16, Value), (u16, Value)>;

/// All calls.
pub(super) fn router(shared: Shared) -> Router {
    Router::new().fallback(call).with_state(shared)
}

async fn call(
    State(shared): State<Shared>,
    method: Method,
    uri: Uri,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let latency = shared.lock().settings.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let desk = &mut *shared.lock();
    desk.calls += 1;
    desk.work();
    let path: Vec<&str> = uri.path().strip_prefix("/api/v2/").unwrap_or_default().split('/').collect();
    let writes = method != Method::GET;
    let passed = pass(desk, &headers, &path, writes);
    let lost = passed.is_ok() && writes && take(&mut desk.settings.lose_next);
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let said = passed
        .and_then(|()| if writes { write(desk, &method, &path, &query, &body) } else { read(desk, &path, &query) });
    if lost {
        return lost_answer();
    }
    let (status, body) = said.unwrap_or_else(|refused| refused);
    let mut response = answer(status, &body);
    let mut set = |name: &'static str, value: String| {
        // Numbers and signs: every one is a header.
        let value = HeaderValue::from_str(&value).unwrap_or(HeaderValue::from_static(""));
        response.headers_mut().insert(name, value);
    };
    let (settings, window) = (&desk.settings, &desk.window);
    if window.cap() > 0 {
        set("x-rate-limit", window.cap().to_string());
        set("x-rate-limit-remaining", window.left().to_string());
        set("ratelimit-reset", (window.resets().as_secs() + 1).to_string());
    }
    if writes {
        let (total, open) = (settings.max_jobs, desk.open_jobs());
        let left = total.saturating_sub(open);
        set("zendesk-ratelimit-inflight-jobs", format!("total={total}; remaining={left}; resets={}", settings.resets));
    }
    if status == 429 {
        set("retry-after", settings.resets.to_string());
    }
    response
}

/// Lets a call through.
fn pass(desk: &mut Desk, headers: &HeaderMap, path: &[&str], writes: bool) -> Result<(), (u16, Value)> {
    let settings = &mut desk.settings;
    let credential = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let basic = credential.strip_prefix("Basic ").and_then(|pair| String::from_utf8(STANDARD.decode(pair).ok()?).ok());
    let by_token = credential.strip_prefix("Bearer ") == Some(settings.token.as_str());
    if !by_token && !basic.is_some_and(|pair| pair.ends_with(&format!("/token:{}", settings.token))) {
        return Err((401, json!({ "error": "Couldn't authenticate you" })));
    }
    let (resource, access) = if writes { (path[0], "write") } else { ("", "read") };
    let has = |scope: &str| settings.scopes.iter().any(|own| own == scope);
    if by_token && path[0] != "oauth" && !has(access) && !has(&format!("{resource}:{access}")) {
        let body = json!({ "error": "Forbidden", "description": "You are missing the following required scopes" });
        return Err((403, body));
    }
    let full = !desk.window.admit();
    if full || writes && take(&mut settings.throttle_next) {
        return Err((429, json!({ "errors": [{ "code": "TooManyRequests", "title": "Too Many Requests" }] })));
    }
    if writes && take(&mut settings.fail_next) {
        return Err((500, json!({ "error": { "title": "Internal error", "message": "An internal error occurred" } })));
    }
    Ok(())
}

fn read(desk: &Desk, path: &[&str], query: &HashMap<String, String>) -> Said {
    let settings = &desk.settings;
    Ok((
        200,
        match path {
            ["users", "me"] => json!({ "user": { "id": 1, "name": "Sandbox", "role": settings.role } }),
            ["oauth", "tokens", "current"] => json!({ "token": { "user_id": 1, "scopes": settings.scopes } }),
            ["job_statuses", id] => job(desk, id.parse().unwrap_or(usize::MAX))?,
            [list @ ("user_fields" | "organization_fields")] => {
                // One on a page.
                let at: usize = query.get("page[after]").and_then(|after| after.parse().ok()).unwrap_or(0);
                let field = |key: &String| json!({ "key": key, "type": "text", "active": true });
                let page: Vec<Value> = settings.fields.iter().skip(at).take(1).map(field).collect();
                let meta = json!({ "has_more": at + 1 < settings.fields.len(), "after_cursor": (at + 1).to_string() });
                json!({ *list: page, "meta": meta })
            }
            [object, "show_many"] => {
                let wanted: Vec<String> =
                    query.get("external_ids").map_or("", String::as_str).split(',').map(str::to_lowercase).collect();
                let named = |record: &Value| {
                    record["external_id"].as_str().is_some_and(|id| wanted.contains(&id.to_lowercase()))
                };
                let records = desk.records.get(*object).into_iter().flatten().filter(|(_, record)| named(record));
                let found: Vec<Value> =
                    records.map(|(id, record)| json!({ "id": id, "external_id": record["external_id"] })).collect();
                json!({ *object: found })
            }
            _ => return Err(no_such_call()),
        },
    ))
}

fn write(desk: &mut Desk, method: &Method, path: &[&str], query: &HashMap<String, String>, body: &Value) -> Said {
    let (object, task) = match (method.as_str(), path) {
        ("POST", ["organizations", "create_or_update"]) => return organization(desk, &body["organization"]),
        ("POST", ["users", "create_or_update_many"]) => ("users", Task::Upsert),
        ("PUT", [object @ ("users" | "organizations" | "tickets"), "update_many"]) => (*object, Task::Update),
        ("DELETE", [object @ ("users" | "organizations"), "destroy_many"]) => (*object, Task::Delete),
        _ => return Err(no_such_call()),
    };
    if task == Task::Upsert && !desk.settings.imports {
        return Err((403, json!({ "error": "Forbidden", "message": "Data imports are not enabled" })));
    }
    if desk.open_jobs() >= desk.settings.max_jobs {
        let description = "The maximum number of jobs is queued or running";
        return Err((429, json!({ "error": "TooManyJobs", "description": description, "current_job_ids": [] })));
    }
    let rows: Vec<Value> = match task {
        Task::Delete => {
            let ids = query.get("ids").map_or("", String::as_str).split(',');
            ids.filter_map(|id| id.parse::<u64>().ok()).map(|id| json!({ "id": id })).collect()
        }
        _ => body[object].as_array().cloned().unwrap_or_default(),
    };
    if rows.is_empty() || rows.len() > MAX_ROWS {
        return Err((422, json!({ "error": "TooManyValues", "description": "1 to 100 records are taken" })));
    }
    let number = desk.begin(object, task, rows);
    Ok((200, job_status(desk, number)))
}

fn organization(desk: &mut Desk, row: &Value) -> Said {
    match desk.apply("organizations", Task::Upsert, row) {
        Ok((id, created)) => {
            let body = json!({ "organization": { "id": id, "external_id": row["external_id"], "name": row["name"] } });
            Ok((if created { 201 } else { 200 }, body))
        }
        Err((_, text)) => {
            let details = json!({ "base": [{ "description": text, "error": "InvalidValue" }] });
            let description = "Record validation errors";
            Err((422, json!({ "error": "RecordInvalid", "description": description, "details": details })))
        }
    }
}

fn job(desk: &Desk, number: usize) -> Result<Value, (u16, Value)> {
    let known = desk.jobs.get(number).is_some_and(|job| !job.forgotten);
    let missing = || (404, json!({ "error": "RecordNotFound", "description": "Not found" }));
    known.then(|| job_status(desk, number)).ok_or_else(missing)
}

fn job_status(desk: &Desk, number: usize) -> Value {
    let job = &desk.jobs[number];
    let status = if job.status == "failing" { "working" } else { job.status };
    json!({ "job_status": { "id": number.to_string(), "status": status, "results": job.results } })
}

fn no_such_call() -> (u16, Value) {
    (404, json!({ "error": "InvalidEndpoint", "description": "Not found" }))
}
