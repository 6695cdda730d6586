//! The destination: calls, jobs, and what they come to.

use async_trait::async_trait;
use backhaul_kit::http::{Answer, BaseUrl, Http, Request, fault_of_status};
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, Kit, ObjectSchema, Operation, Outcomes, Prepared as _,
    Progress, Reason, RequestPreview, Run, Ticket, Tickets, Verdict,
};
use reqwest::Method;
use serde_json::Value;

use super::answer;
use super::job;
use super::member::{self, Call, Change};
use super::sync::{MailchimpSync, Way};

/// One object of one account.
#[derive(Debug)]
pub(super) struct MailchimpDestination {
    pub(super) sync: MailchimpSync,
    base: BaseUrl,
    pub(super) http: Http,
    /// Without a credential: results of jobs lie on another host.
    results: Http,
}

impl MailchimpDestination {
    pub(super) fn new(sync: MailchimpSync, kit: &Kit) -> Result<Self, Fault> {
        let (base, (http, results)) = (sync.account.place(kit)?.base, sync.account.clients(kit)?);
        Ok(Self { sync, base, http, results })
    }

    pub(super) fn request(&self, Call { method, path, body }: Call) -> Result<Request, Fault> {
        let segments = ["3.0"].into_iter().chain(path.split('/').filter(|segment| !segment.is_empty()));
        let mut url = self.base.join(&segments.collect::<Vec<_>>())?;
        if path.is_empty() {
            // The root has a slash at its end.
            url.set_path(&format!("{}/", url.path()));
        }
        let request = Request::new(method, url);
        Ok(if body.is_empty() { request } else { request.json(body) })
    }

    async fn ask(&self, call: Call) -> Result<Answer, Fault> {
        self.http.ask(self.request(call)?).await
    }

    /// The calls of a batch. Only a moved row has two.
    fn requests(&self, operation: Operation, changes: &[Change]) -> Result<Vec<Request>, Fault> {
        let sync = &self.sync;
        let calls = match (sync.way(operation), sync.segment) {
            _ if changes.is_empty() => Vec::new(),
            (Some(Way::List), _) => vec![member::list_call(sync, changes)],
            (Some(Way::Segment), Some(segment)) => vec![member::segment_call(sync, segment, changes)],
            (Some(Way::Job), _) => vec![job::job_call(sync, changes)],
            (Some(Way::Move), _) => changes.iter().flat_map(|change| change.calls(sync)).collect(),
            _ => return Err(Fault::bug(format!("`{}` is not offered", operation.as_str()))),
        };
        calls.into_iter().map(|call| self.request(call)).collect()
    }

    /// The verdict of a call that was about one member, which a removal does not write.
    fn of_one(&self, answer: &Answer, written: Option<&Change>) -> Result<Verdict, Fault> {
        let said = answer::of_member(&self.sync, written, answer.status.as_u16(), &answer.body);
        said.map_or_else(|| answer::fault(answer).map_or(Ok(Verdict::Unknown), Err), Ok)
    }

    /// The verdict of a row whose address changed: its member is written, and only then the old one removed.
    async fn moved(&self, answer: &Answer, changes: &[Change], removal: Option<Request>) -> Result<Verdict, Fault> {
        let by_list = self.sync.way(self.sync.mode.write_operation()) == Some(Way::List);
        let verdict = if by_list && answer.status.is_success() {
            answer::of_list(&answer::body(answer, 1)?, &self.sync, changes).pop().unwrap_or(Verdict::Unknown)
        } else {
            self.of_one(answer, changes.first())?
        };
        let (Verdict::Written { .. }, Some(removal)) = (&verdict, removal) else { return Ok(verdict) };
        let removed = self.http.send(removal).await.and_then(|answer| self.of_one(&answer, None));
        match removed.map_err(Fault::after_a_write)? {
            Verdict::Written { .. } | Verdict::Unchanged => Ok(verdict),
            other => Ok(other),
        }
    }

