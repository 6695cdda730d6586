//! What an answer says: of a call that was refused, and of a job that has ended.

use std::collections::BTreeMap;

use backhaul_kit::http::{Answer, fault_of_status};
use backhaul_kit::{Fault, Reason, Verdict};
use serde_json::Value;

use super::draft::Call;
use super::member::Part;

/// Reasons that only members can be blamed for.
const OF_MEMBERS: [&str; 7] = [
    "INVALID_HEX_ENCODING",
    "INVALID_SHA256_FORMAT",
    "INVALID_POSTAL_CODE",
    "INVALID_REGION_CODE",
    "INVALID_AUDIENCE_MEMBER",
    "NO_IDENTIFIERS_PROVIDED",
    "TOO_MANY_USER_IDENTIFIERS",
];
/// The call was too large.
const TOO_MANY: &str = "TOO_MANY_AUDIENCE_MEMBERS";
/// A request that there never was, or of which nothing is known any more.
const FORGOTTEN: [&str; 2] = ["INVALID_REQUEST_ID", "NOT_FOUND"];
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
    fn members(&self, places: &[usize]) -> Option<Vec<(usize, Reason)>> {
        let mut named = BTreeMap::new();
        for violation in &self.violations {
            let field = text(&violation["field"]);
            let rest = ["audience_members[", "audienceMembers["].iter().find_map(|name| field.strip_prefix(name))?;
            let place = places.get(rest.split_once(']')?.0.parse::<usize>().ok()?)?;
            let code = Some(text(&violation["reason"])).filter(|code| !code.is_empty()).unwrap_or(&self.code);
            let part = Part::of_path(field).map(|part| part.name().to_owned());
            let reason = Reason { field: part, ..Reason::new(code, words(text(&violation["description"]))) };
            named.entry(*place).or_insert(reason);
        }
        (!named.is_empty()).then(|| named.into_iter().collect())
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
    Refused(Vec<(usize, Reason)>),
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
        _ if code == TOO_MANY => Err(Fault::split("Google takes fewer members in a call")),
        [place] if OF_MEMBERS.contains(&code) => {
            Ok(Said::Refused(vec![(*place, Reason::new(code, words(&error.message)))]))
        }
        _ if OF_MEMBERS.contains(&code) => {
            Err(Fault::split(format!("Google refused a member and named none ({code})")))
        }
        _ => Err(fault(answer).unwrap_or_else(|| Fault::ambiguous("Google's answer is none"))),
    }
}

/// The fault of a call that was refused as a whole.
pub(super) fn fault(answer: &Answer) -> Option<Fault> {
    let mut fault = fault_of_status(answer)?;
    let Error { code, quota, violations, .. } = Error::of(answer);
    // Where it is nobody's member, a field is the request's own: what the operator wrote.
    let fields = violations.iter().map(|violation| text(&violation["field"])).take(3);
    let told: Vec<&str> = [code.as_str()].into_iter().chain(quota.as_deref()).chain(fields).collect();
    fault.message = format!("Google answered {} ({})", answer.status.as_u16(), told.join(", "));
    let remedy = match (code.as_str(), answer.status.as_u16()) {
        ("TERMS_AND_CONDITIONS_NOT_SIGNED" | "ADVERTISER_TOS_NOT_ACCEPTED", _) => {
            "accept the terms of Customer Match in the operating account"
        }
        ("NOT_ALLOWLISTED", _) => "the operating account is not allowed this by Google: ask there",
        ("INVALID_USER_LIST_ID" | "INVALID_USER_LIST_TYPE" | "INVALID_DESTINATION", _) => {
            "`audience` is the id of a Customer Match list of `account`: look it up there"
        }
        ("OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH", _) => {
            "leave `login_account` out, or name the manager of `account`"
        }
        (_, 403) => "give the credential's e-mail address access to `account` or its manager, in Google Ads",
        (_, 401) => "Google refused the access token: check the key, and that the Data Manager API is switched on",
        _ => return Some(fault),
    };
    Some(fault.remedy(remedy))
}

