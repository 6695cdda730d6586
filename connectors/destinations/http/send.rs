//! Calls and what their answers mean.

use async_trait::async_trait;
use backhaul_kit::http::{Answer, Http, Request, fault_of_status, retry_after};
use backhaul_kit::{
    AccountReport, Batch, Delivery, Destination, Fault, Outcomes, Presence, Progress, Reason, RequestPreview, Run,
    Ticket, Tickets, Verdict,
};
use reqwest::Method;

use super::render::Rendered;
use super::request::Call;
use super::success::Proof;
use super::sync::HttpSync;

/// An opened destination.
#[derive(Debug)]
pub(super) struct HttpDestination {
    sync: HttpSync,
    http: Http,
}

impl HttpDestination {
    pub(super) fn new(sync: HttpSync, http: Http) -> Self {
        Self { sync, http }
    }

    fn call(&self, batch: &Batch) -> Result<&Call, Fault> {
        let call = self.sync.call(batch.operation).ok_or_else(|| {
            Fault::bug(format!("a batch of `{}`, for which there is no call", batch.operation.as_str()))
        })?;
        batch.at_most(call.batch_size)?;
        Ok(call)
    }
}

#[async_trait]
impl Destination for HttpDestination {
    async fn check(&self) -> Result<AccountReport, Fault> {
        let account = &self.sync.account;
        let mut report = AccountReport {
            identity: format!("http:{}", account.identity),
            label: account.identity.clone(),
            unknowable: vec![String::from("whose account it is: a general HTTP API does not tell (see `identity`)")],
            ..AccountReport::default()
        };
        let Some(path) = &account.check else {
            report.unknowable.push(String::from("whether the credential works: no `check` path is given"));
            return Ok(report);
        };
        let url = account.join(path).ok_or_else(|| Fault::config("the `check` path is not a URL"))?;
        let mut request = Request::new(Method::GET, url);
        request.headers = account.headers.clone();
        match fault_of_status(&self.http.send(request).await?) {
            Some(fault) => Err(fault),
            None => Ok(report),
        }
    }

    async fn write(&self, run: &Run, batch: &Batch, _tickets: Tickets<'_>) -> Result<Delivery, Fault> {
        if batch.rows.is_empty() {
            return Ok(Delivery::Settled(Outcomes::of(batch)));
        }
        let call = self.call(batch)?;
        let request = match self.sync.render(call, run, batch)? {
            Rendered::Request(request) => *request,
            Rendered::Refused(reason) => {
                return Ok(Delivery::Settled(Outcomes::all(batch, &Verdict::Rejected(reason))));
            }
        };
        let answer = self.http.send(request).await?;
        if let Proof::Job(job, _) = &call.success.proof
            && call.success.statuses.contains(&answer.status.as_u16())
        {
            return job.pending(&answer);
        }
        judge(call, batch, &answer).map(Delivery::Settled)
    }

    async fn find_written(&self, run: &Run, batch: &Batch) -> Result<Vec<Presence>, Fault> {
        let Some(read_back) = &self.sync.read_back else { return Ok(vec![Presence::Unknown; batch.rows.len()]) };
        let mut there = Vec::with_capacity(batch.rows.len());
        for row in &batch.rows {
            there.push(match read_back.question(&self.sync, run, batch, row) {
                Some(request) => read_back.presence(&self.http.send(request).await?)?,
                None => Presence::Unknown,
            });
        }
        Ok(there)
    }

    async fn poll(&self, _run: &Run, ticket: &Ticket, batch: &Batch) -> Result<Progress, Fault> {
        let call = self.call(batch)?;
        let Proof::Job(job, _) = &call.success.proof else { return Ok(Progress::Lost) };
        let Some(request) = job.question(&self.sync.account, ticket) else { return Ok(Progress::Lost) };
        job.progress(call, batch, ticket, &self.http.send(request).await?)
    }

    fn preview(&self, run: &Run, batch: &Batch) -> Result<Vec<RequestPreview>, Fault> {
        if batch.rows.is_empty() {
            return Ok(Vec::new());
        }
        match self.sync.render(self.call(batch)?, run, batch)? {
            Rendered::Request(request) => Ok(vec![request.preview(self.http.auth())]),
            Rendered::Refused(reason) => Err(Fault::config(format!("this row cannot be written: {}", reason.text))),
        }
    }
}

