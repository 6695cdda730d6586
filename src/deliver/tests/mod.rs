//! Tests of the machine alone, in a simulated world, and under the driver.

mod bench;
mod dice;
mod driver;
mod life;
mod machine;
mod sessions;
mod simulation;
mod storm;

use backhaul_kit::{Address, Facts, Fault, FieldValue, Fields, KeyHash, Operation, Value, key};

use super::Phase;
use crate::diff::{Op, OpKind};

/// An op that adds a row; its key is its number.
fn op(number: u64) -> Op {
    let key = key::encode(&[&Value::Int(number.cast_signed())]).expect("a key");
    Op {
        number,
        kind: OpKind::Add,
        ordinal: None,
        key_hash: KeyHash::of(&key, 1),
        key: key.into(),
        fingerprint: number * 31,
        table_fingerprint: None,
        cause: crate::diff::Cause::Left,
        old_address: Address::default(),
        match_value: Some(format!("{number}@example.com")),
        was_in_doubt: false,
        changed: Vec::new(),
        fields: Fields::from_iter([FieldValue::Set(Value::Int(number.cast_signed()))]),
        reason: None,
    }
}

/// Ten rows a call, safe to send again, two calls in flight.
fn facts() -> Facts {
    Facts { max_rows: 10, resend_safe: true, concurrency: 2, ..Facts::default() }
}

fn phase(operation: Operation, facts: &Facts, ops: impl IntoIterator<Item = Op>) -> Phase {
    let ops: Vec<Result<Op, Fault>> = ops.into_iter().map(Ok).collect();
    Phase { operation, facts: facts.clone(), ops: Box::new(ops.into_iter()) }
}
