//! The life of a run, stage after stage: scan → plan → guard → deliver → record → settle → report.
//!
//! Every stage is written to the state before it begins and can be done again: a run that was interrupted
//! is brought to its end before the next one of its sync begins. The snapshot's manifest is the truth about
//! what is settled; the state is brought into line with it.
//!
//! | file | what is there |
//! |---|---|
//! | `site`, `leftovers` | the folder of a sync, the lease on its account, what crashes left there |
//! | `connect` | which account is this, and does its object take what the sync writes |
//! | `scan`, `table` | scan → plan, with the snapshot in files and with the snapshot in a table of the warehouse |
//! | `watermark` | what a scan of a growing model asks for, and how far it comes |
//! | `people`, `veto` | who may be sent: suppression lists, consent, holdouts; and who no longer, when a plan is approved |
//! | `urgent` | removals that do not wait for the rest of their plan |
//! | `siblings` | other syncs that write to the same object |
//! | `references` | records that rows refer to, at the destination or of other syncs |
//! | `waves` | parents before their children |
//! | `doctor` | what credentials may do, and what they need |
//! | `home` | where the snapshot is to be, and how it gets there |
//! | `preview` | a plan to look at |
//! | `holds` | whether a plan is held |
//! | `values` | values of guarded fields against those accepted |
//! | `stage`, `advance`, `files`, `fates` | from a plan to the end of its run |
//! | `send`, `phases`, `moves`, `canary`, `partial` | which ops of a plan go out, in which order, with which fields |
//! | `recover` | runs that were interrupted, and those that fail |
//! | `approve` | held runs |
//! | `verify`, `rebuild` | what lies on disk is read whole; a damaged snapshot is set aside |
//! | `doubt` | rows of which nobody knows what became |
//! | `cancel`, `error` | why a run stopped |

mod advance;
mod approve;
mod canary;
mod cancel;
mod connect;
mod doctor;
mod doubt;
mod error;
mod fates;
mod files;
mod holds;
mod home;
mod leased;
mod leftovers;
mod moves;
mod partial;
mod people;
mod phases;
mod preview;
mod rebuild;
mod recover;
mod references;
mod scan;
mod send;
mod siblings;
mod site;
mod stage;
mod table;
mod urgent;
mod values;
mod verify;
mod veto;
mod watermark;
mod waves;

use std::collections::HashSet;
use std::sync::Arc;

use backhaul_kit::config::Secrets;
use backhaul_kit::{Kit, Session};
use jiff::Timestamp;

use crate::check;
use crate::config::{Canary, Consent, Project, SyncDef};
use crate::deliver::ProgressSink;
use crate::diff::{PlanReader, PlanSummary};
use crate::snapshot::{Binding, Snapshot, StateKey};
use crate::state::{RunRecord, RunStatus, State, Trigger};

use advance::{Advance, withheld};
pub use approve::{Allow, Approval, StoredPlan};
pub use cancel::Cancel;
use cancel::unless_cancelled;
use connect::{Connected, Operations};
pub use doctor::{Examined, doctor, egress};
pub use error::{RunError, exit_code};
use files::RunFiles;
use holds::Judged;
pub use leased::Leased;
pub use preview::{Preview, check};
pub use rebuild::{Begun, Rebuilt};
use scan::{Planned, ScanRequest, scan};
pub use site::state_key;
use site::{Site, make_private};
use stage::Stage;
pub use verify::{Damage, Verified, verify};
pub use watermark::watermark;

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
    /// Give held runs of the sync up and judge anew; `yes` does so too.
    pub anew: bool,
    /// How many rows go first; `None` is as the sync says.
    pub canary: Option<Canary>,
    /// Send every row again.
    pub full: bool,
    /// Wait for another writer of the account rather than fail.
    pub wait: bool,
    /// What started it.
    pub trigger: Trigger,
}

