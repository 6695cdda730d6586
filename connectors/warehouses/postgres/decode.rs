//! Bytes of a value to the value.
//!
//! Pure functions of the bytes. `None` means that the bytes are not what the type's send function writes; a
//! value that is sound but that no destination can take is [`Value::Invalid`].

use backhaul_kit::Value;
use backhaul_kit::key;

use super::super::sound::{self, DAY_MICROS, invalid};
use super::network::{mac, network};
use super::numeric::Numeric;
use super::types::Wire;

/// Days from 1970-01-01 to 2000-01-01, PostgreSQL's epoch.
const EPOCH_DAYS: i64 = 10_957;
/// `MAXDIM` of the server.
const MAX_DIMENSIONS: usize = 6;
/// The version that `jsonb_send` writes first.
const JSONB_VERSION: u8 = 1;

/// The value of `bytes`.
pub(super) fn decode(wire: &Wire, bytes: &[u8]) -> Option<Value> {
    Some(match wire {
        Wire::Bool => Value::Bool(byte(bytes)? != 0),
        Wire::Int2 => Value::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        Wire::Int4 => Value::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        Wire::Int8 => Value::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        Wire::Oid => Value::Int(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        Wire::Float4 => sound::single(f32::from_be_bytes(bytes.try_into().ok()?)),
        Wire::Float8 => sound::double(f64::from_be_bytes(bytes.try_into().ok()?)),
        Wire::Numeric => numeric(&Numeric::read(bytes)?),
        Wire::Text => text(bytes, Value::Text),
        Wire::Json => text(bytes, Value::Json),
        Wire::Jsonb => match bytes.split_first()? {
            (&JSONB_VERSION, json) => text(json, Value::Json),
            _ => return None,
        },
        Wire::Bytea => Value::Bytes(bytes.to_vec()),
        Wire::Date => date(i32::from_be_bytes(bytes.try_into().ok()?)),
        Wire::Time => sound::time(i64::from_be_bytes(bytes.try_into().ok()?)),
        Wire::Timestamp => timestamp(i64::from_be_bytes(bytes.try_into().ok()?), Value::LocalTimestamp),
        Wire::TimestampTz => timestamp(i64::from_be_bytes(bytes.try_into().ok()?), Value::Timestamp),
        Wire::Interval => interval(bytes.try_into().ok()?),
        Wire::Uuid => Value::Uuid(bytes.try_into().ok()?),
        Wire::Network => Value::Text(network(bytes)?),
        Wire::Mac => Value::Text(mac(bytes)?),
        Wire::Array(of) => array(of, bytes)?,
        Wire::Unsupported => return None,
    })
}

/// Why a value is not (part of) a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoKey {
    /// The bytes are not what the type's send function writes.
    Malformed,
    /// The value has no canonical form: NaN, infinity.
    Value,
}

/// Appends the canonical key part of `bytes`, the same as that of the decoded value.
pub(super) fn put_key(wire: &Wire, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), NoKey> {
    match wire {
        Wire::Int2 => key::put_int(i16::from_be_bytes(fixed(bytes)?).into(), out),
        Wire::Int4 => key::put_int(i32::from_be_bytes(fixed(bytes)?).into(), out),
        Wire::Int8 => key::put_int(i64::from_be_bytes(fixed(bytes)?), out),
        Wire::Uuid => key::put_uuid(&fixed(bytes)?, out),
        Wire::Text if std::str::from_utf8(bytes).is_ok() => key::put_text(bytes, out),
        Wire::Bytea => key::put_raw(bytes, out),
        Wire::Numeric => {
            let number = Numeric::read(bytes).ok_or(NoKey::Malformed)?;
            match number.whole() {
                Some(whole) => key::put_int(whole, out),
                None => return put_value(&numeric(&number), out),
            }
        }
        _ => return put_value(&decode(wire, bytes).ok_or(NoKey::Malformed)?, out),
    }
    Ok(())
}

