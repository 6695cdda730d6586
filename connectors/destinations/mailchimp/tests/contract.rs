//! The suite of the kit, in Mailchimp's own answers.

use backhaul_kit::contract::{Case, HttpSubject, JobCase, JobSubject, Received, Scripted};
use serde_json::{Value as Json, json};

use super::*;
use crate::destinations::fixture::{Contracted, Subjected};

/// A sync of these operations.
type Object = Subjected<Vendor>;

struct Vendor;

impl Contracted for Vendor {
    const SECRET: &'static str = "key";

    fn prepare(sync: &Object, url: &str) -> Arc<dyn Prepared> {
        prepared(url, &sync.into, sync.fields)
    }

    fn row(sync: &Object, operation: Operation, op: u64) -> Row {
        let (address, old) = (format!("p{op}@example.com"), format!("old{op}@example.com"));
        let mut row = match operation {
            _ if operation.is_removal() => row(op, Some(&address), &[]),
            Operation::Move => row(op, Some(&old), &[&address, "pro", "subscribed", "vip"][..sync.fields.len()]),
            _ => row(op, Some(&address), &[&address, "pro", "subscribed", "vip"][..sync.fields.len()]),
        };
        row.op = op;
        row
    }
}

fn problem(status: u16, title: &str) -> Scripted {
    Scripted::json(status, &json!({ "type": "", "title": title, "status": status, "detail": "no", "instance": "" }))
}

/// What an operation of a job came to, or a call about one member.
fn one(method: &str, path: &str, refused: bool, case: Case) -> (u16, Json) {
    let id = path.split('/').skip_while(|part| *part != "members").nth(1).unwrap_or_default();
    match (refused, method) {
        (true, _) => (400, json!({ "title": "Invalid Resource", "detail": "no" })),
        (false, "DELETE" | "POST") => (204, Json::Null),
        (false, _) => match case {
            Case::NamesNoRow => (200, json!({})),
            Case::UnknownField => (200, json!({ "id": id, "status": "subscribed", "shard": [4] })),
            _ => (200, json!({ "id": id, "status": "subscribed" })),
        },
    }
}

impl HttpSubject for Object {
    fn answer(&self, case: Case, batch: &Batch, request: &Received) -> Scripted {
        match case {
            Case::Throttled => return problem(429, "Too Many Requests"),
            Case::AuthExpired => return problem(401, "API Key Invalid"),
            _ => {}
        }
        let is_refused = |place: usize| case == Case::AllRefused || case == Case::OneRefused(place);
        let places = 0..batch.rows.len();
        let address = |place: &usize| format!("p{}@example.com", batch.rows[*place].op);
        let named = |names: &[usize]| -> Json {
            names.iter().map(|place| json!({ "email_address": address(place), "status": "subscribed" })).collect()
        };
        let (refused, taken): (Vec<usize>, Vec<usize>) = places.partition(|place| is_refused(*place));
        let path = request.target.split('?').next().unwrap_or_default();
        let mut said = match (request.method.as_str(), path.trim_start_matches("/3.0/")) {
            (_, "/results") => return results(case, self, batch, &is_refused),
            ("POST", "batches") if case == Case::NamesNoRow => json!({}),
            ("POST", "batches") => json!({ "id": "j1", "status": "pending" }),
            ("GET", "batches/j1") => {
                let url = format!("http://{}/results", request.header("host").unwrap_or_default());
                json!({ "id": "j1", "status": "finished", "response_body_url": url })
            }
            ("POST", "lists/abc123") => {
                let error = |place: &usize| json!({ "email_address": address(place), "error": "no", "error_code": "ERROR_GENERIC" });
                json!({ "updated_members": named(&taken), "errors": refused.iter().map(error).collect::<Json>() })
            }
            ("POST", "lists/abc123/segments/123") => {
                let which = if batch.operation.is_removal() { "members_removed" } else { "members_added" };
                let errors = refused.iter().map(|place| json!({ "email_addresses": [address(place)], "error": "no" }));
                json!({ which: named(&taken), "errors": errors.collect::<Json>(), "total_added": 1, "total_removed": 1 })
            }
            (method, _) => {
                let (status, body) = one(method, path, is_refused(0), case);
                return if body.is_null() { Scripted::empty(status) } else { Scripted::json(status, &body) };
            }
        };
        match case {
            Case::NamesNoRow => said = json!({}),
            Case::UnknownField => said["shard"] = json!({ "n": 4 }),
            _ => {}
        }
        Scripted::json(200, &said)
    }
}

