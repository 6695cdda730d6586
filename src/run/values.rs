//! Values of guarded fields against those that were accepted, and keeping these.

use jiff::Timestamp;

use super::RunError;
use super::Runs;
use super::advance::Advance;
use super::fates::Fates;
use crate::config::SyncDef;
use crate::diff::{OpKind, PlanReader};
use crate::guard::{Hold, Steps};
use crate::snapshot::values::{Arriving, PastValues, remove};
use crate::snapshot::{Settle, Settlement as _};

fn targets(sync: &SyncDef) -> Vec<&str> {
    sync.fields.iter().map(|field| field.target.as_str()).collect()
}

impl Runs {
    /// The reasons to hold a plan for how far its values move.
    pub(super) fn step_holds(&self, sync: &SyncDef, plan: &PlanReader) -> Result<Vec<Hold>, RunError> {
        let now = Timestamp::now().as_microsecond();
        let Some(mut steps) = Steps::new(&sync.guards.fields, &targets(sync), now) else { return Ok(Vec::new()) };
        let folder = self.folder(&sync.name);
        let Some(past) = PastValues::open(&folder, &self.key)? else { return Ok(Vec::new()) };
        let fields = steps.fields();
        let mut arriving = Arriving::new(&folder, &self.key, fields.len());
        for op in plan.ops(None) {
            let op = op?;
            if op.kind.is_sent() && op.kind != OpKind::Remove {
                arriving.push(op.key_hash, &Some(steps.values(&op)))?;
            }
        }
        if arriving.is_empty() {
            return Ok(Vec::new());
        }
        arriving.meet(Some(&past), &fields, |_, new, past| {
            if let Some(values) = new.flatten() {
                steps.look(&values, &past);
            }
            Ok(())
        })?;
        Ok(steps.holds())
    }
}

impl Advance<'_> {
    /// Keeps the values that the run has had accepted, once.
    pub(super) fn keep_values(&self, plan: &PlanReader, fates: &Fates) -> Result<(), RunError> {
        let (sync, folder, key) = (self.ground.sync, &self.ground.site.folder, &self.runs.key);
        let Some(steps) = Steps::new(&sync.guards.fields, &targets(sync), self.record.started.as_microsecond()) else {
            // What was accepted without a guard is not known: an old value must not be compared with.
            return Ok(remove(folder)?);
        };
        let past = PastValues::open(folder, key)?;
        if past.as_ref().is_some_and(|past| past.run() == self.record.id) {
            return Ok(());
        }
        let fields = steps.fields();
        let mut arriving = Arriving::new(folder, key, fields.len());
        for op in plan.ops(None) {
            let op = op?;
            let is_gone = op.kind == OpKind::Forget;
            if !is_gone && (!op.kind.is_sent() || fates.fate(op.number) != Settle::Accepted) {
                continue;
            }
            let values = (!is_gone && op.kind != OpKind::Remove).then(|| steps.values(&op));
            arriving.push(op.key_hash, &values)?;
        }
        if arriving.is_empty() {
            return Ok(());
        }
        arriving.write(past.as_ref(), &fields, &self.record.id, |place, past, value| steps.next(place, past, value))?;
        Ok(())
    }
}
