//! From a finished plan to the end of its run: deliver → record → settle → report.
//!
//! Each stage can be done again after a crash: delivery goes on from the log, recording replaces, settling
//! knows the run it has settled, reporting clears what may be clear already.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::{Fault, KeyHash, Run, TypeClass};
use jiff::Timestamp;

use super::canary::CanaryRows;
use super::connect::{Connected, check_identity, connect};
use super::error::{io_error, lost};
use super::fates::Fates;
use super::leased::Leased;
use super::phases::{Going, phases};
use super::veto::Vetoed;
use super::{Event, Ground, RunError, Runs, Stage, doubt, note_summary, unless_cancelled};
use crate::config::percent;
use crate::deliver::{CanaryGate, Counts, Halt, Job, Policy, RejectSink, RejectedRow, deliver};
use crate::diff::{Cause, OpKind, PlanReader};
use crate::snapshot::log::{LogWriter, Replay};
use crate::snapshot::{Settle, SettleInfo, Settlement as _, StateKey, settle};
use crate::state::{NewReject, RejectClass, RunError as RunFailure, RunRecord, RunStatus, State};

/// The exit code of what a guard stopped.
const HELD: u8 = 5;
/// The class of an error that a guard made.
const GUARD: &str = "guard";
/// A process that is killed forgets the calls of no longer than this, as far as a day's quota goes.
const QUOTAS_KEPT_EVERY: Duration = Duration::from_secs(5);
/// Rejects of the mapper go to the state in groups of this many.
const REJECTS_AT_ONCE: usize = 500;

/// The files of one run.
pub(super) struct RunFiles {
    folder: PathBuf,
}

impl RunFiles {
    pub(super) fn new(site: &Path, run: &str) -> Self {
        Self { folder: site.join("runs").join(run) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn plan(&self) -> PathBuf {
        self.folder.join("plan")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Whether neither plan nor log is there.
    pub(super) fn are_gone(&self) -> bool {
        !self.plan().exists() && !self.log().exists()
    }

    /// Whether all of the plan can be read.
    pub(super) fn is_plan_sound(&self, key: &StateKey) -> bool {
        PlanReader::open(&self.plan(), key).and_then(|plan| plan.verify()).is_ok()
    }

    /// Destroys the plan's values and the log.
    pub(super) fn destroy(&self) -> Result<(), RunError> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_error(&self.folder)(e)),
            _ => Ok(()),
        }
    }
}

/// One run on its way.
pub(super) struct Advance<'a> {
    pub(super) runs: &'a Runs,
    pub(super) ground: &'a Ground<'a>,
    pub(super) record: &'a mut RunRecord,
    /// Rows of an approved plan that may not be sent any more.
    pub(super) vetoed: Option<Arc<Vetoed>>,
    /// The type that each field sends; empty where they were held against what the destination takes, or where no row is
    /// sent any more.
    pub(super) sends: Vec<Option<TypeClass>>,
}

