//! What odd answers come to; the server says whatever the test scripts.

use std::time::Duration;

use backhaul_kit::{FaultClass, Operation, Verdict};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// Two rows; their trace ids are `op-10` and `op-11`.
fn two() -> Batch {
    writes(Operation::Upsert, &[&["c1", "a@example.com", ""], &["c2", "b@example.com", ""]])
}

async fn verdicts_of(status: u16, body: &str) -> Vec<Verdict> {
    let server = scripted(status, &[], body).await;
    open(&server.url, &CONTACTS).verdicts(&two()).await
}

async fn fault_of(status: u16, headers: &'static [(&'static str, &'static str)], body: &str) -> Fault {
    let server = scripted(status, headers, body).await;
    let bench = open(&server.url, &CONTACTS);
    bench.write(&two()).await.expect_err("a fault")
}

#[tokio::test]
async fn a_row_that_the_answer_does_not_name_stays_unknown() {
    let one = r#"{"status":"COMPLETE","results":[{"id":"7","objectWriteTraceId":"op-11","properties":{}}]}"#;
    assert_eq!(verdicts_of(200, one).await, [Verdict::Unknown, written("7")]);
    let foreign = r#"{"status":"COMPLETE","results":[{"id":"7","objectWriteTraceId":"op-99"}],
        "errors":[{"category":"VALIDATION_ERROR","message":"m","context":{}}]}"#;
    assert_eq!(verdicts_of(207, foreign).await, [Verdict::Unknown, Verdict::Unknown]);
    for empty in [r#"{"status":"COMPLETE","results":[],"errors":[]}"#, "{}"] {
        assert_eq!(verdicts_of(200, empty).await, [Verdict::Unknown, Verdict::Unknown], "{empty}");
    }
}

#[tokio::test]
async fn unknown_fields_in_an_answer_are_ignored() {
    let body = r#"{"status":"COMPLETE","futureThing":{"a":[1,null]},"results":[
        {"id":"7","objectWriteTraceId":"op-10","properties":{"x":null},"futureFlag":true,"warnings":[{"category":"w"}]},
        {"id":"8","objectWriteTraceId":"op-11"}]}"#;
    assert_eq!(verdicts_of(200, body).await, [written("7"), written("8")]);
}

#[tokio::test]
async fn without_trace_ids_rows_are_found_by_their_match_value_never_by_position() {
    let body = r#"{"status":"COMPLETE","results":[
        {"id":"8","properties":{"customer_id":"c2","email":"b@example.com"}},{"id":"9","properties":{"email":"a@example.com"}}]}"#;
    assert_eq!(verdicts_of(200, body).await, [Verdict::Unknown, written("8")]);
    let server = scripted(200, &[], body).await;
    let bench = open(&server.url, &Wanted { match_on: Some("email"), fields: &["email"], ..CONTACTS });
    let rows = writes(Operation::Upsert, &[&["A@Example.com"], &["B@example.com"]]);
    assert_eq!(bench.verdicts(&rows).await, [written("9"), written("8")]);
}

#[tokio::test]
async fn a_row_named_as_written_and_as_failed_stays_unknown() {
    let body = r#"{"status":"COMPLETE","results":[{"id":"7","objectWriteTraceId":"op-10"}],"errors":[
        {"status":"400","category":"VALIDATION_ERROR","message":"no","context":{"objectWriteTraceId":["op-10","op-11"]}}]}"#;
    let verdicts = verdicts_of(207, body).await;
    assert_eq!(verdicts[0], Verdict::Unknown);
    assert_eq!(rejection(&verdicts[1]), ("VALIDATION_ERROR", None));
}

#[tokio::test]
async fn the_status_of_a_rows_error_decides_what_is_known_of_it() {
    let body = r#"{"status":"COMPLETE","results":[],"errors":[
        {"status":"429","category":"RATE_LIMITS","message":"m","context":{"objectWriteTraceId":["op-10"]}},
        {"status":"500","category":"INTERNAL_ERROR","message":"m","context":{"objectWriteTraceId":["op-11"]}}]}"#;
    assert_eq!(verdicts_of(207, body).await, [Verdict::Retry(None), Verdict::Unknown]);
    let named_by_id = r#"{"results":[],"errors":[
        {"category":"OBJECT_NOT_FOUND","message":"m","context":{"ids":["c1"]},"errors":[{"message":"m","code":"GONE","in":"id"}]}]}"#;
    let verdicts = verdicts_of(207, named_by_id).await;
    assert_eq!((rejection(&verdicts[0]), &verdicts[1]), (("GONE", Some("id")), &Verdict::Unknown));
}

