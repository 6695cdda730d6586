//! From a finished plan to the end of its run: deliver → record → settle → report.
//!
//! Each stage can be done again after a crash: delivery goes on from the log, recording replaces, settling
//! knows the run it has settled, reporting clears what may be clear already.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backhaul_kit::{Fault, FaultClass, KeyHash, TypeClass};
use jiff::Timestamp;

use super::connect::Connected;
use super::error::{exit_code, io_error, lost};
use super::fates::Fates;
use super::files::RunFiles;
use super::send::Outcome;
use super::veto::Vetoed;
use super::{Event, Ground, RunError, Runs, Stage, doubt};
use crate::diff::{Cause, OpKind, PlanReader};
use crate::snapshot::log::{LogWriter, Replay};
use crate::snapshot::{Settle, SettleInfo, Settlement as _, settle};
use crate::state::{NewReject, RunRecord, RunStatus, State};

/// The exit code of what a guard stopped.
pub(super) const HELD: u8 = 5;
/// The class of an error that a guard made.
pub(super) const GUARD: &str = "guard";
/// Rejects of the mapper go to the state in groups of this many.
const REJECTS_AT_ONCE: usize = 500;

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

/// The exit code of a class that the state kept.
fn exit_of_class(class: &str) -> u8 {
    if class == GUARD {
        return HELD;
    }
    FaultClass::ALL.iter().find(|known| known.as_str() == class).map_or(1, |known| exit_code(*known))
}

/// Rejects that are not due yet, for the differ.
pub(super) async fn withheld(state: &State, sync: &str) -> Result<HashMap<KeyHash, u64>, RunError> {
    let withheld = state.withheld(sync, Timestamp::now()).await?;
    Ok(withheld.into_iter().filter_map(|w| Some((w.key_hash, w.fingerprint?))).collect())
}
