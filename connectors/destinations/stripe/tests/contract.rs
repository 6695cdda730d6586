//! The suite of the kit, in Stripe's own answers.

use backhaul_kit::contract::{CANARY, Case, HttpSubject, Received, Scripted, Subject, canary_kit};
use serde_json::json;

use super::*;

/// A sync of these operations.
#[derive(Clone)]
struct Customers {
    into: String,
    operations: &'static [Operation],
    project: Arc<tempfile::TempDir>,
}

impl Customers {
    fn new(into: String, operations: &'static [Operation]) -> Self {
        let project = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(project.path().join("key"), CANARY).expect("a key");
        Self { into, operations, project: Arc::new(project) }
    }
}

impl Subject for Customers {
    fn prepare(&self, url: &str) -> Arc<dyn Prepared> {
        prepared(url, &self.into, FIELDS)
    }

    fn kit(&self) -> Arc<Kit> {
        canary_kit(self.project.path())
    }

    fn operations(&self) -> Vec<Operation> {
        self.operations.to_vec()
    }

    fn row(&self, operation: Operation, op: u64) -> Row {
        let (value, id) = (format!("c{op}"), format!("cus_{op}"));
        let row = match operation {
            Operation::Delete | Operation::Clear => removed(by_id(&id)),
            Operation::Create => new(&[&value, "p@example.com", "pro"]),
            _ => changed(&id, &[&value, "p@example.com", "pro"]),
        };
        let key = Value::Int(i64::try_from(op).expect("a small number"));
        Row { op, key: key::encode(&[&key]).expect("a key").into(), ..row }
    }
}

impl HttpSubject for Customers {
    fn answer(&self, case: Case, batch: &Batch, request: &Received) -> Scripted {
        let error = |status: u16, kind: &str, code: &str| {
            Scripted::json(status, &json!({ "error": { "type": kind, "code": code, "message": "no" } }))
        };
        let named = request.target.rsplit('/').next().filter(|name| name.starts_with("cus_")).unwrap_or("cus_new");
        let mut customer = json!({ "id": named, "object": "customer", "created": 1_700_000_000 });
        if batch.operation == Operation::Delete {
            customer["deleted"] = json!(true);
        }
        match case {
            Case::Throttled => return error(429, "invalid_request_error", "rate_limit"),
            Case::AuthExpired => return error(401, "invalid_request_error", "api_key_expired"),
            Case::AllRefused | Case::OneRefused(_) => {
                return error(400, "invalid_request_error", "email_invalid");
            }
            Case::NamesNoRow => customer = json!({ "object": "customer" }),
            Case::UnknownField => customer["shard"] = json!({ "n": 4 }),
            Case::AllAccepted => {}
        }
        Scripted::json(200, &customer)
    }
}

mod upserts_and_deletions {
    use super::*;

    const OPERATIONS: &[Operation] = &[Operation::Upsert, Operation::Move, Operation::Delete];

    backhaul_kit::contract_tests!(Customers::new(format!("{UPSERT}\n{DELETE}"), OPERATIONS));
    backhaul_kit::http_contract_tests!(Customers::new(format!("{UPSERT}\n{DELETE}"), OPERATIONS));
}

mod creations_and_clearings {
    use super::*;

    const OPERATIONS: &[Operation] = &[Operation::Create, Operation::Clear];

    backhaul_kit::contract_tests!(Customers::new(format!("{CREATE}\nremoved = \"clear\""), OPERATIONS));
    backhaul_kit::http_contract_tests!(Customers::new(format!("{CREATE}\nremoved = \"clear\""), OPERATIONS));
}

mod updates {
    use super::*;

    backhaul_kit::contract_tests!(Customers::new(UPDATE.to_owned(), &[Operation::Update]));
    backhaul_kit::http_contract_tests!(Customers::new(UPDATE.to_owned(), &[Operation::Update]));
}
