//! Values as JSON and as text.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::{DateTime, Time};
use jiff::fmt::temporal::DateTimePrinter;
use jiff::{SignedDuration, Timestamp};

use super::borrowed::ValueRef;
use super::tag;
use super::wire::{take_bytes, take_varint};

/// Integers beyond this magnitude are not exact in a JSON reader that uses doubles.
const EXACT_IN_DOUBLE: u64 = 1 << 53;
/// A double keeps this many significant decimal digits.
const DIGITS_IN_DOUBLE: usize = 15;
const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
const ISO_8601: DateTimePrinter = DateTimePrinter::new();

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).filter_map(|half| char::from_digit(half.into(), 16)).collect()
}

impl ValueRef<'_> {
    /// Appends the value as JSON.
    ///
    /// Integers beyond 2^53 and decimals of more than 15 significant digits become strings, because
    /// most JSON readers would round them; a [`Value::Number`](super::Value::Number) is always a number.
    pub fn write_json(self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(_) | Self::Number(_) | Self::Json(_) => self.write_text(out),
            Self::Int(i) if i.unsigned_abs() <= EXACT_IN_DOUBLE => self.write_text(out),
            Self::Decimal(text) if is_exact_decimal(text.as_bytes()) => self.write_text(out),
            Self::Float(f) if f.is_finite() => self.write_text(out),
            // JSON has no NaN and no infinity.
            Self::Null | Self::Invalid(_) | Self::Float(_) => out.extend_from_slice(b"null"),
            Self::Text(text) | Self::Decimal(text) => write_json_str(text, out),
            Self::Array(items) => {
                out.push(b'[');
                for (place, item) in items.iter().enumerate() {
                    if place > 0 {
                        out.push(b',');
                    }
                    item.write_json(out);
                }
                out.push(b']');
            }
            // The text of these has nothing to escape.
            Self::Int(_)
            | Self::Bytes(_)
            | Self::Date(_)
            | Self::Time(_)
            | Self::Timestamp(_)
            | Self::LocalTimestamp(_)
            | Self::Interval { .. }
            | Self::Uuid(_) => {
                out.push(b'"');
                self.write_text(out);
                out.push(b'"');
            }
        }
    }

    /// The value as a `serde_json::Value`, for templates; [`ValueRef::write_json`] is the fast way.
    pub fn to_json(self) -> serde_json::Value {
        let mut out = Vec::new();
        self.write_json(&mut out);
        serde_json::from_slice(&out).unwrap_or_else(|_| serde_json::Value::String(self.to_text()))
    }

    /// The value as plain text: what a destination that knows only strings gets. NULL is empty.
    pub fn to_text(self) -> String {
        let mut out = Vec::new();
        self.write_text(&mut out);
        String::from_utf8(out).unwrap_or_default()
    }

    fn write_text(self, out: &mut Vec<u8>) {
        match self {
            Self::Bool(b) => out.extend_from_slice(if b { b"true" } else { b"false" }),
            // Writing into a Vec cannot fail, here and below.
            Self::Int(i) => drop(serde_json::to_writer(out, &i)),
            Self::Decimal(text) | Self::Number(text) | Self::Text(text) | Self::Json(text) => {
                out.extend_from_slice(text.as_bytes());
            }
            // JSON's notation is the shortest that comes back.
            Self::Float(f) if f.is_finite() => drop(serde_json::to_writer(out, &f)),
            Self::Null | Self::Invalid(_) | Self::Float(_) => {}
            Self::Bytes(bytes) => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
            Self::Date(days) => {
                if let Ok(date) = EPOCH.date().checked_add(SignedDuration::from_hours(24 * i64::from(days))) {
                    drop(ISO_8601.print_date(&date, out));
                }
            }
            Self::Time(micros) => {
                if let Ok(time) = Time::midnight().checked_add(SignedDuration::from_micros(micros)) {
                    drop(ISO_8601.print_time(&time, out));
                }
            }
            Self::Timestamp(micros) => {
                if let Ok(moment) = Timestamp::from_microsecond(micros) {
                    drop(ISO_8601.print_timestamp(&moment, out));
                }
            }
            Self::LocalTimestamp(micros) => {
                if let Ok(moment) = EPOCH.checked_add(SignedDuration::from_micros(micros)) {
                    drop(ISO_8601.print_datetime(&moment, out));
                }
            }
            Self::Interval { months, days, micros } => write_interval(months, days, micros, out),
            Self::Uuid(bytes) => {
                for (place, byte) in bytes.into_iter().enumerate() {
                    if matches!(place, 4 | 6 | 8 | 10) {
                        out.push(b'-');
                    }
                    out.extend([byte >> 4, byte & 15].map(|half| b"0123456789abcdef"[usize::from(half)]));
                }
            }
            Self::Array(_) => self.write_json(out),
        }
    }
}

