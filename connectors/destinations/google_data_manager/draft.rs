//! A batch as calls.

use backhaul_kit::{Batch, Operation, Reason, Row};
use bytes::Bytes;
use serde_json::{Value, json};

use super::account::ProductAccount;
use super::member;
use super::sync::AudienceSync;

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
    pub(super) refused: Vec<(usize, Reason)>,
    /// Values that were left out.
    pub(super) invalid: usize,
}

/// Members with the places of their rows.
type Members = Vec<(usize, Value)>;

impl Draft {
    /// The calls of a batch. A row that moved is removed under what it is no longer found by, and added.
    pub(super) fn of(sync: &AudienceSync, batch: &Batch) -> Self {
        let (mut draft, mut removed, mut added) = (Self::default(), Members::new(), Members::new());
        for (place, row) in batch.rows.iter().enumerate() {
            if batch.operation.is_removal() {
                match member(row.address.hashes()) {
                    Some(member) => removed.push((place, member)),
                    None => draft.refuse(place, "NO_ADDRESS", "what the member was sent as is not known"),
                }
                continue;
            }
            let found = match member::identifiers(sync, &row.fields) {
                Ok(found) => found,
                Err(reason) => {
                    draft.refused.push((place, reason));
                    continue;
                }
            };
            draft.invalid += found.invalid;
            removed.extend(left(batch.operation, row, &found.lines).map(|member| (place, member)));
            match member(found.lines.lines()) {
                Some(member) => added.push((place, member)),
                None => draft.refuse(place, "NO_IDENTIFIERS", "the row has nothing by which Google finds a person"),
            }
        }
        draft.calls.extend(Call::of(sync, "audienceMembers:remove", removed));
        draft.calls.extend(Call::of(sync, "audienceMembers:ingest", added));
        draft
    }

    fn refuse(&mut self, place: usize, code: &str, text: &str) {
        self.refused.push((place, Reason::new(code, text)));
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

/// What a moved row was found by and is no longer.
fn left(operation: Operation, row: &Row, lines: &str) -> Option<Value> {
    let gone = row.address.hashes().filter(|old| lines.lines().all(|line| line != *old));
    (operation == Operation::Move).then(|| member(gone)).flatten()
}

fn member<'a>(lines: impl Iterator<Item = &'a str>) -> Option<Value> {
    let identifiers: Vec<Value> = lines.filter_map(member::json).collect();
    (!identifiers.is_empty()).then(|| json!({ "userData": { "userIdentifiers": identifiers } }))
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
