//! The destination against its stand-in and against scripted servers, over real HTTP.

mod answers;
mod config;
mod contract;
mod delivery;
mod inspection;
mod lookup;
mod spec;
mod stand_in;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request as Received, State};
use axum::response::Response;
use backhaul_kit::config::{ConfigTable, Problem, Problems, Secrets, SourceFile, Span, parse};
use backhaul_kit::http::{Answer, Request};
use backhaul_kit::{
    Address, Batch, ChangeKind, Delivery, Destination, Fault, FieldShape, FieldValue, Kit, Mode, NullPolicy, Operation,
    Outcomes, Prepared, Removed, Row, Run, Sandbox, SyncShape, Value, Verdict, WritePolicy,
};
use tokio::net::TcpListener;

use super::HUBSPOT;
use super::sandbox;
use crate::destinations::described::client;
use crate::destinations::fixture;

/// The token of every stand-in.
const TOKEN: &str = "sandbox-token";

/// What a sync asks for.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) object: &'static str,
    pub(crate) mode: Mode,
    pub(crate) removed: Removed,
    pub(crate) match_on: Option<&'static str>,
    pub(crate) fields: &'static [&'static str],
}

/// Contacts matched by a custom unique property: what most tests write.
pub(crate) const CONTACTS: Wanted = Wanted {
    object: "contacts",
    mode: Mode::Upsert,
    removed: Removed::Archive,
    match_on: Some("customer_id"),
    fields: &["customer_id", "email", "firstname"],
};

/// The properties of [`CONTACTS`] that a new stand-in lacks.
const CUSTOMER_ID: &str = "contacts.customer_id:string:unique";

/// An open destination.
pub(crate) struct Bench {
    pub(crate) prepared: Arc<dyn Prepared>,
    pub(crate) destination: Arc<dyn Destination>,
    _project: tempfile::TempDir,
}

/// Reads a `[destinations.X]` with `keys` and the sync `wanted`, or says what is wrong with them.
fn read(keys: &str, wanted: &Wanted) -> Result<Arc<dyn Prepared>, Vec<Problem>> {
    let file = |text: &str| Arc::new(SourceFile { path: "backhaul.toml".into(), text: text.to_owned() });
    let problems = Problems::default();
    let mut table: ConfigTable = parse(&file(&format!("token = {{ file = \"token\" }}\n{keys}")), &problems);
    let account = HUBSPOT.account(&mut table);
    table.finish();
    let Some(account) = account else { return Err(problems.take()) };
    let mut into = parse(&file(""), &problems);
    let prepared = HUBSPOT.sync(account.as_ref(), &mut into, &shape(wanted));
    into.finish();
    let found = problems.take();
    match prepared {
        Some(prepared) if found.is_empty() => Ok(prepared),
        _ => Err(found),
    }
}

fn shape(wanted: &Wanted) -> SyncShape {
    let text = Arc::new(SourceFile { path: "syncs/test.toml".into(), text: String::new() });
    let span = Span { file: text, range: 0..0 };
    let field = |target: &&str| FieldShape {
        target: (*target).to_owned(),
        span: span.clone(),
        null: NullPolicy::Send,
        write: WritePolicy::Always,
    };
    let place = wanted.match_on.and_then(|name| wanted.fields.iter().position(|field| *field == name));
    SyncShape {
        operations: Vec::new(),
        name: String::from("test"),
        object: Some((wanted.object.to_owned(), span.clone())),
        mode: (wanted.mode, span.clone()),
        removed: (wanted.removed, span.clone()),
        match_field: place.map(|place| (place, span.clone())),
        fields: wanted.fields.iter().map(field).collect(),
        key: vec![String::from("id")],
        consent: Vec::new(),
        span: span.clone(),
    }
}

/// Opens the destination on whatever answers at `url`.
pub(crate) fn open(url: &str, wanted: &Wanted) -> Bench {
    let project = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(project.path().join("token"), TOKEN).expect("a token");
    let prepared = read(&format!("base_url = \"{url}\"\ntimeout = \"20s\""), wanted).expect("a sync without problems");
    let kit = Kit::new(Secrets::from_env(project.path()));
    let destination = prepared.open(kit).expect("an open destination");
    Bench { prepared, destination, _project: project }
}

