//! Batches on the stand-in.

use backhaul_kit::{FaultClass, FieldValue, Mode, Operation, Removed, Value, Verdict, find};

use super::*;

/// A record of the stand-in.
fn record(sandbox: &dyn Sandbox, object: &str, id: &str) -> serde_json::Value {
    sandbox.records()[object][id].clone()
}

#[tokio::test]
async fn an_upsert_creates_and_then_updates_the_same_record() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    let first = bench.verdicts(&writes(Operation::Upsert, &[&["c1", "ada@example.com", "Ada"]])).await;
    assert_eq!(first, [written("1001")]);
    let second =
        bench.verdicts(&writes(Operation::Upsert, &[&["c1", "ada@example.com", "Augusta"], &["c2", "", ""]])).await;
    assert_eq!(second, [written("1001"), written("1002")]);
    let expected = serde_json::json!({ "customer_id": "c1", "email": "ada@example.com", "firstname": "Augusta" });
    assert_eq!(record(&*sandbox, "contacts", "1001"), expected);
    assert_eq!(record(&*sandbox, "contacts", "1002"), serde_json::json!({ "customer_id": "c2" }));
}

#[tokio::test]
async fn values_of_every_type_arrive_as_hubspot_keeps_them() {
    let sandbox = stand_in(&[(
        "properties",
        "contacts.born:date,contacts.seen:datetime,contacts.vip:bool,contacts.score:number,contacts.likes:enumeration:multiple:tea|rum",
    )])
    .await;
    let wanted = Wanted { fields: &["customer_id", "born", "seen", "vip", "score", "likes"], ..CONTACTS };
    let bench = open(&sandbox.url(), &wanted);
    let likes = Value::Array(vec![Value::Text("tea".into()), Value::Text("rum".into())]);
    let values = [
        Value::Int(7),
        Value::Date(19_000),
        Value::Timestamp(1_700_000_000_123_456),
        Value::Bool(true),
        Value::Decimal("12.50".into()),
        likes,
    ];
    let rows = vec![(Address::default(), values.into_iter().map(FieldValue::Set).collect())];
    assert_eq!(bench.verdicts(&batch(Operation::Upsert, rows)).await, [written("1001")]);
    assert_eq!(
        record(&*sandbox, "contacts", "1001"),
        serde_json::json!({
            "customer_id": "7", "born": "2022-01-08", "seen": "2023-11-14T22:13:20.123Z",
            "vip": "true", "score": "12.50", "likes": "tea;rum",
        })
    );
    let rows = vec![(
        Address::default(),
        vec![
            FieldValue::Set(Value::Int(7)),
            FieldValue::Clear,
            FieldValue::Set(Value::Null),
            FieldValue::Skip,
            FieldValue::Skip,
            FieldValue::Set(Value::Array(Vec::new())),
        ],
    )];
    bench.verdicts(&batch(Operation::Upsert, rows)).await;
    assert_eq!(
        record(&*sandbox, "contacts", "1001"),
        serde_json::json!({ "customer_id": "7", "vip": "true", "score": "12.50" })
    );
}

#[tokio::test]
async fn a_bad_row_fails_alone_with_the_vendors_words() {
    let sandbox = stand_in(&[("reject", "INVALID_NAME:firstname=Nobody")]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    let rows: [&[&str]; 4] =
        [&["c1", "ada@example.com", "Ada"], &["c2", "not an address", ""], &["c3", "", "Nobody"], &["c4", "", "Eve"]];
    let verdicts = bench.verdicts(&writes(Operation::Upsert, &rows)).await;
    assert_eq!((&verdicts[0], &verdicts[3]), (&written("1001"), &written("1002")));
    assert_eq!(rejection(&verdicts[1]), ("INVALID_EMAIL", Some("email")));
    assert_eq!(rejection(&verdicts[2]), ("INVALID_NAME", Some("firstname")));
    let Verdict::Rejected(reason) = &verdicts[1] else { panic!("a rejection") };
    assert!(reason.text.contains("is invalid"), "{}", reason.text);
    assert_eq!(sandbox.calls(), 1);
}

#[tokio::test]
async fn a_row_without_a_match_value_is_refused_before_the_call() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    let mut rows = writes(Operation::Upsert, &[&["", "ada@example.com", "Ada"], &["c2", "", ""]]);
    assert_eq!(rejection(&bench.verdicts(&rows).await[0]).0, "NO_MATCH_VALUE");
    rows.rows.truncate(1);
    assert_eq!(rejection(&bench.verdicts(&rows).await[0]).0, "NO_MATCH_VALUE");
    assert_eq!(sandbox.calls(), 1, "a batch without any input makes no call");
}