#[tokio::test]
async fn a_batch_that_is_not_complete_proves_nothing_written() {
    let body = r#"{"status":"PENDING","results":[{"id":"7","objectWriteTraceId":"op-10"}]}"#;
    assert_eq!(verdicts_of(200, body).await, [Verdict::Unknown, Verdict::Unknown]);
}

#[tokio::test]
async fn what_is_not_json_is_ambiguous() {
    for body in ["<html>Down for maintenance</html>", "", r#"{"results":[{"id":"#] {
        assert_eq!(fault_of(200, &[], body).await.class, FaultClass::Ambiguous, "{body}");
    }
    assert_eq!(fault_of(502, &[("content-type", "text/html")], "<html>").await.class, FaultClass::Ambiguous);
}

#[tokio::test]
async fn a_truncated_answer_is_ambiguous() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a connection");
        let mut request = [0; 4096];
        let _ = socket.read(&mut request).await;
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n";
        let _ = socket.write_all(format!("{head}{{\"status\":\"COMPLETE\",").as_bytes()).await;
    });
    let fault = open(&url, &CONTACTS).write(&two()).await.expect_err("half an answer");
    assert_eq!(fault.class, FaultClass::Ambiguous);
}

#[tokio::test]
async fn a_refused_batch_is_split_until_one_row_is_left_to_blame() {
    let body = r#"{"status":"error","category":"VALIDATION_ERROR","message":"Property values were not valid: [{\"isValid\":false,\"message\":\"bad\",\"error\":\"INVALID_EMAIL\",\"name\":\"email\"}]","correlationId":"c"}"#;
    let server = scripted(400, &[], body).await;
    let bench = open(&server.url, &CONTACTS);
    assert_eq!(bench.write(&two()).await.expect_err("refused").class, FaultClass::Split);
    let mut one = two();
    one.rows.truncate(1);
    assert_eq!(rejection(&bench.verdicts(&one).await[0]), ("INVALID_EMAIL", Some("email")));
}

#[tokio::test]
async fn a_property_that_every_row_lacks_is_a_fault_of_the_configuration_in_a_207_too() {
    let error = |trace: &str| {
        serde_json::json!({
            "status": "400", "category": "VALIDATION_ERROR",
            "message": r#"Property values were not valid: [{"error":"PROPERTY_DOESNT_EXIST","name":"nick","message":"m"}]"#,
            "context": { "objectWriteTraceId": [trace] },
        })
    };
    let body = serde_json::json!({ "status": "COMPLETE", "results": [], "errors": [error("op-10"), error("op-11")] });
    let fault = fault_of(207, &[], &body.to_string()).await;
    assert_eq!(fault.class, FaultClass::Config);
    assert!(fault.message.contains("`nick`"), "{fault}");
}

#[tokio::test]
async fn limits_say_how_long_to_wait() {
    let daily =
        fault_of(429, &[], r#"{"status":"error","errorType":"RATE_LIMIT","policyName":"DAILY","message":"m"}"#).await;
    assert_eq!((daily.class, daily.retry_after), (FaultClass::Throttled, Some(Duration::from_secs(3600))));
    let plain = fault_of(429, &[("retry-after", "3")], "").await;
    assert_eq!((plain.class, plain.retry_after), (FaultClass::Throttled, Some(Duration::from_secs(3))));
    let moved = fault_of(477, &[("retry-after", "60")], "{}").await;
    assert_eq!((moved.class, moved.retry_after), (FaultClass::Throttled, Some(Duration::from_secs(60))));
    let busy = fault_of(503, &[("retry-after", "9")], "{}").await;
    assert_eq!((busy.class, busy.retry_after), (FaultClass::Ambiguous, Some(Duration::from_secs(9))));
    for status in [521, 523, 524] {
        assert_eq!(fault_of(status, &[], "").await.class, FaultClass::Ambiguous);
    }
    assert_eq!(fault_of(413, &[], "").await.class, FaultClass::Split);
    assert_eq!(fault_of(301, &[("location", "https://elsewhere.example")], "").await.class, FaultClass::Config);
}

#[tokio::test]
async fn scopes_that_a_detail_names_are_told() {
    let body = r#"{"status":"error","category":"MISSING_SCOPES","message":"m","errors":[
        {"message":"m","context":{"requiredGranularScopes":["crm.objects.contacts.write"]}}]}"#;
    let fault = fault_of(403, &[], body).await;
    assert_eq!(fault.class, FaultClass::Auth);
    assert!(fault.remedy_text().contains("crm.objects.contacts.write"), "{}", fault.remedy_text());
}

