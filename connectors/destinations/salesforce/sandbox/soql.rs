//! The one form of query that is known.

use serde_json::{Value, json};

use crate::destinations::stand_in::quoted;

/// `SELECT Id, FIELD FROM OBJECT WHERE FIELD IN (…)`.
pub(super) fn parsed(soql: &str) -> Option<(String, String, Vec<Value>)> {
    let (columns, rest) = soql.strip_prefix("SELECT Id")?.split_once(" FROM ")?;
    let (object, rest) = rest.split_once(" WHERE ")?;
    let (field, mut rest) = rest.split_once(" IN (")?;
    let selected = columns.strip_prefix(", ").unwrap_or("Id");
    if selected != field {
        return None;
    }
    let mut values = Vec::new();
    loop {
        let (value, after) = literal(rest)?;
        values.push(value);
        match after {
            ")" => return Some((object.to_owned(), field.to_owned(), values)),
            more => rest = more.strip_prefix(',')?,
        }
    }
}

/// A literal, and what follows it.
fn literal(text: &str) -> Option<(Value, &str)> {
    if let Some((text, rest)) = quoted(text) {
        return Some((json!(text), rest));
    }
    let (number, rest) = text.split_at(text.find([',', ')'])?);
    Some((json!(number.parse::<f64>().ok()?), rest))
}
