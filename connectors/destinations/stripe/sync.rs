//! `[into]` of a sync to Stripe, and the facts of each operation.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem};
use backhaul_kit::http::limit::Limiter;
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Kit, Mode, Operation, Order, Prepared, Removed, SyncShape,
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
const CONFIRM: &str = "cancel_subscriptions";
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
        let errors = into.problems().errors();
        let confirmed = into.bool(CONFIRM).unwrap_or(false);
        check_object(into, shape);
        check_mode(into, shape);
        check_removed(into, shape, confirmed);
        let params = params::read(shape, into.problems());
        let found = finder(into, shape);
        if into.problems().errors() > errors {
            return None;
        }
        let (match_place, finder) = found?;
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
            settle_after: self.account.http.timeout().max(Duration::from_secs(1)),
            scopes: searched.into_iter().chain([WRITE]).map(str::to_owned).collect(),
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        CUSTOMERS.to_owned()
    }

    fn limiter(&self, kit: &Kit) -> Option<Arc<Limiter>> {
        Some(self.account.limiter(kit))
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        let http = self.account.client(&kit)?;
        Ok(Arc::new(StripeDestination { sync: self.clone(), http }))
    }
}

/// The keys of `[into]`, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    serde_json::json!({
        "properties": {
            CONFIRM: {
                "description": "Confirms removed = \"delete\" of Stripe: deleting a customer cancels its subscriptions at once.",
                "type": "boolean"
            }
        }
    })
}

fn check_object(into: &ConfigTable, shape: &SyncShape) {
    match &shape.object {
        None => into.missing("object"),
        Some((object, _)) if object == CUSTOMERS => {}
        Some((object, span)) => {
            let message = format!("Stripe's \"{object}\" cannot be written here");
            into.problems().push(Problem::error("unknown-object", message).at(span).remedy("write \"customers\""));
        }
    }
}

fn check_mode(into: &ConfigTable, shape: &SyncShape) {
    let (mode, span) = &shape.mode;
    if matches!(mode, Mode::Audience | Mode::Append) {
        let message = format!("Stripe's customers cannot be written in mode \"{}\"", mode.as_str());
        let remedy = "use mode = \"upsert\"; a metadata key can mark the members of an audience";
        into.problems().push(Problem::error("unsupported-mode", message).at(span).remedy(remedy));
    }
}

fn check_removed(into: &ConfigTable, shape: &SyncShape, confirmed: bool) {
    let (removed, span) = &shape.removed;
    let (code, message, remedy) = match removed {
        Removed::Archive => (
            "unsupported-removed",
            "Stripe's customers cannot be archived",
            String::from("use removed = \"clear\" to empty what was written, or \"ignore\""),
        ),
        Removed::Delete if !confirmed => (
            "unconfirmed-removal",
            "deleting a customer is for good, and cancels its subscriptions at once",
            format!("say that this is meant with {CONFIRM} = true in [into], or use removed = \"clear\" or \"ignore\""),
        ),
        Removed::Clear if shape.fields.len() < 2 => (
            "unsupported-removed",
            "there is nothing to clear: the sync writes only its match field",
            String::from("map more fields, or use removed = \"ignore\""),
        ),
        Removed::Ignore | Removed::Delete | Removed::Clear => return,
    };
    into.problems().push(Problem::error(code, message).at(span).remedy(remedy));
}

/// The match field's place and what it finds a customer by.
fn finder(into: &ConfigTable, shape: &SyncShape) -> Option<(usize, Finder)> {
    let Some((place, span)) = &shape.match_field else {
        into.missing("match");
        return None;
    };
    let target = shape.fields.get(*place)?.target.as_str();
    if let Some(key) = Param::metadata_key(target) {
        return Some((*place, Finder::Metadata(key.to_owned())));
    }
    if target == ID && shape.mode.0 == Mode::Update {
        return Some((*place, Finder::Id));
    }
    let (message, remedy) = if target == ID {
        (
            format!("Stripe gives the ids: mode \"{}\" cannot match by them", shape.mode.0.as_str()),
            "match by the metadata key that holds your own id, or use mode = \"update\"",
        )
    } else {
        (
            format!("`{target}` is not unique in Stripe"),
            "match by a metadata key that holds your own id (match = \"metadata.customer_id\"), or by \"id\" in mode \"update\"",
        )
    };
    into.problems().push(Problem::error("unsupported-match", message).at(span).remedy(remedy));
    None
}
