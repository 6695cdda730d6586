//! The suite of the kit, in Stripe's own answers.

use backhaul_kit::contract::{Case, HttpSubject, Received, Scripted};
use serde_json::json;

use super::*;
use crate::destinations::fixture::{Contracted, Subjected};

/// A sync of these operations.
type Customers = Subjected<Vendor>;

struct Vendor;

impl Contracted for Vendor {
    const SECRET: &'static str = "key";

    fn prepare(sync: &Customers, url: &str) -> Arc<dyn Prepared> {
        prepared(url, &sync.into, sync.fields)
    }

    fn row(_sync: &Customers, operation: Operation, op: u64) -> Row {
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

    backhaul_kit::contract_tests!(Customers::new(&format!("{UPSERT}\n{DELETE}"), FIELDS, OPERATIONS));
    backhaul_kit::http_contract_tests!(Customers::new(&format!("{UPSERT}\n{DELETE}"), FIELDS, OPERATIONS));
}

mod creations_and_clearings {
    use super::*;

    const OPERATIONS: &[Operation] = &[Operation::Create, Operation::Clear];

    backhaul_kit::contract_tests!(Customers::new(&format!("{CREATE}\nremoved = \"clear\""), FIELDS, OPERATIONS));
    backhaul_kit::http_contract_tests!(Customers::new(&format!("{CREATE}\nremoved = \"clear\""), FIELDS, OPERATIONS));
}

mod updates {
    use super::*;

    backhaul_kit::contract_tests!(Customers::new(UPDATE, FIELDS, &[Operation::Update]));
    backhaul_kit::http_contract_tests!(Customers::new(UPDATE, FIELDS, &[Operation::Update]));
}
