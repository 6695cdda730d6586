//! JSON Schemas of keys, for editors and manuals.

use serde_json::{Value, json};

/// A text.
pub fn text(description: &str) -> Value {
    json!({ "description": description, "type": "string" })
}

/// A secret, by reference.
pub fn secret(description: &str) -> Value {
    json!({ "description": description, "$ref": "#/$defs/Secret" })
}

/// True or false.
pub fn flag(description: &str) -> Value {
    json!({ "description": description, "type": "boolean" })
}

/// A whole number from 1 on.
pub fn count(description: &str) -> Value {
    json!({ "description": description, "type": "integer", "minimum": 1 })
}

/// A whole number from 1 to `most`.
pub fn count_to(most: u64, description: &str) -> Value {
    json!({ "description": description, "type": "integer", "minimum": 1, "maximum": most })
}

/// One of these words.
pub fn choice<'a>(words: impl IntoIterator<Item = &'a str>, description: &str) -> Value {
    json!({ "description": description, "enum": words.into_iter().collect::<Vec<_>>() })
}

/// A list of these words.
pub fn words<'a>(words: impl IntoIterator<Item = &'a str>, description: &str) -> Value {
    let items = words.into_iter().collect::<Vec<_>>();
    json!({ "description": description, "type": "array", "items": { "enum": items } })
}
