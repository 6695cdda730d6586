//! What destinations over HTTP must answer: what each kind of answer does to rows.

use std::sync::Arc;
use std::time::Duration;

use super::subject::{CANARY, NOWHERE, Subject, batch, open, verdicts, write};
use super::{Received, Reply, Scripted, Server, run};
use crate::batch::{Batch, Delivery, Verdict};
use crate::facts::Evidence;
use crate::fault::{Fault, FaultClass};
use crate::find;

/// A destination over HTTP under test.
///
/// The answers are functions without state: `request` and `batch` say what is asked.
pub trait HttpSubject: Subject {
    /// The answer to a call of `batch`, in the vendor's form.
    fn answer(&self, case: Case, batch: &Batch, request: &Received) -> Scripted;

    /// The answer to a call that asks for an access token, where the destination needs one. Such calls always go well,
    /// and are not counted.
    fn token(&self, request: &Received) -> Option<Scripted> {
        let _ = request;
        None
    }
}

/// What an answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Case {
    /// Every row was accepted.
    AllAccepted,
    /// The row at that place was refused for good, the others were accepted. Where an answer cannot say so,
    /// the whole call was refused and nothing was applied.
    OneRefused(usize),
    /// Every row was refused for good.
    AllRefused,
    /// Too many calls; the suite adds `Retry-After`.
    Throttled,
    /// The credential has expired.
    AuthExpired,
    /// A status of success that names no row.
    NamesNoRow,
    /// Like `AllAccepted`, with members in the answer and in its results that nobody has heard of.
    UnknownField,
}

/// The wait that a throttled answer asks for.
const WAIT: Duration = Duration::from_secs(7);
/// Rows of a batch, where a call takes as many.
const ROWS: usize = 3;

/// One batch sent to a server, and what came of it.
pub(super) struct Exchange {
    pub(super) batch: Batch,
    evidence: Evidence,
    pub(super) result: Result<Delivery, Fault>,
    pub(super) received: Vec<Received>,
}

impl Exchange {
    /// The verdicts; panics on a fault.
    fn verdicts(self) -> Vec<Verdict> {
        let delivery = self.result.unwrap_or_else(|fault| panic!("{:?}: {fault}", fault.class));
        verdicts(&self.batch, delivery)
    }

    /// The fault; panics where there is none.
    pub(super) fn fault(self) -> Fault {
        match self.result {
            Ok(delivery) => panic!("expected a fault, got {delivery:?}"),
            Err(fault) => {
                assert!(!fault.message.contains(CANARY), "a secret in: {fault}");
                fault
            }
        }
    }

    /// Nothing may count as accepted: a fault of class `Ambiguous`, or rows without exception unknown.
    fn nothing_is_known(self) {
        match self.result {
            Err(fault) => assert_eq!(fault.class, FaultClass::Ambiguous, "{fault}"),
            Ok(delivery) => {
                let verdicts = verdicts(&self.batch, delivery);
                assert!(verdicts.iter().all(|v| *v == Verdict::Unknown), "{verdicts:?}");
            }
        }
    }
}

/// Sends a batch of at most `rows` rows of every operation to a server that replies by `reply`.
pub(super) async fn exchanges<S: HttpSubject + 'static>(
    subject: S,
    rows: usize,
    reply: impl Fn(&S, &Batch, &Received) -> Reply + Send + Sync + Copy + 'static,
) -> Vec<Exchange> {
    let subject = Arc::new(subject);
    let mut exchanges = Vec::new();
    for operation in subject.operations() {
        let batch = batch(&*subject, &*subject.prepare(NOWHERE), operation, rows);
        let (answering, asked) = (subject.clone(), batch.clone());
        let server = serve(&subject, move |request| reply(&answering, &asked, request)).await;
        let prepared = subject.prepare(server.url());
        let result = write(&*open(&*subject, &*prepared), &*prepared, &batch).await;
        let evidence = prepared.facts(operation).evidence;
        exchanges.push(Exchange { batch, evidence, result, received: calls(&*subject, &server) });
    }
    exchanges
}

/// A server that gives tokens, and answers everything else by `reply`.
pub(super) async fn serve<S: HttpSubject + 'static>(
    subject: &Arc<S>,
    reply: impl Fn(&Received) -> Reply + Send + Sync + 'static,
) -> Server {
    let subject = subject.clone();
    Server::start(move |request| subject.token(request).map_or_else(|| reply(request), Reply::Answer)).await
}

/// The calls that a server received, but for those that ask for a token.
pub(super) fn calls(subject: &impl HttpSubject, server: &Server) -> Vec<Received> {
    server.received().into_iter().filter(|request| subject.token(request).is_none()).collect()
}

