//! The destination against its stand-in and against scripted servers, over real HTTP.

mod answers;
mod config;
mod contract;
mod delivery;
mod members;
mod spec;

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::Secrets;
use backhaul_kit::contract::{NO_TICKETS, run};
use backhaul_kit::{
    Address, Batch, ChangeKind, Delivery, Destination, Fault, FieldValue, Kit, Operation, Outcomes, Prepared, Progress,
    Row, Sandbox, Ticket, Value, Verdict, key,
};
use serde_json::Value as Json;

use super::GOOGLE_DATA_MANAGER;
use super::sandbox;
use crate::destinations::fixture;

/// What most tests write.
const FIELDS: &[&str] = &["email", "phone"];
const ADDRESS: &[&str] = &["email", "first_name", "last_name", "country", "postcode"];
/// SHA-256 of `annlee@gmail.com`, as `Ann.Lee+Shop@Gmail.com` is to Google, and of `+16505551212`.
const ANN: &str = "16e202bdcd9646af11faa3a5a3b9c07a6303e9629583246f8208e43c529087de";
const PHONE: &str = "1e231c66011e7a2d867a9cfae267a6aff103cf4913640b6e71a99850fc0ffbc8";

/// An account at `url`, whose key is in a file, and a sync with these lines in `[into]`.
fn text(url: &str, into: &str) -> String {
    format!(
        "[account]\nservice_account = {{ file = \"key\" }}\naccount = \"111-222-3333\"\nbase_url = \"{url}\"\n\
         customer_match_terms = \"accepted\"\ntimeout = \"20s\"\n\
         [into]\naudience = \"987\"\nmode = \"audience\"\nconsent = [\"ad_user_data\", \"ad_personalization\"]\n{into}"
    )
}

/// An open destination.
struct Bench {
    prepared: Arc<dyn Prepared>,
    destination: Arc<dyn Destination>,
    _project: tempfile::TempDir,
}

/// Opens a sync with these texts and fields, with the key in the account's file.
fn open_text(text: &str, fields: &[&str], key: &str) -> Bench {
    let project = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(project.path().join("key"), key).expect("a key");
    let prepared = fixture::prepared(&GOOGLE_DATA_MANAGER, text, &["id"], fields);
    let kit = Kit::new(Secrets::from_env(project.path()));
    Bench { destination: prepared.open(kit).expect("an open destination"), prepared, _project: project }
}

fn open_with(sandbox: &dyn Sandbox, into: &str, fields: &[&str]) -> Bench {
    open_text(&text(&sandbox.url(), into), fields, &sandbox.token())
}

fn open(sandbox: &dyn Sandbox) -> Bench {
    open_with(sandbox, "", FIELDS)
}

async fn stand_in(settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    fixture::stand_in(&GOOGLE_DATA_MANAGER, settings).await
}

/// The identifiers on the list: JSON, each with its consent.
fn members(sandbox: &dyn Sandbox) -> serde_json::Map<String, Json> {
    sandbox.records()["user_lists"]["987"].as_object().cloned().unwrap_or_default()
}

fn email(hash: &str) -> String {
    format!("{{\"emailAddress\":\"{hash}\"}}")
}

/// The hash of an address that is its own normal form.
fn sha256(text: &str) -> String {
    let hash = backhaul_kit::normalise::person::sha256(text, false, |text| Ok(text.to_owned()));
    hash.expect("no hash").expect("not empty")
}

/// A row of texts; what is empty is NULL.
fn row(op: u64, change: ChangeKind, hashes: Option<&str>, texts: &[&str]) -> Row {
    let value = |text: &&str| if text.is_empty() { Value::Null } else { Value::Text((*text).to_owned()) };
    let id = Value::Int(i64::try_from(op).expect("a small number"));
    Row {
        op,
        change,
        key: key::encode(&[&id]).expect("a key").into(),
        fingerprint: op,
        address: Address { remote_id: None, match_value: hashes.map(str::to_owned) },
        fields: texts.iter().map(|text| FieldValue::Set(value(text))).collect(),
    }
}

fn batch(operation: Operation, rows: Vec<Row>) -> Batch {
    Batch { operation, seq: 0, last: false, rows }
}

/// Additions of these rows.
fn adds(rows: &[&[&str]]) -> Batch {
    let rows = (10..).zip(rows).map(|(op, texts)| row(op, ChangeKind::Add, None, texts)).collect();
    batch(Operation::AudienceAdd, rows)
}

/// Removals of what was sent as these hashes.
fn removals(hashes: &[&str]) -> Batch {
    let rows = (10..).zip(hashes).map(|(op, hashes)| row(op, ChangeKind::Remove, Some(hashes), &[])).collect();
    batch(Operation::AudienceRemove, rows)
}

fn verdicts(outcomes: Outcomes) -> Vec<Verdict> {
    outcomes.into_vec().into_iter().map(|(_, verdict)| verdict).collect()
}

fn written(rows: usize) -> Vec<Verdict> {
    vec![Verdict::Written { remote_id: None }; rows]
}

fn code(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Rejected(reason) => &reason.code,
        other => panic!("not a rejection: {other:?}"),
    }
}

impl Bench {
    async fn write(&self, batch: &Batch) -> Result<Delivery, Fault> {
        self.destination.write(&run(), batch, NO_TICKETS).await
    }

    /// The ticket of a batch that was taken in.
    async fn ticket(&self, batch: &Batch) -> Ticket {
        match self.write(batch).await.expect("an answer") {
            Delivery::Pending(ticket) => ticket,
            other => panic!("no job: {other:?}"),
        }
    }

    async fn poll(&self, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        self.destination.poll(&run(), ticket, batch).await
    }

    /// Writes a batch and asks until its job has ended.
    async fn deliver(&self, batch: &Batch) -> Result<Vec<Verdict>, Fault> {
        let ticket = match self.write(batch).await? {
            Delivery::Pending(ticket) => ticket,
            Delivery::Settled(outcomes) => return Ok(verdicts(outcomes)),
            other => panic!("neither settled nor a job: {other:?}"),
        };
        loop {
            match self.poll(&ticket, batch).await? {
                Progress::Done(outcomes) => return Ok(verdicts(outcomes)),
                Progress::Running { .. } => tokio::time::sleep(Duration::from_millis(5)).await,
                Progress::Lost => return Ok(vec![Verdict::Unknown; batch.rows.len()]),
            }
        }
    }

    async fn accepted(&self, batch: &Batch) {
        assert_eq!(self.deliver(batch).await.expect("verdicts"), written(batch.rows.len()));
    }
}
