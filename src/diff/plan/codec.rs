//! Ops as bytes. An op's number is its place, its key hash follows from its key: neither is written.

use backhaul_kit::key::Key;
use backhaul_kit::value::{put_bytes, put_varint, take_bytes, take_varint};
use backhaul_kit::{Address, Fields, KeyHash, Reason};
use bytes::Bytes;

use crate::diff::{Cause, Op, OpKind};

const HAS_ORDINAL: u8 = 1;
const WAS_IN_DOUBT: u8 = 2;
const HAS_MATCH: u8 = 4;
const HAS_REASON: u8 = 8;
const HAS_REASON_FIELD: u8 = 16;
const HAS_TABLE_FINGERPRINT: u8 = 32;
/// It is removed for another cause than that it left the model. Not in plans of the first form.
const HAS_CAUSE: u8 = 64;

const KINDS: [OpKind; 8] = [
    OpKind::Add,
    OpKind::Change,
    OpKind::Move,
    OpKind::Remove,
    OpKind::Touch,
    OpKind::Refresh,
    OpKind::Forget,
    OpKind::Reject,
];

/// The bit of a kind in a chunk's set of kinds; its place is the kind's code in the file.
pub(super) fn kind_bit(kind: OpKind) -> u8 {
    1 << code(kind)
}

fn code(kind: OpKind) -> u8 {
    match kind {
        OpKind::Add => 0,
        OpKind::Change => 1,
        OpKind::Move => 2,
        OpKind::Remove => 3,
        OpKind::Touch => 4,
        OpKind::Refresh => 5,
        OpKind::Forget => 6,
        OpKind::Reject => 7,
    }
}

/// Appends an op.
pub(in crate::diff) fn encode(op: &Op, out: &mut Vec<u8>) {
    let reason_field = op.reason.as_ref().and_then(|reason| reason.field.as_ref());
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    out.push(code(op.kind));
    out.push(
        flag(op.ordinal.is_some(), HAS_ORDINAL)
            | flag(op.was_in_doubt, WAS_IN_DOUBT)
            | flag(op.match_value.is_some(), HAS_MATCH)
            | flag(op.reason.is_some(), HAS_REASON)
            | flag(reason_field.is_some(), HAS_REASON_FIELD)
            | flag(op.table_fingerprint.is_some(), HAS_TABLE_FINGERPRINT)
            | flag(op.cause != Cause::Left, HAS_CAUSE),
    );
    if op.cause != Cause::Left {
        out.push(op.cause.code());
    }
    if let Some(ordinal) = op.ordinal {
        put_varint(ordinal, out);
    }
    put_bytes(&op.key, out);
    out.extend_from_slice(&op.fingerprint.to_le_bytes());
    if let Some(fingerprint) = op.table_fingerprint {
        out.extend_from_slice(&fingerprint.to_le_bytes());
    }
    op.old_address.encode(out);
    if let Some(value) = &op.match_value {
        put_bytes(value.as_bytes(), out);
    }
    put_varint(op.changed.len() as u64, out);
    for eight in op.changed.chunks(8) {
        out.push(eight.iter().rev().fold(0, |bits, changed| bits << 1 | u8::from(*changed)));
    }
    put_varint(op.fields.len() as u64, out);
    out.extend_from_slice(op.fields.encoded());
    if let Some(reason) = &op.reason {
        put_bytes(reason.code.as_bytes(), out);
        put_bytes(reason.text.as_bytes(), out);
    }
    if let Some(field) = reason_field {
        put_bytes(field.as_bytes(), out);
    }
}

