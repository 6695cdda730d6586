//! Held runs: let go, given up, or judged anew.

use std::sync::Arc;

use backhaul_kit::TypeClass;
use jiff::{SignedDuration, Timestamp};

use super::advance::Advance;
use super::connect::{Connected, Operations, check_identity, connect};
use super::error::{RunError, stale};
use super::files::RunFiles;
use super::holds::Judged;
use super::recover::{age, plan_max_age};
use super::stage::Stage;
use super::{Cancel, Ground, RunOptions, Runs, Watch, scan, unless_cancelled};
use crate::config::SyncDef;
use crate::diff::PlanReader;
use crate::guard::Raised;
use crate::state::{Allowance, RunRecord, RunStatus, StateError};

/// What an operator approves.
#[derive(Clone, Debug)]
pub struct Approval {
    /// The hash of the plan that was looked at.
    pub plan_hash: String,
    /// A limit that is raised with it.
    pub allow: Option<Allow>,
}

/// A limit that is raised. The plan must be within it.
#[derive(Clone, Debug, PartialEq)]
pub struct Allow {
    /// Which, and to what.
    pub raised: Raised,
    /// What it is raised to, as it was written.
    pub value: String,
    /// For how long; `None` is for the approved plan alone.
    pub lasts: Option<SignedDuration>,
}

/// The plan of a run that is not over.
pub struct StoredPlan {
    /// The run.
    pub record: RunRecord,
    /// Its sync.
    pub sync: Arc<SyncDef>,
    /// The plan.
    pub plan: PlanReader,
    /// About how many calls it takes: full batches of every kind.
    pub calls: u64,
}

impl Runs {
    /// Lets a held run go: delivers exactly the plan of that hash, once.
    ///
    /// # Errors
    /// A run that is not held, another plan hash, a plan that is too old, or beyond the limit that was raised for it,
    /// or whose snapshot, mapping or account has changed since.
    pub async fn approve(
        &self,
        sync: &Arc<SyncDef>,
        run: &str,
        approval: &Approval,
        watch: &dyn Watch,
        cancel: Cancel,
    ) -> Result<RunRecord, RunError> {
        let (site, connected) = unless_cancelled(&cancel, self.enter(sync, true)).await?;
        let ground = Ground { sync, site: &site, watch, cancel };
        let approved = self.approve_on(&ground, run, approval, connected).await;
        site.leave().await;
        approved
    }

