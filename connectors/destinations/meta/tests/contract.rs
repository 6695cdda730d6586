//! The suite of the kit, in Meta's own answers.

use backhaul_kit::contract::{CANARY, Case, HttpSubject, Received, Scripted, Subject, canary_kit};

use super::*;

#[derive(Clone)]
struct People {
    operation: Operation,
    project: Arc<tempfile::TempDir>,
}

impl People {
    fn new(operation: Operation) -> Self {
        let project = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(project.path().join("token"), CANARY).expect("a token");
        Self { operation, project: Arc::new(project) }
    }
}

impl Subject for People {
    fn prepare(&self, url: &str) -> Arc<dyn Prepared> {
        prepared(url, "", "", FIELDS)
    }

    fn kit(&self) -> Arc<Kit> {
        canary_kit(self.project.path())
    }

    fn operations(&self) -> Vec<Operation> {
        vec![self.operation]
    }

    fn row(&self, operation: Operation, op: u64) -> Row {
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

    backhaul_kit::contract_tests!(People::new(Operation::AudienceAdd));
    backhaul_kit::http_contract_tests!(People::new(Operation::AudienceAdd));
}

mod removals {
    use super::*;

    backhaul_kit::contract_tests!(People::new(Operation::AudienceRemove));
    backhaul_kit::http_contract_tests!(People::new(Operation::AudienceRemove));
}

mod moves {
    use super::*;

    backhaul_kit::contract_tests!(People::new(Operation::Move));
    backhaul_kit::http_contract_tests!(People::new(Operation::Move));
}
