//! `[into]` of a sync to Stripe, and the facts of each operation.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, schema};
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Kit, Mode, Operation, Order, Prepared, SyncShape,
};

use super::account::StripeAccount;
use super::params::{self, ID, Param};
use super::send::StripeDestination;

/// The one object.
pub(super) const CUSTOMERS: &str = "customers";
/// The permission for every kind of write.
pub(super) const WRITE: &str = "rak_customer_write";
/// The permission for searching and reading.
pub(super) const READ: &str = "rak_customer_read";
/// What confirms `removed = "delete"`.
pub(super) const CONFIRM: &str = "cancel_subscriptions";
/// Calls in flight; the account's limit is what bounds the rate.
const CONCURRENCY: usize = 8;

/// What finds a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Finder {
    /// Its own id.
    Id,
    /// The value of this metadata key.
    Metadata(String),
}

/// A checked sync to Stripe.
#[derive(Clone, Debug)]
pub(super) struct StripeSync {
    pub(super) account: StripeAccount,
    pub(super) mode: Mode,
    pub(super) finder: Finder,
    /// Place of the match field in `params`.
    pub(super) match_place: usize,
    /// The parameters written, in the order of the sync's fields.
    pub(super) params: Vec<Param>,
}

impl StripeSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &StripeAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let params = params::read(shape, into.problems());
        let (match_place, finder) = finder(into, shape)?;
        Some(Self { account: account.clone(), mode: shape.mode.0, finder, match_place, params })
    }
}

impl Prepared for StripeSync {
    fn facts(&self, operation: Operation) -> Facts {
        let address = match operation {
            Operation::Upsert | Operation::Update => AddressKind::MatchValue,
            // A creation is made again under its idempotency key.
            Operation::Create => AddressKind::None,
            Operation::Delete | Operation::Clear => AddressKind::RemoteId,
            // Another id is another customer; and what was created is not changed.
            Operation::Move if self.finder != Finder::Id && self.mode != Mode::Create => AddressKind::RemoteId,
            _ => return Facts { max_rows: 0, ..Facts::default() },
        };
        let searched = (self.finder != Finder::Id).then_some(READ);
        Facts {
            max_rows: 1,
            evidence: Evidence::Row,
            resend_safe: true,
            // An upsert makes a customer who is gone anew, and needs all of them.
            merges: operation == Operation::Update,
            address,
            // A customer must have lost a match value before another row's is searched for by it.
            order: Order::RemovalsFirst,
            concurrency: CONCURRENCY,
            settle_after: self.account.http.settle_after(),
            scopes: searched.into_iter().chain([WRITE]).map(str::to_owned).collect(),
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        CUSTOMERS.to_owned()
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        let http = self.account.client(&kit)?;
        Ok(Arc::new(StripeDestination { sync: self.clone(), http }))
    }
}

/// The keys of `[into]`, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let why = "Confirms removed = \"delete\" of Stripe: deleting a customer cancels its subscriptions at once.";
    serde_json::json!({ "properties": { CONFIRM: schema::flag(why) } })
}

/// The match field's place and what it finds a customer by.
fn finder(into: &ConfigTable, shape: &SyncShape) -> Option<(usize, Finder)> {
    let Some((target, span)) = shape.matched() else {
        into.missing("match");
        return None;
    };
    let (place, mode) = (shape.match_field.as_ref()?.0, shape.mode.0);
    if let Some(key) = Param::metadata_key(target) {
        return Some((place, Finder::Metadata(key.to_owned())));
    }
    if target == ID && mode == Mode::Update {
        return Some((place, Finder::Id));
    }
    let message = match target {
        ID => format!("Stripe gives the ids: mode \"{}\" cannot match by them", mode.as_str()),
        _ => format!("`{target}` is not unique in Stripe"),
    };
    let remedy = "match by a metadata key that holds your own id (match = \"metadata.customer_id\"), or by \"id\" in mode \"update\"";
    into.problems().refuse("unsupported-match", span, message, remedy);
    None
}