#[tokio::test]
async fn an_empty_batch_makes_no_call() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    for operation in
        [Operation::Upsert, Operation::Update, Operation::Create, Operation::Archive, Operation::Clear, Operation::Move]
    {
        assert!(bench.verdicts(&removals(operation, Vec::new())).await.is_empty());
    }
    assert_eq!(sandbox.calls(), 0);
}

#[tokio::test]
async fn an_update_needs_the_record_and_a_create_needs_its_absence() {
    let sandbox = stand_in(&[]).await;
    let create = open(&sandbox.url(), &Wanted { mode: Mode::Create, ..CONTACTS });
    let rows: [&[&str]; 1] = [&["c1", "ada@example.com", "Ada"]];
    assert_eq!(create.verdicts(&writes(Operation::Create, &rows)).await, [written("1001")]);
    assert_eq!(rejection(&create.verdicts(&writes(Operation::Create, &rows)).await[0]).0, "CONFLICT");
    let update = open(&sandbox.url(), &Wanted { mode: Mode::Update, ..CONTACTS });
    let rows: [&[&str]; 2] = [&["c1", "ada@example.com", "Augusta"], &["c9", "", ""]];
    let verdicts = update.verdicts(&writes(Operation::Update, &rows)).await;
    assert_eq!(verdicts[0], written("1001"));
    assert_eq!(rejection(&verdicts[1]).0, "OBJECT_NOT_FOUND");
    assert_eq!(record(&*sandbox, "contacts", "1001")["firstname"], "Augusta");
}

#[tokio::test]
async fn a_row_whose_record_was_created_before_makes_no_second_one() {
    let sandbox = stand_in(&[]).await;
    let create = open(&sandbox.url(), &Wanted { mode: Mode::Create, ..CONTACTS });
    let mut changed = writes(Operation::Create, &[&["c1", "ada@example.com", "Ada"], &["c2", "bo@example.com", "Bo"]]);
    changed.rows[0].address.remote_id = Some("1001".into());
    let verdicts = create.verdicts(&changed).await;
    assert_eq!(rejection(&verdicts[0]).0, "ALREADY_CREATED");
    assert_eq!(verdicts[1], written("1001"), "the stand-in's first record");
    assert_eq!(create.verdicts(&changed).await[0], verdicts[0]);
    assert_eq!(sandbox.calls(), 2);
}

#[tokio::test]
async fn an_update_may_match_by_hubspots_own_id() {
    let sandbox = stand_in(&[]).await;
    open(&sandbox.url(), &CONTACTS).verdicts(&writes(Operation::Upsert, &[&["c1", "", "Ada"]])).await;
    let wanted = Wanted {
        mode: Mode::Update,
        match_on: Some("hs_object_id"),
        fields: &["hs_object_id", "firstname"],
        ..CONTACTS
    };
    let bench = open(&sandbox.url(), &wanted);
    assert_eq!(bench.verdicts(&writes(Operation::Update, &[&["1001", "Augusta"]])).await, [written("1001")]);
    assert_eq!(record(&*sandbox, "contacts", "1001")["firstname"], "Augusta");
}

#[tokio::test]
async fn records_are_archived_by_id_or_found_by_their_match_value() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    bench.verdicts(&writes(Operation::Upsert, &[&["c1", "", ""], &["c2", "", ""], &["c3", "", ""]])).await;
    let addresses = vec![by_id("1001"), by_value("c2"), by_value("c9"), Address::default()];
    let verdicts = bench.verdicts(&removals(Operation::Archive, addresses)).await;
    assert_eq!(verdicts[..3], [written("1001"), written("1002"), Verdict::Unchanged]);
    assert_eq!(rejection(&verdicts[3]).0, "NO_ADDRESS");
    let left: Vec<String> = sandbox.records()["contacts"].as_object().expect("records").keys().cloned().collect();
    assert_eq!(left, ["1003"]);
    let again = bench.verdicts(&removals(Operation::Archive, vec![by_id("1001")])).await;
    assert_eq!(again, [written("1001")], "archiving may be repeated");
}

#[tokio::test]
async fn clearing_empties_what_was_written_and_keeps_the_match_value() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &Wanted { removed: Removed::Clear, ..CONTACTS });
    bench.verdicts(&writes(Operation::Upsert, &[&["c1", "ada@example.com", "Ada"], &["c2", "", "Eve"]])).await;
    let addresses = vec![by_id("1001"), by_value("c2"), by_id("99")];
    let verdicts = bench.verdicts(&removals(Operation::Clear, addresses)).await;
    assert_eq!(verdicts, [written("1001"), written("1002"), Verdict::Unchanged]);
    assert_eq!(record(&*sandbox, "contacts", "1001"), serde_json::json!({ "customer_id": "c1" }));
}

