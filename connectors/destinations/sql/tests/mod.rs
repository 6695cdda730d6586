//! Tests against real servers, the same for both where they behave alike.

mod config;
mod contract;
#[cfg(feature = "mariadb")]
mod mariadb;
mod operations;
mod postgres;
mod rejects;
mod rights;
mod rows;
mod server;

use std::sync::Arc;

use backhaul_kit::contract::{NO_TICKETS, canary_kit, row, run};
use backhaul_kit::{Batch, Delivery, Destination, Fault, FaultClass, Operation, Prepared, Row, Value, Verdict};

use super::super::fixture;
#[cfg(feature = "mariadb")]
use mariadb::MariaDbServer;
use postgres::PostgresServer;
use server::Server;

/// Makes a test of each scenario for each server.
macro_rules! scenarios {
    ($($name:ident)*) => {
        super::scenarios!(@on on_postgres PostgresServer; $($name)*);
        #[cfg(feature = "mariadb")]
        super::scenarios!(@on on_mariadb MariaDbServer; $($name)*);
    };
    (@on $module:ident $server:ident; $($name:ident)*) => {
        mod $module {
            use crate::destinations::sql::tests::$server;
            use crate::destinations::sql::tests::server::Server as _;

            $(
                #[tokio::test]
                async fn $name() {
                    if let Some(mut server) = $server::start().await {
                        super::$name(&mut server).await;
                        server.end().await;
                    }
                }
            )*
        }
    };
}
use scenarios;

/// A sync of a server: its `[into]` beside `object` and its fields.
fn prepared(server: &impl Server, into: &str, fields: &[&str]) -> Arc<dyn Prepared> {
    let mut text = String::from("[account]\nurl = { file = \"url\" }\ntimeout = \"2s\"\n[into]\n");
    if !into.contains("object") {
        text.push_str("object = \"people\"\n");
    }
    text.push_str(into);
    fixture::prepared(server.kind(), &text, &["id"], fields)
}

/// The same, opened.
fn open(server: &impl Server, into: &str, fields: &[&str]) -> Arc<dyn Destination> {
    prepared(server, into, fields).open(canary_kit(server.folder())).expect("a destination")
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn batch(operation: Operation, rows: Vec<Row>) -> Batch {
    Batch { operation, seq: 0, last: true, rows }
}

/// A row that is found by a remembered match value.
fn found_by(mut row: Row, match_value: &str) -> Row {
    row.address.match_value = Some(match_value.into());
    row
}

async fn try_write(destination: &dyn Destination, batch: &Batch) -> Result<Vec<Verdict>, Fault> {
    match destination.write(&run(), batch, NO_TICKETS).await? {
        Delivery::Settled(outcomes) => Ok(outcomes.into_vec().into_iter().map(|(_, verdict)| verdict).collect()),
        other => panic!("{other:?}"),
    }
}

/// Writes a batch that goes through as a whole.
async fn write(destination: &dyn Destination, operation: Operation, rows: Vec<Row>) -> Vec<Verdict> {
    try_write(destination, &batch(operation, rows)).await.expect("written")
}

/// Writes a batch as the engine does: what is to be cut is cut in two. Returns the codes of rejected rows by op.
async fn bisect(destination: &dyn Destination, operation: Operation, rows: Vec<Row>) -> Vec<(u64, String)> {
    let mut waiting = vec![rows];
    let mut rejected = Vec::new();
    while let Some(mut rows) = waiting.pop() {
        match try_write(destination, &batch(operation, rows.clone())).await {
            Ok(verdicts) => {
                for (row, verdict) in rows.iter().zip(verdicts) {
                    match verdict {
                        Verdict::Rejected(reason) => rejected.push((row.op, reason.code)),
                        Verdict::Written { .. } | Verdict::Unchanged => {}
                        other => panic!("op {}: {other:?}", row.op),
                    }
                }
            }
            Err(fault) => {
                assert_eq!(fault.class, FaultClass::Split, "{fault:?}");
                assert!(rows.len() > 1, "one row is judged, not cut");
                waiting.push(rows.split_off(rows.len() / 2));
                waiting.push(rows);
            }
        }
    }
    rejected.sort();
    rejected
}

const WRITTEN: Verdict = Verdict::Written { remote_id: None };
