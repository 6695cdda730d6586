//! The destination against its stand-in and against scripted servers, over real HTTP.

mod answers;
mod config;
mod contract;
mod delivery;
mod inspection;
mod spec;

use std::sync::Arc;

use backhaul_kit::config::Secrets;
use backhaul_kit::contract::NO_TICKETS;
use backhaul_kit::{
    Address, Batch, ChangeKind, Delivery, Destination, Fault, FieldValue, Kit, Operation, Prepared, Row, Run, Sandbox,
    Value, Verdict, key,
};

use super::STRIPE;
use super::sandbox;
use crate::destinations::fixture;

/// The key that a new stand-in accepts.
const KEY: &str = "rk_test_sandbox";
/// Found by a metadata key, which is the first field: what most tests write.
const FIELDS: &[&str] = &["metadata.customer_id", "email", "metadata.plan"];
const UPSERT: &str = "mode = \"upsert\"\nmatch = \"metadata.customer_id\"";
const CREATE: &str = "mode = \"create\"\nmatch = \"metadata.customer_id\"";
const UPDATE: &str = "mode = \"update\"\nmatch = \"metadata.customer_id\"";
const DELETE: &str = "removed = \"delete\"\ncancel_subscriptions = true";

/// The text that makes a sync with these lines in `[into]`, at `url`.
fn text(url: &str, into: &str) -> String {
    format!(
        "[account]\nkey = {{ file = \"key\" }}\nbase_url = \"{url}\"\ntimeout = \"20s\"\n[into]\nobject = \"customers\"\n{into}"
    )
}

fn prepared(url: &str, into: &str, fields: &[&str]) -> Arc<dyn Prepared> {
    fixture::prepared(&STRIPE, &text(url, into), &["id"], fields)
}

/// An open destination.
struct Bench {
    destination: Arc<dyn Destination>,
    _project: tempfile::TempDir,
}

fn open_with(url: &str, into: &str, fields: &[&str], secret: &str) -> Bench {
    let project = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(project.path().join("key"), secret).expect("a key");
    let kit = Kit::new(Secrets::from_env(project.path()));
    Bench { destination: prepared(url, into, fields).open(kit).expect("an open destination"), _project: project }
}

fn open(url: &str, into: &str) -> Bench {
    open_with(url, into, FIELDS, KEY)
}

async fn stand_in(settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    fixture::stand_in(&STRIPE, settings).await
}

/// The values of all live customers, by id.
fn customers(sandbox: &dyn Sandbox) -> serde_json::Value {
    sandbox.records()["customers"].clone()
}

/// A run that starts now.
fn run() -> Run {
    Run { started: jiff::Timestamp::now(), ..backhaul_kit::contract::run() }
}

/// The id of the stand-in's customer number `n`.
fn cus(n: usize) -> String {
    format!("cus_sandbox{n:04}")
}

fn written(n: usize) -> Verdict {
    Verdict::Written { remote_id: Some(cus(n)) }
}

/// A row of texts, of the key that its first text names.
fn row(change: ChangeKind, address: Address, texts: &[&str]) -> Row {
    let fields = texts.iter().map(|text| FieldValue::Set(Value::Text((*text).to_owned()))).collect();
    let named = Value::Text(texts.first().map_or_else(String::new, |text| (*text).to_owned()));
    Row { op: 10, change, key: key::encode(&[&named]).expect("a key").into(), fingerprint: 1, address, fields }
}

/// A row of which nothing is known.
fn new(texts: &[&str]) -> Row {
    row(ChangeKind::Add, Address::default(), texts)
}

/// A changed row whose customer's id is known.
fn changed(id: &str, texts: &[&str]) -> Row {
    row(ChangeKind::Change, by_id(id), texts)
}

/// A row whose answer was lost in an earlier run.
fn in_doubt(texts: &[&str]) -> Row {
    row(ChangeKind::Change, by_value(texts[0]), texts)
}

fn removed(address: Address) -> Row {
    row(ChangeKind::Remove, address, &[])
}

fn by_id(id: &str) -> Address {
    Address { remote_id: Some(id.to_owned()), match_value: None }
}

fn by_value(value: &str) -> Address {
    Address { remote_id: None, match_value: Some(value.to_owned()) }
}

fn batch(operation: Operation, row: Row) -> Batch {
    Batch { operation, seq: 0, last: false, rows: vec![row] }
}

fn code(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Rejected(reason) => &reason.code,
        other => panic!("not a rejection: {other:?}"),
    }
}

impl Bench {
    async fn write(&self, operation: Operation, row: Row) -> Result<Verdict, Fault> {
        match self.destination.write(&run(), &batch(operation, row), NO_TICKETS).await? {
            Delivery::Settled(outcomes) => Ok(outcomes.into_vec().remove(0).1),
            other => panic!("Stripe settles at once, not {other:?}"),
        }
    }

    async fn verdict(&self, operation: Operation, row: Row) -> Verdict {
        self.write(operation, row).await.expect("an answer about the row")
    }

    async fn upsert(&self, row: Row) -> Verdict {
        self.verdict(Operation::Upsert, row).await
    }
}
