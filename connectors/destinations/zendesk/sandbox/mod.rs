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

use axum::Router;
use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Kind, Known, StandIn, Window, another};
use desk::Desk;

/// `backhaul sandbox zendesk`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Desk>::NEW
}

/// The state as the calls share it.
type Shared = crate::destinations::stand_in::Shared<Desk>;

impl StandIn for Desk {
    const NAME: &'static str = "zendesk";
    const SETTINGS: Known = settings::KNOWN;

    fn new() -> Result<Self, Fault> {
        Ok(Self { window: Window::fixed(), ..Self::default() })
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
        Self::records(self)
    }

    fn window(&mut self) -> Option<&mut Window> {
        Some(&mut self.window)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        settings::apply(self, key, value)
    }

    fn expire(&mut self) {
        self.settings.token = another(&self.settings.token);
    }
}
