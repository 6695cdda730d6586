//! `backhaul approve` and `backhaul discard` at work.

use serde_json::json;

use super::ended::text;
use super::failure;
use super::run::cancel_on_signals;
use super::watch::Bars;
use crate::cli::runs::RunView;
use crate::cli::{ApproveArgs, DiscardArgs, Engine, Exit, Failure, Screen};
use crate::run::Runs;
use crate::state::RunRecord;

pub(super) async fn approve(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    args: &ApproveArgs,
) -> Result<Exit, Failure> {
    let record = runs.state().run(&args.run).await?;
    let sync = runs.project().syncs.get(&record.sync).ok_or_else(|| {
        Failure::new(Exit::Config, format!("sync `{}` of run {} is no longer in the project", record.sync, record.id))
            .remedy(format!("put its file back, or `backhaul discard {}`", record.id))
    })?;
    let cancel = cancel_on_signals()?;
    let ended = runs
        .approve(sync, &args.run, &args.plan_hash, &Bars::new(screen, &sync.name), cancel)
        .await
        .map_err(|e| failure(engine, &e))?;
    show(screen, &ended)?;
    Ok(if ended.status.terminal() { Exit::from_code(ended.exit_code.unwrap_or(0)) } else { Exit::Interrupted })
}

pub(super) async fn discard(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    args: &DiscardArgs,
) -> Result<Exit, Failure> {
    let ended = runs.discard(&args.run).await.map_err(|e| failure(engine, &e))?;
    show(screen, &ended)?;
    Ok(Exit::Ok)
}

fn show(screen: &Screen, record: &RunRecord) -> Result<(), Failure> {
    let run = RunView::of(record);
    screen.show(&json!({ "runs": [run] }), |_| text(screen, &run))
}
