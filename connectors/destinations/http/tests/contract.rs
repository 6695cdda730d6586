//! The suite of the kit, once with evidence by row and once by call.

use std::sync::Arc;

use backhaul_kit::contract::{Case, HttpSubject, Received, Scripted, row};
use backhaul_kit::{Batch, Operation, Prepared, Row, Value, key};
use serde_json::{Value as Json, json};

use super::prepared;
use crate::destinations::fixture::{Contracted, Subjected};

/// A sync whose answers are of one of the two kinds.
type Api = Subjected<Vendor>;

struct Vendor;

const FIELDS: &[&str] = &["email", "address.city"];
const OPERATIONS: &[Operation] = &[Operation::Upsert, Operation::Delete];

const BY_ROW: &str = r#"
[into.request]
url = "/v1/customers/batch"
batch_size = 100
rows_field = "customers"
key_field = "external_id"
success = { evidence = "row", results = "results", key = "external_id", id = "id", ok = { field = "status", value = "ok" }, error = "error.message", error_code = "error.code" }
[into.remove]
url = "/v1/customers/delete"
method = "POST"
batch_size = 100
body = '{"ids": [{% for row in rows %}{{ row.key }}{% if not loop.last %},{% endif %}{% endfor %}]}'
success = { evidence = "row", results = "results", key = "external_id", ok = { field = "status", value = "ok" }, error = "error.message" }
"#;

const BY_CALL: &str = r#"
[into.request]
url = "/v1/customers"
batch_size = 50
success = { evidence = "call", ok = { field = "accepted", value = true }, error = "message" }
[into.remove]
url = "/v1/customers/{{ key }}"
success = { evidence = "call", statuses = [200, 204], ok = { field = "accepted", value = true }, error = "message" }
"#;

impl Contracted for Vendor {
    const SECRET: &'static str = "token";

    fn prepare(sync: &Api, url: &str) -> Arc<dyn Prepared> {
        let account = format!("[account]\nurl = \"{url}\"\ntoken = {{ file = \"token\" }}");
        prepared(&format!("{account}\n[into]\nremoved = \"delete\"\n{}", sync.into), sync.fields)
    }

    fn row(_sync: &Api, operation: Operation, op: u64) -> Row {
        let fields = if operation.is_removal() {
            Vec::new()
        } else {
            vec![Value::Text(format!("person{op}@example.com")), Value::Text("Köln".into())]
        };
        row(op, i64::try_from(op).expect("a small number"), fields)
    }
}

impl HttpSubject for Api {
    fn answer(&self, case: Case, batch: &Batch, _request: &Received) -> Scripted {
        match (case, self.into == BY_ROW) {
            (Case::Throttled, _) => Scripted::empty(429),
            (Case::AuthExpired, _) => Scripted::json(401, &json!({"message": "token expired"})),
            (_, true) => Scripted::json(207, &results(case, batch)),
            (Case::AllAccepted | Case::NamesNoRow, false) => Scripted::json(200, &json!({"accepted": true})),
            (Case::UnknownField, false) => Scripted::json(200, &json!({"accepted": true, "mood": ["good"]})),
            (Case::OneRefused(_) | Case::AllRefused, false) => {
                Scripted::json(422, &json!({"accepted": false, "message": "email is not valid"}))
            }
        }
    }
}

/// The answer of the API that names rows; in another order than it was asked.
fn results(case: Case, batch: &Batch) -> Json {
    let result = |place: usize, row: &Row| {
        let refused = case == Case::AllRefused || case == Case::OneRefused(place);
        let id = key::display(&row.key);
        let mut result = if refused {
            json!({"external_id": id, "status": "failed", "error": {"code": "INVALID_EMAIL", "message": "not valid"}})
        } else {
            json!({"external_id": id, "status": "ok", "id": format!("rec-{id}")})
        };
        if case == Case::UnknownField {
            result["shard"] = json!({"n": 4});
        }
        result
    };
    let named: Vec<Json> = match case {
        Case::NamesNoRow => Vec::new(),
        _ => batch.rows.iter().enumerate().map(|(place, row)| result(place, row)).rev().collect(),
    };
    json!({"results": named, "took_ms": 3})
}

mod by_row {
    use super::*;
    backhaul_kit::contract_tests!(Api::new(BY_ROW, FIELDS, OPERATIONS));
    backhaul_kit::http_contract_tests!(Api::new(BY_ROW, FIELDS, OPERATIONS));
}

mod by_call {
    use super::*;
    backhaul_kit::contract_tests!(Api::new(BY_CALL, FIELDS, OPERATIONS));
    backhaul_kit::http_contract_tests!(Api::new(BY_CALL, FIELDS, OPERATIONS));
}
