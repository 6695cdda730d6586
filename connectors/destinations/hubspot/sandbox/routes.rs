//! The calls of the stand-in.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::{get, post};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::batch::{self, Action, WriteBody};
use super::envelope::{self, Problem};
use super::property::NewProperty;
use super::settings::Settings;
use super::store::Object;
use super::{Account, Shared, gate};
use crate::destinations::stand_in::json as respond;

/// The largest body that is read: 100 records with several long texts each.
const MAX_BODY: usize = 64 << 20;
/// Records on a page of a list, where the call does not say.
const PAGE: usize = 10;
/// Records on a page of a list, at most.
const MAX_PAGE: usize = 100;
/// The app that the token belongs to.
const APP_ID: u64 = 1;

/// All calls, behind the gate.
pub(super) fn router(shared: Shared) -> Router {
    Router::new()
        .route("/crm/v3/objects/{object}/batch/{action}", post(batch_call))
        .route("/crm/v3/objects/{object}", get(list_records))
        .route("/crm/v3/objects/{object}/{id}", get(read_record))
        .route("/crm/v3/properties/{object}", get(list_properties).post(create_property))
        .route("/crm/v3/properties/{object}/{name}", get(read_property))
        .route("/oauth/v2/private-apps/get/access-token-info", post(introspect))
        .route("/account-info/v3/details", get(account_details))
        .fallback(no_such_call)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(axum::middleware::from_fn_with_state(shared.clone(), gate::pass))
        .with_state(shared)
}

/// The body of a batch read.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadBody {
    id_property: Option<String>,
    #[serde(default)]
    properties: Vec<String>,
    inputs: Vec<IdInput>,
}

/// The body of a batch archive.
#[derive(Debug, Deserialize)]
struct ArchiveBody {
    inputs: Vec<IdInput>,
}

