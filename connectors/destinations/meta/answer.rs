//! What an answer says of a call: counts, errors, and how much of the quota is used.

use std::time::Duration;

use backhaul_kit::http::limit::Limiter;
use backhaul_kit::http::{Answer, fault_of_status, retry_after};
use backhaul_kit::{Fault, FaultClass};
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

/// What helps where an audience is flagged.
pub(super) const FLAGGED_REMEDY: &str =
    "Meta has restricted this audience: appeal in the Audience Manager, or make another audience";
/// The subcode of such an audience.
const FLAGGED: i64 = 1_713_230;
const RIGHTS: &str = "the token needs ads_management, its user ADVERTISE on an ad account with accepted terms";
/// How long the account is left alone where nobody says how long.
const PAUSE: Duration = Duration::from_secs(60);

/// What the counts of an answer say of the `sent` rows of its call.
///
/// # Errors
/// A refused call; `Ambiguous` where the answer is no word of Meta's.
pub(super) fn taken(answer: &Answer, sent: u64, limiter: &Limiter) -> Result<Taken, Fault> {
    let counts = read(answer, limiter)?;
    if counts["num_received"] != sent {
        return Ok(Taken::Unclear);
    }
    Ok(match counts["num_invalid_entries"].as_u64() {
        Some(0) => Taken::All,
        Some(invalid) if invalid < sent => Taken::Some,
        Some(invalid) if invalid == sent => Taken::None,
        _ => Taken::Unclear,
    })
}

/// The JSON object of a successful answer; steers the limiter by every answer's headers.
///
/// # Errors
/// A refused call; `Ambiguous` where the answer is no word of Meta's.
pub(super) fn read(answer: &Answer, limiter: &Limiter) -> Result<Value, Fault> {
    let regain = steer(answer, limiter);
    let body: Value = answer.json().unwrap_or_default();
    if let Some(code) = body["error"]["code"].as_i64() {
        let fault = refused(answer, code, body["error"]["error_subcode"].as_i64(), regain);
        if fault.class == FaultClass::Throttled {
            // The status is not 429: the client has not closed the gate.
            limiter.close_for(fault.retry_after.unwrap_or(PAUSE));
        }
        return Err(fault);
    }
    match fault_of_status(answer) {
        Some(fault) => Err(fault),
        None if body.is_object() => Ok(body),
        None => Err(Fault::ambiguous(format!("Meta answered {} without readable JSON", answer.status))),
    }
}

/// The fault of a refused call. Meta's words may quote values and stay out of it.
fn refused(answer: &Answer, code: i64, subcode: Option<i64>, regain: Option<Duration>) -> Fault {
    let more = subcode.map(|subcode| format!(", subcode {subcode}")).unwrap_or_default();
    let said = format!("Meta answered {} with code {code}{more}", answer.status.as_u16());
    match code {
        4 | 17 | 613 | 80_003 | 80_004 => Fault::throttled(said, retry_after(answer).or(regain)),
        // Unknown error, service unavailable, "failed to update": nobody says that nothing was done.
        1 | 2 | 2650 => Fault::ambiguous(said),
        190 => Fault::auth(said).remedy("the token was refused: make a new one for the system user"),
        10 | 200..=299 => Fault::auth(said).remedy(RIGHTS),
        368 => Fault::auth(said).remedy("Meta has blocked the account for now: look into its support inbox"),
        100 if subcode == Some(FLAGGED) => Fault::config(said).remedy(FLAGGED_REMEDY),
        100 => Fault::config(said).remedy("check `audience`, `ad_account` and `api_version`"),
        105 => Fault::split(said),
        _ => Fault::new(fault_of_status(answer).map_or(FaultClass::Ambiguous, |fault| fault.class), said),
    }
}

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
