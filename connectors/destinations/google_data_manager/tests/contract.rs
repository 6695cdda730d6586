//! The suite of the kit, in Google's own answers.

use backhaul_kit::contract::{Case, HttpSubject, JobCase, JobSubject, Received, Scripted};
use serde_json::json;

use super::*;
use crate::destinations::fixture::{Contracted, Subjected};

/// A sync of these operations.
type Audience = Subjected<Vendor>;

struct Vendor;

impl Contracted for Vendor {
    const SECRET: &'static str = "secret";

    fn prepare(sync: &Audience, url: &str) -> Arc<dyn Prepared> {
        let secret = "{ file = \"secret\" }";
        let oauth = format!("oauth = {{ client_id = \"me\", client_secret = {secret}, refresh_token = {secret} }}");
        let text = text(url, &sync.into).replace("service_account = { file = \"key\" }", &oauth);
        fixture::prepared(&GOOGLE_DATA_MANAGER, &text, &["id"], sync.fields)
    }

    fn row(_sync: &Audience, operation: Operation, op: u64) -> Row {
        let (old, new) = (format!("email {}", sha256(&format!("old-{op}"))), format!("p{op}@example.com"));
        let new: &[&str] = &[&new, ""];
        match operation {
            Operation::AudienceRemove => row(op, ChangeKind::Remove, Some(&old), &[]),
            Operation::Move => row(op, ChangeKind::Move, Some(&old), new),
            _ => row(op, ChangeKind::Add, None, new),
        }
    }
}

impl HttpSubject for Audience {
    fn token(&self, request: &Received) -> Option<Scripted> {
        let token = json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 3599 });
        (request.target == "/token").then(|| Scripted::json(200, &token))
    }

    fn answer(&self, case: Case, batch: &Batch, request: &Received) -> Scripted {
        let error = |status: u16, word: &str| {
            Scripted::json(status, &json!({ "error": { "code": status, "status": word, "message": "no" } }))
        };
        match case {
            Case::Throttled => return error(429, "RESOURCE_EXHAUSTED"),
            Case::AuthExpired => return error(401, "UNAUTHENTICATED"),
            _ => {}
        }
        let strange = if case == Case::UnknownField { json!({ "n": 4 }) } else { Json::Null };
        if request.method == "POST" {
            return Scripted::json(200, &json!({ "requestId": "r1", "shard": strange }));
        }
        let reason = json!([{ "recordCount": "1", "reason": "PROCESSING_ERROR_REASON_INVALID_FORMAT" }]);
        let (word, reasons) = match case {
            Case::AllRefused => ("FAILED", reason),
            Case::OneRefused(_) if batch.rows.len() == 1 => ("FAILED", reason),
            Case::OneRefused(_) => ("PARTIAL_SUCCESS", reason),
            _ => ("SUCCESS", json!([])),
        };
        let mut status = json!({ "requestStatus": word, "errorInfo": { "errorCounts": reasons }, "shard": strange });
        if case == Case::NamesNoRow {
            status["audienceMembersIngestionStatus"] = json!({ "userDataIngestionStatus": { "recordCount": "0" } });
        }
        Scripted::json(200, &json!({ "requestStatusPerDestination": [status] }))
    }
}

impl JobSubject for Audience {
    fn job_answer(&self, case: JobCase, _batch: &Batch, request: &Received) -> Option<Scripted> {
        let asks = request.target.starts_with("/v1/requestStatus:retrieve?requestId=r1");
        let word = match case {
            JobCase::Running => "PROCESSING",
            JobCase::Failed => "FAILED",
            JobCase::Forgotten => {
                let error = json!({ "code": 400, "details": [{ "reason": "INVALID_REQUEST_ID" }] });
                return asks.then(|| Scripted::json(400, &json!({ "error": error })));
            }
        };
        let statuses = json!({ "requestStatusPerDestination": [{ "requestStatus": word }] });
        asks.then(|| Scripted::json(200, &statuses))
    }
}

const OPERATIONS: &[Operation] = &[Operation::AudienceAdd, Operation::Move, Operation::AudienceRemove];

backhaul_kit::contract_tests!(Audience::new("", FIELDS, OPERATIONS));
backhaul_kit::http_contract_tests!(jobs: Audience::new("", FIELDS, OPERATIONS));
backhaul_kit::http_contract_tests!(Audience::new("", FIELDS, OPERATIONS));
