//! Every request and every answer, judged by the vendor's own description.

use std::collections::BTreeSet;

use super::*;
use crate::destinations::described::{Exchange, Recorder, Spec};

/// Statuses that the description does not have for these calls.
const UNDESCRIBED: [u16; 3] = [400, 429, 500];

/// Runs every kind of call, good and bad.
async fn exercise(url: &str, sandbox: &dyn Sandbox) {
    let bench = Bench::open(url, KEY, &["id", "email", "plan", "score", "active", "created_at"]);
    bench.destination.check().await.expect("a report");
    let typed = |plan: Value| {
        let first = texts(&["1", "ada@example.com"]);
        first.into_iter().chain([plan, Value::Float(9.5), Value::Bool(true), Value::Timestamp(1_500_000)]).collect()
    };
    assert_eq!(bench.upsert(typed(Value::Text("pro".into()))).await, WRITTEN);
    assert_eq!(bench.upsert(typed(Value::Null)).await, WRITTEN);
    assert_eq!(bench.write(&removal("1")).await.expect("an answer"), WRITTEN);
    sandbox.set("reject", "plan=gold").expect("a setting");
    assert_eq!(code(&bench.upsert(typed(Value::Text("gold".into()))).await), "REFUSED");
    for setting in ["throttle_next", "fail_next"] {
        sandbox.set(setting, "1").expect("a setting");
        bench.write(&removal("1")).await.expect_err(setting);
    }
    let stranger = Bench::open(url, "another", FIELDS);
    stranger.destination.check().await.expect_err("401");
    stranger.write(&upsert(texts(&["1", "ada@example.com", ""]))).await.expect_err("401");
    stranger.write(&removal("1")).await.expect_err("401");
}

#[tokio::test]
async fn every_request_and_every_answer_fits_customer_ios_description() {
    let Some(mut spec) = Spec::load("customerio") else { return };
    let sandbox = stand_in(&[]).await;
    let (url, recorder) = Recorder::start(sandbox.url()).await;
    exercise(&url, &*sandbox).await;
    let mut judged = BTreeSet::new();
    for Exchange { method, path, request, status, answer } in recorder.exchanges() {
        let what = format!("{method} {path}, {status}");
        let operation = spec.operation(&method, &path).unwrap_or_else(|| panic!("{what} is not described"));
        spec.judge(&operation["requestBody"]["content"], &request, &what);
        let response = spec.response(&operation, status);
        assert_eq!(response.is_null(), UNDESCRIBED.contains(&status), "{what}");
        // Of the empty object there are only words.
        let answer = if answer == "{}" && response["content"].is_null() { b"".as_slice() } else { &answer };
        if !response.is_null() {
            spec.judge(&response["content"], answer, &what);
        }
        judged.insert(format!("{method} {status}"));
    }
    let expected =
        ["delete 200", "delete 401", "delete 429", "delete 500", "get 200", "get 401", "put 200", "put 400", "put 401"];
    assert_eq!(judged, expected.map(str::to_owned).into());
    spec.assert_validated(&CUSTOMERIO);
}
