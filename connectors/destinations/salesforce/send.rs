//! The destination: calls, and what they come to.

use async_trait::async_trait;
use backhaul_kit::http::{Http, Request};
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, Finder, Lookup, Match, ObjectSchema, Operation, Outcomes,
    Prepared as _, Progress, RequestPreview, Run, Ticket, Tickets,
};
use reqwest::Method;
use serde_json::Value;
use tokio::sync::OnceCell;

use super::answer;
use super::draft::{Draft, word};
use super::sync::SalesforceSync;

/// One object of one organisation.
#[derive(Debug)]
pub(super) struct SalesforceDestination {
    pub(super) sync: SalesforceSync,
    pub(super) http: Http,
    /// The object, once somebody has asked for it.
    pub(super) described: OnceCell<Value>,
}

impl SalesforceDestination {
    /// The call of sObject Collections.
    fn collection_call(&self, draft: &Draft<'_>) -> Result<Request, Fault> {
        let path = ["composite", "sobjects", &self.sync.matched.object, &self.sync.matched.by];
        let (method, segments) = match word(draft.operation) {
            "upsert" => (Method::PATCH, &path[..]),
            "insert" => (Method::POST, &path[..2]),
            "update" => (Method::PATCH, &path[..2]),
            _ => (Method::DELETE, &path[..2]),
        };
        let mut request = self.sync.account.call(method, segments)?;
        if draft.operation != Operation::Delete {
            return Ok(request.json(draft.json()?));
        }
        let ids: Vec<&str> = draft.records.iter().map(|record| record.key.as_str()).collect();
        request.url.query_pairs_mut().append_pair("ids", &ids.join(",")).append_pair("allOrNone", "false");
        Ok(request)
    }
}

#[async_trait]
impl Destination for SalesforceDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        self.account_report().await
    }

    async fn describe(&self) -> Result<Option<ObjectSchema>, Fault> {
        self.object_schema().await.map(Some)
    }

    async fn lookup(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        self.matches(query).await
    }

    fn preview_lookup(&self, query: &Lookup) -> Result<Vec<RequestPreview>, Fault> {
        Ok(self.http.previews(&self.queries(query)?))
    }

    fn finder(&self, operation: Operation) -> Option<Finder> {
        (operation != Operation::Upsert && !self.sync.by_id()).then(|| self.sync.matched.clone())
    }

    async fn write(&self, _run: &Run, batch: &Batch, tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        batch.at_most(self.sync.facts_for(batch.operation, u64::MAX).max_rows)?;
        let draft = Draft::of(&self.sync, batch);
        match draft.records.len() {
            0 => Outcomes::at_places(batch, draft.settled).map(Delivery::Settled),
            _ if !draft.is_job => {
                let answer = self.http.send(self.collection_call(&draft)?).await?;
                answer::of_collection(&answer, batch, &draft).map(Delivery::Settled)
            }
            _ if draft.fits_job() => self.start_job(&draft, tickets.save).await,
            _ => Err(Fault::split("a row that no job can carry goes by a call")),
        }
    }

    async fn poll(&self, _run: &Run, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        self.ask_after(ticket, batch).await
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let draft = Draft::of(&self.sync, batch);
        let requests = match (draft.records.len(), draft.is_job) {
            (0, _) => Vec::new(),
            (_, false) => vec![self.collection_call(&draft)?],
            (_, true) => vec![self.job_call(&draft)?, self.upload_call("JOB", &draft)?],
        };
        Ok(self.http.previews(&requests))
    }
}
