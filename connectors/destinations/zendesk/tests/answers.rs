//! What odd answers come to; the server says whatever the test scripts.

use std::time::Duration;

use backhaul_kit::FaultClass;
use backhaul_kit::contract::{Reply, Scripted, Server};
use serde_json::json;

use super::*;

/// What a job with these results says of so many rows, upserted or, with ids from 1, updated.
async fn results(operation: Operation, rows: u64, status: &str, results: Json) -> Vec<Verdict> {
    let status = status.to_owned();
    let server = Server::start(move |request| {
        let job = if request.target.contains("job_statuses") {
            json!({ "id": "j1", "status": status, "results": results })
        } else {
            json!({ "id": "j1", "status": "queued" })
        };
        Reply::Answer(Scripted::json(200, &json!({ "job_status": job })))
    })
    .await;
    let (into, fields) = if operation == Operation::Upsert { (USERS, USER) } else { (TICKETS, TICKET) };
    let rows =
        (1..=rows).map(|op| new(op, &[&op.to_string(), "Ann", "a@example.com", "pro"][..fields.len()])).collect();
    open(server.url(), into, fields).verdicts(operation, rows).await
}

fn id_of(verdict: &Verdict) -> Option<&str> {
    match verdict {
        Verdict::Written { remote_id } => remote_id.as_deref(),
        _ => None,
    }
}

#[tokio::test]
async fn results_are_told_by_index_then_by_id_then_by_their_place() {
    let by_index = json!([{ "id": 21, "index": 1 }, { "id": 20, "index": 0 }]);
    let said = results(Operation::Upsert, 2, "completed", by_index).await;
    assert_eq!(said.iter().map(id_of).collect::<Vec<_>>(), [Some("20"), Some("21")]);
    let by_id = json!([
        { "id": 2, "action": "update", "success": true, "status": "Updated" },
        { "id": 1, "action": "update", "success": false, "status": "Failed", "errors": "no" },
    ]);
    let said = results(Operation::Update, 2, "completed", by_id).await;
    assert_eq!((code(&said[0]), id_of(&said[1])), ("REFUSED", Some("2")));
    // As a user of the API has seen it.
    let by_place = json!([
        { "id": 1_900_233_268_488_u64, "status": "Created", "email": "a@example.com" },
        { "id": 902_860_577_023_u64, "status": "Updated", "email": "a@example.com" },
        { "id": 2, "error": "UserUpdateError", "details": "Email: x is not properly formatted", "status": "Failed" },
    ]);
    let said = results(Operation::Upsert, 3, "completed", by_place).await;
    assert_eq!((id_of(&said[0]), id_of(&said[1])), (Some("1900233268488"), Some("902860577023")));
    assert!(matches!(&said[2], Verdict::Rejected(reason) if reason.text.contains("properly formatted")));
}

#[tokio::test]
async fn what_is_not_said_of_a_row_leaves_it_unknown() {
    let updated = |id: u64| json!({ "id": id, "action": "update", "success": true, "status": "Updated" });
    for (operation, said) in [
        (Operation::Upsert, json!(null)),
        (Operation::Upsert, json!({ "success": true })),
        (Operation::Upsert, json!([])),
        // Fewer results than rows, and no index.
        (Operation::Upsert, json!([{ "id": 20, "status": "Created" }])),
        // An index beyond the rows; a result that says nothing.
        (Operation::Upsert, json!([{ "id": 20, "index": 7 }, { "index": 0 }])),
        // Another user than the row's.
        (
            Operation::Upsert,
            json!([{ "external_id": "9", "status": "Created" }, { "external_id": "8", "status": "Created" }]),
        ),
        // Records that nobody asked for.
        (Operation::Update, json!([updated(7), updated(8)])),
    ] {
        let verdicts = results(operation, 2, "completed", said.clone()).await;
        assert_eq!(verdicts, [Verdict::Unknown, Verdict::Unknown], "{said}");
    }
    let twice = json!([{ "id": 20, "index": 0 }, { "index": 0, "error": "UserUpdateError" }, { "id": 21, "index": 1 }]);
    let verdicts = results(Operation::Upsert, 2, "completed", twice).await;
    assert_eq!((&verdicts[0], id_of(&verdicts[1])), (&Verdict::Unknown, Some("21")));
}

