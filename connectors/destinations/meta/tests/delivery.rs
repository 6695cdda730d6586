//! Batches on the stand-in.

use backhaul_kit::FaultClass;

use super::*;

/// A removal of people who were sent as these.
fn removals(bench: &Bench, people: &[(&str, &str)]) -> Batch {
    let rows = people.iter().map(|(id, email)| (bench.address(&person(id, email)), Vec::new())).collect();
    batch(Operation::AudienceRemove, 30, true, rows)
}

#[tokio::test]
async fn people_come_and_go_by_their_hashes() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), FIELDS);
    assert_eq!(
        bench.verdicts(&additions(&[("1", "a@example.com"), ("2", "b@example.com")])).await,
        [written(), written()]
    );
    let shown = sandbox.records().to_string();
    assert!(!shown.contains("example.com") && !shown.contains("Ann"), "{shown}");
    assert_eq!(ids(&*sandbox), ["1", "2"]);
    // Once more changes nothing.
    bench.verdicts(&additions(&[("2", "b@example.com")])).await;
    assert_eq!(ids(&*sandbox), ["1", "2"]);
    assert_eq!(
        bench.verdicts(&removals(&bench, &[("1", "a@example.com"), ("3", "c@example.com")])).await,
        [written(), written()]
    );
    assert_eq!(ids(&*sandbox), ["2"]);
    let empty = batch(Operation::AudienceRemove, 1, true, vec![(Address::default(), Vec::new())]);
    assert_eq!(code(&bench.verdicts(&empty).await[0]), "NO_ADDRESS");
}

#[tokio::test]
async fn a_changed_person_leaves_as_it_was_and_comes_as_it_is() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), FIELDS);
    bench.verdicts(&additions(&[("1", "a@example.com"), ("2", "b@example.com")])).await;
    let before = members(&*sandbox);
    let moved = (bench.address(&person("1", "a@example.com")), person("1", "new@example.com"));
    // Its new form is none: it stays as it was.
    let wrong = (bench.address(&person("2", "b@example.com")), person("2", "nobody"));
    let verdicts = bench.verdicts(&batch(Operation::Move, 20, true, vec![moved, wrong])).await;
    assert_eq!((&verdicts[0], code(&verdicts[1])), (&written(), "INVALID_EMAIL"));
    let after = members(&*sandbox);
    assert_ne!(after[0]["EMAIL"], before[0]["EMAIL"]);
    assert_eq!((after.len(), &after[1]), (2, &before[1]));
}

#[tokio::test]
async fn limited_data_use_goes_along_and_a_row_that_is_refused_here_stays_here() {
    let sandbox = stand_in(&[]).await;
    let fields =
        ["EMAIL", "DATA_PROCESSING_OPTIONS", "DATA_PROCESSING_OPTIONS_COUNTRY", "DATA_PROCESSING_OPTIONS_STATE"];
    let bench = Bench::open(&sandbox.url(), &fields);
    let row = |email: &str, limited: Value, state: Value| {
        let rest = [limited, Value::Null, state].map(FieldValue::Set);
        (Address::default(), [vec![text_field(email)], rest.to_vec()].concat())
    };
    let rows = vec![
        row("a@example.com", Value::Bool(true), Value::Int(1000)),
        row("b@example.com", Value::Bool(false), Value::Null),
        row("c@example.com", Value::Text("often".into()), Value::Null),
    ];
    let verdicts = bench.verdicts(&batch(Operation::AudienceAdd, 1, true, rows)).await;
    assert_eq!((&verdicts[..2], code(&verdicts[2])), (&[written(), written()][..], "INVALID_OPTIONS"));
    let of = |member: &Json| json!([member["DATA_PROCESSING_OPTIONS"], member["DATA_PROCESSING_OPTIONS_STATE"]]);
    let mut held: Vec<Json> = members(&*sandbox).iter().map(of).collect();
    held.sort_by_key(Json::to_string);
    assert_eq!(held, [json!([["LDU"], 1000]), json!([[], 0])]);
}

#[tokio::test]
async fn the_batches_of_an_operation_are_one_session() {
    let sandbox = stand_in(&[]).await;
    let bench = Bench::open(&sandbox.url(), FIELDS);
    let part = |operation, first: u64, last| {
        let address = |id: u64| bench.address(&person(&id.to_string(), &format!("p{id}@example.com")));
        let fields = |id: u64| {
            if operation == Operation::AudienceAdd {
                person(&id.to_string(), &format!("p{id}@example.com"))
            } else {
                Vec::new()
            }
        };
        batch(operation, first, last, (first..first + 2).map(|id| (address(id), fields(id))).collect())
    };
    for (first, last) in [(0, false), (2, false), (4, true)] {
        bench.verdicts(&part(Operation::AudienceAdd, first, last)).await;
    }
    bench.verdicts(&part(Operation::AudienceRemove, 0, false)).await;
    sandbox.set("lose_next", "1").expect("a setting");
    let again = part(Operation::AudienceRemove, 2, true);
    assert_eq!(bench.write(&again).await.expect_err("lost").class, FaultClass::Ambiguous);
    assert_eq!(bench.verdicts(&again).await, [written(), written()]);
    let mut all = sessions(&*sandbox);
    all.sort_by_key(|session| session["did"].to_string());
    let session =
        |did: &str, batches: u64, rows: u64| json!({ "did": did, "batches": batches, "rows": rows, "over": true });
    assert_eq!(all, [session("add", 3, 6), session("remove", 2, 6)], "a call that is made again has its old number");
    assert_eq!(ids(&*sandbox), ["4", "5"]);
}

