//! `backhaul plan` at work.

mod request;
mod sample;
mod view;

use std::sync::Arc;

use serde_json::json;

use super::failure;
use super::run::cancel_on_signals;
use super::watch::Bars;
use crate::cli::runs::RunView;
use crate::cli::{Engine, Exit, Failure, Format, PlanArgs, Screen, ShowPlanArgs};
use crate::config::SyncDef;
use crate::run::{Cancel, Preview, RunOptions, Runs};
use view::PlanView;

pub(super) async fn plan(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    syncs: &[Arc<SyncDef>],
    args: &PlanArgs,
) -> Result<Exit, Failure> {
    if args.request.is_some() && syncs.len() != 1 {
        return Err(Failure::usage("--request shows a row of one sync").remedy("name one sync"));
    }
    let mut views = Vec::new();
    let mut pending = false;
    let cancel = cancel_on_signals()?;
    for sync in syncs {
        let preview = preview(engine, screen, runs, sync, &cancel).await?;
        pending |= preview.plan.summary().counts.sent() > 0;
        if let Some(key) = &args.request {
            request::show(engine, screen, runs, &preview, key)?;
            continue;
        }
        let view = PlanView::of(&preview, args.sample).map_err(|e| failure(engine, &e.into()))?;
        if screen.format() != Format::Json {
            // A plan of many rows takes its time: each is shown when it is there.
            let gap = if views.is_empty() { "" } else { "\n" };
            screen.print(&format!("{gap}{}", view.text(screen.format())))?;
        }
        views.push(view);
    }
    if screen.format() == Format::Json && args.request.is_none() {
        screen.json(&json!({ "plans": views }))?;
    }
    Ok(if args.detailed_exitcode && pending { Exit::Pending } else { Exit::Ok })
}

async fn preview(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    sync: &Arc<SyncDef>,
    cancel: &Cancel,
) -> Result<Preview, Failure> {
    let watch = Bars::new(screen, &sync.name);
    runs.plan(sync, &RunOptions::default(), &watch, cancel).await.map_err(|e| failure(engine, &e))
}

/// `plan show`: the stored plan of a run.
pub(super) async fn show(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    args: &ShowPlanArgs,
) -> Result<Exit, Failure> {
    let stored = runs.stored_plan(&args.run).await.map_err(|e| failure(engine, &e))?;
    let run = RunView::of(&stored.record);
    let view = PlanView::of_run(&stored, &run, args.sample).map_err(|e| failure(engine, &e.into()))?;
    screen.show(&json!({ "plan": view, "run": run }), |format| view.text(format))?;
    Ok(Exit::Ok)
}
