//! What an answer says of a call: counts, errors, and how much of the quota is used.

use std::time::Duration;

use backhaul_kit::http::limit::Limiter;
use backhaul_kit::http::{Answer, fault_of_status, retry_after};
use backhaul_kit::{Fault, FaultClass};
use serde_json::Value;

use super::account::HOUR;

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
/// How long the account is left alone where nobody says how long: the longest block of which Meta tells a length.
const PAUSE: Duration = Duration::from_secs(300);
/// The share of an hour's quota that is used: Meta tells whole percents, and at 100 it refuses calls.
const ALMOST: f64 = 0.99;
/// The percentage of an ad account's score from which on calls wait.
const EASY: f64 = 75.0;
/// The seconds in which a score decays, where that is not told.
const DECAY: f64 = 300.0;

/// What the counts of an answer say of the `sent` rows of its call; and else as [`read`].
///
/// # Errors
/// A refused call; `Ambiguous` where the answer is no word of Meta's.
pub(super) fn taken(answer: &Answer, sent: u64, limiter: &Limiter, most: f64) -> Result<Taken, Fault> {
    let counts = read(answer, limiter, most)?;
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

/// The JSON object of a successful answer; steers the limiter by every answer's headers, so that no more than `most` of an
/// hour's quota (1.0: all of it) is used.
///
/// # Errors
/// A refused call; `Ambiguous` where the answer is no word of Meta's.
pub(super) fn read(answer: &Answer, limiter: &Limiter, most: f64) -> Result<Value, Fault> {
    let regain = steer(answer, limiter, most);
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
fn steer(answer: &Answer, limiter: &Limiter, most: f64) -> Option<Duration> {
    let header = |name| answer.header(name).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let (mut percent, mut minutes) = (0.0, 0.0);
    tell(&header("x-business-use-case-usage"), &mut percent, &mut minutes);
    tell(&header("x-app-usage"), &mut percent, &mut minutes);
    limiter.steer_by_share(percent / 100.0, most.min(ALMOST), HOUR, answer.asked);
    let is_silent = percent >= 100.0 && minutes == 0.0;
    let regain = if is_silent { PAUSE.as_secs_f64() } else { 60.0 * minutes };
    let account: Value = header("x-ad-account-usage");
    let score = account["acc_id_util_pct"].as_f64().unwrap_or_default().min(100.0);
    let decays = account["reset_time_duration"].as_f64().unwrap_or(DECAY);
    let regain = regain.max(decays * (score - EASY) / (100.0 - EASY));
    let regain = Duration::try_from_secs_f64(regain).ok().filter(|wait| !wait.is_zero())?;
    limiter.close_for(regain);
    Some(regain)
}

/// The highest percentage in a usage header, however deep it stands, and the longest time without access.
fn tell(usage: &Value, percent: &mut f64, minutes: &mut f64) {
    match usage {
        Value::Object(members) => members.iter().for_each(|(name, value)| match (name.as_str(), value.as_f64()) {
            ("call_count" | "total_cputime" | "total_time", Some(n)) => *percent = percent.max(n),
            ("estimated_time_to_regain_access", Some(n)) => *minutes = minutes.max(n),
            _ => tell(value, percent, minutes),
        }),
        Value::Array(items) => items.iter().for_each(|item| tell(item, percent, minutes)),
        _ => {}
    }
}
