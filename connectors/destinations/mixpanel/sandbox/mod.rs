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

use axum::Router;
use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Kind, Known, StandIn, another};
use project::Project;

/// `backhaul sandbox mixpanel`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Project>::NEW
}

/// The state as the calls share it.
type Shared = crate::destinations::stand_in::Shared<Project>;

impl StandIn for Project {
    const NAME: &'static str = "mixpanel";
    const SETTINGS: Known = Known(project::SETTINGS);

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
        Self::records(self)
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        Self::set(self, key, value)
    }

    fn expire(&mut self) {
        self.settings.token = another(&self.settings.token);
    }
}
