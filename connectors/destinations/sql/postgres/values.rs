//! Values as the text that PostgreSQL's input functions read.

use backhaul_kit::value::hex;
use backhaul_kit::{Reason, ValueRef};

use super::super::table::Class;

/// The text of a value for a column; `None` for NULL.
///
/// # Errors
/// The reason to reject the row.
pub(super) fn text(class: &Class, value: ValueRef<'_>) -> Result<Option<String>, Reason> {
    let text = match (class, value) {
        (_, ValueRef::Null) => return Ok(None),
        (_, ValueRef::Invalid(why)) => return Err(Reason::new("INVALID_VALUE", why)),
        (Class::Array(item), ValueRef::Array(items)) => {
            let mut out = String::from("{");
            for (at, value) in items.iter().enumerate() {
                if at > 0 {
                    out.push(',');
                }
                put_item(item, value, &mut out)?;
            }
            out.push('}');
            out
        }
        (Class::Binary, ValueRef::Bytes(bytes)) => format!("\\x{}", hex(bytes)),
        // Text is its own bytes: its backslashes are no escapes.
        (Class::Binary, ValueRef::Text(text)) => format!("\\x{}", hex(text.as_bytes())),
        (Class::Number | Class::Bits, ValueRef::Bool(flag)) => String::from(if flag { "1" } else { "0" }),
        _ => value.to_text(),
    };
    Ok(Some(text))
}

fn put_item(class: &Class, value: ValueRef<'_>, out: &mut String) -> Result<(), Reason> {
    // An array in an array is another dimension, not a quoted text.
    if let ValueRef::Array(_) = value
        && *class != Class::Json
    {
        let nested = Class::Array(Box::new(class.clone()));
        out.push_str(&text(&nested, value)?.unwrap_or_default());
        return Ok(());
    }
    match text(class, value)? {
        None => out.push_str("NULL"),
        Some(text) => {
            out.push('"');
            for c in text.chars() {
                if matches!(c, '"' | '\\') {
                    out.push('\\');
                }
                out.push(c);
            }
            out.push('"');
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use backhaul_kit::Value;

    #[test]
    fn values_become_what_the_server_reads() {
        let array = || Class::Array(Box::new(Class::Text));
        let texts = |texts: &[&str]| Value::Array(texts.iter().map(|text| Value::Text((*text).into())).collect());
        for (class, value, expected) in [
            (Class::Text, Value::Null, None),
            (Class::Text, Value::Text("\"Ann\" 😀".into()), Some("\"Ann\" 😀")),
            (Class::Binary, Value::Bytes(vec![0, 255]), Some("\\x00ff")),
            (Class::Binary, Value::Text("a\\".into()), Some("\\x615c")),
            (Class::Number, Value::Bool(true), Some("1")),
            (Class::Bool, Value::Bool(true), Some("true")),
            (Class::Number, Value::Decimal("-12.50".into()), Some("-12.50")),
            (Class::Time, Value::Timestamp(1_700_000_000_123_456), Some("2023-11-14T22:13:20.123456Z")),
            (array(), texts(&["a\"b", "c\\d", "{e,f}", "NULL", ""]), Some(r#"{"a\"b","c\\d","{e,f}","NULL",""}"#)),
            (array(), Value::Array(vec![texts(&["a"]), texts(&["b"])]), Some(r#"{{"a"},{"b"}}"#)),
            (array(), Value::Array(vec![Value::Null, Value::Int(1)]), Some(r#"{NULL,"1"}"#)),
            (Class::Json, texts(&["a"]), Some(r#"["a"]"#)),
        ] {
            assert_eq!(text(&class, (&value).into()).expect("a text").as_deref(), expected, "{value:?}");
        }
    }

    #[test]
    fn an_invalid_value_rejects_the_row() {
        let invalid = Value::Array(vec![Value::Invalid("NaN".into())]);
        let class = Class::Array(Box::new(Class::Number));
        assert_eq!(text(&class, (&invalid).into()).expect_err("refused").code, "INVALID_VALUE");
    }
}
