//! Whose audience it is, and what the token may do.

use backhaul_kit::FaultClass;

use super::*;

#[tokio::test]
async fn permissions_that_are_missing_and_in_excess_are_told_with_the_smallest_grant() {
    let sandbox = stand_in(&[]).await;
    let check = || async { Bench::open(&sandbox.url(), FIELDS).destination.check().await.expect("a report") };
    let report = check().await;
    assert_eq!((report.identity.as_str(), report.missing, report.excess), ("meta:act_1234567890", vec![], vec![]));
    assert!(report.grants[0].contains("act_1234567890") && report.grants[0].contains("ADVERTISE"));
    assert!(report.label.contains("Sandbox"));
    sandbox.set("scopes", "ads_read,business_management,pages_show_list").expect("a setting");
    let report = check().await;
    assert_eq!(
        (report.missing, report.excess),
        (vec!["ads_management".to_owned()], vec!["business_management".to_owned(), "pages_show_list".to_owned()])
    );
    sandbox.set("inspect", "no").expect("a setting");
    let report = check().await;
    assert!(report.missing.is_empty() && report.unknowable[1].contains("permissions"), "{:?}", report.unknowable);
    assert!(members(&*sandbox).is_empty() && sessions(&*sandbox).is_empty(), "nothing was written");
}

#[tokio::test]
async fn another_accounts_audience_a_flagged_one_and_none_are_configuration_errors() {
    let sandbox = stand_in(&[("ad_account", "99")]).await;
    let bench = Bench::open(&sandbox.url(), FIELDS);
    let fault = bench.destination.check().await.expect_err("another account's");
    assert!(fault.class == FaultClass::Config && fault.remedy_text().contains("ad_account"));
    for (key, value) in [("ad_account", "1234567890"), ("operation_status", "471")] {
        sandbox.set(key, value).expect("a setting");
    }
    let fault = bench.destination.check().await.expect_err("flagged");
    assert!(fault.class == FaultClass::Config && fault.remedy_text().contains("appeal"));
    let fault = bench.write(&additions(&[("1", "a@example.com")])).await.expect_err("flagged");
    assert!(fault.class == FaultClass::Config && fault.remedy_text().contains("appeal"));
    sandbox.set("audience", "5").expect("a setting");
    assert_eq!(bench.destination.check().await.expect_err("no such audience").class, FaultClass::Config);
}

#[tokio::test]
async fn a_token_that_is_refused_is_an_auth_fault() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::with(&sandbox.url(), "", "", FIELDS, "another-token");
    let fault = bench.destination.check().await.expect_err("another token");
    assert!(fault.class == FaultClass::Auth && !fault.message.contains("another-token"), "{}", fault.message);
}

#[tokio::test]
async fn the_apps_secret_is_proved_and_never_shown() {
    let sandbox = stand_in(&[("app_secret", "app-secret-4711")]).await;
    let rows = additions(&[("1", "a@example.com")]);
    let without = Bench::open(&sandbox.url(), FIELDS);
    assert_eq!(without.write(&rows).await.expect_err("no proof").class, FaultClass::Config);
    let bench = Bench::with(&sandbox.url(), "app_secret = { file = \"app\" }", "", FIELDS, TOKEN);
    bench.destination.check().await.expect("a report");
    assert_eq!(bench.verdicts(&rows).await, [written()]);
    let shown = format!("{:?} {:?}", bench.destination.preview(&run(), &rows), bench.prepared.object());
    assert!(!shown.contains("4711") && !shown.contains("appsecret_proof=") && !shown.contains(TOKEN), "{shown}");
}
