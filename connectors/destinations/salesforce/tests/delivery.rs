//! Rows on the stand-in, call by call.

use backhaul_kit::{FaultClass, Presence};
use serde_json::json;

use super::*;

#[tokio::test]
async fn an_upsert_creates_and_then_updates_the_same_record() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    let first = new(Operation::Upsert, &[&["c1", "Ada", "free"], &["c2", "Größe 🙂 \"x\"", "free"]]);
    assert_eq!(bench.verdicts(&first).await, [written(0), written(1)]);
    let again = new(Operation::Upsert, &[&["c2", "Größe 🙂 \"x\"", "pro"], &["c1", "Ada", ""]]);
    assert_eq!(bench.verdicts(&again).await, [written(1), written(0)]);
    let expected = json!({
        "c1": { "Ext_Id__c": "c1", "Name": "Ada" },
        "c2": { "Ext_Id__c": "c2", "Name": "Größe 🙂 \"x\"", "Plan__c": "pro" },
    });
    assert_eq!(accounts(&*sandbox), expected);
}

#[tokio::test]
async fn values_of_every_kind_arrive_and_null_empties_and_skip_leaves() {
    let sandbox = stand_in(&[]).await;
    let fields = ["Ext_Id__c", "Name", "Score__c", "Active__c", "Since__c", "Seen__c", "Plan__c"];
    let bench = open_with(&sandbox.url(), UPSERT, &fields);
    let set = |values: Vec<FieldValue>| {
        let rows = vec![row(10, Address::default(), values)];
        Batch { operation: Operation::Upsert, seq: 0, last: false, rows }
    };
    let typed = [
        Value::Int(7),
        Value::Text("Ada".into()),
        Value::Decimal("12.50".into()),
        Value::Bool(true),
        Value::Date(20_000),
        Value::Timestamp(1_700_000_000_123_456),
        Value::Array(vec![Value::Text("a".into()), Value::Text("b".into())]),
    ];
    assert_eq!(bench.verdicts(&set(typed.map(FieldValue::Set).to_vec())).await, [written(0)]);
    let expected = json!({ "7": {
        "Ext_Id__c": "7", "Name": "Ada", "Score__c": 12.5, "Active__c": true, "Since__c": "2024-10-04",
        "Seen__c": "2023-11-14T22:13:20.123Z", "Plan__c": "a;b"
    } });
    assert_eq!(accounts(&*sandbox), expected);
    let mut emptied = vec![value("7"), FieldValue::Skip, FieldValue::Clear, FieldValue::Set(Value::Null)];
    emptied.extend([FieldValue::Skip, FieldValue::Skip, value("")]);
    assert_eq!(bench.verdicts(&set(emptied)).await, [written(0)]);
    let left =
        json!({ "Ext_Id__c": "7", "Name": "Ada", "Since__c": "2024-10-04", "Seen__c": "2023-11-14T22:13:20.123Z" });
    assert_eq!(accounts(&*sandbox)["7"], left);
}

#[tokio::test]
async fn refused_rows_have_salesforces_words_and_the_others_are_written() {
    let sandbox = stand_in(&[("reject", "Name=Eve")]).await;
    let bench = open(&sandbox.url(), UPSERT);
    let long = "x".repeat(256);
    let rows = new(
        Operation::Upsert,
        &[&["c1", "Eve", ""], &["c2", "Ada", ""], &["c3", "", ""], &["c4", "Bob", &long], &["", "Bob", ""]],
    );
    let verdicts = bench.verdicts(&rows).await;
    let Verdict::Rejected(reason) = &verdicts[0] else { panic!("accepted") };
    assert_eq!(
        (reason.code.as_str(), reason.text.as_str()),
        ("FIELD_CUSTOM_VALIDATION_EXCEPTION", "Eve is not welcome")
    );
    assert_eq!(reason.field.as_deref(), Some("Name"));
    assert_eq!(verdicts[1], written(0));
    assert_eq!(
        [2, 3, 4].map(|at| code(&verdicts[at])),
        ["REQUIRED_FIELD_MISSING", "STRING_TOO_LONG", "NO_MATCH_VALUE"]
    );
    // A row that somebody else was at comes again.
    set(&*sandbox, "lock_next", "1");
    let locked = new(Operation::Upsert, &[&["c1", "Ada", ""], &["c2", "Ada", ""]]);
    assert_eq!(bench.verdicts(&locked).await, [Verdict::Retry(None), written(0)]);
}

