//! The shapes of what says who may be sent.

#![expect(dead_code, reason = "the readers read key by key; these describe the same keys for editors")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::guards::Threshold;
use super::tables::{Constant, Percent};

/// A list of people who are not sent.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Suppression {
    /// The model whose rows are on it.
    model: String,
    /// Columns of the list = columns of the models that are sent. One pair that is equal suffices.
    #[schemars(extend("minProperties" = 1))]
    on: BTreeMap<String, String>,
    /// How many rows it may lose from one run to the next; default "10%" beyond 20.
    max_shrink: Option<Threshold>,
}

/// A share of people who are not sent, to compare them with the others.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Holdout {
    /// The share.
    percent: Percent,
    /// The column whose value decides.
    by: String,
    /// What its people are drawn with: another salt, other people.
    salt: String,
    /// The last day (UTC) on which it holds anybody out.
    until: Option<String>,
}

/// A signal of consent; under `none` the reason why it is not asked for.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum ConsentRule {
    Reason(String),
    Signal(Signal),
}

/// Where a signal of consent is.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Signal {
    /// A column of the model.
    column: String,
    /// The values that mean yes; NULL and all others mean no.
    #[schemars(length(min = 1))]
    granted: Vec<Constant>,
}

/// What becomes of a record that was delivered and whose row may no longer be sent: it stays as it is, it is removed
/// as `removed` says, or in this way, although rows that left the model stay.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum OnIneligible {
    Freeze,
    Remove,
    Archive,
    Delete,
    Clear,
}
