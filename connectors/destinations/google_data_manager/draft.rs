//! A batch as calls.

use std::collections::BTreeMap;

use backhaul_kit::{Batch, Operation, Reason, Row};
use bytes::Bytes;
use serde_json::{Value, json};

use super::account::ProductAccount;
use super::member;
use super::sync::AudienceSync;

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

/// Members with the places of their rows.
type Members = Vec<(usize, Value)>;

impl Draft {
    /// The calls of a batch.
    pub(super) fn of(sync: &AudienceSync, batch: &Batch) -> Self {
        let (mut draft, mut members) = (Self::default(), [Members::new(), Members::new()]);
        for (place, row) in batch.rows.iter().enumerate() {
            let added = draft.add(sync, batch.operation, place, row, &mut members);
            draft.refused.extend(added.err().map(|reason| (place, reason)));
        }
        let [removed, added] = members;
        draft.calls.extend(Call::of(sync, "audienceMembers:remove", removed));
        draft.calls.extend(Call::of(sync, "audienceMembers:ingest", added));
        draft
    }

    /// Adds a row's members. One that moved is removed under what it is no longer found by, and added.
    fn add(
        &mut self,
        sync: &AudienceSync,
        operation: Operation,
        place: usize,
        row: &Row,
        [removed, added]: &mut [Members; 2],
    ) -> Result<(), Reason> {
        let known = row.address.hashes();
        if operation.is_removal() {
            let before = removed.len();
            removed.extend(members(known).map(|member| (place, member)));
            let nothing = || Reason::new("NO_ADDRESS", "what the member was sent as is not known");
            return (removed.len() > before).then_some(()).ok_or_else(nothing);
        }
        let found = member::identifiers(sync, &row.fields)?;
        self.invalid += found.invalid;
        if operation == Operation::Move {
            let left = known.filter(|old| found.lines.lines().all(|line| line != *old));
            removed.extend(members(left).map(|member| (place, member)));
        }
        added.extend(members(found.lines.lines()).map(|member| (place, member)));
        let nothing = || Reason::new("NO_IDENTIFIERS", "the row has nothing by which Google finds a person");
        (!found.lines.is_empty()).then_some(()).ok_or_else(nothing)
    }
}

impl Call {
    /// None for nobody.
    fn of(sync: &AudienceSync, path: &'static str, members: Members) -> Option<Self> {
        let (places, members): (Vec<usize>, Vec<Value>) = members.into_iter().unzip();
        let adds = path.ends_with("ingest");
        (!places.is_empty()).then(|| Self { path, body: body(sync, adds, members, false), places })
    }
}

/// Members with these identifiers: one, unless there are more than a member may have.
pub(super) fn members<'a>(lines: impl IntoIterator<Item = &'a str>) -> impl Iterator<Item = Value> {
    let identifiers: Vec<Value> = lines.into_iter().filter_map(member::json).collect();
    let chunks: Vec<Value> =
        identifiers.chunks(MAX_IDENTIFIERS).map(|some| json!({ "userData": { "userIdentifiers": some } })).collect();
    chunks.into_iter()
}

/// The body of a call. Only additions speak of consent and of terms.
pub(super) fn body(sync: &AudienceSync, adds: bool, members: Vec<Value>, validate_only: bool) -> Bytes {
    let account = |account: &ProductAccount| json!({ "accountType": account.kind, "accountId": account.id });
    let mut destination =
        json!({ "operatingAccount": account(&sync.account.operating), "productDestinationId": sync.audience });
    if let Some(login) = &sync.account.login {
        destination["loginAccount"] = account(login);
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
