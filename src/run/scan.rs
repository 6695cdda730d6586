//! Scan → plan: pages come from the warehouse on this task, and are compared on a thread of their own.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use backhaul_kit::config::Problem;
use backhaul_kit::{
    AddressKind, Fault, FieldValue, KeyHash, Kit, Model, ModelQuery, Prepared, Projection, Proof, Reason, RowPage,
    Scan, Scanned, Schema, Since, Source, TypeClass, Value, key,
};
use futures_util::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::connect::Operations;
use super::people::{Asked, ListRows};
use super::references::Finder;
use super::siblings::states;
use super::table::{check_place, compare_there};
use super::watermark::Newest;
use super::{Cancel, Event, RunError, RunOptions, Watch, unless_cancelled, watermark};
use crate::check::{Checker, Finding, MatchValues, Past, Screened};
use crate::config::{CheckKind, FieldSource, ModelDef, Project, SyncDef};
use crate::diff::{
    DiffError, Differ, Doubts, Eligibility, PlanRequest, PlanSummary, PlanWriter, Reference, RowMapper, Scratch,
    Sibling,
};
use crate::mapping::{self, Mapper};
use crate::mask::mask;
use crate::snapshot::file::{FreeSpace, NewFile};
use crate::snapshot::sealed::{SealedKind, SealedWriter};
use crate::snapshot::{Binding, Refreshing, Slices, Snapshot, StateKey};
use crate::state::State;

/// Pages between the warehouse's task and the comparing thread: enough to hide either's hiccups.
pub(super) const PAGES_AHEAD: usize = 4;

/// What a scan is asked for.
pub(super) struct ScanRequest<'a> {
    pub(super) sync: &'a SyncDef,
    pub(super) run_id: &'a str,
    pub(super) plan: &'a Path,
    pub(super) operations: Operations,
    pub(super) binding: Binding,
    pub(super) options: &'a RunOptions,
    pub(super) withheld: HashMap<KeyHash, u64>,
    /// What the other syncs of its group hold.
    pub(super) siblings: Vec<Sibling>,
    pub(super) doubts: Doubts,
    /// What the checks compare the model with.
    pub(super) past: Past,
    /// How many rows every suppression list had.
    pub(super) listed: ListRows,
}

/// A finished plan.
pub(super) struct Planned {
    pub(super) summary: PlanSummary,
    pub(super) digest: [u8; 32],
    /// The checks that failed.
    pub(super) findings: Vec<Finding>,
    /// How many rows the suppression lists have.
    pub(super) lists: ListRows,
    /// The type that each field sends, where a column gives it one.
    pub(super) sends: Vec<Option<TypeClass>>,
}

