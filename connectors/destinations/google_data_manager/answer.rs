//! What an answer says: of a call that was refused, and of a job that has ended.

use std::collections::BTreeMap;

use backhaul_kit::http::{Answer, fault_of_status};
use backhaul_kit::{Fault, FaultClass, Reason, Verdict};
use serde::Deserialize;

use super::draft::Call;

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

/// The answer to a call that was taken in.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Taken {
    pub(super) request_id: String,
    #[serde(default)]
    pub(super) field_warnings: Vec<serde::de::IgnoredAny>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refused {
    error: Error,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Error {
    message: String,
    status: String,
    details: Vec<Detail>,
}

/// `ErrorInfo` or `BadRequest`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Detail {
    reason: String,
    metadata: BTreeMap<String, String>,
    field_violations: Vec<Violation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Violation {
    field: String,
    description: String,
    reason: String,
}

impl Violation {
    /// The place of the member in the call: `audience_members[3].user_data…`, in either way of writing.
    fn place(&self) -> Option<usize> {
        let rest = ["audience_members[", "audienceMembers["].iter().find_map(|name| self.field.strip_prefix(name))?;
        rest.split_once(']')?.0.parse().ok()
    }
}

impl Error {
    fn of(answer: &Answer) -> Self {
        answer.json::<Refused>().unwrap_or_default().error
    }

    /// The reason, or the status of the error.
    fn code(&self) -> &str {
        let reason = self.details.iter().map(|detail| detail.reason.as_str()).find(|reason| !reason.is_empty());
        reason.unwrap_or(&self.status)
    }
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
        let taken = answer.json::<Taken>().filter(|taken| !taken.request_id.is_empty());
        let taken = taken.ok_or_else(|| Fault::ambiguous("Google's answer does not say which request it is of"))?;
        if !taken.field_warnings.is_empty() {
            tracing::warn!(request = taken.request_id, fields = taken.field_warnings.len(), "Google warns of fields");
        }
        return Ok(Said::Taken(taken.request_id));
    }
    let error = Error::of(answer);
    let violations: Vec<&Violation> = error.details.iter().flat_map(|detail| &detail.field_violations).collect();
    let places = violations.iter().map(|violation| call.places.get(violation.place()?).copied());
    if answer.status == 400
        && !violations.is_empty()
        && let Some(places) = places.collect::<Option<Vec<usize>>>()
    {
        let mut named = BTreeMap::new();
        for (place, violation) in places.into_iter().zip(violations) {
            named.entry(place).or_insert_with(|| reason(&error, violation));
        }
        return Ok(Said::Refused(named.into_iter().collect()));
    }
    match error.code() {
        TOO_MANY => Err(Fault::split("Google takes fewer members in a call")),
        code if OF_MEMBERS.contains(&code) => match call.places.as_slice() {
            [place] => Ok(Said::Refused(vec![(*place, Reason::new(code, words(&error.message)))])),
            _ => Err(Fault::split(format!("Google refused the call ({code}) and named no member"))),
        },
        _ => Err(fault(answer).unwrap_or_else(|| Fault::ambiguous("Google's answer is none"))),
    }
}

fn reason(error: &Error, violation: &Violation) -> Reason {
    let code = if violation.reason.is_empty() { error.code() } else { &violation.reason };
    let field = violation.field.rsplit('.').next().unwrap_or_default();
    let field = match field.split('[').next().unwrap_or_default() {
        "email_address" | "emailAddress" => Some("email"),
        "phone_number" | "phoneNumber" => Some("phone"),
        "given_name" | "givenName" => Some("first_name"),
        "family_name" | "familyName" => Some("last_name"),
        "region_code" | "regionCode" => Some("country"),
        "postal_code" | "postalCode" => Some("postcode"),
        _ => None,
    };
    Reason { field: field.map(str::to_owned), ..Reason::new(code, words(&violation.description)) }
}

fn words(text: &str) -> &str {
    if text.is_empty() { "Google refused the member without a word" } else { text }
}

/// The fault of a call that was refused as a whole.
pub(super) fn fault(answer: &Answer) -> Option<Fault> {
    let mut fault = fault_of_status(answer)?;
    let error = Error::of(answer);
    let code = error.code();
    if !code.is_empty() {
        let quota = error.details.iter().find_map(|detail| detail.metadata.get("quota_limit"));
        let quota = quota.map(|quota| format!(", {quota}")).unwrap_or_default();
        fault.message = format!("Google answered {} ({code}{quota})", answer.status.as_u16());
    }
    if fault.class == FaultClass::Config {
        // No part of it is a member's: it is what the operator wrote, or what Google has to be asked for.
        fault.message.push_str(&violated(&error));
    }
    let remedy = match (code, answer.status.as_u16()) {
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

/// The fields that an error names; they are the request's own and no person's.
fn violated(error: &Error) -> String {
    let violations = error.details.iter().flat_map(|detail| &detail.field_violations);
    let fields: Vec<&str> = violations.map(|violation| violation.field.as_str()).take(3).collect();
    if fields.is_empty() { String::new() } else { format!(": {}", fields.join(", ")) }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Statuses {
    request_status_per_destination: Vec<Status>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    request_status: String,
    error_info: ErrorInfo,
    audience_members_ingestion_status: Members,
    audience_members_removal_status: Members,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorInfo {
    error_counts: Vec<ErrorCount>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ErrorCount {
    record_count: String,
    reason: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Members {
    #[serde(alias = "userDataRemovalStatus")]
    user_data_ingestion_status: Counted,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Counted {
    record_count: Option<String>,
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
        let error = Error::of(answer);
        if FORGOTTEN.contains(&error.code()) {
            return Ok(Job::Forgotten);
        }
        return Err(fault(answer).unwrap_or_else(|| Fault::transient("Google's answer is none")));
    }
    let unreadable = || Fault::transient("Google's answer does not say how a request stands");
    let statuses = answer.json::<Statuses>().ok_or_else(unreadable)?;
    let status = statuses.request_status_per_destination.into_iter().next().ok_or_else(unreadable)?;
    let counted = [status.audience_members_ingestion_status, status.audience_members_removal_status];
    let mut counted = counted.iter().filter_map(|members| members.user_data_ingestion_status.record_count.as_ref());
    if counted.any(|count| *count != sent.to_string()) {
        return Ok(Job::Strange);
    }
    let reasons = status.error_info.error_counts.into_iter().map(|count| {
        let reason = count.reason.trim_start_matches("PROCESSING_ERROR_").trim_start_matches("REASON_").to_owned();
        (reason, count.record_count)
    });
    Ok(match status.request_status.as_str() {
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
