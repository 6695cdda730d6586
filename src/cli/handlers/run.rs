//! `backhaul run` at work.

use std::sync::Arc;

use serde_json::json;

use super::ended::{exit_of, text};
use super::failure;
use super::watch::Bars;
use crate::cli::runs::RunView;
use crate::cli::{Engine, Exit, Failure, Format, RunArgs, Screen};
use crate::config::SyncDef;
use crate::daemon::Shutdown;
use crate::run::{Cancel, RunOptions, Runs};
use crate::state::Trigger;

/// Runs the syncs one after the other. A sync that fails does not keep the others from running.
pub(super) async fn run(
    engine: &dyn Engine,
    screen: &Screen,
    runs: &Runs,
    syncs: &[Arc<SyncDef>],
    args: &RunArgs,
) -> Result<Exit, Failure> {
    let options = RunOptions {
        only: args.only.iter().cloned().collect(),
        max_rows: args.max_rows,
        yes: args.yes,
        anew: false,
        canary: args.canary,
        full: args.full,
        wait: !args.no_wait,
        trigger: Trigger::Manual,
    };
    let cancel = cancel_on_signals()?;
    let mut ended = Vec::new();
    let mut exit = Exit::Ok;
    let mut failures = Vec::new();
    for sync in syncs {
        match runs.run(sync, &options, &Bars::new(screen, &sync.name), cancel.clone()).await {
            Ok(records) => {
                for run in records.iter().map(RunView::of) {
                    exit = exit.worst(exit_of(&run, args.fail_on));
                    if screen.format() != Format::Json {
                        screen.print(&text(screen, &run))?;
                    }
                    ended.push(run);
                }
            }
            Err(error) => {
                let failed = failure(engine, &error);
                exit = exit.worst(failed.exit);
                screen
                    .complain_of(&Failure { message: format!("{}: {}", sync.name, failed.message), ..failed.clone() });
                failures.push(json!({ "sync": sync.name, "error": failed }));
            }
        }
        if *cancel.borrow() {
            exit = Exit::Interrupted;
            break;
        }
    }
    if screen.format() == Format::Json {
        screen.json(&json!({ "runs": ended, "failures": failures }))?;
    }
    if exit == Exit::Interrupted && ended.iter().any(|run| !run.terminal) {
        screen.note("interrupted: what was in flight is finished and logged; the next run goes on from there");
    }
    Ok(exit)
}

/// A cancel flag that the first SIGINT or SIGTERM raises.
pub(super) fn cancel_on_signals() -> Result<Cancel, Failure> {
    let shutdown =
        Shutdown::on_signals().map_err(|e| Failure::new(Exit::Failed, format!("cannot listen for Ctrl-C: {e}")))?;
    Ok(cancel_on(shutdown))
}

/// A cancel flag that the shutdown raises.
pub(super) fn cancel_on(mut shutdown: Shutdown) -> Cancel {
    let (raise, cancel) = tokio::sync::watch::channel(false);
    tokio::spawn(async move {
        shutdown.wait().await;
        // Where nobody listens any more there is nothing left to cancel.
        raise.send_replace(true);
    });
    cancel
}
