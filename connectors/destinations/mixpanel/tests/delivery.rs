//! Batches on the stand-in.

use backhaul_kit::FaultClass;
use serde_json::json;

use super::*;

/// The events of the stand-in, without their insert ids.
fn kept(sandbox: &dyn Sandbox) -> Vec<serde_json::Value> {
    let mut events: Vec<_> = sandbox.records()["events"].as_object().expect("events").values().cloned().collect();
    events.sort_by_key(|event| event["properties"]["time"].as_i64());
    for event in &mut events {
        event["properties"].as_object_mut().expect("properties").remove("$insert_id");
    }
    events
}

fn profile(sandbox: &dyn Sandbox, id: &str) -> serde_json::Value {
    sandbox.records()["profiles"][id].clone()
}

#[tokio::test]
async fn events_arrive_with_their_properties() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), &EVENTS);
    assert_eq!(bench.verdicts(&events(&["ada", ""])).await, [written(), written()]);
    let event = |time: i64, id: &str| json!({ "event": "order_paid", "properties": { "time": time, "distinct_id": id, "ip": 0, "total": 7 } });
    assert_eq!(kept(&*sandbox), [event(NOON / 1000, "ada"), event(NOON / 1000 + 1000, "")]);
    let own_ip = Wanted { fields: &["event", "time", "distinct_id", "ip"], ..EVENTS };
    let fields = vec![text("visit"), text("2026-01-01T01:00:00+01:00"), text("eve"), text("192.0.2.7")];
    assert_eq!(
        Bench::open(&sandbox.url(), &own_ip).verdicts(&batch(Operation::Append, vec![(None, fields)])).await,
        [written()]
    );
    let visit = json!({ "time": 1_767_225_600_000_i64, "distinct_id": "eve", "ip": "192.0.2.7" });
    assert_eq!(kept(&*sandbox)[2]["properties"], visit);
}

#[tokio::test]
async fn a_repeated_call_is_no_second_event_whatever_the_fingerprint_is() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), &EVENTS);
    let mut rows = events(&["ada", "eve"]);
    sandbox.set("lose_next", "1").expect("a setting");
    assert_eq!(bench.write(&rows).await.expect_err("a lost answer").class, FaultClass::Ambiguous);
    // As after the snapshot was rebuilt with another seed, and in a batch of its own.
    rows.rows.iter_mut().for_each(|row| row.fingerprint ^= 0xABCD);
    rows.rows.reverse();
    assert_eq!(bench.verdicts(&rows).await, [written(), written()]);
    assert_eq!((kept(&*sandbox).len(), sandbox.calls()), (2, 2));
}

#[tokio::test]
async fn rows_that_say_the_same_are_events_of_their_own_and_so_is_a_row_that_changed() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), &EVENTS);
    let mut rows = events(&["ada", "ada"]);
    rows.rows[1].fields = rows.rows[0].fields.clone();
    bench.verdicts(&rows).await;
    assert_eq!(kept(&*sandbox).len(), 2, "two keys");
    let mut changed = events(&["ada"]);
    let mut fields: Vec<FieldValue> = vec![text("order_paid"), FieldValue::Set(Value::Timestamp(NOON)), text("ada")];
    fields.push(FieldValue::Set(Value::Int(8)));
    changed.rows[0].fields = fields.into_iter().collect();
    bench.verdicts(&changed).await;
    assert_eq!(kept(&*sandbox).len(), 3, "another content");
}

#[tokio::test]
async fn the_insert_id_of_a_row_never_changes() {
    let sandbox = stand_in(&[]).await;
    Bench::open(&sandbox.url(), &EVENTS).verdicts(&events(&["ada"])).await;
    let ids: Vec<String> = sandbox.records()["events"].as_object().expect("events").keys().cloned().collect();
    // Another id would send what was sent before this version once more.
    assert_eq!(ids, ["34e6d3d77a9262298ce0cfaa3194e6f9"]);
}

