//! Every request and every answer, those of operations in jobs among them, judged by the vendor's own description.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::*;
use crate::destinations::described::{Exchange, Recorder, Spec};

/// Runs every kind of call, good and bad.
async fn exercise(url: &str, sandbox: &dyn Sandbox) {
    let all = &[
        "email_address",
        "email_type",
        "language",
        "merge_fields.FNAME",
        "timestamp_signup",
        "marketing_permissions[].marketing_permission_id",
    ];
    let values = |address| [address, "html", "de", "Ann", "2026-01-01T00:00:00Z", "abc"];
    let fake = values("fake@example.com");
    for (removal, ann, bob) in [
        ("removed = \"archive\"", "ann@example.com", "bob@example.com"),
        ("removed = \"delete\"\nnever_again = true", "una@example.com", "ben@example.com"),
    ] {
        let bench = open(url, &format!("{NEW}\n{removal}"), all);
        bench.destination.check().await.expect("a report");
        bench.destination.describe().await.expect("a schema");
        bench.verdicts(&batch(Operation::Upsert, &[&values(ann), &fake])).await;
        bench.verdicts(&moved(ann, &values(bob))).await;
        bench.verdicts(&moved(bob, &fake)).await;
        let operation = if removal.contains("delete") { Operation::Delete } else { Operation::Archive };
        bench.verdicts(&removals(operation, &[bob, "eve@example.com"])).await;
    }
    let update = open(url, &format!("{MEMBERS}\nmode = \"update\""), FIELDS);
    update
        .verdicts(&batch(Operation::Update, &[&["bob@example.com", "Bob", "pro"], &["dan@example.com", "", ""]]))
        .await;
    let stated = open(url, MEMBERS, STATED);
    let rows: [&[&str]; 2] =
        [&["cid@example.com", "pro", "subscribed", "vip"], &["fake@example.com", "pro", "subscribed", ""]];
    stated.verdicts(&batch(Operation::Upsert, &rows)).await;
    let segment = open(url, SEGMENT, &["email_address"]);
    segment.verdicts(&batch(Operation::AudienceAdd, &[&["cid@example.com"], &["fay@example.com"]])).await;
    segment.verdicts(&removals(Operation::AudienceRemove, &["cid@example.com"])).await;
    for (setting, status) in [("throttle_next", 429), ("fail_next", 500)] {
        sandbox.set(setting, "1").expect("a setting");
        stated.write(&batch(Operation::Upsert, &rows)).await.expect_err(&status.to_string());
    }
    open_with(url, NEW, FIELDS, "another").destination.check().await.expect_err("401");
}

/// Judges a call and its answer, and gives its name.
fn judge(spec: &mut Spec, method: &str, path: &str, request: &[u8], status: u16, answer: &[u8]) -> String {
    let what = format!("{method} {path}, {status}");
    let operation = spec.operation(method, path).unwrap_or_else(|| panic!("{what} is not described"));
    if !request.is_empty() {
        spec.judge(&operation["requestBody"]["content"].clone(), request, &what);
    }
    let described = &operation["responses"];
    let described = described.get(status.to_string()).unwrap_or(&described["default"]);
    spec.judge(&described["content"].clone(), answer, &what);
    let hole = |part: &str| part == "abc123" || part == "123" || part.len() == 32 || part.parse::<u64>().is_ok();
    let parts: Vec<&str> = path.split('/').map(|part| if hole(part) { "*" } else { part }).collect();
    format!("{method} {} {status}", parts.join("/"))
}

#[tokio::test]
async fn every_request_and_every_answer_fits_mailchimps_description() {
    let Some(mut spec) = Spec::load("mailchimp") else { return };
    let sandbox = stand_in(&[]).await;
    let (url, recorder) = Recorder::start(sandbox.url()).await;
    exercise(&url, &*sandbox).await;
    let mut judged = BTreeSet::new();
    let mut operations: Vec<Json> = Vec::new();
    for Exchange { method, path, request, status, answer } in recorder.exchanges() {
        judged.insert(judge(&mut spec, &method, &path, &request, status, &answer));
        let json: Json = serde_json::from_slice(&request).unwrap_or_default();
        operations.extend(json["operations"].as_array().cloned().unwrap_or_default());
    }
    // What stands in a job is a call too. The same calls made alone tell their answers.
    for operation in &operations {
        let text = |name: &str| operation[name].as_str().unwrap_or_default();
        let path = format!("/3.0{}", text("path"));
        let described = spec.operation(&text("method").to_lowercase(), &path).expect("a described operation");
        if !text("body").is_empty() {
            spec.judge(&described["requestBody"]["content"].clone(), text("body").as_bytes(), &path);
        }
    }
    assert!(operations.len() >= 10, "{} operations", operations.len());
    let expected = [
        "get /3.0/ 200",
        "get /3.0/ 401",
        "get /3.0/lists/* 200",
        "get /3.0/lists/*/merge-fields 200",
        "get /3.0/lists/*/members/* 404",
        "get /3.0/batches/* 200",
        "post /3.0/batches 200",
        "post /3.0/lists/* 200",
        "post /3.0/lists/* 429",
        "post /3.0/lists/* 500",
        "post /3.0/lists/*/segments/* 200",
        "put /3.0/lists/*/members/* 200",
        "put /3.0/lists/*/members/* 400",
        "delete /3.0/lists/*/members/* 204",
        "post /3.0/lists/*/members/*/actions/delete-permanent 204",
    ];
    for call in expected {
        assert!(judged.contains(call), "{call} was never seen: {judged:#?}");
    }
    spec.assert_validated(&MAILCHIMP);
}
