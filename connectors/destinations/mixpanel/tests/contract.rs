//! The suite of the kit, in Mixpanel's own answers.

use backhaul_kit::contract::{CANARY, Case, HttpSubject, Received, Scripted, Subject, canary_kit};
use serde_json::{Value as Json, json};

use super::*;

#[derive(Clone)]
struct Object {
    wanted: Wanted,
    operations: &'static [Operation],
    secrets: Arc<tempfile::TempDir>,
}

impl Object {
    fn new(wanted: Wanted, operations: &'static [Operation]) -> Self {
        let secrets = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(secrets.path().join("token"), CANARY).expect("a token");
        Self { wanted, operations, secrets: Arc::new(secrets) }
    }
}

impl Subject for Object {
    fn prepare(&self, url: &str) -> Arc<dyn Prepared> {
        let keys = format!("region = \"eu\"\nbase_url = \"{url}\"\nprofiles_per_call = 5");
        read(&keys, &self.wanted).expect("a sync without problems")
    }

    fn kit(&self) -> Arc<Kit> {
        canary_kit(self.secrets.path())
    }

    fn operations(&self) -> Vec<Operation> {
        self.operations.to_vec()
    }

    fn row(&self, operation: Operation, op: u64) -> Row {
        let id = format!("user-{op}");
        let mut batch = match operation {
            Operation::Append => events(&[&id]),
            Operation::Upsert => profiles(operation, &[[&id, "ada@example.com", "pro"]]),
            _ => removals(operation, &[&id]),
        };
        let key = Value::Int(i64::try_from(op).expect("a small number"));
        Row { op, key: backhaul_kit::key::encode(&[&key]).expect("a key").into(), ..batch.rows.remove(0) }
    }
}

impl HttpSubject for Object {
    fn answer(&self, case: Case, batch: &Batch, request: &Received) -> Scripted {
        let error = |status: u16, error: &str| Scripted::json(status, &json!({"code": status, "error": error}));
        match case {
            Case::Throttled => return error(429, "Project exceeded rate limits"),
            Case::AuthExpired => return error(401, "Invalid credentials"),
            _ => {}
        }
        if batch.operation != Operation::Append {
            return Scripted::json(
                200,
                &match case {
                    Case::OneRefused(_) | Case::AllRefused => json!({"status": 0, "error": "some error"}),
                    Case::UnknownField => json!({"status": 1, "mood": {"good": true}}),
                    _ => json!({"status": 1}),
                },
            );
        }
        let sent = request.json().as_array().cloned().unwrap_or_default();
        let is_refused = |place: usize| case == Case::AllRefused || case == Case::OneRefused(place);
        let failed: Vec<Json> = (0..sent.len())
            .filter(|place| is_refused(*place))
            .map(|place| {
                let id = &sent[place]["properties"]["$insert_id"];
                json!({"index": place, "insert_id": id, "field": "properties.total", "message": "no"})
            })
            .collect();
        let imported = sent.len() - failed.len();
        match case {
            Case::NamesNoRow => Scripted::json(200, &json!({"code": 200, "status": "OK"})),
            Case::UnknownField => Scripted::json(200, &json!({"num_records_imported": imported, "shard": [4]})),
            _ if failed.is_empty() => Scripted::json(200, &json!({"num_records_imported": imported, "status": "OK"})),
            _ => Scripted::json(400, &json!({"code": 400, "num_records_imported": imported, "failed_records": failed})),
        }
    }
}

mod of_events {
    use super::*;

    backhaul_kit::contract_tests!(Object::new(EVENTS, &[Operation::Append]));
    backhaul_kit::http_contract_tests!(Object::new(EVENTS, &[Operation::Append]));
}

mod of_profiles {
    use super::*;

    backhaul_kit::contract_tests!(Object::new(PROFILES, &[Operation::Upsert, Operation::Delete]));
    backhaul_kit::http_contract_tests!(Object::new(PROFILES, &[Operation::Upsert, Operation::Delete]));
}

mod of_profiles_that_are_cleared {
    use super::*;

    const CLEARED: Wanted = Wanted { removed: Removed::Clear, ..PROFILES };

    backhaul_kit::contract_tests!(Object::new(CLEARED, &[Operation::Clear]));
    backhaul_kit::http_contract_tests!(Object::new(CLEARED, &[Operation::Clear]));
}
