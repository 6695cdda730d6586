//! Every request and every answer, judged by the vendor's own description.

use std::collections::BTreeSet;

use super::*;
use crate::destinations::described::{Exchange, Recorder, Spec};

/// Calls that the trimmed description does not have.
const UNDESCRIBED: [&str; 1] = ["/v1/charges"];

/// Runs every kind of call, good and bad.
async fn exercise(url: &str, sandbox: &dyn Sandbox) {
    let whole = ["city", "country", "line1", "line2", "postal_code", "state"].map(|part| format!("address.{part}"));
    let plain = ["metadata.customer_id", "name", "email", "phone", "description", "tax_exempt"];
    let fields: Vec<&str> = plain.into_iter().chain(whole.iter().map(String::as_str)).collect();
    let values = |value: &str| {
        let texts =
            [value, "Ada", "ada@example.com", "+49 30 1", "a friend", "none", "Köln", "DE", "1", "2", "50667", "NW"];
        texts.map(str::to_owned)
    };
    let with = |make: &dyn Fn(&[&str]) -> Row, value: &str| make(&values(value).each_ref().map(String::as_str));
    for removal in ["removed = \"clear\"", DELETE] {
        let bench = open_with(url, &format!("{UPSERT}\n{removal}"), &fields, KEY);
        bench.destination.check().await.expect("a report");
        assert!(matches!(bench.upsert(with(&new, removal)).await, Verdict::Written { .. }));
        assert!(matches!(bench.upsert(with(&in_doubt, removal)).await, Verdict::Written { .. }));
        let operation = if removal == DELETE { Operation::Delete } else { Operation::Clear };
        assert!(matches!(bench.verdict(operation, removed(by_value(removal))).await, Verdict::Written { .. }));
    }
    let bench = open(url, &format!("{UPSERT}\n{DELETE}"));
    let texts = ["c1", "ada@example.com", "free"];
    let Verdict::Written { remote_id: Some(id) } = bench.upsert(new(&texts)).await else { panic!("not written") };
    bench.verdict(Operation::Delete, removed(by_id(&id))).await;
    bench.verdict(Operation::Delete, removed(by_id(&id))).await;
    // The stored answer of a deleted customer, which is read back.
    bench.upsert(new(&texts)).await;
    bench.upsert(new(&["c2", "nonsense", ""])).await;
    sandbox.set("fail_next", "1").expect("a setting");
    bench.write(Operation::Upsert, new(&["c3", "", ""])).await.expect_err("500");
    sandbox.set("throttle_next", "1").expect("a setting");
    bench.write(Operation::Upsert, new(&["c4", "", ""])).await.expect_err("429");
    sandbox.set("permissions", "rak_customer_read").expect("a setting");
    bench.write(Operation::Upsert, new(&["c4", "", ""])).await.expect_err("403");
    sandbox.set("token", "another").expect("a setting");
    bench.destination.check().await.expect_err("401");
}

#[tokio::test]
async fn every_request_and_every_answer_fits_stripes_description() {
    let Some(mut spec) = Spec::load("stripe") else { return };
    let sandbox = stand_in(&[]).await;
    let (url, recorder) = Recorder::start(sandbox.url()).await;
    exercise(&url, &*sandbox).await;
    let mut judged = BTreeSet::new();
    for Exchange { method, path, request, status, answer } in recorder.exchanges() {
        let what = format!("{method} {path}, {status}");
        let Some(operation) = spec.operation(&method, &path) else {
            assert!(UNDESCRIBED.contains(&path.as_str()), "{what} is not described");
            continue;
        };
        if request.is_empty() {
            assert_ne!(method, "post", "{what}: nothing to write");
        } else {
            spec.judge_form(&operation["requestBody"]["content"], &request, &what);
        }
        let answers = &operation["responses"];
        let described = if status == 200 { &answers["200"] } else { &answers["default"] };
        spec.judge(&described["content"].clone(), &answer, &what);
        let call = if path.contains("cus_") { "one" } else { path.rsplit('/').next().unwrap_or_default() };
        judged.insert(format!("{method} {call} {status}"));
    }
    let expected = [
        "get account 200",
        "get account 401",
        "get customers 200",
        "get search 200",
        "get one 200",
        "post customers 200",
        "post customers 400",
        "post customers 403",
        "post customers 429",
        "post customers 500",
        "post one 200",
        "delete one 200",
        "delete one 404",
    ];
    for call in expected {
        assert!(judged.contains(call), "{call} was never seen: {judged:?}");
    }
    spec.assert_validated(&STRIPE);
}
