//! Rows on the stand-in.

use backhaul_kit::FaultClass;
use backhaul_kit::destination::Lookup;
use serde_json::json;

use super::*;

const ANN: [&str; 4] = ["A1", "Ann", "ann@example.com", "free"];
const EVE: [&str; 4] = ["B2", "Eve 🙂", "eve@example.com", "pro"];

#[tokio::test]
async fn users_are_made_changed_moved_and_deleted() {
    let sandbox = stand_in(&[]).await;
    let bench = users(&*sandbox, "removed = \"delete\"");
    let made = bench.verdicts(Operation::Upsert, vec![new(1, &ANN), new(2, &EVE)]).await;
    assert_eq!(made, [written(1), written(2)]);
    // Made again, changed: the same users.
    let pro = ["A1", "Ann", "ann@example.com", "pro"];
    assert_eq!(bench.verdicts(Operation::Upsert, vec![new(1, &pro), new(2, &EVE)]).await, [written(1), written(2)]);
    let user = |external_id: &str, name: &str, email: &str| json!({ "external_id": external_id, "name": name, "email": email, "user_fields": { "plan": "pro" } });
    let (ann, eve) = (user("A1", "Ann", "ann@example.com"), user("B2", "Eve 🙂", "eve@example.com"));
    assert_eq!(sandbox.records()["users"], json!({ id(1): ann, id(2): eve }));
    // By the id; by the old external id; by neither, which makes a new one.
    let rows = vec![
        moved(1, Address { remote_id: Some(id(1)), ..by_value("A1") }, &["A9", "Ann", "ann@example.com", "pro"]),
        moved(2, by_value("b2"), &["B9", "Eve 🙂", "eve@example.com", "pro"]),
    ];
    assert_eq!(bench.verdicts(Operation::Move, rows).await, [written(1), written(2)]);
    let third = moved(3, by_value("C0"), &["C3", "Zoe", "zoe@example.com", "pro"]);
    assert_eq!(bench.verdicts(Operation::Move, vec![third.clone()]).await, [written(3)]);
    assert_eq!(bench.verdicts(Operation::Move, vec![third]).await, [written(3)], "and is found by its new one");
    let mixed = vec![
        moved(4, by_id(&id(1)), &["A9", "Ann", "ann@example.com", "pro"]),
        moved(5, by_value("D0"), &["D4", "Kim", "kim@example.com", "pro"]),
    ];
    let fault = bench.write(Operation::Move, mixed).await.expect_err("two kinds of call");
    assert_eq!(fault.class, FaultClass::Split);
    let gone = vec![removed(1, by_id(&id(1))), removed(2, by_value("b9")), removed(3, by_value("nobody"))];
    assert_eq!(bench.verdicts(Operation::Delete, gone).await, [written(1), written(2), Verdict::Unchanged]);
    assert_eq!(bench.verdicts(Operation::Delete, vec![removed(1, by_id(&id(1)))]).await, [Verdict::Unchanged]);
    assert_eq!(sandbox.records()["users"].as_object().expect("users").keys().collect::<Vec<_>>(), [&id(3)]);
}

#[tokio::test]
async fn a_refused_row_is_rejected_with_zendesks_words_and_what_cannot_be_sent_with_ours() {
    let sandbox = stand_in(&[("reject", "name=Mallory")]).await;
    let bench = users(&*sandbox, "");
    let rows = vec![
        new(1, &ANN),
        new(2, &["B2", "Eve", "nonsense", "pro"]),
        new(3, &["", "Nobody", "no@example.com", "pro"]),
        new(4, &["C3", "Mallory", "m@example.com", "pro"]),
    ];
    let verdicts = bench.verdicts(Operation::Upsert, rows).await;
    assert_eq!(verdicts[0], written(1));
    let codes: Vec<&str> = verdicts[1..].iter().map(code).collect();
    assert_eq!(codes, ["RecordInvalid", "NO_MATCH_VALUE", "RecordInvalid"]);
    assert!(matches!(&verdicts[1], Verdict::Rejected(reason) if reason.text.contains("not properly formatted")));
    let before = sandbox.calls();
    // What is no JSON, and what would make somebody an admin.
    for json in ["{", r#""Ann","role":"admin""#] {
        let mut row = new(5, &[]);
        row.fields = [Value::Text("D4".into()), Value::Json(json.into())].map(FieldValue::Set).into_iter().collect();
        assert_eq!(code(&bench.verdicts(Operation::Upsert, vec![row]).await[0]), "INVALID_VALUE", "{json}");
    }
    assert_eq!(sandbox.calls(), before, "nothing is left to be sent");
}

