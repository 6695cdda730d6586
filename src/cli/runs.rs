//! `backhaul runs`.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::screen::{Align, Format, Table, block, duration, json, moment, number, percent, relative};
use super::{Engine, Exit, Failure, Screen, project, select};
use crate::config::Project;
use crate::diff::CauseCounts;
use crate::state::{FieldValues, RunCounts, RunError, RunRecord, RunStatus, StateError, Trigger};

const EXAMPLES: &str = "\
Examples:
  backhaul runs                              the latest runs of all syncs
  backhaul runs vip-crm --limit 50
  backhaul runs show 20261120T123456-7f3a";

/// List runs, or show one
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub(super) struct Args {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only this sync
    #[arg(value_name = "SYNC")]
    sync: Option<String>,
    /// The latest so many
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: u32,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Show one run
    Show {
        /// Its id
        #[arg(value_name = "RUN")]
        run: String,
    },
}

/// A run as programs see it.
#[derive(Debug, Serialize)]
pub(super) struct RunView {
    pub(super) id: String,
    pub(super) sync: String,
    pub(super) status: RunStatus,
    pub(super) terminal: bool,
    pub(super) stage: String,
    pub(super) trigger: Trigger,
    #[serde(serialize_with = "json::time")]
    pub(super) started: Timestamp,
    #[serde(serialize_with = "json::time")]
    pub(super) updated: Timestamp,
    #[serde(serialize_with = "json::some_time")]
    pub(super) finished: Option<Timestamp>,
    pub(super) counts: RunCounts,
    pub(super) calls: u64,
    pub(super) plan_hash: Option<String>,
    pub(super) account: Option<String>,
    pub(super) held_reasons: Vec<String>,
    pub(super) warnings: Vec<String>,
    /// Of fields that refused values.
    pub(super) fields: Vec<FieldValues>,
    pub(super) error: Option<RunError>,
    pub(super) exit: Option<u8>,
}

impl RunView {
    pub(super) fn of(run: &RunRecord) -> Self {
        Self {
            id: run.id.clone(),
            sync: run.sync.clone(),
            status: run.status,
            terminal: run.status.terminal(),
            stage: run.stage.clone(),
            trigger: run.trigger,
            started: run.started,
            updated: run.updated,
            finished: run.finished,
            counts: run.counts,
            calls: run.calls,
            plan_hash: run.plan_hash.clone(),
            account: run.identity.clone(),
            held_reasons: run.held_reasons.clone(),
            warnings: run.warnings.clone(),
            fields: run.fields.clone(),
            error: run.error.clone(),
            exit: run.exit_code,
        }
    }

    /// How long it took, or has taken.
    fn took(&self, now: Timestamp) -> Duration {
        Duration::try_from(self.finished.unwrap_or(now).duration_since(self.started)).unwrap_or(Duration::ZERO)
    }
}

/// What to do about a held run.
pub(super) fn held_steps(run: &RunView) -> String {
    let id = &run.id;
    format!("  → look: backhaul plan show {id}\n{}", decision_steps(run))
}

/// What to decide about a held run that was looked at.
pub(super) fn decision_steps(run: &RunView) -> String {
    let (id, hash) = (&run.id, run.plan_hash.as_deref().unwrap_or("HASH"));
    format!(
        "  → send it: backhaul approve {id} --plan-hash {hash}\n  \
         → give it up: backhaul discard {id}\n  → scan and judge anew: backhaul replan {id}"
    )
}

/// ` (3 withdrawn, 2 suppressed)`; nothing where there are none.
pub(super) fn in_brackets(counts: CauseCounts) -> String {
    let text = counts.text();
    if text.is_empty() { text } else { format!(" ({text})") }
}

/// What its owner should know although nothing was held.
pub(super) fn warnings(run: &RunView) -> impl Iterator<Item = String> {
    let fields = run.fields.iter().map(ToString::to_string);
    run.warnings.iter().cloned().chain(fields).map(|warning| format!("warning: {warning}"))
}

/// What to do about refused rows.
pub(super) fn rejects_step(sync: &str) -> String {
    format!("  → see why: backhaul rejects list {sync}")
}

#[derive(Debug, Serialize)]
struct Listing {
    runs: Vec<RunView>,
}

#[derive(Debug, Serialize)]
struct Shown {
    run: RunView,
}

