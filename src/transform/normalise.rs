//! One form for e-mail addresses, country codes and the like (`as` in a sync's fields).
//!
//! A normaliser works on clear text and never guesses: what it cannot bring into the form without losing
//! or inventing something, it refuses, and the row is kept in `rejects`. Hashing is the vendors' business.

use backhaul_kit::normalise::{Refusal, country, email, phone};
use backhaul_kit::{Reason, Value, words};

use super::national::national;
use super::{moment, scalar};

words! {
    /// What `as` names.
    #[expect(missing_docs, reason = "each says what it is; `Normaliser::apply` says what it does")]
    pub enum Normaliser {
        Email = "email",
        Phone = "phone",
        Name = "name",
        Country = "country",
        Postcode = "postcode",
        Date = "date",
        Timestamp = "timestamp",
        Text = "text",
        Number = "number",
        Boolean = "boolean",
    }
}

impl Normaliser {
    /// Raised whenever a normaliser gives another result for some value: delivered rows then differ, which
    /// is a mapping change.
    pub const VERSION: u32 = 1;

    /// Brings a value into its one form. NULL stays NULL, and so does blank text, except for `text`.
    ///
    /// | name | form |
    /// |---|---|
    /// | `email` | trimmed, in lower case, of valid syntax with a dotted domain |
    /// | `phone` | E.164: `+` and 8 to 15 digits; separators are dropped; a number without its country is refused |
    /// | `name` | trimmed, inner white space collapsed |
    /// | `country` | an ISO 3166-1 alpha-2 code in capitals |
    /// | `postcode` | trimmed, in capitals, inner white space collapsed |
    /// | `date` | a date; of a point in time its date in UTC |
    /// | `timestamp` | a point in time; one of no zone is read as UTC, a date as its midnight |
    /// | `text` | text, as destinations that know only strings would get it |
    /// | `number` | a JSON number with every digit kept |
    /// | `boolean` | true or false; also from 0 and 1, yes and no, on and off |
    ///
    /// # Errors
    /// `INVALID_EMAIL`, `INVALID_PHONE` … with what is wrong; the text does not quote the value.
    pub fn apply(self, value: &Value) -> Result<Value, Reason> {
        if value.is_null() {
            return Ok(Value::Null);
        }
        if self != Self::Text && matches!(value, Value::Text(text) if text.trim().is_empty()) {
            return Ok(Value::Null);
        }
        let result = match self {
            Self::Email => text(value).and_then(email).map(Value::Text),
            Self::Phone => text(value).and_then(phone).map(Value::Text),
            Self::Name => text(value).map(|text| Value::Text(collapse(text))),
            Self::Country => text(value).and_then(country).map(Value::Text),
            Self::Postcode => scalar::text_or_int(value).map(|text| Value::Text(collapse(&text).to_uppercase())),
            Self::Date => moment::date(value),
            Self::Timestamp => moment::timestamp(value),
            Self::Text => Ok(Value::Text(value.to_text())),
            Self::Number => scalar::number(value),
            Self::Boolean => scalar::boolean(value),
        };
        result.map_err(|why| Reason::new(self.code(), why))
    }

    fn code(self) -> String {
        format!("INVALID_{}", self.as_str().to_uppercase())
    }
}

/// [`Normaliser::Phone`], where a number without `+` and country code is one as it is dialled in `country`, a code of ISO
/// 3166-1. Such a number must be one that can be had there.
///
/// # Errors
/// `INVALID_PHONE`.
pub(crate) fn phone_in(value: &Value, country: &Value) -> Result<Value, Reason> {
    let is_national = |text: &String| !text.trim().is_empty() && !text.trim().starts_with('+');
    match value {
        Value::Text(number) if is_national(number) => {
            let found = match country {
                Value::Text(country) if !country.trim().is_empty() => national(number, country).map(Value::Text),
                _ => Err("not international, and the row does not say its country".into()),
            };
            found.map_err(|why| Reason::new(Normaliser::Phone.code(), why))
        }
        _ => Normaliser::Phone.apply(value),
    }
}

/// Trims, and makes every run of white space one space.
fn collapse(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn text(value: &Value) -> Result<&str, Refusal> {
    match value {
        Value::Text(text) => Ok(text),
        _ => Err("the column does not hold text".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(normaliser: Normaliser, text: &str) -> Result<String, String> {
        normaliser.apply(&Value::Text(text.into())).map(|v| v.to_text()).map_err(|r| r.code)
    }

    #[test]
    fn names_and_postcodes_lose_only_white_space() {
        assert_eq!(apply(Normaliser::Name, "  Mary \u{a0} Ann\tLee "), Ok("Mary Ann Lee".into()));
        assert_eq!(apply(Normaliser::Postcode, " sw1a  1aa "), Ok("SW1A 1AA".into()));
        assert_eq!(Normaliser::Postcode.apply(&Value::Int(10_115)), Ok(Value::Text("10115".into())));
    }

    #[test]
    fn null_and_blank_are_no_value() {
        for (_, normaliser) in Normaliser::CHOICES {
            assert_eq!(normaliser.apply(&Value::Null), Ok(Value::Null));
            let blank = normaliser.apply(&Value::Text(" ".into())).unwrap();
            assert_eq!(blank.is_null(), *normaliser != Normaliser::Text, "{}", normaliser.as_str());
        }
    }

    #[test]
    fn a_number_with_its_country_code_needs_no_other_and_one_without_needs_it() {
        let number = |number: &str, country: Value| phone_in(&Value::Text(number.into()), &country);
        let german = Value::Text("DE".into());
        assert_eq!(number("+1 650 555-1212", german.clone()), Ok(Value::Text("+16505551212".into())));
        assert_eq!(number("+1 650 555-1212", Value::Null), Ok(Value::Text("+16505551212".into())));
        assert_eq!(number(" ", german.clone()), Ok(Value::Null));
        assert_eq!(phone_in(&Value::Null, &german), Ok(Value::Null));
        assert_eq!(number("030 1234567", german).is_ok(), crate::transform::READS_NATIONAL);
        for nowhere in [Value::Null, Value::Text(" ".into()), Value::Int(49)] {
            let reason = number("030 4711", nowhere).unwrap_err();
            assert_eq!(reason.code, "INVALID_PHONE");
            assert!(!reason.text.contains("4711"), "{}", reason.text);
        }
    }

    #[test]
    fn a_refusal_does_not_quote_the_value() {
        for (_, normaliser) in Normaliser::CHOICES {
            if let Err(reason) = normaliser.apply(&Value::Text("canary-4711".into())) {
                assert!(!reason.text.contains("canary"), "{}: {}", reason.code, reason.text);
            }
        }
    }

    #[test]
    fn anything_becomes_text_as_it_is() {
        assert_eq!(Normaliser::Text.apply(&Value::Decimal("12.50".into())), Ok(Value::Text("12.50".into())));
        assert_eq!(apply(Normaliser::Text, "  a "), Ok("  a ".into()));
    }
}