impl JobSubject for Object {
    fn job_answer(&self, case: JobCase, _batch: &Batch, request: &Received) -> Option<Scripted> {
        if request.method != "GET" {
            return None;
        }
        let url = format!("http://{}/results", request.header("host").unwrap_or_default());
        let finished = json!({ "id": "j1", "status": "finished", "response_body_url": url });
        Some(match case {
            JobCase::Running => Scripted::json(200, &json!({ "id": "j1", "status": "started" })),
            JobCase::Forgotten => problem(404, "Resource Not Found"),
            JobCase::Failed if request.target == "/results" => packed("[]"),
            JobCase::Failed => Scripted::json(200, &finished),
        })
    }
}

/// The archive of a job's results.
fn results(case: Case, subject: &Object, batch: &Batch, is_refused: &dyn Fn(usize) -> bool) -> Scripted {
    let preview = open_with("http://127.0.0.1:9", &subject.into, subject.fields, KEY);
    let request = preview.destination.preview(&run(), batch).expect("a request").remove(0);
    let job: Json = serde_json::from_str(&request.body).expect("JSON");
    let operations = job["operations"].as_array().cloned().unwrap_or_default();
    let done = operations.iter().enumerate().map(|(place, operation)| {
        let text = |name: &str| operation[name].as_str().unwrap_or_default();
        let (status, body) = one(text("method"), text("path"), is_refused(place), case);
        json!({ "status_code": status, "operation_id": text("operation_id"), "response": body.to_string(), "shard": 4 })
    });
    packed(&done.collect::<Json>().to_string())
}

/// A file in an archive.
fn packed(file: &str) -> Scripted {
    Scripted::of(200, "application/gzip", archive(file))
}

mod jobs {
    use super::*;

    fn subject() -> Object {
        let into = format!("{NEW}\nremoved = \"archive\"");
        Object::new(
            &into,
            &["email_address", "merge_fields.PLAN"],
            &[Operation::Upsert, Operation::Move, Operation::Archive],
        )
    }

    backhaul_kit::contract_tests!(subject());
    backhaul_kit::http_contract_tests!(subject());
    backhaul_kit::http_contract_tests!(jobs: subject());
}

mod updates_and_deletions {
    use super::*;

    fn subject() -> Object {
        let into = format!("{MEMBERS}\nmode = \"update\"\nremoved = \"delete\"\nnever_again = true");
        Object::new(&into, &["email_address", "merge_fields.PLAN"], &[Operation::Update, Operation::Delete])
    }

    backhaul_kit::contract_tests!(subject());
    backhaul_kit::http_contract_tests!(subject());
    backhaul_kit::http_contract_tests!(jobs: subject());
}

mod by_the_list {
    use super::*;

    fn subject() -> Object {
        Object::new(MEMBERS, STATED, &[Operation::Upsert, Operation::Move])
    }

    backhaul_kit::contract_tests!(subject());
    backhaul_kit::http_contract_tests!(subject());
}

mod segments {
    use super::*;

    fn subject() -> Object {
        let operations = &[Operation::AudienceAdd, Operation::AudienceRemove, Operation::Move];
        Object::new(SEGMENT, &["email_address"], operations)
    }

    backhaul_kit::contract_tests!(subject());
    backhaul_kit::http_contract_tests!(subject());
}