pub(super) async fn runs(
    screen: &Screen,
    engine: &dyn Engine,
    project: &Project,
    args: &Args,
) -> Result<Exit, Failure> {
    let state = project::open_existing_state(engine, project).await?;
    let now = Timestamp::now();
    if let Some(Action::Show { run }) = &args.action {
        let state = state.ok_or_else(|| StateError::NoSuchRun(run.clone()))?;
        let shown = Shown { run: RunView::of(&state.run(run).await?) };
        screen.show(&shown, |format| block(&shown_text(&shown.run, now), format))?;
        return Ok(Exit::Ok);
    }
    let records = match &state {
        Some(state) => state.runs(args.sync.as_deref(), args.limit).await?,
        None => Vec::new(),
    };
    // A sync that is no longer in the project may still have runs.
    if let Some(sync) = args.sync.as_deref().filter(|_| records.is_empty()) {
        select::one(project, sync)?;
    }
    let listing = Listing { runs: records.iter().map(RunView::of).collect() };
    screen.show(&listing, |format| list_text(&listing, format, now))?;
    Ok(Exit::Ok)
}

fn list_text(listing: &Listing, format: Format, now: Timestamp) -> String {
    if listing.runs.is_empty() {
        return String::from("no runs yet: start one with `backhaul run SYNC`");
    }
    let left = |name| (name, Align::Left);
    let right = |name| (name, Align::Right);
    let mut table = Table::new(&[
        left("run"),
        left("sync"),
        left("status"),
        left("started"),
        right("took"),
        right("rows"),
        right("planned"),
        right("accepted"),
        right("rejected"),
        right("calls"),
    ]);
    for run in &listing.runs {
        let counts = &run.counts;
        table.row([
            run.id.clone(),
            run.sync.clone(),
            run.status.as_str().into(),
            relative(run.started, now),
            duration(run.took(now)),
            number(counts.rows),
            number(counts.added + counts.changed + counts.removed + counts.refreshed),
            number(counts.accepted),
            number(counts.rejected),
            number(run.calls),
        ]);
    }
    table.render(format)
}

fn shown_text(run: &RunView, now: Timestamp) -> String {
    let mut lines = vec![format!("run {} of {}: {}", run.id, run.sync, run.status)];
    let mut fact = |name: &str, value: String| lines.push(format!("{name:<11}{value}"));
    fact("started", format!("{} ({}, {})", moment(run.started), relative(run.started, now), run.trigger.as_str()));
    match run.finished {
        Some(finished) => fact("finished", format!("{} (took {})", moment(finished), duration(run.took(now)))),
        None => fact("stage", run.stage.clone()),
    }
    if let Some(account) = &run.account {
        fact("account", account.clone());
    }
    let counts = &run.counts;
    let mut rows = format!("{} in the model, {} unchanged", number(counts.rows), number(counts.unchanged));
    for (n, word) in [(counts.touched, "touched"), (counts.withheld, "withheld"), (counts.waiting, "waiting")] {
        if n > 0 {
            rows.push_str(&format!(", {} {word}", number(n)));
        }
    }
    fact("rows", rows);
    if counts.ineligible.total() > 0 {
        let mut people =
            format!("{} not to be sent{}", number(counts.ineligible.total()), in_brackets(counts.ineligible));
        if counts.frozen > 0 {
            people.push_str(&format!(", {} left as they are at the destination", number(counts.frozen)));
        }
        fact("people", people);
    }
    let planned = [
        (counts.added, "+ ", " added"),
        (counts.changed, "~ ", " changed"),
        (counts.removed, "− ", " removed"),
        (counts.refreshed, "↻ ", " refreshed"),
    ];
    let sent: u64 = planned.iter().map(|(n, ..)| n).sum();
    let plan = listed(&planned).unwrap_or_else(|| String::from("nothing to send"));
    let causes = if counts.removed_for.total() > 0 {
        format!("   of the removed{}", in_brackets(counts.removed_for))
    } else {
        String::new()
    };
    fact("plan", plan + &causes);
    if sent > 0 {
        let fates = [
            (counts.accepted, "✓ ", " accepted"),
            (counts.rejected, "✗ ", " rejected"),
            (counts.deferred, "… ", " deferred"),
            (counts.in_doubt, "? ", " in doubt"),
            (counts.held_back, "‖ ", " held back"),
            (counts.vetoed, "‖ ", " not to be sent any more"),
        ];
        let mut text = listed(&fates).unwrap_or_else(|| String::from("nothing sent"));
        if counts.rejected > 0 {
            text.push_str(&format!("   ({} rejected)", percent(counts.rejected, sent)));
        }
        fact("result", text);
    }
    fact("calls", number(run.calls));
    if let Some(hash) = &run.plan_hash {
        fact("plan hash", hash.clone());
    }
    if let Some(exit) = run.exit {
        fact("exit", exit.to_string());
    }
    for reason in &run.held_reasons {
        lines.push(format!("held: {reason}"));
    }
    lines.extend(warnings(run));
    if let Some(error) = &run.error {
        lines.push(format!("error ({}): {}", error.class, error.message));
        lines.extend(error.remedy.iter().map(|remedy| format!("  → {remedy}")));
    }
    if run.status == RunStatus::Held {
        lines.push(held_steps(run));
    }
    if counts.rejected > 0 {
        lines.push(rejects_step(&run.sync));
    }
    lines.join("\n")
}

