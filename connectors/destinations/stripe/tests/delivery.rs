//! Rows on the stand-in.

use serde_json::json;

use super::*;

#[tokio::test]
async fn an_upsert_creates_and_then_updates_the_same_customer() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    assert_eq!(bench.upsert(new(&["c1", "ada@example.com", "free"])).await, written(0));
    assert_eq!(bench.upsert(changed(&cus(0), &["c1", "ada@example.com", "pro"])).await, written(0));
    assert_eq!(bench.upsert(new(&["c2", "eve@example.com", "Größe 🙂 & a=b"])).await, written(1));
    let expected = json!({
        cus(0): { "metadata[customer_id]": "c1", "email": "ada@example.com", "metadata[plan]": "pro" },
        cus(1): { "metadata[customer_id]": "c2", "email": "eve@example.com", "metadata[plan]": "Größe 🙂 & a=b" },
    });
    assert_eq!(customers(&*sandbox), expected);
}

#[tokio::test]
async fn what_goes_with_the_creation_alone_is_never_changed_or_emptied() {
    let sandbox = stand_in(&[]).await;
    let bench = open_with(&sandbox.url(), UPSERT, &["metadata.customer_id", "email", "metadata.plan=on_create"], KEY);
    assert_eq!(bench.upsert(new(&["c1", "ada@example.com", "free"])).await, written(0));
    assert_eq!(bench.upsert(changed(&cus(0), &["c1", "eve@example.com", "pro"])).await, written(0));
    let expected = json!({ "metadata[customer_id]": "c1", "email": "eve@example.com", "metadata[plan]": "free" });
    assert_eq!(customers(&*sandbox)[cus(0)], expected);
    assert_eq!(bench.verdict(Operation::Clear, removed(by_id(&cus(0)))).await, written(0));
    let expected = json!({ "metadata[customer_id]": "c1", "metadata[plan]": "free" });
    assert_eq!(customers(&*sandbox)[cus(0)], expected);
}

#[tokio::test]
async fn metadata_of_others_stays_and_null_takes_a_key_away() {
    let sandbox = stand_in(&[]).await;
    let others = open_with(&sandbox.url(), UPSERT, &["metadata.customer_id", "metadata.theirs", "description"], KEY);
    others.upsert(new(&["c1", "kept", "kept"])).await;
    let bench = open(&sandbox.url(), UPSERT);
    assert_eq!(bench.upsert(new(&["c1", "ada@example.com", "pro"])).await, written(0));
    let mut row = changed(&cus(0), &["c1"]);
    let fields = [FieldValue::Set(Value::Text("c1".into())), FieldValue::Skip, FieldValue::Set(Value::Null)];
    row.fields = fields.into_iter().collect();
    assert_eq!(bench.upsert(row).await, written(0));
    let expected = json!({
        "metadata[customer_id]": "c1", "metadata[theirs]": "kept", "description": "kept", "email": "ada@example.com",
    });
    assert_eq!(customers(&*sandbox)[cus(0)], expected);
}

#[tokio::test]
async fn a_lost_creation_is_made_once_however_late_the_search_is() {
    let sandbox = stand_in(&[("search_lag", "3600000"), ("lose_next", "1")]).await;
    for into in [UPSERT, CREATE] {
        let operation = if into == UPSERT { Operation::Upsert } else { Operation::Create };
        let bench = open(&sandbox.url(), into);
        let value = format!("of {operation:?}");
        let texts = [value.as_str(), "ada@example.com", "free"];
        sandbox.set("lose_next", "1").expect("a setting");
        bench.write(operation, new(&texts)).await.expect_err("no answer");
        let again = bench.verdict(operation, new(&texts)).await;
        let later = bench.verdict(operation, in_doubt(&texts)).await;
        assert!(matches!(again, Verdict::Written { .. }) && again == later, "{again:?} {later:?}");
        // With other values Stripe refuses, and nothing is known to have been done.
        let other = bench.verdict(operation, in_doubt(&[texts[0], "ada@example.com", "pro"])).await;
        assert_eq!(other, Verdict::Retry(None));
    }
    assert_eq!(customers(&*sandbox).as_object().expect("customers").len(), 2);
    // The search has caught up: the customer is found and gets its values.
    sandbox.set("search_lag", "0").expect("a setting");
    let bench = open(&sandbox.url(), UPSERT);
    assert_eq!(bench.upsert(in_doubt(&["of Upsert", "ada@example.com", "pro"])).await, written(0));
    assert_eq!(customers(&*sandbox)[cus(0)]["metadata[plan]"], "pro");
    // A day later the search is all that there is, and it is enough.
    sandbox.set("forget_keys", "").expect("a setting");
    assert_eq!(bench.upsert(in_doubt(&["of Upsert", "ada@example.com", "free"])).await, written(0));
}

#[tokio::test]
async fn a_value_that_goes_back_is_sent_again_and_not_replayed() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    bench.upsert(new(&["c1", "ada@example.com", "free"])).await;
    for plan in ["pro", "free", "pro"] {
        assert_eq!(bench.upsert(changed(&cus(0), &["c1", "ada@example.com", plan])).await, written(0));
        assert_eq!(customers(&*sandbox)[cus(0)]["metadata[plan]"], plan);
    }
}

