//! What odd answers come to; the server says whatever the test scripts.

use backhaul_kit::FaultClass;
use backhaul_kit::contract::{Received, Reply, Scripted, Server};
use serde_json::{Value as Json, json};

use super::*;

fn token(request: &Received) -> Option<Scripted> {
    let granted = json!({ "access_token": "t", "token_type": "Bearer" });
    (request.target == "/services/oauth2/token").then(|| Scripted::json(200, &granted))
}

/// What two upserted rows come to with that answer.
async fn answered(status: u16, body: Json) -> Result<Vec<Verdict>, Fault> {
    let reply =
        move |request: &Received| Reply::Answer(token(request).unwrap_or_else(|| Scripted::json(status, &body)));
    let server = Server::start(reply).await;
    open(server.url(), UPSERT).write(&new(Operation::Upsert, &[&["c1", "Ada", ""], &["c2", "Bob", ""]])).await
}

#[tokio::test]
async fn only_an_answer_about_every_row_counts() {
    let good = json!({ "id": id(1), "success": true, "errors": [] });
    for body in [
        json!([]),
        json!({}),
        json!([good]),
        json!([good, good, good]),
        json!([{ "success": true }, { "id": null, "success": true }]),
        json!([{ "success": false, "errors": [] }, {}]),
    ] {
        let verdicts = answered(200, body.clone()).await.expect("an answer");
        assert_eq!(verdicts, [Verdict::Unknown, Verdict::Unknown], "{body}");
    }
    let bad = json!({ "success": false, "errors": [{ "statusCode": "X", "message": "" }] });
    let verdicts = answered(200, json!([bad, good])).await.expect("an answer");
    assert_eq!((code(&verdicts[0]), &verdicts[1]), ("X", &written(1)));
}

#[tokio::test]
async fn an_answer_about_another_record_proves_nothing() {
    let body = json!([{ "id": id(2), "success": true }]);
    let reply = move |request: &Received| Reply::Answer(token(request).unwrap_or_else(|| Scripted::json(200, &body)));
    let server = Server::start(reply).await;
    let bench = open(server.url(), &format!("{UPSERT}\nremoved = \"delete\""));
    assert_eq!(bench.verdicts(&removals(Operation::Delete, &[by_id(&id(1))])).await, [Verdict::Unknown]);
    // The first 15 characters are the id.
    let short = id(2)[..15].to_owned();
    assert_eq!(bench.verdicts(&removals(Operation::Delete, &[by_id(&short)])).await, [written(2)]);
}

#[tokio::test]
async fn each_status_means_what_it_says() {
    let error = |code: &str| json!([{ "errorCode": code, "message": "secret@value" }]);
    for (status, body, class) in [
        (400, error("INVALID_FIELD"), FaultClass::Config),
        (400, error("JSON_PARSER_ERROR"), FaultClass::Split),
        (400, json!({}), FaultClass::Config),
        (401, error("INVALID_SESSION_ID"), FaultClass::Auth),
        (403, error("INSUFFICIENT_ACCESS"), FaultClass::Auth),
        (403, error("REQUEST_LIMIT_EXCEEDED"), FaultClass::Throttled),
        (404, error("NOT_FOUND"), FaultClass::Config),
        (413, json!(null), FaultClass::Split),
        (500, error("UNKNOWN_EXCEPTION"), FaultClass::Ambiguous),
        (503, error("SERVER_UNAVAILABLE"), FaultClass::Ambiguous),
        (302, json!(null), FaultClass::Config),
    ] {
        let fault = answered(status, body).await.expect_err("a fault");
        assert_eq!(fault.class, class, "{status}: {fault}");
        assert!(!fault.message.contains("secret@value"), "the vendor's text may quote a value: {fault}");
    }
    let fault = answered(403, error("REQUEST_LIMIT_EXCEEDED")).await.expect_err("a fault");
    assert_eq!(fault.retry_after, None, "too many at once is soon over");
}
