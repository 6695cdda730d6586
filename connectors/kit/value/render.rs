//! Values as JSON and as text.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use super::borrowed::ValueRef;
use super::tag;
use super::wire::{take_bytes, take_varint};

/// Integers beyond this magnitude are not exact in a JSON reader that uses doubles.
const EXACT_IN_DOUBLE: u64 = 1 << 53;
/// A double keeps this many significant decimal digits.
const DIGITS_IN_DOUBLE: usize = 15;
const MICROS_PER_DAY: i64 = 86_400_000_000;

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
            Self::Int(i) => write_int(i, out),
            Self::Decimal(text) | Self::Number(text) | Self::Text(text) | Self::Json(text) => {
                out.extend_from_slice(text.as_bytes());
            }
            // Writing into a Vec cannot fail; JSON's notation is the shortest that comes back.
            Self::Float(f) if f.is_finite() => drop(serde_json::to_writer(out, &f)),
            Self::Null | Self::Invalid(_) | Self::Float(_) => {}
            Self::Bytes(bytes) => out.extend_from_slice(STANDARD.encode(bytes).as_bytes()),
            Self::Date(days) => {
                if let Some(date) = date(days) {
                    write_date(date, out);
                }
            }
            Self::Time(micros) => {
                if let Some(time) = time(micros) {
                    write_time(time, out);
                }
            }
            Self::Timestamp(micros) => {
                if let Ok(moment) = Timestamp::from_microsecond(micros) {
                    write_moment(Offset::UTC.to_datetime(moment), out);
                    out.push(b'Z');
                }
            }
            Self::LocalTimestamp(micros) => {
                let days = i32::try_from(micros.div_euclid(MICROS_PER_DAY)).ok().and_then(date);
                if let (Some(date), Some(time)) = (days, time(micros.rem_euclid(MICROS_PER_DAY))) {
                    write_moment(date.to_datetime(time), out);
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

fn write_int(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    write_digits(value.unsigned_abs(), 1, out);
}

/// Appends a number of at least `least` digits.
fn write_digits(mut value: u64, least: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while value > 0 {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[start.min(digits.len() - least)..]);
}

fn two_digits(n: u8) -> [u8; 2] {
    [b'0' + n / 10 % 10, b'0' + n % 10]
}

/// Date and time as ISO 8601.
fn write_moment(moment: DateTime, out: &mut Vec<u8>) {
    write_date(moment.date(), out);
    out.push(b'T');
    write_time(moment.time(), out);
}

fn write_date(date: Date, out: &mut Vec<u8>) {
    let Ok(year) = u16::try_from(date.year()) else {
        // Years before our era have a sign and six digits. Writing into a Vec cannot fail.
        return drop(write!(out, "{date}"));
    };
    let ([c1, c2], [y1, y2]) = (two_digits((year / 100) as u8), two_digits((year % 100) as u8));
    let ([m1, m2], [d1, d2]) = (two_digits(date.month().unsigned_abs()), two_digits(date.day().unsigned_abs()));
    out.extend_from_slice(&[c1, c2, y1, y2, b'-', m1, m2, b'-', d1, d2]);
}

/// With as many digits of the second as it needs.
fn write_time(time: Time, out: &mut Vec<u8>) {
    let parts = [time.hour(), time.minute(), time.second()].map(|part| two_digits(part.unsigned_abs()));
    let [[h1, h2], [m1, m2], [s1, s2]] = parts;
    out.extend_from_slice(&[h1, h2, b':', m1, m2, b':', s1, s2]);
    write_fraction(u64::from(time.subsec_nanosecond().unsigned_abs()), 9, out);
}

/// A point and the digits of a fraction of `digits` digits, without the zeros at their end; nothing for 0.
fn write_fraction(fraction: u64, digits: usize, out: &mut Vec<u8>) {
    if fraction > 0 {
        out.push(b'.');
        write_digits(fraction, digits, out);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// ISO 8601 (`P1Y2M3DT4H5M6.7S`).
fn write_interval(months: i32, days: i32, micros: i64, out: &mut Vec<u8>) {
    fn part(n: i64, unit: u8, out: &mut Vec<u8>) {
        if n != 0 {
            write_int(n, out);
            out.push(unit);
        }
    }
    out.push(b'P');
    part(i64::from(months / 12), b'Y', out);
    part(i64::from(months % 12), b'M', out);
    part(i64::from(days), b'D', out);
    if micros != 0 {
        out.push(b'T');
        let (seconds, fraction) = (micros / 1_000_000, (micros % 1_000_000).unsigned_abs());
        part(seconds / 3600, b'H', out);
        part(seconds / 60 % 60, b'M', out);
        if seconds % 60 != 0 || fraction != 0 {
            if seconds % 60 == 0 && micros < 0 {
                out.push(b'-');
            }
            write_int(seconds % 60, out);
            write_fraction(fraction, 6, out);
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

fn date(days: i32) -> Option<Date> {
    Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(days).ok()?).ok()
}

fn time(micros: i64) -> Option<Time> {
    let seconds = micros.div_euclid(1_000_000);
    let nanos = i32::try_from(micros.rem_euclid(1_000_000)).ok()? * 1000;
    let part = |n: i64| i8::try_from(n).ok();
    Time::new(part(seconds / 3600)?, part(seconds / 60 % 60)?, part(seconds % 60)?, nanos).ok()
}
