//! `[into]` of a sync to Mixpanel, and the facts of each operation.

use std::sync::Arc;

use backhaul_kit::config::{ConfigTable, Problem, Span, nearest};
use backhaul_kit::http::limit::Limiter;
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Kit, Mode, Operation, Order, Prepared, Removed, SyncShape,
};

use super::account::MixpanelAccount;
use super::send::MixpanelDestination;

/// Events in a call.
const MAX_EVENTS: usize = 2000;
/// Bytes of a call: the smaller of the two numbers that Mixpanel names.
const MAX_BYTES: usize = 2_097_152;
/// Calls in flight: the lower end of what Mixpanel recommends.
const CONCURRENCY: usize = 10;
/// An event has fewer properties than this; `$insert_id` and `ip` are two of them.
const MAX_PROPERTIES: usize = 255;
/// The field that finds profiles.
const PROFILE_ID: &str = "$distinct_id";

/// What a sync writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// Places of the fields that every event has.
    Events { event: usize, time: usize, distinct_id: usize },
    /// The place of `$distinct_id`.
    Profiles { distinct_id: usize },
}

impl Object {
    const NAMES: [&str; 2] = ["events", "profiles"];

    fn name(self) -> &'static str {
        Self::NAMES[usize::from(matches!(self, Self::Profiles { .. }))]
    }
}

/// A checked sync to Mixpanel.
#[derive(Clone, Debug)]
pub(super) struct MixpanelSync {
    pub(super) account: MixpanelAccount,
    /// The sync's name.
    pub(super) name: String,
    pub(super) object: Object,
    pub(super) removed: Removed,
    /// The names of the fields, in the order of the sync's.
    pub(super) targets: Vec<String>,
}

impl MixpanelSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &MixpanelAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let errors = into.problems().errors();
        let object = object(into, shape);
        for field in &shape.fields {
            if field.target.contains(['.', '[']) {
                let message = format!("`{}` is nested, and properties are named flat here", field.target);
                let problem = Problem::error("nested-target", message).at(&field.span);
                into.problems().push(problem.remedy("map a JSON column, or name the property as \"city\""));
            }
        }
        shape.refuse_conditional_writes("Mixpanel", into.problems());
        if into.problems().errors() > errors {
            return None;
        }
        Some(Self {
            account: account.clone(),
            name: shape.name.clone(),
            object: object?,
            removed: shape.removed.0,
            targets: shape.fields.iter().map(|field| field.target.clone()).collect(),
        })
    }

    /// The names of a profile's properties.
    pub(super) fn properties(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(String::as_str).filter(|target| *target != PROFILE_ID)
    }
}

impl Prepared for MixpanelSync {
    fn facts(&self, operation: Operation) -> Facts {
        let old_goes = matches!(self.removed, Removed::Delete | Removed::Clear);
        let (max_rows, evidence, address) = match (self.object, operation) {
            (Object::Events { .. }, Operation::Append) => (MAX_EVENTS, Evidence::Row, AddressKind::None),
            (Object::Profiles { .. }, Operation::Upsert | Operation::Delete | Operation::Clear) => {
                (self.account.profiles_per_call, Evidence::Call, AddressKind::MatchValue)
            }
            // Where nothing is removed, a row with another id is just another profile.
            (Object::Profiles { .. }, Operation::Move) if old_goes => {
                (self.account.profiles_per_call, Evidence::Call, AddressKind::MatchValue)
            }
            _ => return Facts { max_rows: 0, ..Facts::default() },
        };
        Facts {
            max_rows,
            max_bytes: Some(MAX_BYTES),
            evidence,
            resend_safe: true,
            address,
            // A profile that is left may be another row's from now on.
            order: Order::RemovalsFirst,
            concurrency: CONCURRENCY,
            settle_after: self.account.http.timeout(),
            ..Facts::default()
        }
    }

    fn object(&self) -> String {
        self.object.name().to_owned()
    }

    fn limiter(&self, kit: &Kit) -> Option<Arc<Limiter>> {
        Some(self.account.limiter(kit))
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        Ok(Arc::new(MixpanelDestination::new(self.clone(), &kit)?))
    }
}

