//! Dates and points in time.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Unit};

use backhaul_kit::Value;
use backhaul_kit::normalise::Refusal;

const MICROS_PER_DAY: i64 = 86_400_000_000;

pub(super) fn date(value: &Value) -> Result<Value, Refusal> {
    match value {
        Value::Date(_) => Ok(value.clone()),
        Value::Timestamp(micros) | Value::LocalTimestamp(micros) => days(micros.div_euclid(MICROS_PER_DAY)),
        Value::Text(text) => {
            let text = text.trim();
            if let Ok(instant) = text.parse::<Timestamp>() {
                return days(instant.as_microsecond().div_euclid(MICROS_PER_DAY));
            }
            let date: Date = text.parse().map_err(|_| Refusal::from("not an ISO 8601 date, as 2026-11-20"))?;
            civil_days(date)
        }
        Value::Int(_) => Err(NO_UNIT.into()),
        _ => Err("the column holds neither dates nor text".into()),
    }
}

pub(super) fn timestamp(value: &Value) -> Result<Value, Refusal> {
    match value {
        Value::Timestamp(_) => Ok(value.clone()),
        Value::LocalTimestamp(micros) => Ok(Value::Timestamp(*micros)),
        Value::Date(days) => Ok(Value::Timestamp(i64::from(*days) * MICROS_PER_DAY)),
        Value::Text(text) => {
            let text = text.trim();
            let instant = match text.parse::<Timestamp>() {
                Ok(instant) => instant,
                Err(_) => text
                    .parse::<DateTime>()
                    .and_then(|local| local.to_zoned(TimeZone::UTC))
                    .map_err(|_| Refusal::from("not an ISO 8601 time, as 2026-11-20T15:04:05Z"))?
                    .timestamp(),
            };
            match instant.round(Unit::Microsecond) {
                Ok(rounded) if rounded == instant => Ok(Value::Timestamp(instant.as_microsecond())),
                _ => Err("finer than microseconds, which would be lost".into()),
            }
        }
        Value::Int(_) => Err(NO_UNIT.into()),
        _ => Err("the column holds neither times nor text".into()),
    }
}

const NO_UNIT: &str = "a number does not say whether it counts days, seconds or milliseconds: convert it in the model";

fn days(days: i64) -> Result<Value, Refusal> {
    i32::try_from(days).map(Value::Date).map_err(|_| "beyond the calendar".into())
}

fn civil_days(date: Date) -> Result<Value, Refusal> {
    let span = date.since((Unit::Day, Date::constant(1970, 1, 1))).map_err(|_| Refusal::from("beyond the calendar"))?;
    Ok(Value::Date(span.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn dates_come_from_dates_times_and_text() {
        for (value, expected) in [
            (text("2026-11-20"), "2026-11-20"),
            (text(" 1969-12-31 "), "1969-12-31"),
            (text("2026-11-20T23:30:00-05:00"), "2026-11-21"),
            (text("2026-11-20 08:00:00"), "2026-11-20"),
            (Value::Timestamp(-1), "1969-12-31"),
            (Value::LocalTimestamp(0), "1970-01-01"),
        ] {
            assert_eq!(date(&value).unwrap().to_text(), expected);
        }
        for bad in ["20.11.2026", "11/20/2026", "2026-02-30", "yesterday"] {
            assert!(date(&text(bad)).is_err(), "{bad}");
        }
        assert!(date(&Value::Int(1_700_000_000)).unwrap_err().contains("seconds"));
    }

    #[test]
    fn times_keep_their_instant() {
        for (value, expected) in [
            (text("2026-11-20T15:04:05.123456+01:00"), "2026-11-20T14:04:05.123456Z"),
            (text("2026-11-20 15:04:05"), "2026-11-20T15:04:05Z"),
            (Value::Date(1), "1970-01-02T00:00:00Z"),
        ] {
            assert_eq!(timestamp(&value).unwrap().to_text(), expected);
        }
        assert!(timestamp(&text("2026-11-20T15:04:05.123456789Z")).is_err());
        assert!(timestamp(&text("15:04")).is_err());
    }
}
