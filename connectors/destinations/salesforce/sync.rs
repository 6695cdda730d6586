//! `[into]` of a sync to Salesforce, and the facts of each operation.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, ItemKind};
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Finder, Kit, Mode, Operation, Order, Prepared, Removed, SyncShape,
};
use tokio::sync::OnceCell;

use super::account::SalesforceAccount;
use super::send::SalesforceDestination;

/// The field of a record's own id.
pub(super) const ID: &str = "Id";
/// Rows of one call of sObject Collections.
pub(super) const COLLECTION: usize = 200;
/// Rows of one job: one batch of Salesforce's own.
const JOB: usize = 10_000;
/// Bytes of a job's rows: its results, which repeat them, have to be read as one answer.
const JOB_BYTES: usize = 20 << 20;
/// Rows in a run above which jobs are used (Salesforce's own advice).
const BULK_ABOVE: u64 = 2000;
/// The longest that Salesforce works on a call.
const LONGEST_CALL: Duration = Duration::from_secs(600);
/// The OAuth scope of every call.
const SCOPE: &str = "api";
/// The smallest organisations let no more long calls through at once.
pub(super) const CONCURRENCY: usize = 5;

/// A checked sync to Salesforce.
#[derive(Clone, Debug)]
pub(super) struct SalesforceSync {
    pub(super) account: SalesforceAccount,
    /// The object, and the field by which rows are matched.
    pub(super) matched: Finder,
    pub(super) mode: Mode,
    pub(super) removed: Removed,
    /// API names, in the order of the sync's fields.
    pub(super) fields: Vec<String>,
    /// `u64::MAX` for never.
    bulk_above: u64,
}

impl SalesforceSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &SalesforceAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let bulk_above = match into.peek("bulk_above") {
            Some(ItemKind::Text(_)) => into.choice("bulk_above", &[("never", u64::MAX)]),
            _ => into.number("bulk_above", 1),
        };
        check(into, shape);
        Some(Self {
            account: account.clone(),
            matched: shape.finder(COLLECTION)?,
            mode: shape.mode.0,
            removed: shape.removed.0,
            fields: shape.targets(),
            bulk_above: bulk_above.unwrap_or(BULK_ABOVE),
        })
    }

    /// Whether rows are matched by the records' own ids.
    pub(super) fn by_id(&self) -> bool {
        self.matched.by == ID
    }
}

impl Prepared for SalesforceSync {
    fn facts(&self, operation: Operation) -> Facts {
        self.facts_for(operation, 0)
    }

    fn facts_for(&self, operation: Operation, rows: u64) -> Facts {
        let address = match operation {
            Operation::Upsert | Operation::Update => AddressKind::MatchValue,
            Operation::Create => AddressKind::None,
            Operation::Delete | Operation::Clear => AddressKind::RemoteId,
            // Another id is another record, and what was created is not changed.
            Operation::Move if !self.by_id() && self.mode != Mode::Create => AddressKind::RemoteId,
            _ => return Facts { max_rows: 0, ..Facts::default() },
        };
        // A record that has to be looked for costs a call for as many as are then written by one.
        let job = rows > self.bulk_above && (operation != Operation::Update || self.by_id());
        Facts {
            max_rows: if job { JOB } else { COLLECTION },
            max_bytes: job.then_some(JOB_BYTES),
            evidence: if job { Evidence::Job } else { Evidence::Row },
            resend_safe: operation != Operation::Create,
            // A record that a lost call created is found by its external id.
            read_back: operation == Operation::Create,
            // An upsert may have to make the record, and needs all of it.
            merges: operation == Operation::Update,
            address,
            // An external id is free again once its record is gone or has another.
            order: Order::RemovalsFirst,
            concurrency: CONCURRENCY,
            settle_after: self.account.http.settle_after_work(LONGEST_CALL),
            scopes: vec![SCOPE.to_owned()],
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        self.matched.object.clone()
    }

    fn check_lookup(&self, object: &str, by: &str) -> Result<Vec<String>, String> {
        match [object, by].into_iter().find(|name| !is_name(name)) {
            Some(name) => Err(format!("has nothing of the API name \"{name}\"")),
            None => Ok(vec![SCOPE.to_owned()]),
        }
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        let (sync, http) = (self.clone(), self.account.client(&kit)?);
        Ok(Arc::new(SalesforceDestination { sync, http, described: OnceCell::new() }))
    }
}

/// The keys of `[into]`, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let text = "Salesforce: a run that sends more rows uses jobs of Bulk API 2.0; \"never\" for none. Default 2000.";
    let forms = serde_json::json!([{ "type": "integer", "minimum": 1 }, { "const": "never" }]);
    serde_json::json!({ "properties": { "bulk_above": { "description": text, "anyOf": forms } } })
}

/// Whether a text can be the API name of an object or a field. Nothing else becomes a part of a query or a path.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// What Salesforce cannot do is refused.
fn check(into: &ConfigTable, shape: &SyncShape) {
    let problems = into.problems();
    if let Some((_, span)) = shape.object.as_ref().filter(|(object, _)| !is_name(object)) {
        problems.refuse("unknown-object", span, "this is no API name of an object", "as \"Subscription__c\"");
    }
    if shape.match_field.is_none() {
        into.missing("match");
    }
    let by_id = shape.mode.0 == Mode::Update && shape.matched().is_none_or(|(by, _)| by == ID);
    for field in &shape.fields {
        if !is_name(&field.target) {
            let remedy = "fields are flat; a reference takes an id, which `lookup` or `ref` finds";
            problems.refuse("bad-field", &field.span, "this is no API name of a field", remedy);
        } else if field.target == ID && !by_id {
            let remedy = "match by an external id; `Id` is the match of mode \"update\" only";
            problems.refuse("unsupported-match", &field.span, "Salesforce gives the ids itself", remedy);
        }
    }
}
