//! Rows that go to the stand-in, and what becomes of them.

use backhaul_kit::FaultClass;
use serde_json::json;

use super::*;

fn people(sandbox: &dyn Sandbox) -> serde_json::Value {
    sandbox.records()["people"].clone()
}

#[tokio::test]
async fn people_are_made_changed_and_removed() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), KEY, FIELDS);
    assert_eq!(bench.upsert(texts(&["a/1", "ada@example.com", "free"])).await, WRITTEN);
    assert_eq!(bench.upsert(vec![Value::Text("a/1".into()), Value::Null, Value::Text("pro".into())]).await, WRITTEN);
    assert_eq!(bench.upsert(vec![Value::Int(7)]).await, WRITTEN);
    assert_eq!(people(&*sandbox), json!({ "a/1": { "plan": "pro" }, "7": {} }));
    for _ in 0..2 {
        assert_eq!(bench.write(&removal("a/1")).await.expect("an answer"), WRITTEN);
    }
    assert_eq!(people(&*sandbox), json!({ "7": {} }));
}

#[tokio::test]
async fn attributes_go_as_texts_whole_numbers_and_booleans() {
    let fields = &["id", "score", "active", "visits", "created_at", "born", "plan"];
    let bench = Bench::open("http://127.0.0.1:9", KEY, fields);
    let values = vec![
        Value::Int(7),
        Value::Float(9.5),
        Value::Bool(true),
        Value::Int(3),
        Value::Timestamp(-1_500_000),
        Value::Date(0),
        Value::Null,
    ];
    let sent: serde_json::Value = serde_json::from_str(&bench.body(values)).expect("JSON");
    let expected = json!({
        "score": "9.5", "active": true, "visits": 3, "created_at": -2, "born": "1970-01-01", "plan": "",
    });
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn ids_that_would_name_somebody_else_make_no_call() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), KEY, FIELDS);
    for id in ["ada@example.com", "cio_03000001", ".", "..", &"x".repeat(151)] {
        assert_eq!(code(&bench.upsert(texts(&[id, "", ""])).await), "INVALID_ID", "{id}");
        assert_eq!(code(&bench.write(&removal(id)).await.expect("a verdict")), "INVALID_ID", "{id}");
    }
    assert_eq!(code(&bench.write(&removal("")).await.expect("a verdict")), "NO_MATCH_VALUE");
    assert_eq!(code(&bench.upsert(texts(&["", "", ""])).await), "NO_MATCH_VALUE");
    let invalid = vec![Value::Int(1), Value::Invalid("NaN".into())];
    assert_eq!(code(&bench.upsert(invalid).await), "INVALID_VALUE");
    assert_eq!(sandbox.calls(), 0);
}

#[tokio::test]
async fn a_refused_row_is_rejected_in_customer_ios_words() {
    let sandbox = stand_in(&[("reject", "plan=gold")]).await;
    let bench = Bench::open(&sandbox.url(), KEY, FIELDS);
    let Verdict::Rejected(reason) = bench.upsert(texts(&["1", "", "gold"])).await else { panic!("taken") };
    assert_eq!((reason.code.as_str(), reason.text.as_str()), ("REFUSED", "plan is not valid"));
    assert_eq!(bench.upsert(texts(&["1", "", "pro"])).await, WRITTEN);
}

/// Customer.io's own way: nothing in the answer tells it.
#[tokio::test]
async fn an_address_that_somebody_else_has_is_passed_over_in_silence() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), KEY, FIELDS);
    for id in ["1", "2"] {
        assert_eq!(bench.upsert(texts(&[id, "ada@example.com", "pro"])).await, WRITTEN);
    }
    assert_eq!(people(&*sandbox)["2"], json!({ "plan": "pro" }));
}

#[tokio::test]
async fn a_call_that_fails_is_told_for_what_it_may_have_done() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), KEY, FIELDS);
    for (setting, class, applied) in [
        ("fail_next", FaultClass::Ambiguous, false),
        ("throttle_next", FaultClass::Throttled, false),
        ("lose_next", FaultClass::Ambiguous, true),
    ] {
        sandbox.set(setting, "1").expect("a setting");
        let fault = bench.write(&upsert(texts(&[setting, "", ""]))).await.expect_err(setting);
        assert_eq!((fault.class, people(&*sandbox).get(setting).is_some()), (class, applied), "{setting}");
    }
}

#[tokio::test]
async fn a_check_tells_the_workspace_and_its_region_and_writes_nothing() {
    let sandbox = stand_in(&[]).await;
    let report = Bench::open(&sandbox.url(), KEY, FIELDS).destination.check().await.expect("a report");
    assert_eq!(report.identity, "customerio:1");
    let fault = Bench::open(&sandbox.url(), "another", FIELDS).destination.check().await.expect_err("401");
    assert_eq!(fault.class, FaultClass::Auth);
    sandbox.set("region", "eu").expect("a setting");
    let fault = Bench::open(&sandbox.url(), KEY, FIELDS).destination.check().await.expect_err("another region");
    assert_eq!((fault.class, fault.remedy_text()), (FaultClass::Config, "write the other `region`"));
    assert_eq!(people(&*sandbox), json!({}));
    assert!(sandbox.set("region", "in").is_err());
}

#[tokio::test]
async fn the_preview_is_the_request_and_hides_the_key() {
    let bench = Bench::open("http://127.0.0.1:9", KEY, FIELDS);
    let shown = bench.destination.preview(&run(), &upsert(texts(&["a/1", "ada@example.com", "pro"]))).expect("one");
    assert_eq!((shown.len(), shown[0].method.as_str()), (1, "PUT"));
    assert_eq!(shown[0].target, "http://127.0.0.1:9/api/v1/customers/a%2F1");
    assert_eq!(shown[0].body, r#"{"email":"ada@example.com","plan":"pro"}"#);
    assert!(!format!("{shown:?}").contains(KEY), "{shown:?}");
    let shown = bench.destination.preview(&run(), &removal("a/1")).expect("one");
    assert_eq!((shown[0].method.as_str(), shown[0].body.as_str()), ("DELETE", ""));
}
