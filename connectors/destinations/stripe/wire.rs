//! Stripe's JSON, as its description has it. Answers are read leniently: unknown fields are ignored.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A customer, or what is left of a deleted one.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Customer {
    /// `cus_…`.
    pub(super) id: String,
    /// `customer`.
    pub(super) object: String,
    /// True of a deleted one only.
    pub(super) deleted: bool,
    /// When it was made, in seconds since 1970.
    pub(super) created: i64,
    /// Texts by key.
    pub(super) metadata: BTreeMap<String, Value>,
}

/// The answer of a search.
#[derive(Debug, Deserialize)]
pub(super) struct Found {
    /// What was found, as the index has it.
    pub(super) data: Vec<Customer>,
}

/// The body of every refused call.
#[derive(Debug, Deserialize)]
pub(super) struct Refusal {
    /// What is wrong.
    pub(super) error: VendorError,
}

/// What is wrong with a call.
#[derive(Debug, Default, Deserialize)]
pub(super) struct VendorError {
    /// `invalid_request_error`, `idempotency_error`, `card_error`, `api_error`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// `resource_missing`, `email_invalid` …
    pub(super) code: Option<String>,
    /// For people; may quote the value.
    pub(super) message: Option<String>,
    /// The parameter that it speaks of.
    pub(super) param: Option<String>,
}

/// The account that a key is of.
#[derive(Debug, Deserialize)]
pub(super) struct AccountAnswer {
    /// `acct_…`.
    pub(super) id: String,
}