#[derive(Debug, Deserialize)]
struct IdInput {
    id: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RecordQuery {
    properties: Option<String>,
    id_property: Option<String>,
    limit: Option<usize>,
    after: Option<String>,
}

impl RecordQuery {
    fn wanted(&self) -> Vec<String> {
        self.properties.iter().flat_map(|names| names.split(',')).map(str::to_owned).collect()
    }
}

async fn batch_call(
    State(shared): State<Shared>,
    Path((object, action)): Path<(String, String)>,
    body: Bytes,
) -> Response {
    let done = match action.as_str() {
        "upsert" => write(&shared, &object, Action::Upsert, &body),
        "update" => write(&shared, &object, Action::Update, &body),
        "create" => write(&shared, &object, Action::Create, &body),
        "archive" => archive(&shared, &object, &body),
        "read" => read(&shared, &object, &body),
        _ => Err(Problem::new(404, "NOT_FOUND", "no such call")),
    };
    done.unwrap_or_else(|problem| problem.response())
}

fn write(shared: &Shared, name: &str, action: Action, body: &Bytes) -> Result<Response, Problem> {
    let parsed: WriteBody = parse(body)?;
    let started = envelope::now();
    let account = &mut *shared.lock();
    let (object, settings) = writable(account, name)?;
    let outcomes = batch::write(object, settings, action, &parsed.inputs, started)?;
    let (success, tells_new) = match action {
        Action::Upsert => (200, true),
        Action::Update => (200, false),
        Action::Create => (201, false),
    };
    Ok(envelope::written(object, &parsed.inputs, &outcomes, started, success, tells_new))
}

fn archive(shared: &Shared, name: &str, body: &Bytes) -> Result<Response, Problem> {
    let parsed: ArchiveBody = parse(body)?;
    batch::check_size(parsed.inputs.len())?;
    let account = &mut *shared.lock();
    let (object, _) = writable(account, name)?;
    let now = envelope::now();
    for input in &parsed.inputs {
        object.archive(&input.id, now);
    }
    Ok(envelope::empty(StatusCode::NO_CONTENT))
}

fn read(shared: &Shared, name: &str, body: &Bytes) -> Result<Response, Problem> {
    let parsed: ReadBody = parse(body)?;
    batch::check_size(parsed.inputs.len())?;
    let started = envelope::now();
    let account = shared.lock();
    let object = readable(&account, name)?;
    let mut results = Vec::with_capacity(parsed.inputs.len());
    let mut missing = Vec::new();
    for IdInput { id } in parsed.inputs {
        let number = batch::find(object, parsed.id_property.as_deref(), &id)?;
        match number.and_then(|number| Some((number, object.record(number)?))) {
            Some((number, record)) => {
                results.push(envelope::record_of(object, number, record, Some(&parsed.properties)));
            }
            None => missing.push(id),
        }
    }
    Ok(envelope::read(&results, &missing, object.label, started))
}

async fn list_records(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Query(query): Query<RecordQuery>,
) -> Response {
    let account = shared.lock();
    let object = match readable(&account, &name) {
        Ok(object) => object,
        Err(problem) => return problem.response(),
    };
    let limit = query.limit.unwrap_or(PAGE).clamp(1, MAX_PAGE);
    let after = query.after.as_deref().and_then(|id| id.parse::<u64>().ok()).unwrap_or(0);
    let wanted = query.wanted();
    let mut page = object.live().skip_while(|(number, _)| Object::id(*number).parse().unwrap_or(0) <= after);
    let taken: Vec<_> = page.by_ref().take(limit).collect();
    let results: Vec<_> =
        taken.iter().map(|(number, record)| envelope::record_of(object, *number, record, Some(&wanted))).collect();
    let mut body = json!({ "results": results });
    if let (Some((last, _)), Some(_)) = (taken.last(), page.next()) {
        body["paging"] = json!({ "next": { "after": Object::id(*last) } });
    }
    respond(200, &body)
}

async fn read_record(
    State(shared): State<Shared>,
    Path((name, id)): Path<(String, String)>,
    Query(query): Query<RecordQuery>,
) -> Response {
    let account = shared.lock();
    let found = readable(&account, &name).and_then(|object| {
        let number = batch::find(object, query.id_property.as_deref(), &id)?;
        let found = number.and_then(|number| Some((number, object.record(number)?)));
        let (number, record) = found.ok_or_else(|| Problem::new(404, "OBJECT_NOT_FOUND", "resource not found"))?;
        Ok(envelope::record_of(object, number, record, Some(&query.wanted())))
    });
    found.map_or_else(|problem| problem.response(), |record| respond(200, &record))
}

async fn list_properties(State(shared): State<Shared>, Path(name): Path<String>) -> Response {
    let account = shared.lock();
    match described(&account, &name) {
        Ok(object) => {
            let results: Vec<Value> = object.properties().iter().map(envelope::property).collect();
            respond(200, &json!({ "results": results }))
        }
        Err(problem) => problem.response(),
    }
}

async fn read_property(State(shared): State<Shared>, Path((name, property)): Path<(String, String)>) -> Response {
    let account = shared.lock();
    let found = described(&account, &name).and_then(|object| {
        let missing = || Problem::new(404, "OBJECT_NOT_FOUND", "resource not found");
        object.property(&property).map(|(_, property)| envelope::property(property)).ok_or_else(missing)
    });
    found.map_or_else(|problem| problem.response(), |property| respond(200, &property))
}

async fn create_property(State(shared): State<Shared>, Path(name): Path<String>, body: Bytes) -> Response {
    let account = &mut *shared.lock();
    let created = parse::<NewProperty>(&body).and_then(|new| {
        let object = account.store.object_mut(&name).ok_or_else(|| no_such_object(&name))?;
        granted(&account.settings, &[format!("crm.schemas.{}.write", object.scope)])?;
        let property = new.define().ok_or_else(|| Problem::validation(String::from("impossible name or type")))?;
        let answer = envelope::property(&property);
        let taken = || Problem::new(409, "CONFLICT", "a property of this name already exists");
        object.add_property(property).ok_or_else(taken)?;
        Ok(answer)
    });
    created.map_or_else(|problem| problem.response(), |property| respond(201, &property))
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct TokenQuery {
    token_key: String,
}

async fn introspect(State(shared): State<Shared>, body: Bytes) -> Response {
    let account = shared.lock();
    let settings = &account.settings;
    match parse::<TokenQuery>(&body) {
        Ok(query) if query.token_key == settings.token => {
            respond(200, &json!({ "userId": 1, "hubId": settings.hub_id, "appId": APP_ID, "scopes": settings.scopes }))
        }
        Ok(_) => Problem::new(404, "OBJECT_NOT_FOUND", "no such token").response(),
        Err(problem) => problem.response(),
    }
}

async fn account_details(State(shared): State<Shared>) -> Response {
    let hub_id = shared.lock().settings.hub_id;
    respond(
        200,
        &json!({
            "portalId": hub_id,
            "accountType": "SANDBOX",
            "timeZone": "UTC",
            "companyCurrency": "EUR",
            "additionalCurrencies": [],
            "utcOffset": "+00:00",
            "utcOffsetMilliseconds": 0,
            "uiDomain": "localhost",
            "dataHostingLocation": "local",
        }),
    )
}

async fn no_such_call() -> Response {
    Problem::new(404, "NOT_FOUND", "no such call").response()
}

fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    serde_json::from_slice(body).map_err(|error| Problem::validation(format!("Invalid input JSON: {error}")))
}

fn no_such_object(name: &str) -> Problem {
    Problem::new(404, "OBJECT_TYPE_NOT_FOUND", format!("Unable to infer object type from: {name}"))
}

/// Refuses a token that has none of these scopes.
fn granted(settings: &Settings, any_of: &[String]) -> Result<(), Problem> {
    if any_of.iter().any(|scope| settings.scopes.contains(scope)) {
        return Ok(());
    }
    let message = "This app hasn't been granted all required scopes to make this call.";
    Err(Problem::new(403, "MISSING_SCOPES", message).with("missingScopes", any_of))
}

fn writable<'a>(account: &'a mut Account, name: &str) -> Result<(&'a mut Object, &'a Settings), Problem> {
    let object = account.store.object_mut(name).ok_or_else(|| no_such_object(name))?;
    granted(&account.settings, &[format!("crm.objects.{}.write", object.scope)])?;
    Ok((object, &account.settings))
}

fn readable<'a>(account: &'a Account, name: &str) -> Result<&'a Object, Problem> {
    let object = account.store.object(name).ok_or_else(|| no_such_object(name))?;
    granted(&account.settings, &[format!("crm.objects.{}.read", object.scope)])?;
    Ok(object)
}

/// An object whose definitions the token may read: any right to the object is enough.
fn described<'a>(account: &'a Account, name: &str) -> Result<&'a Object, Problem> {
    let object = account.store.object(name).ok_or_else(|| no_such_object(name))?;
    let scope = object.scope;
    granted(
        &account.settings,
        &[
            format!("crm.schemas.{scope}.read"),
            format!("crm.objects.{scope}.read"),
            format!("crm.objects.{scope}.write"),
        ],
    )?;
    Ok(object)
}
