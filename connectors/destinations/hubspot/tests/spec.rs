//! Every request and every answer, judged by the vendor's own description.

use std::collections::BTreeSet;

use backhaul_kit::{Lookup, Match, Mode, Operation, Removed};

use super::*;
use crate::destinations::described::{Exchange, Recorder, Spec};

/// Calls that the trimmed description does not have.
const UNDESCRIBED: [&str; 1] = ["/oauth/v2/private-apps/get/access-token-info"];

/// Runs every kind of call, good and bad.
async fn exercise(url: &str, sandbox: &dyn Sandbox) {
    for (object, fields) in [
        ("contacts", &["customer_id", "firstname", "email"][..]),
        ("companies", &["customer_id", "name", "domain"]),
        ("deals", &["customer_id", "dealname", "description"]),
        ("2-7", &["customer_id", "name", "note"]),
    ] {
        let wanted = Wanted { object, fields, ..CONTACTS };
        let upsert = open(url, &wanted);
        upsert.destination.check().await.expect("a report");
        upsert.destination.describe().await.expect("a schema");
        sandbox.set("reject", "").expect("a setting");
        let rows: [&[&str]; 3] = [&["c1", "Ada", ""], &["c2", "Eve", ""], &["c3", "Bob", ""]];
        upsert.verdicts(&writes(Operation::Upsert, &rows)).await;
        sandbox.set("reject", &format!("NO:{}=Mallory", fields[1])).expect("a setting");
        upsert.verdicts(&writes(Operation::Upsert, &[&["c1", "Ada", ""], &["c4", "Mallory", ""]])).await;
        let update = open(url, &Wanted { mode: Mode::Update, ..wanted.clone() });
        update.verdicts(&writes(Operation::Update, &[&["c1", "Ada", ""], &["c9", "Nobody", ""]])).await;
        let create = open(url, &Wanted { mode: Mode::Create, ..wanted.clone() });
        create.verdicts(&writes(Operation::Create, &[&["d1", "Dora", ""], &["c1", "Ada", ""]])).await;
        create.verdicts(&writes(Operation::Create, &[&["d2", "Dirk", ""]])).await;
        let clear = open(url, &Wanted { removed: Removed::Clear, ..wanted.clone() });
        clear.verdicts(&removals(Operation::Clear, vec![by_id("1001"), by_value("c9")])).await;
        let values = vec![Value::Text("c1".into()), Value::Text("c9".into())];
        let query = Lookup { object: object.to_owned(), by: "customer_id".to_owned(), values };
        let found = upsert.destination.lookup(&query).await.expect("an answer");
        assert_eq!(found, [Match::One(String::from("1001")), Match::Absent]);
        upsert.verdicts(&removals(Operation::Archive, vec![by_id("1001"), by_value("c2"), by_value("c9")])).await;
        let unknown = open(url, &Wanted { fields: &["customer_id", "no_such"], ..wanted });
        unknown.write(&writes(Operation::Upsert, &[&["c1", "x"]])).await.expect_err("an unknown property");
        sandbox.set("fail_next", "1").expect("a setting");
        upsert.write(&writes(Operation::Upsert, &[&["c1", "Ada", ""]])).await.expect_err("500");
        sandbox.set("scopes", "oauth").expect("a setting");
        upsert.write(&writes(Operation::Upsert, &[&["c1", "Ada", ""]])).await.expect_err("no right");
        sandbox.set("scopes", "all").expect("a setting");
    }
    let stranger = open(url, &Wanted { object: "2-8", ..CONTACTS });
    stranger.write(&writes(Operation::Upsert, &[&["c1", "", ""]])).await.expect_err("an unknown object");
    sandbox.set("per_day", "1").expect("a setting");
    for _ in 0..2 {
        stranger.write(&writes(Operation::Upsert, &[&["c1", "", ""]])).await.expect_err("an unknown object, then 429");
    }
    sandbox.set("per_day", "0").expect("a setting");
    sandbox.set("token", "another").expect("a setting");
    open(url, &CONTACTS).destination.check().await.expect_err("no token");
}

#[tokio::test]
async fn every_request_and_every_answer_fits_hubspots_description() {
    let Some(mut spec) = Spec::load("hubspot") else { return };
    let properties = "companies.customer_id:string:unique,deals.customer_id:string:unique,2-7.customer_id:string:unique,2-7.note:string";
    let sandbox = stand_in(&[("objects", "2-7=machine"), ("properties", properties)]).await;
    let (url, recorder) = Recorder::start(sandbox.url()).await;
    exercise(&url, &*sandbox).await;
    let exchanges = recorder.exchanges();
    let mut judged = BTreeSet::new();
    for exchange in &exchanges {
        let Exchange { method, path, request, status, answer } = exchange;
        let Some(operation) = spec.operation(method, path) else {
            assert!(UNDESCRIBED.contains(&path.as_str()), "{method} {path} is not described");
            continue;
        };
        spec.judge(&operation["requestBody"]["content"], request, &format!("{method} {path}, request"));
        let described = &operation["responses"][status.to_string()];
        let what = format!("{method} {path}, answer {status}");
        if described.is_null() {
            assert!(*status >= 400, "{what} is not described");
            let error = spec.document["components"]["responses"]["Error"]["content"].clone();
            spec.judge(&error, answer, &what);
        } else {
            spec.judge(&described["content"].clone(), answer, &what);
        }
        judged.insert((path.rsplit('/').next().unwrap_or_default().to_owned(), *status));
    }
    let expected = [
        ("upsert", 200),
        ("upsert", 207),
        ("upsert", 400),
        ("upsert", 403),
        ("upsert", 404),
        ("upsert", 429),
        ("upsert", 500),
        ("update", 207),
        ("create", 201),
        ("create", 207),
        ("read", 207),
        ("archive", 204),
        ("details", 401),
    ];
    for (call, status) in expected {
        assert!(judged.contains(&(call.to_owned(), status)), "{call} {status} was never seen: {judged:?}");
    }
    spec.assert_validated(&HUBSPOT);
}
