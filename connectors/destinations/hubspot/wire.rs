//! HubSpot's JSON, as its description has it. Answers are read leniently: unknown members are ignored, and a null, or
//! what has another form, is nothing.

use std::collections::BTreeSet;

use backhaul_kit::json::{items, text};
use serde_json::Value;

/// A text, or a list of texts.
pub(super) fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value.as_str().into_iter().chain(items(value).filter_map(Value::as_str))
}

/// The properties that an error speaks of (`Property values were not valid: [{…}]`): each with its `name`, a code as
/// `error` and a `message`.
pub(super) fn property_errors(error: &Value) -> Vec<Value> {
    let message = text(error, "message");
    message.find('[').and_then(|start| serde_json::from_str(message[start..].trim_end()).ok()).unwrap_or_default()
}

/// The scopes that a 403 asks for; the answer names them in its own context or in that of a detail.
pub(super) fn missing_scopes(error: &Value) -> BTreeSet<&str> {
    let contexts = [error].into_iter().chain(items(&error["errors"])).map(|one| &one["context"]);
    let named = contexts.flat_map(|context| [&context["missingScopes"], &context["requiredGranularScopes"]]);
    named.flat_map(texts).collect()
}

/// The HTTP status that an entry of a 207 gives, as text or number.
pub(super) fn http_status(error: &Value) -> Option<u64> {
    error["status"].as_u64().or_else(|| text(error, "status").parse().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn property_errors_are_read_out_of_the_message() {
        let message = r#"Property values were not valid: [{"isValid":false,"message":"Email address x is invalid","error":"INVALID_EMAIL","name":"email","localizedErrorMessage":"…"}]"#;
        let errors = property_errors(&json!({ "message": message }));
        assert_eq!((text(&errors[0], "error"), text(&errors[0], "name")), ("INVALID_EMAIL", "email"));
        assert!(property_errors(&json!({ "message": "no list here [" })).is_empty());
    }

    #[test]
    fn missing_scopes_are_found_wherever_they_stand() {
        let error = json!({
            "category": "MISSING_SCOPES", "context": { "missingScopes": ["b"] },
            "errors": [{ "context": { "requiredGranularScopes": ["a", "b"] } }, { "context": "odd" }]
        });
        assert_eq!(missing_scopes(&error), BTreeSet::from(["a", "b"]));
    }

    #[test]
    fn nulls_in_an_answer_are_read_as_nothing() {
        let error = json!({ "category": null, "message": null, "context": null, "errors": null, "status": null });
        assert!(property_errors(&error).is_empty() && missing_scopes(&error).is_empty());
        assert_eq!((http_status(&error), items(&error["errors"]).count()), (None, 0));
        assert_eq!([json!("429"), json!(429)].map(|status| http_status(&json!({ "status": status }))), [Some(429); 2]);
    }
}
