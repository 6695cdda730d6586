//! The life of a run, stage after stage: scan → plan → guard → deliver → record → settle → report.
//!
//! Every stage is written to the state before it begins and can be done again: a run that was interrupted
//! is brought to its end before the next one of its sync begins. The snapshot's manifest is the truth about
//! what is settled; the state is brought into line with it.

mod advance;
mod cancel;
mod connect;
mod error;
mod leased;
mod leftovers;
mod scan;
mod stage;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::Secrets;
use backhaul_kit::{Fault, Kit, Operation};
use jiff::Timestamp;

use crate::config::{Project, Schedule, StateSettings, SyncDef};
use crate::daemon::Resumable;
use crate::deliver::ProgressSink;
use crate::diff::{OpKind, PlanReader, PlanSummary};
use crate::guard::{self, Case, Hold};
use crate::snapshot::{Binding, Snapshot, StateKey, Store};
use crate::state::{Lease, LeaseTiming, NewRun, RunRecord, RunStatus, Sealer, State, StateError, Trigger};

use advance::{Advance, RunFiles, withheld};
pub use cancel::Cancel;
use cancel::unless_cancelled;
use connect::{Connected, Operations, check_object, connect};
pub use error::RunError;
use error::{io_error, stale};
use scan::{Planned, ScanRequest, scan};
use stage::Stage;

/// The longest a plan may wait, unless its sync's interval asks for less.
const PLAN_MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// A plan may always wait this long.
const PLAN_MIN_AGE: Duration = Duration::from_secs(3600);

/// What happens during a run, for whoever watches.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The run has a new status.
    Stage {
        /// The run.
        run: &'a str,
        /// Its status.
        status: RunStatus,
    },
    /// So many rows of the model have been compared.
    Scanned {
        /// Rows.
        rows: u64,
    },
}

/// Watches runs: a progress bar, a log, nothing.
pub trait Watch: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event<'_>);

    /// Where a delivery of `rows` rows reports its progress.
    fn delivery(&self, rows: u64) -> Arc<dyn ProgressSink>;
}

/// What a run is asked for beyond its sync.
#[derive(Clone, Debug)]
pub struct RunOptions {
    /// Only these keys, as [`backhaul_kit::key::display`] writes them.
    pub only: HashSet<String>,
    /// Send at most so many rows; the rest stays for the next run.
    pub max_rows: Option<u64>,
    /// Yes to a large first run.
    pub yes: bool,
    /// Send every row again.
    pub full: bool,
    /// Wait for another writer of the account rather than fail.
    pub wait: bool,
    /// What started it.
    pub trigger: Trigger,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self { only: HashSet::new(), max_rows: None, yes: false, full: false, wait: true, trigger: Trigger::Manual }
    }
}

/// A plan that was made to be looked at.
pub struct Preview {
    /// The plan; its file goes when this is dropped.
    pub plan: PlanReader,
    /// Why a run of it would be held.
    pub holds: Vec<Hold>,
    /// About how many calls it takes: full batches of every kind.
    pub calls: u64,
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

/// Runs the syncs of a project.
#[derive(Clone)]
pub struct Runs {
    project: Arc<Project>,
    kit: Arc<Kit>,
    state: State,
    key: Arc<StateKey>,
}

/// The place of one sync in the state folder, and the right to write there.
struct Site {
    folder: PathBuf,
    store: Store,
    binding: Binding,
    lease: Lease,
}

impl Runs {
    /// Opens the project's state, making it where there is none.
    ///
    /// # Errors
    /// A state folder or key that cannot be used.
    pub async fn open(project: Arc<Project>) -> Result<Self, RunError> {
        let settings = &project.state;
        let secrets = Secrets::from_env(&project.root);
        let key = Arc::new(state_key(settings, &secrets)?);
        let kit = Kit::new(secrets);
        make_private(&settings.dir)?;
        let state = State::open(&settings.dir, key.clone()).await?;
        Ok(Self { project, kit, state, key })
    }

