//! `backhaul run` at work.

use std::sync::Arc;

use serde_json::json;

use super::failure;
use super::watch::Bars;
use crate::cli::runs::RunView;
use crate::cli::screen::{Format, Tone, number, plural};
use crate::cli::{Engine, Exit, FailOn, Failure, RunArgs, Screen};
use crate::config::SyncDef;
use crate::daemon::Shutdown;
use crate::run::{Cancel, RunOptions, Runs};
use crate::state::{RunRecord, RunStatus, Trigger};

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
        full: args.full,
        wait: !args.no_wait,
        trigger: Trigger::Manual,
    };
    let cancel = cancel_on_signals()?;
    let mut records = Vec::new();
    let mut exit = Exit::Ok;
    let mut failures = Vec::new();
    for sync in syncs {
        match runs.run(sync, &options, &Bars::new(screen, &sync.name), cancel.clone()).await {
            Ok(ended) => {
                for record in &ended {
                    exit = exit.worst(exit_of(record, args.fail_on));
                    if screen.format() != Format::Json {
                        screen.print(&line(screen, record))?;
                    }
                }
                records.extend(ended);
            }
            Err(error) => {
                let failed = failure(engine, &error);
                exit = exit.worst(failed.exit);
                if screen.format() != Format::Json {
                    screen
                        .failure(&Failure { message: format!("{}: {}", sync.name, failed.message), ..failed.clone() });
                }
                failures.push(json!({ "sync": sync.name, "error": failed }));
            }
        }
        if *cancel.borrow() {
            exit = Exit::Interrupted;
            break;
        }
    }
    if screen.format() == Format::Json {
        let shown: Vec<RunView> = records.iter().map(RunView::of).collect();
        screen.json(&json!({ "runs": shown, "failures": failures }))?;
    } else if exit == Exit::Interrupted && records.iter().any(|record| !record.status.terminal()) {
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

/// The exit of one run; `--fail-on` forgives rejects below its limit.
fn exit_of(record: &RunRecord, fail_on: Option<FailOn>) -> Exit {
    if !record.status.terminal() && record.status != RunStatus::Held {
        return Exit::Interrupted;
    }
    let exit = Exit::from_code(record.exit_code.unwrap_or(0));
    let counts = &record.counts;
    let sent = counts.accepted + counts.rejected;
    if exit == Exit::Rejected && fail_on.is_some_and(|limit| !limit.is_exceeded(counts.rejected, sent)) {
        return Exit::Ok;
    }
    exit
}

/// One line on what a run came to, and more where something is to be done.
pub(super) fn line(screen: &Screen, record: &RunRecord) -> String {
    let counts = &record.counts;
    let mut parts = Vec::new();
    let mut part = |n: u64, what: &str| {
        if n > 0 {
            parts.push(format!("{} {what}", number(n)));
        }
    };
    part(counts.accepted, "accepted");
    part(counts.rejected, "rejected");
    part(counts.deferred, "deferred");
    part(counts.in_doubt, "in doubt");
    part(counts.withheld, "withheld");
    if parts.is_empty() {
        parts.push(String::from(match record.status {
            RunStatus::Held | RunStatus::Cancelled => "nothing sent",
            status if !status.terminal() => "not finished",
            _ => "nothing to send",
        }));
    }
    let tone = match record.status {
        RunStatus::Succeeded => Tone::Good,
        RunStatus::Failed => Tone::Bad,
        _ => Tone::Warn,
    };
    let mut text = format!(
        "{}  {}  {} compared, {}, {}",
        record.sync,
        screen.paint(tone, record.status.as_str()),
        plural(counts.rows, "row"),
        parts.join(", "),
        plural(record.calls, "call"),
    );
    for reason in &record.held_reasons {
        text.push_str(&format!("\n  {reason}"));
    }
    if record.status == RunStatus::Held {
        let (run, hash) = (&record.id, record.plan_hash.as_deref().unwrap_or("?"));
        text.push_str(&format!("\n  → look: backhaul runs show {run}"));
        text.push_str(&format!("\n  → send it: backhaul approve {run} --plan-hash {hash}"));
        text.push_str(&format!("\n  → or not: backhaul discard {run}"));
    }
    if let Some(error) = &record.error {
        text.push_str(&format!("\n  {}", error.message));
        if let Some(remedy) = &error.remedy {
            text.push_str(&format!("\n  → {remedy}"));
        }
    }
    if counts.rejected > 0 {
        text.push_str(&format!("\n  → see: backhaul rejects list {}", record.sync));
    }
    text
}