#[tokio::test]
async fn a_move_changes_the_match_value_and_may_be_repeated() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    bench.verdicts(&writes(Operation::Upsert, &[&["c1", "", "Ada"], &["c2", "", "Eve"]])).await;
    let fields = |id: &str| vec![FieldValue::Set(Value::Text(id.to_owned())), FieldValue::Skip, FieldValue::Skip];
    let moves = batch(Operation::Move, vec![(by_id("1001"), fields("d1")), (by_value("c2"), fields("d2"))]);
    for _ in 0..2 {
        assert_eq!(bench.verdicts(&moves).await, [written("1001"), written("1002")]);
        assert_eq!(record(&*sandbox, "contacts", "1001")["customer_id"], "d1");
        assert_eq!(record(&*sandbox, "contacts", "1002")["customer_id"], "d2");
    }
}

#[tokio::test]
async fn a_move_of_a_record_that_is_nowhere_makes_it_in_a_call_of_its_own() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    bench.verdicts(&writes(Operation::Upsert, &[&["c1", "", "Ada"]])).await;
    let fields = |id: &str| vec![FieldValue::Set(Value::Text(id.to_owned())), FieldValue::Skip, FieldValue::Skip];
    let mixed = batch(Operation::Move, vec![(by_value("c1"), fields("d1")), (by_value("c9"), fields("d9"))]);
    assert_eq!(bench.write(&mixed).await.expect_err("two kinds of call").class, FaultClass::Split);
    assert_eq!(record(&*sandbox, "contacts", "1001")["customer_id"], "c1", "nothing was applied");
    let alone =
        |place: usize| batch(Operation::Move, vec![(mixed.rows[place].address.clone(), fields(["d1", "d9"][place]))]);
    assert_eq!(bench.verdicts(&alone(0)).await, [written("1001")]);
    for _ in 0..2 {
        assert_eq!(bench.verdicts(&alone(1)).await, [written("1002")]);
    }
    assert_eq!(record(&*sandbox, "contacts", "1002")["customer_id"], "d9");
}

