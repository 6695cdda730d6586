//! What the JSON Schemas of the warehouses' configuration share.

use std::time::Duration;

use schemars::{Schema, SchemaGenerator, json_schema};

/// A secret by reference; the same four forms as [`backhaul_kit::config::ConfigTable::secret`] reads.
pub(super) fn secret(_: &mut SchemaGenerator) -> Schema {
    let form = |key: &str| {
        json_schema!({
            "type": "object",
            "properties": { key: { "type": "string", "minLength": 1 } },
            "required": [key],
            "additionalProperties": false
        })
    };
    json_schema!({ "oneOf": [form("secret"), form("env"), form("file"), form("credential")] })
}

/// A duration as [`backhaul_kit::config::ConfigTable::duration`] reads it.
pub(super) fn duration(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "string", "pattern": "^\\s*[0-9]+(ms|s|m|h|d)(\\s+[0-9]+(ms|s|m|h|d))*\\s*$" })
}

/// How long to wait for a connection where the operator says nothing.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Reads a table from TOML text for the tests of the readers.
#[cfg(test)]
pub(super) mod testing {
    use std::sync::Arc;

    use backhaul_kit::SourceKind;
    use backhaul_kit::config::{ConfigTable, Problem, Problems, SourceFile, parse};

    /// The text as a table, and the list its problems go to.
    pub(crate) fn table(text: &str) -> (ConfigTable, Problems) {
        let problems = Problems::default();
        let file = Arc::new(SourceFile { path: "backhaul.toml".into(), text: text.into() });
        (parse(&file, &problems), problems)
    }

    /// What is wrong with `text` as a table of `kind`.
    pub(crate) fn problems(kind: &dyn SourceKind, text: &str) -> Vec<Problem> {
        let (mut table, problems) = table(text);
        let parsed = kind.parse(&mut table);
        table.finish();
        let found = problems.take();
        assert_eq!(parsed.is_none(), found.iter().any(|p| p.code != "unknown-key"), "{found:?}");
        found
    }

    /// Asserts that the reader's keys are the schema's properties.
    pub(crate) fn assert_keys_match_schema(kind: &dyn SourceKind) {
        let (mut table, _) = table("");
        let _ = kind.parse(&mut table);
        let mut read = table.known().to_vec();
        read.sort_unstable();
        let schema = kind.json_schema();
        let mut described: Vec<String> =
            schema["properties"].as_object().expect("an object schema").keys().cloned().collect();
        described.sort_unstable();
        assert_eq!(read, described);
    }
}
