//! A snapshot that is a table of the warehouse: comparing there, and settling.

use std::sync::Arc;

use backhaul_kit::{AddressKind, Compared, Fault, Projection, Query, Scan, SnapshotTables, Source, TableScan, Value};
use futures_util::StreamExt as _;
use tokio::sync::mpsc;

use super::scan::{self, Judged, PAGES_AHEAD, Work, quote};
use super::{Cancel, Event, RunError, Runs, Watch, unless_cancelled};
use crate::check::Checker;
use crate::config::SyncDef;
use crate::diff::{DiffError, PlanReader, PlanSummary, TableDiffer, TableSnapshot};
use crate::snapshot::{SettleInfo, Settlement, Snapshot, Store, TableSettle};

/// The snapshot tables of a source that must have them.
pub(super) fn tables(source: &dyn Source) -> Result<&dyn SnapshotTables, Fault> {
    source.snapshot_tables().ok_or_else(|| {
        Fault::config("this warehouse cannot compare rows itself").remedy("take `diff = \"warehouse\"` out of the sync")
    })
}

/// Refuses to look at a model that cannot be compared where its snapshot still is: one of another warehouse, or one
/// whose rows are checked.
pub(super) fn check_place(sync: &SyncDef, warehouse: &str) -> Result<(), RunError> {
    let moves = format!("`backhaul run {}` moves the snapshot; a plan can be looked at after that", sync.name);
    let lacks = if sync.checks.iter().any(|check| check.kind.looks_at_rows()) {
        Some("where no row is checked")
    } else if sync.prepared.facts(sync.shape.mode.0.write_operation()).address == AddressKind::Hashes {
        Some("where hashes that members share are not known")
    } else if sync.people.decide() {
        Some("where nobody is kept from being sent")
    } else {
        sync.group.as_ref().map(|_| "where what its group holds is not known")
    };
    if let Some(lacks) = lacks {
        return Err(RunError::Refused {
            message: format!("the snapshot of sync `{}` is still in warehouse `{warehouse}`, {lacks}", sync.name),
            remedy: moves,
            exit: 78,
        });
    }
    if sync.model.warehouse == warehouse {
        return Ok(());
    }
    let (name, model) = (&sync.name, &sync.model.warehouse);
    Err(RunError::Refused {
        message: format!("the snapshot of sync `{name}` is in warehouse `{warehouse}`, its model in `{model}`"),
        remedy: moves,
        exit: 78,
    })
}

/// Has the warehouse compare, and judges what it hands over on a thread of its own.
pub(super) async fn compare_there(
    work: Work,
    snapshot: &Snapshot,
    watch: &dyn Watch,
    cancel: &Cancel,
) -> Result<Judged, RunError> {
    let Work { mut scan, projection, request, mapper, writer, mut checker, matches: _, newest, finder } = work;
    let state = snapshot.table_state().ok_or_else(|| Fault::bug("a snapshot in files was taken for a table"))?;
    let known = TableSnapshot {
        base_id: snapshot.base_id().to_owned(),
        seed: snapshot.seed(),
        fields: snapshot.fields().to_vec(),
        fingerprints: scan.table_shape(&projection)?.fingerprints,
    };
    let table =
        TableScan { state, all: request.full || request.whole_set || request.remap, removals: request.removals };
    unless_cancelled(cancel, ask_for_newest(scan.as_mut(), &mut checker)).await?;
    let (parts, compared) = mpsc::channel(PAGES_AHEAD);
    let judging = tokio::task::spawn_blocking(move || {
        let differ = TableDiffer::new(&known, request, mapper.as_ref(), writer)?.referring(&finder);
        judge(differ, compared)
    });
    let scanned = unless_cancelled(cancel, forward(scan, projection, table, parts, watch)).await;
    let summary = judging.await.map_err(|e| Fault::bug("comparing rows ended early").caused_by(e))?;
    // The scan's own fault says more than "the parts stopped".
    scanned?;
    Ok(summary.map(|summary| (summary, checker, newest)))
}

/// Rows that did not change stay in the warehouse: their newest values are asked for, in the same snapshot.
async fn ask_for_newest(scan: &mut dyn Scan, checker: &mut Checker) -> Result<(), Fault> {
    let columns: Vec<String> = checker.dated_columns().map(str::to_owned).collect();
    for column in columns {
        let sql = format!("SELECT max({}) AS newest FROM {{model}} AS m", quote(&column));
        let mut answer = scan.check(&Query { sql, limit: 1 }).await?;
        let newest = answer.rows.pop().and_then(|mut row| row.pop()).unwrap_or(Value::Null);
        checker.newest(&column, &newest);
    }
    Ok(())
}

/// Moves what the warehouse hands over to the judging thread. Only an end makes the comparison complete.
async fn forward(
    scan: Box<dyn Scan>,
    projection: Projection,
    table: TableScan,
    parts: mpsc::Sender<Compared>,
    watch: &dyn Watch,
) -> Result<(), Fault> {
    let mut stream = scan.compared(projection, table);
    let mut rows = 0u64;
    while let Some(part) = stream.next().await {
        let part = part?;
        if let Compared::Page(page) = &part {
            rows += page.marks.len() as u64;
            watch.event(Event::Scanned { rows });
        }
        let end = matches!(part, Compared::End { .. });
        // The judging thread hangs up when it has failed; its error is the one to report.
        if parts.send(part).await.is_err() || end {
            return Ok(());
        }
    }
    Err(Fault::transient("the warehouse ended the comparison without a proof that it was complete"))
}

fn judge(mut differ: TableDiffer<'_>, mut parts: mpsc::Receiver<Compared>) -> Result<PlanSummary, DiffError> {
    while let Some(part) = parts.blocking_recv() {
        match part {
            Compared::Page(page) => differ.page(&page)?,
            Compared::Gone(records) => differ.gone(&records)?,
            Compared::Shared(claims) => differ.shared(&claims),
            Compared::End { records, gone, proof } => return differ.finish(records, gone, &proof),
        }
    }
    Err(DiffError::Source(Fault::transient("the comparison stopped before its end")))
}

impl Runs {
    /// The source of the warehouse that has a snapshot's table.
    pub(super) fn table_source(&self, warehouse: &str) -> Result<Arc<dyn Source>, RunError> {
        if !self.project.warehouses.contains_key(warehouse) {
            return Err(RunError::Refused {
                message: format!("the snapshot is in warehouse `{warehouse}`, which the project no longer has"),
                remedy: format!("put [warehouses.{warehouse}] back, at least for one run"),
                exit: 78,
            });
        }
        scan::source(&self.project, warehouse, &self.kit)
    }

    /// Settles a plan in the table that it was made from: first there, in one transaction, then in the manifest. A
    /// crash between the two is made good by doing it again: the table knows the run.
    pub(super) async fn settle_in_table(
        &self,
        store: &Store,
        plan: &PlanReader,
        fates: &dyn Settlement,
        info: SettleInfo,
    ) -> Result<(), RunError> {
        let Some(settle) = TableSettle::begin(store, plan, fates, info)? else { return Ok(()) };
        let source = self.table_source(settle.warehouse())?;
        let generation = tables(source.as_ref())?.apply(settle.change(), &mut settle.entries()).await?;
        settle.commit(generation)?;
        Ok(())
    }
}
