//! Every request and every answer, judged by the vendor's own description.

use std::collections::BTreeSet;

use super::*;
use crate::destinations::described::{Exchange, Recorder, Spec};

/// Calls that the description does not have: where tokens are given and looked at.
const UNDESCRIBED: [&str; 2] = ["/token", "/tokeninfo"];

/// Runs every kind of call, good and bad.
async fn exercise(url: &str, sandbox: &dyn Sandbox) {
    sandbox.set("drop", &sha256("eve@example.com")).expect("a setting");
    let text = text(url, "").replace("account = \"111", "login_account = \"444-555-6666\"\naccount = \"111");
    let bench = open_text(&text, ADDRESS, &sandbox.token());
    bench.destination.check().await.expect("a report");
    let [ann, eve] = ["ann", "eve"].map(|name| format!("{name}@example.com"));
    let [ann, eve]: [&[&str]; 2] = [&[&ann, "Ann", "Lee", "DE", "10115"], &[&eve, "Eve", "Lee", "DE", "10115"]];
    let known =
        bench.prepared.hashes(&ann.iter().map(|text| FieldValue::Set(Value::Text((*text).into()))).collect::<Vec<_>>());
    let known = known.expect("hashes");
    bench.accepted(&adds(&[ann])).await;
    bench.deliver(&adds(&[ann, eve])).await.expect_err("in part");
    bench.deliver(&adds(&[eve])).await.expect("dropped");
    bench
        .accepted(&batch(
            Operation::Move,
            vec![row(10, ChangeKind::Move, Some(&known), &["new@example.com", "", "", "", ""])],
        ))
        .await;
    bench.accepted(&removals(&[&known])).await;
    sandbox.set("stuck", "1").expect("a setting");
    let stuck = bench.ticket(&adds(&[ann])).await;
    bench.poll(&stuck, &adds(&[ann])).await.expect("running");
    sandbox.set("forget", "all").expect("a setting");
    bench.poll(&stuck, &adds(&[ann])).await.expect("lost");
    sandbox.set("reject", &sha256("eve@example.com")).expect("a setting");
    bench.deliver(&adds(&[eve])).await.expect("refused");
    for (key, value) in
        [("throttle_next", "1"), ("fail_next", "1"), ("terms", "open"), ("audience", "1"), ("account", "9")]
    {
        sandbox.set(key, value).expect("a setting");
        bench.write(&adds(&[ann])).await.expect_err(key);
    }
    sandbox.set("scopes", "openid").expect("a setting");
    sandbox.expire();
    bench.write(&adds(&[ann])).await.expect_err("403");
}

#[tokio::test]
async fn every_request_and_every_answer_fits_googles_description() {
    let Some(mut spec) = Spec::load("google-datamanager") else { return };
    let sandbox = stand_in(&[]).await;
    // The recorder's address is the token endpoint's, which assertions are made for.
    let (url, recorder) = Recorder::start(sandbox.url()).await;
    sandbox.set("token_url", &format!("{url}/token")).expect("a setting");
    exercise(&url, &*sandbox).await;
    let mut judged = BTreeSet::new();
    for Exchange { method, path, request, status, answer } in recorder.exchanges() {
        let what = format!("{method} {path}, {status}");
        let Some(operation) = spec.operation(&method, &path) else {
            assert!(UNDESCRIBED.contains(&path.as_str()), "{what} is not described");
            continue;
        };
        if method == "post" {
            spec.judge(&operation["requestBody"]["content"], &request, &what);
        }
        let answers = &operation["responses"];
        let described = if status == 200 { &answers["200"] } else { &answers["default"] };
        spec.judge(&described["content"].clone(), &answer, &what);
        judged.insert((path.trim_start_matches("/v1/").to_owned(), status));
    }
    let expected = [
        ("audienceMembers:ingest", 200),
        ("audienceMembers:ingest", 400),
        ("audienceMembers:ingest", 401),
        ("audienceMembers:ingest", 403),
        ("audienceMembers:ingest", 429),
        ("audienceMembers:ingest", 500),
        ("audienceMembers:remove", 200),
        ("requestStatus:retrieve", 200),
        ("requestStatus:retrieve", 400),
    ];
    let expected: BTreeSet<_> = expected.into_iter().map(|(path, status)| (path.to_owned(), status)).collect();
    assert_eq!(judged, expected);
    spec.assert_validated(&GOOGLE_DATA_MANAGER);
}
