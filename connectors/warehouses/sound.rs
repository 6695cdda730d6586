//! What every destination can take of numbers, dates and times: finite, of one day, of the years 1 to 9999. The rest is
//! [`Value::Invalid`].

use backhaul_kit::Value;

/// Microseconds of a day.
pub(super) const DAY_MICROS: i64 = 86_400_000_000;
/// 0001-01-01 and 9999-12-31, as days from 1970-01-01: what ISO 8601 writes with four digits.
const FIRST_DAY: i64 = -719_162;
pub(super) const LAST_DAY: i64 = 2_932_896;

/// A value that is sound, but that no destination can take.
pub(super) fn invalid(what: &str) -> Value {
    Value::Invalid(what.to_owned())
}

/// The double whose shortest text is that of the single: 0.1 stays 0.1.
pub(super) fn single(f: f32) -> Value {
    match f.to_string().parse() {
        Ok(f) => double(f),
        Err(_) => invalid("a number that is not finite"),
    }
}

/// A double.
pub(super) fn double(f: f64) -> Value {
    if f.is_finite() { Value::Float(f) } else { invalid(&format!("{f} is not a finite number")) }
}

/// A date, in days from 1970-01-01.
pub(super) fn date(days: i64) -> Value {
    match i32::try_from(days) {
        Ok(day) if (FIRST_DAY..=LAST_DAY).contains(&days) => Value::Date(day),
        _ => invalid("a date outside of the years 1 to 9999"),
    }
}

/// A time of day, in microseconds from midnight.
pub(super) fn time(micros: i64) -> Value {
    match micros {
        0..DAY_MICROS => Value::Time(micros),
        _ => invalid("a time outside of one day"),
    }
}

/// A point in time, or a date and time of no zone, in microseconds from 1970-01-01.
pub(super) fn timestamp(micros: i64, value: impl FnOnce(i64) -> Value) -> Value {
    if (FIRST_DAY..=LAST_DAY).contains(&micros.div_euclid(DAY_MICROS)) {
        value(micros)
    } else {
        invalid("a timestamp outside of the years 1 to 9999")
    }
}
