//! The suite of the kit, in Customer.io's own answers.

use backhaul_kit::contract::{Case, HttpSubject, Received, Scripted};
use serde_json::json;

use super::*;
use crate::destinations::fixture::{Contracted, Subjected};

type People = Subjected<Vendor>;

struct Vendor;

impl Contracted for Vendor {
    const SECRET: &'static str = "key";

    fn prepare(sync: &People, url: &str) -> Arc<dyn Prepared> {
        prepared(url, sync.fields)
    }

    fn row(_sync: &People, operation: Operation, op: u64) -> Row {
        let id = format!("c{op}");
        let batch = if operation == Operation::Delete { removal(&id) } else { upsert(texts(&[&id, "a@b.c", "pro"])) };
        let key = row(op, i64::try_from(op).expect("a small number"), Vec::new()).key;
        batch.rows.into_iter().map(|row| Row { op, key: key.clone(), ..row }).next().expect("a row")
    }
}

impl HttpSubject for People {
    fn answer(&self, case: Case, _batch: &Batch, _request: &Received) -> Scripted {
        match case {
            Case::AllAccepted | Case::NamesNoRow => Scripted::json(200, &json!({})),
            Case::UnknownField => Scripted::json(200, &json!({ "mood": { "good": true } })),
            Case::OneRefused(_) | Case::AllRefused => Scripted::json(400, &json!({ "meta": { "errors": ["no"] } })),
            Case::Throttled => Scripted::empty(429),
            Case::AuthExpired => Scripted::empty(401),
        }
    }
}

const OPERATIONS: &[Operation] = &[Operation::Upsert, Operation::Delete];

backhaul_kit::contract_tests!(People::new("", FIELDS, OPERATIONS));
backhaul_kit::http_contract_tests!(People::new("", FIELDS, OPERATIONS));
