//! The calls of the stand-in, and what stands before each: the key, its permissions, the limit, faults on demand.

use std::collections::HashMap;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, Uri, header};
use axum::response::Response;
use axum::routing::{any, get, post};
use serde_json::{Value, json};

use super::form::{self, Params, Refusal, invalid, refusal};
use super::{Account, Shared};
use crate::destinations::stand_in::{json as answer, lost_answer, take};

/// Customers on a page, where the call does not say.
const PAGE: usize = 10;

/// Answers by idempotency key: what was asked, and what was said.
pub(super) type Answered = HashMap<String, (String, Params, u16, Value)>;

/// A status and a body; both arms are answers.
type Said = Result<Value, Refusal>;

/// All calls.
pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v1/account", get(account))
        .route("/v1/charges", get(charges))
        .route("/v1/customers", get(list).post(write))
        .route("/v1/customers/search", get(search))
        .route("/v1/customers/{id}", post(write).get(one).delete(write))
        .fallback(any(no_such_call))
        .with_state(shared)
}

async fn account(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    pass(&shared, &headers, "rak_account_read").await.unwrap_or_else(|account| {
        let id = &account.lock().settings.account;
        answer(200, &json!({ "id": id, "object": "account" }))
    })
}

async fn charges(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    let none = json!({ "object": "list", "data": [], "has_more": false, "url": "/v1/charges" });
    pass(&shared, &headers, "rak_charge_read").await.unwrap_or_else(|_| answer(200, &none))
}

async fn list(State(shared): State<Shared>, headers: HeaderMap, uri: Uri) -> Response {
    about_customers(&shared, &headers, "rak_customer_read", |account| {
        let limit = form::read(uri.query().unwrap_or_default().as_bytes());
        let limit = limit.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE);
        let (data, has_more) = account.customers.list(limit);
        Ok(json!({ "object": "list", "data": data, "has_more": has_more, "url": "/v1/customers" }))
    })
    .await
}

async fn search(State(shared): State<Shared>, headers: HeaderMap, uri: Uri) -> Response {
    about_customers(&shared, &headers, "rak_customer_read", |account| {
        let params = form::read(uri.query().unwrap_or_default().as_bytes());
        let query = params.get("query").map(String::as_str).unwrap_or_default();
        let (key, value) = parsed(query)
            .ok_or_else(|| invalid(400, "", "We were unable to parse your search query", Some("query")))?;
        let data = account.customers.search(&key, &value, account.settings.search_lag);
        Ok(json!({ "object": "search_result", "data": data, "has_more": false, "url": "/v1/customers/search" }))
    })
    .await
}

async fn one(State(shared): State<Shared>, headers: HeaderMap, Path(id): Path<String>) -> Response {
    about_customers(&shared, &headers, "rak_customer_read", |account| {
        let place = account.customers.place(&id).ok_or_else(|| missing(&id))?;
        Ok(account.customers.json(place))
    })
    .await
}

/// Creates, updates or deletes a customer.
async fn write(
    State(shared): State<Shared>,
    method: Method,
    id: Option<Path<String>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut lose = false;
    let said = about_customers(&shared, &headers, "rak_customer_write", |account| {
        if take(&mut account.settings.throttle_next) {
            return Err(throttled());
        }
        lose = take(&mut account.settings.lose_next);
        let id = id.map(|Path(id)| id);
        if method == Method::DELETE {
            return delete(account, &id.unwrap_or_default());
        }
        let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
        let (path, params) = (uri.path().to_owned(), form::read(&body));
        if let Some((before, with, status, said)) = key.as_ref().and_then(|key| account.answered.get(key)) {
            if (before, with) != (&path, &params) {
                let message = "Keys for idempotent requests can only be used with the same parameters \
                               they were first used with.";
                return Err(refusal(400, "idempotency_error", "", message, None));
            }
            return if *status == 200 { Ok(said.clone()) } else { Err((*status, said.clone())) };
        }
        let said = apply(account, id.as_deref(), params.clone());
        // What fails validation is not kept.
        let kept = match &said {
            Ok(body) => Some((200, body.clone())),
            Err((status @ 500.., body)) => Some((*status, body.clone())),
            Err(_) => None,
        };
        if let (Some(key), Some((status, body))) = (key, kept) {
            account.answered.insert(key, (path, params, status, body));
        }
        said
    })
    .await;
    if lose { lost_answer() } else { said }
}

