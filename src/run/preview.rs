//! A plan that is made to be looked at.

use std::sync::Arc;

use backhaul_kit::http::limit::Forecast;
use backhaul_kit::{Kit, Lookup, Operation, Row};

use super::connect::{Operations, check_object, connect};
use super::files::RunFiles;
use super::holds::Judged;
use super::partial::Partial;
use super::people::{Asked, ListRows, refused_values};
use super::{Cancel, RunError, RunOptions, Runs, Watch, leftovers, scan, table, unless_cancelled, warnings};
use crate::config::{DiffPlace, Project, SyncDef};
use crate::deliver;
use crate::diff::{Op, OpKind, PlanReader};
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

    /// The row that an op is sent as; `None` where the destination does not hear of it.
    pub fn row(&self, op: Op) -> Option<Row> {
        let (_, facts) = Operations::of(&self.sync).of_kind(op.kind)?.clone();
        let partial = Partial::of(self.plan.header(), &facts);
        deliver::row(match partial {
            Some(partial) => partial.apply(op),
            None => op,
        })
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
        let calls = Operations::calls(sync, &planned.summary.counts);
        let mut warnings = warnings(sync, &planned);
        warnings.extend(refused_values(&plan)?.iter().map(ToString::to_string));
        // A run asks for these values again, before it writes.
        let lookups = planned.summary.counts.looked_up.div_ceil(Lookup::MOST_VALUES as u64);
        let account = self.project.destinations.get(&sync.destination).map(|destination| &destination.account);
        let limiter = account.and_then(|account| account.limiter(&self.kit));
        let forecast = limiter.map(|limiter| limiter.forecast(lookups + calls));
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
    connected.check_types(sync, &opened.sends)?;
    Ok(format!("{} {}", connected.binding.identity, connected.binding.object))
}