/// Opens the model in a read-only snapshot of the warehouse, compares every row, and leaves a plan file.
/// On any error, and when it is cancelled, there is no plan file.
pub(super) async fn scan(
    request: ScanRequest<'_>,
    project: &Project,
    kit: &Arc<Kit>,
    key: &Arc<StateKey>,
    snapshot: Snapshot,
    watch: &dyn Watch,
    cancel: &Cancel,
) -> Result<Planned, RunError> {
    let sync = request.sync;
    let (now, full) = (request.past.now, request.options.full);
    let growing = watermark::growing(&sync.model, &snapshot, full, now);
    let since = growing.as_ref().map(|growing| watermark::since(growing, &snapshot)).transpose()?;
    let opened = unless_cancelled(cancel, open_part(project, sync, since, kit)).await?;
    let Opened { mut scan, mapper, columns, sends, digest } = opened;
    let remap = snapshot.config_digest().is_some_and(|old| old != digest);
    let mut projection = mapper.projection(snapshot.seed());
    let fields = projection.clone();
    let checker = checker(&request, project, key, &mut projection);
    if let Some(place) = snapshot.table() {
        check_place(sync, &place.warehouse)?;
    }
    let asked = Asked { project, kit, sync, columns: &columns, before: &request.listed };
    let lists = scratch(request.plan, project, key, "lists");
    let decider = unless_cancelled(cancel, asked.decider(scan.as_mut(), &mut projection, lists)).await?;
    let (eligibility, lists) = decider.map(|decider| (decider.eligibility, decider.lists)).unzip();
    let newest = growing.as_ref().map(|growing| Newest::new(growing, &mut projection, now));
    let operations = &request.operations;
    let matches = match operations.removal {
        Some(_) => {
            MatchValues::of(sync, &projection, project.state.memory, scratch(request.plan, project, key, "matches"))
        }
        None => None,
    };
    let options = request.options;
    let finder = Finder::new(sync, project, kit, key, &request.binding, cancel);
    let plan_request = PlanRequest {
        run_id: request.run_id.to_owned(),
        config_digest: digest,
        binding: request.binding,
        removals: operations.removal.is_some(),
        removes_left: sync.removes_left,
        moves: operations.moves.is_some(),
        match_field: sync.shape.match_field.as_ref().map(|(place, _)| *place),
        hashes: operations.write.1.address == AddressKind::Hashes,
        keep_address: operations.removal.is_some()
            || operations.moves.is_some()
            || sync.group.is_some()
            || sync.referred_to,
        removal_by_key: operations.removal.as_ref().is_some_and(|(_, facts)| facts.address == AddressKind::None),
        siblings: states(&request.siblings),
        whole_set: operations.write.1.whole_set,
        remap,
        full,
        growing,
        refresh: sync
            .refresh_after
            .map(|after| Refreshing { slices: if full { Slices::ALL } else { snapshot.due(now, after) }, at: now }),
        ignores_changed: sync.ignores_changed,
        // With another mapping the same row may no longer be refused.
        withheld: if remap { HashMap::new() } else { request.withheld },
        doubts: request.doubts,
        only: (!options.only.is_empty()).then(|| options.only.clone()),
        max_rows: options.max_rows,
        min_free: project.state.min_free,
        memory: project.state.memory,
    };
    let writer = PlanWriter::new(request.plan, key.clone());
    let mapper = Screened::new(mapper, &sync.checks, sync.on_bad_row, &projection.columns);
    let mapper: Box<dyn RowMapper> = Box::new(Hashed { mapper, prepared: sync.prepared.clone() });
    let judged = match snapshot.table() {
        None => {
            let work =
                Work { scan, projection, request: plan_request, mapper, writer, checker, matches, newest, finder };
            compare_here(work, snapshot, request.siblings, eligibility, watch, cancel).await?
        }
        Some(_) => {
            let (request, projection, matches, newest) = (plan_request, fields, None, None);
            let work = Work { scan, projection, request, mapper, writer, checker, matches, newest, finder };
            compare_there(work, &snapshot, watch, cancel).await?
        }
    };
    let findings = judged.and_then(|(summary, checker, newest)| {
        let repeated = |column: &str| Some(repeats_of(&quote(column), &from(&sync.model)?));
        let mut findings = checker.finish(summary.counts.rows, &request.past, repeated)?;
        findings.extend(newest.and_then(|newest| newest.finding()));
        Ok(Planned { summary, digest, findings, lists: lists.unwrap_or_default(), sends })
    });
    findings.map_err(|e| explain(e, sync))
}

/// What the sync's checks compare a scan of now with.
pub(super) async fn past(state: &State, sync: &SyncDef) -> Result<Past, RunError> {
    let runs = sync.checks.iter().filter_map(|check| match check.kind {
        CheckKind::RowCount { runs, .. } => Some(runs),
        _ => None,
    });
    let rows = match runs.max() {
        Some(runs) => state.row_counts(&sync.name, runs).await?,
        None => Vec::new(),
    };
    Ok(Past { now: Timestamp::now(), rows })
}

