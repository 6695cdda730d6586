//! JSON Schemas for editors.

use backhaul_kit::KindSchema;
use backhaul_kit::http::connection_schema;
use serde_json::{Value, json};

/// The keys of the account and of `[into]`.
pub(super) fn kind() -> KindSchema {
    let mut account = json!({
        "type": "object",
        "required": ["url"],
        "properties": {
            "url": { "type": "string", "format": "uri", "description": "Where the API is; paths of calls are appended" },
            "token": secret("Sent as `Authorization: Bearer …`"),
            "header": {
                "type": "object",
                "description": "A credential in a header of its own",
                "required": ["name", "value"],
                "properties": { "name": { "type": "string" }, "value": secret("The header's value") },
                "additionalProperties": false,
            },
            "basic": {
                "type": "object",
                "description": "HTTP basic authentication",
                "required": ["user", "password"],
                "properties": { "user": { "type": "string" }, "password": secret("The password") },
                "additionalProperties": false,
            },
            "oauth": oauth(),
            "headers": headers("Plain headers of every call; no secrets"),
            "limits": {
                "type": "array",
                "description": "At most `cap` calls in `per`",
                "items": {
                    "type": "object",
                    "required": ["cap", "per"],
                    "properties": { "cap": { "type": "integer", "minimum": 1 }, "per": duration("Length of the window") },
                    "additionalProperties": false,
                },
            },
            "quota": { "type": "string", "pattern": "%$", "description": "Our share of `limits`, as \"50%\"" },
            "concurrency": { "type": "integer", "minimum": 1, "default": 4, "description": "Calls in flight" },
            "timeouts": {
                "type": "object",
                "description": "How long to wait",
                "properties": {
                    "connect": duration("To a connection"),
                    "first_byte": duration("To the head of the answer"),
                    "total": duration("For the whole call"),
                },
                "additionalProperties": false,
            },
            "identity": { "type": "string", "description": "Whose account it is; default host and port of `url`" },
            "check": { "type": "string", "pattern": "^/", "description": "A path that must answer 2xx to a GET" },
        },
    });
    if let (Some(all), Value::Object(shared)) = (account["properties"].as_object_mut(), connection_schema()) {
        all.extend(shared);
    }
    KindSchema {
        account,
        into: json!({
            "type": "object",
            "required": ["request"],
            "properties": {
                "request": call("The call for rows that are in the model", "POST"),
                "read_back": read_back(),
                "remove": call("The call for rows that left the model", "DELETE"),
            },
        }),
    }
}

fn call(description: &str, method: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "required": ["url", "success"],
        "properties": {
            "url": { "type": "string", "pattern": "^/", "description": "A path below the destination's `url`; a template" },
            "method": { "enum": ["POST", "PUT", "PATCH", "DELETE", "GET"], "default": method },
            "headers": headers("Plain headers"),
            "batch_size": { "type": "integer", "minimum": 1, "default": 1, "description": "Rows in one call" },
            "max_bytes": { "type": "integer", "minimum": 1, "description": "The largest body" },
            "concurrency": { "type": "integer", "minimum": 1, "description": "Calls in flight; default the account's" },
            "body": { "type": "string", "description": "A template; default the row as a JSON object, or the rows as an array" },
            "key_field": { "type": "string", "description": "The member of each row's object that gets its key" },
            "rows_field": { "type": "string", "description": "The member of an enclosing object that gets the array" },
            "success": success(),
            "unchanged_statuses": statuses("Of a call with one row: it already was as asked"),
            "reject_statuses": statuses("Refused for its rows, nothing applied; default 400, 404, 409, 422"),
            "retry_statuses": statuses("Nothing applied, come again later; default 429"),
            "idempotency": {
                "type": "object",
                "description": "A header that is the same when a call is made again",
                "required": ["header"],
                "properties": { "header": { "type": "string" }, "per": { "enum": ["run", "value"] } },
                "additionalProperties": false,
            },
            "resend_safe": { "type": "boolean", "description": "Whether a call whose answer was lost may be made again" },
        },
        "additionalProperties": false,
    })
}