fn object(into: &ConfigTable, shape: &SyncShape) -> Option<Object> {
    let Some((text, span)) = &shape.object else {
        into.missing("object");
        return None;
    };
    match text.as_str() {
        "events" => events(into, shape),
        "profiles" => profiles(into, shape),
        _ => {
            let mut problem = Problem::error("unknown-object", format!("Mixpanel has no object \"{text}\""))
                .at(span)
                .remedy("one of events, profiles");
            if let Some(near) = nearest(text, Object::NAMES.into_iter()) {
                problem = problem.label(format!("did you mean \"{near}\"?"));
            }
            into.problems().push(problem);
            None
        }
    }
}

fn events(into: &ConfigTable, shape: &SyncShape) -> Option<Object> {
    let refuse = |code, message: String, span: &Span, remedy: &str| {
        into.problems().push(Problem::error(code, message).at(span).remedy(remedy.to_owned()));
    };
    let (mode, span) = &shape.mode;
    if *mode != Mode::Append {
        let message = format!("events cannot be written in mode \"{}\"", mode.as_str());
        refuse("unsupported-mode", message, span, "use mode = \"append\": an event is never changed");
    }
    let (removed, span) = &shape.removed;
    if *removed != Removed::Ignore {
        let message = String::from("Mixpanel keeps events: single ones cannot be removed");
        refuse("unsupported-removed", message, span, "use removed = \"ignore\"");
    }
    for field in shape.fields.iter().filter(|field| field.target == "$insert_id") {
        let message = String::from("`$insert_id` is derived from the row, so that a repeated call is no second event");
        refuse("reserved-target", message, &field.span, "take the field out");
    }
    // Of the fields `event` is no property; `$insert_id` and perhaps `ip` are added.
    if shape.fields.len() + 1 >= MAX_PROPERTIES {
        let message = format!("{} fields are more than an event takes", shape.fields.len());
        refuse("too-many-fields", message, &shape.span, "an event has fewer than 255 properties: map fewer");
    }
    let (event, time, id) =
        (required(into, shape, "event"), required(into, shape, "time"), required(into, shape, "distinct_id"));
    Some(Object::Events { event: event?, time: time?, distinct_id: id? })
}

fn profiles(into: &ConfigTable, shape: &SyncShape) -> Option<Object> {
    let (mode, span) = &shape.mode;
    if *mode != Mode::Upsert {
        let message = format!("profiles cannot be written in mode \"{}\"", mode.as_str());
        let problem = Problem::error("unsupported-mode", message).at(span);
        into.problems().push(problem.remedy("use mode = \"upsert\": Mixpanel makes a profile that is not there"));
    }
    let (removed, span) = &shape.removed;
    if *removed == Removed::Archive {
        let problem = Problem::error("unsupported-removed", "profiles cannot be archived").at(span);
        into.problems().push(problem.remedy("use removed = \"delete\", \"clear\" or \"ignore\""));
    }
    if *removed == Removed::Clear && shape.fields.len() < 2 {
        let problem = Problem::error("unsupported-removed", "there is nothing to clear: the sync writes no property");
        into.problems().push(problem.at(span).remedy("map more fields, or use removed = \"delete\" or \"ignore\""));
    }
    let place = required(into, shape, PROFILE_ID)?;
    if let Some((_, span)) = shape.match_field.as_ref().filter(|(matched, _)| *matched != place) {
        let problem = Problem::error("unsupported-match", "profiles are found by their `$distinct_id` alone").at(span);
        into.problems().push(problem.remedy("write match = \"$distinct_id\""));
    }
    Some(Object::Profiles { distinct_id: place })
}

/// The place of a field that the object cannot be without.
fn required(into: &ConfigTable, shape: &SyncShape, target: &str) -> Option<usize> {
    let place = shape.fields.iter().position(|field| field.target == target);
    if place.is_none() {
        let message = format!("no field is mapped to `{target}`, which Mixpanel requires");
        let problem = Problem::error("missing-field", message).at(&shape.span);
        into.problems().push(problem.remedy(format!("add \"{target}\" = \"COLUMN\" to [fields]")));
    }
    place
}