#[tokio::test]
async fn a_job_that_failed_may_have_done_a_part() {
    for status in ["failed", "killed"] {
        let verdicts = results(Operation::Upsert, 2, status, json!([{ "id": 20, "index": 0 }])).await;
        assert_eq!((id_of(&verdicts[0]), &verdicts[1]), (Some("20"), &Verdict::Unknown), "{status}");
    }
}

#[tokio::test]
async fn who_is_to_be_deleted_and_is_not_there_is_deleted() {
    let gone = json!([{ "id": 7, "success": false, "error": "RecordNotFound", "details": "Not found" }]);
    let server = Server::start(move |_| {
        let job = json!({ "id": "j1", "status": "completed", "results": gone });
        Reply::Answer(Scripted::json(200, &json!({ "job_status": job })))
    })
    .await;
    let bench = open(server.url(), USERS, USER);
    assert_eq!(bench.verdicts(Operation::Delete, vec![removed(1, by_id("7"))]).await, [Verdict::Unchanged]);
    assert_eq!(server.received()[0].target, "/api/v2/users/destroy_many?ids=7");
}

/// The fault of a call of `rows` users that is answered so.
async fn fault(status: u16, body: Json, rows: u64) -> Result<Vec<Verdict>, Fault> {
    let server = Server::start(move |_| Reply::Answer(Scripted::json(status, &body))).await;
    let rows = (1..=rows).map(|op| new(op, &[&op.to_string(), "Ann", "secret@example.com", "pro"])).collect();
    open(server.url(), USERS, USER).write(Operation::Upsert, rows).await
}

#[tokio::test]
async fn each_form_of_refusal_means_what_it_says() {
    let values = json!({ "email": [{ "description": "secret@example.com is taken", "error": "DuplicateValue" }] });
    for (status, body, class) in [
        (401, json!({ "error": "Couldn't authenticate you" }), FaultClass::Auth),
        (403, json!({ "error": { "title": "Forbidden", "message": "secret@example.com" } }), FaultClass::Auth),
        (403, json!({ "error": "Forbidden", "message": "Data imports are not enabled" }), FaultClass::Config),
        (404, json!({ "error": "InvalidEndpoint", "description": "Not found" }), FaultClass::Config),
        (400, json!({ "error": "BadRequest" }), FaultClass::Config),
        (409, json!({ "error": "Conflict" }), FaultClass::Ambiguous),
        (413, json!(null), FaultClass::Split),
        (422, json!({ "error": "RecordInvalid", "details": values }), FaultClass::Split),
        (429, json!({ "errors": [{ "code": "TooManyRequests", "title": "x" }] }), FaultClass::Throttled),
        (429, json!({ "error": "TooManyJobs", "description": "x", "current_job_ids": [] }), FaultClass::Throttled),
        (422, json!({ "error": "TooManyJobs" }), FaultClass::Throttled),
        (500, json!("not an object"), FaultClass::Ambiguous),
        (503, json!({ "errors": { "x": [1] } }), FaultClass::Ambiguous),
        (200, json!({ "job_status": { "status": "queued" } }), FaultClass::Ambiguous),
    ] {
        let fault = fault(status, body.clone(), 2).await.expect_err("a fault");
        assert_eq!(fault.class, class, "{status} {body}: {fault}");
        assert!(!format!("{fault}{}", fault.remedy_text()).contains("secret@"), "{fault}");
    }
    let imports = fault(403, json!({ "error": "Forbidden", "message": "Data imports are not enabled" }), 1).await;
    assert!(imports.expect_err("a fault").remedy_text().contains("support"));
    let said = fault(422, json!({ "error": "RecordInvalid", "details": values }), 1).await.expect("about the row");
    let Verdict::Rejected(reason) = &said[0] else { panic!("{said:?}") };
    assert_eq!((reason.code.as_str(), reason.field.as_deref()), ("RecordInvalid", Some("email")));
    assert_eq!(reason.text, "secret@example.com is taken");
}