#[tokio::test]
async fn a_share_of_the_rows_can_be_refused() {
    let sandbox = stand_in(&[("reject", "20%")]).await;
    let names: Vec<String> = (0..200).map(|n| format!("c{n}")).collect();
    let fields: Vec<[&str; 3]> = names.iter().map(|name| [name.as_str(), "Ada", ""]).collect();
    let rows: Vec<&[&str]> = fields.iter().map(<[&str; 3]>::as_slice).collect();
    let verdicts = open(&sandbox.url(), UPSERT).verdicts(&new(Operation::Upsert, &rows)).await;
    let refused = verdicts.iter().filter(|verdict| matches!(verdict, Verdict::Rejected(_))).count();
    assert!((20..60).contains(&refused), "{refused}");
}

#[tokio::test]
async fn a_value_that_cannot_be_read_has_the_call_cut_until_its_row_is_alone() {
    let sandbox = stand_in(&[]).await;
    let bench = open_with(&sandbox.url(), UPSERT, &["Ext_Id__c", "Name", "Since__c"]);
    let rows: [&[&str]; 2] = [&["c1", "Ada", "2026-11-26"], &["c2", "Eve", "26.11.2026"]];
    assert_eq!(bench.write(&new(Operation::Upsert, &rows)).await.expect_err("refused").class, FaultClass::Split);
    assert_eq!(code(&bench.verdicts(&new(Operation::Upsert, &rows[1..])).await[0]), "JSON_PARSER_ERROR");
    assert_eq!(bench.verdicts(&new(Operation::Upsert, &rows[..1])).await, [written(0)]);
}

#[tokio::test]
async fn update_changes_what_it_finds_and_makes_nothing() {
    let sandbox = stand_in(&[("page", "1")]).await;
    let made: [&[&str]; 3] = [&["it's \\ 'x'", "Ada", "free"], &["c2", "Bob", "free"], &["C3", "Cem", "free"]];
    open(&sandbox.url(), UPSERT).verdicts(&new(Operation::Upsert, &made)).await;
    let bench = open(&sandbox.url(), UPDATE);
    let calls = sandbox.calls();
    let rows = new(Operation::Update, &[&["c9", "Eve", "pro"], &["it's \\ 'x'", "Ada", "pro"], &["c3", "Cem", "pro"]]);
    let verdicts = bench.verdicts(&rows).await;
    assert_eq!(code(&verdicts[0]), "NOT_FOUND");
    // Salesforce pays no regard to case.
    assert_eq!(verdicts[1..], [written(0), written(2)]);
    // A token, a query of two pages, and the write.
    assert_eq!(sandbox.calls() - calls, 4);
    assert_eq!(accounts(&*sandbox)["it's \\ 'x'"]["Plan__c"], "pro");
    assert_eq!(accounts(&*sandbox)["c2"]["Plan__c"], "free");
    let by_id = open_with(&sandbox.url(), "mode = \"update\"\nmatch = \"Id\"", &["Id", "Plan__c"]);
    let rows = new(Operation::Update, &[&[&id(1), "max"], &["../x", "max"], &[&id(77), "max"]]);
    let verdicts = by_id.verdicts(&rows).await;
    assert_eq!(verdicts[0], written(1));
    assert_eq!([code(&verdicts[1]), code(&verdicts[2])], ["MALFORMED_ID"; 2]);
    assert_eq!(accounts(&*sandbox)["c2"]["Plan__c"], "max");
}

#[tokio::test]
async fn several_records_of_one_value_are_not_guessed_at() {
    let sandbox = stand_in(&[("insert", "Account:Ext_Id__c=twin"), ("fields", "Account.Code__c:string")]).await;
    for code in ["A", "a"] {
        set(&*sandbox, "insert", &format!("Account:Name=x,Code__c={code}"));
    }
    let bench = open_with(&sandbox.url(), "mode = \"update\"\nmatch = \"Code__c\"", &["Code__c", "Name"]);
    assert_eq!(code(&bench.verdicts(&new(Operation::Update, &[&["a", "y"]])).await[0]), "AMBIGUOUS_MATCH");
}

