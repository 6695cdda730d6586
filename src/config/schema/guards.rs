//! The shape of `[guards]`.

#![expect(dead_code, reason = "the readers read key by key; these describe the same keys for editors")]

use std::collections::BTreeMap;

use schemars::JsonSchema;

use super::tables::{Duration, Percent};

/// What may stop a plan.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct Guards {
    /// Fewest rows the model may have.
    min_rows: Option<u64>,
    /// Most rows the model may have.
    max_rows: Option<u64>,
    /// Most rows a plan may add.
    max_added: Option<Threshold>,
    /// Most rows a plan may change.
    max_changed: Option<Threshold>,
    /// Most rows a plan may remove; default "20%" beyond 100.
    max_removed: Option<Threshold>,
    /// Most rows that the plans of 24 hours may remove; default as `max_removed`.
    max_removed_per_day: Option<Threshold>,
    /// Most removals of people who withdrew their consent or were put on a suppression list; default "10%" beyond 100.
    max_withdrawn: Option<Threshold>,
    /// Most rows that may be refused before a delivery stops; default "50%" beyond 100.
    max_rejected: Option<Threshold>,
    /// Most rows of a first run to a live account; default 10,000.
    first_run_max: Option<u64>,
    /// What a changed mapping does; default "hold".
    on_remap: Option<OnRemap>,
    /// What a plan does in which most keys are new and most old ones are gone; default "hold", with mode "append"
    /// "send".
    key_shift: Option<OnKeyShift>,
    /// Additions and changes that go first: a percentage or a number of rows; default none.
    canary: Option<Canary>,
    /// Of the rows of the canary, how many may come to nothing; default "1%".
    canary_max_rejects: Option<Percent>,
    /// What the values of single fields may be.
    #[schemars(default)]
    fields: BTreeMap<String, FieldGuard>,
}

/// What the values of a field may be.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct FieldGuard {
    /// The least value.
    floor: Option<f64>,
    /// The greatest value.
    ceiling: Option<f64>,
    /// How far one plan may take it from the value that was last accepted.
    max_step: Option<Step>,
    /// How far the plans of a window may take it from its value at the window's start.
    max_step_per: Option<StepPer>,
}

/// How far the plans of a window may take a value.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct StepPer {
    /// How far.
    step: Step,
    /// The window.
    window: Duration,
}

/// A percentage of the old value, or a number.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Step {
    Share(Percent),
    By(f64),
}

/// What a shift of keys does.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum OnKeyShift {
    Hold,
    Send,
}

/// A percentage or a number of rows.
#[derive(JsonSchema)]
#[schemars(untagged)]
enum Canary {
    Share(Percent),
    Rows(u64),
}

/// What a changed mapping does.
#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
enum OnRemap {
    Hold,
    Full,
}

/// A percentage, a number of rows, or `{ percent, beyond }`.
#[derive(JsonSchema)]
#[schemars(untagged)]
pub(super) enum Threshold {
    Share(Percent),
    Rows(u64),
    Beyond(PercentBeyond),
}

/// A percentage that applies only above so many rows.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
pub(super) struct PercentBeyond {
    /// The percentage.
    percent: Percent,
    /// So many rows; default 20.
    beyond: Option<u64>,
}
