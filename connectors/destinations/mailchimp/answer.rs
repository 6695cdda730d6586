//! What an answer says of each row, and what a refused call means.

use std::collections::HashMap;

use backhaul_kit::http::{Answer, fault_of_status};
use backhaul_kit::{Fault, Reason, Verdict};
use serde_json::Value;

use super::member::{self, Change};
use super::sync::MailchimpSync;

/// The body of a call about several rows.
///
/// # Errors
/// A refused call; `Split` where one of the rows may be the cause.
pub(super) fn body(answer: &Answer, rows: usize) -> Result<Value, Fault> {
    if matches!(answer.status.as_u16(), 400 | 422) && rows > 1 {
        return Err(Fault::split("Mailchimp refused the call, perhaps for one of its rows"));
    }
    match fault(answer) {
        Some(fault) => Err(fault),
        None => answer.json().ok_or_else(|| Fault::ambiguous("Mailchimp's answer is not readable JSON")),
    }
}

/// The verdicts of members that were written to the list; `Unknown` of those that are not named.
pub(super) fn of_list(json: &Value, sync: &MailchimpSync, changes: &[Change]) -> Vec<Verdict> {
    let mut written = by_address(&json["new_members"]);
    written.extend(by_address(&json["updated_members"]));
    let refused = by_address(&json["errors"]);
    let verdict = |change: &Change| {
        let address = change.write.as_deref().unwrap_or_default();
        match (refused.get(address), written.get(address)) {
            (Some(refused), _) => {
                let texts = ["field_message", "error"].map(|name| text(refused, name));
                Verdict::Rejected(reason(sync, text(refused, "error_code"), text(refused, "field"), texts))
            }
            (None, Some(said)) => taken(said, change),
            (None, None) => Verdict::Unknown,
        }
    };
    changes.iter().map(verdict).collect()
}

/// The verdicts of rows of a segment. `None` of one that was to be added and is not named: it is on the list and in the
/// segment, or on neither.
pub(super) fn of_segment(json: &Value, sync: &MailchimpSync, changes: &[Change]) -> Vec<Option<Verdict>> {
    let (added, removed) = (by_address(&json["members_added"]), by_address(&json["members_removed"]));
    let errors = items(&json["errors"]).flat_map(|error| {
        items(&error["email_addresses"]).map(move |address| (plain(address.as_str()), text(error, "error")))
    });
    let errors: HashMap<String, &str> = errors.collect();
    let counted = json["total_added"].is_u64() && json["total_removed"].is_u64();
    let verdict = |change: &Change| {
        let Change { write, remove, .. } = change;
        let named = match (write, remove) {
            (Some(address), _) => added.get(address),
            (None, address) => address.as_ref().and_then(|address| removed.get(address)),
        };
        match [write, remove].into_iter().flatten().find_map(|address| errors.get(address)) {
            Some(error) => Some(Verdict::Rejected(reason(sync, "SEGMENT_REFUSED", "", [error, ""]))),
            None if named.is_some() => Some(Verdict::Written { remote_id: None }),
            None if !counted => Some(Verdict::Unknown),
            // Who is on the list and in the segment is named: one that was to be taken out was not there.
            None => write.is_none().then_some(Verdict::Unchanged),
        }
    };
    changes.iter().map(verdict).collect()
}

/// What a call about one member came to, alone or in a job; a removal writes none. `None` where the answer is not about
/// the member.
pub(super) fn of_member(sync: &MailchimpSync, written: Option<&Change>, status: u16, body: &[u8]) -> Option<Verdict> {
    let json: Value = serde_json::from_slice(body).unwrap_or_default();
    let is_named = |change: &&Change| change.write.as_ref().is_some_and(|a| text(&json, "id") == member::id(a));
    Some(match (status, written) {
        (200, written) => written.filter(is_named).map_or(Verdict::Unknown, |change| taken(&json, change)),
        (204, None) => Verdict::Written { remote_id: None },
        (404, None) => Verdict::Unchanged,
        (400 | 404 | 405 | 409 | 410 | 422, _) => Verdict::Rejected(of_problem(sync, &json)),
        _ => return None,
    })
}

/// Whether somebody is on the list; `None` where the answer does not say.
pub(super) fn is_on_list(answer: &Answer) -> Option<bool> {
    match (answer.status.as_u16(), answer.json::<Value>()) {
        (404, _) => Some(false),
        (200, Some(json)) if json["id"].is_string() => Some(json["status"] != "archived"),
        _ => None,
    }
}

/// The fault of a call that was refused as a whole. Mailchimp's words may quote values and stay out of it.
pub(super) fn fault(answer: &Answer) -> Option<Fault> {
    let fault = fault_of_status(answer)?;
    let is_problem = answer.json::<Value>().is_some_and(|json| json.is_object());
    Some(match answer.status.as_u16() {
        // The edge speaks HTML, and knows no rights.
        403 if !is_problem => Fault::throttled("Mailchimp's edge turned the call away", fault.retry_after),
        401 => fault.remedy("Mailchimp refused the key or token: make a new one"),
        403 => fault.remedy("the user whose key or token it is may not do that: give the user another role"),
        404 => fault.remedy("check `list` and `segment`: the account has no such thing"),
        _ => fault,
    })
}

/// The verdict of a member that an answer names. Mailchimp keeps opt-outs, and says so only by the state.
fn taken(said: &Value, change: &Change) -> Verdict {
    let state = text(said, "status");
    let kept = match state {
        "archived" => true,
        "unsubscribed" | "cleaned" => change.status.as_ref().is_some_and(|asked| asked != state),
        _ => false,
    };
    if !kept {
        return Verdict::Written { remote_id: None };
    }
    let text = format!("Mailchimp took the fields and left the member `{state}`");
    Verdict::Rejected(Reason { field: Some(String::from("status")), ..Reason::new("STATUS_KEPT", text) })
}

/// The reason in the body of a refused call (`application/problem+json`).
fn of_problem(sync: &MailchimpSync, problem: &Value) -> Reason {
    let wrong = &problem["errors"][0];
    reason(sync, text(problem, "title"), text(wrong, "field"), [text(wrong, "message"), text(problem, "detail")])
}

fn reason(sync: &MailchimpSync, code: &str, name: &str, texts: [&str; 2]) -> Reason {
    let code = if code.is_empty() { "REFUSED" } else { code };
    let text = texts.into_iter().find(|text| !text.is_empty()).unwrap_or("Mailchimp refused it without a word");
    // Mailchimp leaves `merge_fields` out.
    let merged = format!("merge_fields.{name}");
    let known = sync.targets.iter().find(|target| *target == name || **target == merged);
    let field = known.map(String::as_str).or(Some(name)).filter(|name| !name.is_empty()).map(str::to_owned);
    Reason { field, ..Reason::new(code, text) }
}

fn by_address(list: &Value) -> HashMap<String, &Value> {
    items(list).map(|item| (plain(item["email_address"].as_str()), item)).collect()
}

/// An address as it is compared: some errors quote it.
fn plain(address: Option<&str>) -> String {
    address.unwrap_or_default().trim_matches('"').to_lowercase()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn text<'v>(json: &'v Value, name: &str) -> &'v str {
    json[name].as_str().unwrap_or_default()
}
