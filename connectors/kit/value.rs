//! Typed values between a warehouse and a destination: how they look as JSON and text, and their
//! compact encoding inside plan files.

use std::fmt::Write as _;

use base64::Engine as _;
use jiff::civil::{Date, Time};

/// Integers beyond this magnitude are not exact in a JSON reader that uses doubles.
const EXACT_IN_DOUBLE: u64 = 1 << 53;
/// A double keeps this many significant decimal digits.
const DIGITS_IN_DOUBLE: usize = 15;
/// Lists in lists are read to this depth: damaged bytes must not take the stack.
const MAX_DEPTH: usize = 64;

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
#[derive(Clone, Debug, PartialEq)]
pub enum FieldValue {
    /// Leave the field out (`null = "skip"`).
    Skip,
    /// Empty the field in the vendor's own way (`null = "clear"`).
    Clear,
    /// Set it; `Set(Value::Null)` sends a null.
    Set(Value),
}

impl FieldValue {
    /// The value, if one is set.
    pub fn value(&self) -> Option<&Value> {
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

    /// Appends the value as JSON.
    ///
    /// Integers beyond 2^53 and decimals of more than 15 significant digits become strings, because
    /// most JSON readers would round them; [`Value::Number`] is always a number.
    pub fn write_json(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null | Self::Invalid(_) => out.extend_from_slice(b"null"),
            Self::Bool(true) => out.extend_from_slice(b"true"),
            Self::Bool(false) => out.extend_from_slice(b"false"),
            Self::Int(i) if i.unsigned_abs() > EXACT_IN_DOUBLE => write_json_str(&i.to_string(), out),
            Self::Int(i) => push_display(out, i),
            Self::Decimal(text) if is_exact_decimal(text) => out.extend_from_slice(text.as_bytes()),
            Self::Float(f) => {
                let mut buffer = Vec::with_capacity(24);
                match serde_json::to_writer(&mut buffer, f) {
                    Ok(()) => out.extend_from_slice(&buffer),
                    Err(_) => out.extend_from_slice(b"null"),
                }
            }
            Self::Text(text) => write_json_str(text, out),
            Self::Json(text) | Self::Number(text) => out.extend_from_slice(text.as_bytes()),
            Self::Array(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            Self::Decimal(_)
            | Self::Bytes(_)
            | Self::Date(_)
            | Self::Time(_)
            | Self::Timestamp(_)
            | Self::LocalTimestamp(_)
            | Self::Interval { .. }
            | Self::Uuid(_) => write_json_str(&self.to_text(), out),
        }
    }

    /// The value as a `serde_json::Value`, for templates and tests; [`Value::write_json`] is the fast way.
    pub fn to_json(&self) -> serde_json::Value {
        let mut out = Vec::new();
        self.write_json(&mut out);
        serde_json::from_slice(&out).unwrap_or_else(|_| serde_json::Value::String(self.to_text()))
    }

    /// The value as plain text: what a destination that knows only strings gets. NULL is empty.
    pub fn to_text(&self) -> String {
        match self {
            Self::Null | Self::Invalid(_) => String::new(),
            Self::Bool(b) => b.to_string(),
            Self::Int(i) => i.to_string(),
            Self::Decimal(text) | Self::Number(text) | Self::Text(text) | Self::Json(text) => text.clone(),
            Self::Float(f) => serde_json::Number::from_f64(*f).map(|n| n.to_string()).unwrap_or_default(),
            Self::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes),
            Self::Date(days) => date(*days).map(|d| d.to_string()).unwrap_or_default(),
            Self::Time(micros) => time(*micros).map(|t| t.to_string()).unwrap_or_default(),
            Self::Timestamp(micros) => {
                jiff::Timestamp::from_microsecond(*micros).map(|t| t.to_string()).unwrap_or_default()
            }
            Self::LocalTimestamp(micros) => {
                let days = micros.div_euclid(86_400_000_000);
                let rest = micros.rem_euclid(86_400_000_000);
                match (i32::try_from(days).ok().and_then(date), time(rest)) {
                    (Some(d), Some(t)) => d.to_datetime(t).to_string(),
                    _ => String::new(),
                }
            }
            Self::Interval { months, days, micros } => interval(*months, *days, *micros),
            Self::Uuid(bytes) => uuid(bytes),
            Self::Array(_) => {
                let mut out = Vec::new();
                self.write_json(&mut out);
                String::from_utf8(out).unwrap_or_default()
            }
        }
    }

