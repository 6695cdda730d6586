//! What answers say of a call and of its rows. Refusals have at least five forms; one reader takes them all.

use std::time::Duration;

use backhaul_kit::http::{Answer, fault_of_status, retry_after};
use backhaul_kit::{Fault, Reason, Verdict};
use serde_json::Value;

/// How long new jobs wait for one of those that are running, where Zendesk does not say.
const TOO_MANY_JOBS: Duration = Duration::from_secs(10);

/// What is wrong, in Zendesk's words: of a whole answer, or of a row in a job's results.
pub(super) fn refusal(json: &Value) -> Reason {
    let places = [json, &json["error"], &json["errors"][0]];
    let find = |names: &[&str]| {
        let texts = places.iter().flat_map(|place| names.iter().filter_map(|name| place[*name].as_str()));
        texts.map(str::to_owned).find(|text| !text.is_empty())
    };
    let code = find(&["error", "code", "title"]).unwrap_or_else(|| String::from("REFUSED"));
    let details = json["details"].as_object().and_then(|details| details.iter().next());
    let detail = details.and_then(|(_, said)| said[0]["description"].as_str().map(str::to_owned));
    let text = detail.or_else(|| find(&["details", "description", "message", "title"]));
    let text = text.unwrap_or_else(|| format!("Zendesk refused it: {code}"));
    Reason { code, text, field: details.map(|(field, _)| field.clone()) }
}

/// `None` for a success; why one row was refused where the call was of `rows` rows and they are to blame.
///
/// # Errors
/// What the answer says of the call; `Split` where one row of several is to blame. Its text may quote values and stays
/// out of the fault.
pub(super) fn refused(answer: &Answer, rows: usize) -> Result<Option<Reason>, Fault> {
    let status = answer.status.as_u16();
    let Some(mut fault) = fault_of_status(answer) else { return Ok(None) };
    let reason = refusal(&answer.json().unwrap_or_default());
    let is_word = reason.code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let said = format!("Zendesk answered {status} {}", if is_word { reason.code.as_str() } else { "" });
    let said = said.trim_end().to_owned();
    Err(match (status, reason.code.as_str()) {
        (_, "TooManyJobs") => Fault::throttled(said, Some(retry_after(answer).unwrap_or(TOO_MANY_JOBS))),
        (422, _) | (404, "RecordNotFound") if rows == 1 => return Ok(Some(reason)),
        (422, _) | (404, "RecordNotFound") if rows > 1 => Fault::split(said),
        (401, _) => Fault::auth(said).remedy("Zendesk refused the credential: it is wrong, expired or deactivated"),
        (403, _) if reason.text.to_lowercase().contains("imports are not enabled") => {
            Fault::config("bulk imports of users are not enabled in this Zendesk account")
                .remedy("the account's owner must have Zendesk's support enable them (they are off by default)")
        }
        (403, _) => Fault::auth(said).remedy("the credential lacks a scope, or its user a role: see `backhaul doctor`"),
        (404, _) => Fault::config(said).remedy("check `subdomain` and `base_url`"),
        (409, _) => Fault::ambiguous(said),
        _ => {
            fault.message = said;
            fault
        }
    })
}

/// The verdict on a row that was refused: who is to be deleted and is not there is deleted.
pub(super) fn verdict(reason: Reason, deletes: bool) -> Verdict {
    if deletes && reason.code.contains("NotFound") { Verdict::Unchanged } else { Verdict::Rejected(reason) }
}

/// What became of the one organization of a call that was not refused: the answer must name it.
pub(super) fn of_organization(answer: &Answer) -> Verdict {
    let id = answer.json::<Value>().and_then(|json| json["organization"]["id"].as_u64());
    id.map_or(Verdict::Unknown, |id| Verdict::Written { remote_id: Some(id.to_string()) })
}

/// Zendesk pays no regard to case in external ids and addresses.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

/// How long a limit stays used up: `total=30; remaining=0; resets=60`. `None` where something is left of it.
pub(super) fn used_up(header: &str) -> Option<Duration> {
    let parts = header.split(';').filter_map(|part| part.trim().split_once('='));
    let number = |name: &str| parts.clone().find(|(own, _)| *own == name)?.1.parse::<u32>().ok();
    (number("remaining")? == 0).then_some(Duration::from_secs(number("resets")?.into()))
}
