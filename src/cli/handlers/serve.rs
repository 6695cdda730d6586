//! `backhaul serve` at work.

use std::sync::Arc;

use async_trait::async_trait;

use super::run::cancel_on;
use super::watch::Silent;
use crate::cli::{Exit, Failure, Screen};
use crate::daemon::{self, Resumable, Runner, Scheduled, Shutdown, Stop, SystemClock};
use crate::run::{Cancel, RunOptions, Runs};
use crate::state::{RunError as RunFailure, RunStatus, StateError, Trigger};

pub(super) async fn serve(screen: &Screen, runs: Runs) -> Result<Exit, Failure> {
    let shutdown =
        Shutdown::on_signals().map_err(|e| Failure::new(Exit::Failed, format!("cannot listen for signals: {e}")))?;
    let scheduled = Scheduled::of(runs.project());
    let state = runs.state().clone();
    let runner = Arc::new(Serving { runs, cancel: cancel_on(shutdown.clone()) });
    let drained = daemon::serve(&scheduled, runner, &state, &SystemClock, shutdown).await;
    if drained.abandoned > 0 {
        screen.note("some runs did not come to rest in time; the next start takes them up");
    }
    Ok(match drained.by {
        Stop::Terminate => Exit::Ok,
        Stop::Interrupt => Exit::Interrupted,
    })
}

struct Serving {
    runs: Runs,
    cancel: Cancel,
}

#[async_trait]
impl Runner for Serving {
    async fn resumable(&self) -> Result<Vec<Resumable>, StateError> {
        self.runs.resumable().await
    }

    async fn run(&self, sync: &str, trigger: Trigger) -> Result<RunStatus, RunFailure> {
        let Some(sync) = self.runs.project().syncs.get(sync) else { return Err(gone(sync)) };
        let options = RunOptions { wait: true, trigger, ..RunOptions::default() };
        let ended = self.runs.run(sync, &options, &Silent, self.cancel.clone()).await.map_err(|e| e.failure())?;
        Ok(ended.last().map_or(RunStatus::Queued, |record| record.status))
    }

    async fn resume(&self, run: &str) -> Result<RunStatus, RunFailure> {
        let ended = self.runs.resume(run, &Silent, self.cancel.clone()).await.map_err(|e| e.failure())?;
        Ok(ended.status)
    }
}

fn gone(sync: &str) -> RunFailure {
    RunFailure { class: String::from("config"), message: format!("sync `{sync}` is not in the project"), remedy: None }
}
