//! What each answer does to rows, and to the pace.

use std::time::Duration;

use backhaul_kit::FaultClass;
use backhaul_kit::contract::{Received, Reply, Scripted, Server};
use backhaul_kit::http::limit::Limiter;

use super::*;
use crate::destinations::meta::answer::{Taken, taken};

/// Writes a batch to a server that always answers this.
async fn answered(batch: &Batch, status: u16, body: &Json) -> Result<Vec<Verdict>, Fault> {
    let answer = Scripted::json(status, body);
    let server = Server::start(move |_| Reply::Answer(answer.clone())).await;
    Bench::open(server.url(), FIELDS).write(batch).await
}

fn two() -> Batch {
    additions(&[("1", "a@example.com"), ("2", "b@example.com")])
}

#[tokio::test]
async fn counts_that_do_not_add_up_prove_nothing() {
    for body in [
        json!({}),
        json!({ "num_received": 2 }),
        json!({ "num_invalid_entries": 0 }),
        json!({ "num_received": 1, "num_invalid_entries": 0 }),
        json!({ "num_received": 3, "num_invalid_entries": 1 }),
        json!({ "num_received": 2, "num_invalid_entries": 3 }),
        json!({ "num_received": -2, "num_invalid_entries": 0 }),
    ] {
        assert_eq!(
            answered(&two(), 200, &body).await.expect("verdicts"),
            [Verdict::Unknown, Verdict::Unknown],
            "{body}"
        );
    }
    for body in [json!([1]), json!("ok"), json!(null)] {
        assert_eq!(answered(&two(), 200, &body).await.expect_err("no counts").class, FaultClass::Ambiguous, "{body}");
    }
}

#[tokio::test]
async fn codes_have_their_classes() {
    for (code, subcode, class) in [
        (4, None, FaultClass::Throttled),
        (17, None, FaultClass::Throttled),
        (613, None, FaultClass::Throttled),
        (80_003, None, FaultClass::Throttled),
        (80_004, None, FaultClass::Throttled),
        (1, None, FaultClass::Ambiguous),
        (2, None, FaultClass::Ambiguous),
        (2650, None, FaultClass::Ambiguous),
        (190, Some(463), FaultClass::Auth),
        (200, None, FaultClass::Auth),
        (294, None, FaultClass::Auth),
        (368, None, FaultClass::Auth),
        (105, None, FaultClass::Split),
        (100, Some(1_713_230), FaultClass::Config),
        (100, None, FaultClass::Config),
        (4711, None, FaultClass::Config),
    ] {
        let mut error = json!({ "message": "secret words", "code": code });
        if let Some(subcode) = subcode {
            error["error_subcode"] = json!(subcode);
        }
        let fault = answered(&two(), 400, &json!({ "error": error })).await.expect_err("refused");
        assert_eq!(fault.class, class, "{code}");
        assert!(fault.message.contains(&code.to_string()) && !fault.message.contains("secret"), "{}", fault.message);
    }
    let flagged = json!({ "error": { "code": 100, "error_subcode": 1_713_230 } });
    assert!(answered(&two(), 400, &flagged).await.expect_err("flagged").remedy_text().contains("appeal"));
    // A status of success does not make an error one, and one of failure needs no JSON.
    let fault = answered(&two(), 200, &json!({ "error": { "code": 190 } })).await.expect_err("refused");
    assert_eq!(fault.class, FaultClass::Auth);
    let fault = answered(&two(), 200, &json!({ "error": { "code": 4711 } })).await.expect_err("refused");
    assert_eq!(fault.class, FaultClass::Ambiguous);
    assert_eq!(answered(&two(), 413, &json!(null)).await.expect_err("too large").class, FaultClass::Split);
    assert_eq!(answered(&two(), 503, &json!(null)).await.expect_err("down").class, FaultClass::Ambiguous);
}

/// An answer with these usage headers, as the limiter hears it that may use so much of the quota.
async fn heard(
    headers: &'static [(&'static str, &'static str)],
    body: Json,
    most: f64,
) -> (Limiter, Result<Taken, Fault>) {
    let reply = move |_: &Received| {
        let answer = Scripted::json(if body.get("error").is_some() { 400 } else { 200 }, &body);
        Reply::Answer(headers.iter().fold(answer, |answer, (name, value)| answer.header(name, value)))
    };
    let server = Server::start(reply).await;
    let url = server.url().parse().expect("a URL");
    let request = backhaul_kit::http::Request::new(reqwest::Method::GET, url);
    let answer = crate::destinations::described::client().send(request).await.expect("an answer");
    let limiter = Limiter::new(&[]);
    let said = taken(&answer, 2, &limiter, most);
    (limiter, said)
}

