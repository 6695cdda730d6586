//! The calls of the stand-in.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use serde_json::{Value, json};

use super::Shared;
use super::project::{Refusal, Settings};

/// Records in a call.
const MAX_RECORDS: usize = 2000;
/// Bytes of a call.
const MAX_BYTES: usize = 10 << 20;

pub(super) fn router(shared: Shared) -> Router {
    let calls = Router::new()
        .route("/import", post(import))
        .route("/engage", post(engage))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), gate));
    calls.layer(DefaultBodyLimit::max(2 * MAX_BYTES)).with_state(shared)
}

/// What is around every call.
async fn gate(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    shared.lock().calls += 1;
    let latency = shared.lock().settings.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    next.run(request).await
}

/// The refusal that a call gets on demand.
fn fault(settings: &mut Settings) -> Option<Response> {
    if take(&mut settings.throttle_next) {
        let message = "Project exceeded rate limits. Please retry the request with exponential backoff.";
        let mut response = refusal(429, message, "Too Many Requests");
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(settings.retry_after));
        return Some(response);
    }
    take(&mut settings.fail_next).then(|| refusal(500, "internal error", "Internal Server Error"))
}

/// An answer, or its loss on demand.
fn answer(settings: &mut Settings, response: Response) -> Response {
    if !take(&mut settings.lose_next) {
        return response;
    }
    // A body that fails before its first byte: the connection ends without an answer.
    let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Response::new(Body::from_stream(stream::once(async { Err::<Bytes, _>(lost) })))
}

fn take(counter: &mut u64) -> bool {
    let left = *counter > 0;
    *counter = counter.saturating_sub(1);
    left
}

async fn import(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut project = shared.lock();
    let wanted = format!("Basic {}", STANDARD.encode(format!("{}:", project.settings.token)));
    let is_known = headers.get(header::AUTHORIZATION).is_some_and(|got| got.as_bytes() == wanted.as_bytes());
    if !is_known || project.settings.expires == 1 {
        return refusal(401, "Invalid credentials", "Unauthorized");
    }
    let Ok(events) = serde_json::from_slice::<Vec<Value>>(&body) else {
        return refusal(400, "request body is not a JSON array", "Bad Request");
    };
    if body.len() > MAX_BYTES || events.len() > MAX_RECORDS {
        return refusal(413, "request exceeds max limit", "Request Entity Too Large");
    }
    let judged: Vec<_> = events.iter().map(|event| project.judge(event)).collect();
    if judged.iter().all(Result::is_err) {
        return imported(&events, judged);
    }
    if let Some(fault) = fault(&mut project.settings) {
        return fault;
    }
    project.settings.expires = project.settings.expires.saturating_sub(1);
    for (event, identity) in events.iter().zip(&judged) {
        if let Ok(identity) = identity {
            project.import(identity.clone(), event.clone());
        }
    }
    answer(&mut project.settings, imported(&events, judged))
}

/// The answer of `/import`.
fn imported(events: &[Value], judged: Vec<Result<[String; 4], Refusal>>) -> Response {
    let mut failed = Vec::new();
    for (index, refusal) in judged.into_iter().enumerate() {
        if let Err((field, message)) = refusal {
            let insert_id = events[index]["properties"]["$insert_id"].as_str().unwrap_or_default();
            failed.push(json!({ "index": index, "insert_id": insert_id, "field": field, "message": message }));
        }
    }
    let imported = events.len() - failed.len();
    if failed.is_empty() {
        return respond(200, &json!({ "code": 200, "num_records_imported": imported, "status": "OK" }));
    }
    let error = "some data points in the request failed validation";
    let answer = json!({
        "code": 400, "error": error, "failed_records": failed, "num_records_imported": imported, "status": "Bad Request",
    });
    respond(400, &answer)
}

async fn engage(State(shared): State<Shared>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    let verbose = query.is_some_and(|query| query.split('&').any(|pair| pair == "verbose=1"));
    let said = |error: Option<String>| {
        let status = i32::from(error.is_none());
        match (verbose, error) {
            (false, _) => respond(200, &json!(status)),
            (true, None) => respond(200, &json!({ "status": status })),
            (true, Some(error)) => respond(200, &json!({ "status": status, "error": error })),
        }
    };
    let Ok(updates) = serde_json::from_slice::<Vec<Value>>(&body) else {
        return said(Some(String::from("data, missing or empty")));
    };
    if updates.len() > MAX_RECORDS {
        return refusal(413, "request exceeds max limit", "Request Entity Too Large");
    }
    let mut project = shared.lock();
    if let Some(fault) = fault(&mut project.settings) {
        return fault;
    }
    let outcomes: Vec<_> = updates.iter().map(|update| project.update(update)).collect();
    // One valid record is enough.
    let error = outcomes.iter().all(Result::is_err).then(|| outcomes.into_iter().find_map(Result::err)).flatten();
    answer(&mut project.settings, said(error.map(|(_, message)| message)))
}

fn refusal(code: u16, error: &str, status: &str) -> Response {
    respond(code, &json!({ "code": code, "error": error, "status": status }))
}

fn respond(status: u16, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