/// What an answer means for every row of the batch.
pub(super) fn judge(call: &Call, batch: &Batch, answer: &Answer) -> Result<Outcomes, Fault> {
    let status = answer.status.as_u16();
    let single = batch.rows.len() == 1;
    if call.success.statuses.contains(&status) {
        return accepted(call, batch, answer);
    }
    if call.statuses.unchanged.contains(&status) && single {
        return Ok(Outcomes::all(batch, &Verdict::Unchanged));
    }
    if call.statuses.retry.contains(&status) {
        return Err(Fault::throttled(format!("the destination answered {}", answer.status), retry_after(answer)));
    }
    if call.statuses.reject.contains(&status) {
        return refused(call, batch, answer);
    }
    match status {
        413 if single => Ok(Outcomes::all(batch, &Verdict::Rejected(call.success.refusal(status, &answer.body)))),
        200..=299 => Err(Fault::ambiguous(format!("the destination answered {}", answer.status))
            .remedy("this status is not among `success.statuses`: add it there if it proves that rows were accepted")),
        // Some APIs apply a call and then lead to the record: unlike 301, 307 and 308 these prove nothing.
        302 | 303 => Err(Fault::ambiguous(format!("the destination answered {}", answer.status))
            .remedy("redirects are not followed: write the final URL, or add the status to `success.statuses`")),
        _ => Err(fault_of_status(answer)
            .unwrap_or_else(|| Fault::ambiguous(format!("the destination answered {}", answer.status)))),
    }
}

/// An answer with a status of success.
fn accepted(call: &Call, batch: &Batch, answer: &Answer) -> Result<Outcomes, Fault> {
    match &call.success.proof {
        Proof::Call { ok, id } => match Proof::confirms(ok.as_ref(), id.as_ref(), &answer.body) {
            Some(id) => {
                let remote_id = id.filter(|_| batch.rows.len() == 1);
                Ok(Outcomes::all(batch, &Verdict::Written { remote_id }))
            }
            None => refused_or_unclear(call, batch, answer),
        },
        Proof::Row(results) => {
            let Ok(json) = serde_json::from_slice(&answer.body) else {
                return Err(Fault::ambiguous("the answer that should name rows is not JSON"));
            };
            let mut outcomes = Outcomes::of(batch);
            for (place, verdict) in call.success.rows(results, batch, &json).into_iter().enumerate() {
                if let Some(verdict) = verdict {
                    outcomes.set_at(place, verdict)?;
                }
            }
            Ok(outcomes)
        }
        // Taken in: only its job can say more.
        Proof::Job(..) => Err(Fault::bug("the answer of a call that becomes a job was judged as if it were final")),
    }
}

/// A status of success whose body does not confirm it (`ok`).
fn refused_or_unclear(call: &Call, batch: &Batch, answer: &Answer) -> Result<Outcomes, Fault> {
    if serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).is_err() {
        return Err(Fault::ambiguous("the answer that should confirm the call is not JSON"));
    }
    let reason = call.success.refusal(answer.status.as_u16(), &answer.body);
    whole_refusal(batch, reason)
}

/// A status that says that the call was refused for its rows.
fn refused(call: &Call, batch: &Batch, answer: &Answer) -> Result<Outcomes, Fault> {
    let reason = || call.success.refusal(answer.status.as_u16(), &answer.body);
    let Some(results) = call.success.results() else { return whole_refusal(batch, reason()) };
    let named = match serde_json::from_slice(&answer.body) {
        Ok(json) => call.success.rows(results, batch, &json),
        Err(_) => Vec::new(),
    };
    if named.iter().all(Option::is_none) {
        return whole_refusal(batch, reason());
    }
    // Where no row was accepted, the rows that are not named were not applied either: the call was refused.
    // Where one was, nothing is known of them.
    let partly = named.iter().flatten().any(|verdict| matches!(verdict, Verdict::Written { .. } | Verdict::Unchanged));
    let mut outcomes = Outcomes::of(batch);
    for (place, verdict) in named.into_iter().enumerate() {
        match verdict {
            Some(verdict) => outcomes.set_at(place, verdict)?,
            None if !partly => outcomes.set_at(place, Verdict::Retry(None))?,
            None => {}
        }
    }
    Ok(outcomes)
}

/// Nothing was applied, and the answer names no row.
fn whole_refusal(batch: &Batch, reason: Reason) -> Result<Outcomes, Fault> {
    if batch.rows.len() == 1 {
        return Ok(Outcomes::all(batch, &Verdict::Rejected(reason)));
    }
    Err(Fault::split(format!("the destination refused {} rows together ({})", batch.rows.len(), reason.code)))
}
