//! A stand-in of Mixpanel's ingestion: in memory, stateful, on a local port.
//!
//! `POST /import` (strict) and `POST /engage` with `$set`, `$set_once`, `$unset` and `$delete`, as the API's description
//! and reference have them; `GET /sandbox/records` shows what it holds. Events are kept once for each event, `time`,
//! `distinct_id` and `$insert_id`, the newest of each. As at Mixpanel `/engage` answers 200 to everything: records that are
//! not valid are passed over where others are, and those of another token vanish.
//!
//! It differs where nothing is documented: too many records are answered with 413, and there are no aliases.

mod project;
mod routes;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backhaul_kit::{Fault, Sandbox, SandboxKind};
use tokio::net::TcpListener;

use project::Project;

use crate::destinations::stand_in::{Serving, another};

/// `backhaul sandbox mixpanel`.
#[derive(Debug)]
pub struct MixpanelSandbox;

/// The project as the calls share it.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Project>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Project> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SandboxKind for MixpanelSandbox {
    fn name(&self) -> &'static str {
        "mixpanel"
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        project::SETTINGS
    }

    async fn start(&self, listener: TcpListener, settings: &[(String, String)]) -> Result<Box<dyn Sandbox>, Fault> {
        let shared = Shared::default();
        for (key, value) in settings {
            shared.lock().set(key, value)?;
        }
        let held = shared.clone();
        let records = move || held.lock().records();
        let serving = Serving::start("mixpanel", listener, routes::router(shared.clone()), records)?;
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
        self.shared.lock().records()
    }

    fn set(&self, key: &str, value: &str) -> Result<(), Fault> {
        self.shared.lock().set(key, value)
    }

    fn expire(&self) {
        let settings = &mut self.shared.lock().settings;
        settings.token = another(&settings.token);
    }
}
