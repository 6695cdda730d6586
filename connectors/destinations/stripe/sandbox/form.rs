//! Parameters of a call, and what is wrong with them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::destinations::stand_in::Rejects;

/// Parameters by name, `metadata[plan]` among them.
pub(super) type Params = BTreeMap<String, String>;

/// The parameters that the stand-in knows, with the most characters of each.
const KNOWN: [(&str, usize); 11] = [
    ("name", 256),
    ("email", 512),
    ("phone", 20),
    ("description", 5000),
    ("tax_exempt", 7),
    ("address[city]", 5000),
    ("address[country]", 5000),
    ("address[line1]", 5000),
    ("address[line2]", 5000),
    ("address[postal_code]", 5000),
    ("address[state]", 5000),
];
const MAX_METADATA_KEYS: usize = 50;
const MAX_METADATA_KEY: usize = 40;
const MAX_METADATA_VALUE: usize = 500;

/// The answer of a refused call: a status and a body.
pub(super) type Refusal = (u16, Value);

/// A refusal of type `kind`.
pub(super) fn refusal(status: u16, kind: &str, code: &str, message: &str, param: Option<&str>) -> Refusal {
    let mut error = json!({ "type": kind, "message": message });
    for (name, text) in [("code", Some(code).filter(|code| !code.is_empty())), ("param", param)] {
        if let Some(text) = text {
            error[name] = json!(text);
        }
    }
    (status, json!({ "error": error }))
}

/// A request that cannot be right.
pub(super) fn invalid(status: u16, code: &str, message: &str, param: Option<&str>) -> Refusal {
    refusal(status, "invalid_request_error", code, message, param)
}

/// The metadata key that a parameter names.
pub(super) fn metadata_key(param: &str) -> Option<&str> {
    param.strip_prefix("metadata[")?.strip_suffix(']')
}

/// Refuses parameters that a customer cannot have. `there` is what it has already.
pub(super) fn check(params: &Params, there: &Params, rejects: &Rejects) -> Result<(), Refusal> {
    if rejects.picks(&params.values().map(String::as_str).collect::<Vec<_>>().join("\n")) {
        return Err(invalid(400, "value_refused", "This customer is refused", None));
    }
    for (param, value) in params {
        let refuse = |code: &str, message: String| Err(invalid(400, code, &message, Some(param)));
        if let Some(key) = metadata_key(param) {
            let characters = key.chars().count();
            if characters == 0 || characters > MAX_METADATA_KEY || key.contains(['[', ']']) {
                return refuse("", format!("Metadata keys can have up to {MAX_METADATA_KEY} characters"));
            }
            if value.chars().count() > MAX_METADATA_VALUE {
                return refuse("", format!("Metadata values can have up to {MAX_METADATA_VALUE} characters"));
            }
        } else {
            let Some((_, most)) = KNOWN.iter().find(|(known, _)| known == param) else {
                return refuse("parameter_unknown", format!("Received unknown parameter: {param}"));
            };
            if value.chars().count() > *most {
                return refuse("", format!("Invalid string: must be at most {most} characters"));
            }
        }
        if param == "email" && !value.is_empty() && !value.contains('@') {
            return refuse("email_invalid", format!("Invalid email address: {value}"));
        }
        if param == "tax_exempt" && !["", "none", "exempt", "reverse"].contains(&value.as_str()) {
            return refuse("", String::from("Invalid tax_exempt: must be one of none, exempt, or reverse"));
        }
        if rejects.has(param, value) {
            return refuse("value_refused", format!("This value is refused: {value}"));
        }
    }
    let mut keys: Vec<&str> = there.keys().filter_map(|param| metadata_key(param)).collect();
    keys.extend(params.iter().filter(|(_, value)| !value.is_empty()).filter_map(|(param, _)| metadata_key(param)));
    keys.sort_unstable();
    keys.dedup();
    if keys.len() > MAX_METADATA_KEYS {
        return Err(invalid(400, "", "Metadata can have up to 50 keys", Some("metadata")));
    }
    Ok(())
}