#[tokio::test]
async fn a_refused_event_is_rejected_alone_with_the_vendors_words() {
    let sandbox = stand_in(&[("reject", "distinct_id=eve")]).await;
    let bench = Bench::open(&sandbox.url(), &EVENTS);
    let verdicts = bench.verdicts(&events(&["ada", "eve", "bob"])).await;
    assert_eq!((&verdicts[0], &verdicts[2]), (&written(), &written()));
    let (code, words, field) = rejection(&verdicts[1]);
    assert_eq!((code, field), ("INVALID_RECORD", Some("distinct_id")));
    assert!(words.contains("refused as the stand-in was told"), "{words}");
    assert_eq!((kept(&*sandbox).len(), sandbox.calls()), (2, 1));
}

#[tokio::test]
async fn rows_that_cannot_be_events_are_refused_before_the_call() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), &EVENTS);
    let time = |value: Value| FieldValue::Set(value);
    let noon = || time(Value::Timestamp(NOON));
    let ahead = jiff::Timestamp::now().as_microsecond() + 60_000_000;
    let long = "x".repeat(256);
    let rows = [
        ("NO_EVENT", vec![FieldValue::Set(Value::Null), noon(), text("ada"), FieldValue::Skip]),
        ("INVALID_TIME", vec![text("e"), FieldValue::Skip, text("ada"), FieldValue::Skip]),
        ("INVALID_TIME", vec![text("e"), text("2025-12-31 12:00:00"), text("ada"), FieldValue::Skip]),
        ("INVALID_TIME", vec![text("e"), time(Value::LocalTimestamp(NOON)), text("ada"), FieldValue::Skip]),
        ("TIME_IN_FUTURE", vec![text("e"), time(Value::Timestamp(ahead)), text("ada"), FieldValue::Skip]),
        ("TIME_IN_FUTURE", vec![text("e"), time(Value::Int(ahead / 1_000_000)), text("ada"), FieldValue::Skip]),
        ("FORBIDDEN_ID", vec![text("e"), noon(), text("NULL"), FieldValue::Skip]),
        ("ID_TOO_LONG", vec![text("e"), noon(), text(&long), FieldValue::Skip]),
        ("INVALID_VALUE", vec![text("e"), noon(), text("ada"), FieldValue::Set(Value::Invalid("NaN".into()))]),
    ];
    let (codes, fields): (Vec<&str>, Vec<_>) = rows.into_iter().map(|(code, fields)| (code, (None, fields))).unzip();
    let verdicts = bench.verdicts(&batch(Operation::Append, fields)).await;
    assert_eq!(verdicts.iter().map(|verdict| rejection(verdict).0).collect::<Vec<_>>(), codes);
    assert_eq!(sandbox.calls(), 0);
    let dates = [Value::Date(20_453), Value::Int(1_767_182_400), Value::Text("2025-12-31T12:00:00Z".into())];
    let rows = dates.map(|date| (None, vec![text("e"), time(date), text("ada"), FieldValue::Clear]));
    assert_eq!(bench.verdicts(&batch(Operation::Append, rows.into())).await, [written(), written(), written()]);
}

#[tokio::test]
async fn a_profile_is_made_changed_emptied_and_deleted() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), &PROFILES);
    bench.verdicts(&profiles(Operation::Upsert, &[["ada", "ada@example.com", "free"]])).await;
    assert_eq!(profile(&*sandbox, "ada"), json!({ "$email": "ada@example.com", "plan": "free" }));
    let fields = vec![text("ada"), FieldValue::Clear, text("pro \u{1F600} \"q\"")];
    let verdicts = bench.verdicts(&batch(Operation::Upsert, vec![(Some("ada"), fields)])).await;
    assert_eq!((verdicts, sandbox.calls()), (vec![written()], 3));
    assert_eq!(profile(&*sandbox, "ada"), json!({ "plan": "pro \u{1F600} \"q\"" }));
    let fields = vec![text("ada"), FieldValue::Skip, FieldValue::Skip];
    bench.verdicts(&batch(Operation::Upsert, vec![(Some("ada"), fields)])).await;
    assert_eq!(profile(&*sandbox, "ada"), json!({ "plan": "pro \u{1F600} \"q\"" }), "what is skipped stays");
    for _ in 0..2 {
        assert_eq!(bench.verdicts(&removals(Operation::Delete, &["ada"])).await, [written()]);
        assert_eq!(profile(&*sandbox, "ada"), json!(null));
    }
}

