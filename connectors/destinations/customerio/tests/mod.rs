//! The destination against its stand-in and against scripted servers, over real HTTP.

mod config;
mod contract;
mod delivery;
mod spec;

use std::sync::Arc;

use backhaul_kit::config::Secrets;
use backhaul_kit::contract::{NO_TICKETS, row, run};
use backhaul_kit::{
    Address, Batch, Delivery, Destination, Fault, Kit, Operation, Prepared, Row, Sandbox, Value, Verdict,
};
use tokio::net::TcpListener;

use super::{CUSTOMERIO, sandbox};
use crate::destinations::fixture;

const FIELDS: &[&str] = &["id", "email", "plan"];
/// The key that a new stand-in accepts.
const KEY: &str = "sandbox-key";
const WRITTEN: Verdict = Verdict::Written { remote_id: None };

fn prepared(url: &str, fields: &[&str]) -> Arc<dyn Prepared> {
    let account = "region = \"us\"\nsite_id = \"sandbox-site\"\napi_key = { file = \"key\" }\ntimeout = \"20s\"";
    let text = format!(
        "[account]\n{account}\nbase_url = \"{url}\"\n[into]\nobject = \"people\"\nmatch = \"id\"\nremoved = \"delete\""
    );
    fixture::prepared(&CUSTOMERIO, &text, &["id"], fields)
}

/// An open destination.
struct Bench {
    destination: Arc<dyn Destination>,
    _project: tempfile::TempDir,
}

impl Bench {
    fn open(url: &str, key: &str, fields: &[&str]) -> Self {
        let project = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(project.path().join("key"), key).expect("a key");
        let kit = Kit::new(Secrets::from_env(project.path()));
        Self { destination: prepared(url, fields).open(kit).expect("an open destination"), _project: project }
    }

    async fn write(&self, batch: &Batch) -> Result<Verdict, Fault> {
        match self.destination.write(&run(), batch, NO_TICKETS).await? {
            Delivery::Settled(outcomes) => Ok(outcomes.into_vec().remove(0).1),
            other => panic!("Customer.io settles at once, not {other:?}"),
        }
    }

    async fn upsert(&self, values: Vec<Value>) -> Verdict {
        self.write(&upsert(values)).await.expect("an answer about the row")
    }

    /// The body of the request of a row.
    fn body(&self, values: Vec<Value>) -> String {
        self.destination.preview(&run(), &upsert(values)).expect("a request").remove(0).body
    }
}

async fn stand_in(settings: &[(&str, &str)]) -> Box<dyn Sandbox> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    sandbox::kind().start(listener, &settings).await.expect("a running stand-in")
}

fn texts(values: &[&str]) -> Vec<Value> {
    values.iter().map(|value| Value::Text((*value).to_owned())).collect()
}

fn batch(operation: Operation, row: Row) -> Batch {
    Batch { operation, seq: 0, last: false, rows: vec![row] }
}

fn upsert(values: Vec<Value>) -> Batch {
    batch(Operation::Upsert, row(10, 1, values))
}

fn removal(id: &str) -> Batch {
    let address = Address { remote_id: None, match_value: Some(id.to_owned()) };
    batch(Operation::Delete, Row { address, ..row(10, 1, Vec::new()) })
}

fn code(verdict: &Verdict) -> &str {
    match verdict {
        Verdict::Rejected(reason) => &reason.code,
        other => panic!("not a rejection: {other:?}"),
    }
}
