//! Canonical keys: the same row has the same key bytes whatever warehouse it comes from.
//!
//! A part is one class byte and a normalised payload; a composite key is the composite class byte and
//! each part with its length. `int4` → `int8`, or a move from PostgreSQL to Parquet, changes no key.
//! Floats, JSON, arrays and intervals are refused: they have no canonical form.

use smallvec::SmallVec;

use crate::value::{Value, put_bytes, take_bytes};

const INTEGER: u8 = 1;
const DECIMAL: u8 = 2;
const TEXT: u8 = 3;
const UUID: u8 = 4;
const DATE: u8 = 5;
const TIMESTAMP: u8 = 6;
const BOOL: u8 = 7;
const BYTES: u8 = 8;
const LOCAL_TIMESTAMP: u8 = 9;
const COMPOSITE: u8 = 16;

/// Canonical key bytes. Short ones, which is nearly all, are held in place.
pub type Key = SmallVec<[u8; 24]>;

/// Why a value cannot be (part of) a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The value is NULL.
    #[error("is NULL")]
    Null,
    /// The type has no canonical form.
    #[error("has a type that cannot be a key (float, JSON, array, interval)")]
    Type,
}

/// The hash of a key under the snapshot's secret seed. [`KeyHash::NULL`] stands for "no key".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u128);

impl KeyHash {
    /// The hash of a row whose key has a NULL part; no real key has it.
    pub const NULL: Self = Self(0);

    /// Hashes canonical key bytes.
    pub fn of(key: &[u8], seed: u64) -> Self {
        Self(xxhash_rust::xxh3::xxh3_128_with_seed(key, seed).max(1))
    }
}

fn put(class: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(class);
    out.extend_from_slice(payload);
}

/// Appends an integer part.
pub fn put_int(n: i64, out: &mut Vec<u8>) {
    // Minimal two's complement: the bits that differ from the sign, and the sign.
    let bits = 65 - (n ^ (n >> 63)).leading_zeros();
    put(INTEGER, &n.to_be_bytes()[8 - bits.div_ceil(8) as usize..], out);
}

/// Appends a decimal part given in plain notation; a whole number that fits is an integer part.
pub fn put_decimal(text: &str, out: &mut Vec<u8>) {
    let (number, fraction) = text.split_once('.').unwrap_or((text, ""));
    let (sign, digits) = number.split_at(usize::from(number.starts_with('-')));
    let (whole, fraction) = (digits.trim_start_matches('0'), fraction.trim_end_matches('0'));
    let integer = if whole.is_empty() { Ok(0) } else { number.parse() };
    if let (Ok(n), true) = (integer, fraction.is_empty()) {
        return put_int(n, out);
    }
    put(DECIMAL, sign.as_bytes(), out);
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole.as_bytes() });
    if !fraction.is_empty() {
        out.push(b'.');
        out.extend_from_slice(fraction.as_bytes());
    }
}

/// Appends a text part.
pub fn put_text(text: &[u8], out: &mut Vec<u8>) {
    put(TEXT, text, out);
}

/// Appends a UUID part.
pub fn put_uuid(uuid: &[u8; 16], out: &mut Vec<u8>) {
    put(UUID, uuid, out);
}

/// Appends a raw bytes part.
pub fn put_raw(bytes: &[u8], out: &mut Vec<u8>) {
    put(BYTES, bytes, out);
}

/// Appends one value as a key part.
///
/// # Errors
/// NULL, or a type without a canonical form.
pub fn put_value(value: &Value, out: &mut Vec<u8>) -> Result<(), KeyError> {
    match value {
        Value::Null => return Err(KeyError::Null),
        Value::Bool(b) => put(BOOL, &[u8::from(*b)], out),
        Value::Int(i) => put_int(*i, out),
        Value::Decimal(t) | Value::Number(t) => put_decimal(t, out),
        Value::Text(t) => put_text(t.as_bytes(), out),
        Value::Bytes(b) => put_raw(b, out),
        Value::Date(days) => put(DATE, &days.to_be_bytes(), out),
        Value::Timestamp(micros) => put(TIMESTAMP, &micros.to_be_bytes(), out),
        Value::LocalTimestamp(micros) => put(LOCAL_TIMESTAMP, &micros.to_be_bytes(), out),
        Value::Uuid(u) => put_uuid(u, out),
        Value::Float(_)
        | Value::Time(_)
        | Value::Interval { .. }
        | Value::Json(_)
        | Value::Array(_)
        | Value::Invalid(_) => return Err(KeyError::Type),
    }
    Ok(())
}

/// Starts a composite key of several parts; add each with [`put_part`].
pub fn start_composite(out: &mut Vec<u8>) {
    out.push(COMPOSITE);
}

/// Appends one finished part (made by one of the `put_` functions into its own buffer) to a composite key.
pub fn put_part(part: &[u8], out: &mut Vec<u8>) {
    put_bytes(part, out);
}

