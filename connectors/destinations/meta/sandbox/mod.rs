//! A stand-in of Meta's custom audiences: in memory, stateful, on a local port.
//!
//! `POST` and `DELETE /{version}/{audience}/users` with sessions and counts, `GET /{version}/{audience}` and its
//! `sessions`, `GET /{version}/debug_token`; usage headers, error codes, and faults on demand.
//!
//! Members are one person where they share an e-mail address, number, device or id; without these, where all is equal.
//! It differs from Meta where nothing is documented: too many rows, wrong columns and a session whose numbers leave one
//! out, or go on after its last batch, are refused with code 100; a batch whose number was there is applied again;
//! people are never matched; whoever is not known to it (`debug_token`) is answered with code 100.

mod audience;
mod routes;

use backhaul_kit::{Fault, SandboxKind};
use serde_json::{Value, json};

use crate::destinations::stand_in::{Answer, Call, Common, Kind, Setting, Sort, StandIn, Stopped, Told};
use audience::Audience;

/// `backhaul sandbox meta`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Account>::NEW
}

/// All state of a running stand-in.
#[derive(Debug, Default)]
struct Account {
    common: Common,
    app_secret: String,
    scopes: Vec<String>,
    /// Whether the token may look at itself.
    inspect: bool,
    ad_account: String,
    /// The audience's id.
    id: String,
    operation_status: i64,
    /// Percent of the quota that is used, and what a call adds.
    usage: f64,
    usage_per_call: f64,
    /// Minutes.
    regain: f64,
    audience: Audience,
}

impl StandIn for Account {
    const NAME: &'static str = "meta";
    const SETTINGS: &'static [Setting] = &[
        ("app_secret", "the app's secret: calls must then prove that they know it; empty for none"),
        ("scopes", "the token's permissions, separated by commas"),
        ("inspect", "whether the token may look at itself: yes or no"),
        ("ad_account", "the ad account that owns the audience, without act_"),
        ("audience", "the audience's id"),
        ("operation_status", "the audience's status; 471 for a flagged one"),
        (
            "reject",
            "values to count as invalid, as `EXTERN_ID=7`, separated by commas, or a share of the rows, as `1%`",
        ),
        ("usage", "percent of the quota that is used"),
        ("usage_per_call", "how much of that each call adds"),
        ("regain", "minutes without access once all is used"),
        ("throttle_next", "how many of the next changes are answered with code 17"),
        ("fail_next", "how many of the next changes are answered with code 2, unapplied"),
    ];

    fn new() -> Result<Self, Fault> {
        Ok(Self {
            common: Common::new("sandbox-token", 1),
            scopes: vec![String::from("ads_management")],
            inspect: true,
            ad_account: String::from("1234567890"),
            id: String::from("23851234567890"),
            operation_status: 200,
            regain: 1.0,
            ..Self::default()
        })
    }

    fn account(&self) -> String {
        format!("token = {{ secret = \"sandbox\" }}\nad_account = \"act_{}\"\n", self.ad_account)
    }

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn sort(&self, call: &Call<'_>) -> Sort {
        // A flagged audience is refused before all else.
        if call.method == "GET" || self.operation_status == routes::FLAGGED { Sort::Read } else { Sort::Write }
    }

    fn permit(&mut self, call: &Call<'_>) -> Result<(), Answer> {
        self.permitted(call).map_err(routes::refused)?;
        self.usage += self.usage_per_call;
        Ok(())
    }

    fn refuse(&mut self, _call: &Call<'_>, why: Stopped) -> Answer {
        routes::refused(match why {
            Stopped::Stranger => (190, Some(463), "Error validating access token"),
            Stopped::Limit => (80_003, None, "There have been too many calls to this ad account"),
            Stopped::Throttled => (17, None, "User request limit reached"),
            Stopped::Failed => (2, None, "Service temporarily unavailable"),
        })
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        self.call(call).map_or_else(routes::refused, |body| Answer::json(200, &body))
    }

    fn mark(&mut self, _call: &Call<'_>, answer: &mut Answer) {
        let regain = if self.usage >= 100.0 { self.regain } else { 0.0 };
        let usage = json!({ "business": [{
            "type": "custom_audience", "call_count": self.usage, "total_cputime": 0, "total_time": 0,
            "estimated_time_to_regain_access": regain,
        }] });
        answer.header("x-business-use-case-usage", &usage);
    }

    fn records(&mut self) -> Value {
        self.audience.records()
    }

    fn set(&mut self, told: Told<'_>) -> Result<bool, Fault> {
        match (told.key, told.value) {
            ("app_secret", _) => self.app_secret = told.text(),
            ("scopes", _) => self.scopes = told.texts(),
            ("inspect", "yes" | "no") => self.inspect = told.value == "yes",
            ("inspect", other) => return Err(told.wrong(other)),
            ("ad_account", _) => self.ad_account = told.text(),
            ("audience", _) => self.id = told.text(),
            ("operation_status", _) => self.operation_status = told.number()?,
            ("usage", _) => self.usage = told.number()?,
            ("usage_per_call", _) => self.usage_per_call = told.number()?,
            ("regain", _) => self.regain = told.number()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}
