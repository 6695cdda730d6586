//! A stand-in of Meta's custom audiences: in memory, stateful, on a local port.
//!
//! `POST` and `DELETE /{version}/{audience}/users` with sessions and counts, `GET /{version}/{audience}` and its
//! `sessions`, `GET /{version}/debug_token`; usage headers, error codes, and faults on demand (`settings`).
//!
//! Members are one person where they share an e-mail address, number, device or id; without these, where all is equal.
//! It differs from Meta where nothing is documented: too many rows, wrong columns and a session whose numbers leave one
//! out, or go on after its last batch, are refused with code 100; a batch whose number was there is applied again;
//! people are never matched; whoever is not known to it (`debug_token`) is answered with code 100.

mod audience;
mod routes;
mod settings;

use axum::Router;
use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Kind, Known, StandIn, another};
use audience::Audience;
use settings::Settings;

/// `backhaul sandbox meta`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Account>::NEW
}

/// All state of a running stand-in.
#[derive(Debug, Default)]
struct Account {
    settings: Settings,
    audience: Audience,
    calls: u64,
}

/// The state as the calls share it.
type Shared = crate::destinations::stand_in::Shared<Account>;

impl StandIn for Account {
    const NAME: &'static str = "meta";
    const SETTINGS: Known = settings::KNOWN;

    fn new() -> Result<Self, Fault> {
        Ok(Self::default())
    }

    fn router(shared: Shared) -> Router {
        routes::router(shared)
    }

    fn token(&self) -> String {
        self.settings.token.clone()
    }

    fn calls(&self) -> u64 {
        self.calls
    }

    fn records(&mut self) -> Value {
        self.audience.records()
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        self.settings.apply(key, value)
    }

    fn expire(&mut self) {
        self.settings.token = another(&self.settings.token);
    }
}