fn put_value(value: &Value, out: &mut Vec<u8>) -> Result<(), NoKey> {
    key::put_value(value, out).map_err(|_| NoKey::Value)
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], NoKey> {
    bytes.try_into().map_err(|_| NoKey::Malformed)
}

/// Zeroes the object id of the element type in an array of these elements: it differs between two databases that
/// are otherwise equal (enums, domains). Nothing here reads it.
pub(super) fn clear_oids(element: &Wire, array: &mut [u8]) -> Option<()> {
    array.get_mut(8..12)?.fill(0);
    // Elements are arrays in turn only where their type is a domain over an array.
    let Wire::Array(inner) = element else { return Some(()) };
    let rank = usize::try_from(i32::from_be_bytes(*array.first_chunk()?)).ok()?;
    let mut rest = array.get_mut(rank.checked_mul(8)?.checked_add(12)?..)?;
    while !rest.is_empty() {
        let (len, after) = rest.split_first_chunk_mut::<4>()?;
        rest = match i32::from_be_bytes(*len) {
            -1 => after,
            len => {
                let (bytes, after) = after.split_at_mut_checked(usize::try_from(len).ok()?)?;
                clear_oids(inner, bytes)?;
                after
            }
        };
    }
    Some(())
}

fn byte(bytes: &[u8]) -> Option<u8> {
    match bytes {
        [byte] => Some(*byte),
        _ => None,
    }
}

fn text(bytes: &[u8], value: impl FnOnce(String) -> Value) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => value(text.to_owned()),
        // Only a database without an encoding (SQL_ASCII) hands over such text.
        Err(_) => invalid("text that is not UTF-8"),
    }
}

fn numeric(number: &Numeric<'_>) -> Value {
    if let Some(special) = number.special() {
        return invalid(&format!("{special} is not a finite number"));
    }
    let mut text = String::new();
    number.write(&mut text);
    Value::Decimal(text)
}

fn date(days: i32) -> Value {
    match days {
        i32::MIN | i32::MAX => invalid("an infinite date"),
        _ => sound::date(i64::from(days) + EPOCH_DAYS),
    }
}

fn timestamp(micros: i64, value: impl FnOnce(i64) -> Value) -> Value {
    match micros {
        i64::MIN | i64::MAX => invalid("an infinite timestamp"),
        // Beyond what an `i64` holds lies no year that a destination could take.
        _ => sound::timestamp(micros.saturating_add(EPOCH_DAYS * DAY_MICROS), value),
    }
}

/// Microseconds, days, months.
fn interval(bytes: [u8; 16]) -> Value {
    let n = u128::from_be_bytes(bytes);
    // The casts cut the parts out of their places.
    let (micros, days, months) = ((n >> 64) as u64 as i64, (n >> 32) as u32 as i32, n as u32 as i32);
    match (micros, days, months) {
        (i64::MAX, i32::MAX, i32::MAX) | (i64::MIN, i32::MIN, i32::MIN) => invalid("an infinite interval"),
        _ => Value::Interval { months, days, micros },
    }
}

/// An array on the wire: number of dimensions, whether there are NULLs, element type, length and lower bound of
/// each dimension, elements.
struct Array<'a> {
    dimensions: [usize; MAX_DIMENSIONS],
    rank: usize,
    elements: &'a [u8],
    count: usize,
}

