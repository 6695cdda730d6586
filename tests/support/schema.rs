//! A TOML file against the JSON Schema that its first line names.

use std::path::Path;

use serde_json::Value;

/// Fails the test unless the file's first line names a schema of that file name, which exists, and the file fits it.
#[track_caller]
pub(crate) fn assert_fits(file: &Path, schema: &str) {
    let shown = file.display();
    let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{shown}: {e}"));
    let named = text.lines().next().and_then(|line| line.strip_prefix("#:schema "));
    let named = named.unwrap_or_else(|| panic!("{shown} names no schema in its first line"));
    assert!(named.ends_with(schema), "{shown} names {named} for {schema}");
    let path = file.parent().expect("a folder").join(named);
    let schema = std::fs::read(&path).unwrap_or_else(|e| panic!("{shown} names {}: {e}", path.display()));
    let schema: Value = serde_json::from_slice(&schema).expect("a schema in JSON");
    let validator = jsonschema::validator_for(&schema).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let table: toml::Table = text.parse().unwrap_or_else(|e| panic!("{shown}: {e}"));
    let instance = json(toml::Value::Table(table));
    let errors: Vec<String> =
        validator.iter_errors(&instance).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{shown} does not fit {named}:\n{}", errors.join("\n"));
}

/// TOML as JSON, times as the texts that they are written as.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, json(value))).collect(),
        other => serde_json::to_value(other).expect("TOML as JSON"),
    }
}
