//! A stand-in of Zendesk Support's API: in memory, stateful, on a local port.
//!
//! The calls of the connector, as the reference pages have them: bulk calls become jobs, of which 30 may be open at once
//! and which can end later, without a part of their rows, as a failure, never, or be forgotten; refusals come in several
//! of Zendesk's forms. Deleted records are gone.
//!
//! It differs where nothing is documented: results of upserts have an `index` and what the row said; a row that is
//! refused has its index as its `id`, as users of the API have seen it; custom fields are not checked; a limit is a
//! window of a minute that begins with its first call; `job_statuses` and look-ups want the scope `read`; there is no
//! search and no `links`.

mod desk;
mod routes;

use backhaul_kit::{Fault, SandboxKind};
use serde_json::{Value, json};

use crate::destinations::stand_in::{Answer, Call, Common, Kind, Setting, StandIn, Stopped, Told};
use desk::Desk;

/// `backhaul sandbox zendesk`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Desk>::NEW
}

impl StandIn for Desk {
    const NAME: &'static str = "zendesk";
    const SETTINGS: &'static [Setting] = &[
        ("scopes", "the OAuth token's scopes, separated by commas"),
        ("role", "the role of the credential's user: admin, agent or end-user"),
        ("imports", "`off` where bulk imports of users are not enabled"),
        ("fields", "keys of the custom fields of users and organizations, separated by commas"),
        ("tickets", "so many tickets there are, with ids from 1"),
        ("max_jobs", "jobs that may be open at once"),
        ("retry_after", "seconds that a 429 asks to wait, also that of a limit"),
        ("job_time", "milliseconds that a job takes"),
        ("stuck_next", "how many of the next jobs never end"),
        ("fail_jobs_next", "how many of the next jobs fail without having done anything"),
        ("forget_next", "how many of the next jobs are done, but forgotten"),
    ];

    fn new() -> Result<Self, Fault> {
        Ok(Self::new())
    }

    fn account(&self) -> String {
        String::from("subdomain = \"sandbox\"\ntoken = { secret = \"sandbox\" }\n")
    }

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn accepts(&mut self, call: &Call<'_>) -> bool {
        let api_token = format!("/token:{}", self.common.token);
        let basic = call.basic().map(|(user, password)| format!("{user}:{password}"));
        self.is_of_oauth(call) || basic.is_some_and(|pair| pair.ends_with(&api_token))
    }

    fn permit(&mut self, call: &Call<'_>) -> Result<(), Answer> {
        let has = |scope: &str| self.scopes.iter().any(|own| own == scope);
        let resource = call.path.get(2).copied().unwrap_or_default();
        let (resource, access) = if call.method == "GET" { ("", "read") } else { (resource, "write") };
        let is_free = !self.is_of_oauth(call) || call.path.get(2) == Some(&"oauth");
        if is_free || has(access) || has(&format!("{resource}:{access}")) {
            return Ok(());
        }
        let description = "You are missing the following required scopes";
        Err((403, json!({ "error": "Forbidden", "description": description })).into())
    }

    fn refuse(&mut self, _call: &Call<'_>, why: Stopped) -> Answer {
        let said = match why {
            Stopped::Stranger => (401, json!({ "error": "Couldn't authenticate you" })),
            Stopped::Limit | Stopped::Throttled => {
                (429, json!({ "errors": [{ "code": "TooManyRequests", "title": "Too Many Requests" }] }))
            }
            Stopped::Failed => {
                (500, json!({ "error": { "title": "Internal error", "message": "An internal error occurred" } }))
            }
        };
        said.into()
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        self.work();
        self.call(call).unwrap_or_else(|refused| refused).into()
    }

    fn mark(&mut self, call: &Call<'_>, answer: &mut Answer) {
        let (window, resets) = (&self.common.window, self.common.retry_after);
        if window.cap() > 0 {
            answer.header("x-rate-limit", &window.cap());
            answer.header("x-rate-limit-remaining", &window.left());
            answer.header("ratelimit-reset", &(window.resets().as_secs() + 1));
        }
        if call.method != "GET" {
            let (total, left) = (self.max_jobs, self.max_jobs.saturating_sub(self.open_jobs()));
            let jobs = format!("total={total}; remaining={left}; resets={resets}");
            answer.header("zendesk-ratelimit-inflight-jobs", &jobs);
        }
        if answer.status == 429 {
            answer.header("retry-after", &resets);
        }
    }

    fn records(&mut self) -> Value {
        self.work();
        json!(self.records)
    }

    fn set(&mut self, told: Told<'_>) -> Result<bool, Fault> {
        match told.key {
            "scopes" => self.scopes = told.texts(),
            "role" => self.role = told.text(),
            "imports" => self.imports = told.value != "off",
            "fields" => self.fields = told.texts(),
            "tickets" => {
                let tickets = (1..=told.number::<u64>()?).map(|id| (id, json!({ "status": "open" })));
                self.records.insert("tickets".into(), tickets.collect());
            }
            "max_jobs" => self.max_jobs = told.number()?,
            "job_time" => self.job_time = told.millis()?,
            "stuck_next" => self.stuck_next = told.number()?,
            "fail_jobs_next" => self.fail_jobs_next = told.number()?,
            "forget_next" => self.forget_next = told.number()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}
