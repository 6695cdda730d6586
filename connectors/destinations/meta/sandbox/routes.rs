//! The calls of the stand-in, and what stands before each: the token, its permission, the quota, faults on demand.

use aws_lc_rs::hmac;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use axum::routing::get;
use backhaul_kit::value::hex;
use serde_json::{Value, json};
use std::collections::HashMap;

use super::settings::Settings;
use super::{Account, Shared};
use crate::destinations::stand_in::{json as answer, lost_answer, take};

/// Bytes of a call.
const MAX_BYTES: usize = 32 << 20;

/// A refusal: code, subcode, words. All have status 400.
type Refusal = (i64, Option<i64>, &'static str);
type Asked = Query<HashMap<String, String>>;

/// All calls.
pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/{version}/debug_token", get(debug_token))
        .route("/{version}/{audience}", get(audience))
        .route("/{version}/{audience}/sessions", get(sessions))
        .route("/{version}/{audience}/users", axum::routing::post(users).delete(users))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .with_state(shared)
}

async fn debug_token(State(shared): State<Shared>, headers: HeaderMap, Query(query): Asked) -> Response {
    say(&shared, &headers, &query, "", |account| {
        let settings = &account.settings;
        if !settings.inspect {
            return Err((100, None, "You must provide an app access token, or the token of a developer of the app"));
        }
        let is_valid = query.get("input_token") == Some(&settings.token);
        Ok(json!({ "data": { "is_valid": is_valid, "type": "SYSTEM_USER", "expires_at": 0, "scopes": settings.scopes } }))
    })
    .await
}

async fn audience(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(query): Asked,
    Path((_, id)): Path<(String, String)>,
) -> Response {
    say(&shared, &headers, &query, "ads_read", |account| {
        let settings = &account.settings;
        known(settings, &id)?;
        let status = json!({ "code": settings.operation_status, "description": "" });
        Ok(json!({ "id": id, "account_id": settings.ad_account, "name": "Sandbox", "operation_status": status }))
    })
    .await
}

async fn sessions(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(query): Asked,
    Path((_, id)): Path<(String, String)>,
) -> Response {
    say(&shared, &headers, &query, "ads_read", |account| {
        known(&account.settings, &id)?;
        Ok(json!({ "data": account.audience.sessions() }))
    })
    .await
}

/// Adds or removes people.
async fn users(
    State(shared): State<Shared>,
    method: Method,
    headers: HeaderMap,
    Query(query): Asked,
    Path((_, id)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let (mut lose, mut throttled) = (false, false);
    let mut said = say(&shared, &headers, &query, "ads_management", |account| {
        known(&account.settings, &id)?;
        let settings = &mut account.settings;
        if settings.operation_status == 471 {
            return Err((100, Some(1_713_230), "Invalid parameter"));
        }
        throttled = take(&mut settings.throttle_next);
        if throttled {
            return Err((17, None, "User request limit reached"));
        }
        if take(&mut settings.fail_next) {
            return Err((2, None, "Service temporarily unavailable"));
        }
        lose = take(&mut settings.lose_next);
        let body: Value = serde_json::from_slice(&body).unwrap_or_default();
        let applied = account.audience.apply(&body, method == Method::DELETE, settings);
        let (received, invalid, samples) = applied.map_err(|why| {
            tracing::warn!(why, "the stand-in refuses a call");
            (100, None, "Invalid parameter")
        })?;
        let session = body["session"]["session_id"].to_string();
        Ok(json!({
            "audience_id": id, "session_id": session, "num_received": received, "num_invalid_entries": invalid,
            "invalid_entry_samples": samples,
        }))
    })
    .await;
    if throttled {
        let wait = shared.lock().settings.retry_after;
        said.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait));
    }
    if lose { lost_answer() } else { said }
}

fn known(settings: &Settings, id: &str) -> Result<(), Refusal> {
    if id == settings.audience {
        Ok(())
    } else {
        Err((100, Some(33), "Unsupported request: the object does not exist"))
    }
}

/// Answers a call that is let through, with what is used of the quota.
async fn say(
    shared: &Shared,
    headers: &HeaderMap,
    query: &HashMap<String, String>,
    permission: &str,
    say: impl FnOnce(&mut Account) -> Result<Value, Refusal>,
) -> Response {
    let latency = shared.lock().settings.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let account = &mut *shared.lock();
    account.calls += 1;
    let said = pass(&mut account.settings, headers, query, permission).and_then(|()| say(account));
    let mut response = match said {
        Ok(body) => answer(200, &body),
        Err((code, subcode, message)) => {
            let mut error =
                json!({ "message": message, "type": "OAuthException", "code": code, "fbtrace_id": "sandbox" });
            if let Some(subcode) = subcode {
                error["error_subcode"] = json!(subcode);
            }
            answer(400, &json!({ "error": error }))
        }
    };
    let settings = &account.settings;
    let regain = if settings.usage >= 100.0 { settings.regain } else { 0.0 };
    let usage = json!({ "business": [{
        "type": "custom_audience", "call_count": settings.usage, "total_cputime": 0, "total_time": 0,
        "estimated_time_to_regain_access": regain,
    }] });
    if let Ok(value) = HeaderValue::from_str(&usage.to_string()) {
        response.headers_mut().insert("x-business-use-case-usage", value);
    }
    response
}

fn pass(
    settings: &mut Settings,
    headers: &HeaderMap,
    query: &HashMap<String, String>,
    permission: &str,
) -> Result<(), Refusal> {
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if token.and_then(|text| text.strip_prefix("Bearer ")) != Some(settings.token.as_str()) {
        return Err((190, Some(463), "Error validating access token"));
    }
    if !settings.app_secret.is_empty() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, settings.app_secret.as_bytes());
        let proof = hex(hmac::sign(&key, settings.token.as_bytes()).as_ref());
        if query.get("appsecret_proof") != Some(&proof) {
            return Err((100, None, "API calls from the server require an appsecret_proof argument"));
        }
    }
    let manages = settings.scopes.iter().any(|scope| scope == "ads_management");
    if !permission.is_empty() && !manages && !settings.scopes.iter().any(|scope| scope == permission) {
        return Err((294, None, "Managing advertisements requires an access token with the extended permission"));
    }
    if settings.usage >= 100.0 {
        return Err((80_003, None, "There have been too many calls to this ad account"));
    }
    settings.usage += settings.usage_per_call;
    Ok(())
}
