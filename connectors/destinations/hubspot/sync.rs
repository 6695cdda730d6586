//! `[into]` of a sync to HubSpot, and the facts of each operation.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, nearest};
use backhaul_kit::http::limit::Limiter;
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Kit, Mode, NullPolicy, Operation, Order, Prepared, Removed,
    Session, SyncShape,
};

use super::account::HubSpotAccount;
use super::lookup;
use super::object::{ObjectType, RECORD_ID};
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
        let errors = into.problems().errors();
        let object = object(into, shape);
        check_mode(into, shape);
        check_removed(into, shape);
        check_fields(into, shape);
        let match_property = match_property(into, shape);
        if into.problems().errors() > errors {
            return None;
        }
        let object = object?;
        warn_of_partial_upserts(into, shape, &object, match_property.as_ref());
        Some(Self {
            account: account.clone(),
            object,
            mode: shape.mode.0,
            removed: shape.removed.0,
            match_property,
            properties: shape.fields.iter().map(|field| field.target.clone()).collect(),
        })
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
            max_bytes: None,
            evidence,
            resend_safe,
            // A record that a lost call created is found by its unique property.
            read_back: operation == Operation::Create && self.match_property.is_some(),
            // An upsert may have to make the record, and needs all of it.
            merges: operation == Operation::Update,
            address,
            // Unique values are free again once their record is archived or moved.
            order: Order::RemovalsFirst,
            session: Session::None,
            whole_set: false,
            concurrency: CONCURRENCY,
            settle_after: self.account.timeout().max(Duration::from_secs(1)),
            scopes,
            consent: &[],
            expires: None,
        }
    }

    fn object(&self) -> String {
        self.object.name().to_owned()
    }

    fn check_lookup(&self, object: &str, by: &str) -> Result<Vec<String>, String> {
        lookup::check(object, by)
    }

    fn limiter(&self, kit: &Kit) -> Option<Arc<Limiter>> {
        Some(self.account.limiter(kit))
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        let http = self.account.client(&kit)?;
        Ok(Arc::new(HubSpotDestination::new(self.clone(), http)))
    }
}

fn object(into: &ConfigTable, shape: &SyncShape) -> Option<ObjectType> {
    let Some((text, span)) = &shape.object else {
        into.missing("object");
        return None;
    };
    let parsed = ObjectType::parse(text);
    if parsed.is_none() {
        let mut problem = Problem::error("unknown-object", format!("HubSpot has no object \"{text}\"")).at(span).remedy(
            "one of contacts, companies, deals; a custom object by its type id (\"2-123\") or its full name (\"p123_machine\")",
        );
        if let Some(near) = nearest(text, ObjectType::standard_names()) {
            problem = problem.label(format!("did you mean \"{near}\"?"));
        }
        into.problems().push(problem);
    }
    parsed
}

fn check_mode(into: &ConfigTable, shape: &SyncShape) {
    let (mode, span) = &shape.mode;
    let remedy = match mode {
        Mode::Upsert | Mode::Update | Mode::Create => return,
        Mode::Audience => {
            "use mode = \"upsert\" with a property that marks the members, and an active list in HubSpot that filters by it"
        }
        Mode::Append => "use mode = \"create\" for records that are never changed, or mode = \"upsert\"",
    };
    let message = format!("HubSpot objects cannot be written in mode \"{}\"", mode.as_str());
    into.problems().push(Problem::error("unsupported-mode", message).at(span).remedy(remedy));
}

fn check_removed(into: &ConfigTable, shape: &SyncShape) {
    let (removed, span) = &shape.removed;
    match removed {
        Removed::Delete => into.problems().push(
            Problem::error("unsupported-removed", "HubSpot records cannot be deleted for good in batches")
                .at(span)
                .remedy("use removed = \"archive\": archived records can be restored for 90 days, then HubSpot deletes them"),
        ),
        Removed::Clear if clearable(shape) == 0 => into.problems().push(
            Problem::error("unsupported-removed", "there is nothing to clear: the sync writes only its match property")
                .at(span)
                .remedy("map more fields, or use removed = \"archive\" or \"ignore\""),
        ),
        Removed::Ignore | Removed::Archive | Removed::Clear => {}
    }
}

/// How many properties `clear` would empty: all but the one that finds the record.
fn clearable(shape: &SyncShape) -> usize {
    shape.fields.len() - usize::from(shape.match_field.is_some())
}

fn check_fields(into: &ConfigTable, shape: &SyncShape) {
    for field in &shape.fields {
        if field.target.contains(['.', '[']) {
            let message = format!("`{}` is nested, and HubSpot's properties are flat", field.target);
            let problem = Problem::error("nested-target", message).at(&field.span);
            into.problems().push(problem.remedy("name the property by its internal name, as \"city\""));
        }
    }
    shape.refuse_conditional_writes("HubSpot", into.problems());
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
        let problem = Problem::error("unsupported-match", message).at(span);
        into.problems().push(problem.remedy("match by a property with unique values, or use mode = \"update\""));
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
