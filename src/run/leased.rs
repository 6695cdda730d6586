//! A destination that is written to only while the lease on its account is held.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, Finder, Lookup, Match, ObjectSchema, Operation, Presence,
    Progress, RequestPreview, Run, Ticket, Tickets,
};

use crate::state::LeaseWatch;

/// Asks the lease before every call that changes something.
pub struct Leased {
    inner: Arc<dyn Destination>,
    lease: LeaseWatch,
}

impl Leased {
    /// Writes to `inner` for as long as `lease` is held.
    pub fn new(inner: Arc<dyn Destination>, lease: LeaseWatch) -> Self {
        Self { inner, lease }
    }

    /// Nothing was sent when this fails; another process may be writing by now.
    fn ensure_held(&self) -> Result<(), Fault> {
        self.lease.ensure_held().map_err(|e| {
            let remedy = e.remedy();
            let mut fault = Fault::transient("the lease on the destination account was lost");
            // It does not come back: the delivery ends and does not try again.
            fault.retry_after = Some(Duration::MAX);
            fault.remedy(remedy).caused_by(e)
        })
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
        self.ensure_held()?;
        self.inner.begin(run).await
    }

    async fn write(&self, run: &Run, batch: &Batch, tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        self.ensure_held()?;
        self.inner.write(run, batch, tickets).await
    }

    async fn finish(&self, run: &Run, session: &Ticket) -> Result<Delivery, Fault> {
        self.ensure_held()?;
        self.inner.finish(run, session).await
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
    use backhaul_kit::{FaultClass, SaveTicket};

    use super::*;
    use crate::snapshot::StateKey;
    use crate::state::{LeaseTiming, State, Wait};

    /// Takes everything: what it is sent has passed the lease.
    struct Open;

    #[async_trait]
    impl Destination for Open {
        async fn check(&self) -> Result<AccountReport, Fault> {
            Ok(AccountReport::default())
        }

        async fn write(&self, _: &Run, _: &Batch, _: Tickets<'_>) -> Result<Delivery, Fault> {
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

    #[tokio::test]
    async fn nothing_is_written_once_the_lease_is_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = Arc::new(StateKey::random().expect("a key"));
        let state = State::open(folder.path(), key).await.expect("a state");
        let timing = LeaseTiming { ttl: Duration::from_secs(2), poll: Duration::from_millis(10) };
        let lease = state.acquire("crm:1", Wait::Ranked(0), timing).await.expect("the lease");
        let destination = Leased::new(Arc::new(Open), lease.watch());
        let run = Run { id: "r".into(), sync: "s".into(), rows: 1, started: jiff::Timestamp::UNIX_EPOCH };
        let batch = Batch { operation: Operation::Upsert, seq: 0, last: true, rows: Vec::new() };
        let write = || destination.write(&run, &batch, Tickets { session: None, save: &NoTickets });
        assert!(write().await.is_ok(), "the lease is held");
        assert!(destination.begin(&run).await.is_ok());

        lease.release().await;
        // Nobody renews it any more: it is over when its time is.
        tokio::time::sleep(timing.ttl).await;
        assert_eq!(write().await.expect_err("no lease").class, FaultClass::Transient);
        assert!(destination.begin(&run).await.is_err());
        let session = Ticket { kind: "s".into(), version: 1, body: serde_json::Value::Null };
        assert!(destination.finish(&run, &session).await.is_err());
    }
}
