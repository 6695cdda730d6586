//! The suite of the kit, in HubSpot's own answers.

use backhaul_kit::contract::{CANARY, Case, FindSubject, HttpSubject, Received, Scripted, Subject, canary_kit};
use serde_json::{Value as Json, json};

use super::*;

#[derive(Clone)]
struct Contacts(Arc<tempfile::TempDir>);

impl Contacts {
    fn new() -> Self {
        let project = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(project.path().join("token"), CANARY).expect("a token");
        Self(Arc::new(project))
    }
}

impl Subject for Contacts {
    fn prepare(&self, url: &str) -> Arc<dyn Prepared> {
        read(&format!("base_url = \"{url}\""), &CONTACTS).expect("a sync without problems")
    }

    fn kit(&self) -> Arc<Kit> {
        canary_kit(self.0.path())
    }

    fn operations(&self) -> Vec<Operation> {
        vec![Operation::Upsert, Operation::Archive]
    }

    fn row(&self, operation: Operation, op: u64) -> Row {
        let (id, email) = (format!("c{op}"), format!("p{op}@example.com"));
        let mut batch = match operation {
            Operation::Archive => removals(operation, vec![by_id(&id)]),
            _ => writes(operation, &[&[&id, &email, "Ada"]]),
        };
        let key = Value::Int(i64::try_from(op).expect("a small number"));
        Row { op, key: backhaul_kit::key::encode(&[&key]).expect("a key").into(), ..batch.rows.remove(0) }
    }
}

impl HttpSubject for Contacts {
    fn answer(&self, case: Case, batch: &Batch, request: &Received) -> Scripted {
        let error = |status: u16, category: &str| {
            let body = json!({"status": "error", "category": category, "message": "no", "correlationId": "c"});
            Scripted::json(status, &body)
        };
        match case {
            Case::Throttled => return error(429, "RATE_LIMITS"),
            Case::AuthExpired => return error(401, "EXPIRED_AUTHENTICATION"),
            _ => {}
        }
        if batch.operation == Operation::Archive {
            let refused = matches!(case, Case::OneRefused(_) | Case::AllRefused);
            return if refused { error(400, "VALIDATION_ERROR") } else { Scripted::empty(204) };
        }
        let asked = request.json()["inputs"].as_array().cloned().unwrap_or_default();
        let (mut results, mut errors) = (Vec::<Json>::new(), Vec::<Json>::new());
        for (place, input) in asked.iter().enumerate().filter(|_| case != Case::NamesNoRow) {
            let trace = &input["objectWriteTraceId"];
            if case == Case::AllRefused || case == Case::OneRefused(place) {
                let context = json!({"objectWriteTraceId": [trace]});
                errors.push(json!({"category": "VALIDATION_ERROR", "message": "not valid", "context": context}));
            } else if case == Case::UnknownField {
                results.push(json!({"id": format!("{place}"), "objectWriteTraceId": trace, "shard": {"n": 4}}));
            } else {
                results.push(json!({"id": format!("{place}"), "objectWriteTraceId": trace}));
            }
        }
        let status = if errors.is_empty() { 200 } else { 207 };
        Scripted::json(status, &json!({"status": "COMPLETE", "results": results, "errors": errors}))
    }
}

impl FindSubject for Contacts {
    fn look_up(&self, value: &str, id: Option<&str>, request: &Received) -> Option<Scripted> {
        let found: Vec<Json> = id.iter().map(|id| json!({"id": id, "properties": {"customer_id": value}})).collect();
        let inputs = request.json()["inputs"].as_array().cloned().unwrap_or_default();
        let names = inputs.iter().map(|input| &input["id"]).filter(|name| id.is_none() || *name != value);
        let absent = json!({"category": "OBJECT_NOT_FOUND", "context": {"ids": names.collect::<Vec<_>>()}});
        let answer = json!({"status": "COMPLETE", "results": found, "errors": [absent]});
        request.target.ends_with("/batch/read").then(|| Scripted::json(207, &answer))
    }
}

backhaul_kit::contract_tests!(Contacts::new());
backhaul_kit::http_contract_tests!(Contacts::new());
backhaul_kit::http_contract_tests!(finds: Contacts::new());
