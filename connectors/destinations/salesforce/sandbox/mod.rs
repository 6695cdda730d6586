//! A stand-in of Salesforce: tokens by both grants, describe, sObject Collections, simple queries, jobs of Bulk API 2.0.
//!
//! Where it differs from the vendor: assertions are verified by a public key, not by a certificate; there is no user
//! administration (one user, whose rights are settings); of SOQL it knows `SELECT Id, F FROM O WHERE F IN (…)`; there
//! are no triggers, rules, sharing or recycle bin, and no relations between objects; a job is worked on when it is asked
//! after; objects are those of the setting `fields` alone.

mod jobs;
mod routes;
mod settings;
mod store;

use std::collections::HashMap;

use axum::Router;
use backhaul_kit::{Fault, SandboxKind};
use serde_json::Value;

use crate::destinations::stand_in::{Kind, Known, StandIn};
use settings::Settings;

/// `backhaul sandbox salesforce`.
pub fn kind() -> &'static dyn SandboxKind {
    &Kind::<Org>::NEW
}

/// All state of a running stand-in.
#[derive(Debug, Default)]
struct Org {
    settings: Settings,
    objects: store::Objects,
    jobs: jobs::Jobs,
    /// Tokens that are good.
    tokens: Vec<String>,
    /// Pages of queries that were not asked for yet.
    pages: HashMap<String, Vec<Value>>,
    calls: u64,
}

/// The state as the calls share it.
type Shared = crate::destinations::stand_in::Shared<Org>;

impl StandIn for Org {
    const NAME: &'static str = "salesforce";
    const SETTINGS: Known = settings::KNOWN;

    fn new() -> Result<Self, Fault> {
        Ok(Self::default())
    }

    fn router(shared: Shared) -> Router {
        routes::router(shared)
    }

    fn token(&self) -> String {
        self.settings.client_secret.clone()
    }

    fn calls(&self) -> u64 {
        self.calls
    }

    fn records(&mut self) -> Value {
        self.objects.records()
    }

    fn set(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        settings::apply(self, key, value)
    }

    fn expire(&mut self) {
        self.tokens.clear();
    }
}
