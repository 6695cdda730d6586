//! The destination against its stand-in and against scripted servers, over real HTTP.

mod answers;
mod config;
mod contract;
mod delivery;
mod inspection;
mod people;

use std::sync::Arc;

use backhaul_kit::config::Secrets;
use backhaul_kit::contract::NO_TICKETS;
use backhaul_kit::{
    Address, Batch, ChangeKind, Delivery, Destination, Fault, FieldValue, Kit, Operation, Prepared, Row, Run, Sandbox,
    Value, Verdict, key,
};
use serde_json::{Value as Json, json};

use super::META;
use super::sandbox;
use crate::destinations::fixture;

/// What the stand-in accepts.
const TOKEN: &str = "sandbox-token";
const AUDIENCE: &str = "23851234567890";
/// What most tests send.
const FIELDS: &[&str] = &["EXTERN_ID", "EMAIL", "PHONE", "FN", "DATA_PROCESSING_OPTIONS"];

/// The text that makes a sync with these lines in `[account]` and `[into]`, at `url`.
fn text(url: &str, account: &str, into: &str) -> String {
    format!(
        "[account]\ntoken = {{ file = \"token\" }}\nad_account = \"act_1234567890\"\nbase_url = \"{url}\"\n\
         timeout = \"20s\"\n{account}\n[into]\naudience = \"{AUDIENCE}\"\nmode = \"audience\"\n{into}"
    )
}

fn prepared(url: &str, account: &str, into: &str, fields: &[&str]) -> Arc<dyn Prepared> {
    fixture::prepared(&META, &text(url, account, into), &["id"], fields)
}

/// An open destination.
struct Bench {
    prepared: Arc<dyn Prepared>,
    destination: Arc<dyn Destination>,
    _project: tempfile::TempDir,
}

impl Bench {
    /// Opens the destination on whatever answers at `url`; `secret` is the app's.
    fn with(url: &str, account: &str, into: &str, fields: &[&str], token: &str) -> Self {
        let project = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(project.path().join("token"), token).expect("a token");
        std::fs::write(project.path().join("app"), "app-secret-4711").expect("a secret");
        let prepared = prepared(url, account, into, fields);
        let destination = prepared.open(Kit::new(Secrets::from_env(project.path()))).expect("an open destination");
        Self { prepared, destination, _project: project }
    }

    fn open(url: &str, fields: &[&str]) -> Self {
        Self::with(url, "", "", fields, TOKEN)
    }

    async fn write(&self, batch: &Batch) -> Result<Vec<Verdict>, Fault> {
        match self.destination.write(&run(), batch, NO_TICKETS).await? {
            Delivery::Settled(outcomes) => Ok(outcomes.into_vec().into_iter().map(|(_, verdict)| verdict).collect()),
            other => panic!("Meta settles at once, not {other:?}"),
        }
    }

    async fn verdicts(&self, batch: &Batch) -> Vec<Verdict> {
        self.write(batch).await.expect("an answer about rows")
    }

    /// The address that is kept of a row with these values.
    fn address(&self, fields: &[FieldValue]) -> Address {
        Address { remote_id: None, match_value: self.prepared.hashes(fields) }
    }
}

async fn stand_in(settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    fixture::stand_in(&META, settings).await
}

/// The members of the stand-in's audience, by their ids.
fn members(sandbox: &dyn Sandbox) -> Vec<Json> {
    let mut all: Vec<Json> = sandbox.records()["members"].as_object().expect("members").values().cloned().collect();
    all.sort_by_key(|member| member["EXTERN_ID"].to_string());
    all
}

fn ids(sandbox: &dyn Sandbox) -> Vec<String> {
    members(sandbox).iter().filter_map(|member| Some(member["EXTERN_ID"].as_str()?.to_owned())).collect()
}

/// Sessions: what they did, in how many batches, and whether the last was marked.
fn sessions(sandbox: &dyn Sandbox) -> Vec<Json> {
    sandbox.records()["sessions"].as_object().expect("sessions").values().cloned().collect()
}

fn run() -> Run {
    backhaul_kit::contract::run()
}

fn text_field(text: &str) -> FieldValue {
    FieldValue::Set(Value::Text(text.to_owned()))
}

/// A person of the fields of most tests.
fn person(id: &str, email: &str) -> Vec<FieldValue> {
    vec![
        text_field(id),
        text_field(email),
        FieldValue::Set(Value::Null),
        text_field("Ann"),
        FieldValue::Set(Value::Bool(false)),
    ]
}

/// A batch; op numbers count from `first`.
fn batch(operation: Operation, first: u64, last: bool, rows: Vec<(Address, Vec<FieldValue>)>) -> Batch {
    let row = |(op, (address, fields)): (u64, (Address, Vec<FieldValue>))| {
        let number = Value::Int(i64::try_from(op).expect("a small number"));
        Row {
            op,
            change: if operation.is_removal() { ChangeKind::Remove } else { ChangeKind::Add },
            key: key::encode(&[&number]).expect("a key").into(),
            fingerprint: op,
            address,
            fields: fields.into_iter().collect(),
        }
    };
    Batch { operation, seq: first, last, rows: (first..).zip(rows).map(row).collect() }
}

/// A batch that adds these people, and nothing else of their operation.
fn additions(people: &[(&str, &str)]) -> Batch {
    let rows = people.iter().map(|(id, email)| (Address::default(), person(id, email))).collect();
    batch(Operation::AudienceAdd, 10, true, rows)
}

fn written() -> Verdict {
    Verdict::Written { remote_id: None }
}

fn code(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Rejected(reason) => &reason.code,
        other => panic!("not a rejection: {other:?}"),
    }
}
