//! A destination that is written to only while the lease on its account is held.

use std::sync::Arc;

use async_trait::async_trait;
use backhaul_kit::{
    AccountReport, Address, Batch, Delivery, Destination, Fault, Found, Lookup, Match, ObjectSchema, Progress,
    RequestPreview, Run, SaveTicket, Ticket,
};

use crate::state::LeaseWatch;

/// Asks the lease before every call that changes something.
pub(super) struct Leased {
    inner: Arc<dyn Destination>,
    lease: LeaseWatch,
}

impl Leased {
    pub(super) fn new(inner: Arc<dyn Destination>, lease: LeaseWatch) -> Self {
        Self { inner, lease }
    }

    /// Nothing was sent when this fails; another process may be writing by now.
    fn ensure_held(&self) -> Result<(), Fault> {
        self.lease.ensure_held().map_err(|e| {
            let remedy = e.remedy();
            Fault::transient("the lease on the destination account was lost").remedy(remedy).caused_by(e)
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

    async fn read_back(&self, rows: &[Address]) -> Result<Option<Vec<Found>>, Fault> {
        self.inner.read_back(rows).await
    }

    async fn begin(&self, run: &Run) -> Result<Option<Ticket>, Fault> {
        self.ensure_held()?;
        self.inner.begin(run).await
    }

    async fn write(
        &self,
        run: &Run,
        session: Option<&Ticket>,
        batch: &Batch,
        save: &dyn SaveTicket,
    ) -> Result<Delivery, Fault> {
        self.ensure_held()?;
        self.inner.write(run, session, batch, save).await
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
