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
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backhaul_kit::{Fault, Sandbox, SandboxKind};
use serde_json::Value;
use tokio::net::TcpListener;

use crate::destinations::stand_in::Serving;
use settings::Settings;

/// `backhaul sandbox salesforce`.
#[derive(Debug)]
pub struct SalesforceSandbox;

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
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Org>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Org> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SandboxKind for SalesforceSandbox {
    fn name(&self) -> &'static str {
        "salesforce"
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
        let records = move || held.lock().objects.records();
        let serving = Serving::start("salesforce", listener, routes::router(shared.clone()), records)?;
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
        self.shared.lock().settings.client_secret.clone()
    }

    fn calls(&self) -> u64 {
        self.shared.lock().calls
    }

    fn records(&self) -> Value {
        self.shared.lock().objects.records()
    }

    fn set(&self, key: &str, value: &str) -> Result<(), Fault> {
        settings::apply(&mut self.shared.lock(), key, value)
    }

    fn expire(&self) {
        self.shared.lock().tokens.clear();
    }
}
