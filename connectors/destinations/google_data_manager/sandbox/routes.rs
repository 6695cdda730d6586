//! The calls of the stand-in, and what stands before each: the token, its scope, the quota, faults on demand.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Query, Request, State as Of};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::{Value, json};

use super::{Shared, State, lists, tokens};
use crate::destinations::google_data_manager::account::SCOPE;
use crate::destinations::stand_in::{json as answer, lost_answer, take};

/// Seconds that a 429 asks to wait.
const RETRY_AFTER: u64 = 1;
const MAX_BYTES: usize = 64 << 20;

type Params = HashMap<String, String>;

pub(super) fn router(shared: Shared) -> Router {
    let calls = Router::new()
        .route("/v1/audienceMembers:ingest", post(ingest))
        .route("/v1/audienceMembers:remove", post(remove))
        .route("/v1/requestStatus:retrieve", get(status))
        .layer(from_fn_with_state(shared.clone(), gate));
    calls
        .route("/token", post(token))
        .route("/tokeninfo", post(tokeninfo))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .with_state(shared)
}

/// An error in Google's form.
fn error(status: u16, code: &str, details: Value) -> Response {
    let canonical = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        429 => "RESOURCE_EXHAUSTED",
        _ => "INTERNAL",
    };
    let mut all = vec![json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": code, "domain": "datamanager.googleapis.com"
    })];
    match details {
        Value::Object(metadata) => all[0]["metadata"] = metadata.into(),
        Value::Array(violations) => all.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": violations
        })),
        _ => {}
    }
    let words = format!("the stand-in refused the request: {code}");
    answer(status, &json!({ "error": { "code": status, "message": words, "status": canonical, "details": all } }))
}

fn violation(field: &str, reason: &str, words: &str) -> Value {
    json!({ "field": field, "reason": reason, "description": words })
}

/// What is around every call of the API.
async fn gate(Of(shared): Of<Shared>, headers: HeaderMap, request: Request, next: Next) -> Response {
    let latency = shared.lock().settings.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let refused = {
        let state = &mut *shared.lock();
        state.calls += 1;
        let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        match token.and_then(|token| state.tokens.scopes(token)) {
            None => Some(error(401, "ACCESS_TOKEN_INVALID", Value::Null)),
            Some(scopes) if !scopes.split(' ').any(|scope| scope == SCOPE) => {
                Some(error(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Value::Null))
            }
            Some(_) => {
                let full = !state.window.admit();
                full.then(|| error(429, "RESOURCE_EXHAUSTED", json!({ "quota_limit": "RequestsPerMinutePerProject" })))
            }
        }
    };
    match refused {
        Some(refused) => refused,
        None => next.run(request).await,
    }
}

async fn ingest(Of(shared): Of<Shared>, body: Bytes) -> Response {
    write(&mut shared.lock(), true, &body)
}

async fn remove(Of(shared): Of<Shared>, body: Bytes) -> Response {
    write(&mut shared.lock(), false, &body)
}

fn write(state: &mut State, adds: bool, body: &[u8]) -> Response {
    let settings = &mut state.settings;
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return error(400, "INVALID_ARGUMENT", Value::Null) };
    let (destination, none) = (&body["destinations"][0], Vec::new());
    let members = body["audienceMembers"].as_array().unwrap_or(&none);
    if destination["operatingAccount"]["accountId"] != settings.account.as_str() {
        return error(403, "PERMISSION_DENIED", Value::Null);
    }
    if destination["productDestinationId"] != settings.audience.as_str() {
        let what = violation("destinations[0].product_destination_id", "INVALID_USER_LIST_ID", "no such list");
        return error(400, "INVALID_USER_LIST_ID", json!([what]));
    }
    let accepts = body["termsOfService"]["customerMatchTermsOfServiceStatus"] == "ACCEPTED";
    if adds && !(settings.terms && accepts) {
        return error(400, "TERMS_AND_CONDITIONS_NOT_SIGNED", Value::Null);
    }
    if lists::too_many(members) {
        return error(400, "TOO_MANY_AUDIENCE_MEMBERS", Value::Null);
    }
    let wrong = lists::judge(members, settings);
    if members.is_empty() || body["encoding"] != "HEX" {
        return error(400, "REQUIRED_FIELD_MISSING", Value::Null);
    }
    if let Some((_, (_, reason, _))) = wrong.first() {
        let fields = wrong.iter().map(|(place, (field, reason, words))| {
            violation(&format!("audience_members[{place}].{field}"), reason, words)
        });
        return error(400, reason, fields.collect());
    }
    if body["validateOnly"] == true {
        return answer(200, &json!({}));
    }
    if take(&mut settings.throttle_next) {
        let mut refused = error(429, "RESOURCE_EXHAUSTED", json!({ "quota_limit": "RequestsPerMinutePerProject" }));
        refused.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
        return refused;
    }
    if take(&mut settings.fail_next) {
        return error(500, "INTERNAL_ERROR", Value::Null);
    }
    let id = state.lists.take_in(adds, &body, settings);
    if take(&mut settings.lose_next) { lost_answer() } else { answer(200, &json!({ "requestId": id })) }
}

async fn status(Of(shared): Of<Shared>, Query(params): Query<Params>) -> Response {
    let state = &mut *shared.lock();
    state.lists.work(&state.settings);
    match params.get("requestId").and_then(|id| state.lists.status(id)) {
        Some(status) => answer(200, &status),
        None => error(400, "INVALID_REQUEST_ID", Value::Null),
    }
}

fn form(body: &[u8]) -> Params {
    let url = reqwest::Url::parse(&format!("form:?{}", String::from_utf8_lossy(body)));
    url.map(|url| url.query_pairs().into_owned().collect()).unwrap_or_default()
}

/// An access token for an assertion or the refresh token.
async fn token(Of(shared): Of<Shared>, body: Bytes) -> Response {
    let params = form(&body);
    let state = &mut *shared.lock();
    let refresh = params.get("refresh_token").filter(|token| *token == tokens::REFRESH).map(|_| SCOPE.to_owned());
    let asked = params.get("assertion").and_then(|assertion| state.tokens.asked_for(assertion)).or(refresh);
    let Some(asked) = asked else { return answer(400, &json!({ "error": "invalid_grant" })) };
    let scopes = &state.settings.scopes;
    let scopes = if scopes.is_empty() { asked } else { scopes.join(" ") };
    let token = state.tokens.give(scopes.clone());
    answer(200, &json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3599, "scope": scopes }))
}

async fn tokeninfo(Of(shared): Of<Shared>, body: Bytes) -> Response {
    let params = form(&body);
    let state = shared.lock();
    match params.get("access_token").and_then(|token| state.tokens.scopes(token)) {
        Some(scopes) => answer(200, &json!({ "scope": scopes, "expires_in": "3599" })),
        None => answer(400, &json!({ "error": "invalid_token" })),
    }
}
