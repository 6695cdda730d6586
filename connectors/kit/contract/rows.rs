//! Rows, runs and secrets for tests.

use std::path::Path;
use std::sync::Arc;

use crate::batch::{Address, ChangeKind, Row};
use crate::config::Secrets;
use crate::context::Kit;
use crate::destination::Run;
use crate::key;
use crate::value::{FieldValue, Value};

/// A run of the sync `contract`.
pub fn run() -> Run {
    Run { id: "run-1".into(), sync: "contract".into(), rows: 3, started: jiff::Timestamp::UNIX_EPOCH }
}

/// An added row of op number `op` with an integer key and these fields; a removal where there are none.
pub fn row(op: u64, id: i64, fields: Vec<Value>) -> Row {
    let mut bytes = Vec::new();
    key::put_int(id, &mut bytes);
    Row {
        op,
        change: if fields.is_empty() { ChangeKind::Remove } else { ChangeKind::Add },
        key: bytes.into(),
        fingerprint: id.unsigned_abs().wrapping_mul(7919),
        address: Address::default(),
        fields: fields.into_iter().map(FieldValue::Set).collect(),
    }
}

/// A kit whose secrets are files below `folder`.
pub fn canary_kit(folder: &Path) -> Arc<Kit> {
    Kit::new(Secrets::from_env(folder))
}
