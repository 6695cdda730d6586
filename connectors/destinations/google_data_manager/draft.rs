//! A batch as calls.

use std::collections::BTreeMap;

use backhaul_kit::{Batch, Operation, Reason, Row};
use bytes::Bytes;
use serde_json::{Value, json};

use super::member;
use super::sync::AudienceSync;

/// The calls, by their names in the path.
pub(super) const INGEST: &str = "audienceMembers:ingest";
const REMOVE: &str = "audienceMembers:remove";
/// Identifiers of a member.
const MAX_IDENTIFIERS: usize = 10;

/// One call.
#[derive(Debug)]
pub(super) struct Call {
    /// Its name in the path.
    pub(super) path: &'static str,
    pub(super) body: Bytes,
    /// The places of its members' rows in the batch.
    pub(super) places: Vec<usize>,
}

/// The calls of a batch, in their order, and the rows that are not sent.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) calls: Vec<Call>,
    /// By place.
    pub(super) refused: BTreeMap<usize, Reason>,
    /// Values that were left out.
    pub(super) invalid: usize,
}

impl Draft {
    /// The calls of a batch.
    pub(super) fn of(sync: &AudienceSync, batch: &Batch) -> Self {
        let (mut draft, mut removed, mut added) = (Self::default(), Vec::new(), Vec::new());
        for (place, row) in batch.rows.iter().enumerate() {
            let found = draft.lines(sync, batch.operation, row);
            let [left, new] = found.unwrap_or_else(|reason| {
                draft.refused.insert(place, reason);
                Default::default()
            });
            removed.extend(members(&left).map(|member| (place, member)));
            added.extend(members(&new).map(|member| (place, member)));
            let (lines, code) =
                if batch.operation.is_removal() { (left, "NO_ADDRESS") } else { (new, "NO_IDENTIFIERS") };
            if lines.is_empty() {
                let nothing = || Reason::new(code, "nothing is known by which Google finds the person");
                draft.refused.entry(place).or_insert_with(nothing);
            }
        }
        draft.calls.extend(Call::of(sync, REMOVE, removed));
        draft.calls.extend(Call::of(sync, INGEST, added));
        draft
    }

    /// What a row is removed under, and what it is added under. One that moved leaves what it is no longer found by.
    fn lines(&mut self, sync: &AudienceSync, operation: Operation, row: &Row) -> Result<[String; 2], Reason> {
        let mut left: Vec<&str> = row.address.hashes().collect();
        if operation.is_removal() {
            return Ok([left.join("\n"), String::new()]);
        }
        let found = member::identifiers(sync, &row.fields)?;
        self.invalid += found.invalid;
        left.retain(|old| operation == Operation::Move && found.lines.lines().all(|line| line != *old));
        Ok([left.join("\n"), found.lines])
    }
}

impl Call {
    /// None for nobody.
    fn of(sync: &AudienceSync, path: &'static str, members: Vec<(usize, Value)>) -> Option<Self> {
        let (places, members): (Vec<usize>, Vec<Value>) = members.into_iter().unzip();
        (!places.is_empty()).then(|| Self { path, body: body(sync, path == INGEST, members, false), places })
    }
}

/// Members with these identifiers: one, unless there are more than a member may have.
pub(super) fn members(lines: &str) -> impl Iterator<Item = Value> + use<> {
    let identifiers: Vec<Value> = lines.lines().filter_map(member::json).collect();
    let chunks: Vec<Value> =
        identifiers.chunks(MAX_IDENTIFIERS).map(|some| json!({ "userData": { "userIdentifiers": some } })).collect();
    chunks.into_iter()
}

/// The body of a call. Only additions speak of consent and of terms.
pub(super) fn body(sync: &AudienceSync, adds: bool, members: Vec<Value>, validate_only: bool) -> Bytes {
    let mut destination = json!({ "operatingAccount": sync.account.operating, "productDestinationId": sync.audience });
    if let Some(login) = &sync.account.login {
        destination["loginAccount"] = login.clone();
    }
    let mut body = json!({ "destinations": [destination], "encoding": "HEX" });
    body["audienceMembers"] = members.into();
    if validate_only {
        body["validateOnly"] = true.into();
    }
    if adds {
        body["termsOfService"] = json!({ "customerMatchTermsOfServiceStatus": "ACCEPTED" });
        for (signal, name) in [("ad_user_data", "adUserData"), ("ad_personalization", "adPersonalization")] {
            if sync.consent.iter().any(|known| known == signal) {
                body["consent"][name] = "CONSENT_GRANTED".into();
            }
        }
    }
    body.to_string().into()
}
