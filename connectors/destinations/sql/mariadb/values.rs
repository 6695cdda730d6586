//! Values as they are bound.

use backhaul_kit::{Reason, ValueRef};

use super::super::table::Class;

/// A bound value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Cell {
    /// NULL.
    Null,
    /// A whole number.
    Int(i64),
    /// Text, which the server makes into the column's type.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

impl Cell {
    /// About how many bytes it takes on its way.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Null => 1,
            Self::Int(_) => 8,
            Self::Text(text) => text.len() + 9,
            Self::Bytes(bytes) => bytes.len() + 9,
        }
    }
}

/// A value for a column of that class. The kind of cell is that of the column, not of the value: a comparison of a number
/// with a text would be one of doubles.
///
/// # Errors
/// The reason to reject the row.
pub(super) fn cell(class: &Class, value: ValueRef<'_>) -> Result<Cell, Reason> {
    Ok(match (class, value) {
        (_, ValueRef::Null) => Cell::Null,
        (_, ValueRef::Invalid(why)) => return Err(Reason::new("INVALID_VALUE", why)),
        (Class::Number | Class::Bits | Class::Bool, ValueRef::Bool(flag)) => Cell::Int(i64::from(flag)),
        (Class::Number | Class::Bits | Class::Bool, value) => {
            let text = value.to_text();
            text.parse().map_or(Cell::Text(text), Cell::Int)
        }
        (Class::Binary, ValueRef::Bytes(bytes)) => Cell::Bytes(bytes.to_vec()),
        (Class::Binary, ValueRef::Text(text)) => Cell::Bytes(text.as_bytes().to_vec()),
        (Class::Time, value) => Cell::Text(moment(&value.to_text())),
        _ => Cell::Text(value.to_text()),
    })
}

/// ISO 8601 as the server reads it: without the `T`, and without an offset (sessions are in UTC).
fn moment(text: &str) -> String {
    match text.split_once('T') {
        Some((date, time)) if date.len() >= 10 => format!("{date} {}", time.strip_suffix('Z').unwrap_or(time)),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backhaul_kit::Value;

    #[test]
    fn values_become_what_the_server_reads() {
        let text = |text: &str| Cell::Text(text.into());
        for (class, value, expected) in [
            (Class::Text, Value::Null, Cell::Null),
            (Class::Text, Value::Int(7), text("7")),
            (Class::Text, Value::Bool(true), text("true")),
            (Class::Number, Value::Bool(true), Cell::Int(1)),
            (Class::Number, Value::Text("9007199254740993".into()), Cell::Int(9_007_199_254_740_993)),
            (Class::Number, Value::Decimal("1.50".into()), text("1.50")),
            (Class::Binary, Value::Bytes(vec![0, 255]), Cell::Bytes(vec![0, 255])),
            (Class::Time, Value::Timestamp(1_700_000_000_123_456), text("2023-11-14 22:13:20.123456")),
            (Class::Time, Value::LocalTimestamp(1_700_000_000_000_000), text("2023-11-14 22:13:20")),
            (Class::Time, Value::Date(0), text("1970-01-01")),
            (Class::Time, Value::Text("Tuesday".into()), text("Tuesday")),
            (Class::Text, Value::Timestamp(0), text("1970-01-01T00:00:00Z")),
            (Class::Json, Value::Array(vec![Value::Int(1)]), text("[1]")),
        ] {
            assert_eq!(cell(&class, (&value).into()).expect("a cell"), expected, "{value:?}");
        }
        assert_eq!(cell(&Class::Text, ValueRef::Invalid("NaN")).expect_err("refused").code, "INVALID_VALUE");
    }
}
