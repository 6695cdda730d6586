//! The one form of query that is known.

use serde_json::{Value, json};

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
    let Some(quoted) = text.strip_prefix('\'') else {
        let end = text.find([',', ')'])?;
        return Some((json!(text.get(..end)?.parse::<f64>().ok()?), text.get(end..)?));
    };
    let (mut out, mut letters) = (String::new(), quoted.chars());
    loop {
        match letters.next()? {
            '\'' => return Some((json!(out), letters.as_str())),
            '\\' => out.push(match letters.next()? {
                'n' => '\n',
                'r' => '\r',
                letter => letter,
            }),
            letter => out.push(letter),
        }
    }
}
