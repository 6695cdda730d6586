//! The suite of the kit, once with evidence by row and once by call.

use std::sync::Arc;

use backhaul_kit::contract::{CANARY, Case, HttpSubject, Received, Scripted, Subject, canary_kit, row};
use backhaul_kit::{Batch, Kit, Operation, Prepared, Row, Value, key};
use serde_json::{Value as Json, json};

use super::prepared;

/// A sync whose answers are of one of the two kinds.
#[derive(Clone)]
struct Api {
    into: &'static str,
    secrets: Arc<tempfile::TempDir>,
}

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

impl Api {
    fn new(into: &'static str) -> Self {
        let secrets = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(secrets.path().join("token"), CANARY).expect("written");
        Self { into, secrets: Arc::new(secrets) }
    }
}

impl Subject for Api {
    fn prepare(&self, url: &str) -> Arc<dyn Prepared> {
        let text = format!(
            "[account]\nurl = \"{url}\"\ntoken = {{ file = \"token\" }}\n[into]\nremoved = \"delete\"\n{}",
            self.into
        );
        prepared(&text, &["email", "address.city"])
    }

    fn kit(&self) -> Arc<Kit> {
        canary_kit(self.secrets.path())
    }

    fn operations(&self) -> Vec<Operation> {
        vec![Operation::Upsert, Operation::Delete]
    }

    fn row(&self, operation: Operation, op: u64) -> Row {
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
    backhaul_kit::contract_tests!(Api::new(BY_ROW));
    backhaul_kit::http_contract_tests!(Api::new(BY_ROW));
}

mod by_call {
    use super::*;
    backhaul_kit::contract_tests!(Api::new(BY_CALL));
    backhaul_kit::http_contract_tests!(Api::new(BY_CALL));
}