/// How a request stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Job {
    Processing,
    /// Google no longer knows it.
    Forgotten,
    /// Done for all.
    Done,
    /// Done for none, or only for some of so many; with the reasons and how often each.
    Failed {
        all: bool,
        reasons: Vec<(String, String)>,
    },
    /// It does not speak of as many members as were sent.
    Strange,
}

/// Reads the answer to a question for a request of `sent` members.
///
/// # Errors
/// A fault says nothing of the request.
pub(super) fn of_status(answer: &Answer, sent: usize) -> Result<Job, Fault> {
    if !answer.status.is_success() {
        let forgotten = FORGOTTEN.contains(&Error::of(answer).code.as_str());
        let fault = || fault(answer).unwrap_or_else(|| Fault::transient("Google's answer is none"));
        return if forgotten { Ok(Job::Forgotten) } else { Err(fault()) };
    }
    let said = answer.json::<Value>().unwrap_or_default();
    let status = &said["requestStatusPerDestination"][0];
    if !status.is_object() {
        return Err(Fault::transient("Google's answer does not say how a request stands"));
    }
    let added = &status["audienceMembersIngestionStatus"]["userDataIngestionStatus"];
    let removed = &status["audienceMembersRemovalStatus"]["userDataRemovalStatus"];
    if [added, removed].iter().filter_map(|of| of["recordCount"].as_str()).any(|count| count != sent.to_string()) {
        return Ok(Job::Strange);
    }
    let counts = status["errorInfo"]["errorCounts"].as_array().into_iter().flatten();
    let reasons = counts.map(|count| {
        let reason = text(&count["reason"]);
        let reason = reason.strip_prefix("PROCESSING_ERROR_REASON_").unwrap_or(reason);
        (reason.to_owned(), text(&count["recordCount"]).to_owned())
    });
    Ok(match text(&status["requestStatus"]) {
        "SUCCESS" => Job::Done,
        "FAILED" => Job::Failed { all: true, reasons: reasons.collect() },
        "PARTIAL_SUCCESS" => Job::Failed { all: false, reasons: reasons.collect() },
        // PROCESSING, and whatever Google may add.
        _ => Job::Processing,
    })
}

/// The one verdict of all rows that were sent, where there is one.
///
/// # Errors
/// `Split` where some members were refused and nothing says which.
pub(super) fn verdict(jobs: &[Job]) -> Result<Verdict, Fault> {
    let reasons = jobs.iter().flat_map(|job| match job {
        Job::Failed { reasons, .. } => reasons.as_slice(),
        _ => &[],
    });
    let mut told: Vec<(&str, &str)> = reasons.map(|(reason, count)| (reason.as_str(), count.as_str())).collect();
    told.sort_unstable();
    // Nobody is to blame: it may be sent again, as often as it takes.
    let is_passing = told.iter().all(|(reason, _)| *reason == INTERNAL);
    let words = told.iter().map(|(reason, count)| format!("{reason}: {count}")).collect::<Vec<_>>().join(", ");
    if jobs.iter().all(|job| *job == Job::Done) {
        return Ok(Verdict::Written { remote_id: None });
    }
    if jobs.contains(&Job::Strange) {
        return Ok(Verdict::Unknown);
    }
    if jobs.iter().all(|job| matches!(job, Job::Failed { all: true, .. })) {
        if is_passing {
            return Ok(Verdict::Retry(None));
        }
        let code = told.first().map_or("FAILED", |(reason, _)| reason);
        return Ok(Verdict::Rejected(Reason::new(code, format!("Google did not take the members in: {words}"))));
    }
    if is_passing && !told.is_empty() {
        return Ok(Verdict::Unknown);
    }
    Err(Fault::split(format!("Google took in some of the members and does not say which ({words})")))
}
