//! A plan that is made to be looked at.

use std::sync::Arc;

use backhaul_kit::http::limit::Forecast;
use backhaul_kit::{Kit, Operation};

use super::advance::RunFiles;
use super::connect::{Operations, check_object, connect};
use super::holds::Judged;
use super::people::{Asked, ListRows};
use super::{Cancel, RunError, RunOptions, Runs, Watch, leftovers, scan, table, unless_cancelled, warnings};
use crate::config::{DiffPlace, Project, SyncDef};
use crate::diff::{OpKind, PlanReader};
use crate::guard::Hold;
use crate::snapshot::Store;

/// A plan that was made to be looked at.
pub struct Preview {
    /// The plan; its file goes when this is dropped.
    pub plan: PlanReader,
    /// Why a run of it would be held.
    pub holds: Vec<Hold>,
    /// What else a run of it would say.
    pub warnings: Vec<String>,
    /// About how many calls it takes: full batches of every kind.
    pub calls: u64,
    /// What they come to under the account's limits, where it has some.
    pub forecast: Option<Forecast>,
    /// The sync.
    pub sync: Arc<SyncDef>,
    files: RunFiles,
    /// Tells runs of the sync that the file is still looked at.
    _claim: std::fs::File,
}

impl Preview {
    /// What the destination does with ops of that kind, if it hears of them.
    pub fn operation(&self, kind: OpKind) -> Option<Operation> {
        Operations::of(&self.sync).of_kind(kind).map(|(operation, _)| *operation)
    }
}

impl Drop for Preview {
    fn drop(&mut self) {
        if let Err(error) = self.files.destroy() {
            tracing::warn!(%error, "a plan that was only looked at could not be removed");
        }
    }
}

impl Runs {
    /// Makes the plan of a run without running it. Takes no lease and changes nothing.
    ///
    /// # Errors
    /// As [`Runs::run`] up to the plan.
    pub async fn plan(
        &self,
        sync: &Arc<SyncDef>,
        options: &RunOptions,
        watch: &dyn Watch,
        cancel: &Cancel,
    ) -> Result<Preview, RunError> {
        let folder = self.take_over(sync).await?;
        let (run_id, claim) = leftovers::claim_preview(&folder)?;
        let files = RunFiles::new(&folder, &run_id);
        let snapshot = match Store::read(&folder, &self.key)? {
            Some(snapshot) => snapshot,
            // Nothing has run yet: an empty snapshot that goes with the preview.
            None => Store::open(&files.folder().join("empty"), self.key.clone())?.snapshot()?,
        };
        let binding = match snapshot.binding() {
            Some(binding) => binding.clone(),
            None => unless_cancelled(cancel, connect(sync, self.kit.clone())).await?.binding,
        };
        check_object(&binding, sync)?;
        let accepted = snapshot.accepted();
        let planned = self.scan(sync, &run_id, &files, options, snapshot, binding, watch, cancel).await?;
        let plan = PlanReader::open(&files.plan(), &self.key)?;
        let judged = Judged { plan: &plan, accepted, findings: &planned.findings, yes: options.yes, raised: None };
        let holds = self.holds(sync, &judged).await?;
        let calls = Operations::of(sync).calls(&planned.summary.counts);
        let warnings = warnings(sync, &plan, &planned)?;
        let forecast = sync.prepared.limiter(&self.kit).map(|limiter| limiter.forecast(calls));
        Ok(Preview { plan, holds, warnings, calls, forecast, sync: sync.clone(), files, _claim: claim })
    }
}

/// Asks the warehouse and the destination of a sync whether they fit it; says who was asked. Writes nothing.
///
/// # Errors
/// Whatever a run would stop with before its plan.
pub async fn check(project: &Project, sync: &SyncDef, kit: &Arc<Kit>) -> Result<String, RunError> {
    let mut opened = scan::open(project, sync, kit).await?;
    let asked = Asked { project, kit, sync, columns: &opened.columns, before: &ListRows::new() };
    asked.check(opened.scan.as_mut()).await?;
    if sync.diff == DiffPlace::Warehouse {
        opened.scan.table_shape(&opened.mapper.projection(0))?;
        let source = scan::source(project, &sync.model.warehouse, kit)?;
        table::tables(source.as_ref())?.check().await?;
    }
    let connected = connect(sync, kit.clone()).await?;
    Ok(format!("{} {}", connected.binding.identity, connected.binding.object))
}
