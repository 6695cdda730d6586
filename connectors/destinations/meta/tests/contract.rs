//! The suite of the kit, in Meta's own answers.

use backhaul_kit::contract::{Case, HttpSubject, Received, Scripted};

use super::*;
use crate::destinations::fixture::{Contracted, Subjected};

/// A sync of these operations.
type People = Subjected<Vendor>;

struct Vendor;

impl Contracted for Vendor {
    const SECRET: &'static str = "token";

    fn prepare(sync: &People, url: &str) -> Arc<dyn Prepared> {
        prepared(url, "", &sync.into, sync.fields)
    }

    fn row(_sync: &People, operation: Operation, op: u64) -> Row {
        let fields = person(&format!("c{op}"), &format!("p{op}@example.com"));
        let old = Address { remote_id: None, match_value: Some(format!("EXTERN_ID=old{op}")) };
        let fields = if operation.is_removal() { Vec::new() } else { fields };
        let mut batch = batch(operation, op, true, vec![(old, fields)]);
        batch.rows.remove(0)
    }
}

impl HttpSubject for People {
    fn answer(&self, case: Case, _batch: &Batch, request: &Received) -> Scripted {
        let error = |code: i64| Scripted::json(400, &json!({ "error": { "message": "no", "code": code } }));
        let sent = request.json()["payload"]["data"].as_array().map_or(0, Vec::len);
        let invalid = match case {
            Case::Throttled => return error(80_003),
            Case::AuthExpired => return error(190),
            Case::AllRefused => sent,
            Case::OneRefused(_) => 1,
            _ => 0,
        };
        let mut counts = json!({ "audience_id": AUDIENCE, "num_received": sent, "num_invalid_entries": invalid });
        match case {
            Case::NamesNoRow => counts = json!({ "audience_id": AUDIENCE }),
            Case::UnknownField => counts["shard"] = json!({ "n": 4 }),
            _ => {}
        }
        Scripted::json(200, &counts)
    }
}

mod additions {
    use super::*;

    backhaul_kit::contract_tests!(People::new("", FIELDS, &[Operation::AudienceAdd]));
    backhaul_kit::http_contract_tests!(People::new("", FIELDS, &[Operation::AudienceAdd]));
}

mod removals {
    use super::*;

    backhaul_kit::contract_tests!(People::new("", FIELDS, &[Operation::AudienceRemove]));
    backhaul_kit::http_contract_tests!(People::new("", FIELDS, &[Operation::AudienceRemove]));
}

mod moves {
    use super::*;

    backhaul_kit::contract_tests!(People::new("", FIELDS, &[Operation::Move]));
    backhaul_kit::http_contract_tests!(People::new("", FIELDS, &[Operation::Move]));
}
