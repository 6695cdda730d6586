//! The destination against its stand-in and against scripted servers, over real HTTP.

mod answers;
mod config;
mod contract;
mod delivery;
mod inspection;
mod spec;

use std::io::Write as _;
use std::sync::Arc;

use backhaul_kit::config::Secrets;
use backhaul_kit::contract::{NO_TICKETS, run};
use backhaul_kit::{
    Address, Batch, ChangeKind, Delivery, Destination, Fault, FieldValue, Kit, Operation, Prepared, Progress, Row,
    Sandbox, Value, Verdict, key,
};

use super::MAILCHIMP;
use super::sandbox;
use crate::destinations::fixture;

/// The key that a new stand-in accepts.
const KEY: &str = "sandbox-us1";
const FIELDS: &[&str] = &["email_address", "merge_fields.FNAME", "merge_fields.PLAN"];
/// With the state of each member, and tags.
const STATED: &[&str] = &["email_address", "merge_fields.PLAN", "status", "tags[]"];
const NEW: &str = "object = \"members\"\nlist = \"abc123\"\nstatus_if_new = \"subscribed\"";
const MEMBERS: &str = "object = \"members\"\nlist = \"abc123\"";
const SEGMENT: &str = "object = \"segment\"\nlist = \"abc123\"\nsegment = 123\nmode = \"audience\"";

/// The text that makes a sync with these lines in `[into]`, at `url`.
fn text(url: &str, into: &str) -> String {
    format!("[account]\nkey = {{ file = \"key\" }}\nbase_url = \"{url}\"\ntimeout = \"20s\"\n[into]\n{into}\n")
}

fn prepared(url: &str, into: &str, fields: &[&str]) -> Arc<dyn Prepared> {
    fixture::prepared(&MAILCHIMP, &text(url, into), &["id"], fields)
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

fn open(url: &str, into: &str, fields: &[&str]) -> Bench {
    open_with(url, into, fields, KEY)
}

async fn stand_in(settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    fixture::stand_in(&MAILCHIMP, settings).await
}

/// The state and the plan of a member.
fn member(sandbox: &dyn Sandbox, address: &str) -> Option<(String, String)> {
    let members = sandbox.records()["members"].clone();
    let member = members.get(address)?;
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    Some((text(&member["status"]), text(&member["merge_fields"]["PLAN"])))
}

fn state(status: &str, plan: &str) -> Option<(String, String)> {
    Some((status.to_owned(), plan.to_owned()))
}

/// A row of texts; an empty one is NULL. Op numbers count from 10.
fn row(n: u64, old: Option<&str>, texts: &[&str]) -> Row {
    let value = |text: &&str| match *text {
        "" => Value::Null,
        text => Value::Text(text.to_owned()),
    };
    let number = Value::Int(i64::try_from(n).expect("a small number"));
    Row {
        op: 10 + n,
        change: ChangeKind::Add,
        key: key::encode(&[&number]).expect("a key").into(),
        fingerprint: 1,
        address: Address { remote_id: None, match_value: old.map(str::to_owned) },
        fields: texts.iter().map(|text| FieldValue::Set(value(text))).collect(),
    }
}

/// Rows of these texts; the first is the address.
fn batch(operation: Operation, rows: &[&[&str]]) -> Batch {
    let rows = (0..).zip(rows).map(|(n, texts)| row(n, texts.first().copied(), texts)).collect();
    Batch { operation, seq: 0, last: false, rows }
}

fn removals(operation: Operation, addresses: &[&str]) -> Batch {
    let rows = (0..).zip(addresses).map(|(n, address)| row(n, Some(address), &[])).collect();
    Batch { operation, seq: 0, last: false, rows }
}

/// A row whose address was `old`.
fn moved(old: &str, texts: &[&str]) -> Batch {
    Batch { operation: Operation::Move, seq: 0, last: false, rows: vec![row(0, Some(old), texts)] }
}

fn written() -> Verdict {
    Verdict::Written { remote_id: None }
}

fn reason(verdict: &Verdict) -> (&str, Option<&str>) {
    match verdict {
        Verdict::Rejected(reason) => (&reason.code, reason.field.as_deref()),
        other => panic!("not a rejection: {other:?}"),
    }
}

/// A tar archive of one file, packed.
fn archive(file: &str) -> Vec<u8> {
    let mut tar = vec![0; 512];
    tar[..6].copy_from_slice(b"a.json");
    tar[124..135].copy_from_slice(format!("{:011o}", file.len()).as_bytes());
    tar[156] = b'0';
    tar.extend_from_slice(file.as_bytes());
    tar.resize(tar.len().next_multiple_of(512) + 1024, 0);
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&tar).expect("packed");
    encoder.finish().expect("packed")
}

impl Bench {
    /// Writes a batch, and asks after its job until it is done.
    async fn write(&self, batch: &Batch) -> Result<Vec<Verdict>, Fault> {
        let mut delivery = self.destination.write(&run(), batch, NO_TICKETS).await?;
        loop {
            delivery = match delivery {
                Delivery::Settled(outcomes) => return Ok(outcomes.into_vec().into_iter().map(|(_, v)| v).collect()),
                Delivery::Pending(ticket) => match self.destination.poll(&run(), &ticket, batch).await? {
                    Progress::Running { .. } => Delivery::Pending(ticket),
                    Progress::Done(outcomes) => Delivery::Settled(outcomes),
                    Progress::Lost => panic!("the job is not known any more"),
                },
                other => panic!("neither settled nor a job: {other:?}"),
            }
        }
    }

    async fn verdicts(&self, batch: &Batch) -> Vec<Verdict> {
        self.write(batch).await.expect("an answer about rows")
    }
}