/// Begins a job at a server, and asks after it once.
async fn polled(status: u16, body: Json) -> Result<Progress, Fault> {
    let server = Server::start(move |request| {
        Reply::Answer(if request.target.contains("job_statuses") {
            Scripted::json(status, &body)
        } else {
            Scripted::json(200, &json!({ "job_status": { "id": "j1", "status": "queued" } }))
        })
    })
    .await;
    let bench = open(server.url(), USERS, USER);
    let batch = batch(Operation::Upsert, vec![new(1, &["1", "Ann", "a@example.com", "pro"])]);
    let Delivery::Pending(ticket) = bench.begin(&batch).await.expect("taken in") else { panic!("a job") };
    bench.destination.poll(&run(), &ticket, &batch).await
}

#[tokio::test]
async fn a_question_after_a_job_writes_nothing_and_may_be_asked_again() {
    for status in ["queued", "working", "resting"] {
        let running = polled(200, json!({ "job_status": { "id": "j1", "status": status } })).await;
        let Ok(Progress::Running { after }) = running else { panic!("{running:?}") };
        assert!((1..=30).contains(&after.as_secs()), "{after:?}");
    }
    assert!(matches!(polled(404, json!({ "error": "RecordNotFound" })).await, Ok(Progress::Lost)));
    for (status, class) in [
        (500, FaultClass::Transient),
        (429, FaultClass::Throttled),
        (401, FaultClass::Auth),
        (200, FaultClass::Transient),
    ] {
        assert_eq!(polled(status, json!([])).await.expect_err("a fault").class, class, "{status}");
    }
    let bench = open("http://127.0.0.1:9", USERS, USER);
    let foreign = backhaul_kit::Ticket { kind: "http_job".into(), version: 1, body: json!({ "id": "j1" }) };
    let asked = bench.destination.poll(&run(), &foreign, &batch(Operation::Upsert, Vec::new())).await;
    assert!(matches!(asked, Ok(Progress::Lost)));
}

#[tokio::test]
async fn what_headers_say_of_jobs_and_calls_holds_the_next_batch_back() {
    for (name, value, held) in [
        ("zendesk-ratelimit-inflight-jobs", "total=30; remaining=0; resets=60", true),
        ("zendesk-ratelimit-users-create-or-update", "total=5;remaining=0;resets=60", true),
        ("zendesk-ratelimit-inflight-jobs", "total=30; remaining=1; resets=60", false),
        ("zendesk-ratelimit-inflight-jobs", "remaining", false),
    ] {
        let server = Server::start(move |_| {
            let job = json!({ "job_status": { "id": "j1", "status": "queued" } });
            Reply::Answer(Scripted::json(200, &job).header(name, value))
        })
        .await;
        let bench = open(server.url(), USERS, USER);
        let batch = batch(Operation::Upsert, vec![new(1, &["1", "Ann", "a@example.com", "pro"])]);
        bench.begin(&batch).await.expect("taken in");
        let second = bench.begin(&batch).await;
        assert_eq!(second.is_err(), held, "{value}: {second:?}");
        if let Err(fault) = second {
            assert_eq!(fault.class, FaultClass::Throttled);
            assert!(fault.retry_after.is_some_and(|wait| wait > Duration::from_secs(50)), "{:?}", fault.retry_after);
            assert_eq!(server.received().len(), 1, "no call was made");
        }
    }
}