impl Advance<'_> {
    /// Takes the run from its stage to its end, or to where it was cancelled.
    pub(super) async fn finish(mut self, connected: Option<Connected>) -> Result<(), RunError> {
        let files = RunFiles::new(&self.ground.site.folder, &self.record.id);
        // The last thing that reporting does is to destroy the plan: without it only the end is left to write.
        if self.record.stage == Stage::Report.as_str() && !files.is_plan_sound(&self.runs.key) {
            files.destroy()?;
            return self.begin(Stage::Done).await;
        }
        let opened = PlanReader::open(&files.plan(), &self.runs.key);
        let plan = opened.map_err(|e| lost(&self.record.id, &self.ground.sync.name, &e))?;
        let mut connected = connected;
        loop {
            let stage: Stage = self.record.stage.parse().map_err(Fault::bug)?;
            let next = match stage {
                Stage::Deliver => match self.deliver(&files, &plan, connected.take(), true).await? {
                    Outcome::Interrupted | Outcome::Parked => return Ok(()),
                    Outcome::Held => Stage::Held,
                    Outcome::Complete => Stage::Record,
                },
                Stage::Record => {
                    self.record_rejects(&files, &plan).await?;
                    Stage::Settle
                }
                Stage::Settle => {
                    self.settle(&files, &plan).await?;
                    Stage::Report
                }
                Stage::Report => {
                    self.report(&files, &plan).await?;
                    Stage::Done
                }
                Stage::Held | Stage::Done => return Ok(()),
                Stage::Scan => {
                    return Err(Fault::bug(format!("a run in stage {stage} has nothing to deliver")).into());
                }
            };
            self.begin(next).await?;
        }
    }

    /// Writes the stage down before it begins.
    pub(super) async fn begin(&mut self, stage: Stage) -> Result<(), RunError> {
        let now: Stage = self.record.stage.parse().map_err(Fault::bug)?;
        if now != stage && !now.next().contains(&stage) {
            return Err(Fault::bug(format!("a run cannot go from stage {now} to {stage}")).into());
        }
        // A process that stood still finds that another one has gone on with the run.
        self.ground.site.lease.ensure_held()?;
        let before = self.record.status;
        self.record.stage = stage.to_string();
        match stage {
            Stage::Scan => self.record.status = RunStatus::Planning,
            Stage::Held => self.record.status = RunStatus::Held,
            Stage::Deliver => self.record.status = RunStatus::Delivering,
            Stage::Record | Stage::Settle | Stage::Report => self.record.status = RunStatus::Settling,
            Stage::Done => self.end(),
        }
        fail::fail_point!(&format!("run::before_{stage}"), |_| std::process::abort());
        self.runs.state.update_run(self.record, Timestamp::now()).await?;
        fail::fail_point!(&format!("run::in_{stage}"), |_| std::process::abort());
        if self.record.status != before {
            self.ground.watch.event(Event::Stage { run: &self.record.id, status: self.record.status });
        }
        Ok(())
    }

    /// The final status and exit code, from the counts and the fault that stopped the run, if any.
    fn end(&mut self) {
        let counts = &self.record.counts;
        let (status, exit) = match &self.record.error {
            Some(error) => {
                let status = if counts.accepted > 0 { RunStatus::Partial } else { RunStatus::Failed };
                (status, exit_of_class(&error.class))
            }
            None if counts.held_back > 0 => (RunStatus::Partial, HELD),
            None if counts.rejected > 0 => (RunStatus::Partial, 3),
            None if counts.deferred + counts.in_doubt > 0 => (RunStatus::Partial, 75),
            None => (RunStatus::Succeeded, 0),
        };
        self.record.status = status;
        self.record.exit_code = Some(exit);
        self.record.finished = Some(Timestamp::now());
    }

    /// Asks after the jobs that the run left open at the destination, and sends nothing. What they cannot say now
    /// stays in doubt.
    pub(super) async fn ask_after_jobs(&mut self, files: &RunFiles) -> Result<Outcome, RunError> {
        let opened = PlanReader::open(&files.plan(), &self.runs.key);
        let plan = opened.map_err(|e| lost(&self.record.id, &self.ground.sync.name, &e))?;
        let replay = Replay::read(&files.log(), &self.record.id)?;
        if replay.sealed().is_some() || replay.open_tickets().next().is_none() {
            return Ok(Outcome::Complete);
        }
        self.deliver(files, &plan, None, false).await
    }

    async fn deliver(
        &mut self,
        files: &RunFiles,
        plan: &PlanReader,
        connected: Option<Connected>,
        sends_rows: bool,
    ) -> Result<Outcome, RunError> {
        let connected = match connected {
            Some(connected) => connected,
            None => match unless_cancelled(&self.ground.cancel, connect(self.ground.sync, self.runs.kit.clone())).await
            {
                Err(RunError::Cancelled) => return Ok(Outcome::Interrupted),
                connected => connected?,
            },
        };
        check_identity(&plan.header().binding, &connected.binding, &self.ground.sync.name)?;
        connected.check_types(self.ground.sync, &self.sends)?;
        let warnings = connected.warnings.iter().filter(|warning| !self.record.warnings.contains(warning));
        let warnings: Vec<String> = warnings.cloned().collect();
        self.record.warnings.extend(warnings);
        self.record.identity = Some(connected.binding.identity.clone());
        let (log, already) = if files.log().exists() {
            let replay = Replay::read(&files.log(), &self.record.id)?;
            if replay.sealed().is_some() {
                return Ok(Outcome::Complete);
            }
            (LogWriter::resume(&files.log(), &self.record.id, &replay).map_err(io_error(&files.log()))?, Some(replay))
        } else {
            (LogWriter::create(&files.log(), &self.record.id).map_err(io_error(&files.log()))?, None)
        };
        if let Some(vetoed) = &self.vetoed {
            self.record.counts.vetoed = vetoed.count(plan, already.as_ref())?;
        }
        let counts = self.record.counts;
        let sends = plan.summary().counts.sent() - counts.held_back - counts.vetoed;
        let canary = if sends_rows { self.canary(plan).await? } else { None };
        let mut policy = Policy { max_rejected: Some(self.ground.sync.guards.max_rejected), ..Policy::default() };
        if let Some(rows) = &canary {
            policy.canary = Some(rows.gate(plan, already.as_ref(), self.ground.sync.guards.canary_max_rejects)?);
        }
        let gate = policy.canary;
        let already = already.map(Arc::new);
        let going = Going {
            first: already.as_ref().map_or(0, |replay| replay.first_open()),
            canary: canary.map(Arc::new),
            none_left: counts.held_back > 0,
            vetoed: self.vetoed.clone(),
            already: already.clone(),
        };
        let job = Job {
            destination: Arc::new(Leased::new(connected.destination.clone(), self.ground.site.lease.watch())),
            run: Run {
                id: self.record.id.clone(),
                sync: self.ground.sync.name.clone(),
                rows: sends,
                started: self.record.started,
            },
            phases: phases(plan, going, sends, self.ground.sync)?,
            log,
            already,
            sends: sends_rows,
            rejects: Arc::new(Rejects {
                state: self.runs.state.clone(),
                sync: self.ground.sync.name.clone(),
                run: self.record.id.clone(),
                seed: plan.header().seed,
            }),
            progress: self.ground.watch.delivery(sends),
            cancel: self.ground.cancel.clone(),
            policy,
        };
        let delivered = self.counting_calls(deliver(job)).await?;
        self.record.calls += delivered.counts.calls;
        if let (Some(Halt::Canary), Some(gate)) = (delivered.halted, gate) {
            // A run that the state did not know has only its plan to tell.
            note_summary(self.record, plan.summary());
            self.note_canary(gate, &delivered.counts);
            return Ok(Outcome::Held);
        }
        if delivered.interrupted {
            self.runs.state.update_run(self.record, Timestamp::now()).await?;
            return Ok(Outcome::Interrupted);
        }
        self.record.error = match delivered.halted {
            Some(_) => Some(self.too_many_rejected(&delivered.counts)),
            None => delivered.stopped_by.as_ref().map(failure),
        };
        if delivered.sealed.is_none() {
            self.record.status = RunStatus::Settling;
            self.record.exit_code = Some(delivered.stopped_by.map_or(75, |fault| fault.class.exit_code()));
            self.runs.state.update_run(self.record, Timestamp::now()).await?;
            return Ok(Outcome::Parked);
        }
        Ok(Outcome::Complete)
    }

    /// Keeps what is used of the accounts' quotas while calls are made, for whoever calls them next.
    async fn counting_calls<T>(&self, calls: impl Future<Output = T>) -> T {
        let mut calls = std::pin::pin!(calls);
        loop {
            let done = tokio::time::timeout(QUOTAS_KEPT_EVERY, calls.as_mut()).await;
            let kept = self.runs.state.keep_quotas(&self.runs.kit.quotas_used(), Timestamp::now()).await;
            if let Err(error) = kept {
                tracing::warn!(%error, "what is used of the quotas could not be kept");
            }
            if let Ok(done) = done {
                return done;
            }
        }
    }

    /// The rows that go first. A plan that somebody has approved goes out as a whole.
    async fn canary(&self, plan: &PlanReader) -> Result<Option<CanaryRows>, RunError> {
        let Some(size) = self.record.canary.as_ref().and_then(|size| size.parse().ok()) else { return Ok(None) };
        if self.runs.state.was_approved(&self.record.id).await? {
            return Ok(None);
        }
        Ok(CanaryRows::choose(plan, size)?)
    }

    /// Notes that the canary holds the run, and what became of its rows so far.
    fn note_canary(&mut self, gate: CanaryGate, counts: &Counts) {
        let answered = gate.answered + counts.answered();
        let accepted = gate.answered - gate.failed + counts.accepted;
        let failed = answered - accepted;
        self.record.held_reasons = vec![format!(
            "of the {answered} rows of the canary {failed} were not accepted, above canary_max_rejects = {}; no others \
             were sent",
            percent(gate.most)
        )];
        (self.record.counts.accepted, self.record.counts.rejected) = (accepted, failed);
        self.record.exit_code = Some(HELD);
    }

    fn too_many_rejected(&self, counts: &Counts) -> RunFailure {
        let Counts { rejected, .. } = *counts;
        RunFailure {
            class: String::from(GUARD),
            message: format!(
                "{rejected} rows were refused, above max_rejected = {} of those answered: the delivery stopped",
                self.ground.sync.guards.max_rejected
            ),
            remedy: Some(format!(
                "see why with `backhaul rejects list {}`; what was not sent comes with the next run",
                self.ground.sync.name
            )),
        }
    }

    /// Counts what became of the rows, and keeps what the mapper refused.
    async fn record_rejects(&mut self, files: &RunFiles, plan: &PlanReader) -> Result<(), RunError> {
        let fates = self.fates(files, plan)?;
        let planned = plan.summary().counts;
        let counts = &mut self.record.counts;
        (counts.accepted, counts.rejected, counts.in_doubt) = (0, planned.rejected, 0);
        fates.count(plan.len(), counts);
        let settled = counts.accepted + counts.in_doubt + (counts.rejected - planned.rejected);
        counts.deferred = planned.sent().saturating_sub(settled + counts.held_back + counts.vetoed);
        counts.removals_sent = 0;
        for op in plan.ops(Some(&[OpKind::Remove])) {
            let op = op?;
            counts.removals_sent += u64::from(op.cause == Cause::Left && fates.fate(op.number) != Settle::Kept);
        }
        let any_in_doubt = counts.in_doubt > 0;
        let doubts = self.runs.doubts(self.ground.sync).await?;
        counts.in_doubt += planned.in_doubt;
        let rejects = [OpKind::Reject];
        let mut group = Vec::new();
        for op in plan.ops(if any_in_doubt { None } else { Some(&rejects) }) {
            let op = op?;
            if let Some(reason) = &op.reason {
                group.push(doubt::listed(&op, reason));
            } else if any_in_doubt
                && op.kind.is_sent()
                && fates.fate(op.number) == Settle::InDoubt
                && doubt::must_be_decided(&doubts, &op)
            {
                group.push(doubt::doubtful(&op));
            }
            if group.len() == REJECTS_AT_ONCE {
                self.keep(&std::mem::take(&mut group)).await?;
            }
        }
        self.keep(&group).await
    }

    /// Seals a log that was left open: an old run is settled as far as it came.
    pub(super) fn seal(&self, files: &RunFiles) -> Result<(), RunError> {
        let path = files.log();
        if !path.exists() {
            return Ok(());
        }
        let replay = Replay::read(&path, &self.record.id)?;
        if replay.sealed().is_none() {
            let log = LogWriter::resume(&path, &self.record.id, &replay).map_err(io_error(&path))?;
            log.seal().map_err(io_error(&path))?;
        }
        Ok(())
    }

    async fn keep(&self, rejects: &[NewReject]) -> Result<(), RunError> {
        let state = &self.runs.state;
        Ok(state.record_rejects(&self.ground.sync.name, &self.record.id, rejects, Timestamp::now()).await?)
    }

    fn fates(&self, files: &RunFiles, plan: &PlanReader) -> Result<Fates, RunError> {
        let sends = plan.summary().counts.sent() > self.record.counts.held_back;
        Ok(Fates::read(&files.log(), &self.record.id, sends)?)
    }

    async fn settle(&self, files: &RunFiles, plan: &PlanReader) -> Result<(), RunError> {
        let fates = self.fates(files, plan)?;
        self.keep_values(plan, &fates)?;
        let (log_digest, log_len) = fates.log();
        let info = SettleInfo { run_id: self.record.id.clone(), log_digest, log_len };
        let store = &self.ground.site.store;
        if plan.header().table_fingerprints.is_some() {
            return self.runs.settle_in_table(store, plan, &fates, info).await;
        }
        settle(store, plan, &fates, info)?;
        Ok(())
    }

    /// Clears the rejects of rows that were accepted, then destroys the plan and the log.
    async fn report(&self, files: &RunFiles, plan: &PlanReader) -> Result<(), RunError> {
        let sync = &self.ground.sync.name;
        let waiting: HashSet<KeyHash> = self.runs.state.reject_keys(sync).await?.into_iter().collect();
        if !waiting.is_empty() {
            let fates = self.fates(files, plan)?;
            let mut accepted = Vec::new();
            for op in plan.ops(None) {
                let op = op?;
                let settled = match op.kind {
                    OpKind::Touch | OpKind::Forget => true,
                    kind => kind.is_sent() && fates.fate(op.number) == Settle::Accepted,
                };
                if settled && waiting.contains(&op.key_hash) {
                    accepted.push(op.key_hash);
                }
            }
            self.runs.state.clear_rejects(sync, &accepted).await?;
        }
        fail::fail_point!("report::cleared", |_| std::process::abort());
        files.destroy()
    }
}

