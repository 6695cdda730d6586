//! Refusals of whole calls, in every form that they come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::http::{Case, HttpSubject, calls, exchanges, serve};
use super::subject::{FIRST_OP, NOWHERE, batch, open, write};
use super::{Received, Reply, Scripted};
use crate::batch::{Batch, Delivery, Verdict};
use crate::fault::FaultClass;

/// Rows of a batch, where a call takes as many.
const ROWS: usize = 3;
/// Caps beyond this are none.
const MOST_ROWS: usize = 100_000;

/// A status that refuses a call counts for no row, whether JSON, a page or nothing comes with it. A removal may take
/// 404 and 410 for a record that is gone.
pub async fn a_refused_call_is_no_success<S: HttpSubject + Clone + 'static>(subject: S) {
    for status in [400, 403, 404, 405, 409, 410, 413, 422, 429, 501, 502, 503, 504] {
        for (kind, body) in [("application/json", "{}"), ("text/html", "<html>no</html>"), ("text/plain", "")] {
            let reply = move |_: &S, _: &Batch, _: &Received| Reply::Answer(Scripted::of(status, kind, body));
            for exchange in exchanges(subject.clone(), ROWS, reply).await {
                let gone = exchange.batch.operation.is_removal() && matches!(status, 404 | 410);
                match exchange.result {
                    Ok(Delivery::Settled(outcomes)) => {
                        let taken = outcomes.into_vec().iter().any(|(_, verdict)| is_taken(verdict));
                        assert!(
                            !taken || gone,
                            "{:?}: {status} {kind} was taken for success",
                            exchange.batch.operation
                        );
                    }
                    Ok(other) => panic!("{:?}: {status} {kind} came to {other:?}", exchange.batch.operation),
                    // What a gateway says leaves open whether the call was applied.
                    Err(fault) if matches!(status, 502 | 504) => {
                        assert_eq!(fault.class, FaultClass::Ambiguous, "{status} {kind}: {fault}");
                    }
                    Err(fault) => assert_ne!(fault.class, FaultClass::Bug, "{status} {kind}: {fault}"),
                }
            }
        }
    }
}

/// A call of several rows that is too large is to be cut.
pub async fn a_call_that_is_too_large_is_cut<S: HttpSubject + 'static>(subject: S) {
    for exchange in exchanges(subject, ROWS, |_, _, _| Reply::Answer(Scripted::empty(413))).await {
        if exchange.batch.rows.len() > 1 && exchange.received.len() == 1 {
            assert_eq!(exchange.fault().class, FaultClass::Split);
        }
    }
}

/// One row more than a call takes, the engine's mistake, is cut without a call.
pub async fn one_row_more_than_a_call_takes_is_cut<S: HttpSubject + 'static>(subject: S) {
    let subject = Arc::new(subject);
    for operation in subject.operations() {
        let server = serve(&subject, |_| Reply::Answer(Scripted::empty(500))).await;
        let prepared = subject.prepare(server.url());
        let caps = [0, u64::MAX].map(|rows| prepared.facts_for(operation, rows).max_rows);
        let Some(most) = caps.into_iter().max().filter(|most| *most <= MOST_ROWS) else { continue };
        let rows = (0..=most as u64).map(|n| subject.row(operation, FIRST_OP + n)).collect();
        let batch = Batch { operation, seq: 0, last: true, rows };
        let fault = write(&*open(&*subject, &*prepared), &*prepared, &batch).await.expect_err("too many rows");
        assert_eq!(fault.class, FaultClass::Split, "{operation:?}: {fault}");
        assert_eq!(calls(&*subject, &server).len(), 0, "{operation:?}: a call was made");
    }
}

/// Throttling is known with a wait in seconds, as a date, with one that is no time, and without.
pub async fn throttling_is_known_in_every_form<S: HttpSubject + Clone + 'static>(subject: S) {
    let forms = [
        None,
        Some("1"),
        Some("Wed, 21 Oct 2015 07:28:00 GMT"),
        Some("soon"),
        Some("-5"),
        Some("99999999999999999999"),
    ];
    for form in forms {
        let reply = move |subject: &S, batch: &Batch, request: &Received| {
            let answer = subject.answer(Case::Throttled, batch, request);
            Reply::Answer(match form {
                Some(wait) => answer.header("retry-after", wait),
                None => answer,
            })
        };
        for exchange in exchanges(subject.clone(), ROWS, reply).await {
            let fault = exchange.fault();
            assert_eq!(fault.class, FaultClass::Throttled, "{form:?}: {fault}");
        }
    }
}

/// A credential that was good for the last call and is not for this one stops the run.
pub async fn a_credential_that_expires_on_the_way_is_told<S: HttpSubject + 'static>(subject: S) {
    let subject = Arc::new(subject);
    for operation in subject.operations() {
        let batch = batch(&*subject, &*subject.prepare(NOWHERE), operation, ROWS);
        let expired = Arc::new(AtomicBool::new(false));
        let (answering, asked, now) = (subject.clone(), batch.clone(), expired.clone());
        let server = serve(&subject, move |request| {
            let case = if now.load(Ordering::Relaxed) { Case::AuthExpired } else { Case::AllAccepted };
            Reply::Answer(answering.answer(case, &asked, request))
        })
        .await;
        let prepared = subject.prepare(server.url());
        let destination = open(&*subject, &*prepared);
        write(&*destination, &*prepared, &batch).await.expect("the credential is good");
        expired.store(true, Ordering::Relaxed);
        let fault = write(&*destination, &*prepared, &batch).await.expect_err("the credential is no longer good");
        assert_eq!(fault.class, FaultClass::Auth, "{operation:?}: {fault}");
    }
}

fn is_taken(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Written { .. } | Verdict::Unchanged)
}
