//! What an answer says of a call: counts, errors, and how much of the quota is used.

use std::time::Duration;

use backhaul_kit::http::limit::Limiter;
use backhaul_kit::http::{Answer, fault_of_status, retry_after};
use backhaul_kit::{Fault, FaultClass};
use serde::Deserialize;
use serde_json::Value;

/// How many rows of a call were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    All,
    /// All but some; which is not said.
    Some,
    None,
    /// The counts do not add up.
    Unclear,
}

#[derive(Debug, Default, Deserialize)]
struct Counted {
    num_received: Option<usize>,
    num_invalid_entries: Option<usize>,
    error: Option<VendorError>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct VendorError {
    code: i64,
    error_subcode: Option<i64>,
}

/// The subcode of an audience that Meta has restricted.
const FLAGGED: i64 = 1_713_230;
/// How long the account is left alone where nobody says how long.
const PAUSE: Duration = Duration::from_secs(60);

/// What the counts of an answer say of the `sent` rows of its call.
///
/// # Errors
/// A refused call; `Ambiguous` where the answer is no word of Meta's.
pub(super) fn taken(answer: &Answer, sent: usize, limiter: &Limiter) -> Result<Taken, Fault> {
    let counted: Counted = read(answer, limiter)?;
    Ok(match (counted.num_received, counted.num_invalid_entries) {
        (Some(received), _) if received != sent => Taken::Unclear,
        (Some(_), Some(0)) => Taken::All,
        (Some(_), Some(invalid)) if invalid == sent => Taken::None,
        (Some(_), Some(invalid)) if invalid < sent => Taken::Some,
        _ => Taken::Unclear,
    })
}

/// The JSON of a successful answer; steers the limiter by every answer's headers.
///
/// # Errors
/// A refused call; `Ambiguous` where the answer is no word of Meta's.
pub(super) fn read<T: serde::de::DeserializeOwned>(answer: &Answer, limiter: &Limiter) -> Result<T, Fault> {
    let regain = steer(answer, limiter);
    let error = answer.json::<Counted>().and_then(|counted| counted.error);
    if let Some(error) = error {
        let fault = refused(answer, &error, regain);
        if fault.class == FaultClass::Throttled {
            // The status is not 429: the client has not closed the gate.
            limiter.close_for(fault.retry_after.unwrap_or(PAUSE));
        }
        return Err(fault);
    }
    if let Some(fault) = fault_of_status(answer) {
        return Err(fault);
    }
    answer.json().ok_or_else(|| Fault::ambiguous(format!("Meta answered {} without readable JSON", answer.status)))
}

/// The fault of a refused call. Meta's words may quote values and stay out of it.
fn refused(answer: &Answer, error: &VendorError, regain: Option<Duration>) -> Fault {
    let subcode = error.error_subcode.map(|subcode| format!(", subcode {subcode}")).unwrap_or_default();
    let said = format!("Meta answered {} with code {}{subcode}", answer.status.as_u16(), error.code);
    match (error.code, error.error_subcode) {
        (4 | 17 | 613 | 80_003 | 80_004, _) => Fault::throttled(said, retry_after(answer).or(regain)),
        // Unknown error, service unavailable, "failed to update": nobody says that nothing was done.
        (1 | 2 | 2650, _) => Fault::ambiguous(said),
        (190, _) => Fault::auth(said).remedy("the token was refused: make a new one for the system user"),
        (10 | 200..=299, _) => Fault::auth(said).remedy(
            "the system user needs the permission ads_management and the task ADVERTISE on the ad account, and \
             somebody must have accepted the terms of custom audiences for it",
        ),
        (368, _) => Fault::auth(said).remedy("Meta has blocked the account for now: look into its support inbox"),
        (100, Some(FLAGGED)) => Fault::config(said).remedy(FLAGGED_REMEDY),
        (105, _) => Fault::split(said),
        (100, _) => Fault::config(said).remedy("check `audience`, `ad_account` and `api_version`"),
        _ => fault_of_status(answer)
            .map_or_else(|| Fault::ambiguous(said.clone()), |fault| Fault::new(fault.class, said.clone())),
    }
}

/// What helps where an audience is flagged.
pub(super) const FLAGGED_REMEDY: &str =
    "Meta has restricted this audience: appeal in the Audience Manager, or make another audience";

/// Steers the limiter by what the headers tell of the quotas, and says how long it takes until calls are let through
/// again, where they are not.
fn steer(answer: &Answer, limiter: &Limiter) -> Option<Duration> {
    let (mut percent, mut minutes) = (0.0, 0.0);
    for name in ["x-business-use-case-usage", "x-ad-account-usage", "x-app-usage"] {
        if let Some(usage) = answer.header(name).and_then(|text| serde_json::from_str(text).ok()) {
            tell(&usage, &mut percent, &mut minutes);
        }
    }
    limiter.steer_by_share(percent / 100.0);
    let regain = Duration::try_from_secs_f64(60.0 * minutes).ok().filter(|wait| !wait.is_zero())?;
    limiter.close_for(regain);
    Some(regain)
}

/// The highest percentage in a usage header, however deep it stands, and the longest time without access.
fn tell(usage: &Value, percent: &mut f64, minutes: &mut f64) {
    match usage {
        Value::Object(members) => members.iter().for_each(|(name, value)| match (name.as_str(), value.as_f64()) {
            ("call_count" | "total_cputime" | "total_time" | "acc_id_util_pct", Some(n)) => *percent = percent.max(n),
            ("estimated_time_to_regain_access", Some(n)) => *minutes = minutes.max(n),
            _ => tell(value, percent, minutes),
        }),
        Value::Array(items) => items.iter().for_each(|item| tell(item, percent, minutes)),
        _ => {}
    }
}

/// The fault of a call that only reads: it may always be made again.
pub(super) fn of_reading(mut fault: Fault) -> Fault {
    if fault.class == FaultClass::Ambiguous {
        fault.class = FaultClass::Transient;
    }
    fault
}
