//! What a check tells of the key, against the stand-in.

use backhaul_kit::{AccountReport, FaultClass};

use super::*;

async fn report(settings: &[(&str, &str)], secret: &str, into: &str, fields: &[&str]) -> AccountReport {
    let sandbox = stand_in(settings).await;
    let bench = open_with(&sandbox.url(), into, fields, secret);
    let report = bench.destination.check().await.expect("a report");
    assert_eq!(customers(&*sandbox), serde_json::json!({}), "a check writes nothing");
    report
}

#[tokio::test]
async fn a_restricted_key_of_the_smallest_kind_is_just_right() {
    let report = report(&[("account", "acct_7")], KEY, UPSERT, FIELDS).await;
    assert_eq!((report.identity.as_str(), report.missing.len(), report.excess.len()), ("stripe:acct_7:test", 0, 0));
    assert!(report.unknowable[0].contains("rak_customer_write"), "{:?}", report.unknowable);
}

#[tokio::test]
async fn keys_that_may_do_too_much_or_too_little_are_told() {
    let everything = report(&[("permissions", "all"), ("token", "sk_live_x")], "sk_live_x", UPSERT, FIELDS).await;
    assert_eq!(everything.identity, "stripe:acct_sandbox:live");
    assert!(everything.excess[0].contains("secret key"), "{:?}", everything.excess);
    let wide = "rak_customer_write,rak_customer_read,rak_charge_read,rak_account_read";
    let wide = report(&[("permissions", wide)], KEY, UPSERT, FIELDS).await;
    assert_eq!((wide.excess, wide.missing), (vec![String::from("reading charges")], Vec::new()));
    let narrow = report(&[("permissions", "rak_customer_write")], KEY, UPSERT, FIELDS).await;
    assert_eq!((narrow.missing, narrow.identity.as_str()), (vec!["rak_customer_read".into()], "stripe:unknown:test"));
    // Who matches by id reads nothing.
    let by_id = "mode = \"update\"\nmatch = \"id\"";
    let write_only = report(&[("permissions", "rak_customer_write")], KEY, by_id, &["id", "email"]).await;
    assert_eq!(write_only.missing, [""; 0]);
}

#[tokio::test]
async fn a_wrong_key_is_refused() {
    let sandbox = stand_in(&[]).await;
    let fault = open_with(&sandbox.url(), UPSERT, FIELDS, "rk_test_other").destination.check().await.expect_err("401");
    assert_eq!(fault.class, FaultClass::Auth);
    assert!(!fault.message.contains("rk_test_other"));
}

#[tokio::test]
async fn the_stand_in_knows_its_settings_and_its_limit() {
    let sandbox = stand_in(&[]).await;
    assert!(sandbox.set("fail_nxt", "1").expect_err("unknown").remedy_text().contains("fail_next"));
    assert!(sandbox.set("fail_next", "often").is_err() && sandbox.set("reject", "no equals sign").is_err());
    for (key, _) in sandbox::kind().settings() {
        assert!(!sandbox.set(key, "\u{0}").is_err_and(|fault| fault.message.contains("no setting")), "{key}");
    }
    let sandbox = stand_in(&[("limit", "4/1s")]).await;
    let bench = open(&sandbox.url(), CREATE);
    for n in 0..2 {
        // A creation, and a look at what was created.
        bench.verdict(Operation::Create, new(&[&n.to_string(), "", ""])).await;
    }
    let third = bench.write(Operation::Create, new(&["third", "", ""])).await;
    assert_eq!(third.expect_err("too many").class, FaultClass::Throttled);
    assert_eq!(sandbox.calls(), 5);
}