    /// The verdicts of rows of a segment. Of those who were to be added only who is not on the list is passed over without
    /// a word: the others are in the segment.
    async fn in_segment(&self, json: &Value, changes: &[Change]) -> Vec<Verdict> {
        let mut said = answer::of_segment(json, &self.sync, changes);
        for (verdict, change) in said.iter_mut().zip(changes).filter(|(verdict, _)| verdict.is_none()) {
            let look =
                member::member_call(&self.sync, Method::GET, change.write.as_deref().unwrap_or_default(), "", b"");
            // What keeps one question from its answer keeps the others.
            let answer = self.ask(look).await.ok();
            let Some(is_on_list) = answer.as_ref().and_then(answer::is_on_list) else { break };
            let refused = || Verdict::Rejected(Reason::new("NOT_ON_LIST", "only members of the list can be in it"));
            *verdict = Some(if is_on_list { Verdict::Unchanged } else { refused() });
        }
        said.into_iter().map(|verdict| verdict.unwrap_or(Verdict::Unknown)).collect()
    }
}

#[async_trait]
impl Destination for MailchimpDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        self.account_report().await
    }

    async fn describe(&self) -> Result<Option<ObjectSchema>, Fault> {
        self.object_schema().await
    }

    async fn write(&self, _run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        batch.at_most(self.sync.facts(batch.operation).max_rows)?;
        let (changes, refused) = Change::all(&self.sync, batch);
        let mut requests = self.requests(batch.operation, &changes)?.into_iter();
        let Some(request) = requests.next() else {
            return settled(batch, &[], Vec::new(), refused).map(Delivery::Settled);
        };
        let (answer, rows) = (self.http.send(request).await?, changes.len());
        let verdicts = match self.sync.way(batch.operation) {
            Some(Way::Job) | None => return job::started(&answer),
            Some(Way::Move) => vec![self.moved(&answer, &changes, requests.next()).await?],
            _ if rows == 1 && matches!(answer.status.as_u16(), 400 | 422) => {
                vec![self.of_one(&answer, changes.first())?]
            }
            Some(Way::List) => answer::of_list(&answer::body(&answer, rows)?, &self.sync, &changes),
            Some(Way::Segment) => self.in_segment(&answer::body(&answer, rows)?, &changes).await,
        };
        settled(batch, &changes, verdicts, refused).map(Delivery::Settled)
    }

    async fn poll(&self, _run: &Run, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        let Some(question) = job::question(ticket) else { return Ok(Progress::Lost) };
        let Some(answer) = self.http.find(self.request(question)?).await? else { return Ok(Progress::Lost) };
        let url = match job::results_at(&answer, &self.base)? {
            Ok(url) => url,
            Err(after) => return Ok(Progress::Running { after }),
        };
        let archive = self.results.ask(Request::new(Method::GET, url)).await?;
        match (archive.status.as_u16(), fault_of_status(&archive)) {
            // The place was named just now: there are no results any more.
            (403 | 404 | 410, _) => return Ok(Progress::Lost),
            (_, Some(fault)) => return Err(fault.not_applied()),
            _ => {}
        }
        let results = job::results(&archive.body)?;
        let (changes, refused) = Change::all(&self.sync, batch);
        let verdict = |change: &Change| {
            let (status, said) = results.get(&change.op)?;
            answer::of_member(&self.sync, change.write.as_ref().map(|_| change), *status, said.as_bytes()).or(
                match status {
                    // Without a right, or one call too many: nothing was done.
                    403 | 429 => Some(Verdict::Retry(None)),
                    _ => None,
                },
            )
        };
        let verdicts = changes.iter().map(|change| verdict(change).unwrap_or(Verdict::Unknown)).collect();
        settled(batch, &changes, verdicts, refused).map(Progress::Done)
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let requests = self.requests(batch.operation, &Change::all(&self.sync, batch).0)?;
        Ok(self.http.previews(&requests))
    }
}

/// Rows with their verdicts, those that were not sent among them.
fn settled(
    batch: &Batch,
    sent: &[Change],
    said: Vec<Verdict>,
    refused: Vec<(usize, Verdict)>,
) -> Result<Outcomes, Fault> {
    Outcomes::at_places(batch, sent.iter().map(|change| change.place).zip(said).chain(refused))
}