/// Appends a field as [`ValueRef::write_json`] would, straight from its encoding: most values are text, which needs no
/// more than to be copied. Gives `false` where the field is left out, `None` where `input` does not begin with a field.
#[inline]
pub(crate) fn write_field_json(input: &mut &[u8], out: &mut Vec<u8>) -> Option<bool> {
    let (&first, rest) = input.split_first()?;
    match first {
        tag::SKIP => {
            *input = rest;
            return Some(false);
        }
        tag::CLEAR => {
            *input = rest;
            out.extend_from_slice(b"null");
        }
        _ => write_encoded_json(input, out)?,
    }
    Some(true)
}

fn write_encoded_json(input: &mut &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (&first, rest) = input.split_first()?;
    if !matches!(first, tag::TEXT | tag::DECIMAL | tag::NUMBER | tag::JSON | tag::ARRAY) {
        ValueRef::decode(input)?.write_json(out);
        return Some(());
    }
    *input = rest;
    if first == tag::ARRAY {
        out.push(b'[');
        for place in 0..take_varint(input)? {
            if place > 0 {
                out.push(b',');
            }
            write_encoded_json(input, out)?;
        }
        out.push(b']');
        return Some(());
    }
    let text = take_bytes(input)?;
    if first == tag::TEXT || (first == tag::DECIMAL && !is_exact_decimal(text)) {
        write_json_text(text, out);
    } else {
        out.extend_from_slice(text);
    }
    Some(())
}

/// Appends `text` as a JSON string.
pub fn write_json_str(text: &str, out: &mut Vec<u8>) {
    write_json_text(text.as_bytes(), out);
}

/// Appends UTF-8 as a JSON string.
fn write_json_text(text: &[u8], out: &mut Vec<u8>) {
    // Hardly any text has something to escape.
    if text.iter().any(|byte| ESCAPED[usize::from(*byte)]) {
        // Writing a str into a Vec cannot fail.
        return drop(serde_json::to_writer(out, &String::from_utf8_lossy(text)));
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text);
    out.push(b'"');
}

/// Whether a byte of a JSON string is written another way: quotes, backslashes, control characters.
const ESCAPED: [bool; 256] = {
    let mut escaped = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        escaped[byte] = true;
        byte += 1;
    }
    escaped[b'"' as usize] = true;
    escaped[b'\\' as usize] = true;
    escaped
};

/// ISO 8601 (`P1Y2M3DT4H5M6.7S`).
fn write_interval(months: i32, days: i32, micros: i64, out: &mut Vec<u8>) {
    fn part(n: i64, unit: char, out: &mut Vec<u8>) {
        if n != 0 {
            drop(write!(out, "{n}{unit}"));
        }
    }
    out.push(b'P');
    part(i64::from(months / 12), 'Y', out);
    part(i64::from(months % 12), 'M', out);
    part(i64::from(days), 'D', out);
    if micros != 0 {
        out.push(b'T');
        let (seconds, fraction) = (micros / 1_000_000, (micros % 1_000_000).unsigned_abs());
        part(seconds / 3600, 'H', out);
        part(seconds / 60 % 60, 'M', out);
        if fraction == 0 {
            part(seconds % 60, 'S', out);
        } else {
            let sign = if micros < 0 { "-" } else { "" };
            drop(write!(out, "{sign}{}.{fraction:06}", (seconds % 60).unsigned_abs()));
            while out.pop_if(|last| *last == b'0').is_some() {}
            out.push(b'S');
        }
    } else if (months, days) == (0, 0) {
        out.extend_from_slice(b"T0S");
    }
}

/// Whether a JSON reader that uses doubles keeps every digit, and the text is a JSON number at all.
fn is_exact_decimal(text: &[u8]) -> bool {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    // No needless zero in front.
    let begins = matches!(digits, [b'1'..=b'9', ..] | [b'0'] | [b'0', b'.', ..]);
    let (mut points, mut significant) = (0, 0);
    for byte in digits {
        match byte {
            b'.' => points += 1,
            b'0' if significant == 0 => {}
            b'0'..=b'9' => significant += 1,
            _ => return false,
        }
    }
    begins && points <= 1 && digits.last() != Some(&b'.') && significant <= DIGITS_IN_DOUBLE
}
