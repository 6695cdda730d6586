//! What may stop a finished plan before its first request.
//!
//! Pure: the plan's counts and the sync's thresholds go in, the reasons to hold come out. A held plan is
//! let through by `approve RUN --plan-hash H`, which speaks of exactly this plan.

mod fields;
mod steps;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::config::{Guards, OnKeyShift, OnRemap, Threshold};
use crate::diff::PlanCounts;

pub use fields::judge_values;
pub use steps::Steps;

/// The limits that an operator may raise for a while, by their keys.
pub const RAISABLE: [&str; 5] = [MAX_ADDED, MAX_CHANGED, MAX_REMOVED, PER_DAY, MAX_WITHDRAWN];
const MAX_ADDED: &str = "max_added";
const MAX_CHANGED: &str = "max_changed";
const MAX_REMOVED: &str = "max_removed";
const PER_DAY: &str = "max_removed_per_day";
/// The limit of removals that a person's will asks for.
pub const MAX_WITHDRAWN: &str = "max_withdrawn";
/// With fewer new or gone keys no key column has changed.
const FEW_KEYS: u64 = 20;

/// Why a plan is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// A stable code (`max_removed`).
    pub code: String,
    /// A sentence for the sync's owner.
    pub text: String,
}

impl Hold {
    /// A reason.
    pub fn new(code: &str, text: String) -> Self {
        Self { code: code.to_owned(), text }
    }

    /// Whether it would not be there without the plan's removals.
    pub fn is_about_removals(&self) -> bool {
        [MAX_REMOVED, PER_DAY].contains(&self.code.as_str())
    }
}

/// A limit that an operator raised.
#[derive(Clone, Debug, PartialEq)]
pub struct Raised {
    /// Its key.
    pub limit: String,
    /// What it is raised to.
    pub to: Threshold,
}

impl Raised {
    /// Whether it lets more of what `code` counts pass. Where the limit of a day is that of a plan, what raises the one
    /// raises the other.
    pub fn governs(&self, code: &str, guards: &Guards) -> bool {
        let both = self.limit == MAX_REMOVED && code == PER_DAY && guards.max_removed_per_day.is_none();
        self.limit == code || both
    }
}

/// What a plan is judged by.
#[derive(Debug)]
pub struct Case<'a> {
    /// What the plan would do.
    pub counts: &'a PlanCounts,
    /// Keys accepted before the plan: the denominator of percentages.
    pub accepted: u64,
    /// Removals that other runs of the sync have sent in the last 24 hours.
    pub removed_lately: u64,
    /// Whether the destination is a stand-in rather than a live account.
    pub stand_in: bool,
    /// Whether the mapping differs from the one that the snapshot was made with.
    pub remap: bool,
    /// Whether the plan is about some rows of the model only.
    pub of_part: bool,
    /// The sync's thresholds.
    pub guards: &'a Guards,
    /// What an operator has raised of them.
    pub raised: &'a [Raised],
    /// The operator said yes to a large first run (`--yes`).
    pub yes: bool,
}