#[tokio::test]
async fn a_job_takes_its_time_and_a_forgotten_one_is_lost() {
    let sandbox = stand_in(&[("job_time", "50")]).await;
    let bench = users(&*sandbox, "");
    let rows = || batch(Operation::Upsert, vec![new(1, &ANN)]);
    let begin = async |rows: &Batch| match bench.begin(rows).await.expect("taken in") {
        Delivery::Pending(ticket) => ticket,
        other => panic!("not a job: {other:?}"),
    };
    let ticket = begin(&rows()).await;
    let first = bench.destination.poll(&run(), &ticket, &rows()).await.expect("an answer");
    assert!(matches!(first, Progress::Running { .. }), "{first:?}");
    assert_eq!(sandbox.records(), json!({}), "taken in is not done");
    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
    // Another process goes on with what was saved, and the rows come in another order.
    let saved: backhaul_kit::Ticket =
        serde_json::from_str(&serde_json::to_string(&ticket).expect("JSON")).expect("a ticket");
    let Progress::Done(outcomes) =
        users(&*sandbox, "").destination.poll(&run(), &saved, &rows()).await.expect("an answer")
    else {
        panic!("the job has ended");
    };
    assert_eq!(outcomes.into_vec(), [(1, written(1))]);
    for (setting, lost) in [("forget_next", true), ("stuck_next", false), ("fail_jobs_next", false)] {
        sandbox.set("job_time", "0").expect("a setting");
        sandbox.set(setting, "1").expect("a setting");
        let ticket = begin(&rows()).await;
        let progress = bench.destination.poll(&run(), &ticket, &rows()).await.expect("an answer");
        match (setting, progress) {
            (_, Progress::Lost) => assert!(lost, "{setting}"),
            ("stuck_next", Progress::Running { .. }) => {}
            ("fail_jobs_next", Progress::Done(outcomes)) => assert_eq!(outcomes.unknown(), 1),
            (_, other) => panic!("{setting}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn the_accounts_jobs_are_counted_and_one_too_many_waits() {
    let sandbox = stand_in(&[("max_jobs", "2"), ("job_time", "60000"), ("retry_after", "7")]).await;
    let rows = |op: u64| batch(Operation::Upsert, vec![new(op, &ANN)]);
    users(&*sandbox, "").begin(&rows(1)).await.expect("the first");
    let bench = users(&*sandbox, "");
    bench.begin(&rows(2)).await.expect("the second");
    let calls = sandbox.calls();
    let held = bench.begin(&rows(3)).await.expect_err("nothing is left, as the answer said");
    let refused = users(&*sandbox, "").begin(&rows(3)).await.expect_err("TooManyJobs");
    assert_eq!((held.class, refused.class), (FaultClass::Throttled, FaultClass::Throttled));
    assert_eq!(refused.retry_after, Some(std::time::Duration::from_secs(7)));
    assert_eq!(sandbox.calls(), calls + 1);
}

#[tokio::test]
async fn a_lost_answer_sent_again_makes_no_second_user() {
    let sandbox = stand_in(&[("lose_next", "1")]).await;
    let bench = users(&*sandbox, "");
    let fault = bench.write(Operation::Upsert, vec![new(1, &ANN)]).await.expect_err("no answer");
    assert_eq!(fault.class, FaultClass::Ambiguous);
    assert_eq!(bench.verdicts(Operation::Upsert, vec![new(1, &ANN)]).await, [written(1)]);
    sandbox.set("throttle_next", "1").expect("a setting");
    let fault = bench.write(Operation::Upsert, vec![new(1, &ANN)]).await.expect_err("throttled");
    assert_eq!((fault.class, fault.retry_after.map(|wait| wait.as_secs())), (FaultClass::Throttled, Some(1)));
    assert_eq!(sandbox.records()["users"].as_object().expect("users").len(), 1);
}

#[tokio::test]
async fn users_by_address_keep_it_and_are_deleted_by_the_id_that_was_learnt() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), "object = \"users\"\nmatch = \"email\"\nremoved = \"delete\"", &["email", "name"]);
    assert_eq!(bench.verdicts(Operation::Upsert, vec![new(1, &["ann@example.com", "Ann"])]).await, [written(1)]);
    assert_eq!(bench.verdicts(Operation::Upsert, vec![new(1, &["ANN@example.com", "Ann B"])]).await, [written(1)]);
    let gone = vec![removed(1, by_id(&id(1))), removed(2, by_value("eve@example.com"))];
    let verdicts = bench.verdicts(Operation::Delete, gone).await;
    assert_eq!((&verdicts[0], code(&verdicts[1])), (&written(1), "NO_ADDRESS"));
    // Another address of a user that is there is one more.
    let bench = users(&*sandbox, "");
    bench.verdicts(Operation::Upsert, vec![new(1, &ANN)]).await;
    bench.verdicts(Operation::Upsert, vec![new(1, &["A1", "Ann", "new@example.com", "free"])]).await;
    assert_eq!(sandbox.records()["users"][id(2)]["email"], "ann@example.com");
}