#[tokio::test]
async fn a_numeric_external_id_is_looked_for_as_a_number() {
    let sandbox = stand_in(&[("insert", "Account:Name=x")]).await;
    let fields = &["Number__c", "Name"];
    let row = |name: &str| {
        let values = vec![FieldValue::Set(Value::Int(7)), value(name)];
        Batch { operation: Operation::Upsert, seq: 0, last: false, rows: vec![row(10, Address::default(), values)] }
    };
    let upsert = open_with(&sandbox.url(), "match = \"Number__c\"\nremoved = \"delete\"", fields);
    assert_eq!(upsert.verdicts(&row("Ada")).await, [written(1)]);
    let update = open_with(&sandbox.url(), "mode = \"update\"\nmatch = \"Number__c\"", fields);
    update.destination.describe().await.expect("a description");
    assert_eq!(update.verdicts(&Batch { operation: Operation::Update, ..row("Eve") }).await, [written(1)]);
    upsert.destination.describe().await.expect("a description");
    set(&*sandbox, "rights", "create,edit,delete");
    assert_eq!(upsert.verdicts(&removals(Operation::Delete, &[by_value("7")])).await, [written(1)]);
}

#[tokio::test]
async fn a_moved_row_keeps_its_record_however_it_is_found() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    bench.verdicts(&new(Operation::Upsert, &[&["a", "Ada", "free"], &["b", "Bob", "free"]])).await;
    let moved = |address| batch(Operation::Move, &[(address, &["a2", "Ada", "pro"])]);
    assert_eq!(bench.verdicts(&moved(by_id(&id(0)))).await, [written(0)]);
    // Sent again without its id, it is found under its new value.
    assert_eq!(bench.verdicts(&moved(by_value("a"))).await, [written(0)]);
    let other = batch(Operation::Move, &[(by_value("b"), &["b2", "Bob", "pro"])]);
    assert_eq!(bench.verdicts(&other).await, [written(1)]);
    // What is nowhere is made; what is mixed is cut first.
    let lost = batch(Operation::Move, &[(by_value("x"), &["x2", "Eve", "pro"])]);
    assert_eq!(bench.verdicts(&lost).await, [written(2)]);
    let mixed =
        batch(Operation::Move, &[(by_value("b2"), &["b3", "Bob", "pro"]), (by_value("y"), &["y2", "Eve", "pro"])]);
    assert_eq!(bench.write(&mixed).await.expect_err("mixed").class, FaultClass::Split);
    let keys: Vec<String> = accounts(&*sandbox).as_object().expect("accounts").keys().cloned().collect();
    assert_eq!(keys, ["a2", "b2", "x2"]);
}

#[tokio::test]
async fn who_left_is_deleted_or_emptied_and_looked_for_where_the_id_is_not_known() {
    let sandbox = stand_in(&[("rights", "create,edit,delete")]).await;
    let bench = open(&sandbox.url(), &format!("{UPSERT}\nremoved = \"clear\""));
    bench.verdicts(&new(Operation::Upsert, &[&["c1", "Ada", "pro"], &["c2", "Bob", "pro"]])).await;
    let fields = ["Ext_Id__c", "Plan__c"];
    let clear = open_with(&sandbox.url(), &format!("{UPSERT}\nremoved = \"clear\""), &fields);
    assert_eq!(
        clear.verdicts(&removals(Operation::Clear, &[by_id(&id(0)), by_value("c2")])).await,
        [written(0), written(1)]
    );
    assert_eq!(accounts(&*sandbox)["c1"], json!({ "Ext_Id__c": "c1", "Name": "Ada" }));
    let delete = open(&sandbox.url(), &format!("{UPSERT}\nremoved = \"delete\""));
    let gone = removals(Operation::Delete, &[by_id(&id(0)), by_value("c2"), by_value("c9"), Address::default()]);
    let verdicts = delete.verdicts(&gone).await;
    assert_eq!(verdicts[..3], [written(0), written(1), Verdict::Unchanged]);
    assert_eq!(code(&verdicts[3]), "NO_MATCH_VALUE");
    assert_eq!(accounts(&*sandbox), json!({}));
    // A repetition finds nothing left to do.
    let again = removals(Operation::Delete, &[by_id(&id(0)), by_id(&id(1))]);
    assert_eq!(delete.verdicts(&again).await, [Verdict::Unchanged, Verdict::Unchanged]);
    assert_eq!(clear.verdicts(&removals(Operation::Clear, &[by_id(&id(0))])).await, [Verdict::Unchanged]);
}

