//! `[into]` of a sync to Zendesk, and the facts of each operation.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, schema};
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Finder, Kit, Nest, Operation, Order, Prepared, SyncShape,
};

use super::account::ZendeskAccount;
use super::object::{EXTERNAL_ID, ID, Object};
use super::records;
use super::send::ZendeskDestination;

/// Records in a job.
const MAX_ROWS: usize = 100;
/// Jobs at once: of the account's 30, a third is left to others.
const JOBS: usize = 20;
/// Calls at once where there are no jobs.
const CALLS: usize = 8;
/// How long a job that was begun without our hearing of it may still be at work: our guess.
const SETTLED: Duration = Duration::from_secs(120);

/// A checked sync to Zendesk.
#[derive(Clone, Debug)]
pub(super) struct ZendeskSync {
    pub(super) account: ZendeskAccount,
    pub(super) object: &'static Object,
    pub(super) matched: Finder,
    pub(super) nest: Nest,
    pub(super) skip_verify_email: bool,
}

impl ZendeskSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &ZendeskAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let skip_verify_email = into.bool("skip_verify_email").unwrap_or(true);
        let object = Object::named(&shape.object.as_ref()?.0)?;
        let matched = shape.finder(MAX_ROWS)?;
        for (place, field) in shape.fields.iter().enumerate() {
            if field.target != ID || place != matched.place {
                object.check(field, into.problems());
            }
        }
        let nest = shape.nest(into.problems())?;
        Some(Self { account: account.clone(), object, matched, nest, skip_verify_email })
    }

    /// Whether records are found by an id that somebody else gave them.
    pub(super) fn by_external_id(&self) -> bool {
        self.matched.by == EXTERNAL_ID
    }

    /// The scopes of the smallest token.
    pub(super) fn scopes(&self) -> Vec<String> {
        vec![String::from("read"), format!("{}:write", self.object.name)]
    }
}

impl Prepared for ZendeskSync {
    fn facts(&self, operation: Operation) -> Facts {
        let address = match (operation, self.object.is_tickets()) {
            (Operation::Upsert, false) | (Operation::Update, true) => AddressKind::MatchValue,
            (Operation::Delete, false) => AddressKind::RemoteId,
            // A new address of e-mail is one more of the same user, and another id is another record.
            (Operation::Move, _) if self.by_external_id() => AddressKind::RemoteId,
            _ => return Facts { max_rows: 0, ..Facts::default() },
        };
        let alone = operation == Operation::Upsert && self.object.is_upserted_alone();
        let (max_rows, evidence, concurrency) =
            if alone { (1, Evidence::Row, CALLS) } else { (MAX_ROWS, Evidence::Job, JOBS) };
        let http = &self.account.http;
        Facts {
            max_rows,
            evidence,
            resend_safe: true,
            address,
            // An external id must be given up before another row takes it.
            order: Order::RemovalsFirst,
            concurrency,
            settle_after: if alone { http.settle_after() } else { http.settle_after_work(SETTLED) },
            scopes: self.scopes(),
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        self.object.name.to_owned()
    }

    fn check_lookup(&self, object: &str, by: &str) -> Result<Vec<String>, String> {
        if !records::is_looked_up(object, by) {
            return Err(String::from("looks up users and organizations by external_id, and nothing else"));
        }
        Ok(vec![String::from("read")])
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        Ok(Arc::new(ZendeskDestination::new(self.clone(), self.account.client(&kit)?)))
    }
}

/// The keys of `[into]`, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let skip = "New users of Zendesk get no message that asks them to verify their address. Default true.";
    serde_json::json!({ "properties": { "skip_verify_email": schema::flag(skip) } })
}
