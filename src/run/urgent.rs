//! Removals that a person's will asks for go out first, even where the rest of their plan is held: the plan is cut down to
//! them, delivered and settled as a run of its own, and the next run scans and judges the rest anew.
//!
//! A plan that is delivered in two parts was the other way. It would need a durable mark of what may go, and after a
//! crash or with a lost state the rest of a held plan would lie beside its log, to be sent by mistake. A plan that has
//! nothing else cannot send anything else.

use std::sync::Arc;

use super::connect::Operations;
use super::error::io_error;
use super::{Ground, RunError, RunOptions, Runs};
use crate::config::SyncDef;
use crate::diff::{CauseCounts, OpKind, PlanCounts, PlanReader, PlanWriter};
use crate::guard::{Hold, MAX_WITHDRAWN};
use crate::snapshot::{Snapshot, StateKey, order};
use crate::state::{RunRecord, RunStatus};

/// Whether such removals of the plan go before the rest: that is held, or its canary may come to hold it, and these are
/// not too many themselves. Out of a full file nothing can be taken alone.
pub(super) fn go_before(plan: &PlanReader, holds: &[Hold], rest_waits: bool, whole_set: bool) -> bool {
    let urgent = plan.summary().counts.removed_for.urgent();
    rest_waits && urgent > 0 && !whole_set && holds.iter().all(|hold| hold.code != MAX_WITHDRAWN)
}

/// What the run of such removals says of the rest.
pub(super) fn says(sync: &SyncDef, plan: &PlanReader, holds: &[Hold]) -> String {
    let urgent = plan.summary().counts.removed_for;
    let text = CauseCounts { held_out: 0, ..urgent }.text();
    let why = match holds {
        [] => format!("the canary of sync `{}`", sync.name),
        holds => holds.iter().map(|hold| hold.text.as_str()).collect::<Vec<_>>().join("; "),
    };
    format!(
        "removals that do not wait ({text}) went out before the rest of the plan, which the next run scans anew: {why}"
    )
}

/// Cuts a plan down to them. It keeps the mapping of the snapshot that it was made from: what it does not bring stays as
/// it was.
pub(super) fn cut(
    plan: &PlanReader,
    snapshot: &Snapshot,
    key: &Arc<StateKey>,
    min_free: u64,
) -> Result<PlanReader, RunError> {
    let path = plan.path().to_owned();
    // It speaks of the ops of the whole plan.
    let order = order::path_of(&path);
    match std::fs::remove_file(&order) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(io_error(&order)(e)),
        _ => {}
    }
    let mut header = plan.header().clone();
    header.remap = false;
    header.config_digest = snapshot.config_digest().unwrap_or(header.config_digest);
    header.fields = snapshot.fields().to_vec();
    let whole = plan.summary();
    let mut writer = PlanWriter::new(&path, key.clone());
    writer.begin(header, min_free)?;
    for op in plan.ops(Some(&[OpKind::Remove])) {
        let op = op?;
        if op.cause.is_urgent() {
            writer.push(&op)?;
        }
    }
    let PlanCounts { rows, unchanged, ineligible, frozen, new_keys, left, misses, .. } = whole.counts;
    let removed_for = CauseCounts { held_out: 0, ..whole.counts.removed_for };
    let removed = removed_for.total();
    let counts = PlanCounts {
        rows,
        unchanged,
        ineligible,
        frozen,
        new_keys,
        left,
        misses,
        removed,
        removed_for,
        ..PlanCounts::default()
    };
    writer.finish(counts, &whole.proof)?;
    Ok(PlanReader::open(&path, key)?)
}

impl Runs {
    /// Whether more such removals have come up since the plan of a held run was made: that plan is superseded then.
    /// Looks at the model for it, and sends nothing.
    pub(super) async fn has_more_urgent(&self, ground: &Ground<'_>, held: &RunRecord) -> Result<bool, RunError> {
        let Ground { sync, watch, cancel, .. } = ground;
        let found = self.project.syncs.get(&sync.name).filter(|sync| sync.people.decide());
        let (RunStatus::Held, Some(sync)) = (held.status, found) else { return Ok(false) };
        if Operations::of(sync).write.1.whole_set {
            return Ok(false);
        }
        match self.plan(sync, &RunOptions::default(), *watch, cancel).await {
            Ok(preview) => {
                let urgent = preview.plan.summary().counts.removed_for.urgent();
                Ok(urgent > held.counts.removed_for.urgent())
            }
            Err(RunError::Cancelled) => Err(RunError::Cancelled),
            Err(error) => {
                tracing::warn!(sync = sync.name, %error, "a held sync could not be looked at for people who may not be sent");
                Ok(false)
            }
        }
    }
}
