//! A stand-in of Mailchimp's Marketing API: in memory, stateful, on a local port.
//!
//! It knows the calls that the destination makes: account, list, merge fields, members (one, and up to 500 by the list),
//! a static segment, and jobs of operations with their archive of results. It has a key, a cap of connections, per-member
//! errors, opt-outs that stay, archived and forgotten members, and faults on demand (`settings`).
//!
//! | file | what is there |
//! |---|---|
//! | `account` | the state, and what it can be told |
//! | `calls` | what each call does |
//! | `routes` | what stands before each call, and the archives of results |
//!
//! It differs from Mailchimp where nothing is documented: jobs run one after the other, each after so many calls of
//! whatever kind (`job_calls`); unknown merge fields are refused; a written status subscribes nobody who had unsubscribed,
//! and brings archived members back; it has one list.

mod account;
mod calls;
mod routes;

use axum::Router;
use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Kind, Known, StandIn, another};
use account::Account;

/// `backhaul sandbox mailchimp`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Account>::NEW
}

/// The state as the calls share it.
type Shared = crate::destinations::stand_in::Shared<Account>;

impl StandIn for Account {
    const NAME: &'static str = "mailchimp";
    const SETTINGS: Known = account::KNOWN;

    fn new() -> Result<Self, Fault> {
        Ok(Self::default())
    }

    fn router(shared: Shared) -> Router {
        routes::router(shared)
    }

    fn serves_at(&mut self, url: &str) {
        self.url = url.to_owned();
    }

    fn token(&self) -> String {
        self.key.clone()
    }

    fn calls(&self) -> u64 {
        self.calls
    }

    fn records(&mut self) -> Value {
        Self::records(self)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        Self::set(self, key, value)
    }

    fn expire(&mut self) {
        self.key = another(&self.key);
    }
}
