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

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backhaul_kit::{Fault, Sandbox, SandboxKind};
use tokio::net::TcpListener;

use crate::destinations::stand_in::{Rolling, Serving};
use lists::Lists;
use settings::Settings;
use tokens::Tokens;

/// `backhaul sandbox google-data-manager`.
#[derive(Debug)]
pub struct DataManagerSandbox;

/// All state of a running stand-in.
#[derive(Debug)]
struct State {
    settings: Settings,
    lists: Lists,
    tokens: Tokens,
    recent: Rolling,
    calls: u64,
}

impl State {
    /// Object → id → members, as of now.
    fn records(&mut self) -> serde_json::Value {
        self.lists.work(&self.settings);
        self.lists.records()
    }
}

/// The state as the calls share it.
#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SandboxKind for DataManagerSandbox {
    fn name(&self) -> &'static str {
        "google-data-manager"
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        settings::KNOWN.0
    }

    async fn start(&self, listener: TcpListener, settings: &[(String, String)]) -> Result<Box<dyn Sandbox>, Fault> {
        let mut state = State {
            settings: Settings::default(),
            lists: Lists::default(),
            tokens: Tokens::new()?,
            recent: Rolling::default(),
            calls: 0,
        };
        for (key, value) in settings {
            settings::apply(&mut state, key, value)?;
        }
        let shared = Shared(Arc::new(Mutex::new(state)));
        let held = shared.clone();
        let records = move || held.lock().records();
        let serving = Serving::start("google-data-manager", listener, routes::router(shared.clone()), records)?;
        shared.lock().tokens.audience = format!("{}/token", serving.url());
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
        self.shared.lock().tokens.key_file.clone()
    }

    fn calls(&self) -> u64 {
        self.shared.lock().calls
    }

    fn records(&self) -> serde_json::Value {
        self.shared.lock().records()
    }

    fn set(&self, key: &str, value: &str) -> Result<(), Fault> {
        settings::apply(&mut self.shared.lock(), key, value)
    }

    fn expire(&self) {
        self.shared.lock().tokens.expire();
    }
}
