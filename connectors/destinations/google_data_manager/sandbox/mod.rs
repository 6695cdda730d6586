//! A stand-in of Google Data Manager: in memory, stateful, on a local port.
//!
//! It gives access tokens for assertions that its own key has signed (and for a refresh token), tells their scopes, takes
//! additions and removals in, works on them a while later, and tells how a request stands. `GET /sandbox/records` shows
//! the lists. It has caps, quotas, terms, access rights, and faults on demand (`settings`).
//!
//! | file | what is there |
//! |---|---|
//! | `settings` | what it can be told |
//! | `lists` | requests, and the members that they make |
//! | `tokens` | its service account, assertions, access tokens |
//! | `routes` | the calls |
//!
//! It differs from Google where nothing is documented: a member is no more than its identifiers, a removal takes out those
//! that it names, requests are worked on in their order, a fast failure names every bad member, tokens are given and
//! looked at under the API's own host, and a request of `REQUEST_STATUS_UNKNOWN` is one that is stuck.

mod lists;
mod routes;
mod settings;
mod tokens;

use axum::Router;
use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Kind, Known, StandIn, Window};
use lists::Lists;
use settings::Settings;
use tokens::Tokens;

/// `backhaul sandbox google-data-manager`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<State>::NEW
}

/// All state of a running stand-in.
#[derive(Debug)]
struct State {
    settings: Settings,
    lists: Lists,
    tokens: Tokens,
    window: Window,
    calls: u64,
}

/// The state as the calls share it.
type Shared = crate::destinations::stand_in::Shared<State>;

impl StandIn for State {
    const NAME: &'static str = "google-data-manager";
    const SETTINGS: Known = settings::KNOWN;

    fn new() -> Result<Self, Fault> {
        Ok(Self {
            settings: Settings::default(),
            lists: Lists::default(),
            tokens: Tokens::new()?,
            window: Window::default(),
            calls: 0,
        })
    }

    fn router(shared: Shared) -> Router {
        routes::router(shared)
    }

    fn serves_at(&mut self, url: &str) {
        self.tokens.audience = format!("{url}/token");
    }

    fn token(&self) -> String {
        self.tokens.key_file.clone()
    }

    fn calls(&self) -> u64 {
        self.calls
    }

    fn records(&mut self) -> Value {
        self.lists.work(&self.settings);
        self.lists.records()
    }

    fn window(&mut self) -> Option<&mut Window> {
        Some(&mut self.window)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        settings::apply(self, key, value)
    }

    fn expire(&mut self) {
        self.tokens.expire();
    }
}
