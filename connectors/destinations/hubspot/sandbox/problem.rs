//! The vendor's errors.

use serde_json::{Value, json};

/// A refusal, of a whole call or of one input of a batch: a status and a body.
#[derive(Clone, Debug)]
pub(super) struct Problem(pub(super) u16, pub(super) Value);

impl Problem {
    pub(super) fn new(status: u16, category: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let body = json!({
            "status": "error", "category": category, "message": message, "context": {}, "errors": [], "links": {},
        });
        Self(status, body)
    }

    pub(super) fn validation(message: impl Into<String>) -> Self {
        Self::new(400, "VALIDATION_ERROR", message)
    }

    /// Records that are not there.
    pub(super) fn not_found(label: &str, ids: &[&str]) -> Self {
        let message =
            format!("Could not get some {label} objects, they may be deleted or not exist. Check that ids are valid.");
        Self::new(404, "OBJECT_NOT_FOUND", message).with("ids", ids)
    }

    /// A unique value that another record has.
    pub(super) fn conflict(label: &str, holder: &str) -> Self {
        Self::new(409, "CONFLICT", format!("{label} already exists. Existing ID: {holder}"))
    }

    /// A limit that is used up.
    pub(super) fn reached(policy: &str) -> Self {
        let message = format!("You have reached your {} limit.", policy.to_lowercase());
        let mut problem = Self::new(429, "RATE_LIMITS", message);
        (problem.1["errorType"], problem.1["policyName"]) = (json!("RATE_LIMIT"), json!(policy));
        problem
    }

    /// Adds a list of texts to the context.
    #[must_use]
    pub(super) fn with(mut self, key: &str, texts: &[impl AsRef<str>]) -> Self {
        self.1["context"][key] = texts.iter().map(AsRef::as_ref).collect();
        self
    }

    /// As an entry of a 207's `errors`.
    pub(super) fn entry(mut self) -> Value {
        self.1["status"] = json!(self.0.to_string());
        self.1
    }
}
