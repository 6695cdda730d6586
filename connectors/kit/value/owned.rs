//! Values that own their text.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::borrowed::{FieldRef, ListRef, ValueRef};
use super::tag;
use super::wire::{put_bytes, put_varint, zigzag};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// One value as a warehouse handed it over, or as a field of a destination will get it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// SQL NULL.
    Null,
    /// A boolean.
    Bool(bool),
    /// A signed 64-bit integer.
    Int(i64),
    /// An exact decimal in plain notation, as the warehouse wrote it (`12.50`).
    Decimal(String),
    /// A number that must be sent as a JSON number whatever its size (`as = "number"`), in JSON's notation.
    Number(String),
    /// A finite double.
    Float(f64),
    /// UTF-8 text.
    Text(String),
    /// Raw bytes; base64 in JSON.
    Bytes(Vec<u8>),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since midnight.
    Time(i64),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// Microseconds since 1970-01-01T00:00:00, of no time zone.
    LocalTimestamp(i64),
    /// A span in calendar units; ISO 8601 in JSON.
    Interval {
        /// Whole months.
        months: i32,
        /// Whole days.
        days: i32,
        /// The rest, in microseconds.
        micros: i64,
    },
    /// A UUID.
    Uuid([u8; 16]),
    /// JSON text, passed through as it is.
    Json(String),
    /// A list.
    Array(Vec<Value>),
    /// A value that no destination can take (NaN, infinity, a date beyond year 9999); the mapper
    /// rejects the row with this reason.
    Invalid(String),
}

/// What a mapped field of one row says to the destination.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Field<V> {
    /// Leave the field out (`null = "skip"`).
    Skip,
    /// Empty the field in the vendor's own way (`null = "clear"`).
    Clear,
    /// Set it; `Set(Value::Null)` sends a null.
    Set(V),
}

/// What a mapped field of one row says to the destination, with a value that owns its text.
pub type FieldValue = Field<Value>;

impl<V> Field<V> {
    /// The value, if one is set.
    pub fn value(self) -> Option<V> {
        match self {
            Self::Set(value) => Some(value),
            Self::Skip | Self::Clear => None,
        }
    }
}

impl Value {
    /// Whether this is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The moment that the value says, in microseconds since 1970 (UTC): what has no time zone is taken as UTC, and a date as
    /// its first moment. `None` for what says none.
    pub fn moment(&self) -> Option<i64> {
        match self {
            Self::Timestamp(micros) | Self::LocalTimestamp(micros) => Some(*micros),
            Self::Date(days) => i64::from(*days).checked_mul(MICROS_PER_DAY),
            Self::Text(text) => {
                let zoned = text.parse::<Timestamp>();
                let time = zoned.or_else(|_| text.parse::<DateTime>()?.to_zoned(TimeZone::UTC).map(|z| z.timestamp()));
                time.ok().map(Timestamp::as_microsecond)
            }
            _ => None,
        }
    }

    /// Appends the value as JSON; see [`ValueRef::write_json`].
    pub fn write_json(&self, out: &mut Vec<u8>) {
        ValueRef::from(self).write_json(out);
    }

    /// The value as a `serde_json::Value`, for templates and tests; [`Value::write_json`] is the fast way.
    pub fn to_json(&self) -> serde_json::Value {
        ValueRef::from(self).to_json()
    }

    /// The value as plain text: what a destination that knows only strings gets. NULL is empty.
    pub fn to_text(&self) -> String {
        ValueRef::from(self).to_text()
    }