/// Canonical key bytes of the given values: one part, or a composite of several.
///
/// # Errors
/// A NULL part, or a type without a canonical form.
pub fn encode(values: &[&Value]) -> Result<Vec<u8>, KeyError> {
    let mut out = Vec::with_capacity(16);
    if let [value] = values {
        put_value(value, &mut out)?;
        return Ok(out);
    }
    start_composite(&mut out);
    let mut part = Vec::with_capacity(16);
    for value in values {
        part.clear();
        put_value(value, &mut part)?;
        put_part(&part, &mut out);
    }
    Ok(out)
}

/// The parts of a key, as values; `None` when the bytes are not a key.
pub fn decode(key: &[u8]) -> Option<Vec<Value>> {
    let (&class, mut rest) = key.split_first()?;
    if class != COMPOSITE {
        return Some(vec![decode_part(key)?]);
    }
    let mut parts = Vec::new();
    while !rest.is_empty() {
        parts.push(decode_part(take_bytes(&mut rest)?)?);
    }
    Some(parts)
}

fn decode_part(part: &[u8]) -> Option<Value> {
    let (&class, payload) = part.split_first()?;
    Some(match class {
        INTEGER => {
            let negative = payload.first()? & 0x80 != 0;
            let mut bytes = [if negative { 0xff } else { 0 }; 8];
            bytes.get_mut(8usize.checked_sub(payload.len())?..)?.copy_from_slice(payload);
            Value::Int(i64::from_be_bytes(bytes))
        }
        DECIMAL => Value::Decimal(String::from_utf8(payload.to_vec()).ok()?),
        TEXT => Value::Text(String::from_utf8(payload.to_vec()).ok()?),
        UUID => Value::Uuid(payload.try_into().ok()?),
        DATE => Value::Date(i32::from_be_bytes(payload.try_into().ok()?)),
        TIMESTAMP => Value::Timestamp(i64::from_be_bytes(payload.try_into().ok()?)),
        LOCAL_TIMESTAMP => Value::LocalTimestamp(i64::from_be_bytes(payload.try_into().ok()?)),
        BOOL => Value::Bool(*payload.first()? != 0),
        BYTES => Value::Bytes(payload.to_vec()),
        _ => return None,
    })
}

/// The key as an operator types it: the parts joined by `,`; a backslash or comma inside a part is escaped by `\`.
pub fn display(key: &[u8]) -> String {
    let Some(parts) = decode(key) else { return String::from("(unreadable key)") };
    let escape = parts.len() > 1;
    let texts: Vec<String> = parts
        .iter()
        .map(|part| {
            let text = part.to_text();
            if escape { text.replace('\\', "\\\\").replace(',', "\\,") } else { text }
        })
        .collect();
    texts.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_number_has_one_key() {
        let of = |v: &Value| encode(&[v]).expect("a key");
        assert_eq!(of(&Value::Int(42)), of(&Value::Decimal("42.00".into())));
        assert_eq!(of(&Value::Int(0)), of(&Value::Decimal("-0.0".into())));
        assert_eq!(of(&Value::Decimal("1.50".into())), of(&Value::Decimal("01.5".into())));
        assert_ne!(of(&Value::Int(42)), of(&Value::Text("42".into())));
        assert_eq!(of(&Value::Int(5)).len(), 2);
    }

    #[test]
    fn decimals_are_integers_where_they_fit_and_else_plain_text() {
        for (text, expected) in [
            ("-007.00", &b"\x01\xf9"[..]),
            (".0", b"\x01\x00"),
            ("-9223372036854775808", b"\x01\x80\0\0\0\0\0\0\0"),
            ("09223372036854775808.0", b"\x029223372036854775808"),
            ("-9223372036854775809", b"\x02-9223372036854775809"),
            ("-000.50", b"\x02-0.5"),
            ("0012.340", b"\x0212.34"),
        ] {
            let mut key = Vec::new();
            put_decimal(text, &mut key);
            assert_eq!(key, expected, "{text}");
        }
    }

    #[test]
    fn what_has_no_canonical_form_is_refused() {
        assert_eq!(encode(&[&Value::Null]), Err(KeyError::Null));
        assert_eq!(encode(&[&Value::Float(1.0)]), Err(KeyError::Type));
        assert_eq!(encode(&[&Value::Json("{}".into())]), Err(KeyError::Type));
    }

    #[test]
    fn composite_parts_do_not_run_together() {
        let text = |s: &str| Value::Text(s.into());
        let a = encode(&[&text("ab"), &text("c")]).expect("a key");
        let b = encode(&[&text("a"), &text("bc")]).expect("a key");
        assert_ne!(a, b);
        assert_eq!(display(&encode(&[&text("a,b"), &Value::Int(7)]).expect("a key")), "a\\,b,7");
    }

    proptest! {
        #[test]
        fn integers_come_back(n: i64) {
            let key = encode(&[&Value::Int(n)]).expect("a key");
            prop_assert_eq!(decode(&key), Some(vec![Value::Int(n)]));
            prop_assert_eq!(display(&key), n.to_string());
        }

        #[test]
        fn any_bytes_decode_or_are_refused(bytes: Vec<u8>) {
            let _ = decode(&bytes);
            let _ = display(&bytes);
        }
    }
}
