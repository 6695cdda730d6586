//! A stand-in of Mailchimp's Marketing API: in memory, stateful, on a local port.
//!
//! It knows the calls that the destination makes: account, list, merge fields, members (one, and up to 500 by the list),
//! a static segment, and jobs of operations with their archive of results. It has a key, a cap of connections, per-member
//! errors, opt-outs that stay, archived and forgotten members, and faults on demand (`settings`).
//!
//! | file | what is there |
//! |---|---|
//! | `account` | the state, and what it can be told |
//! | `calls` | what each call does |
//! | `routes` | what stands before each call, and the archives of results |
//!
//! It differs from Mailchimp where nothing is documented: jobs run one after the other, each after so many calls of
//! whatever kind (`job_calls`); unknown merge fields are refused; a written status subscribes nobody who had unsubscribed,
//! and brings archived members back; it has one list.

mod account;
mod calls;
mod routes;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use backhaul_kit::{Fault, Sandbox, SandboxKind};
use tokio::net::TcpListener;

use crate::destinations::stand_in::{Serving, another};
use account::Account;

/// `backhaul sandbox mailchimp`.
#[derive(Debug)]
pub struct MailchimpSandbox;

/// The state as the calls share it.
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Account>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SandboxKind for MailchimpSandbox {
    fn name(&self) -> &'static str {
        "mailchimp"
    }

    fn settings(&self) -> &'static [(&'static str, &'static str)] {
        account::KNOWN.0
    }

    async fn start(&self, listener: TcpListener, settings: &[(String, String)]) -> Result<Box<dyn Sandbox>, Fault> {
        let shared = Shared::default();
        for (key, value) in settings {
            shared.lock().set(key, value)?;
        }
        let records = shared.clone();
        let records = move || records.lock().records();
        let serving = Serving::start("mailchimp", listener, routes::router(shared.clone()), records)?;
        shared.lock().url = serving.url();
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
        self.shared.lock().key.clone()
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
        let account = &mut self.shared.lock();
        account.key = another(&account.key);
    }
}
