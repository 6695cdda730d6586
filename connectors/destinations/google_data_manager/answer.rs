//! What an answer says: of a call that was refused, and of a job that has ended.

use std::collections::BTreeMap;

use backhaul_kit::http::{Answer, fault_of_status};
use backhaul_kit::{Fault, Reason, Verdict};
use serde_json::Value;

use super::draft::Call;

/// Reasons that only members can be blamed for.
const OF_MEMBERS: &str = "INVALID_HEX_ENCODING INVALID_SHA256_FORMAT INVALID_POSTAL_CODE INVALID_REGION_CODE \
    INVALID_AUDIENCE_MEMBER NO_IDENTIFIERS_PROVIDED TOO_MANY_USER_IDENTIFIERS TOO_MANY_AUDIENCE_MEMBERS";
/// What Google could not do, through no fault of the members.
const INTERNAL: &str = "INTERNAL_ERROR";

/// An error in Google's form (`google.rpc.Status`).
#[derive(Debug, Default)]
struct Error {
    /// The reason, or the status.
    code: String,
    message: String,
    /// The quota that is used up.
    quota: Option<String>,
    violations: Vec<Value>,
}

impl Error {
    fn of(answer: &Answer) -> Self {
        let json = answer.json::<Value>().unwrap_or_default();
        let error = &json["error"];
        let details = || error["details"].as_array().into_iter().flatten();
        let reason = details().map(|detail| text(&detail["reason"])).find(|reason| !reason.is_empty());
        let violations = details().filter_map(|detail| detail["fieldViolations"].as_array()).flatten();
        Self {
            code: reason.unwrap_or_else(|| text(&error["status"])).to_owned(),
            message: text(&error["message"]).to_owned(),
            quota: details().find_map(|detail| Some(detail["metadata"]["quota_limit"].as_str()?.to_owned())),
            violations: violations.cloned().collect(),
        }
    }

    /// The members that were refused, where every violation names one: `audience_members[3].user_data…`, in either way of
    /// writing.
    fn members(&self, places: &[usize]) -> Option<BTreeMap<usize, Reason>> {
        let mut named = BTreeMap::new();
        for violation in &self.violations {
            let field = text(&violation["field"]);
            let rest = ["audience_members[", "audienceMembers["].iter().find_map(|name| field.strip_prefix(name))?;
            let place = places.get(rest.split_once(']')?.0.parse::<usize>().ok()?)?;
            let code = Some(text(&violation["reason"])).filter(|code| !code.is_empty()).unwrap_or(&self.code);
            named.entry(*place).or_insert_with(|| Reason::new(code, words(text(&violation["description"]))));
        }
        (!named.is_empty()).then_some(named)
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn words(text: &str) -> &str {
    if text.is_empty() { "Google refused the member without a word" } else { text }
}

/// What became of a call: its number at Google, or the members that were refused. Nothing of it was applied then.
#[derive(Debug)]
pub(super) enum Said {
    Taken(String),
    /// By place in the batch.
    Refused(BTreeMap<usize, Reason>),
}

/// Reads the answer to a call.
///
/// # Errors
/// The call was refused as a whole; `Split` where one member of several may be the cause.
pub(super) fn of_call(answer: &Answer, call: &Call) -> Result<Said, Fault> {
    if answer.status.is_success() {
        let said = answer.json::<Value>().unwrap_or_default();
        if let Some(warnings) = said["fieldWarnings"].as_array().filter(|warnings| !warnings.is_empty()) {
            tracing::warn!(fields = warnings.len(), "Google warns of fields");
        }
        let id = said["requestId"].as_str().filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Fault::ambiguous("Google's answer does not say which request it is of"))?;
        return Ok(Said::Taken(id.to_owned()));
    }
    let error = Error::of(answer);
    if answer.status == 400
        && let Some(refused) = error.members(&call.places)
    {
        return Ok(Said::Refused(refused));
    }
    let code = error.code.as_str();
    match call.places.as_slice() {
        _ if OF_MEMBERS.split(' ').all(|known| known != code) => Err(fault(answer)),
        [place] => Ok(Said::Refused([(*place, Reason::new(code, words(&error.message)))].into())),
        _ => Err(Fault::split(format!("Google refused the members and named none ({code})"))),
    }
}

/// The fault of a call that was refused as a whole.
pub(super) fn fault(answer: &Answer) -> Fault {
    let fault = fault_of_status(answer);
    let mut fault = fault.unwrap_or_else(|| Fault::ambiguous("Google's answer is none"));
    let Error { code, quota, violations, .. } = Error::of(answer);
    // Where it is nobody's member, a field is the request's own: what the operator wrote.
    let fields = violations.iter().map(|violation| text(&violation["field"])).take(3);
    for told in [code.as_str()].into_iter().chain(quota.as_deref()).chain(fields).filter(|told| !told.is_empty()) {
        fault.message.push_str(&format!(", {told}"));
    }
    let remedy = match (code.as_str(), answer.status.as_u16()) {
        ("TERMS_AND_CONDITIONS_NOT_SIGNED", _) => "accept the terms of Customer Match in the operating account",
        ("INVALID_USER_LIST_ID" | "INVALID_USER_LIST_TYPE" | "INVALID_DESTINATION", _) => {
            "`audience` is the id of a Customer Match list of `account`: look it up there"
        }
        ("OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH", _) => "leave `login_account` out, or name a manager of `account`",
        (_, 403) => "give the credential's e-mail address access to `account` or its manager, in Google Ads",
        (_, 401) => "Google refused the access token: check the key, and that the Data Manager API is enabled",
        _ => return fault,
    };
    fault.remedy(remedy)
}

/// How a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// So far, or for ever.
    Processing,
    /// Google no longer knows it.
    Forgotten,
    /// For all of its members.
    Done,
    /// For none.
    Failed,
    /// For some.
    Partly,
}

