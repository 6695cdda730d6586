//! A row as a member, and the calls about members.

use backhaul_kit::value::hex;
use backhaul_kit::{Batch, FieldRef, FieldValue, Mode, Operation, Reason, Removed, Row, Value, ValueRef, Verdict};
use md5::{Digest as _, Md5};
use reqwest::Method;
use serde_json::json;

use super::sync::{ADDRESS, MailchimpSync, STATUSES, Way, root};

/// What a row asks for: a member to write, one to remove, or, where its address changed, both.
#[derive(Debug)]
pub(super) struct Change {
    /// The row's place in its batch, and its op number.
    pub(super) place: usize,
    pub(super) op: u64,
    /// The address to write, in lower case.
    pub(super) write: Option<String>,
    /// The address to remove.
    pub(super) remove: Option<String>,
    /// The state that is asked for.
    pub(super) status: Option<String>,
    /// The member as the vendor's object.
    json: Vec<u8>,
}

/// A call: made alone, or as an operation of a job.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) method: Method,
    /// Below the API's root.
    pub(super) path: String,
    /// Empty for none.
    pub(super) body: Vec<u8>,
}

impl Change {
    /// What the rows of a batch ask for, and the verdicts of those that cannot be sent.
    pub(super) fn all(sync: &MailchimpSync, batch: &Batch) -> (Vec<Self>, Vec<(usize, Verdict)>) {
        batch.draft(|place, row| Self::of(sync, batch.operation, place, row))
    }

    fn of(sync: &MailchimpSync, operation: Operation, place: usize, row: &Row) -> Result<Self, Reason> {
        let mut change = Self { place, op: row.op, write: None, remove: None, status: None, json: Vec::new() };
        if operation.is_removal() || operation == Operation::Move {
            let unknown = || Reason::new("NO_ADDRESS", "the member's address is not known");
            change.remove = Some(row.address.match_value.clone().ok_or_else(unknown)?);
        }
        if operation.is_removal() {
            return Ok(change);
        }
        sync.nest.check(row.fields.iter())?;
        let mut fields = Vec::with_capacity(sync.targets.len());
        for (target, field) in sync.targets.iter().zip(row.fields.iter()) {
            let sent = sendable(sync, target, field);
            fields.push(sent.map_err(|reason| Reason { field: Some(target.clone()), ..reason })?);
            match target.as_str() {
                ADDRESS => change.write = field.value().map(ValueRef::to_text),
                "status" => change.status = field.value().map(ValueRef::to_text),
                _ => {}
            }
        }
        sync.nest.write_json(&fields.iter().collect(), &mut change.json);
        if let Some(new) = sync.status_if_new {
            change.json.pop();
            change.json.extend_from_slice(format!(r#","status_if_new":"{new}"}}"#).as_bytes());
        }
        Ok(change)
    }

    /// Its calls: a member is written before the one of the old address is removed.
    pub(super) fn calls(&self, sync: &MailchimpSync) -> impl Iterator<Item = Call> {
        let write = self.write.as_ref().map(|address| match sync.way(sync.mode.write_operation()) {
            Some(Way::List) => list_call(sync, std::slice::from_ref(self)),
            _ if sync.mode == Mode::Update => member_call(sync, Method::PATCH, address, "", &self.json),
            _ => member_call(sync, Method::PUT, address, "", &self.json),
        });
        let removal = self.remove.as_ref().and_then(|address| match sync.removed {
            Removed::Archive => Some(member_call(sync, Method::DELETE, address, "", b"")),
            Removed::Delete => Some(member_call(sync, Method::POST, address, "/actions/delete-permanent", b"")),
            Removed::Ignore | Removed::Clear => None,
        });
        write.into_iter().chain(removal)
    }
}

/// A call about one member.
pub(super) fn member_call(sync: &MailchimpSync, method: Method, address: &str, action: &str, body: &[u8]) -> Call {
    Call { method, path: format!("lists/{}/members/{}{action}", sync.list, id(address)), body: body.to_vec() }
}

/// Writes members with their states.
pub(super) fn list_call(sync: &MailchimpSync, changes: &[Change]) -> Call {
    let members: Vec<&[u8]> = changes.iter().map(|change| &change.json[..]).collect();
    // Tags that a row no longer has are taken off.
    let has_tags = sync.targets.iter().any(|target| root(target) == "tags");
    let tags: &[u8] = if has_tags { br#","sync_tags":true"# } else { b"" };
    let body = [br#"{"members":["#, &members.join(&b","[..])[..], br#"],"update_existing":true"#, tags, b"}"].concat();
    Call { method: Method::POST, path: format!("lists/{}", sync.list), body }
}

/// Puts members into a segment, and takes others out.
pub(super) fn segment_call(sync: &MailchimpSync, segment: u64, changes: &[Change]) -> Call {
    let added: Vec<&String> = changes.iter().filter_map(|change| change.write.as_ref()).collect();
    let removed: Vec<&String> = changes.iter().filter_map(|change| change.remove.as_ref()).collect();
    let body = json!({ "members_to_add": added, "members_to_remove": removed }).to_string().into();
    Call { method: Method::POST, path: format!("lists/{}/segments/{segment}", sync.list), body }
}

/// The id of a member.
pub(super) fn id(address: &str) -> String {
    hex(&Md5::digest(address.to_lowercase()))
}

/// A field as Mailchimp takes it: merge fields are emptied by an empty text, and know no true and false.
fn sendable(sync: &MailchimpSync, target: &str, field: FieldRef<'_>) -> Result<FieldValue, Reason> {
    let value = field.value().filter(|value| !value.is_null());
    let (text, is_null) = (value.map(ValueRef::to_text), value.is_none() && field != FieldRef::Skip);
    let refuse = |code, text: &str| Err(Reason::new(code, text));
    match (root(target), field, text.as_deref().unwrap_or_default()) {
        (_, FieldRef::Set(ValueRef::Invalid(why)), _) => refuse("INVALID_VALUE", why),
        (ADDRESS, _, "") => refuse("NO_MATCH_VALUE", "this row has no address"),
        // Two rows would be one member, and one of them could remove it.
        (ADDRESS, _, text) if text != text.trim().to_lowercase() => {
            refuse("NOT_LOWERCASE", "Mailchimp makes no difference between A and a: use as = \"email\"")
        }
        ("status", _, text) if !STATUSES.split(' ').any(|known| known == text) && sync.mode == Mode::Upsert => {
            refuse("INVALID_STATUS", "Mailchimp knows no such state of a member")
        }
        ("merge_fields", ..) if is_null => Ok(FieldValue::Set(Value::Text(String::new()))),
        ("merge_fields", FieldRef::Set(ValueRef::Bool(_)), text) => Ok(FieldValue::Set(Value::Text(text.to_owned()))),
        ("tags", ..) if is_null => Ok(FieldValue::Set(Value::Array(Vec::new()))),
        _ if is_null => {
            refuse("CANNOT_BE_EMPTIED", "use null = \"skip\" or a default: it is not said how it is emptied")
        }
        _ => Ok(field.into()),
    }
}