#[tokio::test]
async fn an_invalid_row_is_found_by_cutting_and_what_is_sent_again_begins_another_session() {
    let sandbox = stand_in(&[("reject", "EXTERN_ID=2")]).await;
    let bench = Bench::open(&sandbox.url(), FIELDS);
    let [one, two] = [("1", "a@example.com"), ("2", "b@example.com")];
    let fault = bench.write(&additions(&[one, two])).await.expect_err("one of two");
    assert_eq!(fault.class, FaultClass::Split);
    let verdicts = bench
        .verdicts(&batch(Operation::AudienceAdd, 10, false, vec![(Address::default(), person(one.0, one.1))]))
        .await;
    assert_eq!(verdicts, [written()]);
    let verdicts = bench
        .verdicts(&batch(Operation::AudienceAdd, 11, true, vec![(Address::default(), person(two.0, two.1))]))
        .await;
    assert_eq!(code(&verdicts[0]), "INVALID_ENTRY");
    assert_eq!(ids(&*sandbox), ["1"]);
    let batches: u64 = sessions(&*sandbox).iter().filter_map(|session| session["batches"].as_u64()).sum();
    assert_eq!((sessions(&*sandbox).len(), batches), (2, 3));
    sandbox.set("reject", "EXTERN_ID=2,EXTERN_ID=1").expect("a setting");
    let verdicts = bench.verdicts(&additions(&[one, two])).await;
    assert_eq!(
        (code(&verdicts[0]), code(&verdicts[1])),
        ("INVALID_ENTRY", "INVALID_ENTRY"),
        "all are: nobody has to be found"
    );
}

#[tokio::test]
async fn throttling_errors_and_lost_answers_are_passed_on() {
    let sandbox = stand_in(&[("throttle_next", "1"), ("retry_after", "9")]).await;
    let rows = additions(&[("1", "a@example.com")]);
    let open = || Bench::open(&sandbox.url(), FIELDS);
    let fault = open().write(&rows).await.expect_err("throttled");
    assert_eq!((fault.class, fault.retry_after.map(|wait| wait.as_secs())), (FaultClass::Throttled, Some(9)));
    sandbox.set("fail_next", "1").expect("a setting");
    assert_eq!(open().write(&rows).await.expect_err("code 2").class, FaultClass::Ambiguous);
    assert!(members(&*sandbox).is_empty());
    sandbox.set("lose_next", "1").expect("a setting");
    assert_eq!(open().write(&rows).await.expect_err("lost").class, FaultClass::Ambiguous);
    assert_eq!(ids(&*sandbox), ["1"]);
    sandbox.set("token", "another").expect("a setting");
    assert_eq!(open().write(&rows).await.expect_err("expired").class, FaultClass::Auth);
    for (key, value) in [("token", TOKEN), ("limit", "1/1h")] {
        sandbox.set(key, value).expect("a setting");
    }
    let bench = open();
    assert_eq!(bench.verdicts(&rows).await, [written()]);
    let fault = bench.write(&rows).await.expect_err("the gate is closed, and no call is made");
    let wait = fault.retry_after.expect("a wait").as_secs();
    assert!(fault.class == FaultClass::Throttled && (3590..=3600).contains(&wait), "{fault} {wait}");
}

#[tokio::test]
async fn the_stand_in_refuses_a_share_of_the_rows_and_lets_its_token_expire() {
    let sandbox = stand_in(&[("reject", "100%")]).await;
    let bench = Bench::open(&sandbox.url(), FIELDS);
    let rows = additions(&[("1", "a@example.com")]);
    assert_eq!(code(&bench.verdicts(&rows).await[0]), "INVALID_ENTRY");
    sandbox.set("reject", "").expect("a setting");
    assert_eq!(bench.verdicts(&rows).await, [written()]);
    sandbox.expire();
    assert_eq!(bench.write(&rows).await.expect_err("expired").class, FaultClass::Auth);
    let renewed = Bench::with(&sandbox.url(), "", "", FIELDS, &sandbox.token());
    assert_eq!(renewed.verdicts(&rows).await, [written()]);
}

#[tokio::test]
async fn wrong_settings_of_the_stand_in_are_refused() {
    let sandbox = stand_in(&[]).await;
    assert!(sandbox.set("fail_nxt", "1").expect_err("unknown").remedy_text().contains("fail_next"));
    for (key, value) in [("fail_next", "often"), ("reject", "gold"), ("inspect", "maybe")] {
        assert!(sandbox.set(key, value).is_err(), "{key}={value}");
    }
    for (key, _) in sandbox::kind().settings() {
        assert!(!sandbox.set(key, "\u{0}").is_err_and(|fault| fault.message.contains("no setting")), "{key}");
    }
}
