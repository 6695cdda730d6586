//! The destination: calls, and what becomes of them.

use std::time::Duration;

use async_trait::async_trait;
use backhaul_kit::http::{Http, Request};
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, FaultClass, Kit, Outcomes, Prepared as _, Progress, Reason,
    RequestPreview, Run, SaveTicket, Ticket, Verdict,
};
use jiff::Timestamp;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::account::SCOPE;
use super::answer::{self, Job, Said};
use super::draft::{self, Call, Draft};
use super::sync::AudienceSync;

const KIND: &str = "google_data_manager";
const VERSION: u32 = 1;
/// A status that has not come to its end by then is given up. How long Google works at most was not found.
const GIVE_UP_AFTER: Duration = Duration::from_secs(48 * 60 * 60);
/// The longest wait between two questions.
const SELDOM: Duration = Duration::from_secs(60 * 60);
/// A member that is nobody: it is judged, and never taken in.
const NOBODY: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Scopes with which a stolen token could do more.
const WIDE: [&str; 2] = ["auth/adwords", "auth/cloud-platform"];

/// An audience of an account.
#[derive(Debug)]
pub(super) struct AudienceDestination {
    sync: AudienceSync,
    http: Http,
}

/// What a ticket holds.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    /// Google's numbers of the calls, in their order.
    requests: Vec<String>,
    /// Milliseconds since 1970.
    created: i64,
}

/// What Google says of a token.
#[derive(Deserialize)]
struct TokenInfo {
    scope: String,
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
        let answer = self.http.send(Request::new(Method::GET, url)).await.map_err(of_reading)?;
        answer::of_status(&answer, sent).map_err(of_reading)
    }

    /// The scopes of the token, where Google tells them.
    async fn scopes(&self) -> Result<Option<Vec<String>>, Fault> {
        let url = self.sync.account.token_url("tokeninfo")?;
        let answer = self.http.send_token(url, "access_token").await.map_err(of_reading)?;
        let info = answer.status.is_success().then(|| answer.json::<TokenInfo>()).flatten();
        Ok(info.map(|info| info.scope.split_whitespace().map(str::to_owned).collect()))
    }

    /// Whether the list may be written: a call that is judged and not carried out.
    async fn probe(&self) -> Result<(), Fault> {
        let member = json!({ "userData": { "userIdentifiers": [{ "emailAddress": NOBODY }] } });
        let body = draft::body(&self.sync, true, vec![member], true);
        let url = self.sync.account.url("audienceMembers:ingest")?;
        let answer = self.http.send(Request::new(Method::POST, url).json(body)).await.map_err(of_reading)?;
        answer::fault(&answer).map_or(Ok(()), |fault| Err(of_reading(fault)))
    }
}

