//! A row as a member, and the calls about members.

use backhaul_kit::value::{hex, write_json_str};
use backhaul_kit::{
    Batch, Fault, FieldRef, FieldValue, Fields, Mode, Operation, Outcomes, Reason, Removed, Row, Value, ValueRef,
    Verdict,
};
use md5::{Digest as _, Md5};
use reqwest::Method;

use super::sync::{ADDRESS, MailchimpSync, STATUSES, Way, root};

/// What a row asks for: a member to write, one to remove, or, where its address changed, both.
#[derive(Debug)]
pub(super) struct Change {
    /// The row's place in its batch, and its op number.
    pub(super) place: usize,
    pub(super) op: u64,
    pub(super) write: Option<Member>,
    /// The address.
    pub(super) remove: Option<String>,
}

/// A member as it shall be.
#[derive(Debug)]
pub(super) struct Member {
    /// In lower case.
    pub(super) address: String,
    /// The state that is asked for.
    pub(super) status: Option<String>,
    /// The vendor's object.
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
    /// What the rows of a batch ask for; those that cannot be sent have their verdict.
    pub(super) fn of(sync: &MailchimpSync, batch: &Batch) -> Result<(Vec<Self>, Outcomes), Fault> {
        let (mut changes, mut outcomes) = (Vec::with_capacity(batch.rows.len()), Outcomes::of(batch));
        for (place, row) in batch.rows.iter().enumerate() {
            let old = || row.address.match_value.clone().ok_or_else(no_address);
            let change = match batch.operation {
                Operation::Move => Member::of(sync, row).and_then(|member| Ok((Some(member), Some(old()?)))),
                removal if removal.is_removal() => old().map(|address| (None, Some(address))),
                _ => Member::of(sync, row).map(|member| (Some(member), None)),
            };
            match change {
                Ok((write, remove)) => changes.push(Self { place, op: row.op, write, remove }),
                Err(reason) => outcomes.set_at(place, Verdict::Rejected(reason))?,
            }
        }
        Ok((changes, outcomes))
    }

    /// Its calls: a member is written before the one of the old address is removed.
    pub(super) fn calls(&self, sync: &MailchimpSync) -> impl Iterator<Item = Call> {
        let write = self.write.as_ref().map(|member| match (sync.way(sync.mode.write_operation()), sync.mode) {
            (Some(Way::List), _) => list_call(sync, [member]),
            (_, Mode::Update) => member_call(sync, Method::PATCH, &member.address, "", &member.json),
            _ => member_call(sync, Method::PUT, &member.address, "", &member.json),
        });
        let removal = self.remove.as_ref().and_then(|address| match sync.removed {
            Removed::Archive => Some(member_call(sync, Method::DELETE, address, "", b"")),
            Removed::Delete => Some(member_call(sync, Method::POST, address, "/actions/delete-permanent", b"")),
            Removed::Ignore | Removed::Clear => None,
        });
        write.into_iter().chain(removal)
    }
}