/// How far a delivery came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Every row has what the run can give it.
    Complete,
    /// The operator ended it.
    Interrupted,
    /// Jobs are open at the destination, which does not answer: the next run asks after them first.
    Parked,
    /// Its canary failed.
    Held,
}

/// What the state keeps of a fault.
pub(super) fn failure(fault: &Fault) -> RunFailure {
    RunFailure {
        class: fault.class.as_str().to_owned(),
        message: fault.message.clone(),
        remedy: Some(fault.remedy_text().to_owned()),
    }
}

/// The exit code of a class that the state kept.
fn exit_of_class(class: &str) -> u8 {
    use backhaul_kit::FaultClass as C;
    if class == GUARD {
        return HELD;
    }
    [C::Throttled, C::Transient, C::Auth, C::Config, C::Split, C::Ambiguous, C::Bug]
        .into_iter()
        .find(|c| c.as_str() == class)
        .map_or(1, C::exit_code)
}

/// Where refused rows go while a run delivers.
struct Rejects {
    state: State,
    sync: String,
    run: String,
    /// Of the key hashes.
    seed: u64,
}

#[async_trait::async_trait]
impl RejectSink for Rejects {
    async fn rejected(&self, rows: Vec<RejectedRow>) -> Result<(), Fault> {
        let rejects: Vec<NewReject> = rows
            .into_iter()
            .map(|row| NewReject {
                key_hash: KeyHash::of(&row.key, self.seed),
                key: row.key,
                fingerprint: row.fingerprint,
                class: RejectClass::Destination,
                reason: row.reason,
            })
            .collect();
        self.state
            .record_rejects(&self.sync, &self.run, &rejects, Timestamp::now())
            .await
            .map_err(|e| Fault::bug("refused rows cannot be recorded").remedy(e.remedy()).caused_by(e))
    }
}

/// Rejects that are not due yet, for the differ.
pub(super) async fn withheld(state: &State, sync: &str) -> Result<HashMap<KeyHash, u64>, RunError> {
    let withheld = state.withheld(sync, Timestamp::now()).await?;
    Ok(withheld.into_iter().filter_map(|w| Some((w.key_hash, w.fingerprint?))).collect())
}
