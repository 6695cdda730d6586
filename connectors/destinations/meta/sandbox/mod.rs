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

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backhaul_kit::{Fault, Sandbox, SandboxKind};
use tokio::net::TcpListener;

use crate::destinations::stand_in::{Serving, another};
use audience::Audience;
use settings::Settings;

/// `backhaul sandbox meta`.
#[derive(Debug)]
pub struct MetaSandbox;

/// All state of a running stand-in.
#[derive(Debug, Default)]
struct Account {
    settings: Settings,
    audience: Audience,
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
impl SandboxKind for MetaSandbox {
    fn name(&self) -> &'static str {
        "meta"
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        settings::KNOWN.0
    }

    async fn start(&self, listener: TcpListener, settings: &[(String, String)]) -> Result<Box<dyn Sandbox>, Fault> {
        let shared = Shared::default();
        for (key, value) in settings {
            shared.lock().settings.apply(key, value)?;
        }
        let held = shared.clone();
        let records = move || held.lock().audience.records();
        let serving = Serving::start("meta", listener, routes::router(shared.clone()), records)?;
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
        self.shared.lock().calls
    }

    fn records(&self) -> serde_json::Value {
        self.shared.lock().audience.records()
    }

    fn expire(&self) {
        let settings = &mut self.shared.lock().settings;
        settings.token = another(&settings.token);
    }

    fn set(&self, key: &str, value: &str) -> Result<(), Fault> {
        self.shared.lock().settings.apply(key, value)
    }
}