#[tokio::test]
async fn what_somebody_else_put_there_stays() {
    let sandbox = stand_in(&[]).await;
    let city = Wanted { fields: &["$distinct_id", "city"], ..PROFILES };
    let theirs = batch(Operation::Upsert, vec![(Some("ada"), vec![text("ada"), text("Köln")])]);
    Bench::open(&sandbox.url(), &city).verdicts(&theirs).await;
    let fields = &["$distinct_id", "plan", "city=if_empty"];
    let bench = Bench::open(&sandbox.url(), &Wanted { fields, removed: Removed::Clear, ..PROFILES });
    let of = |id: &'static str| (Some(id), vec![text(id), text("pro"), text("Bonn")]);
    let unset = (Some("cy"), vec![text("cy"), text("pro"), FieldValue::Clear]);
    let rows = batch(Operation::Upsert, vec![of("ada"), of("bea"), unset]);
    // Profiles go one by one: the engine cuts the batch, as it must.
    for row in &rows.rows {
        assert_eq!(bench.verdicts(&Batch { rows: vec![row.clone()], ..rows.clone() }).await, [written()]);
    }
    assert_eq!(profile(&*sandbox, "ada"), json!({ "plan": "pro", "city": "Köln" }));
    assert_eq!(profile(&*sandbox, "bea"), json!({ "plan": "pro", "city": "Bonn" }));
    assert_eq!(profile(&*sandbox, "cy"), json!({ "plan": "pro" }));
    bench.verdicts(&removals(Operation::Clear, &["ada"])).await;
    assert_eq!(profile(&*sandbox, "ada"), json!({ "city": "Köln" }), "what was not ours is not emptied");
}

#[tokio::test]
async fn what_is_cleared_loses_the_properties_of_the_sync_and_no_others() {
    let sandbox = stand_in(&[]).await;
    let other = Wanted { fields: &["$distinct_id", "city"], removed: Removed::Ignore, ..PROFILES };
    let city = batch(Operation::Upsert, vec![(Some("ada"), vec![text("ada"), text("Köln")])]);
    Bench::open(&sandbox.url(), &other).verdicts(&city).await;
    let bench = Bench::open(&sandbox.url(), &Wanted { removed: Removed::Clear, ..PROFILES });
    bench.verdicts(&profiles(Operation::Upsert, &[["ada", "ada@example.com", "free"]])).await;
    bench.verdicts(&removals(Operation::Clear, &["ada"])).await;
    assert_eq!(profile(&*sandbox, "ada"), json!({ "city": "Köln" }));
}

#[tokio::test]
async fn a_row_with_another_id_leaves_its_old_profile_as_removed_says() {
    for (removed, left) in [(Removed::Delete, json!(null)), (Removed::Clear, json!({}))] {
        let sandbox = stand_in(&[]).await;
        let bench = Bench::open(&sandbox.url(), &Wanted { removed, ..PROFILES });
        bench.verdicts(&profiles(Operation::Upsert, &[["ada", "ada@example.com", "free"]])).await;
        let mut moved = profiles(Operation::Move, &[["augusta", "ada@example.com", "free"]]);
        moved.rows[0].address.match_value = Some(String::from("ada"));
        for _ in 0..2 {
            assert_eq!(bench.verdicts(&moved).await, [written()]);
            assert_eq!(profile(&*sandbox, "ada"), left, "{removed:?}");
            assert_eq!(profile(&*sandbox, "augusta"), json!({ "$email": "ada@example.com", "plan": "free" }));
        }
    }
}

#[tokio::test]
async fn a_refused_profile_is_rejected_and_rows_without_an_id_make_no_call() {
    let sandbox = stand_in(&[("reject", "plan=gold")]).await;
    let bench = Bench::open(&sandbox.url(), &PROFILES);
    let verdicts = bench.verdicts(&profiles(Operation::Upsert, &[["ada", "", "gold"]])).await;
    assert_eq!(rejection(&verdicts[0]), ("INVALID_RECORD", "plan, missing or invalid", None));
    let calls = sandbox.calls();
    for (id, code) in [("", "NO_MATCH_VALUE"), ("undefined", "FORBIDDEN_ID")] {
        let verdicts = bench.verdicts(&profiles(Operation::Upsert, &[[id, "", ""]])).await;
        assert_eq!(rejection(&verdicts[0]).0, code);
    }
    let nobody = batch(Operation::Delete, vec![(None, Vec::new())]);
    assert_eq!(rejection(&bench.verdicts(&nobody).await[0]).0, "NO_ADDRESS");
    assert_eq!(sandbox.calls(), calls);
}

