//! What odd answers come to; the server says whatever the test scripts.

use std::time::Duration;

use backhaul_kit::FaultClass;
use backhaul_kit::contract::{Reply, Scripted, Server};
use serde_json::{Value as Json, json};

use super::*;

async fn answered(status: u16, body: Json) -> (Result<Verdict, Fault>, usize) {
    let server = Server::start(move |_| Reply::Answer(Scripted::json(status, &body))).await;
    let bench = open(server.url(), UPDATE);
    let result = bench.write(Operation::Update, changed("cus_1", &["c1", "", ""])).await;
    (result, server.received().len())
}

#[tokio::test]
async fn a_success_counts_only_for_the_customer_that_it_names() {
    for body in [
        json!({}),
        json!([]),
        json!({ "id": "cus_2", "object": "customer" }),
        json!({ "id": "cus_1", "object": "account" }),
        json!({ "id": "cus_1", "object": "customer", "deleted": true }),
    ] {
        assert_eq!(answered(200, body.clone()).await.0.expect("an answer"), Verdict::Unknown, "{body}");
    }
    let named = answered(200, json!({ "id": "cus_1", "object": "customer", "name": null })).await.0.expect("an answer");
    assert_eq!(named, Verdict::Written { remote_id: Some("cus_1".into()) });
}

#[tokio::test]
async fn each_status_means_what_it_says() {
    let error = |kind: &str, code: &str| json!({ "error": { "type": kind, "code": code, "message": "secret@value" } });
    for (status, body, class) in [
        (401, error("invalid_request_error", "api_key_expired"), FaultClass::Auth),
        (403, error("invalid_request_error", "x"), FaultClass::Auth),
        (409, error("idempotency_error", "idempotency_key_in_use"), FaultClass::Transient),
        (429, error("invalid_request_error", "rate_limit"), FaultClass::Throttled),
        (408, json!({}), FaultClass::Ambiguous),
        (500, error("api_error", "x"), FaultClass::Ambiguous),
        (503, json!({}), FaultClass::Ambiguous),
        (302, json!({}), FaultClass::Config),
        (404, json!({}), FaultClass::Config),
        (400, error("invalid_request_error", "parameter_unknown"), FaultClass::Config),
    ] {
        let (result, calls) = answered(status, body).await;
        let fault = result.expect_err("a fault");
        assert_eq!((fault.class, calls), (class, 1), "{status}: {fault}");
        assert!(!fault.message.contains("secret@value"), "the vendor's text may quote a value: {fault}");
    }
    for (status, code) in [(400, "email_invalid"), (402, "card_declined"), (404, "resource_missing")] {
        let verdict = answered(status, error("invalid_request_error", code)).await.0.expect("about the row");
        assert!(matches!(&verdict, Verdict::Rejected(reason) if reason.code == code), "{status}: {verdict:?}");
    }
    let other = answered(400, error("idempotency_error", "x")).await.0.expect("about the row");
    assert_eq!(other, Verdict::Retry(None));
}

#[tokio::test]
async fn a_missing_permission_is_named() {
    let text = "Having the 'rak_customer_write' permission would allow this request to continue.";
    let body = json!({ "error": { "type": "invalid_request_error", "message": text } });
    let fault = answered(403, body).await.0.expect_err("a fault");
    assert!(fault.message.contains("rak_customer_write"), "{fault}");
}

#[tokio::test]
async fn a_search_that_fails_has_written_nothing() {
    for (status, class) in [(500, FaultClass::Transient), (429, FaultClass::Throttled), (403, FaultClass::Auth)] {
        let server = Server::start(move |_| Reply::Answer(Scripted::empty(status).header("retry-after", "3"))).await;
        let fault =
            open(server.url(), UPSERT).write(Operation::Upsert, new(&["c1", "", ""])).await.expect_err("a fault");
        assert_eq!(fault.class, class, "{status}");
        let asked: Vec<String> = server.received().into_iter().map(|call| call.method).collect();
        assert_eq!(asked, ["GET"]);
    }
}

#[tokio::test]
async fn a_creation_that_cannot_be_read_back_may_have_been_made() {
    let reply = |call: &backhaul_kit::contract::Received| match (call.method.as_str(), call.target.contains("search")) {
        ("POST", _) => Reply::Answer(Scripted::json(200, &json!({ "id": "cus_1", "object": "customer" }))),
        (_, true) => Reply::Answer(Scripted::json(200, &json!({ "object": "search_result", "data": [] }))),
        _ => Reply::Answer(Scripted::empty(503)),
    };
    let server = Server::start(reply).await;
    let bench = open(server.url(), UPSERT);
    assert_eq!(bench.upsert(new(&["c1", "", ""])).await, Verdict::Unknown);
}

#[tokio::test]
async fn a_throttled_call_says_how_long_to_wait_where_stripe_does() {
    let error = json!({ "error": { "type": "invalid_request_error", "code": "rate_limit" } });
    let server = Server::start(move |_| Reply::Answer(Scripted::json(429, &error).header("retry-after", "7"))).await;
    let row = changed("cus_1", &["c1", "", ""]);
    let fault = open(server.url(), UPSERT).write(Operation::Upsert, row).await.expect_err("a fault");
    assert_eq!((fault.class, fault.retry_after), (FaultClass::Throttled, Some(Duration::from_secs(7))));
}