/// A request with the reasons for which members were not taken in, and how often each.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) state: State,
    reasons: Vec<String>,
}

/// Reads the answer to a question for a request of `sent` members.
///
/// # Errors
/// A fault says nothing of the request.
pub(super) fn of_status(answer: &Answer, sent: usize) -> Result<Job, Fault> {
    if !answer.status.is_success() {
        let forgotten = matches!(Error::of(answer).code.as_str(), "INVALID_REQUEST_ID" | "NOT_FOUND");
        return if forgotten { Ok(Job { state: State::Forgotten, reasons: Vec::new() }) } else { Err(fault(answer)) };
    }
    let said = answer.json::<Value>().unwrap_or_default();
    let status = &said["requestStatusPerDestination"][0];
    let counts = status["errorInfo"]["errorCounts"].as_array().into_iter().flatten();
    let reasons = counts.map(|count| {
        let reason = text(&count["reason"]);
        format!("{}: {}", reason.trim_start_matches("PROCESSING_ERROR_REASON_"), text(&count["recordCount"]))
    });
    let state = match text(&status["requestStatus"]) {
        "SUCCESS" => State::Done,
        "FAILED" => State::Failed,
        "PARTIAL_SUCCESS" => State::Partly,
        // PROCESSING, and whatever Google may add.
        _ if status.is_object() => State::Processing,
        _ => return Err(Fault::transient("Google's answer does not say how a request stands")),
    };
    let added = &status["audienceMembersIngestionStatus"]["userDataIngestionStatus"];
    let removed = &status["audienceMembersRemovalStatus"]["userDataRemovalStatus"];
    if [added, removed].iter().filter_map(|of| of["recordCount"].as_str()).any(|count| count != sent.to_string()) {
        // It speaks of other members: of these nothing is known.
        return Ok(Job { state: State::Partly, reasons: vec![INTERNAL.to_owned()] });
    }
    Ok(Job { state, reasons: reasons.collect() })
}

/// The one verdict of all rows that were sent, where there is one.
///
/// # Errors
/// `Split` where some members were refused and nothing says which.
pub(super) fn verdict(jobs: &[Job]) -> Result<Verdict, Fault> {
    let all = |state| jobs.iter().all(|job| job.state == state);
    let reasons: Vec<&str> = jobs.iter().flat_map(|job| &job.reasons).map(String::as_str).collect();
    // Nobody is to blame: it may be sent again, as often as it takes.
    let passing = reasons.iter().all(|reason| reason.starts_with(INTERNAL));
    let words = reasons.join(", ");
    if all(State::Done) {
        Ok(Verdict::Written { remote_id: None })
    } else if all(State::Failed) && passing {
        Ok(Verdict::Retry(None))
    } else if all(State::Failed) {
        let code = words.split(':').next().unwrap_or_default();
        Ok(Verdict::Rejected(Reason::new(code, format!("Google took no member in ({words})"))))
    } else if passing && !reasons.is_empty() {
        Ok(Verdict::Unknown)
    } else {
        Err(Fault::split(format!("Google took some members in and does not say which ({words})")))
    }
}
