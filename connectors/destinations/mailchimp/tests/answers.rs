//! What odd answers come to; the server says whatever the test scripts.

use backhaul_kit::contract::{Received, Reply, Scripted, Server};
use backhaul_kit::{FaultClass, Ticket};
use serde_json::{Value as Json, json};

use super::*;

const ANN: &str = "ann@example.com";
const BOB: &str = "bob@example.com";

/// Two members written by the list to a server that answers so.
async fn listed(status: u16, body: Json) -> Result<Vec<Verdict>, Fault> {
    let server = Server::start(move |_| Reply::Answer(Scripted::json(status, &body))).await;
    let rows: [&[&str]; 2] = [&[ANN, "pro", "subscribed", ""], &[BOB, "pro", "subscribed", ""]];
    open(server.url(), MEMBERS, STATED).write(&batch(Operation::Upsert, &rows)).await
}

#[tokio::test]
async fn a_member_is_written_where_an_answer_names_it_in_whatever_case() {
    let said = json!({
        "new_members": [{ "email_address": "Ann@Example.com", "status": "pending" }],
        "errors": [{ "email_address": "\"bob@example.com\"", "error": "no", "error_code": "ERROR_GENERIC", "field": "" }],
    });
    let verdicts = listed(200, said).await.expect("an answer");
    assert_eq!((&verdicts[0], reason(&verdicts[1])), (&written(), ("ERROR_GENERIC", None)));
    for nothing in
        [json!({}), json!([]), json!({ "new_members": [], "errors": [{ "email_address": "eve@example.com" }] })]
    {
        assert_eq!(listed(200, nothing).await.expect("an answer"), [Verdict::Unknown, Verdict::Unknown]);
    }
}

#[tokio::test]
async fn each_status_means_what_it_says() {
    let problem = |title: &str| json!({ "title": title, "detail": "secret@value" });
    for (status, body, class) in [
        (400, problem("Invalid Resource"), FaultClass::Split),
        (401, problem("API Key Invalid"), FaultClass::Auth),
        (403, problem("User action not permitted"), FaultClass::Auth),
        (403, json!("<html>"), FaultClass::Throttled),
        (404, problem("Resource Not Found"), FaultClass::Config),
        (429, problem("Too Many Requests"), FaultClass::Throttled),
        (500, problem("x"), FaultClass::Ambiguous),
        (504, json!(null), FaultClass::Ambiguous),
        (302, json!({}), FaultClass::Config),
    ] {
        let fault = listed(status, body).await.expect_err("a fault");
        assert_eq!(fault.class, class, "{status}: {fault}");
        assert!(!fault.message.contains("secret@value"), "Mailchimp's words may quote a value: {fault}");
    }
}

#[tokio::test]
async fn an_answer_about_a_segment_counts_only_with_its_totals() {
    let answer = |body: Json| async move {
        let server = Server::start(move |_| Reply::Answer(Scripted::json(200, &body))).await;
        let bench = open(server.url(), SEGMENT, &["email_address"]);
        let removed = bench.verdicts(&removals(Operation::AudienceRemove, &[ANN, BOB])).await;
        (removed, server.received().len())
    };
    let named = json!([{ "email_address": ANN }]);
    let (verdicts, _) = answer(json!({ "members_removed": named })).await;
    assert_eq!(verdicts, [written(), Verdict::Unknown]);
    let errors = json!([{ "email_addresses": [BOB], "error": "no" }]);
    let (verdicts, calls) =
        answer(json!({ "members_removed": named, "errors": errors, "total_added": 0, "total_removed": 1 })).await;
    assert_eq!((&verdicts[0], reason(&verdicts[1]).0, calls), (&written(), "SEGMENT_REFUSED", 1));
}

#[tokio::test]
async fn a_question_that_is_not_answered_leaves_the_rows_open_and_is_not_asked_again() {
    let server = Server::start(|call: &Received| {
        Reply::Answer(match call.method.as_str() {
            "POST" => Scripted::json(200, &json!({ "total_added": 0, "total_removed": 0 })),
            _ => Scripted::empty(500),
        })
    })
    .await;
    let bench = open(server.url(), SEGMENT, &["email_address"]);
    let verdicts = bench.verdicts(&batch(Operation::AudienceAdd, &[&[ANN], &[BOB]])).await;
    assert_eq!((verdicts, server.received().len()), (vec![Verdict::Unknown, Verdict::Unknown], 2));
}

