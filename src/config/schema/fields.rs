//! The shapes of `[fields]` and `[mappings.X]`.

#![expect(dead_code, reason = "the readers read key by key; these describe the same keys for editors")]

use schemars::JsonSchema;

use super::tables::{Constant, False};

/// A column's name, a table with one source, or `false` to drop an inherited field.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum FieldRule {
    Column(String),
    Table(Box<FieldTable>),
    Dropped(False),
}

/// One source (`column`, `value`, `template`, `lookup` or `ref`), then modifiers.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct FieldTable {
    /// A column of the model.
    column: Option<String>,
    /// A constant.
    value: Option<Constant>,
    /// A template over the model's columns.
    template: Option<String>,
    /// The object at the destination in which the record is looked up that has the column's value.
    lookup: Option<String>,
    /// The field of that object which has the value.
    by: Option<String>,
    /// The sync that has had the record accepted whose key the column has; "self" is the sync itself.
    #[schemars(rename = "ref")]
    reference: Option<String>,
    /// What becomes of a row whose record is not there; default "reject".
    missing: Option<Missing>,
    /// The form that the value is brought into.
    #[schemars(rename = "as")]
    normalise: Option<Normaliser>,
    /// Where telephone numbers are dialled that do not say their country (`as = "phone"`).
    country: Option<CountryRule>,
    /// What is sent instead of a NULL.
    default: Option<Constant>,
    /// What a NULL does; default "send", "skip" for the match field.
    null: Option<NullPolicy>,
    /// When the field is written; default "always".
    write: Option<WritePolicy>,
}

/// A country's code (ISO 3166-1 alpha-2), or the column that has it.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum CountryRule {
    Code(String),
    Column(CountryColumn),
}

/// Where a row's country stands.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CountryColumn {
    /// A column of the model.
    column: String,
}

/// What becomes of a row whose record is not there.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Missing {
    Reject,
    Skip,
    Wait,
    Null,
}

/// The form that a value is brought into.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum Normaliser {
    Email,
    Phone,
    Name,
    Country,
    Postcode,
    Date,
    Timestamp,
    Text,
    Number,
    Boolean,
}

/// What a NULL does.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum NullPolicy {
    Send,
    Skip,
    Clear,
}

/// When a field is written.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum WritePolicy {
    Always,
    IfEmpty,
    OnCreate,
}
