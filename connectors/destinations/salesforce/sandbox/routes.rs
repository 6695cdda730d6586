//! The calls of the stand-in, and what stands before each: the token, the day's calls, faults on demand.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::Response;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use reqwest::Url;
use serde_json::{Value, json};

use super::store::{Refusal, Row};
use super::{Org, Shared};
use crate::destinations::stand_in::{json as answer, lost_answer, take};

/// Bytes of a call.
const MAX_BODY: usize = 150 << 20;
/// Rows of a call.
const MAX_ROWS: usize = 200;

/// What a call comes to: a status, and JSON or a file.
type Said = Result<(u16, Answered), (u16, Value)>;

enum Answered {
    Json(Value),
    File(Vec<u8>),
}

/// One call.
struct Call<'a> {
    method: &'a Method,
    path: &'a [&'a str],
    url: &'a Url,
    body: &'a [u8],
}

/// All calls.
pub(super) fn router(shared: Shared) -> Router {
    Router::new().fallback(serve).with_state(shared)
}

async fn serve(State(shared): State<Shared>, request: Request) -> Response {
    let latency = shared.lock().settings.latency;
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let Ok(url) = Url::parse(&format!("http://stand-in{}", parts.uri)) else { return answer(400, &json!([])) };
    let path: Vec<&str> = url.path().trim_start_matches('/').split('/').collect();
    let org = &mut *shared.lock();
    if path == ["services", "oauth2", "token"] {
        let (status, said) = token(org, &body);
        return answer(status, &said);
    }
    let call = Call { method: &parts.method, path: &path, url: &url, body: &body };
    let lose = parts.method != Method::GET && org.settings.lose_next > 0;
    let said = pass(org, &parts.headers).and_then(|()| data(org, &call));
    let mut response = match said {
        Ok(_) if lose && take(&mut org.settings.lose_next) => lost_answer(),
        Ok((status, Answered::Json(body))) | Err((status, body)) => answer(status, &body),
        Ok((_, Answered::File(file))) => Response::new(Body::from(Bytes::from(file))),
    };
    let usage = format!("api-usage={}/{}", org.settings.used, org.settings.daily_limit);
    if let Ok(usage) = HeaderValue::from_str(&usage) {
        response.headers_mut().insert("sforce-limit-info", usage);
    }
    response
}

/// The errors of a call.
fn refuse<T>(status: u16, code: &str, message: &str) -> Result<T, (u16, Value)> {
    Err((status, json!([{ "errorCode": code, "message": message }])))
}

