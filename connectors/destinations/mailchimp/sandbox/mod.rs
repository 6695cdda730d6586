//! A stand-in of Mailchimp's Marketing API: in memory, stateful, on a local port.
//!
//! It knows the calls that the destination makes: account, list, merge fields, members (one, and up to 500 by the list),
//! a static segment, and jobs of operations with their archive of results. It has a key, a cap of connections, per-member
//! errors, opt-outs that stay, archived and forgotten members, and faults on demand.
//!
//! | file | what is there |
//! |---|---|
//! | `account` | the state |
//! | `calls` | what each call does |
//! | `archive` | the archives of results |
//!
//! It differs from Mailchimp where nothing is documented: jobs run one after the other, each after so many calls of
//! whatever kind (`job_calls`); unknown merge fields are refused; a written status subscribes nobody who had unsubscribed,
//! and brings archived members back; it has one list.

mod account;
mod archive;
mod calls;

use backhaul_kit::json::text;
use backhaul_kit::{Fault, SandboxKind};
use serde_json::{Value, json};

use crate::destinations::stand_in::{Answer, Call, Common, Kind, Setting, Sort, StandIn, Stopped, Told, take};
use account::Account;
use calls::problem;

/// `backhaul sandbox mailchimp`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Account>::NEW
}

impl StandIn for Account {
    const NAME: &'static str = "mailchimp";
    const SETTINGS: &'static [Setting] = &[
        ("token", "the API key or token; another one makes all others expire"),
        ("list", "the id of its list"),
        ("role", "the role of the key's user"),
        ("merge_fields", "the list's merge fields, separated by commas; `TAG:type` for another type than text"),
        (
            "reject",
            "merge fields' values to refuse, as `PLAN=gold`, separated by commas, or a share of the members, as `1%`",
        ),
        ("unsubscribe", "an address that unsubscribes now"),
        ("edge_next", "how many of the next writes are answered with 403 in HTML"),
        ("job_calls", "calls until a job is run"),
        ("forget_jobs", "any value: jobs are not known any more"),
    ];

    fn new() -> Result<Self, Fault> {
        Ok(Self::new())
    }

    fn account(&self) -> String {
        String::from("key = { secret = \"sandbox\" }\n")
    }

    fn common(&mut self) -> &mut Common {
        &mut self.common
    }

    fn sort(&self, call: &Call<'_>) -> Sort {
        match (call.path, call.method) {
            // Who has the address of an archive has the archive.
            (["results", _], _) => Sort::Free,
            (_, "GET") => Sort::Read,
            _ => Sort::Write,
        }
    }

    /// Basic with any user's name, or a bearer token.
    fn accepts(&mut self, call: &Call<'_>) -> bool {
        let key = Some(self.common.token.as_str());
        call.bearer() == key || call.basic().as_ref().map(|(_, password)| password.as_str()) == key
    }

    fn permit(&mut self, call: &Call<'_>) -> Result<(), Answer> {
        if self.sort(call) == Sort::Write && take(&mut self.edge_next) {
            return Err(Answer::plain(403, b"<html><title>Access Denied</title></html>".to_vec()));
        }
        Ok(())
    }

    fn refuse(&mut self, _call: &Call<'_>, why: Stopped) -> Answer {
        let said = match why {
            Stopped::Stranger => problem(401, "API Key Invalid", "Your API key may be invalid."),
            Stopped::Limit | Stopped::Throttled => {
                problem(429, "Too Many Requests", "You have exceeded the limit of 10 simultaneous connections.")
            }
            Stopped::Failed => problem(500, "Internal Server Error", "An unexpected internal error has occurred."),
        };
        said.into()
    }

    fn answer(&mut self, call: &Call<'_>) -> Answer {
        match call.path {
            ["results", name] => archive::results(self, name).unwrap_or(Answer::plain(404, Vec::new())),
            ["3.0", path @ ..] => {
                self.tick();
                self.call(call.method, path, &call.json()).into()
            }
            _ => Answer::plain(404, Vec::new()),
        }
    }

    fn serves_at(&mut self, url: &str) {
        self.url = url.to_owned();
    }

    /// Members by address, and the addresses of the segment's.
    fn records(&mut self) -> Value {
        let address = |member: &Value| text(member, "email_address").to_owned();
        let members: serde_json::Map<String, Value> =
            self.members.values().map(|member| (address(member), member.clone())).collect();
        let segment: Vec<String> = self.segment.iter().filter_map(|id| self.members.get(id)).map(address).collect();
        json!({ "members": members, "segment": segment })
    }

    fn set(&mut self, told: Told<'_>) -> Result<bool, Fault> {
        match told.key {
            "list" => self.list = told.text(),
            "role" => self.role = told.text(),
            "merge_fields" => {
                let fields = told.items().map(|item| item.split_once(':').unwrap_or((item, "text")));
                self.merge_fields = fields.map(|(tag, kind)| (tag.to_owned(), kind.to_owned())).collect();
            }
            "unsubscribe" => {
                let of_address = |member: &&mut Value| member["email_address"] == told.value;
                let member = self.members.values_mut().find(of_address).ok_or_else(|| told.wrong(told.value))?;
                member["status"] = json!("unsubscribed");
            }
            "edge_next" => self.edge_next = told.number()?,
            "job_calls" => self.job_calls = told.number()?,
            "forget_jobs" => self.forgot = self.jobs.len(),
            _ => return Ok(false),
        }
        Ok(true)
    }
}
