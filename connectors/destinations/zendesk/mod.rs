//! Zendesk Support: users, organizations and tickets.

mod account;
mod answer;
mod draft;
mod inspect;
mod job;
mod object;
mod records;
pub mod sandbox;
mod send;
mod sync;

use backhaul_kit::config::ConfigTable;
use backhaul_kit::{About, Account, DestinationKind, KindSchema, Mode, Removed, SandboxKind};

/// `type = "zendesk"`.
#[derive(Debug)]
pub struct Zendesk;

impl DestinationKind for Zendesk {
    fn name(&self) -> &'static str {
        "zendesk"
    }

    fn about(&self) -> About {
        About {
            title: "Zendesk Support",
            summary: "users and organizations by external id, tickets by id; in jobs of 100 records",
            objects: "users, organizations (upsert, update), tickets (update)",
            modes: &[Mode::Upsert, Mode::Update],
            removed: &[Removed::Ignore, Removed::Delete],
            proof: "docs only",
        }
    }

    fn account(&self, table: &mut ConfigTable) -> Option<Box<dyn Account>> {
        account::ZendeskAccount::read(table).map(|account| Box::new(account) as Box<dyn Account>)
    }

    fn json_schema(&self) -> KindSchema {
        KindSchema { account: account::json_schema(), into: sync::json_schema() }
    }

    fn sandbox(&self) -> Option<&'static dyn SandboxKind> {
        Some(&sandbox::ZendeskSandbox)
    }
}