    /// Appends the compact encoding of plan files: one tag byte, then the payload. See
    /// [`ValueRef::decode`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(tag::NULL),
            Self::Bool(false) => out.push(tag::FALSE),
            Self::Bool(true) => out.push(tag::TRUE),
            Self::Int(i) => put_signed(tag::INT, *i, out),
            Self::Decimal(t) => put_tagged(tag::DECIMAL, t.as_bytes(), out),
            Self::Number(t) => put_tagged(tag::NUMBER, t.as_bytes(), out),
            Self::Float(f) => {
                out.push(tag::FLOAT);
                out.extend_from_slice(&f.to_bits().to_le_bytes());
            }
            Self::Text(t) => put_tagged(tag::TEXT, t.as_bytes(), out),
            Self::Bytes(b) => put_tagged(tag::BYTES, b, out),
            Self::Date(d) => put_signed(tag::DATE, i64::from(*d), out),
            Self::Time(t) => put_signed(tag::TIME, *t, out),
            Self::Timestamp(t) => put_signed(tag::TIMESTAMP, *t, out),
            Self::LocalTimestamp(t) => put_signed(tag::LOCAL_TIMESTAMP, *t, out),
            Self::Interval { months, days, micros } => {
                put_signed(tag::INTERVAL, i64::from(*months), out);
                put_varint(zigzag(i64::from(*days)), out);
                put_varint(zigzag(*micros), out);
            }
            Self::Uuid(u) => {
                out.push(tag::UUID);
                out.extend_from_slice(u);
            }
            Self::Json(t) => put_tagged(tag::JSON, t.as_bytes(), out),
            Self::Array(items) => {
                out.push(tag::ARRAY);
                put_varint(items.len() as u64, out);
                items.iter().for_each(|item| item.encode(out));
            }
            Self::Invalid(t) => put_tagged(tag::INVALID, t.as_bytes(), out),
        }
    }

    /// Reads one value off the front of `input`; `None` when the bytes are not an encoded value.
    pub fn decode(input: &mut &[u8]) -> Option<Self> {
        ValueRef::decode(input).map(Self::from)
    }
}

impl From<ValueRef<'_>> for Value {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Bool(b) => Self::Bool(b),
            ValueRef::Int(i) => Self::Int(i),
            ValueRef::Decimal(text) => Self::Decimal(text.to_owned()),
            ValueRef::Number(text) => Self::Number(text.to_owned()),
            ValueRef::Float(f) => Self::Float(f),
            ValueRef::Text(text) => Self::Text(text.to_owned()),
            ValueRef::Bytes(bytes) => Self::Bytes(bytes.to_vec()),
            ValueRef::Date(days) => Self::Date(days),
            ValueRef::Time(micros) => Self::Time(micros),
            ValueRef::Timestamp(micros) => Self::Timestamp(micros),
            ValueRef::LocalTimestamp(micros) => Self::LocalTimestamp(micros),
            ValueRef::Interval { months, days, micros } => Self::Interval { months, days, micros },
            ValueRef::Uuid(bytes) => Self::Uuid(bytes),
            ValueRef::Json(text) => Self::Json(text.to_owned()),
            ValueRef::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            ValueRef::Invalid(why) => Self::Invalid(why.to_owned()),
        }
    }
}

impl<'a> From<&'a Value> for ValueRef<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(b) => Self::Bool(*b),
            Value::Int(i) => Self::Int(*i),
            Value::Decimal(text) => Self::Decimal(text),
            Value::Number(text) => Self::Number(text),
            Value::Float(f) => Self::Float(*f),
            Value::Text(text) => Self::Text(text),
            Value::Bytes(bytes) => Self::Bytes(bytes),
            Value::Date(days) => Self::Date(*days),
            Value::Time(micros) => Self::Time(*micros),
            Value::Timestamp(micros) => Self::Timestamp(*micros),
            Value::LocalTimestamp(micros) => Self::LocalTimestamp(*micros),
            Value::Interval { months, days, micros } => {
                Self::Interval { months: *months, days: *days, micros: *micros }
            }
            Value::Uuid(bytes) => Self::Uuid(*bytes),
            Value::Json(text) => Self::Json(text),
            Value::Array(items) => Self::Array(ListRef::of(items)),
            Value::Invalid(why) => Self::Invalid(why),
        }
    }
}

impl FieldValue {
    /// Appends the compact encoding of plan files.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Skip => out.push(tag::SKIP),
            Self::Clear => out.push(tag::CLEAR),
            Self::Set(value) => value.encode(out),
        }
    }
}

impl From<FieldRef<'_>> for FieldValue {
    fn from(field: FieldRef<'_>) -> Self {
        match field {
            FieldRef::Skip => Self::Skip,
            FieldRef::Clear => Self::Clear,
            FieldRef::Set(value) => Self::Set(value.into()),
        }
    }
}

impl<'a> From<&'a FieldValue> for FieldRef<'a> {
    fn from(field: &'a FieldValue) -> Self {
        match field {
            FieldValue::Skip => Self::Skip,
            FieldValue::Clear => Self::Clear,
            FieldValue::Set(value) => Self::Set(value.into()),
        }
    }
}

fn put_signed(tag: u8, n: i64, out: &mut Vec<u8>) {
    out.push(tag);
    put_varint(zigzag(n), out);
}

fn put_tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    put_bytes(bytes, out);
}
