//! Held runs: let go, or given up.

use std::sync::Arc;

use jiff::Timestamp;

use super::advance::{Advance, RunFiles};
use super::connect::Connected;
use super::error::stale;
use super::recover::{age, plan_max_age};
use super::stage::Stage;
use super::{Cancel, Ground, RunError, Runs, Watch, scan, unless_cancelled};
use crate::config::SyncDef;
use crate::diff::PlanReader;
use crate::state::{RunRecord, RunStatus, StateError};

impl Runs {
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
        let ground = Ground { sync, site: &site, watch, cancel };
        let approved = self.approve_on(&ground, run, plan_hash, connected).await;
        site.leave().await;
        approved
    }

    async fn approve_on(
        &self,
        ground: &Ground<'_>,
        run: &str,
        plan_hash: &str,
        connected: Option<Connected>,
    ) -> Result<RunRecord, RunError> {
        let Ground { sync, site, .. } = *ground;
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
            if self.siblings_changed(sync, &plan)? {
                return Err(stale(run, "another sync of its group has delivered since its plan was made"));
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
        let mut advance = Advance { runs: self, ground, record: &mut record };
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