#[tokio::test]
async fn a_row_that_comes_back_within_a_day_gets_a_new_customer_and_not_the_answer_of_the_deleted_one() {
    let sandbox = stand_in(&[("search_lag", "3600000")]).await;
    let bench = open(&sandbox.url(), &format!("{UPSERT}\n{DELETE}"));
    let texts = ["c1", "ada@example.com", "free"];
    for n in 0..3 {
        assert_eq!(bench.upsert(new(&texts)).await, written(n));
        assert_eq!(bench.verdict(Operation::Delete, removed(by_id(&cus(n)))).await, written(n));
    }
    assert_eq!(customers(&*sandbox), json!({}));
    // Somebody else deleted it: the row gets a new one, once.
    let bench = open(&sandbox.url(), UPSERT);
    assert_eq!(bench.upsert(changed(&cus(2), &texts)).await, written(3));
    assert_eq!(bench.upsert(changed(&cus(2), &texts)).await, written(3));
}

#[tokio::test]
async fn what_the_late_search_says_is_looked_at_again() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    bench.upsert(new(&["c1", "ada@example.com", "free"])).await;
    let found = in_doubt(&["c1", "ada@example.com", "pro"]);
    assert_eq!(bench.upsert(found).await, written(0));
    sandbox.set("search_lag", "3600000").expect("a setting");
    // The customer gives its match value up; the index does not know, and would give it to another row.
    let moved = row(ChangeKind::Move, Address { match_value: Some("c1".into()), ..by_id(&cus(0)) }, &["c9", "", ""]);
    assert_eq!(bench.verdict(Operation::Move, moved).await, written(0));
    // Nor is it given by the stored answer to its own creation; other values wait until that is forgotten.
    assert_eq!(bench.upsert(new(&["c1", "ada@example.com", "free"])).await, written(1));
    assert_eq!(bench.upsert(new(&["c1", "eve@example.com", "free"])).await, Verdict::Retry(None));
    sandbox.set("search_lag", "0").expect("a setting");
    assert_eq!(bench.upsert(new(&["c1", "eve@example.com", "free"])).await, written(1));
    assert_eq!(customers(&*sandbox)[cus(0)]["metadata[customer_id]"], "c9");
}

#[tokio::test]
async fn a_moved_row_whose_id_was_never_learnt_is_found_under_its_old_value() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    bench.upsert(new(&["old", "ada@example.com", "free"])).await;
    let moved = || row(ChangeKind::Move, by_value("old"), &["new", "ada@example.com", "free"]);
    assert_eq!(bench.verdict(Operation::Move, moved()).await, written(0));
    assert_eq!(bench.verdict(Operation::Move, moved()).await, written(0), "and under its new one");
    assert_eq!(customers(&*sandbox).as_object().expect("customers").len(), 1);
}

#[tokio::test]
async fn several_customers_of_one_value_and_odd_values_are_told_apart() {
    let sandbox = stand_in(&[]).await;
    let create = open(&sandbox.url(), CREATE);
    for value in ["it's \\ 'x'", "twice", "TWICE"] {
        assert!(matches!(create.verdict(Operation::Create, new(&[value, "", ""])).await, Verdict::Written { .. }));
    }
    let bench = open(&sandbox.url(), UPSERT);
    assert_eq!(bench.upsert(in_doubt(&["it's \\ 'x'", "a@example.com", ""])).await, written(0));
    // The search pays no regard to case; a match value does.
    assert_eq!(bench.upsert(in_doubt(&["twice", "a@example.com", ""])).await, written(1));
    sandbox.set("forget_keys", "").expect("a setting");
    assert_eq!(create.verdict(Operation::Create, new(&["twice", "", ""])).await, written(3));
    assert_eq!(code(&bench.upsert(in_doubt(&["twice", "b@example.com", ""])).await), "AMBIGUOUS_MATCH");
    assert_eq!(code(&bench.upsert(new(&["", "b@example.com", ""])).await), "NO_MATCH_VALUE");
}

#[tokio::test]
async fn create_changes_nothing_and_update_makes_nothing() {
    let sandbox = stand_in(&[]).await;
    let create = open(&sandbox.url(), CREATE);
    assert_eq!(create.verdict(Operation::Create, new(&["c1", "ada@example.com", "free"])).await, written(0));
    let again = changed(&cus(0), &["c1", "ada@example.com", "pro"]);
    assert_eq!(code(&create.verdict(Operation::Create, again).await), "ALREADY_CREATED");
    let update = open(&sandbox.url(), UPDATE);
    assert_eq!(update.verdict(Operation::Update, new(&["c1", "ada@example.com", "pro"])).await, written(0));
    assert_eq!(code(&update.verdict(Operation::Update, new(&["c2", "", ""])).await), "NOT_FOUND");
    let by_id = open_with(&sandbox.url(), "mode = \"update\"\nmatch = \"id\"", &["id", "name"], KEY);
    assert_eq!(by_id.verdict(Operation::Update, new(&[&cus(0), "Ada"])).await, written(0));
    assert_eq!(code(&by_id.verdict(Operation::Update, new(&["cus_nobody", "Eve"])).await), "resource_missing");
    for id in ["..", "../accounts", "search?x"] {
        assert_eq!(code(&by_id.verdict(Operation::Update, new(&[id, "Eve"])).await), "INVALID_ID", "{id}");
    }
    let expected = json!({
        "metadata[customer_id]": "c1", "email": "ada@example.com", "metadata[plan]": "pro", "name": "Ada",
    });
    assert_eq!(customers(&*sandbox), json!({ cus(0): expected }));
}