#[async_trait]
impl Destination for AudienceDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        let account = &self.sync.account.operating;
        let mut report = AccountReport {
            identity: format!("google:{}:{}", account.kind.to_lowercase(), account.id),
            label: format!("{} account {}", account.kind, account.id),
            grants: vec![
                format!("the scope {SCOPE} alone;"),
                format!("access of the credential's e-mail address to account {}", account.id),
            ],
            ..AccountReport::default()
        };
        match self.scopes().await? {
            None => report.unknowable.push(String::from("the scopes of the token: Google did not tell them")),
            Some(scopes) => {
                let has = |end: &str| scopes.iter().find(|scope| scope.ends_with(end));
                if has("auth/datamanager").is_none() {
                    report.missing.push(SCOPE.to_owned());
                    return Ok(report);
                }
                report.excess.extend(WIDE.into_iter().filter_map(has).cloned());
            }
        }
        self.probe().await?;
        report.unknowable.push(String::from("the role in the account: Google does not tell which is the smallest"));
        Ok(report)
    }

    async fn write(
        &self,
        _run: &Run,
        _session: Option<&Ticket>,
        batch: &Batch,
        _save: &dyn SaveTicket,
    ) -> Result<Delivery, Fault> {
        let most = self.sync.facts(batch.operation).max_rows;
        if batch.rows.len() > most {
            return Err(Fault::split(format!("{} members are more than the {most} of a call", batch.rows.len())));
        }
        let draft = Draft::of(&self.sync, batch);
        if draft.invalid > 0 {
            tracing::warn!(
                audience = self.sync.audience,
                values = draft.invalid,
                "values that are no identifiers were left out"
            );
        }
        let mut requests = Vec::with_capacity(draft.calls.len());
        for call in &draft.calls {
            let said = async { answer::of_call(&self.http.send(self.request(call)?).await?, call) };
            match said.await.map_err(|fault| after(!requests.is_empty(), fault))? {
                Said::Taken(id) => requests.push(id),
                Said::Refused(named) => {
                    // One member that is refused has the whole call refused.
                    let rest = if requests.is_empty() { Verdict::Retry(None) } else { Verdict::Unknown };
                    return settled(batch, named.into_iter().chain(draft.refused), &rest).map(Delivery::Settled);
                }
            }
        }
        if requests.is_empty() {
            return settled(batch, draft.refused, &Verdict::Unknown).map(Delivery::Settled);
        }
        let body = serde_json::to_value(Body { requests, created: Timestamp::now().as_millisecond() });
        let body = body.map_err(|e| Fault::bug("a ticket that cannot be written as JSON").caused_by(e))?;
        Ok(Delivery::Pending(Ticket { kind: KIND.into(), version: VERSION, body }))
    }

    async fn poll(&self, _run: &Run, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        let draft = Draft::of(&self.sync, batch);
        let Some(Body { requests, created }) = body_of(ticket, draft.calls.len()) else { return Ok(Progress::Lost) };
        let age = Timestamp::now().as_millisecond().saturating_sub(created);
        let age = Duration::from_millis(u64::try_from(age).unwrap_or_default());
        let first = self.sync.account.status_after;
        if age < first {
            return Ok(Progress::Running { after: first - age });
        }
        let mut jobs = Vec::with_capacity(requests.len());
        for (id, call) in requests.iter().zip(&draft.calls) {
            match self.status(id, call.places.len()).await? {
                Job::Forgotten => return Ok(Progress::Lost),
                Job::Processing if age > GIVE_UP_AFTER => return Ok(Progress::Lost),
                // Asked for ever more seldom, as Google advises.
                Job::Processing => return Ok(Progress::Running { after: (age / 2).clamp(first, SELDOM.max(first)) }),
                ended => jobs.push(ended),
            }
        }
        let verdict = answer::verdict(&jobs)?;
        settled(batch, draft.refused, &verdict).map(Progress::Done)
    }

    fn preview(&self, _run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        let calls = Draft::of(&self.sync, batch).calls;
        calls.iter().map(|call| Ok(self.request(call)?.preview(self.http.auth()))).collect()
    }
}

/// These rows are refused, the others have another verdict.
fn settled(
    batch: &Batch,
    refused: impl IntoIterator<Item = (usize, Reason)>,
    rest: &Verdict,
) -> Result<Outcomes, Fault> {
    let mut verdicts = vec![rest.clone(); batch.rows.len()];
    for (place, reason) in refused {
        if let Some(verdict) = verdicts.get_mut(place) {
            *verdict = Verdict::Rejected(reason);
        }
    }
    let mut outcomes = Outcomes::of(batch);
    for (place, verdict) in verdicts.into_iter().enumerate().filter(|(_, verdict)| *verdict != Verdict::Unknown) {
        outcomes.set_at(place, verdict)?;
    }
    Ok(outcomes)
}

/// `None` for a ticket that is not of such a batch.
fn body_of(ticket: &Ticket, calls: usize) -> Option<Body> {
    let ours = (ticket.kind.as_str(), ticket.version) == (KIND, VERSION);
    let body = ours.then(|| serde_json::from_value::<Body>(Value::clone(&ticket.body)).ok()).flatten();
    body.filter(|body| body.requests.len() == calls)
}

/// The fault of a later call of a batch: what the earlier one did is not undone by it.
fn after(applied: bool, mut fault: Fault) -> Fault {
    if applied && matches!(fault.class, FaultClass::Throttled | FaultClass::Transient) {
        fault.class = FaultClass::Ambiguous;
    }
    fault
}

/// Nothing was to be written: the question may be asked again.
fn of_reading(mut fault: Fault) -> Fault {
    if fault.class == FaultClass::Ambiguous {
        fault.class = FaultClass::Transient;
    }
    fault
}