/// `+ 30 added   − 12 removed`; `None` where all are 0.
fn listed(parts: &[(u64, &str, &str)]) -> Option<String> {
    let parts: Vec<String> =
        parts.iter().filter(|(n, ..)| *n > 0).map(|(n, sign, word)| format!("{sign}{}{word}", number(*n))).collect();
    (!parts.is_empty()).then(|| parts.join("   "))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::cli) fn at(text: &str) -> Timestamp {
        text.parse().expect("a timestamp")
    }

    /// A run as it looks at the end of that status.
    pub(in crate::cli) fn view(status: &str) -> RunView {
        let status: RunStatus = status.parse().expect("a status");
        let finished = status.terminal().then(|| at("2026-11-20T11:58:12Z"));
        let planned = RunCounts {
            rows: 20_018,
            unchanged: 19_700,
            added: 30,
            changed: 214,
            removed: 12,
            touched: 71,
            withheld: 3,
            ..RunCounts::default()
        };
        let (counts, calls) = match status {
            RunStatus::Partial => (RunCounts { accepted: 253, rejected: 3, ..planned }, 4),
            RunStatus::Held => (planned, 0),
            _ => (RunCounts::default(), 1),
        };
        RunView {
            id: "20261120T115500-7f3a".into(),
            sync: "vip-crm".into(),
            status,
            terminal: status.terminal(),
            stage: "plan".into(),
            trigger: Trigger::Schedule,
            started: at("2026-11-20T11:55:00Z"),
            updated: at("2026-11-20T11:58:12Z"),
            finished,
            counts,
            calls,
            plan_hash: (status != RunStatus::Failed).then(|| "9f2c4a".into()),
            account: Some("hubspot:12345".into()),
            held_reasons: match status {
                RunStatus::Held => vec!["12 removals of 40 accepted rows (30%): max_removed is 20%".into()],
                _ => Vec::new(),
            },
            warnings: match status {
                RunStatus::Partial => vec!["check not_null: `email` is NULL in 3 of 20018 rows, as 1••••".into()],
                _ => Vec::new(),
            },
            fields: match status {
                RunStatus::Partial => {
                    vec![FieldValues { field: "email".into(), code: "INVALID_EMAIL".into(), invalid: 3, valid: 253 }]
                }
                _ => Vec::new(),
            },
            error: (status == RunStatus::Failed).then(|| RunError {
                class: "auth".into(),
                message: "HubSpot refused the token (401)".into(),
                remedy: Some("renew the token and put it where `token` points".into()),
            }),
            exit: match status {
                RunStatus::Partial => Some(3),
                RunStatus::Failed => Some(4),
                _ => None,
            },
        }
    }

    #[test]
    fn runs_are_listed_newest_first_with_what_they_did() {
        let listing = Listing { runs: vec![view("held"), view("partial"), view("failed")] };
        insta::assert_snapshot!(list_text(&listing, Format::Human, at("2026-11-20T12:00:00Z")));
    }

    #[test]
    fn one_run_is_shown_with_its_numbers_and_next_steps() {
        let texts: Vec<String> =
            ["partial", "held", "failed"].map(|status| shown_text(&view(status), at("2026-11-20T12:00:00Z"))).into();
        insta::assert_snapshot!(texts.join("\n\n"));
    }
}
