//! `[checks]`: is the model's data what it must be? Judged before the first request of a run.
//!
//! A [`Checker`] looks at the very pages that are compared, so in the scan's own snapshot, and at every row of the
//! model, not only at those that changed. It asks a page for the values of the columns that are checked, one by one:
//! nothing else is decoded, and without checks nothing at all. A column that no field uses is added to what the scan
//! fetches, behind the columns that make a row's fingerprint: a check changes no row.
//!
//! | what | how | memory |
//! |---|---|---|
//! | `not_null`, `accepted_values`, `regex`, `range` (`row.rs`) | value by value; NULL passes all but the first | five keys each |
//! | `unique` | a 128-bit hash of each value, sorted at the end ([`Repeats`](crate::diff)), as the keys of a first load are | an eighth of `state.memory`, shared by all; beyond it a sealed scratch file |
//! | `freshness` (`time.rs`) | the newest value against the clock | one number |
//! | `row_count` | against the median of the last runs' | none |
//!
//! What failed becomes a [`Finding`]: a sentence with counts and at most five masked keys, never a value. One of
//! severity `hold` is a reason to hold the plan beside those of the guards (`check:not_null`), so that it is shown,
//! approved and discarded like them; a `warn` is stored with the run and shown with it.
//!
//! With `on_bad_row = "skip"` a row that fails a check by itself is a row that the mapping refuses ([`Screened`]): if it
//! was to be sent, it is kept among the rejects, with the check's name as its reason, and what the destination has of
//! it stays. It is judged when it is mapped, so only rows that would be sent are. `unique` is no such check: which of
//! two rows is the wrong one cannot be said.
//!
//! [`MatchValues`] is no check of the operator's: where a sync removes records by a match value, a value of two rows
//! stops the run, as a repeated key does. NULL does not: such a row is found by nothing, and is refused alone.
//!
//! Where the warehouse compares (`diff = "warehouse"`), rows that did not change never come. There only `freshness`
//! (one question in the scan's snapshot) and `row_count` are known; the others are refused when the project is read.

mod checker;
mod matches;
mod row;
mod screen;
#[cfg(test)]
mod tests;
mod time;

pub use checker::{Checker, Past};
pub use matches::MatchValues;
pub use screen::Screened;

use crate::config::{Check, CheckKind, CheckSeverity, OnBadRow};
use crate::diff::PlanCounts;
use crate::guard::Hold;

/// A check that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The check's name: `not_null`.
    pub check: &'static str,
    /// What it does.
    pub severity: CheckSeverity,
    /// A sentence for the sync's owner.
    pub text: String,
}

/// The reasons to hold the plan among the findings.
pub fn holds(findings: &[Finding]) -> impl Iterator<Item = Hold> {
    let holds = findings.iter().filter(|finding| finding.severity == CheckSeverity::Hold);
    holds.map(|finding| Hold { code: format!("check:{}", finding.check), text: finding.text.clone() })
}

/// The findings that are only shown.
pub fn warnings(findings: &[Finding]) -> Vec<String> {
    let warnings = findings.iter().filter(|finding| finding.severity == CheckSeverity::Warn);
    warnings.map(|finding| finding.text.clone()).collect()
}

/// The reason to hold a plan with rows that the mapping refuses, where the sync wants none.
pub fn bad_rows(counts: &PlanCounts, on_bad_row: Option<OnBadRow>) -> Option<Hold> {
    (on_bad_row == Some(OnBadRow::Hold) && counts.rejected > 0).then(|| {
        let refused = counts.rejected;
        let rows = if refused == 1 { "1 row is" } else { &format!("{refused} rows are") };
        Hold { code: "bad_rows".into(), text: format!("{rows} refused by the mapping, and on_bad_row = \"hold\"") }
    })
}

/// Whether the check skips rows instead of holding the plan.
fn is_screened(check: &Check, on_bad_row: Option<OnBadRow>) -> bool {
    on_bad_row == Some(OnBadRow::Skip)
        && check.severity == CheckSeverity::Hold
        && check.kind.looks_at_rows()
        && !matches!(check.kind, CheckKind::Unique(_))
}
