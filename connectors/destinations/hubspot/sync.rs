//! `[into]` of a sync to HubSpot, and the facts of each operation.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Problem, nearest};
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Kit, Mode, NullPolicy, Operation, Order, Prepared, Removed,
    SyncShape,
};

use super::account::HubSpotAccount;
use super::object::{ObjectType, RECORD_ID};
use super::records::check_lookup;
use super::send::HubSpotDestination;

/// Inputs in one batch call, of whatever operation.
pub(super) const MAX_INPUTS: usize = 100;
/// Batch calls in flight; the account's limit is what bounds the rate.
const CONCURRENCY: usize = 4;

/// The property that finds records.
#[derive(Clone, Debug)]
pub(super) struct MatchProperty {
    /// Its place in [`HubSpotSync::properties`].
    pub(super) place: usize,
    /// Its name.
    pub(super) name: String,
}

impl MatchProperty {
    /// `idProperty` of a call: absent where records are found by their own id.
    pub(super) fn id_property(&self) -> Option<&str> {
        (self.name != RECORD_ID).then_some(self.name.as_str())
    }
}

/// A checked sync to HubSpot.
#[derive(Clone, Debug)]
pub(super) struct HubSpotSync {
    pub(super) account: HubSpotAccount,
    pub(super) object: ObjectType,
    pub(super) mode: Mode,
    pub(super) removed: Removed,
    pub(super) match_property: Option<MatchProperty>,
    /// The properties written, in the order of the sync's fields.
    pub(super) properties: Vec<String>,
}

impl HubSpotSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &HubSpotAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let object = object(into, shape)?;
        let match_property = match_property(into, shape);
        warn_of_partial_upserts(into, shape, &object, match_property.as_ref());
        let (mode, removed) = (shape.mode.0, shape.removed.0);
        Some(Self { account: account.clone(), object, mode, removed, match_property, properties: shape.targets() })
    }

    /// The operations that this sync can come to.
    pub(super) fn operations(&self) -> impl Iterator<Item = Operation> {
        [Some(self.mode.write_operation()), self.removed.operation()].into_iter().flatten()
    }
}

impl Prepared for HubSpotSync {
    fn facts(&self, operation: Operation) -> Facts {
        let write = vec![self.object.write_scope()];
        // A record whose id was never learnt is looked for first.
        let find_and_write = vec![self.object.read_scope(), self.object.write_scope()];
        let (address, resend_safe, evidence, scopes) = match operation {
            Operation::Upsert | Operation::Update => (AddressKind::MatchValue, true, Evidence::Row, write),
            Operation::Create => {
                let scopes = if self.match_property.is_some() { find_and_write } else { write };
                (AddressKind::None, false, Evidence::Row, scopes)
            }
            Operation::Move => (AddressKind::RemoteId, true, Evidence::Row, find_and_write),
            Operation::Clear => (AddressKind::RemoteId, true, Evidence::Row, write),
            Operation::Archive => (AddressKind::RemoteId, true, Evidence::Call, find_and_write),
            Operation::Append | Operation::AudienceAdd | Operation::AudienceRemove | Operation::Delete => {
                return Facts::default();
            }
        };
        Facts {
            max_rows: MAX_INPUTS,
            evidence,
            resend_safe,
            // A record that a lost call created is found by its unique property.
            read_back: operation == Operation::Create && self.match_property.is_some(),
            // An upsert may have to make the record, and needs all of it.
            merges: operation == Operation::Update,
            address,
            // Unique values are free again once their record is archived or moved.
            order: Order::RemovalsFirst,
            concurrency: CONCURRENCY,
            settle_after: self.account.http.settle_after(),
            scopes,
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

fn match_property(into: &ConfigTable, shape: &SyncShape) -> Option<MatchProperty> {
    let mode = shape.mode.0;
    let Some((place, span)) = &shape.match_field else {
        if matches!(mode, Mode::Upsert | Mode::Update) {
            into.missing("match");
        }
        return None;
    };
    let name = shape.fields.get(*place)?.target.clone();
    if name == RECORD_ID && mode != Mode::Update {
        let message = format!("`{RECORD_ID}` is HubSpot's own id: mode \"{}\" cannot match by it", mode.as_str());
        let remedy = "match by a property with unique values, or use mode = \"update\"";
        into.problems().refuse("unsupported-match", span, message, remedy);
    }
    Some(MatchProperty { place: *place, name })
}

fn warn_of_partial_upserts(
    into: &ConfigTable,
    shape: &SyncShape,
    object: &ObjectType,
    match_property: Option<&MatchProperty>,
) {
    let by_email = object.is_contacts() && match_property.is_some_and(|property| property.name == "email");
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
