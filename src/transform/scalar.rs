//! Numbers, booleans, and text that a warehouse stored as a number.

use backhaul_kit::Value;
use backhaul_kit::normalise::Refusal;

/// Text as it is, or a whole number as its digits (postcodes stored as numbers).
pub(super) fn text_or_int(value: &Value) -> Result<String, Refusal> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Int(n) => Ok(n.to_string()),
        _ => Err("the column holds neither text nor whole numbers".into()),
    }
}

/// A JSON number with every digit kept.
pub(super) fn number(value: &Value) -> Result<Value, Refusal> {
    let text = match value {
        Value::Int(n) => return Ok(Value::Number(n.to_string())),
        Value::Float(f) if f.is_finite() => return Ok(Value::Number(value.to_text())),
        Value::Decimal(text) | Value::Number(text) | Value::Text(text) | Value::Json(text) => text.trim(),
        _ => return Err("the column does not hold numbers".into()),
    };
    if is_json_number(text) {
        Ok(Value::Number(text.to_owned()))
    } else {
        Err("not a number as JSON writes it (digits, a point, no grouping, no leading zeros)".into())
    }
}

fn is_json_number(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

pub(super) fn boolean(value: &Value) -> Result<Value, Refusal> {
    let known = match value {
        Value::Bool(b) => Some(*b),
        Value::Int(0) => Some(false),
        Value::Int(1) => Some(true),
        Value::Text(text) => match text.trim().to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => Some(true),
            "false" | "f" | "no" | "n" | "off" | "0" => Some(false),
            _ => None,
        },
        _ => None,
    };
    known.map(Value::Bool).ok_or_else(|| "neither true nor false, yes nor no, on nor off, 1 nor 0".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_every_digit() {
        let long = "12345678901234567890.12345678901234567890";
        assert_eq!(number(&Value::Decimal(long.into())), Ok(Value::Number(long.into())));
        assert_eq!(number(&Value::Int(i64::MAX)), Ok(Value::Number("9223372036854775807".into())));
        assert_eq!(number(&Value::Text(" -1.5e+3 ".into())), Ok(Value::Number("-1.5e+3".into())));
        assert_eq!(number(&Value::Float(0.1)), Ok(Value::Number("0.1".into())));
    }

    #[test]
    fn what_json_does_not_call_a_number_is_refused() {
        for bad in ["", "-", "007", "1,000", "1.", ".5", "+1", "1e", "NaN", "0x10", "1 2", "--1"] {
            assert!(number(&Value::Text(bad.into())).is_err(), "{bad}");
        }
        assert!(number(&Value::Bool(true)).is_err());
        assert!(number(&Value::Float(f64::NAN)).is_err());
    }

    #[test]
    fn booleans_come_in_the_usual_spellings() {
        for (value, expected) in [("Yes", true), (" f ", false), ("ON", true), ("0", false)] {
            assert_eq!(boolean(&Value::Text(value.into())), Ok(Value::Bool(expected)), "{value}");
        }
        assert_eq!(boolean(&Value::Int(1)), Ok(Value::Bool(true)));
        assert!(boolean(&Value::Int(2)).is_err());
        assert!(boolean(&Value::Text("maybe".into())).is_err());
    }
}
