//! What answers mean, beyond the suite.

use std::time::Duration;

use backhaul_kit::contract::{NO_TICKETS, Reply, Scripted, Server, canary_kit, row, run};
use backhaul_kit::{Batch, Delivery, Fault, FaultClass, Operation, Reason, Value, Verdict};
use serde_json::json;

use super::prepared;

/// A batch of added rows with the keys 1, 2 ….
pub(super) fn batch(rows: i64) -> Batch {
    let rows = (1..=rows).map(|id| row(id.unsigned_abs() + 40, id, vec![Value::Text(format!("p{id}@example.com"))]));
    Batch { operation: Operation::Upsert, seq: 0, last: false, rows: rows.collect() }
}

async fn answered(request: &str, batch: &Batch, answer: Scripted) -> Result<Vec<Verdict>, Fault> {
    let server = Server::start(move |_| Reply::Answer(answer.clone())).await;
    let text = format!("[account]\nurl = \"{}\"\n[into]\n[into.request]\nurl = \"/rows\"\n{request}", server.url());
    let destination = prepared(&text, &["email"]).open(canary_kit(".".as_ref())).expect("opens");
    match destination.write(&run(), batch, NO_TICKETS).await? {
        Delivery::Settled(outcomes) => Ok(outcomes.into_vec().into_iter().map(|(_, verdict)| verdict).collect()),
        other => panic!("{other:?}"),
    }
}

fn written(id: Option<&str>) -> Verdict {
    Verdict::Written { remote_id: id.map(str::to_owned) }
}

const BY_CALL: &str = "success = { evidence = \"call\", id = \"data.id\", error = \"error\" }";
const BY_CALL_IN_BATCHES: &str = "batch_size = 10\nsuccess = { evidence = \"call\" }";
const IN_ORDER: &str =
    "batch_size = 10\nsuccess = { evidence = \"row\", in_order = true, error = \"error\", id = \"id\" }";
const BY_INDEX: &str =
    "batch_size = 10\nsuccess = { evidence = \"row\", results = \"errors\", index = \"at\", error = \"why\" }";
const BY_KEY: &str = "batch_size = 10\nsuccess = { evidence = \"row\", key = \"key\", ok = { field = \"done\" }, \
                      unchanged = { field = \"same\", value = true }, retry = { field = \"done\", value = [\"later\", 7] }, error = \"why\" }";

#[tokio::test]
async fn the_id_of_a_single_record_is_remembered() {
    let answer = Scripted::json(201, &json!({"data": {"id": 5123}}));
    assert_eq!(answered(BY_CALL, &batch(1), answer).await.expect("settled"), [written(Some("5123"))]);
}

#[tokio::test]
async fn a_refused_row_keeps_the_words_of_the_answer() {
    let plain = Scripted::of(422, "text/plain", format!("no  such\n plan {}", "x".repeat(2000)));
    let [Verdict::Rejected(reason)] = &answered(BY_CALL, &batch(1), plain).await.expect("settled")[..] else {
        panic!("expected a rejection")
    };
    assert_eq!(reason.code, "HTTP_422");
    assert!(reason.text.starts_with("no such plan xxx"));
    assert_eq!(reason.text.chars().count(), 501);

    let json = Scripted::json(409, &json!({"error": "taken"}));
    let refused = answered(BY_CALL, &batch(1), json).await.expect("settled");
    assert_eq!(refused, [Verdict::Rejected(Reason::new("HTTP_409", "taken"))]);
}

#[tokio::test]
async fn a_refused_batch_without_names_is_cut() {
    for status in [400, 404, 409, 413, 422] {
        let fault = answered(BY_CALL_IN_BATCHES, &batch(3), Scripted::empty(status)).await.expect_err("cut");
        assert_eq!(fault.class, FaultClass::Split, "{status}");
    }
    let one = answered(BY_CALL_IN_BATCHES, &batch(1), Scripted::empty(413)).await.expect("settled");
    assert!(matches!(&one[..], [Verdict::Rejected(reason)] if reason.code == "HTTP_413"), "{one:?}");
}

#[tokio::test]
async fn statuses_have_their_class() {
    for (status, class) in [
        (301, FaultClass::Config),
        (303, FaultClass::Ambiguous),
        (401, FaultClass::Auth),
        (403, FaultClass::Auth),
        (405, FaultClass::Config),
        (408, FaultClass::Ambiguous),
        (502, FaultClass::Ambiguous),
        (503, FaultClass::Ambiguous),
    ] {
        let fault = answered(BY_CALL, &batch(1), Scripted::empty(status)).await.expect_err("a fault");
        assert_eq!(fault.class, class, "{status}");
    }
    let busy = Scripted::empty(503).header("retry-after", "12");
    let fault = answered(BY_CALL, &batch(1), busy).await.expect_err("a fault");
    assert_eq!((fault.class, fault.retry_after), (FaultClass::Throttled, Some(Duration::from_secs(12))));
}

