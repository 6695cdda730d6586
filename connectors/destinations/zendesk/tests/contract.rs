//! The suite of the kit, in Zendesk's own answers.

use backhaul_kit::contract::{Case, FindSubject, HttpSubject, JobCase, JobSubject, Received, Scripted};
use serde_json::json;

use super::*;
use crate::destinations::fixture::{Contracted, Subjected};

/// A sync of these operations.
type Records = Subjected<Vendor>;

struct Vendor;

impl Contracted for Vendor {
    const SECRET: &'static str = "token";

    fn prepare(sync: &Records, url: &str) -> Arc<dyn Prepared> {
        prepared(url, &sync.into, sync.fields)
    }

    fn row(sync: &Records, operation: Operation, op: u64) -> Row {
        let id = op.to_string();
        let texts: Vec<&str> = [id.as_str()].into_iter().chain(sync.fields[1..].iter().copied()).collect();
        match operation {
            Operation::Delete => removed(op, by_id(&id)),
            Operation::Move => moved(op, by_id(&id), &texts),
            _ => new(op, &texts),
        }
    }
}

impl HttpSubject for Records {
    fn answer(&self, case: Case, batch: &Batch, request: &Received) -> Scripted {
        match case {
            Case::Throttled => return Scripted::json(429, &json!({ "errors": [{ "code": "TooManyRequests" }] })),
            Case::AuthExpired => return Scripted::json(401, &json!({ "error": "Couldn't authenticate you" })),
            _ => {}
        }
        if request.target.ends_with("/create_or_update") {
            return match case {
                Case::AllRefused | Case::OneRefused(_) => Scripted::json(422, &json!({ "error": "RecordInvalid" })),
                Case::NamesNoRow => Scripted::json(200, &json!({})),
                _ => Scripted::json(200, &json!({ "organization": { "id": 7, "external_id": "700", "mood": "good" } })),
            };
        }
        if !request.target.contains("job_statuses") {
            return Scripted::json(200, &json!({ "job_status": { "id": "j1", "status": "queued", "results": null } }));
        }
        let result = |place: usize, row: &Row| {
            let refused = case == Case::AllRefused || case == Case::OneRefused(place);
            let mut result = match (batch.operation, refused) {
                (Operation::Upsert, true) => json!({ "index": place, "error": "UserUpdateError", "status": "Failed" }),
                (Operation::Upsert, false) => json!({ "index": place, "id": 244 + place, "status": "Updated" }),
                (_, true) => json!({ "id": row.op, "success": false, "error": "RecordInvalid", "details": "no" }),
                (_, false) => json!({ "id": row.op, "action": "update", "success": true, "status": "Updated" }),
            };
            if case == Case::UnknownField {
                result["shard"] = json!({ "n": 4 });
            }
            result
        };
        let results: Vec<Json> = match case {
            Case::NamesNoRow => Vec::new(),
            _ => batch.rows.iter().enumerate().map(|(place, row)| result(place, row)).rev().collect(),
        };
        Scripted::json(200, &json!({ "job_status": { "id": "j1", "status": "completed", "results": results } }))
    }
}

impl FindSubject for Records {
    fn look_up(&self, value: &str, id: Option<&str>, request: &Received) -> Option<Scripted> {
        let number = id.map(|id| id.parse::<u64>().expect("a number"));
        let records: Vec<Json> = number.iter().map(|id| json!({ "id": id, "external_id": value })).collect();
        let object = ["users", "organizations"].into_iter().find(|name| request.target.contains(name))?;
        request.target.contains("/show_many").then(|| Scripted::json(200, &json!({ object: records })))
    }
}

impl JobSubject for Records {
    fn job_answer(&self, case: JobCase, _batch: &Batch, request: &Received) -> Option<Scripted> {
        let job = |status: &str| json!({ "job_status": { "id": "j1", "status": status, "results": null } });
        request.target.contains("job_statuses").then(|| match case {
            JobCase::Running => Scripted::json(200, &job("working")),
            JobCase::Failed => Scripted::json(200, &job("failed")),
            JobCase::Forgotten => Scripted::json(404, &json!({ "error": "RecordNotFound" })),
        })
    }
}

mod upserts_of_users {
    use super::*;

    const OPERATIONS: &[Operation] = &[Operation::Upsert, Operation::Move, Operation::Delete];

    backhaul_kit::contract_tests!(Records::new(&format!("{USERS}\nremoved = \"delete\""), USER, OPERATIONS));
    backhaul_kit::http_contract_tests!(Records::new(&format!("{USERS}\nremoved = \"delete\""), USER, OPERATIONS));
    backhaul_kit::http_contract_tests!(jobs: Records::new(USERS, USER, OPERATIONS));
    backhaul_kit::http_contract_tests!(finds: Records::new(USERS, USER, OPERATIONS));
}

mod upserts_of_organizations {
    use super::*;

    const OPERATIONS: &[Operation] = &[Operation::Upsert, Operation::Move, Operation::Delete];

    backhaul_kit::contract_tests!(Records::new(ORGANIZATIONS, ORGANIZATION, OPERATIONS));
    backhaul_kit::http_contract_tests!(Records::new(ORGANIZATIONS, ORGANIZATION, OPERATIONS));
    backhaul_kit::http_contract_tests!(jobs: Records::new(ORGANIZATIONS, ORGANIZATION, OPERATIONS));
    backhaul_kit::http_contract_tests!(finds: Records::new(ORGANIZATIONS, ORGANIZATION, OPERATIONS));
}

mod updates_of_tickets {
    use super::*;

    backhaul_kit::contract_tests!(Records::new(TICKETS, TICKET, &[Operation::Update]));
    backhaul_kit::http_contract_tests!(Records::new(TICKETS, TICKET, &[Operation::Update]));
    backhaul_kit::http_contract_tests!(jobs: Records::new(TICKETS, TICKET, &[Operation::Update]));
}
