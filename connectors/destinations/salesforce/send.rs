//! The destination: calls, and what they come to.

use async_trait::async_trait;
use backhaul_kit::http::{Answer, Http, Request};
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, Lookup, Match, Mode, ObjectSchema, Operation, Outcomes,
    Prepared as _, Presence, Progress, RequestPreview, Run, Ticket, Tickets,
};
use reqwest::Method;
use serde::de::DeserializeOwned;
use tokio::sync::OnceCell;

use super::answer::{self, DAY_PAUSE};
use super::draft::{Draft, Target, is_by_id, word};
use super::sync::{COLLECTION, SalesforceSync};
use super::wire::Described;

/// One object of one organisation.
#[derive(Debug)]
pub(super) struct SalesforceDestination {
    pub(super) sync: SalesforceSync,
    pub(super) http: Http,
    /// The object, once somebody has asked for it.
    pub(super) described: OnceCell<Described>,
}

impl SalesforceDestination {
    pub(super) fn new(sync: SalesforceSync, http: Http) -> Self {
        Self { sync, http, described: OnceCell::new() }
    }

    /// Makes a call. The day's calls are counted by Salesforce; ours end with our share of them.
    pub(super) async fn call(&self, request: Request) -> Result<Answer, Fault> {
        let answer = self.http.send(request).await?;
        if let Some((used, most)) = answer::usage(&answer) {
            let left = ((most as f64 * self.sync.account.http.share) as u64).saturating_sub(used);
            self.http.limiter().steer(u32::try_from(left).unwrap_or(u32::MAX), DAY_PAUSE);
        }
        Ok(answer)
    }

    /// A call that must succeed.
    pub(super) async fn call_well(&self, request: Request) -> Result<Answer, Fault> {
        let answer = self.call(request).await?;
        answer::fault(&answer).map_or(Ok(answer), Err)
    }

    /// The JSON of a call that must succeed, and that changes no record.
    pub(super) async fn read<T: DeserializeOwned>(&self, request: Request) -> Result<T, Fault> {
        let answer = self.call_well(request).await.map_err(Fault::not_applied)?;
        answer.json().ok_or_else(|| Fault::transient("Salesforce's answer is unreadable"))
    }

    /// The call of sObject Collections.
    fn collection_call(&self, draft: &Draft<'_>) -> Result<Request, Fault> {
        let path = ["composite", "sobjects", &self.sync.object, self.sync.match_name()];
        let (method, segments) = match word(draft.operation) {
            "upsert" => (Method::PATCH, &path[..]),
            "insert" => (Method::POST, &path[..2]),
            "update" => (Method::PATCH, &path[..2]),
            _ => (Method::DELETE, &path[..2]),
        };
        let mut request = self.sync.account.call(method, segments)?;
        if draft.operation != Operation::Delete {
            return Ok(request.json(draft.json()));
        }
        let ids: Vec<&str> = draft.records.iter().map(|record| record.key.as_str()).collect();
        request.url.query_pairs_mut().append_pair("ids", &ids.join(",")).append_pair("allOrNone", "false");
        Ok(request)
    }

    /// A batch as a job has it.
    pub(super) fn job_draft<'a>(&'a self, batch: &'a Batch) -> Draft<'a> {
        Draft::of(&self.sync, batch, &self.remembered(batch), true)
    }

    async fn send(&self, batch: &Batch) -> Result<Outcomes, Fault> {
        let mut targets = self.remembered(batch);
        if is_by_id(batch.operation) {
            self.find(batch, &mut targets).await?;
        }
        // A moved record that is nowhere is made, as for any changed row: the call that was to make it never arrived, or
        // somebody deleted it.
        let absent = targets.iter().filter(|target| **target == Target::Absent).count();
        if batch.operation == Operation::Move && self.sync.mode == Mode::Upsert && absent > 0 {
            if absent < targets.len() {
                return Err(Fault::split("some records of the batch are to be moved and others to be made"));
            }
            return Box::pin(self.send(&Batch { operation: Operation::Upsert, ..batch.clone() })).await;
        }
        let draft = Draft::of(&self.sync, batch, &targets, false);
        if draft.records.is_empty() {
            return Outcomes::at_places(batch, draft.settled);
        }
        answer::of_collection(&self.call(self.collection_call(&draft)?).await?, batch, &draft)
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

    async fn find_written(&self, _run: &Run, batch: &Batch) -> Result<Vec<Presence>, Fault> {
        self.presence(batch).await
    }

    async fn write(&self, _run: &Run, batch: &Batch, tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        batch.at_most(self.sync.facts_for(batch.operation, u64::MAX).max_rows)?;
        // What fits into a call goes out in one, in a large run, too: its last rows, and those that come again.
        if batch.rows.len() <= COLLECTION {
            return self.send(batch).await.map(Delivery::Settled);
        }
        if is_by_id(batch.operation) && self.remembered(batch).contains(&Target::Unknown) {
            return Err(Fault::split("some of the records have to be looked for"));
        }
        let draft = self.job_draft(batch);
        if draft.records.is_empty() {
            return Outcomes::at_places(batch, draft.settled).map(Delivery::Settled);
        }
        self.start_job(&draft, tickets.save).await
    }

    async fn poll(&self, _run: &Run, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        self.ask_after(ticket, batch).await
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let targets = self.remembered(batch);
        let mut requests = Vec::new();
        if is_by_id(batch.operation) {
            // What they find is then written to, by a call that cannot be shown.
            let sought = self.sought(batch, &targets);
            let queries = self.queries(&self.sync.object, self.sync.match_name(), &sought)?;
            requests.extend(queries.into_iter().map(|(_, request)| request));
        }
        let draft = Draft::of(&self.sync, batch, &targets, batch.rows.len() > COLLECTION);
        match draft.records.len() {
            0 => {}
            1..=COLLECTION => requests.push(self.collection_call(&draft)?),
            _ => requests.extend([self.job_call(&draft)?, self.upload_call("JOB", &draft)?]),
        }
        Ok(self.http.previews(&requests))
    }
}