#[tokio::test]
async fn the_second_call_of_a_move_leaves_the_first_in_doubt() {
    let server = Server::start(|call: &Received| {
        Reply::Answer(match call.method.as_str() {
            "PUT" => Scripted::json(200, &json!({ "id": call.target.rsplit('/').next(), "status": "subscribed" })),
            _ => Scripted::empty(429),
        })
    })
    .await;
    let bench = open(server.url(), &format!("{NEW}\nremoved = \"archive\""), FIELDS);
    let fault = bench.write(&moved(ANN, &[BOB, "", "pro"])).await.expect_err("throttled");
    assert_eq!((fault.class, server.received().len()), (FaultClass::Ambiguous, 2));
}

/// A poll of a finished job with these results: its answer's status, type and body.
async fn polled(results: Scripted) -> Result<Progress, Fault> {
    let server = Server::start(move |call: &Received| {
        let host = call.header("host").unwrap_or_default();
        Reply::Answer(match call.target.as_str() {
            "/results" if call.header("authorization").is_some() => panic!("a credential for another host"),
            "/results" => results.clone(),
            _ => Scripted::json(
                200,
                &json!({ "id": "j1", "status": "finished", "response_body_url": format!("http://{host}/results") }),
            ),
        })
    })
    .await;
    let ticket = Ticket { kind: "mailchimp_batch".into(), version: 1, body: json!({ "id": "j1" }) };
    let rows: [&[&str]; 2] = [&[ANN, "", "pro"], &[BOB, "", "pro"]];
    open(server.url(), NEW, FIELDS).destination.poll(&run(), &ticket, &batch(Operation::Upsert, &rows)).await
}

fn verdicts(progress: Progress) -> Vec<Verdict> {
    match progress {
        Progress::Done(outcomes) => outcomes.into_vec().into_iter().map(|(_, verdict)| verdict).collect(),
        other => panic!("not done: {other:?}"),
    }
}

#[tokio::test]
async fn results_speak_of_the_rows_that_they_name() {
    for (status, response, expected) in [
        (429, "", Verdict::Retry(None)),
        (403, "<html>", Verdict::Retry(None)),
        (500, "", Verdict::Unknown),
        (200, "{\"id\":\"another\"}", Verdict::Unknown),
        (204, "", Verdict::Unknown),
    ] {
        let done =
            json!([{ "status_code": status, "operation_id": "10", "response": response }, { "operation_id": "x" }]);
        let said = polled(Scripted::of(200, "application/gzip", archive(&done.to_string()))).await.expect("results");
        assert_eq!(verdicts(said), [expected, Verdict::Unknown], "{status}");
    }
    let refused =
        json!([{ "status_code": 400, "operation_id": "11", "response": "{\"title\":\"Member In Compliance State\"}" }]);
    let said = polled(Scripted::of(200, "application/gzip", archive(&refused.to_string()))).await.expect("results");
    let said = verdicts(said);
    assert_eq!((&said[0], reason(&said[1]).0), (&Verdict::Unknown, "Member In Compliance State"));
}

#[tokio::test]
async fn results_that_cannot_be_read_are_asked_for_again_and_lost_ones_are_lost() {
    let whole = archive("[]");
    let cut = whole[..whole.len() - 9].to_vec();
    for broken in [b"<html>".to_vec(), cut, archive("no JSON"), archive("{}")] {
        let fault = polled(Scripted::of(200, "application/gzip", broken)).await.expect_err("unreadable");
        assert_eq!(fault.class, FaultClass::Transient);
    }
    assert_eq!(polled(Scripted::empty(503)).await.expect_err("later").class, FaultClass::Transient);
    for gone in [403, 404, 410] {
        assert!(matches!(polled(Scripted::empty(gone)).await, Ok(Progress::Lost)), "{gone}");
    }
}

#[tokio::test]
async fn a_job_is_lost_where_nobody_knows_it() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), NEW, FIELDS);
    let rows = batch(Operation::Upsert, &[&[ANN, "", "pro"]]);
    let poll = |kind: &str, id: &str| {
        let ticket = Ticket { kind: kind.into(), version: 1, body: json!({ "id": id }) };
        let (destination, rows) = (bench.destination.clone(), rows.clone());
        async move { destination.poll(&run(), &ticket, &rows).await.expect("an answer") }
    };
    assert!(matches!(poll("mailchimp_batch", "77").await, Progress::Lost));
    assert!(matches!(poll("http_job", "1").await, Progress::Lost));
    assert!(matches!(bench.destination.write(&run(), &rows, NO_TICKETS).await, Ok(Delivery::Pending(_))));
    assert!(matches!(poll("mailchimp_batch", "1").await, Progress::Running { .. }));
    sandbox.set("forget_jobs", "").expect("a setting");
    assert!(matches!(poll("mailchimp_batch", "1").await, Progress::Lost));
}