impl Member {
    fn of(sync: &MailchimpSync, row: &Row) -> Result<Self, Reason> {
        let value = row.fields.get(sync.address).and_then(FieldRef::value);
        let address = value.map_or_else(String::new, ValueRef::to_text);
        let refuse = |code, text: &str| Err(Reason { field: Some(ADDRESS.to_owned()), ..Reason::new(code, text) });
        if let Some(ValueRef::Invalid(why)) = value {
            return refuse("INVALID_VALUE", why);
        }
        if address.is_empty() {
            return refuse("NO_MATCH_VALUE", "`email_address` has no value in this row");
        }
        // Two rows would be one member, and one of them could remove it.
        if address != address.trim().to_lowercase() {
            return refuse("NOT_LOWERCASE", "Mailchimp makes no difference between A and a: use as = \"email\"");
        }
        sync.nest.check(&row.fields)?;
        let mut status = None;
        let fields = sync.targets.iter().zip(&row.fields).map(|(target, field)| {
            if target == "status" {
                status = field.value().map(ValueRef::to_text);
            }
            sendable(target, field).map_err(|reason| Reason { field: Some(target.clone()), ..reason })
        });
        let fields: Fields = fields.collect::<Result<_, _>>()?;
        let is_missing = sync.mode == Mode::Upsert && sync.status_if_new.is_none();
        if status.as_ref().map_or(is_missing, |status| STATUSES.split(' ').all(|known| known != status)) {
            let text = format!("`status` is none of {STATUSES}");
            return Err(Reason { field: Some(String::from("status")), ..Reason::new("INVALID_STATUS", text) });
        }
        let mut json = Vec::new();
        sync.nest.write_json(&fields, &mut json);
        if let Some(new) = sync.status_if_new {
            json.pop();
            json.extend_from_slice(format!(r#","status_if_new":"{new}"}}"#).as_bytes());
        }
        Ok(Self { address, status, json })
    }

    /// Its id.
    pub(super) fn id(&self) -> String {
        id(&self.address)
    }
}

/// A call about one member.
pub(super) fn member_call(sync: &MailchimpSync, method: Method, address: &str, action: &str, body: &[u8]) -> Call {
    Call { method, path: format!("lists/{}/members/{}{action}", sync.list, id(address)), body: body.to_vec() }
}

/// Writes members with their states.
pub(super) fn list_call<'m>(sync: &MailchimpSync, members: impl IntoIterator<Item = &'m Member>) -> Call {
    let mut body = br#"{"update_existing":true,"members":"#.to_vec();
    write_list(members, &mut body, |member, out| out.extend_from_slice(&member.json));
    // Tags that a row no longer has are taken off.
    let has_tags = sync.targets.iter().any(|target| root(target) == "tags");
    body.extend_from_slice(if has_tags { br#","sync_tags":true}"# } else { b"}" });
    Call { method: Method::POST, path: format!("lists/{}", sync.list), body }
}

/// Puts members into a segment, and takes others out.
pub(super) fn segment_call(sync: &MailchimpSync, segment: u64, changes: &[Change]) -> Call {
    let mut body = br#"{"members_to_add":"#.to_vec();
    let added = changes.iter().filter_map(|change| Some(&change.write.as_ref()?.address));
    write_list(added, &mut body, |address, out| write_json_str(address, out));
    body.extend_from_slice(br#","members_to_remove":"#);
    let removed = changes.iter().filter_map(|change| change.remove.as_ref());
    write_list(removed, &mut body, |address, out| write_json_str(address, out));
    body.push(b'}');
    Call { method: Method::POST, path: format!("lists/{}/segments/{segment}", sync.list), body }
}

/// Writes a JSON array.
pub(super) fn write_list<T>(items: impl IntoIterator<Item = T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    out.push(b'[');
    for (number, item) in items.into_iter().enumerate() {
        out.extend_from_slice(if number > 0 { b"," } else { b"" });
        write(item, out);
    }
    out.push(b']');
}

fn no_address() -> Reason {
    Reason::new("NO_ADDRESS", "the member's address is not known")
}

fn id(address: &str) -> String {
    hex(&Md5::digest(address.to_lowercase()))
}

/// A field as Mailchimp takes it: merge fields are emptied by an empty text, and know no true and false.
fn sendable(target: &str, field: FieldRef<'_>) -> Result<FieldValue, Reason> {
    let is_null = field == FieldRef::Clear || field.value().is_some_and(ValueRef::is_null);
    Ok(match (root(target), field) {
        (_, FieldRef::Set(ValueRef::Invalid(why))) => return Err(Reason::new("INVALID_VALUE", why)),
        ("merge_fields", _) if is_null => FieldValue::Set(Value::Text(String::new())),
        ("merge_fields", FieldRef::Set(value @ ValueRef::Bool(_))) => FieldValue::Set(Value::Text(value.to_text())),
        ("tags", _) if is_null => FieldValue::Set(Value::Array(Vec::new())),
        _ if is_null => {
            let text = "Mailchimp does not say how it is emptied: use null = \"skip\", or give it a default";
            return Err(Reason::new("CANNOT_BE_EMPTIED", text));
        }
        _ => field.into(),
    })
}
