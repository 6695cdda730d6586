//! A stand-in of HubSpot's CRM API: in memory, stateful, on a local port.
//!
//! It knows the calls that the destination makes, the properties API, listing and single reads, and the
//! introspection of private apps; it has scopes, caps, unique and read-only properties, enumerations, multi-status
//! answers, rolling limits with their headers, and faults on demand (`settings`).
//!
//! | file | what is there |
//! |---|---|
//! | `settings` | what it can be told |
//! | `property` | definitions of properties and the check of a value |
//! | `record` | one record, packed |
//! | `store` | the records of the account |
//! | `batch` | how a batch changes them |
//! | `envelope` | the vendor's JSON |
//! | `gate` | what stands before every call: token, limits, faults on demand |
//! | `routes` | the calls |
//!
//! It differs from HubSpot where nothing is documented: an unknown property refuses the whole batch, codes
//! of refused values other than `INVALID_EMAIL` and `PROPERTY_DOESNT_EXIST` are plausible names,
//! `lifecyclestage` may move backwards, secondary e-mail addresses do not exist, and upserts by `email`
//! keep the properties that they do not name.

mod batch;
mod envelope;
mod gate;
mod property;
mod record;
mod routes;
mod settings;
mod store;

use axum::Router;
use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Kind, Known, StandIn, Window, another};
use settings::Settings;
use store::Store;

/// `backhaul sandbox hubspot`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Account>::NEW
}

/// All state of a running stand-in.
#[derive(Debug)]
struct Account {
    settings: Settings,
    store: Store,
    gate: gate::Gate,
}

/// The state as the calls share it.
type Shared = crate::destinations::stand_in::Shared<Account>;

impl StandIn for Account {
    const NAME: &'static str = "hubspot";
    const SETTINGS: Known = settings::KNOWN;

    fn new() -> Result<Self, Fault> {
        Ok(Self { settings: Settings::default(), store: Store::default(), gate: gate::Gate::default() })
    }

    fn router(shared: Shared) -> Router {
        routes::router(shared)
    }

    fn token(&self) -> String {
        self.settings.token.clone()
    }

    fn calls(&self) -> u64 {
        self.gate.calls()
    }

    fn records(&mut self) -> Value {
        self.store.snapshot()
    }

    fn window(&mut self) -> Option<&mut Window> {
        Some(&mut self.gate.window)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        settings::apply(self, key, value)
    }

    fn expire(&mut self) {
        self.settings.token = another(&self.settings.token);
    }
}
