//! The destination: calls, and what becomes of them.

use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::http::{Http, Request};
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, Kit, Outcomes, Prepared as _, Progress, RequestPreview, Run,
    Ticket, Tickets, Verdict,
};
use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::account::SCOPE;
use super::answer::{self, Job, Said, State};
use super::draft::{self, Call, Draft};
use super::sync::AudienceSync;

const KIND: &str = "google_data_manager";
/// A status that has not come to its end by then is given up. How long Google works at most was not found.
const GIVE_UP_AFTER: Duration = Duration::from_secs(48 * 60 * 60);
/// The shortest and the longest wait between two questions.
const SOON: Duration = Duration::from_millis(200);
const SELDOM: Duration = Duration::from_secs(60 * 60);
/// A member that is nobody: it is judged, and never taken in.
const NOBODY: &str = "email 0000000000000000000000000000000000000000000000000000000000000000";
/// Scopes with which a stolen token could do more.
const WIDE: [&str; 2] = ["auth/adwords", "auth/cloud-platform"];

/// What a ticket holds: Google's numbers of the calls, in their order, and when they were made (milliseconds since 1970).
#[derive(Serialize, Deserialize)]
struct Started {
    requests: Vec<String>,
    created: i64,
}

/// An audience of an account.
#[derive(Debug)]
pub(super) struct AudienceDestination {
    sync: AudienceSync,
    http: Http,
}

impl AudienceDestination {
    pub(super) fn new(sync: AudienceSync, kit: &Kit) -> Result<Self, Fault> {
        let http = sync.account.client(kit)?;
        Ok(Self { sync, http })
    }

    fn request(&self, call: &Call) -> Result<Request, Fault> {
        Ok(Request::new(Method::POST, self.sync.account.url(call.path)?).json(call.body.clone()))
    }

    async fn status(&self, id: &str, sent: usize) -> Result<Job, Fault> {
        let mut url = self.sync.account.url("requestStatus:retrieve")?;
        url.query_pairs_mut().append_pair("requestId", id);
        let answer = self.http.ask(Request::new(Method::GET, url)).await?;
        answer::of_status(&answer, sent).map_err(Fault::not_applied)
    }

    /// The scopes of the token, where Google tells them.
    async fn scopes(&self) -> Result<Option<Vec<String>>, Fault> {
        let url = self.sync.account.token_url("tokeninfo")?;
        let answer = self.http.send_token(url, "access_token").await.map_err(Fault::not_applied)?;
        let info = answer.json::<Value>().unwrap_or_default();
        Ok(info["scope"].as_str().map(|scope| scope.split_whitespace().map(str::to_owned).collect()))
    }

    /// Whether the list may be written: a call that is judged and not carried out.
    async fn probe(&self) -> Result<(), Fault> {
        let body = draft::body(&self.sync, true, draft::members(NOBODY).collect(), true);
        let call = Call { path: draft::INGEST, body, places: Vec::new() };
        let answer = self.http.ask(self.request(&call)?).await?;
        if answer.status.is_success() { Ok(()) } else { Err(answer::fault(&answer).not_applied()) }
    }
}

#[async_trait]
impl Destination for AudienceDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        let [kind, id] =
            ["accountType", "accountId"].map(|part| self.sync.account.operating[part].as_str().unwrap_or(""));
        let mut report = AccountReport {
            identity: format!("google:{}:{id}", kind.to_lowercase()),
            label: format!("{kind} account {id}"),
            unknowable: vec![String::from("the role in the account: Google does not tell it")],
            grants: vec![format!("the scope {SCOPE} alone; access of its e-mail address to account {id}")],
            ..AccountReport::default()
        };
        match self.scopes().await? {
            None => report.unknowable.push(String::from("the scopes of the token: Google did not tell them")),
            Some(mut scopes) if scopes.iter().any(|scope| scope == SCOPE) => {
                scopes.retain(|scope| WIDE.iter().any(|wide| scope.ends_with(wide)));
                report.excess = scopes;
            }
            Some(_) => {
                report.missing.push(SCOPE.to_owned());
                return Ok(report);
            }
        }
        self.probe().await.map(|()| report)
    }

    async fn write(&self, _run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        batch.at_most(self.sync.facts(batch.operation).max_rows)?;
        let draft = Draft::of(&self.sync, batch);
        if draft.invalid > 0 {
            tracing::warn!(values = draft.invalid, "values that are no identifiers were left out");
        }
        let mut requests = Vec::with_capacity(draft.calls.len());
        for call in &draft.calls {
            let said = async { answer::of_call(&self.http.send(self.request(call)?).await?, call) };
            let first = requests.is_empty();
            match said.await.map_err(|fault| if first { fault } else { fault.after_a_write() })? {
                Said::Taken(id) => requests.push(id),
                Said::Refused(mut refused) => {
                    refused.extend(draft.refused);
                    // One member that is refused has the whole call refused.
                    let rest = if first { Verdict::Retry(None) } else { Verdict::Unknown };
                    return Ok(Delivery::Settled(Outcomes::but_for(batch, refused, &rest)));
                }
            }
        }
        if requests.is_empty() {
            return Ok(Delivery::Settled(Outcomes::but_for(batch, draft.refused, &Verdict::Unknown)));
        }
        let started = Started { requests, created: Timestamp::now().as_millisecond() };
        Ticket::new(KIND, 1, &started).map(Delivery::Pending)
    }

    async fn poll(&self, _run: &Run, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        let Some(Started { requests, created }) = ticket.read(KIND, 1) else { return Ok(Progress::Lost) };
        let age = Timestamp::now().as_millisecond().saturating_sub(created);
        let age = Duration::from_millis(u64::try_from(age).unwrap_or_default());
        let first = self.sync.account.status_after;
        if age < first {
            return Ok(Progress::Running { after: first - age });
        }
        let draft = Draft::of(&self.sync, batch);
        if draft.calls.len() != requests.len() {
            return Ok(Progress::Lost);
        }
        let mut jobs = Vec::with_capacity(requests.len());
        for (id, call) in requests.iter().zip(&draft.calls) {
            let job = self.status(id, call.places.len()).await?;
            match job.state {
                State::Forgotten => return Ok(Progress::Lost),
                State::Processing if age > GIVE_UP_AFTER => return Ok(Progress::Lost),
                // Asked for ever more seldom, as Google advises.
                State::Processing => return Ok(Progress::Running { after: (age / 2).max(first).clamp(SOON, SELDOM) }),
                State::Done | State::Failed | State::Partly => jobs.push(job),
            }
        }
        let verdict = answer::verdict(&jobs)?;
        Ok(Progress::Done(Outcomes::but_for(batch, draft.refused, &verdict)))
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let calls = Draft::of(&self.sync, batch).calls;
        calls.iter().map(|call| Ok(self.request(call)?.preview(self.http.auth()))).collect()
    }
}
