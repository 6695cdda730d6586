//! The destination against its stand-in and against scripted servers, over real HTTP.

mod answers;
mod config;
mod contract;
mod delivery;
mod inspection;
mod jobs;
mod tokens;

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use backhaul_kit::config::Secrets;
use backhaul_kit::contract::{NO_TICKETS, look_up, run, together};
use backhaul_kit::{
    Address, Batch, ChangeKind, Delivery, Destination, Fault, FieldValue, Kit, Operation, Outcomes, Prepared, Progress,
    Row, Sandbox, SaveTicket, Ticket, Tickets, Value, Verdict, key,
};

use super::SALESFORCE;
use super::sandbox;
use crate::destinations::fixture;

/// What the client of every new stand-in knows.
const SECRET: &str = "sandbox-secret";
const FIELDS: &[&str] = &["Ext_Id__c", "Name", "Plan__c"];
const UPSERT: &str = "mode = \"upsert\"\nmatch = \"Ext_Id__c\"";
const UPDATE: &str = "mode = \"update\"\nmatch = \"Ext_Id__c\"";
const CREATE: &str = "mode = \"create\"\nmatch = \"Ext_Id__c\"";

/// The text that makes a sync of accounts with these lines in `[into]`, at `url`.
fn text(url: &str, into: &str) -> String {
    format!(
        "[account]\ndomain = \"acme.my.salesforce.com\"\nclient_id = \"sandbox-app\"\n\
         client_secret = {{ file = \"key\" }}\nbase_url = \"{url}\"\ntimeout = \"20s\"\n\
         [into]\nobject = \"Account\"\n{into}"
    )
}

fn prepared(url: &str, into: &str, fields: &[&str]) -> Arc<dyn Prepared> {
    fixture::prepared(&SALESFORCE, &text(url, into), &["id"], fields)
}

/// An open destination.
struct Bench {
    destination: Arc<dyn Destination>,
    _project: tempfile::TempDir,
}

fn open_text(text: &str, fields: &[&str], secret: &str) -> Bench {
    let project = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(project.path().join("key"), secret).expect("a secret");
    let kit = Kit::new(Secrets::from_env(project.path()));
    let prepared = fixture::prepared(&SALESFORCE, text, &["id"], fields);
    Bench { destination: prepared.open(kit).expect("an open destination"), _project: project }
}

fn open_with(url: &str, into: &str, fields: &[&str]) -> Bench {
    open_text(&text(url, into), fields, SECRET)
}

fn open(url: &str, into: &str) -> Bench {
    open_with(url, into, FIELDS)
}

async fn stand_in(settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    fixture::stand_in(&SALESFORCE, settings).await
}

fn set(sandbox: &dyn Sandbox, key: &str, value: &str) {
    sandbox.set(key, value).expect("a setting");
}

/// The fields of all accounts, by external id.
fn accounts(sandbox: &dyn Sandbox) -> serde_json::Value {
    let records = sandbox.records()["Account"].clone();
    let by = |row: &serde_json::Value| row["Ext_Id__c"].as_str().unwrap_or_default().to_owned();
    records.as_object().expect("accounts").values().map(|row| (by(row), row.clone())).collect()
}

/// The id of the stand-in's record number `n`.
fn id(n: usize) -> String {
    format!("001{n:012}AAA")
}

fn written(n: usize) -> Verdict {
    Verdict::Written { remote_id: Some(id(n)) }
}

fn value(text: &str) -> FieldValue {
    FieldValue::Set(Value::Text(text.to_owned()))
}

fn row(op: u64, address: Address, fields: Vec<FieldValue>) -> Row {
    let change = if fields.is_empty() { ChangeKind::Remove } else { ChangeKind::Add };
    let key = key::encode(&[&Value::Int(op as i64)]).expect("a key").into();
    Row { op, change, key, fingerprint: op, address, fields: fields.into_iter().collect() }
}

/// A batch of rows of texts; op numbers count from 10.
fn batch(operation: Operation, rows: &[(Address, &[&str])]) -> Batch {
    let texts = |texts: &[&str]| texts.iter().map(|text| value(text)).collect();
    let rows = (10..).zip(rows).map(|(op, (address, fields))| row(op, address.clone(), texts(fields)));
    Batch { operation, seq: 0, last: false, rows: rows.collect() }
}

/// A batch of rows of which nothing is remembered.
fn new(operation: Operation, rows: &[&[&str]]) -> Batch {
    batch(operation, &rows.iter().map(|fields| (Address::default(), *fields)).collect::<Vec<_>>())
}

fn removals(operation: Operation, addresses: &[Address]) -> Batch {
    batch(operation, &addresses.iter().map(|address| (address.clone(), &[][..])).collect::<Vec<_>>())
}

fn by_id(id: &str) -> Address {
    Address { remote_id: Some(id.to_owned()), match_value: None }
}

fn by_value(value: &str) -> Address {
    Address { remote_id: None, match_value: Some(value.to_owned()) }
}

fn code(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Rejected(reason) => &reason.code,
        other => panic!("not a rejection: {other:?}"),
    }
}

fn of(outcomes: Outcomes) -> Vec<Verdict> {
    outcomes.into_vec().into_iter().map(|(_, verdict)| verdict).collect()
}

/// Keeps the tickets.
#[derive(Default)]
struct Kept(Mutex<Vec<Ticket>>);

#[async_trait]
impl SaveTicket for Kept {
    async fn save(&self, ticket: &Ticket) -> Result<(), Fault> {
        self.0.lock().expect("no panic").push(ticket.clone());
        Ok(())
    }
}

impl Bench {
    async fn write(&self, batch: &Batch) -> Result<Vec<Verdict>, Fault> {
        let (sent, found) = look_up(&*self.destination, batch).await?;
        match self.destination.write(&run(), &sent, NO_TICKETS).await? {
            Delivery::Settled(outcomes) => Ok(of(together(batch, found, outcomes)?)),
            other => panic!("a call settles at once, not {other:?}"),
        }
    }

    async fn verdicts(&self, batch: &Batch) -> Vec<Verdict> {
        self.write(batch).await.expect("an answer about rows")
    }

    /// Starts a job.
    async fn start(&self, batch: &Batch) -> (Ticket, Vec<Ticket>) {
        let tickets = Kept::default();
        let saving = Tickets { session: None, save: &tickets };
        let delivery = self.destination.write(&run(), batch, saving).await.expect("a job");
        let Delivery::Pending(ticket) = delivery else { panic!("not a job: {delivery:?}") };
        (ticket, tickets.0.into_inner().expect("no panic"))
    }

    async fn poll(&self, ticket: &Ticket, batch: &Batch) -> Progress {
        self.destination.poll(&run(), ticket, batch).await.expect("an answer about the job")
    }

    /// Asks until the job has ended, without waiting.
    async fn finish(&self, ticket: &Ticket, batch: &Batch) -> Vec<Verdict> {
        for _ in 0..10 {
            if let Progress::Done(outcomes) = self.poll(ticket, batch).await {
                return of(outcomes);
            }
        }
        panic!("the job does not end");
    }

    /// Writes a batch by a job.
    async fn by_job(&self, batch: &Batch) -> Vec<Verdict> {
        let (ticket, _) = self.start(batch).await;
        self.finish(&ticket, batch).await
    }
}
