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

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backhaul_kit::{Fault, Sandbox, SandboxKind};
use tokio::net::TcpListener;

use crate::destinations::stand_in::{Rolling, Serving, another};
use customers::Customers;
use settings::Settings;

/// `backhaul sandbox stripe`.
#[derive(Debug)]
pub struct StripeSandbox;

/// All state of a running stand-in.
#[derive(Debug, Default)]
struct Account {
    settings: Settings,
    customers: Customers,
    answered: routes::Answered,
    recent: Rolling,
    calls: u64,
}

/// The state as the calls share it.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Account>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SandboxKind for StripeSandbox {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        settings::KNOWN.0
    }

    async fn start(&self, listener: TcpListener, settings: &[(String, String)]) -> Result<Box<dyn Sandbox>, Fault> {
        let shared = Shared::default();
        for (key, value) in settings {
            settings::apply(&mut shared.lock(), key, value)?;
        }
        let held = shared.clone();
        let records = move || held.lock().customers.records();
        let serving = Serving::start("stripe", listener, routes::router(shared.clone()), records)?;
        Ok(Box::new(Running { shared, serving }))
    }
}

/// A running stand-in.
struct Running {
    shared: Shared,
    serving: Serving,
}

impl Sandbox for Running {
    fn url(&self) -> String {
        self.serving.url()
    }

    fn token(&self) -> String {
        self.shared.lock().settings.key.clone()
    }

    fn calls(&self) -> u64 {
        self.shared.lock().calls
    }

    fn records(&self) -> serde_json::Value {
        self.shared.lock().customers.records()
    }

    fn set(&self, key: &str, value: &str) -> Result<(), Fault> {
        settings::apply(&mut self.shared.lock(), key, value)
    }

    fn expire(&self) {
        let settings = &mut self.shared.lock().settings;
        settings.key = another(&settings.key);
    }
}