/// Starts a stand-in with the properties of [`CONTACTS`].
pub(crate) async fn stand_in(settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    let all: Vec<_> = [("properties", CUSTOMER_ID)].into_iter().chain(settings.iter().copied()).collect();
    fixture::stand_in(&HUBSPOT, &all).await
}

impl Bench {
    /// Writes a batch.
    async fn write(&self, batch: &Batch) -> Result<Outcomes, Fault> {
        match self.destination.write(&run(), batch, backhaul_kit::contract::NO_TICKETS).await? {
            Delivery::Settled(outcomes) => Ok(outcomes),
            other => panic!("HubSpot settles at once, not {other:?}"),
        }
    }

    /// Writes a batch and returns the verdicts in batch order.
    async fn verdicts(&self, batch: &Batch) -> Vec<Verdict> {
        let outcomes = self.write(batch).await.expect("an answer about rows");
        outcomes.into_vec().into_iter().map(|(_, verdict)| verdict).collect()
    }
}

/// A run.
pub(crate) fn run() -> Run {
    Run { id: String::from("r1"), sync: String::from("test"), rows: 1, started: jiff::Timestamp::UNIX_EPOCH }
}

/// A batch of rows with these addresses and texts; op numbers count from 10.
fn batch(operation: Operation, rows: Vec<(Address, Vec<FieldValue>)>) -> Batch {
    let rows = (10..)
        .zip(rows)
        .map(|(op, (address, fields))| Row {
            op,
            change: if operation.is_removal() { ChangeKind::Remove } else { ChangeKind::Add },
            key: vec![1, op as u8].into(),
            fingerprint: op,
            address,
            fields: fields.into_iter().collect(),
        })
        .collect();
    Batch { operation, seq: 0, last: false, rows }
}

/// A batch of writes: one list of texts a row.
fn writes(operation: Operation, rows: &[&[&str]]) -> Batch {
    let fields =
        |texts: &&[&str]| texts.iter().map(|text| FieldValue::Set(Value::Text((*text).to_owned()))).collect::<Vec<_>>();
    batch(operation, rows.iter().map(|texts| (Address::default(), fields(texts))).collect())
}

/// A batch of removals.
fn removals(operation: Operation, addresses: Vec<Address>) -> Batch {
    batch(operation, addresses.into_iter().map(|address| (address, Vec::new())).collect())
}

fn by_id(id: &str) -> Address {
    Address { remote_id: Some(id.to_owned()), match_value: None }
}

fn by_value(value: &str) -> Address {
    Address { remote_id: None, match_value: Some(value.to_owned()) }
}

fn written(id: &str) -> Verdict {
    Verdict::Written { remote_id: Some(id.to_owned()) }
}

fn rejection(verdict: &Verdict) -> (&str, Option<&str>) {
    match verdict {
        Verdict::Rejected(reason) => (&reason.code, reason.field.as_deref()),
        other => panic!("not a rejection: {other:?}"),
    }
}

/// Makes a call with the token.
async fn call(url: &str, method: &str, path: &str, body: &serde_json::Value) -> Answer {
    let url = format!("{url}{path}").parse().expect("a URL");
    let mut request = Request::new(method.parse().expect("a method"), url);
    if !body.is_null() {
        request = request.json(body.to_string());
    }
    let token = format!("Bearer {TOKEN}").parse().expect("a header");
    request.headers.insert("authorization", token);
    client().send(request).await.expect("an answer")
}

/// A server that gives the same scripted answer to every call and keeps the paths it was asked for.
struct Scripted {
    url: String,
    asked: Arc<Mutex<VecDeque<String>>>,
}

#[derive(Clone)]
struct Script {
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: String,
    asked: Arc<Mutex<VecDeque<String>>>,
}

async fn scripted(status: u16, headers: &'static [(&'static str, &'static str)], body: &str) -> Scripted {
    async fn answer(State(script): State<Script>, request: Received) -> Response {
        script.asked.lock().expect("no panic").push_back(request.uri().path().to_owned());
        let mut response = Response::builder().status(script.status);
        for (name, value) in script.headers {
            response = response.header(*name, *value);
        }
        response.body(Body::from(Bytes::from(script.body))).expect("an answer")
    }
    let asked = Arc::new(Mutex::new(VecDeque::new()));
    let script = Script { status, headers, body: body.to_owned(), asked: asked.clone() };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let app = Router::new().fallback(answer).with_state(script);
    tokio::spawn(async move { axum::serve(listener, app).await });
    Scripted { url, asked }
}
