//! The rows of `tests/bench/postgres`, as its source would hand them over.

use backhaul::diff::{Cause, Op, OpKind};
use backhaul_kit::{Address, FieldValue, KeyHash, Value, key};

/// The columns.
pub(crate) const COLUMNS: &[&str] = &[
    "id",
    "email",
    "first_name",
    "last_name",
    "country",
    "plan",
    "created_at",
    "updated_at",
    "ltv",
    "tags",
    "attributes",
    "active",
];

/// The op that adds row `number`.
pub(crate) fn op(number: u64) -> Op {
    let n = number.cast_signed();
    let mut key = Vec::with_capacity(10);
    key::put_int(n, &mut key);
    let text = |text: String| Value::Text(text);
    let one_of = |choices: &[&str]| Value::Text(choices[number as usize % choices.len()].into());
    let second = 1_000_000;
    let values = [
        Value::Int(n),
        text(format!("user{n}@example.com")),
        text(format!("First{}", n % 5000)),
        text(format!("Last{}", n % 70_000)),
        one_of(&["DE", "FR", "US", "GB", "JP"]),
        one_of(&["free", "pro", "team"]),
        Value::Timestamp((1_577_836_800 + 61 * n) * second),
        Value::Timestamp((1_767_225_600 + 7 * n) * second),
        Value::Decimal(format!("{}.{:02}00000000000000", n % 100_000 / 100, n % 100)),
        Value::Array(vec![text(format!("tag{}", n % 7)), text(format!("tag{}", n % 11))]),
        Value::Json(format!(r#"{{"score": {}, "source": "web"}}"#, n % 101)),
        Value::Bool(n % 13 != 0),
    ];
    Op {
        number,
        kind: OpKind::Add,
        ordinal: None,
        key_hash: KeyHash::of(&key, 7),
        key: key.into(),
        fingerprint: number.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        cause: Cause::Left,
        table_fingerprint: None,
        old_address: Address::default(),
        match_value: None,
        was_in_doubt: false,
        changed: Vec::new(),
        fields: values.into_iter().map(FieldValue::Set).collect(),
        reason: None,
    }
}