/// How many minutes the next call would have to wait.
async fn wait(limiter: &Limiter) -> f64 {
    let wait = limiter.acquire_within(Duration::ZERO).await.err().unwrap_or_default();
    (wait.as_secs_f64() / 6.0).round() / 10.0
}

#[tokio::test]
async fn the_usage_headers_say_when_the_next_call_may_go_out() {
    const BUSINESS: &str = "X-Business-Use-Case-Usage";
    let all = json!({ "num_received": 2, "num_invalid_entries": 0 });
    for (headers, most, minutes) in [
        (
            &[(BUSINESS, r#"{"b":[{"call_count":60,"total_cputime":98,"estimated_time_to_regain_access":0}]}"#)][..],
            1.0,
            0.0,
        ),
        // An hour after the call that was answered, which is the only one, it takes nothing any more.
        (
            &[(BUSINESS, r#"{"b":[{"call_count":28,"total_time":99}]}"#), ("X-App-Usage", r#"{"call_count":9}"#)],
            1.0,
            60.0,
        ),
        (&[("X-App-Usage", r#"{"call_count":100,"total_time":2,"total_cputime":3}"#)], 1.0, 60.0),
        (&[(BUSINESS, r#"{"b":[{"call_count":49}]}"#)], 0.5, 0.0),
        (&[(BUSINESS, r#"{"b":[{"call_count":50}]}"#)], 0.5, 60.0),
        (&[(BUSINESS, r#"{"b":[{"call_count":10,"estimated_time_to_regain_access":7}]}"#)], 1.0, 7.0),
        // A score decays.
        (&[("X-Ad-Account-Usage", r#"{"acc_id_util_pct":75.0,"reset_time_duration":225}"#)], 1.0, 0.0),
        (&[("X-Ad-Account-Usage", r#"{"acc_id_util_pct":87.5,"reset_time_duration":240}"#)], 1.0, 2.0),
        (&[("X-Ad-Account-Usage", r#"{"acc_id_util_pct":130.5}"#)], 1.0, 5.0),
        (&[(BUSINESS, "nonsense")], 1.0, 0.0),
        (&[], 1.0, 0.0),
    ] {
        let (limiter, said) = heard(headers, all.clone(), most).await;
        assert_eq!((said.expect("counts"), wait(&limiter).await), (Taken::All, minutes), "{headers:?}");
    }
}

#[tokio::test]
async fn a_throttled_call_waits_as_long_as_the_header_says() {
    let error = json!({ "error": { "code": 80_003 } });
    let usage = &[("X-Business-Use-Case-Usage", r#"{"b":[{"call_count":98,"estimated_time_to_regain_access":3}]}"#)];
    let (limiter, said) = heard(usage, error.clone(), 1.0).await;
    let fault = said.expect_err("throttled");
    assert_eq!((fault.class, fault.retry_after), (FaultClass::Throttled, Some(Duration::from_secs(180))));
    assert_eq!(wait(&limiter).await, 3.0);
    // Where nobody says how long, the account is left alone for as long as Meta may block it.
    let (limiter, said) = heard(&[("X-App-Usage", r#"{"call_count":100}"#)], error.clone(), 1.0).await;
    assert_eq!(said.expect_err("throttled").retry_after, Some(Duration::from_secs(300)));
    assert_eq!(wait(&limiter).await, 60.0);
    let (limiter, said) = heard(&[], error, 1.0).await;
    assert_eq!((said.expect_err("throttled").retry_after, wait(&limiter).await), (None, 5.0));
}

#[tokio::test]
async fn what_the_first_call_of_a_changed_row_did_is_not_forgotten_by_the_fault_of_the_second() {
    let row = || {
        batch(
            Operation::Move,
            1,
            true,
            vec![(
                Address { match_value: Some("EXTERN_ID=old".into()), remote_id: None },
                person("new", "a@example.com"),
            )],
        )
    };
    let second = |status: u16, body: Json| {
        Server::start(move |request| {
            let taken = json!({ "num_received": 1, "num_invalid_entries": 0 });
            Reply::Answer(if request.method == "DELETE" {
                Scripted::json(200, &taken)
            } else {
                Scripted::json(status, &body)
            })
        })
    };
    for code in [17, 190, 100] {
        let server = second(400, json!({ "error": { "code": code } })).await;
        let fault = Bench::open(server.url(), FIELDS).write(&row()).await.expect_err("refused");
        assert_eq!((fault.class, server.received().len()), (FaultClass::Ambiguous, 2), "{code}");
    }
    let server = second(200, json!({ "num_received": 1, "num_invalid_entries": 1 })).await;
    assert_eq!(
        Bench::open(server.url(), FIELDS).verdicts(&row()).await,
        [Verdict::Unknown],
        "it is neither as it was nor as it is"
    );
}
