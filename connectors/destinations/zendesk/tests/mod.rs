//! The destination against its stand-in and against scripted servers, over real HTTP.

mod answers;
mod config;
mod contract;
mod delivery;
mod inspection;

use std::sync::Arc;

use backhaul_kit::config::Secrets;
use backhaul_kit::contract::{NO_TICKETS, look_up, run, together};
use backhaul_kit::{
    Address, Batch, ChangeKind, Delivery, Destination, Fault, FieldValue, Kit, Operation, Prepared, Progress, Row,
    Sandbox, Value, Verdict, key,
};
use serde_json::Value as Json;

use super::ZENDESK;
use super::sandbox;
use crate::destinations::fixture;

/// The token that a new stand-in accepts.
const TOKEN: &str = "sandbox-token";
const USERS: &str = "object = \"users\"\nmatch = \"external_id\"";
const ORGANIZATIONS: &str = "object = \"organizations\"\nmatch = \"external_id\"";
const TICKETS: &str = "object = \"tickets\"\nmode = \"update\"\nmatch = \"id\"";
const USER: &[&str] = &["external_id", "name", "email", "user_fields.plan"];
const ORGANIZATION: &[&str] = &["external_id", "name"];
const TICKET: &[&str] = &["id", "status", "custom_fields.27642"];

/// A sync with these lines in `[into]`, at `url`.
fn text(url: &str, into: &str) -> String {
    let account = "subdomain = \"acme\"\ntoken = { file = \"token\" }\ntimeout = \"20s\"";
    format!("[account]\n{account}\nbase_url = \"{url}\"\n[into]\n{into}")
}

fn prepared(url: &str, into: &str, fields: &[&str]) -> Arc<dyn Prepared> {
    fixture::prepared(&ZENDESK, &text(url, into), &["id"], fields)
}

/// An open destination.
struct Bench {
    destination: Arc<dyn Destination>,
    _project: tempfile::TempDir,
}

fn open(url: &str, into: &str, fields: &[&str]) -> Bench {
    let project = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(project.path().join("token"), TOKEN).expect("a token");
    let kit = Kit::new(Secrets::from_env(project.path()));
    Bench { destination: prepared(url, into, fields).open(kit).expect("an open destination"), _project: project }
}

fn users(sandbox: &dyn Sandbox, more: &str) -> Bench {
    open(&sandbox.url(), &format!("{USERS}\n{more}"), USER)
}

async fn stand_in(settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    fixture::stand_in(&ZENDESK, settings).await
}

/// The id of the stand-in's record number `n`, from 1.
fn id(n: u64) -> String {
    (1_000_000 + n).to_string()
}

fn written(n: u64) -> Verdict {
    Verdict::Written { remote_id: Some(id(n)) }
}

/// A row of texts, of the key that its first text names.
fn row(op: u64, change: ChangeKind, address: Address, texts: &[&str]) -> Row {
    let fields = texts.iter().map(|text| FieldValue::Set(Value::Text((*text).to_owned()))).collect();
    let key = key::encode(&[&Value::Int(i64::try_from(op).expect("a small number"))]).expect("a key").into();
    Row { op, change, key, fingerprint: 1, address, fields }
}

/// A new row, of op number `op`.
fn new(op: u64, texts: &[&str]) -> Row {
    row(op, ChangeKind::Add, Address::default(), texts)
}

fn moved(op: u64, address: Address, texts: &[&str]) -> Row {
    row(op, ChangeKind::Move, address, texts)
}

fn removed(op: u64, address: Address) -> Row {
    row(op, ChangeKind::Remove, address, &[])
}

fn by_id(id: &str) -> Address {
    Address { remote_id: Some(id.to_owned()), match_value: None }
}

fn by_value(value: &str) -> Address {
    Address { remote_id: None, match_value: Some(value.to_owned()) }
}

fn batch(operation: Operation, rows: Vec<Row>) -> Batch {
    Batch { operation, seq: 0, last: false, rows }
}

fn code(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Rejected(reason) => &reason.code,
        other => panic!("not a rejection: {other:?}"),
    }
}

impl Bench {
    async fn begin(&self, batch: &Batch) -> Result<Delivery, Fault> {
        self.destination.write(&run(), batch, NO_TICKETS).await
    }

    /// Writes, and asks after the job until it ends.
    async fn write(&self, operation: Operation, rows: Vec<Row>) -> Result<Vec<Verdict>, Fault> {
        let batch = batch(operation, rows);
        let (sent, found) = look_up(&*self.destination, &batch).await?;
        let outcomes = match self.begin(&sent).await? {
            Delivery::Settled(outcomes) => outcomes,
            Delivery::Pending(ticket) => loop {
                match self.destination.poll(&run(), &ticket, &sent).await? {
                    Progress::Done(outcomes) => break outcomes,
                    Progress::Running { .. } => {}
                    Progress::Lost => panic!("a job was forgotten"),
                }
            },
            other => panic!("neither settled nor a job: {other:?}"),
        };
        Ok(together(&batch, found, outcomes)?.into_vec().into_iter().map(|(_, verdict)| verdict).collect())
    }

    async fn verdicts(&self, operation: Operation, rows: Vec<Row>) -> Vec<Verdict> {
        self.write(operation, rows).await.expect("answers about the rows")
    }
}