    /// Appends the compact encoding of plan files: one tag byte, then the payload. See [`Value::decode`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.push(0),
            Self::Bool(false) => out.push(1),
            Self::Bool(true) => out.push(2),
            Self::Int(i) => {
                out.push(3);
                put_varint(zigzag(*i), out);
            }
            Self::Decimal(t) => put_tagged(4, t.as_bytes(), out),
            Self::Number(t) => put_tagged(5, t.as_bytes(), out),
            Self::Float(f) => {
                out.push(6);
                out.extend_from_slice(&f.to_bits().to_le_bytes());
            }
            Self::Text(t) => put_tagged(7, t.as_bytes(), out),
            Self::Bytes(b) => put_tagged(8, b, out),
            Self::Date(d) => {
                out.push(9);
                put_varint(zigzag(i64::from(*d)), out);
            }
            Self::Time(t) => {
                out.push(10);
                put_varint(zigzag(*t), out);
            }
            Self::Timestamp(t) => {
                out.push(11);
                put_varint(zigzag(*t), out);
            }
            Self::LocalTimestamp(t) => {
                out.push(12);
                put_varint(zigzag(*t), out);
            }
            Self::Interval { months, days, micros } => {
                out.push(13);
                put_varint(zigzag(i64::from(*months)), out);
                put_varint(zigzag(i64::from(*days)), out);
                put_varint(zigzag(*micros), out);
            }
            Self::Uuid(u) => {
                out.push(14);
                out.extend_from_slice(u);
            }
            Self::Json(t) => put_tagged(15, t.as_bytes(), out),
            Self::Array(items) => {
                out.push(16);
                put_varint(items.len() as u64, out);
                for item in items {
                    item.encode(out);
                }
            }
            Self::Invalid(t) => put_tagged(17, t.as_bytes(), out),
        }
    }

    /// Reads one value off the front of `input`; `None` when the bytes are not an encoded value.
    pub fn decode(input: &mut &[u8]) -> Option<Self> {
        Self::decode_at(input, 0)
    }

    fn decode_at(input: &mut &[u8], depth: usize) -> Option<Self> {
        let (&tag, rest) = input.split_first()?;
        *input = rest;
        Some(match tag {
            0 => Self::Null,
            1 => Self::Bool(false),
            2 => Self::Bool(true),
            3 => Self::Int(unzigzag(take_varint(input)?)),
            4 => Self::Decimal(take_string(input)?),
            5 => Self::Number(take_string(input)?),
            6 => {
                let (bytes, rest) = input.split_first_chunk::<8>()?;
                *input = rest;
                Self::Float(f64::from_bits(u64::from_le_bytes(*bytes)))
            }
            7 => Self::Text(take_string(input)?),
            8 => Self::Bytes(take_bytes(input)?.to_vec()),
            9 => Self::Date(i32::try_from(unzigzag(take_varint(input)?)).ok()?),
            10 => Self::Time(unzigzag(take_varint(input)?)),
            11 => Self::Timestamp(unzigzag(take_varint(input)?)),
            12 => Self::LocalTimestamp(unzigzag(take_varint(input)?)),
            13 => Self::Interval {
                months: i32::try_from(unzigzag(take_varint(input)?)).ok()?,
                days: i32::try_from(unzigzag(take_varint(input)?)).ok()?,
                micros: unzigzag(take_varint(input)?),
            },
            14 => {
                let (bytes, rest) = input.split_first_chunk::<16>()?;
                *input = rest;
                Self::Uuid(*bytes)
            }
            15 => Self::Json(take_string(input)?),
            16 => {
                let count = usize::try_from(take_varint(input)?).ok()?;
                // Every item takes at least a byte: a damaged count cannot ask for more memory than the input has.
                if count > input.len() || depth == MAX_DEPTH {
                    return None;
                }
                Self::Array((0..count).map(|_| Self::decode_at(input, depth + 1)).collect::<Option<_>>()?)
            }
            17 => Self::Invalid(take_string(input)?),
            _ => return None,
        })
    }
}

