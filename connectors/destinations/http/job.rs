//! `evidence = "job"`: calls that the API takes in now and works on later.

use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem};
use backhaul_kit::http::{Answer, Request, fault_of_status};
use backhaul_kit::{Batch, Delivery, Fault, Outcomes, Progress, Ticket};
use jiff::Timestamp;
use minijinja::context;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::account::{HttpAccount, check_path};
use super::request::{Call, read_statuses};
use super::success::{Flag, Path, flag, path};
use super::template::{Escape, Template};

const KIND: &str = "http_job";
const VERSION: u32 = 1;
const EVERY: Duration = Duration::from_secs(2);
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Where a job is asked after, and what its answers mean.
#[derive(Debug)]
pub(super) struct Job {
    /// Where its id stands in the answer to the call.
    id: Path,
    url: Template,
    done: Flag,
    failed: Option<Flag>,
    lost: Vec<u16>,
    every: Duration,
    give_up_after: Duration,
}

/// What a ticket holds.
#[derive(Debug, Serialize, Deserialize)]
struct Body {
    id: String,
    /// Seconds since 1970.
    created: i64,
}

impl Job {
    /// Reads `job` out of `success`; problems go to it.
    pub(super) fn read(success: &mut ConfigTable) -> Option<Self> {
        if !success.has("job") {
            success.problems().push(
                Problem::error("missing-key", format!("`{}` needs `job`: where a job is asked after", success.path()))
                    .at(success.span())
                    .remedy("job = { id = \"id\", url = \"/jobs/{{ job }}\", done = { field = \"status\", value = \"completed\" } }"),
            );
            return None;
        }
        let mut table = success.table("job")?;
        let id = path(&mut table, "id").unwrap_or_else(|| Path::of("id"));
        let url = read_url(&mut table);
        if !table.has("done") {
            table.missing("done");
        }
        let done = flag(&mut table, "done");
        let failed = flag(&mut table, "failed");
        let lost = read_statuses(&mut table, "lost_statuses").unwrap_or_else(|| vec![404, 410]);
        let every = table.duration("every").unwrap_or(EVERY);
        let give_up_after = table.duration("give_up_after").unwrap_or(GIVE_UP_AFTER);
        table.finish();
        Some(Self { id, url: url?, done: done?, failed, lost, every, give_up_after })
    }

    /// The job that a call with this answer became.
    pub(super) fn pending(&self, answer: &Answer) -> Result<Delivery, Fault> {
        let json: Json = serde_json::from_slice(&answer.body).unwrap_or_default();
        let id = self.id.text(&json).filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Fault::ambiguous("the answer that should name a job names none"))?;
        let body = Body { id, created: Timestamp::now().as_second() };
        Ticket::new(KIND, VERSION, &body).map(Delivery::Pending)
    }

    /// The request that asks after the job of `ticket`; `None` for a ticket that is not ours.
    pub(super) fn question(&self, account: &HttpAccount, ticket: &Ticket) -> Option<Request> {
        let body: Body = ticket.read(KIND, VERSION)?;
        let url = account.join(&self.url.render(&context! { job => body.id }).ok()?)?;
        let mut request = Request::new(Method::GET, url);
        request.headers = account.headers.clone();
        Some(request)
    }

    /// What the answer to that request says.
    pub(super) fn progress(
        &self,
        call: &Call,
        batch: &Batch,
        ticket: &Ticket,
        answer: &Answer,
    ) -> Result<Progress, Fault> {
        if self.lost.contains(&answer.status.as_u16()) {
            return Ok(Progress::Lost);
        }
        if let Some(fault) = fault_of_status(answer) {
            return Err(fault);
        }
        let json: Json = serde_json::from_slice(&answer.body)
            .map_err(|_| Fault::transient("the answer that should say how a job stands is not JSON"))?;
        let done = self.done.is_set(&json);
        if done || self.failed.as_ref().is_some_and(|failed| failed.is_set(&json)) {
            return call.success.of_job(batch, &json, done).map(Progress::Done);
        }
        let body: Option<Body> = ticket.read(KIND, VERSION);
        let age = body.map(|body| Timestamp::now().as_second().saturating_sub(body.created));
        let old = age.is_some_and(|age| age > i64::try_from(self.give_up_after.as_secs()).unwrap_or(i64::MAX));
        Ok(if old { Progress::Lost } else { Progress::Running { after: self.every } })
    }
}

fn read_url(table: &mut ConfigTable) -> Option<Template> {
    let (text, span) = table.required_text_at("url")?;
    if !check_path(table, "url", &text, &span) {
        return None;
    }
    let problem = |what: String| {
        let message = format!("`{}` {what}", table.path_of("url"));
        table.problems().push(Problem::error("bad-template", message).at(&span).remedy("as \"/jobs/{{ job }}\""));
        None
    };
    match Template::compile(&text, Escape::Url) {
        Err(what) => problem(format!("is not a template: {what}")),
        Ok(template) if !template.foreign(&["job"]).is_empty() => problem(String::from("can read `job` and no more")),
        Ok(template) if !template.reads("job") => problem(String::from("does not say which job is asked after")),
        Ok(template) => Some(template),
    }
}

/// The verdicts of a job's rows, where its answer names none: done is written, failed is not known.
pub(super) fn unnamed(batch: &Batch, done: bool) -> Outcomes {
    if done { Outcomes::all(batch, &backhaul_kit::Verdict::Written { remote_id: None }) } else { Outcomes::of(batch) }
}
