//! What a check tells of the account, against the stand-in; and the stand-in itself.

use std::time::Duration;

use backhaul_kit::FaultClass;

use super::*;

#[tokio::test]
async fn a_check_tells_the_account_and_that_a_wide_role_is_too_much() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), NEW, FIELDS);
    let report = bench.destination.check().await.expect("a report");
    assert_eq!((report.identity.as_str(), report.label.as_str()), ("mailchimp:sandbox0123456789", "Sandbox"));
    assert_eq!((report.missing.len(), report.excess.len(), report.unknowable.len()), (0, 0, 1));
    assert!(report.grants[0].contains("restricted role"), "{:?}", report.grants);
    sandbox.set("role", "owner").expect("a setting");
    let report = bench.destination.check().await.expect("a report");
    assert!(report.excess[0].contains("owner"), "{:?}", report.excess);
}

#[tokio::test]
async fn a_wrong_key_and_a_wrong_list_are_told_apart() {
    let sandbox = stand_in(&[]).await;
    let fault = open_with(&sandbox.url(), NEW, FIELDS, "other-us1").destination.check().await.expect_err("401");
    assert_eq!(fault.class, FaultClass::Auth);
    assert!(!fault.message.contains("other-us1"));
    let fault = open(&sandbox.url(), &NEW.replace("abc123", "zzz"), FIELDS).destination.check().await.expect_err("404");
    assert_eq!(fault.class, FaultClass::Config);
    assert!(fault.remedy_text().contains("`list`"), "{}", fault.remedy_text());
}

#[tokio::test]
async fn a_token_is_a_bearer() {
    let sandbox = stand_in(&[]).await;
    let project = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(project.path().join("key"), KEY).expect("a token");
    let text = text(&sandbox.url(), NEW).replace("key =", "token =");
    let sync = fixture::prepared(&MAILCHIMP, &text, &["id"], FIELDS);
    let destination = sync.open(Kit::new(Secrets::from_env(project.path()))).expect("an open destination");
    destination.check().await.expect("a report");
}

#[tokio::test]
async fn the_list_tells_its_merge_fields() {
    let sandbox = stand_in(&[("merge_fields", "FNAME,HOME:address")]).await;
    let fields = ["email_address", "language", "merge_fields.HOME.city"];
    let schema = open(&sandbox.url(), NEW, &fields).destination.describe().await.expect("an answer").expect("a schema");
    let names: Vec<&str> = schema.fields.iter().map(|field| field.name.as_str()).collect();
    for name in fields.into_iter().chain(["merge_fields.FNAME", "merge_fields.HOME"]) {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
    assert!(!names.contains(&"merge_fields.PLAN"));
    let unique: Vec<&str> =
        schema.fields.iter().filter(|field| field.unique).map(|field| field.name.as_str()).collect();
    assert_eq!(unique, ["email_address"]);
    let segment = open(&sandbox.url(), SEGMENT, &["email_address"]);
    assert_eq!(segment.destination.describe().await.expect("an answer"), None);
}

#[tokio::test]
async fn the_stand_in_knows_its_settings_and_its_cap_of_connections() {
    let sandbox = stand_in(&[]).await;
    assert!(sandbox.set("fail_nxt", "1").expect_err("unknown").remedy_text().contains("fail_next"));
    assert!(sandbox.set("fail_next", "often").is_err() && sandbox.set("reject", "no equals sign").is_err());
    for (key, _) in sandbox::kind().settings() {
        assert!(!sandbox.set(key, "\u{0}").is_err_and(|fault| fault.message.contains("no setting")), "{key}");
    }
    let before = sandbox.token();
    sandbox.expire();
    assert_ne!(sandbox.token(), before);
    let sandbox = stand_in(&[("connections", "1"), ("latency", "300")]).await;
    let bench = open(&sandbox.url(), SEGMENT, &["email_address"]);
    let rows = batch(Operation::AudienceAdd, &[&["ann@example.com"]]);
    let late = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bench.write(&rows).await
    };
    let (first, second) = tokio::join!(bench.write(&rows), late);
    let faults =
        [first, second].into_iter().filter(|said| said.as_ref().is_err_and(|f| f.class == FaultClass::Throttled));
    assert!(faults.count() >= 1, "two calls at a time are one too many");
}