async fn answered<S: HttpSubject + 'static>(subject: S, rows: usize, case: Case) -> Vec<Exchange> {
    exchanges(subject, rows, move |subject, batch, request| Reply::Answer(subject.answer(case, batch, request))).await
}

/// An empty batch makes no call.
pub async fn an_empty_batch_makes_no_call(subject: impl HttpSubject + 'static) {
    for exchange in answered(subject, 0, Case::AllAccepted).await {
        assert_eq!(exchange.received.len(), 0, "{:?}", exchange.batch.operation);
        assert_eq!(exchange.verdicts(), []);
    }
}

/// Whether `shown` is `sent` with something else wherever the secret stands in it.
fn is_masked(shown: &str, sent: &str) -> bool {
    let mut rest = shown;
    for (number, part) in sent.split(CANARY).enumerate() {
        match rest.find(part) {
            Some(at) if at == 0 || number > 0 => rest = &rest[at + part.len()..],
            _ => return false,
        }
    }
    // Where the secret stands last, its mask is what is left.
    rest.is_empty() || sent.ends_with(CANARY)
}

/// A preview makes no call, and shows the call that is then made.
pub async fn a_preview_makes_no_call(subject: impl HttpSubject + 'static) {
    let subject = Arc::new(subject);
    let server = serve(&subject, |_| Reply::Lost).await;
    let prepared = subject.prepare(server.url());
    let destination = open(&*subject, &*prepared);
    for operation in subject.operations() {
        let (all, before) = (server.received().len(), calls(&*subject, &server).len());
        let batch = batch(&*subject, &*prepared, operation, ROWS);
        let preview = find::preview(&*destination, &run(), &batch).expect("the batch can be rendered");
        assert_eq!(server.received().len(), all, "{operation:?}: a preview made a call");
        let _ = write(&*destination, &*prepared, &batch).await;
        let received = calls(&*subject, &server);
        let (call, shown) = (&received[before], &preview[0]);
        assert_eq!(shown.method, call.method, "{operation:?}");
        assert!(shown.target.ends_with(&call.target), "{operation:?}: {} is not {}", shown.target, call.target);
        let sent = String::from_utf8_lossy(&call.body);
        assert!(is_masked(&shown.body, &sent), "{operation:?}: {} is not {sent}", shown.body);
    }
}

/// Full success: every row is written.
pub async fn full_success_is_written(subject: impl HttpSubject + 'static) {
    for exchange in answered(subject, ROWS, Case::AllAccepted).await {
        let verdicts = exchange.verdicts();
        assert!(verdicts.iter().all(is_accepted), "{verdicts:?}");
    }
}

/// Partial success: the refused row is rejected with a reason; the others are accepted where the answer
/// names rows, and otherwise the batch is to be cut until the bad row is alone and rejected.
pub async fn a_refused_row_is_rejected_and_the_others_are_not<S: HttpSubject + Clone + 'static>(subject: S) {
    for place in 0..ROWS {
        for exchange in answered(subject.clone(), ROWS, Case::OneRefused(place)).await {
            if exchange.batch.rows.len() < ROWS {
                continue;
            }
            // A job, too, may tell of each row.
            if exchange.evidence == Evidence::Row || exchange.evidence == Evidence::Job && exchange.result.is_ok() {
                let verdicts = exchange.verdicts();
                assert_reason(&verdicts[place]);
                let others = verdicts.iter().enumerate().filter(|(other, _)| *other != place);
                assert!(others.into_iter().all(|(_, verdict)| is_accepted(verdict)), "{verdicts:?}");
            } else {
                assert_eq!(exchange.fault().class, FaultClass::Split);
            }
        }
    }
    for exchange in answered(subject, 1, Case::OneRefused(0)).await {
        assert_reason(&exchange.verdicts()[0]);
    }
}

/// No success: no row is accepted, and each has a reason (or the batch is to be cut).
pub async fn no_success_is_no_row_written(subject: impl HttpSubject + 'static) {
    for exchange in answered(subject, ROWS, Case::AllRefused).await {
        match exchange.result {
            Err(fault) => assert_eq!(fault.class, FaultClass::Split, "{fault}"),
            Ok(delivery) => verdicts(&exchange.batch, delivery).iter().for_each(assert_reason),
        }
    }
}

