//! Whether a plan is held: what its guards are asked with.

use jiff::{SignedDuration, Timestamp};

use super::{RunError, Runs};
use crate::check::{self, Finding};
use crate::config::{OnHold, SyncDef, Threshold};
use crate::diff::PlanReader;
use crate::guard::{self, Case, Hold, Raised};

/// What a limit of removals adds up over.
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A plan that is to be judged.
pub(super) struct Judged<'a> {
    pub(super) plan: &'a PlanReader,
    /// Keys accepted before it.
    pub(super) accepted: u64,
    /// The checks that failed.
    pub(super) findings: &'a [Finding],
    /// Yes to a large first run.
    pub(super) yes: bool,
    /// A limit that is raised for this plan alone.
    pub(super) raised: Option<&'a Raised>,
}

impl Runs {
    /// The reasons to hold a plan.
    pub(super) async fn holds(&self, sync: &SyncDef, judged: &Judged<'_>) -> Result<Vec<Hold>, RunError> {
        let now = Timestamp::now();
        let mut raised: Vec<Raised> = judged.raised.cloned().into_iter().collect();
        for allowance in self.state.allowances(&sync.name, now).await? {
            raised.extend(Threshold::from_text(&allowance.value).map(|to| Raised { limit: allowance.limit, to }));
        }
        let destination = self.project.destinations.get(&sync.destination);
        let mut holds = guard::judge(&Case {
            counts: &judged.plan.summary().counts,
            accepted: judged.accepted,
            removed_lately: self.state.removals_since(&sync.name, now - DAY).await?,
            stand_in: destination.is_some_and(|d| d.account.is_stand_in()),
            of_part: judged.plan.header().growing.is_some(),
            remap: judged.plan.header().remap,
            guards: &sync.guards,
            raised: &raised,
            yes: judged.yes,
        });
        if !sync.guards.fields.is_empty() {
            let targets: Vec<&str> = sync.fields.iter().map(|field| field.target.as_str()).collect();
            holds.extend(guard::judge_values(&sync.guards.fields, &targets, judged.plan.ops(None))?);
            holds.extend(self.step_holds(sync, judged.plan)?);
        }
        holds.extend(check::bad_rows(&judged.plan.summary().counts, sync.on_bad_row));
        holds.extend(check::holds(judged.findings));
        Ok(holds)
    }
}

/// How many removals are held back, so that the rest of the plan can go out; 0 where it is held or let pass as a
/// whole. A plan of nothing else is held, for somebody to look at.
pub(super) fn held_back(sync: &SyncDef, plan: &PlanReader, holds: &[Hold], whole_set: bool) -> u64 {
    let counts = plan.summary().counts;
    let about_removals = !holds.is_empty() && holds.iter().all(Hold::is_about_removals);
    let wanted = sync.on_hold == OnHold::Removals && about_removals;
    // What is not in a full file is removed by it.
    let left = counts.removed_left();
    if wanted && !whole_set && counts.sent() > left { left } else { 0 }
}
