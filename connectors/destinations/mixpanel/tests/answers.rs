//! What each answer does to rows: the traps.

use backhaul_kit::FaultClass;
use backhaul_kit::contract::{Reply, Scripted, Server};
use serde_json::{Value as Json, json};

use super::*;

/// Writes a batch to a server that always answers this; profiles go three to a call.
async fn answered(wanted: &Wanted, batch: &Batch, status: u16, body: &Json) -> Result<Vec<Verdict>, Fault> {
    let answer = Scripted::json(status, body);
    let server = Server::start(move |_| Reply::Answer(answer.clone())).await;
    Bench::with(server.url(), wanted, "profiles_per_call = 3", "t").write(batch).await
}

#[tokio::test]
async fn events_that_are_neither_named_nor_counted_stay_unknown() {
    let failed = |index: i64, id: &str| json!({"index": index, "$insert_id": id, "field": "event", "message": "no"});
    let two = events(&["ada", "eve"]);
    for body in [
        json!({"num_records_imported": 1}),
        json!({"num_records_imported": 3}),
        json!({"status": "OK"}),
        // Somebody else's event, and one beyond the call: what the count means is not known.
        json!({"num_records_imported": 1, "failed_records": [failed(0, "another")]}),
        json!({"num_records_imported": 1, "failed_records": [failed(2, "")]}),
        json!({"num_records_imported": 1, "failed_records": [failed(-1, "")]}),
    ] {
        let status = if body.get("failed_records").is_some() { 400 } else { 200 };
        let verdicts = answered(&EVENTS, &two, status, &body).await.expect("verdicts");
        assert_eq!(verdicts, [Verdict::Unknown, Verdict::Unknown], "{body}");
    }
    // Named twice, as one field after the other may be: refused once, and the other is counted.
    let body = json!({"num_records_imported": 1, "failed_records": [failed(0, ""), failed(0, "")]});
    let verdicts = answered(&EVENTS, &two, 400, &body).await.expect("verdicts");
    assert_eq!((rejection(&verdicts[0]), &verdicts[1]), (("INVALID_RECORD", "no", Some("event")), &written()));
}

#[tokio::test]
async fn a_refusal_that_names_no_event_is_cut_until_one_is_left() {
    let body = json!({"code": 400, "error": "bad things", "status": "Bad Request"});
    let fault = answered(&EVENTS, &events(&["ada", "eve"]), 400, &body).await.expect_err("two");
    assert_eq!(fault.class, FaultClass::Split);
    let verdicts = answered(&EVENTS, &events(&["ada"]), 400, &body).await.expect("one");
    assert_eq!(rejection(&verdicts[0]).1, "bad things");
}

#[tokio::test]
async fn a_status_of_200_is_not_believed_for_profiles() {
    let one = profiles(Operation::Upsert, &[["ada", "ada@example.com", "pro"]]);
    let two = profiles(Operation::Upsert, &[["ada", "", ""], ["eve", "", ""]]);
    for refusal in [
        json!(0),
        json!({"status": 0, "error": "data, missing or empty"}),
        json!({"status": 0}),
        json!({"status": 1, "failed_records": [{"index": 0, "message": "no"}]}),
    ] {
        let verdicts = answered(&PROFILES, &one, 200, &refusal).await.expect("a verdict");
        assert_eq!(rejection(&verdicts[0]).0, "INVALID_RECORD", "{refusal}");
        let fault = answered(&PROFILES, &two, 200, &refusal).await.expect_err("which of them?");
        assert_eq!(fault.class, FaultClass::Split, "{refusal}");
    }
    for nothing in [json!({}), json!(2), json!({"status": 1, "error": "hm"}), json!({"status": "ok"}), json!([1])] {
        let fault = answered(&PROFILES, &one, 200, &nothing).await.expect_err("no word of Mixpanel's");
        assert_eq!(fault.class, FaultClass::Ambiguous, "{nothing}");
    }
    for success in
        [json!(1), json!({"status": 1}), json!({"status": 1, "error": null}), json!({"status": 1, "error": ""})]
    {
        assert_eq!(answered(&PROFILES, &one, 200, &success).await.expect("a verdict"), [written()], "{success}");
    }
}

#[tokio::test]
async fn the_vendors_refusals_have_their_classes() {
    let two = events(&["ada", "eve"]);
    let told = |error: &str| json!({"error": error});
    for (status, class) in [
        (401, FaultClass::Auth),
        (403, FaultClass::Auth),
        (413, FaultClass::Split),
        (429, FaultClass::Throttled),
        (502, FaultClass::Ambiguous),
        (503, FaultClass::Ambiguous),
        (404, FaultClass::Config),
    ] {
        let fault = answered(&EVENTS, &two, status, &told("x")).await.expect_err("refused");
        assert_eq!(fault.class, class, "{status}");
    }
}

#[tokio::test]
async fn what_an_earlier_call_of_a_batch_did_is_not_forgotten_by_the_fault_of_a_later_one() {
    let server = Server::start(|request| {
        let unset = request.json()[0].get("$unset").is_some();
        Reply::Answer(Scripted::json(if unset { 429 } else { 200 }, &json!({"status": 1})))
    })
    .await;
    let bench = Bench::open(server.url(), &PROFILES);
    let fields = vec![text("ada"), FieldValue::Set(Value::Null), text("pro")];
    let fault = bench.write(&batch(Operation::Upsert, vec![(Some("ada"), fields)])).await.expect_err("429");
    assert_eq!((fault.class, server.received().len()), (FaultClass::Ambiguous, 2));
}