#[tokio::test]
async fn ids_are_looked_up_by_external_id() {
    let sandbox = stand_in(&[]).await;
    let bench = users(&*sandbox, "");
    bench.verdicts(Operation::Upsert, vec![new(1, &ANN), new(2, &EVE)]).await;
    let found = |object: &str, by: &str| Lookup {
        object: object.into(),
        by: by.into(),
        values: ["A1", "", "x,y", "nobody", "b2"].map(|text| Value::Text(text.into())).into(),
    };
    let matches = bench.destination.lookup(&found("users", "external_id")).await.expect("matches");
    let matches: Vec<(usize, String)> = matches.into_iter().map(|found| (found.value, found.remote_id)).collect();
    assert_eq!(matches, [(0, id(1)), (4, id(2))]);
    let prepared = prepared(&sandbox.url(), USERS, USER);
    assert!(prepared.check_lookup("organizations", "external_id").is_ok());
    for (object, by) in [("users", "email"), ("tickets", "external_id"), ("groups", "external_id")] {
        let fault = bench.destination.lookup(&found(object, by)).await.expect_err("not looked up");
        assert_eq!(fault.class, FaultClass::Config, "{object} {by}");
        assert!(prepared.check_lookup(object, by).is_err(), "{object} {by}");
    }
    let gone = vec![removed(1, by_value("a,b")), removed(2, Address::default()), removed(3, by_id("../1"))];
    let verdicts = bench.verdicts(Operation::Delete, gone).await;
    assert_eq!(verdicts.iter().map(code).collect::<Vec<_>>(), ["NO_ADDRESS", "NO_ADDRESS", "INVALID_ID"]);
}

#[tokio::test]
async fn long_lists_of_external_ids_go_out_in_several_calls() {
    let sandbox = stand_in(&[]).await;
    let bench = users(&*sandbox, "removed = \"delete\"");
    let name = |n: u64| format!("{n:0>255}");
    let made = (0..30).map(|n| new(n, &[&name(n), "Ann", &format!("{n}@example.com"), "pro"])).collect();
    bench.verdicts(Operation::Upsert, made).await;
    let before = sandbox.calls();
    let gone = (0..30).map(|n| removed(n, by_value(&name(n)))).collect();
    let verdicts = bench.verdicts(Operation::Delete, gone).await;
    assert!(verdicts.iter().all(|verdict| matches!(verdict, Verdict::Written { .. })), "{verdicts:?}");
    assert_eq!(sandbox.calls() - before, 2 + 2, "two look-ups, the job, and the question after it");
}

#[tokio::test]
async fn organizations_are_written_one_by_one_and_deleted_in_a_job() {
    let sandbox = stand_in(&[("reject", "name=Bad")]).await;
    let bench = open(&sandbox.url(), &format!("{ORGANIZATIONS}\nremoved = \"delete\""), ORGANIZATION);
    assert_eq!(bench.verdicts(Operation::Upsert, vec![new(1, &["acme", "Acme"])]).await, [written(1)]);
    assert_eq!(bench.verdicts(Operation::Upsert, vec![new(1, &["ACME", "Acme Inc"])]).await, [written(1)]);
    assert_eq!(code(&bench.verdicts(Operation::Upsert, vec![new(2, &["bad", "Bad"])]).await[0]), "RecordInvalid");
    let two = vec![new(1, &["a", "A"]), new(2, &["b", "B"])];
    assert_eq!(bench.write(Operation::Upsert, two).await.expect_err("one a call").class, FaultClass::Split);
    let moves = vec![moved(1, by_value("acme"), &["acme-2", "Acme Inc"])];
    assert_eq!(bench.verdicts(Operation::Move, moves).await, [written(1)]);
    assert_eq!(sandbox.records()["organizations"], json!({ id(1): { "external_id": "acme-2", "name": "Acme Inc" } }));
    let unknown = |op| moved(op, by_value("lost"), &[&format!("new-{op}"), "New"]);
    let fault = bench.write(Operation::Move, vec![unknown(1), unknown(2)]).await.expect_err("made one by one");
    assert_eq!(fault.class, FaultClass::Split);
    assert_eq!(bench.verdicts(Operation::Move, vec![unknown(1)]).await, [written(2)]);
    let gone = vec![removed(1, by_value("acme-2")), removed(2, by_id(&id(2)))];
    assert_eq!(bench.verdicts(Operation::Delete, gone).await, [written(1), written(2)]);
    assert_eq!(sandbox.records()["organizations"], json!({}));
}