fn apply(account: &mut Account, id: Option<&str>, params: Params) -> Said {
    if take(&mut account.settings.fail_next) {
        return Err(refusal(500, "api_error", "", "An unknown error occurred", None));
    }
    let nothing = Params::new();
    let place = id.map(|id| account.customers.place(id).ok_or_else(|| missing(id))).transpose()?;
    let there = match (place, id) {
        (Some(place), Some(id)) => account.customers.values(place).ok_or_else(|| missing(id))?,
        _ => &nothing,
    };
    form::check(&params, there, &account.settings)?;
    let place = place.unwrap_or_else(|| account.customers.create());
    account.customers.update(place, params);
    Ok(account.customers.json(place))
}

fn delete(account: &mut Account, id: &str) -> Said {
    let place = account.customers.place(id).filter(|place| account.customers.values(*place).is_some());
    let place = place.ok_or_else(|| missing(id))?;
    account.customers.delete(place);
    Ok(account.customers.json(place))
}

async fn no_such_call(State(shared): State<Shared>, headers: HeaderMap, uri: Uri) -> Response {
    let message = format!("Unrecognized request URL ({}).", uri.path());
    pass(&shared, &headers, "").await.unwrap_or_else(|_| {
        let (status, body) = invalid(404, "", &message, None);
        answer(status, &body)
    })
}

/// Answers a call about customers.
async fn about_customers(
    shared: &Shared,
    headers: &HeaderMap,
    permission: &str,
    say: impl FnOnce(&mut Account) -> Said,
) -> Response {
    pass(shared, headers, permission).await.unwrap_or_else(|shared| {
        let account = &mut *shared.lock();
        match say(account) {
            Ok(body) => answer(200, &body),
            Err((status, body)) => answer(status, &body),
        }
    })
}

/// Lets a call through (`Err`), or answers it.
async fn pass<'a>(shared: &'a Shared, headers: &HeaderMap, permission: &str) -> Result<Response, &'a Shared> {
    let latency = shared.lock().settings.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let account = &mut *shared.lock();
    account.calls += 1;
    let settings = &account.settings;
    let key = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let refused = if key.and_then(|text| text.strip_prefix("Bearer ")) != Some(settings.key.as_str()) {
        invalid(401, "", "Invalid API Key provided", None)
    } else if !account.window.admit() {
        throttled()
    } else if !permission.is_empty() && !settings.allows(permission) {
        let message = format!(
            "The provided key does not have the required permissions for this endpoint. \
             Having the '{permission}' permission would allow this request to continue."
        );
        invalid(403, "", &message, None)
    } else {
        return Err(shared);
    };
    Ok(answer(refused.0, &refused.1))
}

fn throttled() -> Refusal {
    invalid(429, "rate_limit", "Too many requests", None)
}

fn missing(id: &str) -> Refusal {
    invalid(404, "resource_missing", &format!("No such customer: '{id}'"), Some("id"))
}

/// `metadata['KEY']:'VALUE'`.
fn parsed(query: &str) -> Option<(String, String)> {
    let (key, rest) = quoted(query.strip_prefix("metadata[")?)?;
    let (value, rest) = quoted(rest.strip_prefix("]:")?)?;
    rest.is_empty().then_some((key, value))
}

/// A text in quotes, and what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut out, mut letters) = (String::new(), text.strip_prefix('\'')?.chars());
    loop {
        match letters.next()? {
            '\'' => return Some((out, letters.as_str())),
            '\\' => out.push(letters.next()?),
            letter => out.push(letter),
        }
    }
}