/// The reasons to hold a plan; none lets it pass.
///
/// Rows that were rejected or in doubt before are repeats and not counted as changes. Of removals the limits count those
/// of what left the model; people who may not be sent any more have a limit of their own, those held out none.
pub fn judge(case: &Case<'_>) -> Vec<Hold> {
    let Case { counts, accepted, guards, .. } = *case;
    let mut holds = Vec::new();
    let mut hold = |code: &str, text: String| holds.push(Hold::new(code, text));

    if accepted > 0 && counts.rows == 0 && !case.of_part {
        hold("empty_model", format!("the model is empty, and the destination has {}", rows(accepted)));
    }
    if let Some(min) = guards.min_rows.filter(|min| counts.rows < *min) {
        hold("min_rows", format!("the model has {}, fewer than min_rows = {min}", rows(counts.rows)));
    }
    if let Some(max) = guards.max_rows.filter(|max| counts.rows > *max) {
        hold("max_rows", format!("the model has {}, more than max_rows = {max}", rows(counts.rows)));
    }
    let sent = counts.sent();
    if case.remap && sent > 0 && guards.on_remap == OnRemap::Hold {
        hold("remap", format!("the mapping has changed since the last run: {} would be sent", rows(sent)));
    }
    if guards.key_shift == OnKeyShift::Hold && case.shifts_keys() {
        hold(
            "key_shift",
            format!(
                "{} of the model's {} have a new key, and {} of {accepted} accepted keys are gone: \
                 the key column or its format seems to have changed",
                counts.new_keys,
                rows(counts.rows),
                counts.left
            ),
        );
    }
    let first = accepted == 0;
    // Who waits for a row of this plan goes out right behind it.
    let in_all = counts.added + counts.next_wave;
    if first && !case.stand_in && !case.yes && in_all > guards.first_run_max {
        let max = guards.first_run_max;
        hold(
            "first_run_max",
            format!(
                "a first run of {} to a live account, above first_run_max = {max} (`run --yes` confirms it)",
                rows(in_all)
            ),
        );
    }
    let changed = counts.changed.saturating_sub(counts.repeats) + counts.moved;
    let withdrawn = counts.removed_for.urgent();
    let limits = [
        (MAX_ADDED, "additions", in_all, guards.max_added),
        (MAX_CHANGED, "changes", changed, guards.max_changed),
        (MAX_REMOVED, "removals", counts.removed_left(), Some(guards.max_removed)),
        (MAX_WITHDRAWN, "removals of people who may not be sent any more", withdrawn, Some(guards.max_withdrawn)),
    ];
    for (code, what, count, limit) in limits {
        if let Some(limit) = limit
            && case.is_exceeded(code, limit, count, accepted)
        {
            let share = share(count, accepted);
            hold(code, format!("{count} {what}{share}, above {code} = {limit}{}", case.raised_text(code)));
        }
    }
    let left = counts.removed_left();
    let (removed, of) = (left + case.removed_lately, accepted + case.removed_lately);
    let limit = guards.max_removed_per_day.unwrap_or(guards.max_removed);
    let alone = case.removed_lately == 0 && guards.max_removed_per_day.is_none();
    if left > 0 && !alone && case.is_exceeded(PER_DAY, limit, removed, of) {
        hold(
            PER_DAY,
            format!(
                "{left} removals, and {} more in the last 24 hours{}: above {PER_DAY} = {limit}{}",
                case.removed_lately,
                share(removed, of),
                case.raised_text(PER_DAY)
            ),
        );
    }
    holds
}

impl Case<'_> {
    /// Most keys of the model are new, and most of what was accepted is gone.
    fn shifts_keys(&self) -> bool {
        let PlanCounts { rows, new_keys, left, .. } = *self.counts;
        new_keys > FEW_KEYS && left > FEW_KEYS && new_keys * 2 > rows && left * 2 > self.accepted
    }

    /// Whether `count` of `total` rows are beyond the limit, and beyond all that it was raised to.
    fn is_exceeded(&self, code: &str, limit: Threshold, count: u64, total: u64) -> bool {
        limit.is_exceeded(count, total) && self.raised(code).all(|to| to.is_exceeded(count, total))
    }

    fn raised(&self, code: &str) -> impl Iterator<Item = Threshold> {
        self.raised.iter().filter(move |raised| raised.governs(code, self.guards)).map(|raised| raised.to)
    }

    fn raised_text(&self, code: &str) -> String {
        self.raised(code).map(|to| format!(" (raised to {to})")).collect()
    }
}

fn share(count: u64, accepted: u64) -> String {
    if accepted == 0 {
        return String::new();
    }
    format!(" ({:.1} % of {accepted} accepted)", count as f64 * 100.0 / accepted as f64)
}

fn rows(n: u64) -> String {
    if n == 1 { String::from("1 row") } else { format!("{n} rows") }
}