fn success() -> Value {
    json!({
        "type": "object",
        "description": "What proves that a row was accepted",
        "required": ["evidence"],
        "properties": {
            "evidence": {
                "enum": ["call", "row", "job"],
                "description": "`call`: the status settles all rows; `row`: the answer names rows; `job`: the API is asked later",
            },
            "statuses": statuses("Statuses that can prove it; default 200, 201, 204 (call), 200, 201, 207 (row) or 200, 201, 202 (job)"),
            "job": job(),
            "results": path("Where the list of results stands; default the answer itself"),
            "key": path("The member of a result that has the row's key"),
            "index": path("The member of a result that has the row's place in the call, from 0"),
            "in_order": { "type": "boolean", "description": "Results stand in the order of the rows" },
            "ok": flag("Set where the row (or the call) was accepted"),
            "unchanged": flag("Set where the row already was as asked"),
            "retry": flag("Set where the row was not applied and should come again"),
            "id": path("Where the record's id stands"),
            "error": path("Where the text of a refusal stands"),
            "error_code": path("Where the code of a refusal stands"),
        },
        "additionalProperties": false,
    })
}

fn oauth() -> Value {
    json!({
        "type": "object",
        "description": "OAuth 2.0 access tokens",
        "required": ["token_url", "client_id"],
        "properties": {
            "token_url": { "type": "string", "description": "Where tokens are asked for" },
            "grant": { "enum": ["client_credentials", "refresh_token"], "default": "client_credentials" },
            "client_id": { "type": "string" },
            "client_secret": secret("The client's secret"),
            "refresh_token": secret("The refresh token, of the grant refresh_token"),
            "secret_in": { "enum": ["header", "form"], "default": "header", "description": "Where id and secret are sent" },
            "scope": { "type": "string", "description": "What is asked for, separated by spaces" },
            "form": {
                "type": "object",
                "description": "Further members of the form, as `audience`",
                "additionalProperties": { "type": "string" },
            },
        },
        "additionalProperties": false,
    })
}

fn read_back() -> Value {
    json!({
        "type": "object",
        "description": "How the API is asked whether a row whose answer was lost is there: a GET a row",
        "required": ["url"],
        "properties": {
            "url": { "type": "string", "pattern": "^/", "description": "A path below the destination's `url`; a template" },
            "found": flag("Set where the answer shows the row; default always"),
            "absent_statuses": statuses("The row is not there; default 404"),
            "id": path("Where the record's id stands"),
        },
        "additionalProperties": false,
    })
}

fn job() -> Value {
    json!({
        "type": "object",
        "description": "Where a job is asked after",
        "required": ["url", "done"],
        "properties": {
            "id": path("Where the job's id stands in the answer to the call; default `id`"),
            "url": { "type": "string", "pattern": "^/", "description": "A path below the destination's `url`, with `{{ job }}`" },
            "done": flag("Set where the job has ended well"),
            "failed": flag("Set where it has ended otherwise"),
            "lost_statuses": statuses("The API has forgotten the job; default 404, 410"),
            "every": duration("How often it is asked; default 2 s"),
            "give_up_after": duration("How old a job may become; default 24 h"),
        },
        "additionalProperties": false,
    })
}

fn secret(description: &str) -> Value {
    json!({
        "type": "object",
        "description": description,
        "properties": {
            "secret": { "type": "string" },
            "env": { "type": "string" },
            "file": { "type": "string" },
            "credential": { "type": "string" },
        },
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
}

fn headers(description: &str) -> Value {
    json!({ "type": "object", "description": description, "additionalProperties": { "type": "string" } })
}

fn duration(description: &str) -> Value {
    json!({ "type": "string", "description": format!("{description}, as \"30s\"") })
}

fn path(description: &str) -> Value {
    json!({ "type": "string", "description": format!("{description} (dotted members)") })
}

fn statuses(description: &str) -> Value {
    json!({
        "type": "array",
        "description": description,
        "items": { "type": "integer", "minimum": 200, "maximum": 599 },
    })
}

fn flag(description: &str) -> Value {
    let scalar = json!({ "type": ["string", "integer", "boolean"] });
    json!({
        "type": "object",
        "description": description,
        "required": ["field"],
        "properties": {
            "field": path("The member that says it"),
            "value": { "anyOf": [scalar, { "type": "array", "items": scalar }] },
        },
        "additionalProperties": false,
    })
}
