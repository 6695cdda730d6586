//! The suite of the kit, in Salesforce's own answers.

use backhaul_kit::contract::{Case, FindSubject, HttpSubject, Received, Scripted};
use serde_json::json;

use super::*;
use crate::destinations::fixture::{Contracted, Subjected};

/// A sync of these operations.
type Accounts = Subjected<Vendor>;

struct Vendor;

impl Contracted for Vendor {
    const SECRET: &'static str = "key";

    fn prepare(sync: &Accounts, url: &str) -> Arc<dyn Prepared> {
        prepared(url, &sync.into, sync.fields)
    }

    fn row(sync: &Accounts, operation: Operation, op: u64) -> Row {
        let id = id(op as usize);
        let first = if sync.fields[0] == "Id" { id.clone() } else { format!("c{op}") };
        let fields = [first.as_str(), "Ada", "pro"].map(value).to_vec();
        match operation {
            Operation::Delete | Operation::Clear => row(op, by_id(&id), Vec::new()),
            Operation::Create => row(op, Address::default(), fields),
            _ => row(op, by_id(&id), fields),
        }
    }
}

impl HttpSubject for Accounts {
    fn answer(&self, case: Case, batch: &Batch, _request: &Received) -> Scripted {
        let error = |status, code: &str| Scripted::json(status, &json!([{ "errorCode": code, "message": "no" }]));
        let result = |place: usize| {
            let errors = json!([{ "statusCode": "REQUIRED_FIELD_MISSING", "message": "no", "fields": ["Name"] }]);
            let id = batch.rows[place].address.remote_id.clone().unwrap_or_else(|| id(place));
            match case {
                Case::AllRefused => json!({ "success": false, "errors": errors }),
                Case::OneRefused(refused) if refused == place => {
                    json!({ "id": null, "success": false, "errors": errors })
                }
                Case::UnknownField => json!({ "id": id, "success": true, "errors": [], "shard": { "n": 4 } }),
                Case::NamesNoRow => json!({ "success": true }),
                _ => json!({ "id": id, "success": true, "created": true, "errors": [] }),
            }
        };
        match case {
            Case::Throttled => error(403, "REQUEST_LIMIT_EXCEEDED"),
            Case::AuthExpired => error(401, "INVALID_SESSION_ID"),
            _ => Scripted::json(200, &(0..batch.rows.len()).map(result).collect()),
        }
    }

    fn token(&self, request: &Received) -> Option<Scripted> {
        let granted = json!({ "access_token": "t", "token_type": "Bearer", "scope": "api" });
        (request.target == "/services/oauth2/token").then(|| Scripted::json(200, &granted))
    }
}

impl FindSubject for Accounts {
    fn look_up(&self, value: &str, id: Option<&str>, request: &Received) -> Option<Scripted> {
        let records: Vec<_> = id.iter().map(|id| json!({ "Id": id, "Ext_Id__c": value })).collect();
        request.target.contains("/query").then(|| Scripted::json(200, &json!({ "done": true, "records": records })))
    }
}

mod upserts_and_deletions {
    use super::*;

    const OPERATIONS: &[Operation] = &[Operation::Upsert, Operation::Move, Operation::Delete];

    fn subject() -> Accounts {
        Accounts::new(&format!("{UPSERT}\nremoved = \"delete\""), FIELDS, OPERATIONS)
    }

    backhaul_kit::contract_tests!(subject());
    backhaul_kit::http_contract_tests!(subject());
    backhaul_kit::http_contract_tests!(finds: subject());
}

mod creations_and_clearings {
    use super::*;

    fn subject() -> Accounts {
        Accounts::new(&format!("{CREATE}\nremoved = \"clear\""), FIELDS, &[Operation::Create, Operation::Clear])
    }

    backhaul_kit::contract_tests!(subject());
    backhaul_kit::http_contract_tests!(subject());
}

mod updates_by_id {
    use super::*;

    fn subject() -> Accounts {
        Accounts::new("mode = \"update\"\nmatch = \"Id\"", &["Id", "Name", "Plan__c"], &[Operation::Update])
    }

    backhaul_kit::contract_tests!(subject());
    backhaul_kit::http_contract_tests!(subject());
}

/// Records are looked for by a call of its own, which the questions about one call do not fit.
mod updates_by_external_id {
    use super::*;

    backhaul_kit::contract_tests!(Accounts::new(UPDATE, FIELDS, &[Operation::Update]));
    backhaul_kit::http_contract_tests!(finds: Accounts::new(UPDATE, FIELDS, &[Operation::Update]));
}