/// The sync's checks, over a projection that gets the columns they look at.
fn checker(request: &ScanRequest<'_>, project: &Project, key: &Arc<StateKey>, projection: &mut Projection) -> Checker {
    let sync = request.sync;
    let scratch = scratch(request.plan, project, key, "values");
    Checker::new(&sync.checks, sync.on_bad_row, projection, project.state.memory, scratch)
}

/// Makes scratch files beside the plan, for what memory has no room for.
pub(super) fn scratch(plan: &Path, project: &Project, key: &Arc<StateKey>, name: &str) -> Scratch {
    let (path, key) = (plan.with_extension(name), key.clone());
    let space = FreeSpace { keep: project.state.min_free };
    Box::new(move || SealedWriter::new(NewFile::scratch(&path, space)?, &key, SealedKind::Spill))
}

/// What a comparison takes.
pub(super) struct Work {
    pub(super) scan: Box<dyn Scan>,
    pub(super) projection: Projection,
    pub(super) request: PlanRequest,
    pub(super) mapper: Box<dyn RowMapper>,
    pub(super) writer: PlanWriter,
    pub(super) checker: Checker,
    pub(super) matches: Option<MatchValues>,
    pub(super) newest: Option<Newest>,
    pub(super) finder: Finder,
}

/// The plan, and the checks and the newest row with what they have seen.
pub(super) type Judged = Result<(PlanSummary, Checker, Option<Newest>), DiffError>;

/// Has every row come and compares it on a thread of its own.
async fn compare_here(
    work: Work,
    snapshot: Snapshot,
    siblings: Vec<Sibling>,
    eligibility: Option<Eligibility>,
    watch: &dyn Watch,
    cancel: &Cancel,
) -> Result<Judged, RunError> {
    let Work { scan, projection, request, mapper, writer, checker, matches, newest, finder } = work;
    let (pages, compared) = mpsc::channel(PAGES_AHEAD);
    let comparing = tokio::task::spawn_blocking(move || {
        let differ = Differ::new(&snapshot, request, mapper.as_ref(), writer)?;
        let differ = differ.beside(&siblings).admitting(eligibility).referring(&finder);
        compare(differ, checker, matches, newest, compared)
    });
    let scanned = unless_cancelled(cancel, forward(scan, projection, pages, watch)).await;
    let judged = comparing.await.map_err(|e| Fault::bug("comparing rows ended early").caused_by(e))?;
    // The scan's own fault says more than "the pages stopped".
    scanned?;
    Ok(judged)
}

/// A model that is open for one scan.
pub(super) struct Opened {
    pub(super) scan: Box<dyn Scan>,
    pub(super) mapper: Mapper,
    /// The model's columns.
    pub(super) columns: Schema,
    /// The type that each field sends, where a column gives it one.
    pub(super) sends: Vec<Option<TypeClass>>,
    /// What decides how a row is sent: columns and types, key, mapping.
    pub(super) digest: [u8; 32],
}

/// Opens a scan of the whole model and compiles the mapping against the model's columns.
pub(super) async fn open(project: &Project, sync: &SyncDef, kit: &Arc<Kit>) -> Result<Opened, RunError> {
    open_part(project, sync, None, kit).await
}

/// The same of some rows only.
async fn open_part(
    project: &Project,
    sync: &SyncDef,
    since: Option<Since>,
    kit: &Arc<Kit>,
) -> Result<Opened, RunError> {
    let model = &sync.model;
    let source = source(project, &model.warehouse, kit)?;
    let wanted = Model { since, ..model_of(model, sync.filter.clone()) };
    let mut scan = source.open(&wanted).await.map_err(|fault| at_sql(fault, model))?;
    let columns = scan.columns().await.map_err(|fault| at_sql(fault, model))?;
    let mapper = Mapper::compile(sync, &columns).map_err(RunError::Problems)?;
    let in_text = project.warehouses.get(&model.warehouse).is_some_and(|warehouse| warehouse.config.times_in_text());
    watermark::check_column(model, &columns, in_text)?;
    let digest = mapping::digest(sync, &columns);
    let sends = mapping::classes(sync, &columns);
    Ok(Opened { scan, mapper, columns, sends, digest })
}