impl<'a> Array<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<12>()?;
        let rank = usize::try_from(i32::from_be_bytes([head[0], head[1], head[2], head[3]])).ok()?;
        if rank > MAX_DIMENSIONS {
            return None;
        }
        let (dimension_bytes, elements) = rest.split_at_checked(rank * 8)?;
        let mut dimensions = [0; MAX_DIMENSIONS];
        let mut count = usize::from(rank > 0);
        for (dimension, len) in dimension_bytes.chunks_exact(8).zip(&mut dimensions) {
            *len =
                usize::try_from(i32::from_be_bytes([dimension[0], dimension[1], dimension[2], dimension[3]])).ok()?;
            count = count.checked_mul(*len)?;
        }
        // Every element has a length of four bytes: a damaged count cannot ask for more memory than there are bytes.
        (count <= elements.len() / 4).then_some(Self { dimensions, rank, elements, count })
    }

    /// Hands over one element after the other (`None` is a NULL); `None` where the bytes end early or late, or where
    /// `take` says so.
    fn each(mut self, mut take: impl FnMut(Option<&'a [u8]>) -> Option<()>) -> Option<()> {
        for _ in 0..self.count {
            let (len, rest) = self.elements.split_first_chunk::<4>()?;
            match i32::from_be_bytes(*len) {
                -1 => {
                    self.elements = rest;
                    take(None)?;
                }
                len => {
                    let (element, rest) = rest.split_at_checked(usize::try_from(len).ok()?)?;
                    self.elements = rest;
                    take(Some(element))?;
                }
            }
        }
        self.elements.is_empty().then_some(())
    }
}