impl Default for RunOptions {
    fn default() -> Self {
        Self {
            only: HashSet::new(),
            max_rows: None,
            yes: false,
            anew: false,
            canary: None,
            full: false,
            wait: true,
            trigger: Trigger::Manual,
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

/// What every step of a run works with.
struct Ground<'a> {
    sync: &'a SyncDef,
    site: &'a Site,
    watch: &'a dyn Watch,
    cancel: Cancel,
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
        kit.limiters.recall(state.quotas(Timestamp::now()).await?);
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

    /// Brings interrupted runs of the sync to their end, then makes one run of it, or several where its rows refer to
    /// each other. The records come in that order.
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
        let ground = Ground { sync, site: &site, watch, cancel };
        let ended = Box::pin(self.run_on(&ground, options, connected)).await;
        site.leave().await;
        ended
    }

    async fn run_on(
        &self,
        ground: &Ground<'_>,
        options: &RunOptions,
        connected: Option<Connected>,
    ) -> Result<Vec<RunRecord>, RunError> {
        let mut ended = Vec::new();
        for record in self.unfinished(&ground.sync.name).await? {
            let anew = options.yes || options.anew || self.has_more_urgent(ground, &record).await?;
            if let Some(record) = self.recover(ground, record, anew).await? {
                let goes_on = record.status.terminal();
                ended.push(record);
                if !goes_on {
                    return Ok(ended);
                }
            }
        }
        if *ground.cancel.borrow() {
            return Ok(ended);
        }
        self.waves(ground, options, connected, &mut ended).await?;
        Ok(ended)
    }

    /// A new run: scan, guard, and on from there. Returns whether it delivered only what does not wait for the rest of
    /// its plan; it does so where it `may_cut` the plan.
    async fn fresh(
        &self,
        ground: &Ground<'_>,
        record: &mut RunRecord,
        options: &RunOptions,
        connected: Option<Connected>,
        may_cut: bool,
    ) -> Result<bool, RunError> {
        let Ground { sync, site, watch, cancel } = ground;
        let mut advance = Advance { runs: self, ground, record, vetoed: None, sends: Vec::new() };
        advance.begin(Stage::Scan).await?;
        self.bring_home(ground).await?;
        let files = RunFiles::new(&site.folder, &advance.record.id);
        let snapshot = site.store.snapshot()?;
        let accepted = snapshot.accepted();
        let run_id = advance.record.id.clone();
        let binding = site.binding.clone();
        let planned = self.scan(sync, &run_id, &files, options, snapshot, binding, *watch, cancel).await?;
        note_plan(advance.record, &planned, &files);
        advance.sends.clone_from(&planned.sends);
        self.state.record_list_rows(&planned.lists, Timestamp::now()).await?;
        if planned.summary.counts.removed > 0 {
            self.check_siblings_at_rest(sync)?;
        }
        let canary = options.canary.or(sync.guards.canary);
        advance.record.canary = canary.map(|canary| canary.to_string());
        let plan = PlanReader::open(&files.plan(), &self.key)?;
        if options.only.is_empty() && planned.summary.counts.postponed == 0 {
            leftovers::forget_rejects(&self.state, advance.record, &plan).await?;
        }
        let judged = Judged { plan: &plan, accepted, findings: &planned.findings, yes: options.yes, raised: None };
        let holds = self.holds(sync, &judged).await?;
        advance.record.warnings = warnings(sync, &planned);
        advance.record.fields = people::refused_values(&plan)?;
        let held_back = holds::held_back(sync, &plan, &holds, Operations::of(sync).write.1.whole_set);
        advance.record.counts.held_back = held_back;
        let is_held = !holds.is_empty() && held_back == 0;
        let waits = is_held || canary.is_some();
        if may_cut && urgent::go_before(&plan, &holds, waits, Operations::of(sync).write.1.whole_set) {
            let cut = urgent::cut(&plan, &site.store.snapshot()?, &self.key, self.project.state.min_free)?;
            note_summary(advance.record, cut.summary());
            advance.record.counts.held_back = 0;
            advance.record.canary = None;
            advance.record.warnings.push(urgent::says(sync, &plan, &holds));
            advance.begin(Stage::Deliver).await?;
            return advance.finish(connected).await.map(|()| true);
        }
        advance.record.held_reasons = holds.into_iter().map(|hold| hold.text).collect();
        if is_held {
            advance.record.exit_code = Some(5);
            return advance.begin(Stage::Held).await.map(|()| false);
        }
        let first = if planned.summary.counts.sent() > held_back { Stage::Deliver } else { Stage::Record };
        advance.begin(first).await?;
        advance.finish(connected).await.map(|()| false)
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
            siblings: self.siblings(sync)?,
            doubts: self.doubts(sync).await?,
            past: scan::past(&self.state, sync).await?,
            listed: self.state.list_rows().await?,
        };
        let planned = scan(request, &self.project, &self.kit, &self.key, snapshot, watch, cancel).await;
        if planned.is_err() {
            files.destroy()?;
        }
        planned
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
    if options.canary.is_some() && takes_all_at_once(sync) {
        return Err(RunError::Refused {
            message: format!(
                "the destination of sync `{}` takes all rows of a run at once: none can go first",
                sync.name
            ),
            remedy: "leave out --canary".into(),
            exit: 64,
        });
    }
    Ok(())
}

fn takes_all_at_once(sync: &SyncDef) -> bool {
    let facts = Operations::of(sync).write.1;
    facts.whole_set || facts.session != Session::None
}

/// What a run says although nothing is held.
fn warnings(sync: &SyncDef, planned: &Planned) -> Vec<String> {
    let mut warnings = check::warnings(&planned.findings);
    if let Consent::Waived(reason) = &sync.people.consent {
        warnings.push(format!("consent is not asked for: {reason}"));
    }
    warnings
}

fn note_plan(record: &mut RunRecord, planned: &Planned, files: &RunFiles) {
    record.plan_path = Some(files.plan());
    record.config_digest = Some(planned.digest.iter().map(|b| format!("{b:02x}")).collect());
    note_summary(record, &planned.summary);
}

/// Notes which plan it is, and what it would do.
fn note_summary(record: &mut RunRecord, PlanSummary { hash, counts, .. }: &PlanSummary) {
    record.plan_hash = Some(hash.clone());
    let noted = &mut record.counts;
    noted.rows = counts.rows;
    noted.unchanged = counts.unchanged;
    noted.added = counts.added;
    noted.changed = counts.changed + counts.moved;
    noted.removed = counts.removed;
    noted.refreshed = counts.refreshed;
    noted.touched = counts.touched;
    noted.withheld = counts.withheld;
    noted.removed_for = counts.removed_for;
    noted.ineligible = counts.ineligible;
    noted.frozen = counts.frozen;
    (noted.waiting, noted.next_wave, noted.looked_up) = (counts.waiting, counts.next_wave, counts.looked_up);
}
