//! `[into]` of a sync to Mixpanel, and the facts of each operation.

use std::sync::Arc;

use backhaul_kit::config::ConfigTable;
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, Kit, Operation, Order, Prepared, Removed, SyncShape, WritePolicy,
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
pub(super) const PROFILE_ID: &str = "$distinct_id";

/// What a sync writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Object {
    /// Places of the fields that every event has.
    Events { event: usize, time: usize, distinct_id: usize },
    /// The place of `$distinct_id`.
    Profiles { distinct_id: usize },
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
    /// When each of them is written.
    pub(super) writes: Vec<WritePolicy>,
}

impl MixpanelSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &MixpanelAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let object = match shape.object.as_ref()?.0.as_str() {
            "events" => events(into, shape)?,
            "profiles" => Object::Profiles { distinct_id: shape.match_field.as_ref()?.0 },
            _ => return None,
        };
        let (account, name, removed) = (account.clone(), shape.name.clone(), shape.removed.0);
        let writes = shape.fields.iter().map(|field| field.write).collect();
        Some(Self { account, name, object, removed, targets: shape.targets(), writes })
    }

    /// The names of a profile's properties that the sync keeps up.
    pub(super) fn properties(&self) -> impl Iterator<Item = &str> {
        let kept_up = self.targets.iter().zip(&self.writes).filter(|(_, write)| **write == WritePolicy::Always);
        kept_up.map(|(target, _)| target.as_str()).filter(|target| *target != PROFILE_ID)
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
        if matches!(self.object, Object::Events { .. }) { "events".into() } else { "profiles".into() }
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        Ok(Arc::new(MixpanelDestination::new(self.clone(), &kit)?))
    }
}

fn events(into: &ConfigTable, shape: &SyncShape) -> Option<Object> {
    for field in shape.fields.iter().filter(|field| field.target == "$insert_id") {
        let message = "`$insert_id` is derived from the row, so that a repeated call is no second event";
        into.problems().refuse("reserved-target", &field.span, message, "take the field out");
    }
    // Of the fields `event` is no property; `$insert_id` and perhaps `ip` are added.
    if shape.fields.len() + 1 >= MAX_PROPERTIES {
        let message = format!("{} fields are more than an event takes", shape.fields.len());
        let remedy = "an event has fewer than 255 properties: map fewer";
        into.problems().refuse("too-many-fields", &shape.span, message, remedy);
    }
    let [event, time, distinct_id] = ["event", "time", "distinct_id"].map(|name| required(into, shape, name));
    Some(Object::Events { event: event?, time: time?, distinct_id: distinct_id? })
}

/// The place of a field that the object cannot be without.
fn required(into: &ConfigTable, shape: &SyncShape, target: &str) -> Option<usize> {
    let place = shape.place_of(target);
    if place.is_none() {
        let message = format!("no field is mapped to `{target}`, which Mixpanel requires");
        let remedy = format!("add \"{target}\" = \"COLUMN\" to [fields]");
        into.problems().refuse("missing-field", &shape.span, message, &remedy);
    }
    place
}
