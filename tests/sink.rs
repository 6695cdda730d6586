//! The sink does what the tests rely on: it is tested before anything is judged by it.

use std::time::Duration;

use crate::support::journal::Change;
use crate::support::judge::{applied_since, keys};
use crate::support::project::TOKEN;
use crate::support::sink_process::Sink;

const ROWS: &str = r#"[{"id": 1, "name": "a"}, {"id": "two", "name": "[{\"b\"},]"}, {"id": 3}]"#;

fn post(sink: &Sink, body: &str) -> (u16, serde_json::Value) {
    let (status, body) = sink.request("POST", "/rows", "idempotency-key: k1\r\n", body).expect("an answer");
    (status, serde_json::from_str(&body).expect("JSON"))
}

#[test]
fn the_sink_journals_what_it_applied() {
    let sink = Sink::start();
    sink.reject(&[3], "INVALID", "no three");
    let (status, answer) = post(&sink, ROWS);
    assert_eq!(status, 200);
    assert_eq!(answer["results"][1]["ok"], true);
    assert_eq!(answer["results"][2]["error"]["message"], "no three");
    let (status, _) = sink.request("DELETE", "/rows", "", r#"["two", {"id": 1}]"#).expect("an answer");
    assert_eq!(status, 200);

    let rows = applied_since(&sink, 0);
    assert_eq!(keys(&rows, Change::Put), ["1".to_owned(), "two".to_owned()].into());
    assert_eq!(keys(&rows, Change::Delete), keys(&rows, Change::Put));
    assert_eq!(rows[0].body.as_ref().expect("a body")["name"], "a");
    assert_eq!(rows[0].idempotency_key.as_deref(), Some("k1"));
    assert_eq!((rows[1].call, rows[2].call), (0, 1));
    let stats = sink.stats();
    assert_eq!((stats.calls, stats.rows, stats.puts, stats.deletes, stats.rejected), (2, 4, 2, 2, 1));
}

#[test]
fn a_row_of_its_own_path_is_written_and_removed() {
    let sink = Sink::start();
    sink.reject(&[2], "INVALID", "no two");
    let put = |id: &str| sink.request("PUT", &format!("/rows/{id}"), "", r#"{"id": 1}"#).expect("an answer").0;
    assert_eq!((put("1"), put("2")), (200, 422));
    assert_eq!(sink.request("DELETE", "/rows/1", "", "").expect("an answer").0, 200);
    let rows = applied_since(&sink, 0);
    let changes: Vec<Change> = rows.iter().map(|row| row.change).collect();
    assert_eq!(changes, [Change::Put, Change::Delete]);
}

#[test]
fn refusals_apply_nothing_and_come_in_the_order_they_were_asked_for() {
    let sink = Sink::start();
    sink.answer(500, 1);
    sink.throttle(Duration::from_secs(7));
    assert_eq!(post(&sink, ROWS).0, 500);
    assert_eq!(post(&sink, ROWS).0, 429);
    assert_eq!(sink.stats().rows, 0);
    assert_eq!(post(&sink, ROWS).0, 200);
    let statuses: Vec<_> = sink.calls().iter().map(|call| call.status).collect();
    assert_eq!(statuses, [Some(500), Some(429), Some(200)]);
}

#[test]
fn a_lost_answer_is_applied_and_the_connection_closes_without_a_byte() {
    let sink = Sink::start();
    sink.lose_answers(1, 1);
    assert_eq!(post(&sink, ROWS).0, 200);
    let lost = sink.request("POST", "/rows", "", ROWS).expect_err("no answer");
    assert!(matches!(lost.kind(), std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset), "{lost}");
    assert_eq!(sink.stats().rows, 6);
    assert_eq!(post(&sink, ROWS).0, 200);
}

#[test]
fn a_held_answer_comes_when_it_is_released() {
    let sink = Sink::start();
    sink.hold_after(3);
    std::thread::scope(|scope| {
        let held = scope.spawn(|| post(&sink, ROWS).0);
        while sink.stats().rows < 3 {
            std::thread::yield_now();
        }
        assert_eq!(sink.calls()[0].status, None);
        sink.release();
        assert_eq!(held.join().expect("the client"), 200);
    });
}

#[test]
fn a_sink_with_a_token_refuses_other_tokens() {
    let sink = Sink::with(&["--token", TOKEN]);
    let status = |headers: &str| sink.request("POST", "/rows", headers, ROWS).expect("an answer").0;
    assert_eq!(status(""), 401);
    assert_eq!(status("authorization: Bearer other\r\n"), 401);
    assert_eq!(status(&format!("authorization: Bearer {TOKEN}\r\n")), 200);
}

#[test]
fn a_sink_that_only_counts_counts_rows_without_parsing_them() {
    let sink = Sink::with(&["--count-only"]);
    for body in [ROWS, "[]", "[{}]", r#"["a", "b"]"#, "[1, 2]", r#"[[1, 2], {"x": [3, {"y": "\"]"}]}]"#] {
        assert_eq!(sink.request("POST", "/rows", "", body).expect("an answer").0, 200);
    }
    assert_eq!((sink.stats().calls, sink.stats().rows), (6, 3 + 1 + 2 + 2 + 2));
    assert_eq!(std::fs::read(sink.journal()).expect("a journal"), b"");
}