#[tokio::test]
async fn a_status_that_nobody_declared_proves_nothing() {
    let fault = answered(BY_CALL, &batch(1), Scripted::empty(202)).await.expect_err("a fault");
    assert_eq!(fault.class, FaultClass::Ambiguous);
    assert!(fault.remedy_text().contains("success.statuses"));
}

#[tokio::test]
async fn declared_statuses_are_obeyed() {
    let request = "unchanged_statuses = [404]\nretry_statuses = [420]\nreject_statuses = [451]\n\
                   success = { evidence = \"call\", statuses = [202] }";
    assert_eq!(answered(request, &batch(1), Scripted::empty(202)).await.expect("settled"), [written(None)]);
    assert_eq!(answered(request, &batch(1), Scripted::empty(404)).await.expect("settled"), [Verdict::Unchanged]);
    let refused = answered(request, &batch(1), Scripted::empty(451)).await.expect("settled");
    assert!(matches!(refused[..], [Verdict::Rejected(_)]));
    let fault = answered(request, &batch(1), Scripted::empty(420)).await.expect_err("a fault");
    assert_eq!(fault.class, FaultClass::Throttled);
}

#[tokio::test]
async fn results_in_order_count_only_when_none_is_missing() {
    let three = json!([{"id": "a"}, {"error": "bad"}, {"id": "c", "error": null}]);
    let verdicts = answered(IN_ORDER, &batch(3), Scripted::json(200, &three)).await.expect("settled");
    assert_eq!(verdicts, [written(Some("a")), Verdict::Rejected(Reason::new("REJECTED", "bad")), written(Some("c"))]);
    let two = json!([{"id": "a"}, {"id": "c"}]);
    let verdicts = answered(IN_ORDER, &batch(3), Scripted::json(200, &two)).await.expect("settled");
    assert_eq!(verdicts, [Verdict::Unknown, Verdict::Unknown, Verdict::Unknown]);
}

#[tokio::test]
async fn one_result_may_stand_alone_where_one_row_was_sent() {
    let one = Scripted::json(200, &json!({"id": "a"}));
    assert_eq!(answered(IN_ORDER, &batch(1), one.clone()).await.expect("settled"), [written(Some("a"))]);
    assert_eq!(answered(IN_ORDER, &batch(2), one).await.expect("settled"), [Verdict::Unknown, Verdict::Unknown]);
}

#[tokio::test]
async fn flags_decide_by_their_values() {
    let results = json!([
        {"key": 1, "done": "yes"}, {"key": "2", "done": 7}, {"key": 3, "done": false, "why": "too long"},
        {"key": 4, "same": true}, {"key": 99, "done": "yes"}, {"key": 6, "done": "yes"}, {"key": 6, "done": false},
    ]);
    let verdicts = answered(BY_KEY, &batch(6), Scripted::json(200, &results)).await.expect("settled");
    assert_eq!(
        verdicts,
        [
            written(None),
            Verdict::Retry(None),
            Verdict::Rejected(Reason::new("REJECTED", "too long")),
            Verdict::Unchanged,
            Verdict::Unknown,
            // Named twice, with two different words.
            Verdict::Unknown,
        ]
    );
}

#[tokio::test]
async fn a_refused_call_that_names_the_bad_rows_has_the_others_sent_again() {
    let answer = Scripted::json(422, &json!({"errors": [{"at": 1, "why": "bad"}, {"at": 77, "why": "?"}]}));
    let verdicts = answered(BY_INDEX, &batch(3), answer).await.expect("settled");
    assert_eq!(
        verdicts,
        [Verdict::Retry(None), Verdict::Rejected(Reason::new("REJECTED", "bad")), Verdict::Retry(None)]
    );
    // The same answer with a status of success says nothing of the rows that it does not name.
    let answer = Scripted::json(200, &json!({"errors": [{"at": 1, "why": "bad"}]}));
    let verdicts = answered(BY_INDEX, &batch(3), answer).await.expect("settled");
    assert_eq!(verdicts[0], Verdict::Unknown);
}

#[tokio::test]
async fn a_refused_call_that_accepted_a_row_leaves_the_rest_unknown() {
    let answer = Scripted::json(400, &json!([{"key": 1, "done": "yes"}, {"key": 2, "done": false, "why": "bad"}]));
    let verdicts = answered(BY_KEY, &batch(3), answer).await.expect("settled");
    assert_eq!(verdicts, [written(None), Verdict::Rejected(Reason::new("REJECTED", "bad")), Verdict::Unknown]);
}
