//! A stand-in of Stripe's API: in memory, stateful, on a local port.
//!
//! It knows the calls that the destination makes: creating, updating, reading, deleting, listing and searching
//! customers, the account, and charges (of which there are none). It has permissions, idempotency keys that replay
//! their first answer, a search that lags, a limit, and faults on demand (`settings`).
//!
//! | file | what is there |
//! |---|---|
//! | `settings` | what it can be told |
//! | `customers` | the customers, and the index of the search |
//! | `form` | parameters and their rules |
//! | `routes` | the calls, and what stands before each |
//!
//! It differs from Stripe where nothing is documented: permissions other than `rak_customer_write` and
//! `rak_customer_read` are plausible names, a key is never still running (409), parts of an address that are not sent
//! stay, a deleted customer cannot be updated (404), and parameters that the destination never writes are unknown.

mod customers;
mod form;
mod routes;
mod settings;

use axum::Router;
use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Kind, Known, StandIn, Window, another};
use customers::Customers;
use settings::Settings;

/// `backhaul sandbox stripe`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Account>::NEW
}

/// All state of a running stand-in.
#[derive(Debug, Default)]
struct Account {
    settings: Settings,
    customers: Customers,
    answered: routes::Answered,
    window: Window,
    calls: u64,
}

/// The state as the calls share it.
type Shared = crate::destinations::stand_in::Shared<Account>;

impl StandIn for Account {
    const NAME: &'static str = "stripe";
    const SETTINGS: Known = settings::KNOWN;

    fn new() -> Result<Self, Fault> {
        Ok(Self::default())
    }

    fn router(shared: Shared) -> Router {
        routes::router(shared)
    }

    fn token(&self) -> String {
        self.settings.key.clone()
    }

    fn calls(&self) -> u64 {
        self.calls
    }

    fn records(&mut self) -> Value {
        self.customers.records()
    }

    fn window(&mut self) -> Option<&mut Window> {
        Some(&mut self.window)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        settings::apply(self, key, value)
    }

    fn expire(&mut self) {
        self.settings.key = another(&self.settings.key);
    }
}
