//! What the JSON Schemas of the warehouses' configuration share.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

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
pub(super) struct DurationText;

impl JsonSchema for DurationText {
    fn schema_name() -> Cow<'static, str> {
        "DurationText".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^\\s*[0-9]+(ms|s|m|h|d)(\\s+[0-9]+(ms|s|m|h|d))*\\s*$" })
    }
}
