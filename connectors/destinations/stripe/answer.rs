//! What an answer says of its one row, and what a call that was refused means.

use backhaul_kit::http::{Answer, retry_after};
use backhaul_kit::{Fault, Reason, Verdict};

use super::params::Param;
use super::wire::{Customer, Refusal, VendorError};

/// The code of a parameter that there is not.
const UNKNOWN_PARAMETER: &str = "parameter_unknown";
/// The type of a refusal for a key that stands for another call.
const IDEMPOTENCY: &str = "idempotency_error";

/// What was said of the row.
#[derive(Debug)]
pub(super) enum Said {
    /// Its verdict.
    Verdict(Verdict),
    /// There is no such customer (any more); nothing was done.
    Gone(Reason),
}

impl Said {
    /// The verdict where a customer must be there.
    pub(super) fn verdict(self) -> Verdict {
        match self {
            Self::Verdict(verdict) => verdict,
            Self::Gone(reason) => Verdict::Rejected(reason),
        }
    }
}

/// Reads the answer of a write. `id` is the customer that it must name; any for a creation. `deleted` is what it must
/// say of it.
///
/// # Errors
/// What the answer says of the call and not of the row.
pub(super) fn of_write(answer: &Answer, id: Option<&str>, deleted: bool, params: &[Param]) -> Result<Said, Fault> {
    let Some(refused) = refusal(answer, params)? else {
        let customer: Customer = answer.json().unwrap_or_default();
        let named = customer.object == "customer" && id.map_or(!customer.id.is_empty(), |id| id == customer.id);
        let verdict = if named && customer.deleted == deleted {
            Verdict::Written { remote_id: Some(customer.id) }
        } else {
            // A success that does not name the customer proves nothing.
            Verdict::Unknown
        };
        return Ok(Said::Verdict(verdict));
    };
    Ok(refused)
}

/// What a refusal says of the row; `None` for a success.
///
/// # Errors
/// What it says of the call and not of the row.
pub(super) fn refusal(answer: &Answer, params: &[Param]) -> Result<Option<Said>, Fault> {
    if answer.status.is_success() {
        return Ok(None);
    }
    let refusal = answer.json::<Refusal>().map(|refusal| refusal.error);
    let (400 | 402 | 404 | 422, Some(error)) = (answer.status.as_u16(), &refusal) else {
        return Err(of_call(answer, refusal.as_ref()));
    };
    if error.kind == IDEMPOTENCY {
        // The same customer was asked for with other values, at most a day ago: the search will find it.
        return Ok(Some(Said::Verdict(Verdict::Retry(None))));
    }
    if error.code.as_deref() == Some(UNKNOWN_PARAMETER) {
        return Err(of_call(answer, refusal.as_ref()).remedy("take that field out of the sync"));
    }
    let field = error.param.as_deref().map(|param| {
        let known = params.iter().find(|known| known.name.as_deref() == Some(param));
        known.map_or(param, |known| &known.target).to_owned()
    });
    let code = error.code.clone().unwrap_or_else(|| error.kind.clone());
    let text = error.message.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| format!("refused: {code}"));
    let reason = Reason { code, text, field };
    Ok(Some(match answer.status.as_u16() {
        404 => Said::Gone(reason),
        _ => Said::Verdict(Verdict::Rejected(reason)),
    }))
}

/// The fault of a call that was refused as a whole. The vendor's text may quote values and stays out of it.
fn of_call(answer: &Answer, error: Option<&VendorError>) -> Fault {
    let status = answer.status.as_u16();
    let code = error.map(|error| error.code.as_deref().unwrap_or(&error.kind));
    let said = code.map_or(format!("Stripe answered {status}"), |code| format!("Stripe answered {status} {code}"));
    match status {
        401 => Fault::auth(said).remedy("the key was refused: it is wrong, expired or revoked; create a new one"),
        403 => missing_rights(said, error),
        409 => Fault::transient(format!("{said}: the same call is still running")),
        429 => Fault::throttled(said, retry_after(answer)),
        408 | 500..=599 => {
            let mut fault = Fault::ambiguous(said);
            fault.retry_after = retry_after(answer);
            fault
        }
        // A redirect, which is not followed, or somebody who speaks otherwise than Stripe.
        _ => Fault::config(said).remedy("check `base_url`"),
    }
}

fn missing_rights(said: String, error: Option<&VendorError>) -> Fault {
    let text = error.and_then(|error| error.message.as_deref()).unwrap_or_default();
    let permissions = permissions(text);
    if permissions.is_empty() {
        return Fault::auth(said).remedy("the key lacks a permission for this call: give it \"Customers: Write\"");
    }
    let names = permissions.join(", ");
    Fault::auth(format!("{said}: the key lacks {names}")).remedy(format!("give the restricted key {names}"))
}

/// The permissions that a message names.
pub(super) fn permissions(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("rak_")).collect()
}