/// A throttled call is a fault that carries the wait; no row of it counts as refused.
pub async fn throttling_is_passed_on_with_its_wait(subject: impl HttpSubject + 'static) {
    let reply = |subject: &_, batch: &Batch, request: &Received| {
        let answer = HttpSubject::answer(subject, Case::Throttled, batch, request);
        Reply::Answer(answer.header("retry-after", &WAIT.as_secs().to_string()))
    };
    for exchange in exchanges(subject, ROWS, reply).await {
        assert_eq!(exchange.received.len(), 1, "the engine decides when to try again");
        let fault = exchange.fault();
        assert_eq!(fault.class, FaultClass::Throttled, "{fault}");
        assert_eq!(fault.retry_after, Some(WAIT));
    }
}

/// An expired credential is a fault of its own, with a remedy and without the credential.
pub async fn an_expired_credential_is_an_auth_fault(subject: impl HttpSubject + 'static) {
    for exchange in answered(subject, ROWS, Case::AuthExpired).await {
        let fault = exchange.fault();
        assert_eq!(fault.class, FaultClass::Auth, "{fault}");
        assert!(!fault.remedy_text().is_empty());
    }
}

/// The call was applied and its answer lost.
pub async fn a_lost_answer_is_never_success(subject: impl HttpSubject + 'static) {
    for exchange in exchanges(subject, ROWS, |_, _, _| Reply::Lost).await {
        assert_eq!(exchange.received.len(), 1, "the call was made once");
        let fault = exchange.fault();
        assert_eq!(fault.class, FaultClass::Ambiguous, "{fault}");
    }
}

/// The answer broke off half-way.
pub async fn a_truncated_answer_is_never_success(subject: impl HttpSubject + 'static) {
    let reply = |subject: &_, batch: &Batch, request: &Received| {
        let mut answer = HttpSubject::answer(subject, Case::AllAccepted, batch, request);
        // A status that forbids a body cannot be cut off.
        answer.status = if answer.status == 204 { 200 } else { answer.status };
        Reply::Truncated(answer)
    };
    for exchange in exchanges(subject, ROWS, reply).await {
        let fault = exchange.fault();
        assert_eq!(fault.class, FaultClass::Ambiguous, "{fault}");
    }
}

/// Nobody listens: known not to be applied.
pub async fn a_server_that_cannot_be_reached_is_transient(subject: impl HttpSubject + 'static) {
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("a bound address"));
    drop(listener);
    let prepared = subject.prepare(&url);
    for operation in subject.operations() {
        let batch = batch(&subject, &*prepared, operation, ROWS);
        let fault = write(&*open(&subject, &*prepared), &*prepared, &batch).await.expect_err("nobody listens");
        assert_eq!(fault.class, FaultClass::Transient, "{fault}");
    }
}

/// Success that names no row proves nothing, where rows are what counts as proof.
pub async fn an_answer_that_names_no_row_leaves_all_unknown(subject: impl HttpSubject + 'static) {
    for exchange in answered(subject, ROWS, Case::NamesNoRow).await {
        if exchange.evidence == Evidence::Row {
            let verdicts = exchange.verdicts();
            assert!(verdicts.iter().all(|v| *v == Verdict::Unknown), "{verdicts:?}");
        }
    }
}

/// Members that nobody has heard of change nothing.
pub async fn an_unknown_field_in_the_answer_is_ignored<S: HttpSubject + Clone + 'static>(subject: S) {
    let plain = answered(subject.clone(), ROWS, Case::AllAccepted).await;
    let strange = answered(subject, ROWS, Case::UnknownField).await;
    for (plain, strange) in plain.into_iter().zip(strange) {
        assert_eq!(strange.verdicts(), plain.verdicts());
    }
}

/// A login page or a proxy's greeting, with status 200.
pub async fn a_page_of_html_is_never_success(subject: impl HttpSubject + 'static) {
    let page = "<!doctype html><html><title>Sign in</title></html>";
    for exchange in exchanges(subject, ROWS, move |_, _, _| Reply::Answer(Scripted::of(200, "text/html", page))).await {
        exchange.nothing_is_known();
    }
}

/// A 500 leaves open whether the call was applied.
pub async fn an_error_of_the_server_is_ambiguous(subject: impl HttpSubject + 'static) {
    for exchange in exchanges(subject, ROWS, |_, _, _| Reply::Answer(Scripted::empty(500))).await {
        let fault = exchange.fault();
        assert_eq!(fault.class, FaultClass::Ambiguous, "{fault}");
    }
}

fn is_accepted(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Written { .. } | Verdict::Unchanged)
}

fn assert_reason(verdict: &Verdict) {
    match verdict {
        Verdict::Rejected(reason) => {
            assert!(!reason.code.is_empty() && !reason.text.is_empty(), "a reason without words: {reason:?}");
        }
        other => panic!("expected a rejection, got {other:?}"),
    }
}
