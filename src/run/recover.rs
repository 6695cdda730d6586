//! Runs that were interrupted, and those that fail.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::{Fault, TypeClass};
use jiff::Timestamp;

use super::advance::Advance;
use super::error::lost;
use super::files::RunFiles;
use super::send::Outcome;
use super::site::Site;
use super::stage::Stage;
use super::{Cancel, Ground, RunError, RunOptions, Runs, Watch, scan, unless_cancelled};
use crate::config::{Schedule, SyncDef};
use crate::daemon::Resumable;
use crate::diff::PlanReader;
use crate::state::{RunRecord, RunStatus, StateError, Trigger};

/// The longest a plan may wait, unless its sync's interval asks for less.
const PLAN_MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// A plan may always wait this long.
const PLAN_MIN_AGE: Duration = Duration::from_secs(3600);

impl Runs {
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

    /// Brings one interrupted run to its end. One that a schedule had started and that had no plan yet, or whose plan is
    /// not gone on with because people may have changed their minds, is scanned again, as a new run; the record is of that one then.
    ///
    /// # Errors
    /// As [`Runs::run`].
    pub async fn resume(&self, run: &str, watch: &dyn Watch, cancel: Cancel) -> Result<RunRecord, RunError> {
        let record = self.state.run(run).await?;
        let sync = self.sync_of(&record)?;
        let (site, _) = unless_cancelled(&cancel, self.enter(&sync, true)).await?;
        // Another process may have brought it to its end while we waited.
        let record = self.state.run(run).await?;
        let ground = Ground { sync: &sync, site: &site, watch, cancel };
        let recovered = if record.status.terminal() {
            Ok(record)
        } else if record.trigger != Trigger::Manual
            && (record.stage == Stage::Scan.as_str() || record.stage == Stage::Deliver.as_str() && sync.people.decide())
        {
            // Its slot is used: without another scan the sync would wait for the next one.
            let options = RunOptions { trigger: record.trigger, ..RunOptions::default() };
            Box::pin(self.run_on(&ground, &options, None)).await.map(|mut ended| ended.pop().unwrap_or(record))
        } else {
            match Box::pin(self.recover(&ground, record, false)).await {
                Ok(_) => self.state.run(run).await.map_err(RunError::from),
                Err(error) => Err(error),
            }
        };
        site.leave().await;
        recovered
    }

    /// The sync of a run.
    pub(super) fn sync_of(&self, record: &RunRecord) -> Result<Arc<SyncDef>, RunError> {
        self.project.syncs.get(&record.sync).cloned().ok_or_else(|| RunError::Refused {
            message: format!("sync `{}` of run {} is no longer in the project", record.sync, record.id),
            remedy: String::from("put its file back: what the run sent must be settled"),
            exit: 78,
        })
    }

    /// The runs of a sync that have not ended.
    pub(super) async fn unfinished(&self, sync: &str) -> Result<Vec<RunRecord>, RunError> {
        let all = self.state.unfinished_runs().await?;
        Ok(all.into_iter().filter(|run| run.sync == sync).collect())
    }

    /// Brings an unfinished run to its end. A held one stays as it is until it is too old, or is to be judged
    /// again; `None` where there was nothing to report.
    pub(super) async fn recover(
        &self,
        ground: &Ground<'_>,
        mut record: RunRecord,
        judge_again: bool,
    ) -> Result<Option<RunRecord>, RunError> {
        let files = RunFiles::new(&ground.site.folder, &record.id);
        let stage: Stage = record.stage.parse().map_err(Fault::bug)?;
        let old = age(&record) > plan_max_age(ground.sync);
        match stage {
            Stage::Held if !old && !judge_again => return Ok(Some(record)),
            Stage::Held if !files.log().exists() => {
                self.state.discard(&record.id, Timestamp::now()).await?;
                files.destroy()?;
                return Ok(None);
            }
            // Nothing was sent: the next scan has fresher values.
            Stage::Scan | Stage::Done => return self.give_up(&files, &mut record).await.map(|()| None),
            // Against a snapshot that has nothing no row can look unchanged: whatever was sent is sent again.
            Stage::Deliver | Stage::Record | Stage::Settle
                if files.are_gone() && ground.site.store.snapshot()?.binding().is_none() =>
            {
                let gone = RunError::Gone { run: record.id.clone() };
                return self.fail(&files, &mut record, &gone).await.map(|()| None);
            }
            Stage::Deliver if !files.log().exists() && (old || !files.is_plan_sound(&self.key)) => {
                return self.give_up(&files, &mut record).await.map(|()| None);
            }
            Stage::Held | Stage::Deliver | Stage::Record | Stage::Settle | Stage::Report => {}
        }
        let sends = match stage {
            Stage::Deliver if !old => self.sends_on(ground, &record.id, &files).await?,
            // Of a held run the canary was sent.
            Stage::Deliver | Stage::Held => None,
            _ => Some(Vec::new()),
        };
        let settles = sends.is_none();
        if settles && !files.log().exists() {
            return self.give_up(&files, &mut record).await.map(|()| None);
        }
        let sends = sends.unwrap_or_default();
        let mut advance = Advance { runs: self, ground, record: &mut record, vetoed: None, sends };
        if settles {
            if advance.ask_after_jobs(&files).await? == Outcome::Interrupted {
                return Ok(Some(record));
            }
            // Sealed first: what is recorded and settled is a log that is known to be whole.
            advance.seal(&files)?;
            advance.begin(Stage::Record).await?;
        }
        advance.finish(None).await?;
        Ok(Some(record))
    }

    /// The type that each field of an interrupted plan sends. `None` where the plan must not be sent any more: who may be
    /// sent is to be asked again, the mapping has changed since it was made, or another sync of the group has delivered
    /// what its removals might take away.
    async fn sends_on(
        &self,
        ground: &Ground<'_>,
        run: &str,
        files: &RunFiles,
    ) -> Result<Option<Vec<Option<TypeClass>>>, RunError> {
        if ground.sync.people.decide() {
            return Ok(None);
        }
        let opened = PlanReader::open(&files.plan(), &self.key);
        let plan = opened.map_err(|e| lost(run, &ground.sync.name, &e))?;
        if self.siblings_changed(ground.sync, &plan)? {
            return Ok(None);
        }
        let opened = unless_cancelled(&ground.cancel, scan::open(&self.project, ground.sync, &self.kit)).await?;
        Ok((plan.header().config_digest == opened.digest).then_some(opened.sends))
    }

    /// Ends a run that failed before anything was sent; one that failed later goes on from its stage.
    pub(super) async fn close(
        &self,
        site: &Site,
        record: &mut RunRecord,
        result: Result<(), RunError>,
    ) -> Result<(), RunError> {
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
}

/// How long ago the run began.
pub(super) fn age(record: &RunRecord) -> Duration {
    Duration::try_from(Timestamp::now().duration_since(record.started)).unwrap_or(Duration::ZERO)
}

/// As the sync says; else min(24 h, 4 × interval), at least one hour.
pub(super) fn plan_max_age(sync: &SyncDef) -> Duration {
    if let Some(age) = sync.plan_max_age {
        return age;
    }
    match &sync.schedule {
        Schedule::Every(every) => every.saturating_mul(4).clamp(PLAN_MIN_AGE, PLAN_MAX_AGE),
        Schedule::Manual | Schedule::Cron { .. } | Schedule::After(_) => PLAN_MAX_AGE,
    }
}