/// The token endpoint, for both grants.
fn token(org: &mut Org, body: &[u8]) -> (u16, Value) {
    let refused = |code: &str, text: &str| (400, json!({ "error": code, "error_description": text }));
    let form = format!("http://form/?{}", String::from_utf8_lossy(body));
    let Ok(form) = Url::parse(&form) else { return refused("invalid_request", "unreadable") };
    let param = |name: &str| {
        form.query_pairs().find(|(own, _)| own == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
    };
    let settings = &org.settings;
    match param("grant_type").as_str() {
        "client_credentials" => {
            if (param("client_id"), param("client_secret"))
                != (settings.client_id.clone(), settings.client_secret.clone())
            {
                return refused("invalid_client", "invalid client credentials");
            }
        }
        "urn:ietf:params:oauth:grant-type:jwt-bearer" => {
            let mut wanted = Validation::new(Algorithm::RS256);
            wanted.set_audience(&[&settings.audience]);
            wanted.set_issuer(&[&settings.client_id]);
            wanted.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
            wanted.sub = Some(settings.username.clone());
            let key = DecodingKey::from_rsa_pem(settings.public_key.as_bytes());
            if !key.is_ok_and(|key| decode::<Value>(&param("assertion"), &key, &wanted).is_ok()) {
                return refused("invalid_grant", "invalid assertion");
            }
        }
        _ => return refused("unsupported_grant_type", "grant type not supported"),
    }
    org.calls += 1;
    let token = format!("{}!session{}", settings.org, org.calls);
    org.tokens.push(token.clone());
    let scope = settings.scopes.join(" ");
    (
        200,
        json!({ "access_token": token, "token_type": "Bearer", "scope": scope, "instance_url": "https://sandbox.my.salesforce.com" }),
    )
}

/// Lets a call through.
fn pass(org: &mut Org, headers: &HeaderMap) -> Result<(), (u16, Value)> {
    org.calls += 1;
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    if !token.is_some_and(|token| org.tokens.iter().any(|good| good == token)) {
        return refuse(401, "INVALID_SESSION_ID", "Session expired or invalid");
    }
    if org.settings.used >= org.settings.daily_limit {
        return refuse(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.");
    }
    org.settings.used += 1;
    Ok(())
}

fn data(org: &mut Org, call: &Call<'_>) -> Said {
    let scoped = |scope: &str| org.settings.scopes.iter().any(|has| has == scope || has == "full");
    let rest = match call.path {
        ["services", "oauth2", "userinfo"] => {
            let user = json!({ "organization_id": org.settings.org, "preferred_username": org.settings.username });
            return Ok((200, Answered::Json(user)));
        }
        ["services", "data", _, rest @ ..] if scoped("api") => rest,
        ["services", "data", ..] => return refuse(403, "INSUFFICIENT_ACCESS", "the token lacks the scope api"),
        _ => return refuse(404, "NOT_FOUND", "The requested resource does not exist"),
    };
    if call.method != Method::GET {
        if take(&mut org.settings.throttle_next) {
            return refuse(403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded.");
        }
        if take(&mut org.settings.fail_next) {
            return refuse(500, "UNKNOWN_EXCEPTION", "An unexpected error occurred.");
        }
    }
    let found = |value: Option<Value>| value.map(|value| (200, Answered::Json(value)));
    let said = match (call.method.as_str(), rest) {
        ("GET", ["sobjects", object, "describe"]) => found(org.objects.describe(object, &org.settings)),
        ("GET", ["query"]) => return query(org, call.url),
        ("GET", ["query", locator]) => {
            let rest = org.pages.remove(*locator);
            found(rest.map(|rest| page(org, rest)))
        }
        ("PATCH", ["composite", "sobjects", object, external]) => {
            return collection(org, call.body, "upsert", object, external);
        }
        ("POST", ["composite", "sobjects"]) => return collection(org, call.body, "insert", "", ""),
        ("PATCH", ["composite", "sobjects"]) => return collection(org, call.body, "update", "", ""),
        ("DELETE", ["composite", "sobjects"]) => return delete(org, call.url),
        ("POST", ["jobs", "ingest"]) => {
            let asked: Value = serde_json::from_slice(call.body).unwrap_or_default();
            right(org, asked["operation"].as_str().unwrap_or_default())?;
            found(org.jobs.create(&asked).filter(|_| org.objects.has(asked["object"].as_str().unwrap_or_default())))
        }
        ("PUT", ["jobs", "ingest", id, "batches"]) => {
            org.jobs.upload(id, call.body).map(|()| (201, Answered::Json(Value::Null)))
        }
        ("PATCH", ["jobs", "ingest", id]) => {
            let asked: Value = serde_json::from_slice(call.body).unwrap_or_default();
            found(org.jobs.change(id, asked["state"].as_str().unwrap_or_default()))
        }
        ("GET", ["jobs", "ingest", id]) => {
            org.jobs.work(id, &mut org.objects, &mut org.settings);
            found(org.jobs.info(id))
        }
        ("GET", ["jobs", "ingest", id, results, ""]) => {
            org.jobs.results(id, results).map(|file| (200, Answered::File(file)))
        }
        _ => None,
    };
    said.map_or_else(|| refuse(404, "NOT_FOUND", "The requested resource does not exist"), Ok)
}

/// What the user may not do is refused as a whole.
fn right(org: &Org, verb: &str) -> Result<(), (u16, Value)> {
    let needed: &[&str] = match verb {
        "insert" => &["create"],
        "update" => &["edit"],
        "delete" => &["delete"],
        _ => &["create", "edit"],
    };
    if needed.iter().all(|right| org.settings.rights.iter().any(|has| has == right)) {
        return Ok(());
    }
    refuse(403, "INSUFFICIENT_ACCESS_OR_READONLY", "insufficient access rights on object")
}

fn collection(org: &mut Org, body: &[u8], verb: &str, object: &str, external: &str) -> Said {
    right(org, verb)?;
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let rows: Vec<Row> =
        body["records"].as_array().into_iter().flatten().filter_map(Value::as_object).cloned().collect();
    if rows.len() > MAX_ROWS || body["allOrNone"] != json!(false) {
        return refuse(400, "EXCEEDED_ID_LIMIT", "record limit reached");
    }
    let of = |row: &Row| row.get("attributes").and_then(|of| of["type"].as_str()).unwrap_or_default().to_owned();
    for row in &rows {
        if !org.objects.has(&of(row)) || (verb == "upsert" && of(row) != object) {
            return refuse(400, "INVALID_TYPE", "no such object");
        }
        // A value that cannot be read is nobody's row: the call is refused.
        let mut values = row.iter().filter(|(name, _)| !["attributes", "id"].contains(&name.as_str()));
        if values.any(|(name, value)| org.objects.read(&of(row), name, value).is_none()) {
            return refuse(400, "JSON_PARSER_ERROR", "Cannot deserialize instance of a value");
        }
    }
    let said = rows.into_iter().map(|row| result(org.objects.write(&of(&row), verb, external, row, &mut org.settings)));
    Ok((200, Answered::Json(said.collect())))
}

fn delete(org: &mut Org, url: &Url) -> Said {
    right(org, "delete")?;
    let ids = url.query_pairs().find(|(name, _)| name == "ids").map(|(_, ids)| ids.into_owned()).unwrap_or_default();
    let ids: Vec<&str> = ids.split(',').collect();
    if ids.len() > MAX_ROWS {
        return refuse(400, "EXCEEDED_ID_LIMIT", "record limit reached");
    }
    let said = ids.into_iter().map(|id| {
        let object = org.objects.of_record(id).unwrap_or("Account").to_owned();
        let row = Row::from_iter([(String::from("id"), json!(id))]);
        result(org.objects.write(&object, "delete", "", row, &mut org.settings))
    });
    Ok((200, Answered::Json(said.collect())))
}

fn result(said: Result<(String, bool), Refusal>) -> Value {
    match said {
        Ok((id, created)) => json!({ "id": id, "success": true, "created": created, "errors": [] }),
        Err((code, message, field)) => json!({
            "success": false,
            "errors": [{ "statusCode": code, "message": message, "fields": field.into_iter().collect::<Vec<_>>() }]
        }),
    }
}

fn query(org: &mut Org, url: &Url) -> Said {
    let soql = url.query_pairs().find(|(name, _)| name == "q").map(|(_, soql)| soql.into_owned()).unwrap_or_default();
    let Some((object, field, values)) = parsed(&soql) else {
        return refuse(400, "MALFORMED_QUERY", "unexpected token");
    };
    // Texts stand in quotes and nothing else does.
    let is_of_type = |value: &Value| org.objects.read(&object, &field, value).is_some_and(|read| read == *value);
    if !org.objects.has(&object) || !values.iter().all(is_of_type) {
        return refuse(400, "INVALID_FIELD", "filter criterion of a wrong type");
    }
    let records = org.objects.select(&object, &field, &values);
    let first = page(org, records);
    Ok((200, Answered::Json(first)))
}

/// A page of records, and where the others are.
fn page(org: &mut Org, mut records: Vec<Value>) -> Value {
    let total = records.len();
    let rest = records.split_off(total.min(org.settings.page));
    let mut page = json!({ "totalSize": total, "done": rest.is_empty(), "records": records });
    if !rest.is_empty() {
        let locator = format!("01g{:015}-{}", org.calls, org.settings.page);
        page["nextRecordsUrl"] = json!(format!("/services/data/v67.0/query/{locator}"));
        org.pages.insert(locator, rest);
    }
    page
}

/// `SELECT Id, FIELD FROM OBJECT WHERE FIELD IN (…)`.
fn parsed(soql: &str) -> Option<(String, String, Vec<Value>)> {
    let (columns, rest) = soql.strip_prefix("SELECT Id")?.split_once(" FROM ")?;
    let (object, rest) = rest.split_once(" WHERE ")?;
    let (field, mut rest) = rest.split_once(" IN (")?;
    let selected = columns.strip_prefix(", ").unwrap_or("Id");
    if selected != field {
        return None;
    }
    let mut values = Vec::new();
    loop {
        let (value, after) = literal(rest)?;
        values.push(value);
        match after {
            ")" => return Some((object.to_owned(), field.to_owned(), values)),
            more => rest = more.strip_prefix(',')?,
        }
    }
}

/// A literal, and what follows it.
fn literal(text: &str) -> Option<(Value, &str)> {
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text.find([',', ')'])?;
        return Some((json!(text.get(..end)?.parse::<f64>().ok()?), text.get(end..)?));
    };
    let (mut out, mut letters) = (String::new(), quoted.chars());
    loop {
        match letters.next()? {
            '\'' => return Some((json!(out), letters.as_str())),
            '\\' => out.push(match letters.next()? {
                'n' => '\n',
                'r' => '\r',
                letter => letter,
            }),
            letter => out.push(letter),
        }
    }
}