    /// The project.
    pub fn project(&self) -> &Arc<Project> {
        &self.project
    }

    /// The state.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// What connectors are built with.
    pub fn kit(&self) -> &Arc<Kit> {
        &self.kit
    }

    fn folder(&self, sync: &str) -> PathBuf {
        self.project.state.dir.join("syncs").join(sync)
    }

    /// The sync's folder; one that stands under an earlier name of the sync is taken over.
    async fn take_over(&self, sync: &SyncDef) -> Result<PathBuf, RunError> {
        let folder = self.folder(&sync.name);
        for old in &sync.previously {
            let from = self.folder(old);
            if from.exists() && !folder.exists() {
                self.state.rename_sync(old, &sync.name).await?;
                std::fs::rename(&from, &folder).map_err(io_error(&from))?;
            }
        }
        make_private(&folder)?;
        Ok(folder)
    }

    /// Waits for the right to write to the sync's account, and opens its snapshot.
    async fn enter(&self, sync: &SyncDef, wait: bool) -> Result<(Site, Option<Connected>), RunError> {
        let folder = self.take_over(sync).await?;
        let bound = Store::read(&folder, &self.key)?.and_then(|snapshot| snapshot.binding().cloned());
        let (binding, connected) = match bound {
            Some(binding) => (binding, None),
            None => {
                let connected = connect(sync, self.kit.clone()).await?;
                (connected.binding.clone(), Some(connected))
            }
        };
        check_object(&binding, sync)?;
        let lease = self.state.acquire(&binding.identity, wait, LeaseTiming::default()).await?;
        let store = Store::open(&folder, self.key.clone())?;
        Ok((Site { folder, store, binding, lease }, connected))
    }

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
        let holds = self.judge(sync, &planned, accepted, options);
        let calls = Operations::of(sync).calls(&planned.summary.counts);
        Ok(Preview { plan, holds, calls, sync: sync.clone(), files, _claim: claim })
    }

    /// Brings interrupted runs of the sync to their end, then makes one run of it. The records come in that
    /// order.
    ///
    /// # Errors
    /// Whatever stopped it; the record of a run that had begun says so too.
    pub async fn run(
        &self,
        sync: &Arc<SyncDef>,
        options: &RunOptions,
        watch: &dyn Watch,
        cancel: Cancel,
    ) -> Result<Vec<RunRecord>, RunError> {
        check_options(sync, options)?;
        let (site, connected) = unless_cancelled(&cancel, self.enter(sync, options.wait)).await?;
        let ended = self.run_in(sync, &site, options, connected, watch, cancel).await;
        site.lease.release().await;
        ended
    }

    async fn run_in(
        &self,
        sync: &SyncDef,
        site: &Site,
        options: &RunOptions,
        connected: Option<Connected>,
        watch: &dyn Watch,
        cancel: Cancel,
    ) -> Result<Vec<RunRecord>, RunError> {
        let mut ended = Vec::new();
        let unfinished = self.unfinished(&sync.name).await?;
        leftovers::sweep(&self.state, &site.folder, &unfinished).await?;
        for record in unfinished {
            if let Some(record) = self.recover(sync, site, record, watch, cancel.clone()).await? {
                let goes_on = record.status.terminal();
                ended.push(record);
                if !goes_on {
                    return Ok(ended);
                }
            }
        }
        if *cancel.borrow() {
            return Ok(ended);
        }
        let new = NewRun {
            sync: sync.name.clone(),
            trigger: options.trigger,
            stage: Stage::Scan.to_string(),
            config_digest: None,
        };
        let mut record = self.state.create_run(&new, Timestamp::now()).await?;
        let result = self.fresh(sync, site, &mut record, options, connected, watch, cancel).await;
        self.close(site, &mut record, result).await?;
        ended.push(record);
        Ok(ended)
    }

