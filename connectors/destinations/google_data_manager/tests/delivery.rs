//! Whole deliveries to the stand-in.

use backhaul_kit::FaultClass;

use super::*;
use crate::destinations::google_data_manager::account::SCOPE;

/// What a row with this address is found by.
fn line(address: &str) -> String {
    format!("email {}", sha256(address))
}

fn moved(old: &str, texts: &[&str]) -> Batch {
    batch(Operation::Move, vec![row(10, ChangeKind::Move, Some(old), texts)])
}

#[tokio::test]
async fn members_are_added_with_their_consent_moved_and_removed_by_what_they_were_sent_as() {
    let sandbox = stand_in(&[("processing", "20")]).await;
    let bench = open(&*sandbox);
    bench.accepted(&adds(&[&["ann@example.com", "+1 650 555 1212"], &["bob@example.com", ""]])).await;
    let there = members(&*sandbox);
    assert_eq!(there.len(), 3);
    let granted = serde_json::json!({ "adUserData": "CONSENT_GRANTED", "adPersonalization": "CONSENT_GRANTED" });
    assert_eq!(there[&email(&sha256("bob@example.com"))], granted);

    // The number stays: only what the row no longer has is taken out.
    let known = format!("{}\nphone {PHONE}", line("ann@example.com"));
    let before = sandbox.calls();
    bench.accepted(&moved(&known, &["ann@example.org", "+1 650 555 1212"])).await;
    let there = members(&*sandbox);
    assert!(there.contains_key(&email(&sha256("ann@example.org"))) && there.len() == 3, "{there:?}");
    assert!(sandbox.calls() >= before + 4, "two requests, and a question after each");

    bench
        .accepted(&removals(&[&format!("{}\nphone {PHONE}", line("ann@example.org")), &line("bob@example.com")]))
        .await;
    assert_eq!(members(&*sandbox).len(), 0);
}

#[tokio::test]
async fn a_row_that_lost_its_identifiers_leaves_the_list() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&*sandbox);
    bench.accepted(&adds(&[&["ann@example.com", ""]])).await;
    let verdicts = bench.deliver(&moved(&line("ann@example.com"), &["", ""])).await.expect("a verdict");
    assert_eq!(code(&verdicts[0]), "NO_IDENTIFIERS");
    assert_eq!(members(&*sandbox).len(), 0);
    // A row whose identifiers only grew needs no removal.
    bench.accepted(&adds(&[&["ann@example.com", ""]])).await;
    let before = sandbox.calls();
    bench.accepted(&moved(&line("ann@example.com"), &["ann@example.com", "+1 650 555 1212"])).await;
    assert_eq!((sandbox.calls() - before, members(&*sandbox).len()), (2, 2));
}

#[tokio::test]
async fn many_remembered_hashes_are_removed_ten_at_a_time() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&*sandbox);
    let addresses: Vec<String> = (0..25).map(|n| format!("p{n}@example.com")).collect();
    let rows: Vec<[&str; 2]> = addresses.iter().map(|address| [address.as_str(), ""]).collect();
    bench.accepted(&adds(&rows.iter().map(|row| &row[..]).collect::<Vec<_>>())).await;
    let known: Vec<String> = addresses.iter().map(|address| line(address)).collect();
    bench.accepted(&removals(&[&known.join("\n")])).await;
    assert_eq!(members(&*sandbox).len(), 0);
}

#[tokio::test]
async fn nothing_is_accepted_before_google_says_so() {
    let sandbox = stand_in(&[("processing", "60000")]).await;
    let bench = open(&*sandbox);
    let batch = adds(&[&["ann@example.com", ""]]);
    let ticket = bench.ticket(&batch).await;
    assert!(matches!(bench.poll(&ticket, &batch).await, Ok(Progress::Running { .. })));
    assert_eq!(members(&*sandbox).len(), 0);
    // A ticket outlives the process that got it.
    let ticket: Ticket = serde_json::from_str(&serde_json::to_string(&ticket).expect("JSON")).expect("a ticket");
    sandbox.set("forget", "yes").expect("a setting");
    assert!(matches!(open(&*sandbox).poll(&ticket, &batch).await, Ok(Progress::Lost)));
    let foreign = Ticket { kind: String::from("another"), ..ticket };
    assert!(matches!(bench.poll(&foreign, &batch).await, Ok(Progress::Lost)));
}

