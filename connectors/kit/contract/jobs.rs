//! What destinations whose calls become jobs must answer.

use std::sync::Arc;

use super::http::{Case, HttpSubject, serve};
use super::subject::{NO_TICKETS, NOWHERE, batch, open};
use super::{Received, Reply, Scripted, run};
use crate::batch::{Batch, Delivery, Progress, Verdict};
use crate::fault::{Fault, FaultClass};

/// A destination whose calls become jobs.
pub trait JobSubject: HttpSubject {
    /// The answer of the vendor to who asks after the job of `batch`; `None` where `request` does not ask after it.
    fn job_answer(&self, case: JobCase, batch: &Batch, request: &Received) -> Option<Scripted>;
}

/// What becomes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobCase {
    /// It is still queued or running.
    Running,
    /// It ended without having done anything.
    Failed,
    /// The vendor does not know it, or no longer.
    Forgotten,
}

/// One job, asked after once.
async fn asked<S: JobSubject + 'static>(
    subject: &Arc<S>,
    reply: impl Fn(&S, &Batch, &Received) -> Option<Reply> + Send + Sync + Copy + 'static,
) -> Vec<(Batch, Result<Progress, Fault>)> {
    let mut asked = Vec::new();
    for operation in subject.operations() {
        let batch = batch(&**subject, &*subject.prepare(NOWHERE), operation, 3);
        let (answering, of) = (subject.clone(), batch.clone());
        let server = serve(subject, move |request| {
            reply(&answering, &of, request)
                .unwrap_or_else(|| Reply::Answer(answering.answer(Case::AllAccepted, &of, request)))
        })
        .await;
        let prepared = subject.prepare(server.url());
        let destination = open(&**subject, &*prepared);
        let delivery = destination.write(&run(), &batch, NO_TICKETS).await.expect("the job is taken");
        // An operation that needs no job has nothing to be asked after.
        let Delivery::Pending(ticket) = delivery else { continue };
        let progress = destination.poll(&run(), &ticket, &batch).await;
        asked.push((batch, progress));
    }
    assert!(!asked.is_empty(), "no operation became a job");
    asked
}

fn told<S: JobSubject>(case: JobCase) -> impl Fn(&S, &Batch, &Received) -> Option<Reply> + Send + Sync + Copy {
    move |subject, batch, request| subject.job_answer(case, batch, request).map(Reply::Answer)
}

/// A job that runs is asked after again, later.
pub async fn a_running_job_is_asked_after_again<S: JobSubject + 'static>(subject: S) {
    for (batch, progress) in asked(&Arc::new(subject), told(JobCase::Running)).await {
        match progress {
            Ok(Progress::Running { after }) => assert!(!after.is_zero(), "{:?}: at once", batch.operation),
            other => panic!("{:?}: {other:?}", batch.operation),
        }
    }
}

/// A job that failed has written nothing.
pub async fn a_failed_job_is_no_success<S: JobSubject + 'static>(subject: S) {
    for (batch, progress) in asked(&Arc::new(subject), told(JobCase::Failed)).await {
        match progress {
            Ok(Progress::Done(outcomes)) => {
                let taken = |verdict: &Verdict| matches!(verdict, Verdict::Written { .. } | Verdict::Unchanged);
                let verdicts = outcomes.into_vec();
                assert!(!verdicts.iter().any(|(_, verdict)| taken(verdict)), "{verdicts:?}");
            }
            Ok(Progress::Lost) => {}
            Ok(Progress::Running { .. }) => panic!("{:?}: it has ended", batch.operation),
            Err(fault) => assert_ne!(fault.class, FaultClass::Bug, "{fault}"),
        }
    }
}

/// A job that the vendor does not know leaves its rows in doubt.
pub async fn a_forgotten_job_is_lost<S: JobSubject + 'static>(subject: S) {
    for (batch, progress) in asked(&Arc::new(subject), told(JobCase::Forgotten)).await {
        assert!(matches!(progress, Ok(Progress::Lost)), "{:?}: {progress:?}", batch.operation);
    }
}

/// An answer that does not come, breaks off, is a page or an error of the server says nothing of the job: it is asked
/// after again.
pub async fn who_cannot_be_asked_after_a_job_has_not_forgotten_it<S: JobSubject + 'static>(subject: S) {
    let subject = Arc::new(subject);
    let silent = |subject: &S, batch: &Batch, request: &Received| {
        subject.job_answer(JobCase::Running, batch, request).map(|_| Reply::Lost)
    };
    let page = |subject: &S, batch: &Batch, request: &Received| {
        let page = || Reply::Answer(Scripted::of(200, "text/html", "<html>Sign in</html>"));
        subject.job_answer(JobCase::Running, batch, request).map(|_| page())
    };
    let broken = |subject: &S, batch: &Batch, request: &Received| {
        subject.job_answer(JobCase::Running, batch, request).map(|_| Reply::Answer(Scripted::empty(502)))
    };
    let cut = |subject: &S, batch: &Batch, request: &Received| {
        subject.job_answer(JobCase::Running, batch, request).map(Reply::Truncated)
    };
    let all = [
        ("silence", asked(&subject, silent).await),
        ("a page", asked(&subject, page).await),
        ("502", asked(&subject, broken).await),
        ("half an answer", asked(&subject, cut).await),
    ];
    for (what, answers) in all {
        for (batch, progress) in answers {
            match progress {
                Ok(Progress::Running { .. }) => {}
                Err(fault) => assert!(
                    matches!(fault.class, FaultClass::Ambiguous | FaultClass::Transient | FaultClass::Throttled),
                    "{:?}, {what}: {fault}",
                    batch.operation
                ),
                other => panic!("{:?}, {what}: {other:?}", batch.operation),
            }
        }
    }
}