    /// The runs that were interrupted and that no living process works on.
    ///
    /// # Errors
    /// The state cannot be read.
    pub async fn resumable(&self) -> Result<Vec<Resumable>, StateError> {
        let unfinished = self.state.unfinished_runs().await?;
        let interrupted = unfinished.into_iter().filter(|run| run.status != RunStatus::Held);
        let known = interrupted.filter(|run| self.project.syncs.contains_key(&run.sync));
        Ok(known.map(|run| Resumable { run: run.id, sync: run.sync }).collect())
    }

    /// Brings one interrupted run to its end. One that a schedule had started and that had no plan yet is
    /// scanned again, as a new run; the record is of that one then.
    ///
    /// # Errors
    /// As [`Runs::run`].
    pub async fn resume(&self, run: &str, watch: &dyn Watch, cancel: Cancel) -> Result<RunRecord, RunError> {
        let record = self.state.run(run).await?;
        let sync = self.project.syncs.get(&record.sync).cloned().ok_or_else(|| RunError::Refused {
            message: format!("sync `{}` of run {run} is no longer in the project", record.sync),
            remedy: format!("put its file back, or `backhaul discard {run}`"),
            exit: 78,
        })?;
        let (site, _) = unless_cancelled(&cancel, self.enter(&sync, true)).await?;
        let record = self.state.run(run).await?;
        let recovered = if record.status.terminal() {
            Ok(record)
        } else if record.stage == Stage::Scan.as_str() && record.trigger != Trigger::Manual {
            // Its slot is used: without another scan the sync would wait for the next one.
            let options = RunOptions { trigger: record.trigger, ..RunOptions::default() };
            let ended = self.run_in(&sync, &site, &options, None, watch, cancel).await;
            ended.map(|mut ended| ended.pop().unwrap_or(record))
        } else {
            match self.recover(&sync, &site, record, watch, cancel).await {
                Ok(_) => self.state.run(run).await.map_err(RunError::from),
                Err(error) => Err(error),
            }
        };
        site.lease.release().await;
        recovered
    }

    /// A new run: scan, guard, and on from there.
    #[expect(clippy::too_many_arguments, reason = "the parts of one run, used here and nowhere else")]
    async fn fresh(
        &self,
        sync: &SyncDef,
        site: &Site,
        record: &mut RunRecord,
        options: &RunOptions,
        connected: Option<Connected>,
        watch: &dyn Watch,
        cancel: Cancel,
    ) -> Result<(), RunError> {
        let mut advance = Advance { runs: self, sync, site, record, watch, cancel };
        advance.begin(Stage::Scan).await?;
        let files = RunFiles::new(&site.folder, &advance.record.id);
        let snapshot = site.store.snapshot()?;
        let accepted = snapshot.accepted();
        let run_id = advance.record.id.clone();
        let binding = site.binding.clone();
        let planned = self.scan(sync, &run_id, &files, options, snapshot, binding, watch, &advance.cancel).await?;
        note_plan(advance.record, &planned, &files);
        if options.only.is_empty() && planned.summary.counts.postponed == 0 {
            let plan = PlanReader::open(&files.plan(), &self.key)?;
            leftovers::forget_rejects(&self.state, advance.record, &plan).await?;
        }
        let holds = self.judge(sync, &planned, accepted, options);
        if !holds.is_empty() {
            advance.record.held_reasons = holds.into_iter().map(|hold| hold.text).collect();
            advance.record.exit_code = Some(5);
            return advance.begin(Stage::Held).await;
        }
        let first = if planned.summary.counts.sent() > 0 { Stage::Deliver } else { Stage::Record };
        advance.begin(first).await?;
        advance.finish(connected).await
    }