#[tokio::test]
async fn who_left_is_deleted_or_emptied_and_found_where_the_id_is_not_known() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), &format!("{UPSERT}\nremoved = \"clear\""));
    for value in ["c1", "c2"] {
        bench.upsert(new(&[value, "ada@example.com", "pro"])).await;
    }
    assert_eq!(bench.verdict(Operation::Clear, removed(by_value("c1"))).await, written(0));
    assert_eq!(customers(&*sandbox)[cus(0)], json!({ "metadata[customer_id]": "c1" }));
    let bench = open(&sandbox.url(), &format!("{UPSERT}\n{DELETE}"));
    assert_eq!(bench.verdict(Operation::Delete, removed(by_value("c1"))).await, written(0));
    assert_eq!(bench.verdict(Operation::Delete, removed(by_id(&cus(0)))).await, Verdict::Unchanged);
    assert_eq!(code(&bench.verdict(Operation::Delete, removed(by_value("c1"))).await), "NOT_FOUND");
    assert_eq!(code(&bench.verdict(Operation::Delete, removed(Address::default())).await), "NOT_FOUND");
    assert_eq!(code(&bench.verdict(Operation::Delete, removed(by_id(".."))).await), "INVALID_ID");
    assert_eq!(customers(&*sandbox).as_object().expect("customers").len(), 1);
}

#[tokio::test]
async fn a_refused_row_has_the_vendors_words_and_the_syncs_field() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), UPSERT);
    let Verdict::Rejected(reason) = bench.upsert(new(&["c1", "nonsense", "free"])).await else { panic!("accepted") };
    assert_eq!((reason.code.as_str(), reason.text.as_str()), ("email_invalid", "Invalid email address: nonsense"));
    let long = "x".repeat(501);
    let Verdict::Rejected(reason) = bench.upsert(new(&["c1", "", &long])).await else { panic!("accepted") };
    assert_eq!(reason.field.as_deref(), Some("metadata.plan"));
    // What failed validation is not kept under the key: the corrected row goes through.
    assert_eq!(bench.upsert(new(&["c1", "ada@example.com", "free"])).await, written(0));
    let mut invalid = new(&["c2", "", ""]);
    invalid.fields = ["c2", "NaN"].map(|text| FieldValue::Set(Value::Invalid(text.into()))).into_iter().collect();
    assert_eq!(code(&bench.upsert(invalid).await), "INVALID_VALUE");
}

#[tokio::test]
async fn the_preview_is_the_request_and_hides_the_key() {
    let bench = open("http://127.0.0.1:9", UPSERT);
    let preview = |row: Row| bench.destination.preview(&run(), &batch(Operation::Upsert, row)).expect("requests");
    let shown = preview(new(&["c1", "ada@example.com", "pro"]));
    assert_eq!(shown.len(), 2, "the search, and the creation where nothing is found");
    assert!(shown[0].target.contains("/v1/customers/search?query=metadata"), "{}", shown[0].target);
    assert_eq!(shown[1].body, "metadata[customer_id]=c1&email=ada%40example.com&metadata[plan]=pro");
    assert!(shown[1].headers.iter().any(|(name, value)| name == "idempotency-key" && value.len() == 64));
    let shown = preview(changed("cus_1", &["c1", "ada@example.com", "pro"]));
    assert_eq!((shown.len(), shown[0].target.as_str()), (1, "http://127.0.0.1:9/v1/customers/cus_1"));
    assert!(shown[0].headers.iter().all(|(name, _)| name != "idempotency-key"));
    assert!(!format!("{shown:?}").contains(KEY));
}

#[tokio::test]
async fn a_customer_that_is_made_in_the_run_is_not_read_back() {
    let sandbox = stand_in(&[]).await;
    let bench = open(&sandbox.url(), CREATE);
    for (started, calls) in [(jiff::Timestamp::now(), 2), (jiff::Timestamp::UNIX_EPOCH, 1)] {
        let before = sandbox.calls();
        let run = Run { started, ..run() };
        let row = new(&[&calls.to_string(), "ada@example.com", "free"]);
        bench.destination.write(&run, &batch(Operation::Create, row), NO_TICKETS).await.expect("an answer");
        assert_eq!(sandbox.calls() - before, calls);
    }
}
