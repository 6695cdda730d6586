//! What a call that was refused as a whole means.

use std::time::Duration;

use backhaul_kit::Fault;
use backhaul_kit::http::{Answer, retry_after};

use super::object::ObjectType;
use super::wire::VendorError;

/// HubSpot's status for an account that is being moved to another data centre.
const MIGRATING: u16 = 477;
/// `DAILY` lasts until midnight of the account's time zone, which the answer does not tell: look again hourly.
const DAILY_PAUSE: Duration = Duration::from_secs(3600);

/// The vendor's error in an answer's body, where there is one.
pub(super) fn vendor_error(answer: &Answer) -> VendorError {
    answer.json().unwrap_or_default()
}

/// The fault of an answer that is no success. The vendor's text may quote values and stays out of it.
pub(super) fn of_answer(answer: &Answer, object: &ObjectType) -> Option<Fault> {
    if answer.status.is_success() {
        return None;
    }
    let error = vendor_error(answer);
    let said = if error.category.is_empty() {
        format!("HubSpot answered {}", answer.status.as_u16())
    } else {
        format!("HubSpot answered {} {}", answer.status.as_u16(), error.category)
    };
    Some(match answer.status.as_u16() {
        401 => Fault::auth(said).remedy("the token was refused: it is wrong, expired or revoked; create a new one"),
        403 => missing_rights(said, &error),
        404 => Fault::config(format!("{said} for the object `{}`", object.name()))
            .remedy("check the object's name or type id in HubSpot's settings"),
        408 | 500..=599 => {
            let mut fault = Fault::ambiguous(said);
            fault.retry_after = retry_after(answer);
            fault
        }
        413 => Fault::split(said),
        423 => Fault::transient(format!("{said}: the records are locked")),
        429 => throttled(said, answer, &error),
        MIGRATING => Fault::throttled(format!("{said}: the account is being moved"), retry_after(answer)),
        300..=399 => Fault::config(said).remedy("redirects are not followed: check `base_url`"),
        _ => Fault::config(said),
    })
}

fn missing_rights(said: String, error: &VendorError) -> Fault {
    let scopes = error.missing_scopes();
    if scopes.is_empty() {
        return Fault::auth(said).remedy("the token lacks a right for this call: check its scopes in HubSpot");
    }
    let scopes = scopes.join(", ");
    Fault::auth(format!("{said}: the token lacks {scopes}")).remedy(format!("grant {scopes} to the app in HubSpot"))
}

fn throttled(said: String, answer: &Answer, error: &VendorError) -> Fault {
    match error.policy_name.as_deref() {
        Some("DAILY") => {
            let wait = retry_after(answer).unwrap_or(DAILY_PAUSE);
            Fault::throttled(format!("{said}: the account's calls of this day are used up"), Some(wait))
                .remedy("wait until midnight of the account's time zone, or raise the account's daily limit")
        }
        Some(policy) => Fault::throttled(format!("{said} ({policy})"), retry_after(answer)),
        None => Fault::throttled(said, retry_after(answer)),
    }
}