    /// Ends a run that failed before anything was sent; one that failed later goes on from its stage.
    async fn close(&self, site: &Site, record: &mut RunRecord, result: Result<(), RunError>) -> Result<(), RunError> {
        let Err(error) = result else { return Ok(()) };
        let files = RunFiles::new(&site.folder, &record.id);
        if matches!(error, RunError::Cancelled) {
            if record.trigger != Trigger::Manual {
                // It used its slot: the next start takes it up.
                return Ok(());
            }
            record.exit_code = Some(error.exit_code());
            return self.end(&files, record, RunStatus::Cancelled).await;
        }
        let began = record.stage.parse::<Stage>().map_err(Fault::bug)?;
        if began == Stage::Scan || (began == Stage::Deliver && !files.log().exists()) {
            self.fail(&files, record, &error).await?;
        }
        Err(error)
    }

    /// Ends a run that an earlier process left before it had sent anything.
    async fn give_up(&self, files: &RunFiles, record: &mut RunRecord) -> Result<(), RunError> {
        let interrupted = RunError::Interrupted { run: record.id.clone() };
        self.fail(files, record, &interrupted).await
    }

    async fn fail(&self, files: &RunFiles, record: &mut RunRecord, error: &RunError) -> Result<(), RunError> {
        record.error = Some(error.failure());
        record.exit_code = Some(error.exit_code());
        self.end(files, record, RunStatus::Failed).await
    }