#[tokio::test]
async fn a_request_that_is_stuck_is_given_up_after_two_days_and_asked_for_ever_more_seldom() {
    let sandbox = stand_in(&[("stuck", "1")]).await;
    let bench = open(&*sandbox);
    let batch = adds(&[&["ann@example.com", ""]]);
    let mut ticket = bench.ticket(&batch).await;
    let mut aged = async |hours: i64| {
        let now = jiff::Timestamp::now().as_millisecond();
        ticket.body["created"] = (now - hours * 3_600_000).into();
        bench.poll(&ticket, &batch).await.expect("an answer")
    };
    let Progress::Running { after } = aged(1).await else { panic!("not running") };
    assert!(after >= Duration::from_secs(1800) && after < Duration::from_secs(1860), "{after:?}");
    let Progress::Running { after } = aged(40).await else { panic!("not running") };
    assert_eq!(after, Duration::from_secs(3600));
    assert!(matches!(aged(49).await, Progress::Lost));
}

#[tokio::test]
async fn a_status_is_not_asked_for_before_its_time() {
    let sandbox = stand_in(&[]).await;
    let text = text(&sandbox.url(), "").replace("timeout", "status_after = \"30m\"\ntimeout");
    let bench = open_text(&text, FIELDS, &sandbox.token());
    let batch = adds(&[&["ann@example.com", ""]]);
    let ticket = bench.ticket(&batch).await;
    let calls = sandbox.calls();
    let Ok(Progress::Running { after }) = bench.poll(&ticket, &batch).await else { panic!("not running") };
    assert!(after > Duration::from_secs(1700) && sandbox.calls() == calls, "{after:?}");
}

#[tokio::test]
async fn a_member_that_is_refused_at_once_is_rejected_and_the_others_were_not_applied() {
    let sandbox = stand_in(&[("reject", &sha256("eve@example.com"))]).await;
    let bench = open(&*sandbox);
    let batch = adds(&[&["ann@example.com", ""], &["eve@example.com", ""], &["bob@example.com", ""]]);
    let verdicts = bench.deliver(&batch).await.expect("verdicts");
    assert_eq!((&verdicts[0], &verdicts[2]), (&Verdict::Retry(None), &Verdict::Retry(None)));
    assert_eq!(code(&verdicts[1]), "INVALID_AUDIENCE_MEMBER");
    assert_eq!(members(&*sandbox).len(), 0);
}

#[tokio::test]
async fn a_request_that_was_done_in_part_is_cut_and_a_member_alone_is_rejected_with_the_reason() {
    let settings = [("drop", sha256("eve@example.com")), ("drop_reason", "DENIED_CONSENT".to_owned())];
    let sandbox = stand_in(&settings.each_ref().map(|(key, value)| (*key, value.as_str()))).await;
    let bench = open(&*sandbox);
    let both = adds(&[&["ann@example.com", ""], &["eve@example.com", ""]]);
    let fault = bench.deliver(&both).await.expect_err("nobody knows which");
    assert_eq!(fault.class, FaultClass::Split);
    assert!(fault.message.contains("DENIED_CONSENT: 1"), "{fault}");
    bench.accepted(&adds(&[&["ann@example.com", ""]])).await;
    let alone = bench.deliver(&adds(&[&["eve@example.com", ""]])).await.expect("a verdict");
    assert_eq!(code(&alone[0]), "DENIED_CONSENT");
    sandbox.set("drop_reason", "INTERNAL_ERROR").expect("a setting");
    assert_eq!(bench.deliver(&both).await.expect("verdicts"), vec![Verdict::Unknown; 2]);
    let alone = bench.deliver(&adds(&[&["eve@example.com", ""]])).await.expect("a verdict");
    assert_eq!(alone, [Verdict::Retry(None)]);
}

#[tokio::test]
async fn lost_answers_and_faults_are_told_apart_and_calls_may_be_made_again() {
    let sandbox = stand_in(&[("lose_next", "1")]).await;
    let bench = open(&*sandbox);
    let batch = adds(&[&["ann@example.com", ""]]);
    let class = async |key: &str| {
        if !key.is_empty() {
            sandbox.set(key, "1").expect("a setting");
        }
        bench.write(&batch).await.expect_err("a fault").class
    };
    assert_eq!(class("").await, FaultClass::Ambiguous);
    assert_eq!(members(&*sandbox).len(), 1, "it was taken in");
    assert_eq!(class("throttle_next").await, FaultClass::Throttled);
    assert_eq!(class("fail_next").await, FaultClass::Ambiguous);
    bench.accepted(&batch).await;
    assert_eq!(members(&*sandbox).len(), 1);
    // The second call of a batch fails: the first is not undone by it.
    let sandbox = stand_in(&[("limit", "1/1m")]).await;
    let fault = open(&*sandbox).write(&moved(&line("ann@example.com"), &["ann@example.org", ""])).await;
    assert_eq!(fault.expect_err("429").class, FaultClass::Ambiguous);
}