/// What to scan for a model.
pub(super) fn model_of(model: &ModelDef, filter: Option<String>) -> Model {
    Model {
        name: model.name.clone(),
        query: model.query.clone(),
        filter,
        since: None,
        parallel: model.parallel,
        timeout: model.timeout,
        idle_timeout: model.idle_timeout,
    }
}

/// A warehouse of the project, not yet connected.
pub(super) fn source(project: &Project, name: &str, kit: &Arc<Kit>) -> Result<Arc<dyn Source>, RunError> {
    let warehouse = project.warehouses.get(name);
    let warehouse = warehouse.ok_or_else(|| Fault::bug(format!("warehouse `{name}` is not in the project")))?;
    Ok(warehouse.config.open(kit.clone())?)
}

/// A fault with a place in the model's SQL becomes a problem with a place in its file.
pub(super) fn at_sql(fault: Fault, model: &ModelDef) -> RunError {
    let (Some(offset), Some(span)) = (fault.sql_offset, &model.query_span) else { return fault.into() };
    let start = (span.range.start + offset).min(span.range.end);
    let end = (start + 1).min(span.range.end).max(start);
    let place = backhaul_kit::config::Span { file: span.file.clone(), range: start..end };
    RunError::Problems(vec![
        Problem::error("model-sql", format!("model `{}`: {}", model.name, fault.message))
            .at(&place)
            .remedy(fault.remedy_text().to_owned()),
    ])
}

/// A mapping whose destination says by which hashes it finds rows.
struct Hashed {
    mapper: Screened,
    prepared: Arc<dyn Prepared>,
}

impl RowMapper for Hashed {
    fn fields(&self) -> &[String] {
        self.mapper.fields()
    }

    fn map(&self, record: &[Value]) -> Result<Vec<FieldValue>, Reason> {
        self.mapper.map(record)
    }

    fn references(&self) -> &[Reference] {
        self.mapper.references()
    }

    fn settle(&self, place: usize, value: Value) -> FieldValue {
        self.mapper.settle(place, value)
    }

    fn hashes(&self, fields: &[FieldValue]) -> Option<String> {
        self.prepared.hashes(fields)
    }
}

type Page = Result<Box<dyn RowPage>, (u64, Proof)>;

/// Moves pages from the warehouse to the comparing thread. Only an [`Scanned::End`] makes the scan complete.
async fn forward(
    scan: Box<dyn Scan>,
    projection: Projection,
    pages: mpsc::Sender<Page>,
    watch: &dyn Watch,
) -> Result<(), Fault> {
    let mut stream = scan.pages(projection);
    let mut rows = 0u64;
    while let Some(scanned) = stream.next().await {
        let page = match scanned? {
            Scanned::Page(page) => {
                rows += page.rows() as u64;
                watch.event(Event::Scanned { rows });
                Ok(page)
            }
            Scanned::End { rows, proof } => Err((rows, proof)),
        };
        let end = page.is_err();
        // The comparing thread hangs up when it has failed; its error is the one to report.
        if pages.send(page).await.is_err() || end {
            return Ok(());
        }
    }
    Err(Fault::transient("the warehouse ended the scan without a proof that it was complete"))
}

fn compare(
    mut differ: Differ<'_>,
    mut checker: Checker,
    mut matches: Option<MatchValues>,
    mut newest: Option<Newest>,
    mut pages: mpsc::Receiver<Page>,
) -> Judged {
    while let Some(page) = pages.blocking_recv() {
        match page {
            Ok(page) => {
                checker.page(page.as_ref())?;
                if let Some(matches) = &mut matches {
                    matches.page(page.as_ref())?;
                }
                if let Some(newest) = &mut newest {
                    newest.page(page.as_ref())?;
                }
                differ.page(page.as_ref())?;
            }
            Err((rows, proof)) => {
                matches.map_or(Ok(()), MatchValues::finish)?;
                differ.note_newest(newest.as_ref().and_then(Newest::time));
                return Ok((differ.finish(rows, &proof)?, checker, newest));
            }
        }
    }
    Err(DiffError::Source(Fault::transient("the scan stopped before its end")))
}

