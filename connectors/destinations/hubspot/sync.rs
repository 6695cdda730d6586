//! `[into]` of a sync to HubSpot, and the facts of each operation.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Problem, nearest};
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Finder, Kit, Mode, NullPolicy, Operation, Order, Prepared,
    Removed, SyncShape,
};

use super::account::HubSpotAccount;
use super::object::{ObjectType, RECORD_ID};
use super::records::check_lookup;
use super::send::HubSpotDestination;

/// Inputs in one batch call, of whatever operation.
pub(super) const MAX_INPUTS: usize = 100;
/// Batch calls in flight; the account's limit is what bounds the rate.
const CONCURRENCY: usize = 4;

/// A checked sync to HubSpot.
#[derive(Clone, Debug)]
pub(super) struct HubSpotSync {
    pub(super) account: HubSpotAccount,
    pub(super) object: ObjectType,
    pub(super) mode: Mode,
    pub(super) removed: Removed,
    /// The property that finds records.
    pub(super) matched: Option<Finder>,
    /// The properties written, in the order of the sync's fields.
    pub(super) properties: Vec<String>,
}

impl HubSpotSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &HubSpotAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let object = object(into, shape)?;
        check_match(into, shape);
        warn_of_partial_upserts(into, shape, &object);
        let (mode, removed, matched) = (shape.mode.0, shape.removed.0, shape.finder(MAX_INPUTS));
        Some(Self { account: account.clone(), object, mode, removed, matched, properties: shape.targets() })
    }

    /// The operations that this sync can come to.
    pub(super) fn operations(&self) -> impl Iterator<Item = Operation> {
        [Some(self.mode.write_operation()), self.removed.operation()].into_iter().flatten()
    }

    /// The property that finds records, unless it is HubSpot's own id.
    pub(super) fn id_property(&self) -> Option<&str> {
        self.matched.as_ref().map(|matched| matched.by.as_str()).filter(|by| *by != RECORD_ID)
    }

    /// How the records of an operation's rows are looked for.
    pub(super) fn finder(&self, operation: Operation) -> Option<Finder> {
        let looks = matches!(operation, Operation::Archive | Operation::Move | Operation::Create);
        self.matched.clone().filter(|_| looks && self.id_property().is_some())
    }
}

impl Prepared for HubSpotSync {
    fn facts(&self, operation: Operation) -> Facts {
        let (address, evidence) = match operation {
            Operation::Upsert | Operation::Update => (AddressKind::MatchValue, Evidence::Row),
            Operation::Create => (AddressKind::None, Evidence::Row),
            Operation::Clear => (AddressKind::RemoteId, Evidence::Row),
            // Another id of HubSpot's is another record.
            Operation::Move if self.id_property().is_some() => (AddressKind::RemoteId, Evidence::Row),
            Operation::Archive => (AddressKind::RemoteId, Evidence::Call),
            _ => return Facts { max_rows: 0, ..Facts::default() },
        };
        // A record whose id was never learnt is looked for.
        let read = self.finder(operation).map(|_| self.object.read_scope());
        Facts {
            max_rows: MAX_INPUTS,
            evidence,
            resend_safe: operation != Operation::Create,
            // A record that a lost call created is found by its unique property.
            read_back: operation == Operation::Create && read.is_some(),
            // An upsert may have to make the record, and needs all of it.
            merges: operation == Operation::Update,
            address,
            // Unique values are free again once their record is archived or moved.
            order: Order::RemovalsFirst,
            concurrency: CONCURRENCY,
            settle_after: self.account.http.settle_after(),
            scopes: read.into_iter().chain([self.object.write_scope()]).collect(),
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        self.object.name().to_owned()
    }

    fn check_lookup(&self, object: &str, by: &str) -> Result<Vec<String>, String> {
        check_lookup(object, by)
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        Ok(Arc::new(HubSpotDestination { sync: self.clone(), http: self.account.client(&kit)? }))
    }
}

fn object(into: &ConfigTable, shape: &SyncShape) -> Option<ObjectType> {
    let (text, span) = shape.object.as_ref()?;
    let parsed = ObjectType::parse(text);
    if parsed.is_none() {
        let message = format!("HubSpot has no object \"{text}\"");
        let remedy = "one of contacts, companies, deals; a custom object by its type id (\"2-123\") or its full name (\"p123_machine\")";
        into.problems().refuse_near(
            "unknown-object",
            span,
            message,
            nearest(text, ObjectType::standard_names()),
            remedy,
        );
    }
    parsed
}

fn check_match(into: &ConfigTable, shape: &SyncShape) {
    match (shape.matched(), shape.mode.0) {
        (None, Mode::Upsert | Mode::Update) => into.missing("match"),
        (Some((RECORD_ID, span)), mode) if mode != Mode::Update => {
            let message = format!("`{RECORD_ID}` is HubSpot's own id: mode \"{}\" cannot match by it", mode.as_str());
            let remedy = "match by a property with unique values, or use mode = \"update\"";
            into.problems().refuse("unsupported-match", span, message, remedy);
        }
        _ => {}
    }
}

fn warn_of_partial_upserts(into: &ConfigTable, shape: &SyncShape, object: &ObjectType) {
    let by_email = object.is_contacts() && shape.matched().is_some_and(|(name, _)| name == "email");
    if shape.mode.0 != Mode::Upsert || !by_email {
        return;
    }
    let skipped = shape.fields.iter().filter(|field| field.null == NullPolicy::Skip && field.target != "email");
    for field in skipped {
        let message =
            format!("`{}` may be left out of an upsert by `email`, which HubSpot does not support", field.target);
        let remedy = "match by a custom property with unique values, or use null = \"send\" or \"clear\"";
        into.problems().push(Problem::warning("partial-upsert", message).at(&field.span).remedy(remedy));
    }
}