fn array(of: &Wire, bytes: &[u8]) -> Option<Value> {
    let array = Array::read(bytes)?;
    let (dimensions, rank) = (array.dimensions, array.rank);
    let mut values = Vec::with_capacity(array.count);
    array.each(|element| {
        values.push(match element {
            None => Value::Null,
            Some(bytes) => decode(of, bytes)?,
        });
        Some(())
    })?;
    if let Some(reason) = values.iter().find_map(|v| if let Value::Invalid(reason) = v { Some(reason) } else { None }) {
        return Some(Value::Invalid(format!("an element is {reason}")));
    }
    // From the innermost dimension outwards.
    for len in dimensions[..rank].iter().skip(1).rev() {
        let mut groups = Vec::with_capacity(values.len() / (*len).max(1));
        let mut rest = values.into_iter();
        loop {
            let group: Vec<Value> = rest.by_ref().take(*len).collect();
            if group.is_empty() {
                break;
            }
            groups.push(Value::Array(group));
        }
        values = groups;
    }
    Some(Value::Array(values))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PLAIN: [Wire; 20] = [
        Wire::Bool,
        Wire::Int2,
        Wire::Int4,
        Wire::Int8,
        Wire::Oid,
        Wire::Float4,
        Wire::Float8,
        Wire::Numeric,
        Wire::Text,
        Wire::Json,
        Wire::Jsonb,
        Wire::Bytea,
        Wire::Date,
        Wire::Time,
        Wire::Timestamp,
        Wire::TimestampTz,
        Wire::Interval,
        Wire::Uuid,
        Wire::Network,
        Wire::Mac,
    ];

    fn wire() -> impl Strategy<Value = Wire> {
        (prop::sample::select(PLAIN.to_vec()), 0..3usize)
            .prop_map(|(plain, depth)| (0..depth).fold(plain, |of, _| Wire::Array(Box::new(of))))
    }

    fn int_array(oid: u32, dimensions: &[i32], elements: &[Option<i32>]) -> Vec<u8> {
        let mut out = i32::try_from(dimensions.len()).expect("few").to_be_bytes().to_vec();
        out.extend_from_slice(&[0, 0, 0, u8::from(elements.contains(&None))]);
        out.extend_from_slice(&oid.to_be_bytes());
        for len in dimensions {
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(&1i32.to_be_bytes());
        }
        for element in elements {
            match element {
                None => out.extend_from_slice(&(-1i32).to_be_bytes()),
                Some(n) => {
                    out.extend_from_slice(&4i32.to_be_bytes());
                    out.extend_from_slice(&n.to_be_bytes());
                }
            }
        }
        out
    }

    #[test]
    fn arrays_nest_by_their_dimensions() {
        let ints = Wire::Array(Box::new(Wire::Int4));
        let elements = [Some(1), None, Some(3), Some(4), Some(5), Some(6)];
        let value = decode(&ints, &int_array(23, &[2, 3], &elements)).expect("an array");
        assert_eq!(value.to_json().to_string(), "[[1,null,3],[4,5,6]]");
        assert_eq!(decode(&ints, &int_array(23, &[], &[])), Some(Value::Array(vec![])));
        assert_eq!(decode(&ints, &int_array(23, &[i32::MAX, i32::MAX], &[])), None);
    }

    #[test]
    fn the_element_type_is_not_part_of_an_array() {
        let cleared = |element: &Wire, mut bytes: Vec<u8>| {
            clear_oids(element, &mut bytes).expect("an array");
            bytes
        };
        let array = |oid: u32, elements: &[Option<i32>]| {
            int_array(oid, &[i32::try_from(elements.len()).expect("few")], elements)
        };
        let ints = |oid, elements: &[Option<i32>]| cleared(&Wire::Int4, array(oid, elements));
        assert_eq!(ints(23, &[Some(7), None]), ints(99_001, &[Some(7), None]));
        assert_ne!(ints(23, &[Some(7), None]), ints(23, &[Some(7), Some(0)]));
        assert_ne!(ints(23, &[Some(7)]), ints(23, &[Some(8)]));

        let nested = |outer: u32, inner: u32| {
            let mut out = int_array(outer, &[2], &[None]);
            let element = array(inner, &[Some(7)]);
            out.extend_from_slice(&u32::try_from(element.len()).expect("short").to_be_bytes());
            out.extend_from_slice(&element);
            out
        };
        let of_arrays = Wire::Array(Box::new(Wire::Int4));
        assert_eq!(cleared(&of_arrays, nested(1, 2)), nested(0, 0));
        assert_eq!(clear_oids(&of_arrays, &mut nested(1, 2)[..40]), None);
    }

    #[test]
    fn what_no_destination_can_take_is_invalid() {
        let day_after_the_last = i32::try_from(sound::LAST_DAY - EPOCH_DAYS + 1).expect("a day");
        let is_invalid = |wire: &Wire, bytes: &[u8]| matches!(decode(wire, bytes), Some(Value::Invalid(_)));
        assert!(is_invalid(&Wire::Float8, &f64::NAN.to_be_bytes()));
        assert!(is_invalid(&Wire::Float4, &f32::INFINITY.to_be_bytes()));
        assert!(is_invalid(&Wire::Date, &i32::MAX.to_be_bytes()));
        assert!(is_invalid(&Wire::Date, &day_after_the_last.to_be_bytes()));
        assert!(is_invalid(&Wire::TimestampTz, &i64::MIN.to_be_bytes()));
        assert!(is_invalid(&Wire::Timestamp, &(i64::MAX - 1).to_be_bytes()));
        assert!(is_invalid(&Wire::Time, &DAY_MICROS.to_be_bytes()));
        assert!(is_invalid(&Wire::Text, &[0xff]));
    }

    #[test]
    fn a_single_keeps_its_shortest_text() {
        assert_eq!(decode(&Wire::Float4, &0.1f32.to_be_bytes()), Some(Value::Float(0.1)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(wire in wire(), bytes: Vec<u8>) {
            let _ = decode(&wire, &bytes);
            let mut array = bytes;
            let _ = clear_oids(&wire, &mut array);
        }

        #[test]
        fn a_key_is_that_of_the_value(wire in wire(), bytes in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut from_bytes = Vec::new();
            let put = put_key(&wire, &bytes, &mut from_bytes);
            match decode(&wire, &bytes) {
                None => prop_assert_eq!(put, Err(NoKey::Malformed)),
                Some(value) => match key::encode(&[&value]) {
                    Ok(key) => prop_assert_eq!(put.map(|()| from_bytes), Ok(key)),
                    Err(_) => prop_assert_eq!(put, Err(NoKey::Value)),
                },
            }
        }
    }
}