#[tokio::test]
async fn a_creation_is_not_repeated_and_can_be_asked_after() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), CREATE);
    set(&*sandbox, "lose_next", "1");
    let rows = new(Operation::Create, &[&["c1", "Ada", ""]]);
    assert_eq!(bench.write(&rows).await.expect_err("lost").class, FaultClass::Ambiguous);
    let asked = new(Operation::Create, &[&["c1", "Ada", ""], &["c2", "Bob", ""]]);
    let found = bench.destination.find_written(&run(), &asked).await.expect("an answer");
    assert_eq!(found, [Presence::There { remote_id: Some(id(0)) }, Presence::Absent]);
    assert_eq!(code(&bench.verdicts(&rows).await[0]), "DUPLICATE_VALUE");
    let changed = batch(Operation::Create, &[(by_id(&id(0)), &["c1", "Ada", "pro"])]);
    assert_eq!(code(&bench.verdicts(&changed).await[0]), "ALREADY_CREATED");
}

#[tokio::test]
async fn lost_answers_faults_and_an_expired_session() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    let rows = new(Operation::Upsert, &[&["c1", "Ada", "free"]]);
    for (setting, class) in [
        ("fail_next", FaultClass::Ambiguous),
        ("lose_next", FaultClass::Ambiguous),
        ("throttle_next", FaultClass::Throttled),
    ] {
        set(&*sandbox, setting, "1");
        assert_eq!(bench.write(&rows).await.expect_err("a fault").class, class, "{setting}");
    }
    // A new session is asked for once, by itself.
    set(&*sandbox, "expire_tokens", "");
    assert_eq!(bench.verdicts(&rows).await, [written(0)]);
    set(&*sandbox, "expire_tokens", "");
    set(&*sandbox, "token", "another");
    assert_eq!(bench.write(&rows).await.expect_err("no session").class, FaultClass::Auth);
}

#[tokio::test]
async fn the_days_calls_end_with_the_share_that_is_ours() {
    let sandbox = stand_in(&[("daily_limit", "100"), ("used", "43")]).await;
    let half = text(&sandbox.url(), UPSERT).replace("timeout", "quota = \"50%\"\ntimeout");
    let bench = open_text(&half, FIELDS, SECRET);
    let rows = new(Operation::Upsert, &[&["c1", "Ada", "free"]]);
    for _ in 0..2 {
        assert_eq!(bench.verdicts(&rows).await, [written(0)]);
    }
    let calls = sandbox.calls();
    let fault = bench.write(&rows).await.expect_err("our half is used up");
    assert_eq!((fault.class, sandbox.calls()), (FaultClass::Throttled, calls));
    assert!(fault.retry_after.is_some_and(|wait| wait.as_secs() > 3600), "the run is to end");
    // Somebody else has used up the rest.
    let all = open(&sandbox.url(), UPSERT);
    set(&*sandbox, "used", "100");
    let fault = all.write(&rows).await.expect_err("all is used up");
    assert_eq!(fault.class, FaultClass::Throttled);
    assert!(fault.retry_after.is_some_and(|wait| wait.as_secs() > 3600));
}

#[tokio::test]
async fn previews_show_the_calls_and_no_secret() {
    let bench = open("http://127.0.0.1:9", UPSERT);
    let preview = |batch: &Batch| bench.destination.preview(&run(), batch).expect("requests");
    let shown = preview(&new(Operation::Upsert, &[&["c1", "Ada", ""]]));
    assert_eq!(shown[0].target, "http://127.0.0.1:9/services/data/v67.0/composite/sobjects/Account/Ext_Id__c");
    let body = r#"{"allOrNone":false,"records":[{"attributes":{"type":"Account"},"Ext_Id__c":"c1","Name":"Ada","Plan__c":null}]}"#;
    assert_eq!(shown[0].body, body);
    let shown = preview(&removals(Operation::Delete, &[by_id(&id(1)), by_id(&id(2))]));
    let ids = format!("/composite/sobjects?ids={}%2C{}&allOrNone=false", id(1), id(2));
    assert!(shown[0].target.ends_with(&ids), "{}", shown[0].target);
    let shown = preview(&batch(Operation::Move, &[(by_value("it's"), &["c2", "Ada", ""])]));
    assert!(
        shown[0].target.contains("query?q=SELECT+Id%2C+Ext_Id__c+FROM+Account+WHERE+Ext_Id__c+IN+"),
        "{}",
        shown[0].target
    );
    assert!(!format!("{shown:?}").contains(SECRET));
}
