//! What a call that was refused as a whole means.

use std::time::Duration;

use backhaul_kit::http::{Answer, fault_of_status, retry_after};
use backhaul_kit::json::text;
use backhaul_kit::{Fault, FaultClass};
use serde_json::Value;

use super::object::ObjectType;
use super::wire::missing_scopes;

/// HubSpot's status for an account that is being moved to another data centre.
const MIGRATING: u16 = 477;
/// `DAILY` lasts until midnight of the account's time zone, which the answer does not tell: look again hourly.
const DAILY_PAUSE: Duration = Duration::from_secs(3600);

/// The fault of an answer that is no success. The vendor's text may quote values and stays out of it.
pub(super) fn of_answer(answer: &Answer, object: &ObjectType) -> Option<Fault> {
    let mut fault = fault_of_status(answer)?;
    let (error, status): (Value, u16) = (answer.json().unwrap_or_default(), answer.status.as_u16());
    let said = format!("HubSpot answered {status} {}", text(&error, "category"));
    fault.message = said.trim_end().to_owned();
    let said = fault.message.as_str();
    Some(match status {
        401 => fault.remedy("the token was refused: it is wrong, expired or revoked; create a new one"),
        403 => missing_rights(said, &error),
        404 => Fault::config(format!("{said} for the object `{}`", object.name()))
            .remedy("check the object's name or type id in HubSpot's settings"),
        408 | 500..=599 => {
            fault.class = FaultClass::Ambiguous;
            fault.retry_after = retry_after(answer);
            fault
        }
        423 => Fault::transient(format!("{said}: the records are locked")),
        429 => match text(&error, "policyName") {
            "DAILY" => {
                let wait = retry_after(answer).unwrap_or(DAILY_PAUSE);
                Fault::throttled(format!("{said}: the account's calls of this day are used up"), Some(wait))
                    .remedy("wait until midnight of the account's time zone, or raise the account's daily limit")
            }
            "" => fault,
            policy => Fault::throttled(format!("{said} ({policy})"), retry_after(answer)),
        },
        MIGRATING => Fault::throttled(format!("{said}: the account is being moved"), retry_after(answer)),
        300..=399 => fault.remedy("redirects are not followed: check `base_url`"),
        _ => fault,
    })
}

fn missing_rights(said: &str, error: &Value) -> Fault {
    let scopes = missing_scopes(error).into_iter().collect::<Vec<_>>().join(", ");
    if scopes.is_empty() {
        return Fault::auth(said).remedy("the token lacks a right for this call: check its scopes in HubSpot");
    }
    Fault::auth(format!("{said}: the token lacks {scopes}")).remedy(format!("grant {scopes} to the app in HubSpot"))
}