/// Why one profile a call is the default.
#[tokio::test]
async fn an_answer_to_several_profiles_says_nothing_of_the_one_that_was_passed_over() {
    let sandbox = stand_in(&[("reject", "plan=gold")]).await;
    let rows = profiles(Operation::Upsert, &[["ada", "", "free"], ["eve", "", "gold"]]);
    let bench = Bench::open(&sandbox.url(), &PROFILES);
    assert_eq!(bench.write(&rows).await.expect_err("one a call").class, FaultClass::Split);
    let trusting = Bench::with(&sandbox.url(), &PROFILES, "profiles_per_call = 2", "sandbox-token");
    assert_eq!(trusting.verdicts(&rows).await, [written(), written()]);
    assert_eq!(profile(&*sandbox, "eve"), json!(null));
}

#[tokio::test]
async fn a_wrong_token_is_found_before_profiles_vanish_and_the_check_writes_nothing() {
    let sandbox = stand_in(&[]).await;
    for wanted in [&EVENTS, &PROFILES] {
        let bench = Bench::with(&sandbox.url(), wanted, "", "another");
        let fault = bench.destination.check().await.expect_err("a wrong token");
        assert_eq!(fault.class, FaultClass::Auth);
        assert!(fault.remedy_text().contains("region") && !fault.message.contains("another"));
        let report = Bench::open(&sandbox.url(), wanted).destination.check().await.expect("a report");
        assert!(report.identity.starts_with("mixpanel:eu:") && report.identity.len() == 24, "{}", report.identity);
    }
    assert_eq!(sandbox.records(), json!({ "events": {}, "profiles": {} }));
    let profiles = profiles(Operation::Upsert, &[["ada", "", ""]]);
    let wrong = Bench::with(&sandbox.url(), &PROFILES, "", "another");
    assert_eq!(wrong.verdicts(&profiles).await, [written()], "the trap that the check is for");
    assert_eq!(profile(&*sandbox, "ada"), json!(null));
}

#[tokio::test]
async fn throttling_and_errors_are_passed_on() {
    let sandbox = stand_in(&[("throttle_next", "1"), ("retry_after", "9")]).await;
    let bench = Bench::open(&sandbox.url(), &EVENTS);
    let fault = bench.write(&events(&["ada"])).await.expect_err("429");
    assert_eq!((fault.class, fault.retry_after.map(|wait| wait.as_secs())), (FaultClass::Throttled, Some(9)));
    sandbox.set("fail_next", "1").expect("a setting");
    let bench = Bench::open(&sandbox.url(), &EVENTS);
    assert_eq!(bench.write(&events(&["ada"])).await.expect_err("500").class, FaultClass::Ambiguous);
    assert!(kept(&*sandbox).is_empty());
}

#[tokio::test]
async fn a_preview_shows_every_call_and_no_token() {
    let bench = Bench::with("http://127.0.0.1:9", &PROFILES, "", "token-4711");
    let fields = vec![text("ada"), FieldValue::Set(Value::Null), text("pro")];
    let shown =
        bench.destination.preview(&run(), &batch(Operation::Upsert, vec![(Some("ada"), fields)])).expect("shown");
    assert_eq!(shown.len(), 2);
    assert!(shown[1].body.contains(r#""$unset":["$email"]"#) && shown[1].body.contains("<file token>"), "{shown:?}");
    assert!(!format!("{shown:?}").contains("4711"));
}

#[tokio::test]
async fn wrong_settings_of_the_stand_in_are_refused() {
    let sandbox = stand_in(&[]).await;
    assert!(sandbox.set("fail_nxt", "1").expect_err("unknown").remedy_text().contains("fail_next"));
    for (key, value) in [("fail_next", "often"), ("reject", "gold")] {
        assert!(sandbox.set(key, value).is_err(), "{key}={value}");
    }
    for (key, _) in sandbox::kind().settings() {
        assert!(!sandbox.set(key, "\u{0}").is_err_and(|fault| fault.message.contains("no setting")), "{key}");
    }
}
