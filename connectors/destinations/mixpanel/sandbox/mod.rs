//! A stand-in of Mixpanel's ingestion: in memory, stateful, on a local port.
//!
//! `POST /import` (strict) and `POST /engage` with `$set`, `$set_once`, `$unset` and `$delete`, as the API's description
//! and reference have them; `GET /sandbox/records` shows what it holds. Events are kept once for each event, `time`,
//! `distinct_id` and `$insert_id`, the newest of each. As at Mixpanel `/engage` answers 200 to everything: records that are
//! not valid are passed over where others are, and those of another token vanish.
//!
//! It differs where nothing is documented: too many records are answered with 413, and there are no aliases.

mod project;
mod routes;

use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Answer, Call, Common, Kind, Setting, Sort, StandIn, Stopped, Told};
use project::Project;

/// `backhaul sandbox mixpanel`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Project>::NEW
}

impl StandIn for Project {
    const NAME: &'static str = "mixpanel";
    const SETTINGS: &'static [Setting] =
        &[("token", "the project's token; another one is refused by /import and vanishes in /engage")];

    fn new() -> Result<Self, Fault> {
        Ok(Self { common: Common::new("sandbox-token", 1), ..Self::default() })
    }

    fn account(&self) -> String {
        String::from("region = \"us\"\ntoken = { secret = \"sandbox\" }\n")
    }

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    /// Events of which none is valid are refused before all else.
    fn sort(&self, call: &Call<'_>) -> Sort {
        if call.path == ["import"] && self.has_no_event(call) { Sort::Read } else { Sort::Write }
    }

    fn accepts(&mut self, call: &Call<'_>) -> bool {
        call.path == ["engage"] || call.basic().is_some_and(|(user, _)| user == self.common.token)
    }

    fn refuse(&mut self, _call: &Call<'_>, why: Stopped) -> Answer {
        match why {
            Stopped::Stranger => routes::refusal(401, "Invalid credentials", "Unauthorized"),
            Stopped::Limit | Stopped::Throttled => {
                let message = "Project exceeded rate limits. Please retry the request with exponential backoff.";
                routes::refusal(429, message, "Too Many Requests")
            }
            Stopped::Failed => routes::refusal(500, "internal error", "Internal Server Error"),
        }
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        match call.path {
            ["import"] => self.imported(call),
            ["engage"] => self.engaged(call),
            _ => routes::refusal(404, "no such call", "Not Found"),
        }
    }

    fn records(&mut self) -> Value {
        Self::records(self)
    }

    fn set(&mut self, _told: Told<'_>) -> Result<bool, Fault> {
        Ok(false)
    }
}