/// Says which keys are wrong (masked) and how to find them.
fn explain(error: DiffError, sync: &SyncDef) -> RunError {
    let model = &sync.model;
    let columns: Vec<String> = model.key.iter().map(|(name, _)| quote(name)).collect();
    let columns = columns.join(", ");
    let find = |query: &dyn Fn(&str) -> String| match from(model) {
        None => String::from("correct the files, or name in `key` what tells their rows apart"),
        Some(from) => format!("find them: {}", query(&from)),
    };
    let mut place = model.key.first().map(|(_, span)| span.clone());
    let problem = match error {
        DiffError::DuplicateKeys { count, examples } => {
            let shown: Vec<String> = examples.iter().map(|k| mask(&key::display(k))).collect();
            let shown = if shown.is_empty() { String::new() } else { format!(", as {}", shown.join(", ")) };
            let message = format!("model `{}` has {count} rows whose key occurs more than once{shown}", model.name);
            Problem::error("duplicate-keys", message).remedy(find(&|from| repeats_of(&columns, from)))
        }
        DiffError::NullKeys { rows } => {
            let any = model.key.iter().map(|(name, _)| format!("{} is null", quote(name))).collect::<Vec<_>>();
            Problem::error("null-keys", format!("model `{}` has {rows} rows whose key is NULL", model.name))
                .remedy(find(&|from| format!("select * from {from} where {}", any.join(" or "))))
        }
        DiffError::DuplicateMatchValues { count } => {
            let matched = sync.shape.match_field.as_ref().and_then(|(at, span)| Some((sync.fields.get(*at)?, span)));
            let (target, column) = match matched {
                Some((field, span)) => {
                    place = Some(span.clone());
                    let FieldSource::Column(column, _) = &field.source else { return error.into() };
                    (field.target.as_str(), column.as_str())
                }
                None => return error.into(),
            };
            Problem::error(
                "duplicate-match-values",
                format!(
                    "model `{}` has {count} rows whose `{target}` is that of another row: removing one would remove the other",
                    model.name
                ),
            )
            .remedy(find(&|from| repeats_of(&quote(column), from)))
        }
        DiffError::ReferenceRing { rows, examples, field } => {
            place = sync.fields.get(field).map(|field| field.span.clone());
            let shown: Vec<String> = examples.iter().map(|k| mask(&key::display(k))).collect();
            let message = match rows {
                1 => format!("model `{}` has a row that refers to itself: {}", model.name, shown.join(", ")),
                _ => format!(
                    "{rows} rows of model `{}` refer to each other in a ring: {}",
                    model.name,
                    shown.join(" → ")
                ),
            };
            Problem::error("reference-ring", message)
                .remedy("one of them has to refer to nothing until the others are there: nothing was sent")
        }
        DiffError::Stopped => return RunError::Cancelled,
        // A fault has its own exit code.
        DiffError::Source(fault) => return fault.into(),
        other => return other.into(),
    };
    RunError::Problems(vec![match place {
        Some(span) => problem.at(&span),
        None => problem,
    }])
}

/// What an operator selects from to see the model's rows; `None` for files.
fn from(model: &ModelDef) -> Option<String> {
    match &model.query {
        ModelQuery::Table(table) => Some(table.clone()),
        ModelQuery::Sql(_) => Some(format!("(<model {}>) as m", model.name)),
        ModelQuery::Files(_) => None,
    }
}

fn repeats_of(columns: &str, from: &str) -> String {
    format!("select {columns}, count(*) from {from} group by {columns} having count(*) > 1")
}

/// A column's name in SQL.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