impl FieldValue {
    /// Appends the compact encoding of plan files.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Skip => out.push(254),
            Self::Clear => out.push(255),
            Self::Set(value) => value.encode(out),
        }
    }

    /// Reads one field off the front of `input`.
    pub fn decode(input: &mut &[u8]) -> Option<Self> {
        match input.first()? {
            254 => {
                *input = &input[1..];
                Some(Self::Skip)
            }
            255 => {
                *input = &input[1..];
                Some(Self::Clear)
            }
            _ => Value::decode(input).map(Self::Set),
        }
    }
}

/// Appends `text` as a JSON string.
pub fn write_json_str(text: &str, out: &mut Vec<u8>) {
    // Writing a str into a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}

fn push_display(out: &mut Vec<u8>, value: impl std::fmt::Display) {
    use std::io::Write as _;
    let _ = write!(out, "{value}");
}

/// Whether a JSON reader that uses doubles keeps every digit, and the text is a JSON number at all.
fn is_exact_decimal(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let well_formed = {
        let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        all_digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(all_digits)
    };
    well_formed && digits.bytes().filter(u8::is_ascii_digit).skip_while(|b| *b == b'0').count() <= DIGITS_IN_DOUBLE
}

fn date(days: i32) -> Option<Date> {
    Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

fn time(micros: i64) -> Option<Time> {
    let seconds = micros.div_euclid(1_000_000);
    let nanos = i32::try_from(micros.rem_euclid(1_000_000)).ok()? * 1000;
    let part = |n: i64| i8::try_from(n).ok();
    Time::new(part(seconds / 3600)?, part(seconds / 60 % 60)?, part(seconds % 60)?, nanos).ok()
}

fn interval(months: i32, days: i32, micros: i64) -> String {
    let mut out = String::from("P");
    let mut part = |n: i64, unit: &str| {
        if n != 0 {
            let _ = write!(out, "{n}{unit}");
        }
    };
    part(i64::from(months / 12), "Y");
    part(i64::from(months % 12), "M");
    part(i64::from(days), "D");
    if micros != 0 {
        out.push('T');
        let (seconds, fraction) = (micros / 1_000_000, (micros % 1_000_000).unsigned_abs());
        for (n, unit) in [(seconds / 3600, "H"), (seconds / 60 % 60, "M")] {
            if n != 0 {
                let _ = write!(out, "{n}{unit}");
            }
        }
        if seconds % 60 != 0 || fraction != 0 {
            if seconds % 60 == 0 && micros < 0 {
                out.push('-');
            }
            let _ = write!(out, "{}", seconds % 60);
            if fraction != 0 {
                let _ = write!(out, ".{}", format!("{fraction:06}").trim_end_matches('0'));
            }
            out.push('S');
        }
    }
    if out == "P" {
        out.push_str("T0S");
    }
    out
}

fn uuid(bytes: &[u8; 16]) -> String {
    let mut out = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            out.push('-');
        }
        let _ = write!(out, "{byte:02x}");
    }
    out
}

fn put_tagged(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(tag);
    put_bytes(bytes, out);
}

/// Appends a length and the bytes.
pub fn put_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    put_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}

/// Appends a LEB128 number.
pub fn put_varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push((n as u8) | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

/// Reads a LEB128 number off the front of `input`.
pub fn take_varint(input: &mut &[u8]) -> Option<u64> {
    let mut n = 0u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = input.split_first()?;
        *input = rest;
        let part = u64::from(byte & 0x7f);
        if shift == 63 && part > 1 {
            return None;
        }
        n |= part << shift;
        if byte & 0x80 == 0 {
            return Some(n);
        }
    }
    None
}

/// Reads a length and that many bytes off the front of `input`.
pub fn take_bytes<'a>(input: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(input)?).ok()?;
    let (bytes, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(bytes)
}

fn take_string(input: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(input)?.to_vec()).ok()
}

/// Small magnitudes to small numbers.
pub fn zigzag(n: i64) -> u64 {
    ((n << 1) ^ (n >> 63)) as u64
}

/// The inverse of [`zigzag`].
pub fn unzigzag(n: u64) -> i64 {
    ((n >> 1) as i64) ^ -((n & 1) as i64)
}