#[tokio::test]
async fn an_expired_token_is_replaced_and_a_key_that_is_not_the_account_s_gets_none() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&*sandbox);
    bench.accepted(&adds(&[&["ann@example.com", ""]])).await;
    sandbox.expire();
    bench.accepted(&adds(&[&["bob@example.com", ""]])).await;
    let another = stand_in(&[]).await;
    let bench = open_text(&text(&sandbox.url(), ""), FIELDS, &another.token());
    let fault = bench.write(&adds(&[&["ann@example.com", ""]])).await.expect_err("another's key");
    assert_eq!(fault.class, FaultClass::Auth);
}

async fn report(settings: &[(&str, &str)]) -> Result<backhaul_kit::AccountReport, Fault> {
    let sandbox = stand_in(settings).await;
    open(&*sandbox).destination.check().await
}

#[tokio::test]
async fn the_check_tells_missing_and_needless_scopes_and_the_smallest_grant() {
    let plain = report(&[]).await.expect("a report");
    assert_eq!(plain.identity, "google:google_ads:1112223333");
    assert_eq!((plain.missing.len(), plain.excess.len()), (0, 0));
    assert!(plain.grants[0].contains(SCOPE) && plain.grants[0].contains("1112223333"));
    let narrow = report(&[("scopes", "openid")]).await.expect("a report");
    assert_eq!(narrow.missing, [SCOPE]);
    let adwords = "https://www.googleapis.com/auth/adwords";
    let wide = report(&[("scopes", &format!("{SCOPE},{adwords}"))]).await.expect("a report");
    assert_eq!((wide.missing.len(), wide.excess), (0, vec![adwords.to_owned()]));
}

#[tokio::test]
async fn the_check_finds_what_would_refuse_a_run_and_writes_nothing() {
    for (setting, class, remedy) in [
        (("account", "999"), FaultClass::Auth, "access"),
        (("audience", "1"), FaultClass::Config, "`audience`"),
        (("terms", "open"), FaultClass::Config, "terms"),
    ] {
        let fault = report(&[setting]).await.expect_err("refused");
        assert_eq!(fault.class, class, "{setting:?}");
        assert!(fault.remedy_text().contains(remedy), "{setting:?}: {}", fault.remedy_text());
    }
    let sandbox = stand_in(&[]).await;
    open(&*sandbox).destination.check().await.expect("a report");
    assert_eq!(sandbox.records(), serde_json::json!({ "user_lists": {} }));
}

#[tokio::test]
async fn consent_is_only_spoken_of_where_the_sync_names_it() {
    let sandbox = stand_in(&[]).await;
    let without = text(&sandbox.url(), "").replace("\"ad_user_data\", ", "");
    let bench = open_text(&without, FIELDS, &sandbox.token());
    bench.accepted(&adds(&[&["ann@example.com", ""]])).await;
    let consent = members(&*sandbox)[&email(&sha256("ann@example.com"))].clone();
    assert_eq!(consent, serde_json::json!({ "adPersonalization": "CONSENT_GRANTED" }));
}

#[tokio::test]
async fn the_stand_in_knows_its_settings_and_its_caps() {
    let sandbox = stand_in(&[]).await;
    for (key, _) in sandbox::kind().settings() {
        assert!(!sandbox.set(key, "\u{0}").is_err_and(|fault| fault.message.contains("no setting")), "{key}");
    }
    assert!(sandbox.set("fail_nxt", "1").expect_err("unknown").remedy_text().contains("fail_next"));
    let bench = open(&*stand_in(&[]).await);
    let most = bench.prepared.facts(Operation::AudienceAdd).max_rows;
    let rows = (0..=most as u64).map(|op| row(op, ChangeKind::Add, None, &["ann@example.com", ""])).collect();
    let fault = bench.write(&batch(Operation::AudienceAdd, rows)).await.expect_err("one too many");
    assert_eq!((most, fault.class), (10_000, FaultClass::Split));
}
