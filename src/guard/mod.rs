//! What may stop a finished plan before its first request.
//!
//! Pure: the plan's counts and the sync's thresholds go in, the reasons to hold come out. A held plan is
//! let through by `approve RUN --plan-hash H`, which speaks of exactly this plan.

use serde::{Deserialize, Serialize};

use crate::config::{Guards, OnRemap, Threshold};
use crate::diff::PlanCounts;

/// Why a plan is held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// A stable code (`max_removed`).
    pub code: String,
    /// A sentence for the sync's owner.
    pub text: String,
}

/// What a plan is judged by.
#[derive(Debug)]
pub struct Case<'a> {
    /// What the plan would do.
    pub counts: &'a PlanCounts,
    /// Keys accepted before the plan: the denominator of percentages.
    pub accepted: u64,
    /// Whether the destination is a stand-in rather than a live account.
    pub stand_in: bool,
    /// Whether the mapping differs from the one that the snapshot was made with.
    pub remap: bool,
    /// The sync's thresholds.
    pub guards: &'a Guards,
    /// The operator said yes to a large first run (`--yes`).
    pub yes: bool,
}

/// The reasons to hold a plan; none lets it pass.
///
/// Rows that were rejected or in doubt before are repeats and not counted as changes.
pub fn judge(case: &Case<'_>) -> Vec<Hold> {
    let Case { counts, accepted, guards, .. } = *case;
    let mut holds = Vec::new();
    let mut hold = |code: &str, text: String| holds.push(Hold { code: code.into(), text });

    if accepted > 0 && counts.rows == 0 {
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
    let first = accepted == 0;
    if first && !case.stand_in && !case.yes && counts.added > guards.first_run_max {
        let max = guards.first_run_max;
        hold(
            "first_run_max",
            format!(
                "a first run of {} to a live account, above first_run_max = {max} (`run --yes` confirms it)",
                rows(counts.added)
            ),
        );
    }
    let changed = counts.changed.saturating_sub(counts.repeats) + counts.moved;
    let limits = [
        ("max_added", "additions", counts.added, guards.max_added),
        ("max_changed", "changes", changed, guards.max_changed),
        ("max_removed", "removals", counts.removed, Some(guards.max_removed)),
    ];
    for (code, what, count, threshold) in limits {
        if let Some(threshold) = threshold
            && exceeds(count, accepted, threshold)
        {
            hold(code, format!("{count} {what}{}, above {code} = {}", share(count, accepted), describe(threshold)));
        }
    }
    holds
}

/// Percentages do not apply where nothing was accepted, and only above `beyond` rows.
fn exceeds(count: u64, accepted: u64, threshold: Threshold) -> bool {
    match threshold {
        Threshold::Count(max) => count > max,
        Threshold::Percent { fraction, beyond } => {
            accepted > 0 && count > beyond && count as f64 > fraction * accepted as f64
        }
    }
}

fn describe(threshold: Threshold) -> String {
    match threshold {
        Threshold::Count(max) => max.to_string(),
        Threshold::Percent { fraction, beyond } => {
            format!("{}% beyond {beyond}", (fraction * 1e4).round() / 100.0)
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn guards() -> Guards {
        Guards {
            min_rows: None,
            max_rows: None,
            max_added: None,
            max_changed: None,
            max_removed: Threshold::Percent { fraction: 0.2, beyond: 100 },
            first_run_max: 10_000,
            on_remap: OnRemap::Hold,
        }
    }

    fn codes(counts: &PlanCounts, accepted: u64, change: impl Fn(&mut Case<'_>, &mut Guards)) -> Vec<String> {
        let mut own = guards();
        let base = guards();
        let mut case = Case { counts, accepted, stand_in: false, remap: false, guards: &base, yes: false };
        change(&mut case, &mut own);
        let (stand_in, remap, yes) = (case.stand_in, case.remap, case.yes);
        let case = Case { counts, accepted, stand_in, remap, guards: &own, yes };
        judge(&case).into_iter().map(|h| h.code).collect()
    }

    #[test]
    fn removals_are_held_above_the_share_and_only_beyond_the_count() {
        let counts = |removed| PlanCounts { rows: 900, removed, ..PlanCounts::default() };
        assert!(codes(&counts(100), 400, |_, _| ()).is_empty(), "25 %, but not beyond 100 rows");
        assert_eq!(codes(&counts(101), 400, |_, _| ()), ["max_removed"]);
        assert!(codes(&counts(200), 1000, |_, _| ()).is_empty(), "exactly 20 %");
        assert_eq!(codes(&counts(201), 1000, |_, _| ()), ["max_removed"]);
    }

    #[test]
    fn an_empty_model_is_held_once_anything_was_accepted() {
        let counts = PlanCounts::default();
        assert!(codes(&counts, 0, |_, _| ()).is_empty());
        assert_eq!(codes(&counts, 1, |_, _| ()), ["empty_model"]);
    }

    #[test]
    fn a_large_first_run_waits_for_a_yes_on_a_live_account_only() {
        let counts = PlanCounts { rows: 10_001, added: 10_001, ..PlanCounts::default() };
        assert_eq!(codes(&counts, 0, |_, _| ()), ["first_run_max"]);
        assert!(codes(&counts, 0, |case, _| case.yes = true).is_empty());
        assert!(codes(&counts, 0, |case, _| case.stand_in = true).is_empty());
        assert!(codes(&counts, 0, |_, guards| guards.first_run_max = 10_001).is_empty());
        assert!(codes(&counts, 5, |_, _| ()).is_empty(), "not the first run");
    }

    #[test]
    fn a_mapping_change_is_held_unless_told_otherwise() {
        let counts = PlanCounts { rows: 10, changed: 10, ..PlanCounts::default() };
        assert_eq!(codes(&counts, 10, |case, _| case.remap = true), ["remap"]);
        let full = |case: &mut Case<'_>, guards: &mut Guards| {
            case.remap = true;
            guards.on_remap = OnRemap::Full;
        };
        assert!(codes(&counts, 10, full).is_empty());
    }

    #[test]
    fn repeats_of_doubtful_rows_are_not_changes() {
        let counts = PlanCounts { rows: 50, changed: 30, repeats: 25, ..PlanCounts::default() };
        let cap = |n| move |_: &mut Case<'_>, guards: &mut Guards| guards.max_changed = Some(Threshold::Count(n));
        assert!(codes(&counts, 50, cap(5)).is_empty());
        assert_eq!(codes(&counts, 50, cap(4)), ["max_changed"]);
    }

    #[test]
    fn row_counts_are_bounds_on_the_model() {
        let counts = PlanCounts { rows: 50, ..PlanCounts::default() };
        assert_eq!(codes(&counts, 50, |_, g| g.min_rows = Some(51)), ["min_rows"]);
        assert_eq!(codes(&counts, 50, |_, g| g.max_rows = Some(49)), ["max_rows"]);
    }
}
