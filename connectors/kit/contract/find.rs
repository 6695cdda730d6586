//! What destinations must answer that look for records whose ids are not remembered.

use std::sync::Arc;

use super::http::{Case, HttpSubject, calls, serve};
use super::subject::{FIRST_OP, NOWHERE, open, verdicts, write};
use super::{Received, Reply, Scripted};
use crate::batch::{Address, Batch, Delivery, Operation, Verdict};
use crate::fault::{Fault, FaultClass};

/// A destination that looks for records.
pub trait FindSubject: HttpSubject {
    /// The answer to a question for the records of match values, where the one of `id` has `value`, and nobody has
    /// anything else; `None` where `request` is no such question.
    fn look_up(&self, value: &str, id: Option<&str>, request: &Received) -> Option<Scripted>;
}

/// Of rows whose ids were never learnt, what they were found by.
const VALUE: &str = "old-58d1";

/// One row, whose record is looked for.
struct Found {
    operation: Operation,
    id: String,
    result: Result<Verdict, Fault>,
    /// The calls, and whether each was a question.
    calls: Vec<(bool, Received)>,
}

/// Sends a row without its id, of every operation that looks for such; questions are answered by `reply`.
async fn found<S: FindSubject + 'static>(
    subject: &Arc<S>,
    reply: impl Fn(&S, &str, &Received) -> Option<Reply> + Send + Sync + Copy + 'static,
) -> Vec<Found> {
    let mut all = Vec::new();
    for operation in subject.operations().into_iter().filter(|operation| *operation != Operation::Create) {
        if open(&**subject, &*subject.prepare(NOWHERE)).finder(operation).is_none() {
            continue;
        }
        let row = subject.row(operation, FIRST_OP);
        let batch = |row| Batch { operation, seq: 0, last: true, rows: vec![row] };
        // Answers to writes are those to a row whose id is known.
        let (answering, known) = (subject.clone(), batch(row.clone()));
        let id = row.address.remote_id.clone().expect("the row of an operation that names records by their ids");
        let sought = id.clone();
        let server = serve(subject, move |request| {
            let accepted = || Reply::Answer(answering.answer(Case::AllAccepted, &known, request));
            reply(&answering, &sought, request).unwrap_or_else(accepted)
        })
        .await;
        let prepared = subject.prepare(server.url());
        let mut row = row;
        row.address = Address { remote_id: None, match_value: Some(VALUE.to_owned()) };
        let batch = batch(row);
        let result = write(&*open(&**subject, &*prepared), &*prepared, &batch).await;
        let result = result.map(|delivery: Delivery| verdicts(&batch, delivery).remove(0));
        let is_question = |request: &Received| subject.look_up(VALUE, None, request).is_some();
        let calls = calls(&**subject, &server).into_iter().map(|call| (is_question(&call), call)).collect();
        all.push(Found { operation, id, result, calls });
    }
    assert!(!all.is_empty(), "no operation looks for records");
    all
}

/// A record that is found is written to by its id.
pub async fn a_record_that_is_found_is_written_by_its_id<S: FindSubject + 'static>(subject: S) {
    let told = |subject: &S, id: &str, request: &Received| subject.look_up(VALUE, Some(id), request).map(Reply::Answer);
    for Found { operation, id, result, calls } in found(&Arc::new(subject), told).await {
        let verdict = result.unwrap_or_else(|fault| panic!("{operation:?}: {fault}"));
        assert!(matches!(verdict, Verdict::Written { .. } | Verdict::Unchanged), "{operation:?}: {verdict:?}");
        let (question, write) = (&calls[0], &calls[1]);
        assert!(question.0 && !write.0, "{operation:?}: a question, then a write");
        let says = format!("{} {}", write.1.target, String::from_utf8_lossy(&write.1.body));
        assert!(says.contains(&id), "{operation:?}: {says} is not about {id}");
    }
}

/// A removal of a record that is nowhere is done, and no call is made of it.
pub async fn a_removal_of_a_record_that_is_nowhere_is_done<S: FindSubject + 'static>(subject: S) {
    let told = |subject: &S, _: &str, request: &Received| subject.look_up(VALUE, None, request).map(Reply::Answer);
    for Found { operation, result, calls, .. } in found(&Arc::new(subject), told).await {
        if operation.is_removal() {
            assert_eq!(result.unwrap_or_else(|fault| panic!("{operation:?}: {fault}")), Verdict::Unchanged);
            assert!(calls.iter().all(|(is_question, _)| *is_question), "{operation:?}: a call was made");
        }
    }
}

/// Whatever becomes of the question, nothing was written, and no row has a verdict.
pub async fn a_question_without_an_answer_writes_nothing<S: FindSubject + 'static>(subject: S) {
    let subject = Arc::new(subject);
    let is_question = |subject: &S, request: &Received| subject.look_up(VALUE, None, request);
    let silent = move |subject: &S, _: &str, request: &Received| is_question(subject, request).map(|_| Reply::Lost);
    let broken = move |subject: &S, _: &str, request: &Received| {
        is_question(subject, request).map(|_| Reply::Answer(Scripted::empty(500)))
    };
    let page = move |subject: &S, _: &str, request: &Received| {
        is_question(subject, request).map(|_| Reply::Answer(Scripted::of(200, "text/html", "<html>Sign in</html>")))
    };
    let cut = move |subject: &S, _: &str, request: &Received| is_question(subject, request).map(Reply::Truncated);
    for all in [
        found(&subject, silent).await,
        found(&subject, broken).await,
        found(&subject, page).await,
        found(&subject, cut).await,
    ] {
        for Found { operation, result, calls, .. } in all {
            let fault = result.expect_err("no answer");
            assert_eq!(fault.class, FaultClass::Transient, "{operation:?}: {fault}");
            assert!(calls.iter().all(|(is_question, _)| *is_question), "{operation:?}: a write");
        }
    }
}