#[tokio::test]
async fn deals_companies_and_custom_objects_are_written_too() {
    let sandbox = stand_in(&[
        ("objects", "2-7=machine"),
        ("properties", "deals.key:string:unique,companies.key:string:unique,2-7.key:string:unique"),
    ])
    .await;
    for object in ["deals", "companies", "2-7", "p4242424_machine"] {
        let bench = open(&sandbox.url(), &Wanted { object, match_on: Some("key"), fields: &["key"], ..CONTACTS });
        assert_eq!(bench.verdicts(&writes(Operation::Upsert, &[&["k"]])).await, [written("1001")], "{object}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_ambiguous_and_the_rows_may_be_there() {
    let sandbox = stand_in(&[("lose_next", "1")]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    let rows = writes(Operation::Upsert, &[&["c1", "", "Ada"]]);
    assert_eq!(bench.write(&rows).await.expect_err("no answer").class, FaultClass::Ambiguous);
    assert_eq!(record(&*sandbox, "contacts", "1001")["firstname"], "Ada");
    assert_eq!(bench.verdicts(&rows).await, [written("1001")], "an upsert may be repeated");
}

#[tokio::test]
async fn a_server_error_is_ambiguous_and_throttling_is_not() {
    let sandbox = stand_in(&[("fail_next", "1"), ("retry_after", "7")]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    let rows = writes(Operation::Upsert, &[&["c1", "", "Ada"]]);
    assert_eq!(bench.write(&rows).await.expect_err("500").class, FaultClass::Ambiguous);
    sandbox.set("throttle_next", "1").expect("a setting");
    let fault = bench.write(&rows).await.expect_err("429");
    assert_eq!((fault.class, fault.retry_after), (FaultClass::Throttled, Some(std::time::Duration::from_secs(7))));
    assert!(fault.message.contains("SECONDLY"), "{}", fault.message);
    assert_eq!(sandbox.records()["contacts"], serde_json::json!({}));
}

#[tokio::test]
async fn an_expired_token_and_missing_scopes_stop_the_run() {
    let sandbox = stand_in(&[("scopes", "oauth,crm.objects.contacts.read")]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    let rows = writes(Operation::Upsert, &[&["c1", "", ""]]);
    let fault = bench.write(&rows).await.expect_err("403");
    assert_eq!(fault.class, FaultClass::Auth);
    assert!(fault.message.contains("crm.objects.contacts.write"), "{}", fault.message);
    sandbox.set("token", "rotated").expect("a setting");
    let fault = bench.write(&rows).await.expect_err("401");
    assert_eq!(fault.class, FaultClass::Auth);
    assert!(!fault.message.contains(TOKEN) && fault.remedy_text().contains("expired"), "{fault}");
}

#[tokio::test]
async fn an_unknown_property_or_object_is_a_fault_of_the_configuration() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &Wanted { fields: &["customer_id", "nickname"], ..CONTACTS });
    let fault = bench.write(&writes(Operation::Upsert, &[&["c1", "x"], &["c2", "y"]])).await.expect_err("refused");
    assert_eq!(fault.class, FaultClass::Config);
    assert!(fault.message.contains("nickname") && fault.message.contains("PROPERTY_DOESNT_EXIST"), "{fault}");
    let bench = open(&sandbox.url(), &Wanted { object: "2-99", ..CONTACTS });
    let fault = bench.write(&writes(Operation::Upsert, &[&["c1", "", ""]])).await.expect_err("refused");
    assert_eq!(fault.class, FaultClass::Config);
    assert!(fault.message.contains("2-99"), "{fault}");
}

#[tokio::test]
async fn a_property_that_no_row_can_write_is_a_fault_of_the_configuration() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &Wanted { fields: &["customer_id", "createdate"], ..CONTACTS });
    let rows: [&[&str]; 2] = [&["c1", "2026-01-01T00:00:00Z"], &["c2", "2026-01-01T00:00:00Z"]];
    let fault = bench.write(&writes(Operation::Upsert, &rows)).await.expect_err("refused");
    assert_eq!(fault.class, FaultClass::Config);
    assert!(fault.message.contains("createdate"), "{fault}");
}

#[tokio::test]
async fn a_batch_beyond_the_cap_is_split_and_never_sent() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    let rows: Vec<&[&str]> =
        std::iter::repeat_n(["c1", "", ""].as_slice(), bench.prepared.facts(Operation::Upsert).max_rows + 1).collect();
    assert_eq!(bench.write(&writes(Operation::Upsert, &rows)).await.expect_err("too large").class, FaultClass::Split);
    let twice = bench.write(&writes(Operation::Upsert, &rows[..2])).await.expect_err("the same id twice");
    assert_eq!(twice.class, FaultClass::Split);
    assert_eq!(sandbox.calls(), 1);
}

#[tokio::test]
async fn a_body_that_comes_slowly_is_read_to_its_end() {
    let sandbox = stand_in(&[("slow_body", "20"), ("latency", "5")]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    assert_eq!(bench.verdicts(&writes(Operation::Upsert, &[&["c1", "", ""]])).await, [written("1001")]);
}

#[tokio::test]
async fn the_preview_is_the_request_and_hides_the_token() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &CONTACTS);
    let preview = |batch: &Batch| find::preview(&*bench.destination, &run(), batch).expect("a preview");
    let requests = preview(&writes(Operation::Upsert, &[&["c1", "ada@example.com", "Ada"]]));
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].method, "POST");
    assert_eq!(requests[0].target, format!("{}/crm/v3/objects/contacts/batch/upsert", sandbox.url()));
    assert_eq!(
        requests[0].body,
        r#"{"inputs":[{"id":"c1","idProperty":"customer_id","objectWriteTraceId":"op-10","properties":{"email":"ada@example.com","firstname":"Ada"}}]}"#
    );
    assert!(!format!("{requests:?}").contains(TOKEN));
    // What finds a record is written as any value is: times without what is finer than milliseconds.
    let fields = vec![FieldValue::Set(Value::Timestamp(1_500)), FieldValue::Skip, FieldValue::Skip];
    let requests = preview(&batch(Operation::Upsert, vec![(Address::default(), fields)]));
    assert!(requests[0].body.contains(r#""id":"1970-01-01T00:00:00.001Z","#), "{}", requests[0].body);
    let requests = preview(&removals(Operation::Archive, vec![by_id("51"), by_value("c2")]));
    let targets: Vec<&str> = requests.iter().filter_map(|request| request.target.rsplit('/').next()).collect();
    assert_eq!(targets, ["read", "archive"]);
    assert_eq!(requests[1].body, r#"{"inputs":[{"id":"51"}]}"#);
    assert_eq!(sandbox.calls(), 0);
}
