//! A field's value as HubSpot takes it: always text.

use std::borrow::Cow;

use backhaul_kit::{FieldRef, Reason, ValueRef};

/// What joins the values of a multi-select property.
const JOINT: &str = ";";

/// The text of a field; `None` where the field is left out. NULL and `clear` are the empty text, which
/// empties the property.
///
/// # Errors
/// The reason to reject the row, for a value that no destination can take.
pub(super) fn text(field: FieldRef<'_>) -> Result<Option<Cow<'_, str>>, Reason> {
    match field {
        FieldRef::Skip => Ok(None),
        FieldRef::Clear => Ok(Some(Cow::Borrowed(""))),
        FieldRef::Set(value) => text_of(value).map(Some),
    }
}

/// A value of the property `name` as HubSpot keeps and compares it: e-mail addresses in lower case.
pub(super) fn kept<'a>(name: &str, value: &'a str) -> Cow<'a, str> {
    if name == "email" { Cow::Owned(value.trim().to_lowercase()) } else { Cow::Borrowed(value) }
}

fn text_of(value: ValueRef<'_>) -> Result<Cow<'_, str>, Reason> {
    Ok(match value {
        ValueRef::Text(text) | ValueRef::Decimal(text) | ValueRef::Number(text) | ValueRef::Json(text) => {
            Cow::Borrowed(text)
        }
        ValueRef::Timestamp(micros) => Cow::Owned(timestamp(micros)?),
        ValueRef::Array(items) => {
            let texts = items.iter().map(text_of).collect::<Result<Vec<_>, _>>()?;
            Cow::Owned(texts.join(JOINT))
        }
        ValueRef::Invalid(why) => return Err(Reason::new("INVALID_VALUE", why)),
        _ => Cow::Owned(value.to_text()),
    })
}

/// ISO 8601 in UTC, cut to the milliseconds that HubSpot keeps.
fn timestamp(micros: i64) -> Result<String, Reason> {
    jiff::Timestamp::from_millisecond(micros.div_euclid(1000))
        .map(|time| time.to_string())
        .map_err(|_| Reason::new("INVALID_VALUE", "a time outside the years -9999 to 9999"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use backhaul_kit::{FieldValue, Value};

    fn set(value: Value) -> Option<String> {
        text((&FieldValue::Set(value)).into()).expect("a value").map(Cow::into_owned)
    }

    #[test]
    fn every_value_becomes_text() {
        for (value, expected) in [
            (Value::Null, ""),
            (Value::Bool(true), "true"),
            (Value::Int(-7), "-7"),
            (Value::Int(i64::MAX), "9223372036854775807"),
            (Value::Decimal("12.50".into()), "12.50"),
            (Value::Float(0.5), "0.5"),
            (Value::Date(0), "1970-01-01"),
            (Value::Timestamp(1_700_000_000_123_456), "2023-11-14T22:13:20.123Z"),
            (Value::Timestamp(-1), "1969-12-31T23:59:59.999Z"),
            (Value::Array(vec![Value::Text("red".into()), Value::Int(2)]), "red;2"),
            (Value::Array(Vec::new()), ""),
        ] {
            assert_eq!(set(value.clone()).as_deref(), Some(expected), "{value:?}");
        }
    }

    #[test]
    fn clear_empties_and_skip_leaves_out() {
        assert_eq!(text(FieldRef::Clear).expect("a value").as_deref(), Some(""));
        assert_eq!(text(FieldRef::Skip).expect("a value"), None);
    }

    #[test]
    fn an_invalid_value_rejects_instead_of_clearing() {
        let invalid = FieldValue::Set(Value::Array(vec![Value::Invalid("NaN".into())]));
        assert_eq!(text((&invalid).into()).expect_err("refused").code, "INVALID_VALUE");
    }
}
