//! The calls of the stand-in.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, RawQuery, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use serde_json::{Value, json};

use super::Shared;

/// Records in a call.
const MAX_RECORDS: usize = 2000;
/// Bytes of a call.
const MAX_BYTES: usize = 10 << 20;

pub(super) fn router(shared: Shared) -> Router {
    let calls = Router::new()
        .route("/import", post(import))
        .route("/engage", post(engage))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), gate));
    calls.route("/sandbox/records", get(records)).layer(DefaultBodyLimit::max(2 * MAX_BYTES)).with_state(shared)
}

/// Faults on demand, before and after a call.
async fn gate(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let latency = shared.lock().settings.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let lost = {
        let mut project = shared.lock();
        project.calls += 1;
        let settings = &mut project.settings;
        if take(&mut settings.throttle_next) {
            let message = "Project exceeded rate limits. Please retry the request with exponential backoff.";
            let mut response = refusal(429, message, "Too Many Requests");
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(settings.retry_after));
            return response;
        }
        if take(&mut settings.fail_next) {
            return refusal(500, "internal error", "Internal Server Error");
        }
        take(&mut settings.lose_next)
    };
    let response = next.run(request).await;
    if lost {
        // A body that fails before its first byte: the connection ends without an answer.
        let lost = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        return Response::new(Body::from_stream(stream::once(async { Err::<Bytes, _>(lost) })));
    }
    response
}

fn take(counter: &mut u64) -> bool {
    let left = *counter > 0;
    *counter = counter.saturating_sub(1);
    left
}

async fn import(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut project = shared.lock();
    let wanted = format!("Basic {}", STANDARD.encode(format!("{}:", project.settings.token)));
    if headers.get(header::AUTHORIZATION).is_none_or(|got| got.as_bytes() != wanted.as_bytes()) {
        return refusal(401, "Invalid credentials", "Unauthorized");
    }
    let Ok(events) = serde_json::from_slice::<Vec<Value>>(&body) else {
        return refusal(400, "request body is not a JSON array", "Bad Request");
    };
    if body.len() > MAX_BYTES || events.len() > MAX_RECORDS {
        return refusal(413, "request exceeds max limit", "Request Entity Too Large");
    }
    let mut failed = Vec::new();
    for (index, event) in events.iter().enumerate() {
        if let Err((field, message)) = project.import(event) {
            let insert_id = event["properties"]["$insert_id"].as_str().unwrap_or_default();
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
    let outcomes: Vec<_> = updates.iter().map(|update| project.update(update)).collect();
    // One valid record is enough.
    let error = outcomes.iter().all(Result::is_err).then(|| outcomes.into_iter().find_map(Result::err)).flatten();
    said(error.map(|(_, message)| message))
}

async fn records(State(shared): State<Shared>) -> Response {
    respond(200, &shared.lock().records())
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
