//! A stand-in of Zendesk Support's API: in memory, stateful, on a local port.
//!
//! The calls of the connector, as the reference pages have them: bulk calls become jobs, of which 30 may be open at once
//! and which can end later, without a part of their rows, as a failure, never, or be forgotten; refusals come in several
//! of Zendesk's forms. Deleted records are gone.
//!
//! It differs where nothing is documented: results of upserts have an `index` and what the row said; a row that is
//! refused has its index as its `id`, as users of the API have seen it; custom fields are not checked; a limit is a
//! window of a minute that begins with its first call; `job_statuses` and look-ups want the scope `read`; there is no
//! search and no `links`.

mod desk;
mod routes;
mod settings;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backhaul_kit::{Fault, Sandbox, SandboxKind};
use tokio::net::TcpListener;

use crate::destinations::stand_in::{Serving, another};
use desk::Desk;

/// `backhaul sandbox zendesk`.
#[derive(Debug)]
pub struct ZendeskSandbox;

/// The account as the calls share it.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Desk>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SandboxKind for ZendeskSandbox {
    fn name(&self) -> &'static str {
        "zendesk"
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
        let records = move || held.lock().records();
        let serving = Serving::start("zendesk", listener, routes::router(shared.clone()), records)?;
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
        settings::apply(&mut self.shared.lock(), key, value)
    }

    fn expire(&self) {
        let settings = &mut self.shared.lock().settings;
        settings.token = another(&settings.token);
    }
}
