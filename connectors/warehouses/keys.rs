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