/// Reads op number `number` off the front of `input`, which is a part of `chunk`; `None` when the bytes are not an op.
pub(in crate::diff) fn decode(chunk: &Bytes, input: &mut &[u8], number: u64, seed: u64) -> Option<Op> {
    let ([kind, flags], rest) = input.split_first_chunk::<2>()?;
    *input = rest;
    let (kind, has) = (*KINDS.get(usize::from(*kind))?, |flag| flags & flag != 0);
    let cause = if has(HAS_CAUSE) {
        let (code, rest) = input.split_first()?;
        *input = rest;
        Cause::of_code(*code).filter(|cause| *cause != Cause::Left)?
    } else {
        Cause::Left
    };
    let ordinal = if has(HAS_ORDINAL) { Some(take_varint(input)?) } else { None };
    let key = Key::from_slice(take_bytes(input)?);
    let fingerprint = fixed(input)?;
    let table_fingerprint = if has(HAS_TABLE_FINGERPRINT) { Some(fixed(input)?) } else { None };
    let old_address = Address::decode(input)?;
    let match_value = if has(HAS_MATCH) { Some(text(input)?) } else { None };
    let changed = bits(input)?;
    let fields = Fields::decode(usize::try_from(take_varint(input)?).ok()?, input, chunk)?;
    let reason = if has(HAS_REASON) {
        let (code, text_) = (text(input)?, text(input)?);
        let field = if has(HAS_REASON_FIELD) { Some(text(input)?) } else { None };
        Some(Box::new(Reason { code, text: text_, field }))
    } else {
        None
    };
    Some(Op {
        number,
        kind,
        ordinal,
        key_hash: KeyHash::of(&key, seed),
        key,
        fingerprint,
        table_fingerprint,
        cause,
        old_address,
        match_value,
        was_in_doubt: has(WAS_IN_DOUBT),
        changed,
        fields,
        reason,
    })
}

fn fixed(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*bytes))
}

fn text(input: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(input)?.to_vec()).ok()
}

fn bits(input: &mut &[u8]) -> Option<Vec<bool>> {
    let count = usize::try_from(take_varint(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(count.div_ceil(8))?;
    *input = rest;
    Some((0..count).map(|i| bytes[i / 8] >> (i % 8) & 1 == 1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use backhaul_kit::{FieldValue, Value};
    use proptest::prelude::*;

    fn address() -> impl Strategy<Value = Address> {
        let part = || proptest::option::of(".{0,9}");
        (part(), part()).prop_map(|(remote_id, match_value)| Address { remote_id, match_value })
    }

    fn field() -> impl Strategy<Value = FieldValue> {
        prop_oneof![
            Just(FieldValue::Skip),
            Just(FieldValue::Clear),
            any::<i64>().prop_map(|n| FieldValue::Set(Value::Int(n))),
            ".{0,9}".prop_map(|t| FieldValue::Set(Value::Text(t))),
        ]
    }

    fn reason() -> impl Strategy<Value = Reason> {
        (".{1,9}", ".{0,9}", proptest::option::of(".{0,9}")).prop_map(|(code, text, field)| Reason {
            code,
            text,
            field,
        })
    }

    prop_compose! {
        fn any_op()(
            kind in 0..8usize,
            ordinal in proptest::option::of(any::<u64>()),
            key in proptest::collection::vec(any::<u8>(), 0..20),
            fingerprint: u64,
            table_fingerprint in proptest::option::of(any::<u64>()),
            cause in 0..Cause::ALL.len(),
            old_address in address(),
            match_value in proptest::option::of(".{0,9}"),
            was_in_doubt: bool,
            changed in proptest::collection::vec(any::<bool>(), 0..20),
            fields in proptest::collection::vec(field(), 0..9),
            reason in proptest::option::of(reason()),
        ) -> Op {
            let key_hash = KeyHash::of(&key, 7);
            Op {
                number: 3, kind: KINDS[kind], ordinal, key: key.into(), key_hash, fingerprint, table_fingerprint, cause: Cause::ALL[cause],
                old_address, match_value, was_in_doubt, changed, fields: fields.into_iter().collect(),
                reason: reason.map(Box::new),
            }
        }
    }

    proptest! {
        #[test]
        fn every_op_comes_back(op in any_op()) {
            let mut bytes = Vec::new();
            encode(&op, &mut bytes);
            let chunk = Bytes::from(bytes);
            let mut rest = &chunk[..];
            prop_assert_eq!(decode(&chunk, &mut rest, 3, 7), Some(op));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_an_op_or_refused(bytes: Vec<u8>) {
            let chunk = Bytes::from(bytes);
            let _ = decode(&chunk, &mut &chunk[..], 0, 0);
        }
    }

    #[test]
    fn every_kind_and_every_cause_has_its_own_code() {
        assert!(Cause::ALL.into_iter().all(|cause| Cause::of_code(cause.code()) == Some(cause)));
        for (place, kind) in KINDS.into_iter().enumerate() {
            assert_eq!(usize::from(code(kind)), place);
        }
    }
}