#[tokio::test]
async fn only_the_documented_status_proves_an_archive() {
    let archive = removals(Operation::Archive, vec![by_id("51"), by_id("52")]);
    let server = scripted(200, &[], "{}").await;
    let verdicts = open(&server.url, &CONTACTS).verdicts(&archive).await;
    assert_eq!(verdicts, [Verdict::Unknown, Verdict::Unknown]);
    let server = scripted(204, &[], "").await;
    assert_eq!(open(&server.url, &CONTACTS).verdicts(&archive).await, [written("51"), written("52")]);
    let gone = r#"{"status":"error","category":"OBJECT_NOT_FOUND","message":"m"}"#;
    let server = scripted(404, &[], gone).await;
    let bench = open(&server.url, &CONTACTS);
    assert_eq!(bench.write(&archive).await.expect_err("refused").class, FaultClass::Split);
    let one = removals(Operation::Archive, vec![by_id("51")]);
    assert_eq!(bench.verdicts(&one).await, [Verdict::Unchanged]);
}

#[tokio::test]
async fn a_look_up_that_does_not_speak_of_the_value_archives_nothing_and_proves_nothing() {
    let other = r#"{"status":"COMPLETE","results":[{"id":"7","properties":{"customer_id":"other"}}]}"#;
    for body in [other, r#"{"status":"COMPLETE","results":[]}"#, "{}"] {
        let server = scripted(200, &[], body).await;
        let bench = open(&server.url, &CONTACTS);
        let verdicts = bench.verdicts(&removals(Operation::Archive, vec![by_value("c1")])).await;
        assert_eq!(rejection(&verdicts[0]).0, "MATCH_NOT_CONFIRMED", "{body}");
        let asked: Vec<String> = server.asked.lock().expect("no panic").iter().cloned().collect();
        assert_eq!(asked, ["/crm/v3/objects/contacts/batch/read"]);
    }
}

#[tokio::test]
async fn an_only_row_is_the_one_that_the_answer_speaks_of() {
    let mut one = two();
    one.rows.truncate(1);
    let error =
        r#"{"status":"COMPLETE","results":[],"errors":[{"category":"VALIDATION_ERROR","message":"m","context":{}}]}"#;
    let server = scripted(207, &[], error).await;
    assert_eq!(rejection(&open(&server.url, &CONTACTS).verdicts(&one).await[0]).0, "VALIDATION_ERROR");
    let server = scripted(200, &[], r#"{"results":[{"id":"7"}]}"#).await;
    assert_eq!(open(&server.url, &CONTACTS).verdicts(&one).await, [written("7")]);
}

#[tokio::test]
async fn a_404_for_a_record_concerns_its_row_and_not_the_configuration() {
    let server = scripted(404, &[], r#"{"status":"error","category":"OBJECT_NOT_FOUND","message":"m"}"#).await;
    let bench = open(&server.url, &CONTACTS);
    let update = |rows: &[&[&str]]| writes(Operation::Update, rows);
    assert_eq!(
        bench.write(&update(&[&["c1", "", ""], &["c2", "", ""]])).await.expect_err("refused").class,
        FaultClass::Split
    );
    assert_eq!(rejection(&bench.verdicts(&update(&[&["c1", "", ""]])).await[0]).0, "OBJECT_NOT_FOUND");
    let clear = removals(Operation::Clear, vec![by_id("51")]);
    assert_eq!(bench.verdicts(&clear).await, [Verdict::Unchanged]);
}

#[tokio::test]
async fn a_look_up_that_fails_is_known_to_have_written_nothing() {
    let server = scripted(500, &[], "").await;
    let bench = open(&server.url, &CONTACTS);
    let fault = bench.write(&removals(Operation::Archive, vec![by_value("c1")])).await.expect_err("500");
    assert_eq!(fault.class, FaultClass::Transient);
}
