//! The plan goes out: from where its log stands to where it is sealed, or to what stopped it.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::{Fault, KeyHash, Run};
use jiff::Timestamp;

use super::advance::{Advance, GUARD, HELD};
use super::canary::CanaryRows;
use super::connect::{Connected, check_identity, connect};
use super::error::{exit_code, io_error};
use super::files::RunFiles;
use super::leased::Leased;
use super::phases::{Going, phases};
use super::{RunError, note_summary, unless_cancelled};
use crate::config::percent;
use crate::deliver::{CanaryGate, Counts, Halt, Job, Policy, RejectSink, RejectedRow, deliver};
use crate::diff::PlanReader;
use crate::snapshot::log::{LogWriter, Replay};
use crate::state::{NewReject, RejectClass, RunError as RunFailure, RunStatus, State};

/// A process that is killed forgets the calls of no longer than this, as far as a day's quota goes.
const QUOTAS_KEPT_EVERY: Duration = Duration::from_secs(5);

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

impl Advance<'_> {
    /// Delivers the plan from where its log stands; where it does not send rows, it asks after open jobs only.
    pub(super) async fn deliver(
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
        let warnings = connected.warnings.iter().filter(|warning| !self.record.warnings.contains(warning));
        let warnings: Vec<String> = warnings.cloned().collect();
        self.record.warnings.extend(warnings);
        self.record.identity = Some(connected.binding.identity.clone());
        let path = files.log();
        let already = if path.exists() { Some(Replay::read(&path, &self.record.id)?) } else { None };
        if already.as_ref().is_some_and(|replay| replay.sealed().is_some()) {
            return Ok(Outcome::Complete);
        }
        connected.check_plan(self.ground.sync, plan, &self.sends)?;
        let log = match &already {
            Some(replay) => LogWriter::resume(&path, &self.record.id, replay),
            None => LogWriter::create(&path, &self.record.id),
        };
        let log = log.map_err(io_error(&path))?;
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
            self.record.exit_code = Some(delivered.stopped_by.map_or(75, |fault| exit_code(fault.class)));
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
            let kept = self.runs.state.keep_quotas(&self.runs.kit.limiters.used(), Timestamp::now()).await;
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
}

/// What the state keeps of a fault.
fn failure(fault: &Fault) -> RunFailure {
    RunFailure {
        class: fault.class.as_str().to_owned(),
        message: fault.message.clone(),
        remedy: Some(fault.remedy_text().to_owned()),
    }
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
