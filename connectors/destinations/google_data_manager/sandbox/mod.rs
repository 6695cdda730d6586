//! A stand-in of Google Data Manager: in memory, stateful, on a local port.
//!
//! It gives access tokens for assertions that its own key has signed (and for a refresh token), tells their scopes, takes
//! additions and removals in, works on them a while later, and tells how a request stands. `GET /sandbox/records` shows
//! the lists. It has caps, quotas, terms, access rights, and faults on demand.
//!
//! | file | what is there |
//! |---|---|
//! | `lists` | requests, and the members that they make |
//! | `tokens` | its service account, assertions, access tokens |
//! | `routes` | the calls |
//!
//! It differs from Google where nothing is documented: a member is no more than its identifiers, a removal takes out those
//! that it names, requests are worked on in their order, a fast failure names every bad member, tokens are given and
//! looked at under the API's own host, and a request of `REQUEST_STATUS_UNKNOWN` is one that is stuck.

mod lists;
mod routes;
mod tokens;

use backhaul_kit::{Fault, SandboxKind};
use serde_json::{Value, json};

use crate::destinations::google_data_manager::account::SCOPE;
use crate::destinations::stand_in::{Answer, Call, Common, Kind, Rejects, Setting, Sort, StandIn, Stopped, Told};
use lists::Lists;
use tokens::Tokens;

/// `backhaul sandbox google-data-manager`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<State>::NEW
}

/// All state of a running stand-in.
#[derive(Debug)]
struct State {
    common: Common,
    account: String,
    /// The id of the list.
    audience: String,
    /// Whether Customer Match's terms were accepted.
    terms: bool,
    /// Of every token; empty: what was asked for.
    scopes: Vec<String>,
    lists: Lists,
    tokens: Tokens,
}

impl StandIn for State {
    const NAME: &'static str = "google-data-manager";
    const SETTINGS: &'static [Setting] = &[
        ("token", "an access token that it accepts, beside those that it gives"),
        ("account", "the operating account that may be written; others are refused (403)"),
        ("audience", "the id of its list; others do not exist"),
        ("terms", "`signed`, or anything else for an account that has not accepted Customer Match's terms"),
        ("scopes", "what tokens are good for, separated by commas; empty for what an assertion asks for"),
        ("processing", "milliseconds that a request is worked on"),
        ("stuck", "how many of the next requests are worked on for ever"),
        ("work", "any value: all requests are worked on at once"),
        ("forget", "any value: the numbers of all requests are forgotten"),
        ("reject", "hashes that are refused at once, separated by commas, or a share of all, as `1%`"),
        ("drop", "hashes that are dropped when a request is worked on, separated by commas"),
        ("drop_reason", "the reason for that, without PROCESSING_ERROR_REASON_"),
        ("token_url", "the address of the token endpoint, which assertions are made for"),
    ];

    fn new() -> Result<Self, Fault> {
        Ok(Self {
            common: Common::new("", 1),
            account: String::from("1112223333"),
            audience: String::from("987"),
            terms: true,
            scopes: Vec::new(),
            lists: Lists::new(),
            tokens: Tokens::new()?,
        })
    }

    fn account(&self) -> String {
        let terms = "customer_match_terms = \"accepted\"";
        format!("service_account = {{ secret = \"sandbox\" }}\naccount = \"{}\"\n{terms}\n", self.account)
    }

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn sort(&self, call: &Call<'_>) -> Sort {
        match call.path {
            ["token" | "tokeninfo"] => Sort::Free,
            _ if call.method == "GET" || call.json()["validateOnly"] == true => Sort::Read,
            _ => Sort::Write,
        }
    }

    fn accepts(&mut self, call: &Call<'_>) -> bool {
        call.bearer().is_some_and(|token| self.tokens.scopes(token).is_some())
    }

    fn permit(&mut self, call: &Call<'_>) -> Result<(), Answer> {
        let scopes = call.bearer().and_then(|token| self.tokens.scopes(token)).unwrap_or_default();
        if scopes.split(' ').any(|scope| scope == SCOPE) {
            return Ok(());
        }
        Err(routes::error(403, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Value::Null))
    }

    fn refuse(&mut self, _call: &Call<'_>, why: Stopped) -> Answer {
        match why {
            Stopped::Stranger => routes::error(401, "ACCESS_TOKEN_INVALID", Value::Null),
            Stopped::Limit | Stopped::Throttled => {
                routes::error(429, "RESOURCE_EXHAUSTED", json!({ "quota_limit": "RequestsPerMinutePerProject" }))
            }
            Stopped::Failed => routes::error(500, "INTERNAL_ERROR", Value::Null),
        }
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        self.lists.work();
        self.call(call)
    }

    fn serves_at(&mut self, url: &str) {
        self.tokens.audience = format!("{url}/token");
    }

    fn token(&mut self) -> String {
        self.tokens.key_file.clone()
    }

    fn records(&mut self) -> Value {
        self.lists.work();
        self.lists.records()
    }

    fn set(&mut self, told: Told<'_>) -> Result<bool, Fault> {
        match told.key {
            "token" => self.tokens.know(told.value, SCOPE),
            "account" => self.account = told.text(),
            "audience" => self.audience = told.text(),
            "terms" => self.terms = told.value == "signed",
            "scopes" => self.scopes = told.texts(),
            "processing" => self.lists.processing = told.millis()?,
            "stuck" => self.lists.stuck = told.number()?,
            "work" => self.lists.hurry(),
            "forget" => self.lists.forget(),
            "reject" => self.common.rejects = Rejects::values(told),
            "drop" => self.lists.drop = told.texts(),
            "drop_reason" => self.lists.drop_reason = told.text(),
            "token_url" => self.tokens.audience = told.text(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn expire(&mut self) {
        self.tokens.expire();
    }
}