#[tokio::test]
async fn tickets_are_updated_by_id_with_their_custom_fields() {
    let sandbox = stand_in(&[("tickets", "2")]).await;
    let bench = open(&sandbox.url(), TICKETS, TICKET);
    let rows = vec![new(1, &["2", "solved", "gold"]), new(2, &["9", "open", "x"]), new(3, &["../2", "open", "x"])];
    let verdicts = bench.verdicts(Operation::Update, rows).await;
    assert_eq!(verdicts[0], Verdict::Written { remote_id: Some("2".into()) });
    assert_eq!((code(&verdicts[1]), code(&verdicts[2])), ("RecordNotFound", "INVALID_ID"));
    let solved = json!({ "status": "solved", "custom_fields": { "27642": "gold" } });
    assert_eq!(sandbox.records()["tickets"], json!({ "1": { "status": "open" }, "2": solved }));
}

#[tokio::test]
async fn the_preview_is_the_request_and_hides_the_token() {
    let shown = |into: &str, fields: &[&str], operation, row| {
        let bench = open("http://127.0.0.1:9", into, fields);
        bench.destination.preview(&run(), &batch(operation, vec![row])).expect("requests")
    };
    let mut row = new(1, &ANN);
    let fields =
        [FieldValue::Set(Value::Text("A1".into())), FieldValue::Set(Value::Null), FieldValue::Skip, FieldValue::Clear];
    row.fields = fields.into_iter().collect();
    let upsert = shown(USERS, USER, Operation::Upsert, row.clone());
    assert_eq!(upsert[0].target, "http://127.0.0.1:9/api/v2/users/create_or_update_many");
    let body = r#"{"users":[{"external_id":"A1","name":null,"skip_verify_email":true,"user_fields":{"plan":null}}]}"#;
    assert_eq!(upsert[0].body, body);
    assert!(!format!("{upsert:?}").contains(TOKEN));
    let mailed = shown(&format!("{USERS}\nskip_verify_email = false"), USER, Operation::Upsert, row);
    assert!(!mailed[0].body.contains("skip_verify_email"));
    let one = shown(ORGANIZATIONS, ORGANIZATION, Operation::Upsert, new(1, &["a", "A"]));
    assert_eq!(one[0].body, r#"{"organization":{"external_id":"a","name":"A"}}"#);
    let mut number = new(1, &[]);
    number.fields = [Value::Int(17), Value::Text("A".into())].map(FieldValue::Set).into_iter().collect();
    let one = shown(ORGANIZATIONS, ORGANIZATION, Operation::Upsert, number);
    assert_eq!(one[0].body, r#"{"organization":{"external_id":"17","name":"A"}}"#);
    let mut ticket = new(1, &["7", "open", ""]);
    let number = Value::Number("12345678901234567890.5".into());
    let fields = [Value::Int(7), Value::Text("open".into()), number].map(FieldValue::Set);
    ticket.fields = fields.into_iter().collect();
    let ticket = shown(TICKETS, TICKET, Operation::Update, ticket);
    let body =
        r#"{"tickets":[{"custom_fields":[{"id":27642,"value":12345678901234567890.5}],"id":7,"status":"open"}]}"#;
    assert_eq!((ticket[0].method.as_str(), ticket[0].body.as_str()), ("PUT", body));
    let moved = shown(USERS, USER, Operation::Move, moved(1, by_value("A0"), &ANN));
    assert_eq!(moved.len(), 2, "the look-up, and what follows it");
    assert_eq!(moved[0].target, "http://127.0.0.1:9/api/v2/users/show_many?external_ids=A0%2CA1");
}