    /// Ends a run that sent nothing; its plan is destroyed.
    async fn end(&self, files: &RunFiles, record: &mut RunRecord, status: RunStatus) -> Result<(), RunError> {
        record.status = status;
        record.stage = Stage::Done.to_string();
        record.finished = Some(Timestamp::now());
        self.state.update_run(record, Timestamp::now()).await?;
        files.destroy()
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one scan, used here and nowhere else")]
    async fn scan(
        &self,
        sync: &SyncDef,
        run_id: &str,
        files: &RunFiles,
        options: &RunOptions,
        snapshot: Snapshot,
        binding: Binding,
        watch: &dyn Watch,
        cancel: &Cancel,
    ) -> Result<Planned, RunError> {
        make_private(files.folder())?;
        let request = ScanRequest {
            sync,
            run_id,
            plan: &files.plan(),
            operations: Operations::of(sync),
            binding,
            options,
            withheld: withheld(&self.state, &sync.name).await?,
        };
        let planned = scan(request, &self.project, &self.kit, &self.key, snapshot, watch, cancel).await;
        if planned.is_err() {
            files.destroy()?;
        }
        planned
    }

    fn judge(&self, sync: &SyncDef, planned: &Planned, accepted: u64, options: &RunOptions) -> Vec<Hold> {
        let destination = self.project.destinations.get(&sync.destination);
        guard::judge(&Case {
            counts: &planned.summary.counts,
            accepted,
            stand_in: destination.is_some_and(|d| d.account.is_stand_in()),
            remap: planned.remap,
            guards: &sync.guards,
            yes: options.yes,
        })
    }

    async fn unfinished(&self, sync: &str) -> Result<Vec<RunRecord>, RunError> {
        let all = self.state.unfinished_runs().await?;
        Ok(all.into_iter().filter(|run| run.sync == sync).collect())
    }

    /// Brings an unfinished run to its end. A held one stays as it is until it is too old; `None` where
    /// there was nothing to report.
    async fn recover(
        &self,
        sync: &SyncDef,
        site: &Site,
        mut record: RunRecord,
        watch: &dyn Watch,
        cancel: Cancel,
    ) -> Result<Option<RunRecord>, RunError> {
        let files = RunFiles::new(&site.folder, &record.id);
        let stage: Stage = record.stage.parse().map_err(Fault::bug)?;
        let old = age(&record) > plan_max_age(sync);
        match stage {
            Stage::Held if !old => return Ok(Some(record)),
            Stage::Held => {
                self.state.discard(&record.id, Timestamp::now()).await?;
                files.destroy()?;
                return Ok(None);
            }
            // Nothing was sent: the next scan has fresher values.
            Stage::Scan | Stage::Done => return self.give_up(&files, &mut record).await.map(|()| None),
            Stage::Deliver if !files.log().exists() && (old || !files.is_plan_sound(&self.key)) => {
                return self.give_up(&files, &mut record).await.map(|()| None);
            }
            Stage::Deliver | Stage::Record | Stage::Settle | Stage::Report => {}
        }
        let settles =
            stage == Stage::Deliver && (old || self.is_remapped(sync, &site.folder, &record.id, &cancel).await?);
        if settles && !files.log().exists() {
            return self.give_up(&files, &mut record).await.map(|()| None);
        }
        let mut advance = Advance { runs: self, sync, site, record: &mut record, watch, cancel };
        if settles {
            advance.begin(Stage::Record).await?;
        }
        advance.finish(None).await?;
        Ok(Some(record))
    }

    /// Whether the mapping has changed since the plan was made: its rows must not be sent by the new one.
    async fn is_remapped(&self, sync: &SyncDef, site: &Path, run: &str, cancel: &Cancel) -> Result<bool, RunError> {
        let files = RunFiles::new(site, run);
        let plan = PlanReader::open(&files.plan(), &self.key).map_err(|e| error::lost(run, site, &e))?;
        let opened = unless_cancelled(cancel, scan::open(&self.project, sync, &self.kit)).await?;
        Ok(plan.header().config_digest != opened.digest)
    }

    /// Lets a held run go: delivers exactly the plan of that hash, once.
    ///
    /// # Errors
    /// A run that is not held, another plan hash, a plan that is too old, or whose snapshot, mapping or
    /// account has changed since.
    pub async fn approve(
        &self,
        sync: &Arc<SyncDef>,
        run: &str,
        plan_hash: &str,
        watch: &dyn Watch,
        cancel: Cancel,
    ) -> Result<RunRecord, RunError> {
        let (site, connected) = unless_cancelled(&cancel, self.enter(sync, true)).await?;
        let approved = self.approve_in(sync, &site, run, plan_hash, connected, watch, cancel).await;
        site.lease.release().await;
        approved
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one approval, used here and nowhere else")]
    async fn approve_in(
        &self,
        sync: &SyncDef,
        site: &Site,
        run: &str,
        plan_hash: &str,
        connected: Option<Connected>,
        watch: &dyn Watch,
        cancel: Cancel,
    ) -> Result<RunRecord, RunError> {
        let mut record = self.state.run(run).await?;
        if record.status == RunStatus::Held {
            if age(&record) > plan_max_age(sync) {
                return Err(stale(run, "its plan is too old"));
            }
            let plan = PlanReader::open(&RunFiles::new(&site.folder, run).plan(), &self.key)?;
            if plan.header().base_id != site.store.snapshot()?.base_id() {
                return Err(stale(run, "the snapshot has changed since its plan was made"));
            }
            if plan.header().config_digest != scan::open(&self.project, sync, &self.kit).await?.digest {
                return Err(stale(run, "the mapping has changed since its plan was made"));
            }
            // A plan that cannot be sent to its end is found before its first row goes out.
            plan.verify()?;
        }
        match self.state.approve(run, plan_hash, Timestamp::now()).await {
            // An earlier process approved it and ended before the run went on.
            Ok(()) | Err(StateError::AlreadyApproved { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        fail::fail_point!("approve::written", |_| std::process::abort());
        self.state.take_approval(run, plan_hash, Timestamp::now()).await?;
        fail::fail_point!("approve::used", |_| std::process::abort());
        record.exit_code = None;
        let mut advance = Advance { runs: self, sync, site, record: &mut record, watch, cancel };
        let result = match advance.begin(Stage::Deliver).await {
            Ok(()) => advance.finish(connected).await,
            Err(error) => Err(error),
        };
        self.close(site, &mut record, result).await?;
        Ok(record)
    }

    /// Gives a held run up; its plan is destroyed.
    ///
    /// # Errors
    /// A run that is not held.
    pub async fn discard(&self, run: &str) -> Result<RunRecord, RunError> {
        let record = self.state.discard(run, Timestamp::now()).await?;
        RunFiles::new(&self.folder(&record.sync), run).destroy()?;
        Ok(record)
    }
}

impl Sealer for StateKey {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        self.seal_blob(context, plain).ok()
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.open_blob(context, sealed)
    }
}

/// A full file is the whole model or nothing.
fn check_options(sync: &SyncDef, options: &RunOptions) -> Result<(), RunError> {
    let partial = !options.only.is_empty() || options.max_rows.is_some();
    if partial && Operations::of(sync).write.1.whole_set {
        return Err(RunError::Refused {
            message: format!("sync `{}` delivers the whole set at once: a part of it cannot be sent", sync.name),
            remedy: "leave out --only and --max-rows".into(),
            exit: 64,
        });
    }
    Ok(())
}

fn note_plan(record: &mut RunRecord, planned: &Planned, files: &RunFiles) {
    let PlanSummary { hash, counts, .. } = &planned.summary;
    record.plan_hash = Some(hash.clone());
    record.plan_path = Some(files.plan());
    record.config_digest = Some(planned.digest.iter().map(|b| format!("{b:02x}")).collect());
    let noted = &mut record.counts;
    noted.rows = counts.rows;
    noted.unchanged = counts.unchanged;
    noted.added = counts.added;
    noted.changed = counts.changed + counts.moved;
    noted.removed = counts.removed;
    noted.refreshed = counts.refreshed;
    noted.touched = counts.touched;
    noted.withheld = counts.withheld;
}

fn age(record: &RunRecord) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(record.started)).unwrap_or(Duration::ZERO)
}

/// min(24 h, 4 × interval), at least one hour.
fn plan_max_age(sync: &SyncDef) -> Duration {
    match &sync.schedule {
        Schedule::Every(every) => every.saturating_mul(4).clamp(PLAN_MIN_AGE, PLAN_MAX_AGE),
        Schedule::Manual | Schedule::Cron { .. } | Schedule::After(_) => PLAN_MAX_AGE,
    }
}

/// The key of the project's state: the configured one, else the file beside the state folder.
///
/// # Errors
/// A key that cannot be read, or that is gone while there is a state.
pub fn state_key(settings: &StateSettings, secrets: &Secrets) -> Result<StateKey, RunError> {
    match &settings.key {
        Some(reference) => Ok(StateKey::from_secret(&secrets.secret(reference.clone()).reveal()?)?),
        None => default_key(&settings.dir),
    }
}

/// Asks the warehouse and the destination of a sync whether they fit it; says who was asked. Writes nothing.
///
/// # Errors
/// Whatever a run would stop with before its plan.
pub async fn check(project: &Project, sync: &SyncDef, kit: &Arc<Kit>) -> Result<String, RunError> {
    scan::open(project, sync, kit).await?;
    let connected = connect(sync, kit.clone()).await?;
    Ok(format!("{} {}", connected.binding.identity, connected.binding.object))
}

/// `key` beside the state folder, made with the first state.
fn default_key(dir: &Path) -> Result<StateKey, RunError> {
    let path = dir.parent().unwrap_or(dir).join("key");
    if path.exists() {
        return Ok(StateKey::read_file(&path)?);
    }
    if dir.join("state.db").exists() {
        return Err(RunError::Refused {
            message: format!("the state in {} has lost its key {}", dir.display(), path.display()),
            remedy: "restore the key file from a backup: without it the state cannot be read".into(),
            exit: 4,
        });
    }
    if let Some(parent) = path.parent() {
        make_private(parent)?;
    }
    match StateKey::create_file(&path) {
        // Another process makes its first run too.
        Err(_) if path.exists() => Ok(StateKey::read_file(&path)?),
        created => Ok(created?),
    }
}

fn make_private(dir: &Path) -> Result<(), RunError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error(dir))
}
