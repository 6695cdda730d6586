//! A stand-in of Salesforce: tokens by both grants, describe, sObject Collections, simple queries, jobs of Bulk API 2.0.
//!
//! Where it differs from the vendor: assertions are verified by a public key, not by a certificate; there is no user
//! administration (one user, whose rights are settings); of SOQL it knows `SELECT Id, F FROM O WHERE F IN (…)`; there
//! are no triggers, rules, sharing or recycle bin, and no relations between objects; a job is worked on when it is asked
//! after; objects are those of the setting `fields` alone.

mod jobs;
mod routes;
mod soql;
mod store;

use std::collections::HashMap;

use backhaul_kit::{Fault, SandboxKind};
use serde_json::{Map, Value, json};

use crate::destinations::stand_in::{Answer, Call, Common, Kind, Setting, Sort, StandIn, Stopped, Told};

/// `backhaul sandbox salesforce`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Org>::NEW
}

/// All state of a running stand-in.
#[derive(Debug, Default)]
struct Org {
    /// Its token is the client secret.
    common: Common,
    client_id: String,
    username: String,
    public_key: String,
    audience: String,
    id: String,
    scopes: Vec<String>,
    daily_limit: u64,
    used: u64,
    /// Records on a page.
    page: usize,
    objects: store::Objects,
    jobs: jobs::Jobs,
    /// Access tokens that are good.
    tokens: Vec<String>,
    /// Pages of queries that were not asked for yet.
    pages: HashMap<String, Vec<Value>>,
}

impl StandIn for Org {
    const NAME: &'static str = "salesforce";
    const SETTINGS: &'static [Setting] = &[
        ("token", "the consumer secret of the external client app, for client credentials"),
        ("client_id", "its consumer key"),
        ("username", "the user that the app may act for, for JWT bearer"),
        ("public_key", "the PEM public key that assertions are verified by; none is taken without"),
        ("audience", "who assertions must be for"),
        ("org", "the organisation's id"),
        ("scopes", "the scopes of every token, separated by commas"),
        ("expire_tokens", "any value: all tokens given so far are refused"),
        (
            "fields",
            "fields to add, as `Account.Plan__c:string`, separated by commas; types string (255 characters), double, \
             boolean, date, datetime; `:external`, `:required` or `:readonly` behind",
        ),
        ("rights", "what the user may do with every object: create, edit, delete, separated by commas"),
        ("closed", "fields that the user may only read, as `Account.Plan__c`, separated by commas"),
        ("insert", "a record to add, as `User:Email=ada@example.com`"),
        ("daily_limit", "calls in a day"),
        ("used", "calls that were made already"),
        ("page", "records on a page of a query"),
        ("throttle_next", "how many of the next writes are answered with REQUEST_LIMIT_EXCEEDED"),
        ("lock_next", "how many of the next rows are answered with UNABLE_TO_LOCK_ROW"),
        ("stuck", "1: jobs that were begun do not end; 0: they do"),
        ("fail_jobs", "how many of the next jobs fail half-way"),
        ("drop_rows", "how many of the next rows of jobs are in no results"),
        ("forget_jobs", "any value: all jobs so far are forgotten, as after 7 days"),
    ];

    fn new() -> Result<Self, Fault> {
        Ok(Self {
            common: Common::new("sandbox-secret", 0),
            client_id: String::from("sandbox-app"),
            username: String::from("sync@sandbox.example"),
            audience: String::from("https://login.salesforce.com"),
            id: String::from("00D000000000001EAA"),
            scopes: vec![String::from("api")],
            daily_limit: 100_000,
            page: 2000,
            ..Self::default()
        })
    }

    fn account(&self) -> String {
        let app = format!("client_id = \"{}\"\nclient_secret = {{ secret = \"sandbox\" }}\n", self.client_id);
        format!("domain = \"sandbox.my.salesforce.com\"\n{app}")
    }

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn sort(&self, call: &Call<'_>) -> Sort {
        match (call.path, call.method) {
            (["services", "oauth2", "token"], _) => Sort::Free,
            (_, "GET") => Sort::Read,
            _ => Sort::Write,
        }
    }

    fn accepts(&mut self, call: &Call<'_>) -> bool {
        call.bearer().is_some_and(|token| self.tokens.iter().any(|good| good == token))
    }

    fn permit(&mut self, _call: &Call<'_>) -> Result<(), Answer> {
        if self.used >= self.daily_limit {
            return Err(routes::refusal(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.").into());
        }
        self.used += 1;
        Ok(())
    }

    fn refuse(&mut self, _call: &Call<'_>, why: Stopped) -> Answer {
        let (status, code, message) = match why {
            Stopped::Stranger => (401, "INVALID_SESSION_ID", "Session expired or invalid"),
            Stopped::Limit => (403, "REQUEST_LIMIT_EXCEEDED", "Request limit exceeded."),
            Stopped::Throttled => (403, "REQUEST_LIMIT_EXCEEDED", "ConcurrentPerOrgLongTxn Limit exceeded."),
            Stopped::Failed => (500, "UNKNOWN_EXCEPTION", "An unexpected error occurred."),
        };
        routes::refusal(status, code, message).into()
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        self.call(call).unwrap_or_else(Answer::from)
    }

    fn mark(&mut self, call: &Call<'_>, answer: &mut Answer) {
        if self.sort(call) != Sort::Free {
            answer.header("sforce-limit-info", &format!("api-usage={}/{}", self.used, self.daily_limit));
        }
    }

    fn records(&mut self) -> Value {
        self.objects.records()
    }

    fn set(&mut self, told: Told<'_>) -> Result<bool, Fault> {
        let objects = &mut self.objects;
        match told.key {
            "client_id" => self.client_id = told.text(),
            "username" => self.username = told.text(),
            "public_key" => self.public_key = told.text(),
            "audience" => self.audience = told.text(),
            "org" => self.id = told.text(),
            "scopes" => self.scopes = told.texts(),
            "expire_tokens" => self.tokens.clear(),
            "fields" => told.each(|field| objects.declare(field))?,
            "rights" => objects.rights = told.texts(),
            "closed" => objects.closed = told.texts(),
            "insert" => {
                let (object, fields) = told.value.split_once(':').ok_or_else(|| told.wrong(told.value))?;
                let pairs = fields.split(',').filter_map(|field| field.split_once('='));
                let row: Map<String, Value> = pairs.map(|(name, value)| (name.to_owned(), json!(value))).collect();
                objects.insert(object, row).ok_or_else(|| told.wrong(told.value))?;
            }
            "daily_limit" => self.daily_limit = told.number()?,
            "used" => self.used = told.number()?,
            "page" => self.page = told.number::<usize>()?.max(1),
            "lock_next" => objects.lock_next = told.number()?,
            "stuck" => self.jobs.stuck = told.number::<u8>()? > 0,
            "fail_jobs" => self.jobs.fail_next = told.number()?,
            "drop_rows" => self.jobs.drop_rows = told.number()?,
            "forget_jobs" => self.jobs.clear(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn expire(&mut self) {
        self.tokens.clear();
    }
}
