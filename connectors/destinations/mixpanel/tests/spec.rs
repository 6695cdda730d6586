//! Every request and every answer, judged by the vendor's own description.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;
use crate::destinations::described::{Exchange, Recorder, Spec, client};

/// Runs every kind of call, good and bad.
async fn exercise(url: &str, sandbox: &dyn Sandbox) {
    let open = |wanted: &Wanted| Bench::with(url, wanted, "profiles_per_call = 2", "sandbox-token");
    let appended = open(&EVENTS);
    appended.destination.check().await.expect("a report");
    appended.verdicts(&events(&["ada", ""])).await;
    sandbox.set("reject", "distinct_id=eve").expect("a setting");
    appended.verdicts(&events(&["ada", "eve"])).await;
    sandbox.set("throttle_next", "1").expect("a setting");
    appended.write(&events(&["ada"])).await.expect_err("429");
    let upsert = open(&PROFILES);
    sandbox.set("reject", "plan=gold").expect("a setting");
    upsert.verdicts(&profiles(Operation::Upsert, &[["ada", "ada@example.com", "pro"], ["eve", "", "free"]])).await;
    upsert.verdicts(&profiles(Operation::Upsert, &[["bob", "", "gold"]])).await;
    let fields = vec![text("ada"), FieldValue::Set(Value::Null), text("pro")];
    upsert.verdicts(&batch(Operation::Move, vec![(Some("augusta"), fields)])).await;
    upsert.verdicts(&removals(Operation::Delete, &["ada", "eve"])).await;
    let once = open(&Wanted { fields: &["$distinct_id", "plan", "city=if_empty"], ..PROFILES });
    once.verdicts(&profiles(Operation::Upsert, &[["ada", "pro", "Köln"]])).await;
    open(&Wanted { removed: Removed::Clear, ..PROFILES }).verdicts(&removals(Operation::Clear, &["ada"])).await;
    Bench::with(url, &EVENTS, "", "another").destination.check().await.expect_err("401");
}

/// The description names the calls of one path by what they do.
fn described_as(exchange: &Exchange) -> String {
    if exchange.path != "/engage" {
        return exchange.path.clone();
    }
    let records: serde_json::Value = serde_json::from_slice(&exchange.request).expect("JSON");
    let verbs = ["set", "set_once", "unset", "delete"];
    let verb = verbs.into_iter().find(|verb| records[0].get(format!("${verb}")).is_some());
    format!("/engage#profile-{}", verb.expect("a known verb").replace('_', "-"))
}

#[tokio::test]
async fn every_request_and_every_answer_fits_mixpanels_description() {
    let Some(mut spec) = Spec::load("mixpanel") else { return };
    let sandbox = stand_in(&[]).await;
    let (url, recorder) = Recorder::start(sandbox.url()).await;
    exercise(&url, &*sandbox).await;
    let mut judged = BTreeSet::new();
    for exchange in recorder.exchanges() {
        let path = described_as(&exchange);
        let Exchange { method, request, status, answer, .. } = exchange;
        let operation = spec.operation(&method, &path).unwrap_or_else(|| panic!("{method} {path} is not described"));
        // The check's event is wrong on purpose, and only in its values.
        spec.judge(&operation["requestBody"]["content"], &request, &format!("{method} {path}, request"));
        let response = spec.response(&operation, status);
        let what = format!("{method} {path}, answer {status}");
        assert!(!response.is_null(), "{what} is not described");
        let answer = match path.strip_prefix("/engage") {
            // Described is the plain answer, which a verbose one has as its `status`.
            Some(_) => {
                let verbose: serde_json::Value = serde_json::from_slice(&answer).expect("JSON");
                verbose["status"].to_string().into()
            }
            None => answer,
        };
        spec.judge(&response["content"], &answer, &what);
        judged.insert((path, status));
    }
    let expected = [
        ("/import", 200),
        ("/import", 400),
        ("/import", 401),
        ("/import", 429),
        ("/engage#profile-set", 200),
        ("/engage#profile-set-once", 200),
        ("/engage#profile-unset", 200),
        ("/engage#profile-delete", 200),
    ];
    let expected: BTreeSet<_> = expected.into_iter().map(|(path, status)| (path.to_owned(), status)).collect();
    assert_eq!(judged, expected);
    spec.assert_validated(&MIXPANEL);
}

#[tokio::test]
async fn the_plain_answers_of_the_stand_in_fit_too() {
    let Some(mut spec) = Spec::load("mixpanel") else { return };
    let sandbox = stand_in(&[]).await;
    let (url, recorder) = Recorder::start(sandbox.url()).await;
    let client = client();
    for body in [json!([{"$token": "t", "$distinct_id": "ada", "$set": {}}]), json!([{"$token": "t"}])] {
        let url = format!("{url}/engage").parse().expect("a URL");
        let request = backhaul_kit::http::Request::new(reqwest::Method::POST, url).json(body.to_string());
        client.send(request).await.expect("an answer");
    }
    let operation = spec.operation("post", "/engage#profile-set").expect("described");
    let answers = recorder.exchanges();
    assert_eq!(answers.iter().map(|exchange| &exchange.answer[..]).collect::<Vec<_>>(), [b"1", b"0"]);
    for Exchange { status, answer, .. } in answers {
        let content = spec.response(&operation, status)["content"].clone();
        spec.judge(&content, &answer, "a plain answer");
    }
}
