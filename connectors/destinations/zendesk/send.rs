//! The destination: batches as jobs, and what comes of them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::http::{Answer, Http, Request};
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, Finder, Lookup, Match, ObjectSchema, Operation, Outcomes,
    Prepared as _, Progress, RequestPreview, Run, Ticket, Tickets, Verdict,
};
use reqwest::Method;
use serde_json::value::to_raw_value;
use tokio::time::Instant;

use super::answer;
use super::draft::Draft;
use super::job::Job;
use super::object::ID;
use super::sync::ZendeskSync;

/// The records of one object of a Zendesk account.
#[derive(Debug)]
pub(super) struct ZendeskDestination {
    pub(super) sync: ZendeskSync,
    pub(super) http: Http,
    /// Nothing is written before this: a limit of jobs, or of a kind of call, is used up.
    held: Mutex<Option<Instant>>,
}

impl ZendeskDestination {
    pub(super) fn new(sync: ZendeskSync, http: Http) -> Self {
        Self { sync, http, held: Mutex::new(None) }
    }

    /// The call that writes these rows: by what matches them, or by their ids.
    fn call(&self, operation: Operation, drafts: &[Draft]) -> Result<Request, Fault> {
        let (account, object) = (&self.sync.account, self.sync.object.name);
        if operation == Operation::Delete {
            let ids: Vec<String> = drafts.iter().filter_map(|draft| draft.id).map(|id| id.to_string()).collect();
            let mut request = account.call(Method::DELETE, &[object, "destroy_many"])?;
            request.url.set_query(Some(&format!("ids={}", ids.join(","))));
            return Ok(request);
        }
        let creates = operation == Operation::Upsert;
        let alone = self.is_alone(operation);
        let body = || {
            let mut records: Vec<_> = drafts.iter().map(|draft| draft.members.clone()).collect();
            for (record, draft) in records.iter_mut().zip(drafts) {
                if let Some(id) = draft.id {
                    record.insert(ID.into(), to_raw_value(&id)?);
                }
            }
            match records.as_slice() {
                [one] if alone => serde_json::to_vec(&BTreeMap::from([("organization", one)])),
                all => serde_json::to_vec(&BTreeMap::from([(object, all)])),
            }
        };
        let body = body().map_err(|error| Fault::bug("a batch that cannot be written as JSON").caused_by(error))?;
        let (method, name) = match (creates, alone) {
            (true, true) => (Method::POST, "create_or_update"),
            (true, false) => (Method::POST, "create_or_update_many"),
            (false, _) => (Method::PUT, "update_many"),
        };
        Ok(account.call(method, &[object, name])?.json(body))
    }

    /// Whether a call is of one record and no job.
    fn is_alone(&self, operation: Operation) -> bool {
        operation == Operation::Upsert && self.sync.object.is_upserted_alone()
    }

    /// Takes over what an answer says of limits.
    pub(super) fn steer(&self, answer: &Answer) {
        let number = |name: &str| answer.header(name).and_then(|text| text.trim().parse::<u32>().ok());
        let left = number("ratelimit-remaining").or_else(|| number("x-rate-limit-remaining"));
        if let (Some(left), Some(resets)) = (left, number("ratelimit-reset")) {
            self.http.limiter().steer(left, Duration::from_secs(resets.into()), answer.asked);
        }
        let used_up = answer.headers.iter().filter(|(name, _)| name.as_str().starts_with("zendesk-ratelimit-"));
        for wait in used_up.filter_map(|(_, value)| answer::used_up(value.to_str().ok()?)) {
            let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            *held = (*held).max(Some(Instant::now() + wait));
        }
    }

    /// Refuses to write while a limit is used up.
    fn hold(&self) -> Result<(), Fault> {
        let held = *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = held.and_then(|until| until.checked_duration_since(Instant::now())).filter(|wait| !wait.is_zero());
        let used_up = "Zendesk's limit of jobs, or of this kind of call, is used up for now";
        wait.map_or(Ok(()), |wait| Err(Fault::throttled(used_up, Some(wait))))
    }

    /// The verdicts of a batch: what was said of rows that were sent, and what is clear of those that were not.
    fn outcomes(&self, batch: &Batch, said: &[(u64, Verdict)]) -> Result<Outcomes, Fault> {
        let mut outcomes = Outcomes::of(batch);
        for (place, row) in batch.rows.iter().enumerate() {
            let sent = said.iter().find(|(op, _)| *op == row.op).map(|(_, verdict)| verdict.clone());
            let verdict = sent.unwrap_or_else(|| match self.sync.draft(batch.operation, row) {
                Err(reason) => Verdict::Rejected(reason),
                Ok(_) => Verdict::Unknown,
            });
            if verdict != Verdict::Unknown {
                outcomes.set_at(place, verdict)?;
            }
        }
        Ok(outcomes)
    }
}

#[async_trait]
impl Destination for ZendeskDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        self.account_report().await
    }

    async fn describe(&self) -> Result<Option<ObjectSchema>, Fault> {
        self.object_schema().await
    }

    async fn lookup(&self, query: &Lookup) -> Result<Vec<Match>, Fault> {
        self.matches(query).await
    }

    fn preview_lookup(&self, query: &Lookup) -> Result<Vec<RequestPreview>, Fault> {
        Ok(self.http.previews(&self.look_ups(query)?))
    }

    fn finder(&self, operation: Operation) -> Option<Finder> {
        let is_needed = matches!(operation, Operation::Delete | Operation::Move) && self.sync.by_external_id();
        is_needed.then(|| self.sync.matched.clone())
    }

    async fn write(&self, _run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        batch.at_most(self.sync.facts(batch.operation).max_rows)?;
        self.hold()?;
        let drafts = self.sync.drafts(batch);
        let Some(first) = drafts.first() else { return self.outcomes(batch, &[]).map(Delivery::Settled) };
        let answer = self.http.send(self.call(batch.operation, &drafts)?).await?;
        self.steer(&answer);
        let verdict = if let Some(reason) = answer::refused(&answer, drafts.len())? {
            answer::verdict(reason, batch.operation == Operation::Delete)
        } else if self.is_alone(batch.operation) {
            answer::of_organization(&answer)
        } else {
            let sent = drafts.iter().map(|draft| (draft.op, draft.id)).collect();
            return Job::begun(&answer, sent).map(Delivery::Pending);
        };
        self.outcomes(batch, &[(first.op, verdict)]).map(Delivery::Settled)
    }

    async fn poll(&self, _run: &Run, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        let Some(job) = Job::of(ticket) else { return Ok(Progress::Lost) };
        let request = self.sync.account.call(Method::GET, &["job_statuses", &job.id])?;
        let Some(json) = self.ask(request).await? else { return Ok(Progress::Lost) };
        match json["job_status"]["status"].as_str() {
            Some("completed" | "failed" | "killed") => {}
            Some(_) => return Ok(job.goes_on()),
            None => return Err(Fault::transient("Zendesk's answer does not say how a job stands")),
        }
        let (results, deletes) = (&json["job_status"]["results"], batch.operation == Operation::Delete);
        let value = |op| {
            batch.rows.iter().find(|row| row.op == op).and_then(|row| row.match_value(self.sync.matched.place).ok())
        };
        let said = job.verdicts(results, deletes, &self.sync.matched.by, value);
        self.outcomes(batch, &said).map(Progress::Done)
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let drafts = self.sync.drafts(batch);
        if drafts.is_empty() {
            return Ok(Vec::new());
        }
        Ok(self.http.previews(&[self.call(batch.operation, &drafts)?]))
    }
}
