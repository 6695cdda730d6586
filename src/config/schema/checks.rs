//! The shape of `[checks]`.

#![expect(dead_code, reason = "the readers read key by key; these describe the same keys for editors")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::tables::{Constant, Duration, Percent};

/// What a model's data must be like before any of it is sent.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Checks {
    /// Columns that have a value in every row.
    #[schemars(default)]
    not_null: Vec<CheckedColumn>,
    /// Columns in which no two rows have the same value.
    #[schemars(default)]
    unique: Vec<CheckedColumn>,
    /// The values that a column may have.
    #[schemars(default)]
    accepted_values: BTreeMap<String, AcceptedValues>,
    /// A pattern that a column's texts match.
    #[schemars(default)]
    regex: BTreeMap<String, CheckedPattern>,
    /// The bounds of a column's numbers.
    #[schemars(default)]
    range: BTreeMap<String, CheckedRange>,
    /// How old the newest value of a column may be.
    freshness: Option<Freshness>,
    /// How near the number of rows must be to the median of the last runs'.
    row_count: Option<RowCount>,
}

/// What a failed check does; default "hold".
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum CheckSeverity {
    Warn,
    Hold,
}

/// A column's name, or a table with the check's severity.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum CheckedColumn {
    Name(String),
    Table(ColumnSeverity),
}

/// A column, and what a failure does.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ColumnSeverity {
    /// The column.
    column: String,
    /// What a failure does.
    severity: Option<CheckSeverity>,
}

/// The values, or a table with the check's severity.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum AcceptedValues {
    Values(Vec<Constant>),
    Table(ValuesSeverity),
}

/// Values, and what a failure does.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct ValuesSeverity {
    /// The values, compared as text.
    #[schemars(length(min = 1))]
    values: Vec<Constant>,
    /// What a failure does.
    severity: Option<CheckSeverity>,
}

/// The pattern, or a table with the check's severity.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum CheckedPattern {
    Pattern(String),
    Table(PatternSeverity),
}

/// A pattern, and what a failure does.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct PatternSeverity {
    /// A regular expression, without look-around and back-references.
    pattern: String,
    /// What a failure does.
    severity: Option<CheckSeverity>,
}

/// The bounds, themselves included; at least one.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct CheckedRange {
    /// The least.
    min: Option<f64>,
    /// The greatest.
    max: Option<f64>,
    /// What a failure does.
    severity: Option<CheckSeverity>,
}

/// How old the newest value of a column may be.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Freshness {
    /// A column with times.
    column: String,
    /// The greatest age.
    within: Duration,
    /// What a failure does.
    severity: Option<CheckSeverity>,
}

/// A percentage, or a table.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum RowCount {
    Within(Percent),
    Table(RowCountTable),
}

/// How near the number of rows must be to the median of the last runs'.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct RowCountTable {
    /// How near, of the median.
    within: Percent,
    /// How many runs; default 5.
    #[schemars(range(min = 1))]
    runs: Option<u64>,
    /// What a failure does.
    severity: Option<CheckSeverity>,
}
