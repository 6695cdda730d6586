//! `[into]` of a sync to an audience, and the facts of each operation.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, nearest, schema};
use backhaul_kit::{
    AddressKind, Destination, Evidence, Facts, Fault, FieldValue, Kit, Operation, Order, Prepared, SyncShape,
};

use super::account::{GoogleAccount, SCOPE, number};
use super::member::{self, Part};
use super::send::AudienceDestination;

/// The one object.
const USER_LISTS: &str = "user_lists";
/// Members in a call.
const MAX_MEMBERS: u64 = 10_000;
/// Calls in flight, as Google advises.
const CONCURRENCY: usize = 10;
/// Signals of consent, by the names of Google.
pub(super) const CONSENT: &[&str] = &["ad_user_data", "ad_personalization"];
/// The longest that a member stays.
const EXPIRES: Duration = Duration::from_secs(540 * 24 * 60 * 60);

/// A checked sync to an audience.
#[derive(Clone, Debug)]
pub(super) struct AudienceSync {
    pub(super) account: GoogleAccount,
    /// The list's id.
    pub(super) audience: String,
    /// What each field is, in their order.
    pub(super) parts: Vec<Part>,
    /// Those that come hashed.
    pub(super) hashed: Vec<Part>,
    /// Signals of consent that every row has.
    pub(super) consent: Vec<String>,
    max_rows: usize,
}

impl AudienceSync {
    /// Checks what the sync asks for; problems go to the table.
    pub(super) fn read(account: &GoogleAccount, into: &mut ConfigTable, shape: &SyncShape) -> Option<Self> {
        let audience = into.required_text_at("audience");
        let audience = audience.and_then(|(text, span)| number(into, "audience", &text, &span));
        let parts = parts(into, shape);
        let hashed = hashed(into, &parts);
        let max_rows = into.size_to("members_per_call", MAX_MEMBERS).unwrap_or(MAX_MEMBERS as usize);
        let consent = shape.consent.iter().filter(|signal| CONSENT.contains(&signal.as_str())).cloned().collect();
        Some(Self { account: account.clone(), audience: audience?, parts, hashed, consent, max_rows })
    }
}

impl Prepared for AudienceSync {
    fn facts(&self, operation: Operation) -> Facts {
        let adds = operation == Operation::AudienceAdd;
        if !adds && !matches!(operation, Operation::AudienceRemove | Operation::Move) {
            return Facts { max_rows: 0, ..Facts::default() };
        }
        Facts {
            max_rows: self.max_rows,
            evidence: Evidence::Job,
            resend_safe: true,
            address: AddressKind::Hashes,
            order: Order::RemovalsFirst,
            // Moves keep their order: one may take what another gives up.
            concurrency: if operation == Operation::Move { 1 } else { CONCURRENCY },
            settle_after: self.account.http.timeout(),
            scopes: vec![SCOPE.to_owned()],
            consent: if adds { CONSENT } else { &[] },
            expires: adds.then_some(EXPIRES),
            ..Facts::default()
        }
    }

    fn hashes(&self, fields: &[FieldValue]) -> Option<String> {
        // A row that is refused is found by nothing.
        Some(member::identifiers(self, &fields.iter().collect()).map(|found| found.lines).unwrap_or_default())
    }

    fn object(&self) -> String {
        format!("{USER_LISTS}/{}", self.audience)
    }

    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Destination>, Fault> {
        Ok(Arc::new(AudienceDestination::new(self.clone(), &kit)?))
    }
}

/// What each field is. A postal address is found by four parts together.
fn parts(into: &ConfigTable, shape: &SyncShape) -> Vec<Part> {
    let mut parts = Vec::with_capacity(shape.fields.len());
    for field in &shape.fields {
        let part = Part::NAMES.iter().find(|(name, _)| *name == field.target);
        parts.extend(part.map(|(_, part)| *part));
        if part.is_none() {
            let names: Vec<&str> = Part::NAMES.iter().map(|(name, _)| *name).collect();
            let (message, near) =
                (format!("members are not found by `{}`", field.target), nearest(&field.target, names.iter().copied()));
            let remedy = format!("fields are {}", names.join(", "));
            into.problems().refuse_near("unknown-field", &field.span, message, near, &remedy);
        }
    }
    let lacks = |part: &&Part| !parts.contains(*part);
    let lacking: Vec<&str> = Part::ADDRESS.iter().filter(lacks).map(|part| part.name()).collect();
    if !lacking.is_empty() && lacking.len() < Part::ADDRESS.len() {
        let message = format!("an address is found by four fields together: {} lack", lacking.join(", "));
        into.problems().refuse("incomplete-address", &shape.span, message, "add them, or take the others out");
    }
    parts
}

/// `hashed`: fields whose values are hashes already.
fn hashed(into: &mut ConfigTable, parts: &[Part]) -> Vec<Part> {
    let mut hashed = Vec::new();
    for (name, span) in into.texts_at("hashed").unwrap_or_default() {
        let part = Part::HASHED.into_iter().find(|part| part.name() == name && parts.contains(part));
        if part.is_none() {
            let message = format!("`hashed` names `{name}`, which is no field of this sync that goes out hashed");
            into.problems().refuse("unknown-field", &span, message, "email, phone, first_name and last_name do");
        }
        hashed.extend(part);
    }
    hashed
}

/// The keys of `[into]`, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let fewer = "Members in one call. Default 10000. Fewer make a call that Google does in part cheaper to clear up.";
    let hashed = "Fields whose values are SHA-256 hashes already, made by Google's rules.";
    serde_json::json!({
        "properties": {
            "audience": { "description": "The id of the user list.", "type": "string", "pattern": "^[0-9-]+$" },
            "hashed": schema::words(Part::HASHED.iter().map(|part| part.name()), hashed),
            "members_per_call": schema::count_to(MAX_MEMBERS, fewer)
        },
        "required": ["audience"]
    })
}
