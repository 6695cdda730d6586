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

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backhaul_kit::{Fault, Sandbox, SandboxKind};
use tokio::net::TcpListener;

use settings::Settings;
use store::Store;

use crate::destinations::stand_in::{Serving, another};

/// `backhaul sandbox hubspot`.
#[derive(Debug)]
pub struct HubSpotSandbox;

/// All state of a running stand-in.
#[derive(Debug)]
struct Account {
    settings: Settings,
    store: Store,
    gate: gate::Gate,
}

/// The state as the calls share it.
#[derive(Clone, Debug)]
pub(super) struct Shared(Arc<Mutex<Account>>);

impl Shared {
    /// A new, empty account with these settings.
    ///
    /// # Errors
    /// A setting that is not known or has a wrong value.
    pub(super) fn new(settings: &[(String, String)]) -> Result<Self, Fault> {
        let mut account =
            Account { settings: Settings::default(), store: Store::default(), gate: gate::Gate::default() };
        for (key, value) in settings {
            settings::apply(&mut account, key, value)?;
        }
        Ok(Self(Arc::new(Mutex::new(account))))
    }

    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SandboxKind for HubSpotSandbox {
    fn name(&self) -> &'static str {
        "hubspot"
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        settings::SETTINGS
    }

    async fn start(&self, listener: TcpListener, settings: &[(String, String)]) -> Result<Box<dyn Sandbox>, Fault> {
        let shared = Shared::new(settings)?;
        let held = shared.clone();
        let records = move || held.lock().store.snapshot();
        let serving = Serving::start("hubspot", listener, routes::router(shared.clone()), records)?;
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
        self.shared.lock().settings.token.clone()
    }

    fn calls(&self) -> u64 {
        self.shared.lock().gate.calls()
    }

    fn records(&self) -> serde_json::Value {
        self.shared.lock().store.snapshot()
    }

    fn set(&self, key: &str, value: &str) -> Result<(), Fault> {
        settings::apply(&mut self.shared.lock(), key, value)
    }

    fn expire(&self) {
        let settings = &mut self.shared.lock().settings;
        settings.token = another(&settings.token);
    }
}