    async fn approve_on(
        &self,
        ground: &Ground<'_>,
        run: &str,
        approval: &Approval,
        connected: Option<Connected>,
    ) -> Result<RunRecord, RunError> {
        let Ground { sync, site, .. } = *ground;
        let mut record = self.state.run(run).await?;
        let (mut connected, mut vetoed) = (connected, None);
        if record.status == RunStatus::Held {
            let (plan, sends) = self.check_approval(ground, &record, approval).await?;
            let there = match connected {
                Some(connected) => connected,
                None => unless_cancelled(&ground.cancel, connect(sync, self.kit.clone())).await?,
            };
            check_identity(&plan.header().binding, &there.binding, &sync.name)?;
            there.check_plan(sync, &plan, &sends)?;
            connected = Some(there);
            vetoed = self.vetoed(ground, run, &plan).await?;
        }
        let now = Timestamp::now();
        match self.state.approve(run, &approval.plan_hash, now).await {
            // An earlier process approved it and ended before the run went on.
            Ok(()) | Err(StateError::AlreadyApproved { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        fail::fail_point!("approve::written", |_| std::process::abort());
        if let Some(Allow { raised, value, lasts: Some(lasts) }) = &approval.allow {
            let until = now.saturating_add(*lasts).unwrap_or(Timestamp::MAX);
            let (limit, value) = (raised.limit.clone(), value.clone());
            self.state.allow(&sync.name, &Allowance { limit, value, until, run: run.to_owned() }).await?;
        }
        self.state.take_approval(run, &approval.plan_hash, Timestamp::now()).await?;
        fail::fail_point!("approve::used", |_| std::process::abort());
        record.exit_code = None;
        let mut advance = Advance { runs: self, ground, record: &mut record, vetoed, sends: Vec::new() };
        let result = match advance.begin(Stage::Deliver).await {
            Ok(()) => advance.finish(connected).await,
            Err(error) => Err(error),
        };
        self.close(site, &mut record, result).await?;
        Ok(record)
    }

    /// The held plan, if it still fits the world that it was made for, and the limit that is raised for it; with the type
    /// that each of its fields sends.
    async fn check_approval(
        &self,
        ground: &Ground<'_>,
        record: &RunRecord,
        approval: &Approval,
    ) -> Result<(PlanReader, Vec<Option<TypeClass>>), RunError> {
        let Ground { sync, site, .. } = *ground;
        let run = record.id.as_str();
        if age(record) > plan_max_age(sync) {
            return Err(stale(run, "its plan is too old"));
        }
        let plan = PlanReader::open(&RunFiles::new(&site.folder, run).plan(), &self.key)?;
        let snapshot = site.store.snapshot()?;
        if plan.header().base_id != snapshot.base_id() {
            return Err(stale(run, "the snapshot has changed since its plan was made"));
        }
        let opened = scan::open(&self.project, sync, &self.kit).await?;
        if plan.header().config_digest != opened.digest {
            return Err(stale(run, "the mapping has changed since its plan was made"));
        }
        if self.siblings_changed(sync, &plan)? {
            return Err(stale(run, "another sync of its group has delivered since its plan was made"));
        }
        // A plan that cannot be sent to its end is found before its first row goes out.
        plan.verify()?;
        let Some(Allow { raised, value, .. }) = &approval.allow else { return Ok((plan, opened.sends)) };
        let judged =
            Judged { plan: &plan, accepted: snapshot.accepted(), findings: &[], yes: true, raised: Some(raised) };
        let holds = self.holds(sync, &judged).await?;
        match holds.into_iter().find(|hold| raised.governs(&hold.code, &sync.guards)) {
            None => Ok((plan, opened.sends)),
            Some(hold) => Err(RunError::Refused {
                message: format!("run {run} cannot be approved with {} = {value}: {}", raised.limit, hold.text),
                remedy: String::from("look at the plan again; raise the limit further, or approve it without --allow"),
                exit: 5,
            }),
        }
    }

    /// Gives a held run up; its plan is destroyed. Of a run whose canary was sent that much is settled.
    ///
    /// # Errors
    /// A run that is not held.
    pub async fn discard(&self, run: &str, watch: &dyn Watch, cancel: Cancel) -> Result<RunRecord, RunError> {
        let record = self.state.run(run).await?;
        let files = RunFiles::new(&self.folder(&record.sync), run);
        if record.status != RunStatus::Held || !files.log().exists() {
            let record = self.state.discard(run, Timestamp::now()).await?;
            files.destroy()?;
            return Ok(record);
        }
        let sync = self.sync_of(&record)?;
        let (site, _) = unless_cancelled(&cancel, self.enter(&sync, true)).await?;
        let ground = Ground { sync: &sync, site: &site, watch, cancel };
        // Another process may have decided while we waited.
        let settled = match self.state.run(run).await {
            Ok(record) if record.status == RunStatus::Held => self.recover(&ground, record, true).await,
            Ok(RunRecord { status, .. }) => Err(StateError::NotHeld { run: run.to_owned(), status }.into()),
            Err(error) => Err(error.into()),
        };
        site.leave().await;
        settled?;
        Ok(self.state.run(run).await?)
    }

    /// Gives a held run up, scans and judges anew. The records are as those of [`Runs::run`].
    ///
    /// # Errors
    /// A run that is not held; otherwise as [`Runs::run`].
    pub async fn replan(&self, run: &str, watch: &dyn Watch, cancel: Cancel) -> Result<Vec<RunRecord>, RunError> {
        let record = self.state.run(run).await?;
        if record.status != RunStatus::Held {
            return Err(StateError::NotHeld { run: run.to_owned(), status: record.status }.into());
        }
        let options = RunOptions { anew: true, ..RunOptions::default() };
        self.run(&self.sync_of(&record)?, &options, watch, cancel).await
    }

    /// The plan of a run that is not over, to be looked at.
    ///
    /// # Errors
    /// There is no such run, it has no plan (any more), or the plan cannot be read by the present mapping.
    pub async fn stored_plan(&self, run: &str) -> Result<StoredPlan, RunError> {
        let record = self.state.run(run).await?;
        let sync = self.sync_of(&record)?;
        let path = RunFiles::new(&self.folder(&sync.name), run).plan();
        if !path.exists() {
            return Err(RunError::Refused {
                message: format!("run {run} is {} and has no plan", record.status),
                remedy: format!("a plan is destroyed when its run ends; see `backhaul runs show {run}`"),
                exit: 64,
            });
        }
        let plan = PlanReader::open(&path, &self.key)?;
        if !plan.header().fields.iter().eq(sync.fields.iter().map(|field| &field.target)) {
            return Err(RunError::Refused {
                message: format!(
                    "the mapping of sync `{}` has changed since the plan of run {run} was made",
                    sync.name
                ),
                remedy: format!("`backhaul replan {run}` scans and judges anew"),
                exit: 5,
            });
        }
        let calls = Operations::calls(&sync, &plan.summary().counts);
        Ok(StoredPlan { record, sync, plan, calls })
    }
}
