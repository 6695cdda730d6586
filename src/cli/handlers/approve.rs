//! `backhaul approve`, `backhaul discard` and `backhaul replan` at work.

use serde_json::json;

use super::ended::{exit_of, text};
use super::failure;
use super::run::cancel_on_signals;
use super::watch::{Bars, Silent};
use crate::cli::runs::RunView;
use crate::cli::{AllowArg, ApproveArgs, DiscardArgs, Engine, Exit, Failure, ReplanArgs, Screen};
use crate::run::{Allow, Approval, Runs};

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
    let allow = args.allow.clone().map(|AllowArg { raised, value }| Allow { raised, value, lasts: args.lasts });
    let approval = Approval { plan_hash: args.plan_hash.clone(), allow };
    let cancel = cancel_on_signals()?;
    let ended = runs
        .approve(sync, &args.run, &approval, &Bars::new(screen, &sync.name), cancel)
        .await
        .map_err(|e| failure(engine, &e))?;
    show(screen, &[RunView::of(&ended)])?;
    Ok(if ended.status.terminal() { Exit::from_code(ended.exit_code.unwrap_or(0)) } else { Exit::Interrupted })
}

pub(super) async fn discard(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    args: &DiscardArgs,
) -> Result<Exit, Failure> {
    let ended = runs.discard(&args.run, &Silent, cancel_on_signals()?).await.map_err(|e| failure(engine, &e))?;
    show(screen, &[RunView::of(&ended)])?;
    Ok(Exit::Ok)
}

pub(super) async fn replan(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    args: &ReplanArgs,
) -> Result<Exit, Failure> {
    let sync = runs.state().run(&args.run).await?.sync;
    let ended = runs
        .replan(&args.run, &Bars::new(screen, &sync), cancel_on_signals()?)
        .await
        .map_err(|e| failure(engine, &e))?;
    let views: Vec<RunView> = ended.iter().map(RunView::of).collect();
    show(screen, &views)?;
    Ok(views.last().map_or(Exit::Interrupted, |run| exit_of(run, None)))
}

fn show(screen: &Screen, runs: &[RunView]) -> Result<(), Failure> {
    screen.show(&json!({ "runs": runs }), |_| runs.iter().map(|run| text(screen, run)).collect::<Vec<_>>().join("\n"))
}
