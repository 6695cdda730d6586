//! A destination that is written to only while the lease on its account is held.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, Finder, Lookup, Match, ObjectSchema, Operation, Presence,
    Progress, RequestPreview, Run, Ticket, Tickets,
};

use crate::state::LeaseWatch;

/// Asks the lease at every step of a call that changes something: a call may wait long for its turn, and a process may
/// stand still at any moment.
pub struct Leased {
    inner: Arc<dyn Destination>,
    lease: LeaseWatch,
}

impl Leased {
    /// Writes to `inner` for as long as `lease` is held.
    pub fn new(inner: Arc<dyn Destination>, lease: LeaseWatch) -> Self {
        Self { inner, lease }
    }

    /// Makes a call for as long as the lease is held. A call that is under way when the lease ends is dropped where it
    /// stands: what of it was not yet sent is not, and what was sent has an unknown fate.
    async fn while_held<T>(&self, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
        let mut call = pin!(call);
        let mut begun = false;
        poll_fn(|context| {
            if let Err(error) = self.lease.ensure_held() {
                let lost = if begun { Fault::ambiguous } else { Fault::transient };
                let remedy = error.remedy();
                let mut fault = lost("the lease on the destination account was lost").remedy(remedy).caused_by(error);
                // It does not come back: the delivery ends and does not try again.
                fault.retry_after = Some(Duration::MAX);
                return Poll::Ready(Err(fault));
            }
            begun = true;
            call.as_mut().poll(context)
        })
        .await
    }
}

#[async_trait]
impl Destination for Leased {
    async fn check(&self) -> Result<AccountReport, Fault> {
        self.inner.check().await
    }

    async fn describe(&self) -> Result<Option<ObjectSchema>, Fault> {
        self.inner.describe().await
    }

    async fn lookup(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        self.inner.lookup(query).await
    }

    fn preview_lookup(&self, query: &Lookup) -> Result<Vec<RequestPreview>, Fault> {
        self.inner.preview_lookup(query)
    }

    fn finder(&self, operation: Operation) -> Option<Finder> {
        self.inner.finder(operation)
    }

    async fn find_written(&self, run: &Run, batch: &Batch) -> Result<Vec<Presence>, Fault> {
        self.inner.find_written(run, batch).await
    }

    async fn begin(&self, run: &Run) -> Result<Option<Ticket>, Fault> {
        self.while_held(self.inner.begin(run)).await
    }

    async fn write(&self, run: &Run, batch: &Batch, tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        self.while_held(self.inner.write(run, batch, tickets)).await
    }

    async fn finish(&self, run: &Run, session: &Ticket) -> Result<Delivery, Fault> {
        self.while_held(self.inner.finish(run, session)).await
    }

    async fn poll(&self, run: &Run, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        self.inner.poll(run, ticket, batch).await
    }

    fn preview(&self, run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        self.inner.preview(run, batch)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use backhaul_kit::{FaultClass, SaveTicket};

    use super::*;
    use crate::snapshot::StateKey;
    use crate::state::{Lease, LeaseTiming, State, Wait};

    /// Sends at once, or after this wait; counts what it sent.
    #[derive(Default)]
    struct Open {
        wait: Duration,
        sent: AtomicUsize,
    }

    #[async_trait]
    impl Destination for Open {
        async fn check(&self) -> Result<AccountReport, Fault> {
            Ok(AccountReport::default())
        }

        async fn write(&self, _: &Run, _: &Batch, _: Tickets<'_>) -> Result<Delivery, Fault> {
            tokio::time::sleep(self.wait).await;
            self.sent.fetch_add(1, Ordering::Relaxed);
            Ok(Delivery::Staged)
        }

        fn preview(&self, _: &Run, _: &Batch) -> Result<Vec<RequestPreview>, Fault> {
            Ok(Vec::new())
        }
    }

    struct NoTickets;

    #[async_trait]
    impl SaveTicket for NoTickets {
        async fn save(&self, _: &Ticket) -> Result<(), Fault> {
            Ok(())
        }
    }

    const TIMING: LeaseTiming = LeaseTiming { ttl: Duration::from_secs(2), poll: Duration::from_millis(10) };

    async fn lease(folder: &Path) -> Lease {
        let key = Arc::new(StateKey::random().expect("a key"));
        let state = State::open(folder, key).await.expect("a state");
        state.acquire("crm:1", Wait::Ranked(0), TIMING).await.expect("the lease")
    }

    fn run() -> Run {
        Run { id: "r".into(), sync: "s".into(), rows: 1, started: jiff::Timestamp::UNIX_EPOCH }
    }

    async fn write(destination: &Leased) -> Result<Delivery, Fault> {
        let batch = Batch { operation: Operation::Upsert, seq: 0, last: true, rows: Vec::new() };
        destination.write(&run(), &batch, Tickets { session: None, save: &NoTickets }).await
    }

    #[tokio::test]
    async fn nothing_is_written_once_the_lease_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let lease = lease(folder.path()).await;
        let destination = Leased::new(Arc::new(Open::default()), lease.watch());
        assert!(write(&destination).await.is_ok(), "the lease is held");
        assert!(destination.begin(&run()).await.is_ok());

        lease.release().await;
        // Nobody renews it any more: it is over when its time is.
        tokio::time::sleep(TIMING.ttl).await;
        assert_eq!(write(&destination).await.expect_err("no lease").class, FaultClass::Transient);
        assert!(destination.begin(&run()).await.is_err());
        let session = Ticket { kind: "s".into(), version: 1, body: serde_json::Value::Null };
        assert!(destination.finish(&run(), &session).await.is_err());
    }

    #[tokio::test]
    async fn a_write_that_waits_for_its_turn_when_the_lease_ends_is_not_sent() {
        let folder = tempfile::tempdir().expect("a folder");
        let lease = lease(folder.path()).await;
        let inner = Arc::new(Open { wait: TIMING.ttl * 2, ..Open::default() });
        let destination = Leased::new(inner.clone(), lease.watch());
        lease.release().await;
        let fault = write(&destination).await.expect_err("the lease ended meanwhile");
        assert_eq!(fault.class, FaultClass::Ambiguous);
        assert_eq!(inner.sent.load(Ordering::Relaxed), 0);
    }
}
