//! `backhaul status`: how every sync stands.

use jiff::Timestamp;
use serde::Serialize;

use super::runs::{RunView, held_steps, in_brackets, rejects_step, warnings};
use super::screen::{Align, Format, Table, block, json, moment, number, plural, relative};
use super::{Engine, Exit, Failure, Screen, ls, project, select};
use crate::config::{Project, Schedule, SyncDef};
use crate::daemon::schedule::{Due, due};
use crate::run::watermark;
use crate::state::{Allowance, RunStatus, State};

const EXAMPLES: &str = "\
Examples:
  backhaul status
  backhaul status dest:crm
  backhaul status --output json";

/// How every sync stands
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Names of syncs, or tag:NAME, dest:NAME, owner:NAME; default: all
    #[arg(value_name = "SYNC")]
    syncs: Vec<String>,
}

/// How one sync stands.
#[derive(Debug, Serialize)]
struct Standing {
    sync: String,
    destination: String,
    schedule: String,
    /// When its next slot is; only under `serve`.
    #[serde(serialize_with = "json::some_time")]
    next: Option<Timestamp>,
    /// When it last ended with everything or nearly everything sent.
    #[serde(serialize_with = "json::some_time")]
    last_success: Option<Timestamp>,
    /// Rows that are kept because they were refused.
    rejects: u64,
    /// The newest row that was delivered of a model that grows.
    #[serde(serialize_with = "json::some_time")]
    watermark: Option<Timestamp>,
    /// Limits of its guards that an operator raised for a while.
    raised: Vec<RaisedLimit>,
    last_run: Option<RunView>,
}

/// A limit that is raised.
#[derive(Debug, Serialize)]
struct RaisedLimit {
    limit: String,
    value: String,
    #[serde(serialize_with = "json::time")]
    until: Timestamp,
    /// The run whose approval raised it.
    run: String,
}

#[derive(Debug, Serialize)]
struct Overview {
    syncs: Vec<Standing>,
}

pub(super) async fn status(
    screen: &Screen,
    engine: &dyn Engine,
    project: &Project,
    args: &Args,
) -> Result<Exit, Failure> {
    let syncs = select::or_all(project, &args.syncs)?;
    let state = project::open_existing_state(engine, project).await?;
    let now = Timestamp::now();
    let rejects = match &state {
        Some(state) => state.reject_counts().await?,
        None => Default::default(),
    };
    let mut overview = Overview { syncs: Vec::new() };
    for sync in &syncs {
        let rejects = rejects.get(&sync.name).copied().unwrap_or(0);
        let mut standing = standing(sync, state.as_ref(), rejects, now).await?;
        standing.watermark = watermark(project, sync).unwrap_or_else(|error| {
            screen.note(&format!("how far the model of {} was delivered cannot be told: {error}", sync.name));
            None
        });
        overview.syncs.push(standing);
    }
    screen.show(&overview, |format| text(&overview, format, now))?;
    Ok(Exit::Ok)
}

async fn standing(sync: &SyncDef, state: Option<&State>, rejects: u64, now: Timestamp) -> Result<Standing, Failure> {
    let mut standing = Standing {
        sync: sync.name.clone(),
        destination: sync.destination.clone(),
        schedule: ls::schedule(&sync.schedule),
        next: None,
        last_success: None,
        rejects,
        watermark: None,
        raised: Vec::new(),
        last_run: None,
    };
    let mut last_slot = None;
    if let Some(state) = state {
        last_slot = state.last_slot(&sync.name).await?;
        standing.raised = state.allowances(&sync.name, now).await?.into_iter().map(RaisedLimit::from).collect();
        standing.last_success = state.last_success(&sync.name).await?;
        standing.last_run = state.latest_run(&sync.name).await?.as_ref().map(RunView::of);
    }
    standing.next = match &sync.schedule {
        Schedule::Every(_) | Schedule::Cron { .. } => match due(&sync.schedule, last_slot, &[], now) {
            Due::At(at) => Some(at),
            Due::Now { .. } => Some(now),
            Due::Unknown => None,
        },
        Schedule::Manual | Schedule::After(_) => None,
    };
    Ok(standing)
}

fn text(overview: &Overview, format: Format, now: Timestamp) -> String {
    if overview.syncs.is_empty() {
        return String::from("no syncs yet: put one into syncs/NAME.toml");
    }
    let left = |name| (name, Align::Left);
    let right = |name| (name, Align::Right);
    let mut table = Table::new(&[
        left("sync"),
        left("destination"),
        left("last run"),
        left("when"),
        right("rows"),
        right("accepted"),
        right("rejects"),
        left("next"),
    ]);
    for standing in &overview.syncs {
        let run = standing.last_run.as_ref();
        let when = run.map(|run| run.finished.unwrap_or(run.started));
        table.row([
            standing.sync.clone(),
            standing.destination.clone(),
            run.map_or("never", |run| run.status.as_str()).into(),
            when.map(|time| relative(time, now)).unwrap_or_default(),
            run.map(|run| number(run.counts.rows)).unwrap_or_default(),
            run.map(|run| number(run.counts.accepted)).unwrap_or_default(),
            number(standing.rejects),
            standing.next.map_or_else(|| standing.schedule.clone(), |next| relative(next, now)),
        ]);
    }
    let mut text = table.render(format);
    for standing in &overview.syncs {
        let warned = standing.last_run.iter().flat_map(warnings).map(|text| format!("{}: {text}", standing.sync));
        let told = people(standing).into_iter().chain(growth(standing));
        let raised = standing.raised.iter().map(|raised| raised.text(&standing.sync));
        for hint in hint(standing).into_iter().chain(told).chain(warned).chain(raised) {
            text.push_str("\n\n");
            text.push_str(&block(&hint, format));
        }
    }
    text
}

impl From<Allowance> for RaisedLimit {
    fn from(Allowance { limit, value, until, run }: Allowance) -> Self {
        Self { limit, value, until, run }
    }
}

impl RaisedLimit {
    fn text(&self, sync: &str) -> String {
        let Self { limit, value, until, run } = self;
        format!("{limit} of {sync} is raised to {value} until {} (by the approval of run {run})", moment(*until))
    }
}

/// What the last run made of people who may not be sent, where there were any.
fn people(standing: &Standing) -> Option<String> {
    let counts = &standing.last_run.as_ref()?.counts;
    let (ineligible, removed) = (counts.ineligible, counts.removed_for);
    if ineligible.total() + removed.total() + counts.vetoed == 0 {
        return None;
    }
    let rows = plural(ineligible.total(), "row");
    let parts = [
        (removed.total(), "removed for it"),
        (counts.frozen, "left as they are at the destination"),
        (counts.vetoed, "taken out when the plan was approved"),
        (counts.accepted, "accepted in all"),
    ];
    let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!(", {} {what}", number(*n)));
    let parts: String = parts.collect();
    Some(format!("{}: {rows} of people who may not be sent{}{parts}", standing.sync, in_brackets(ineligible)))
}

/// How far a model that grows was delivered.
fn growth(standing: &Standing) -> Option<String> {
    let newest = standing.watermark?;
    Some(format!("{} has delivered the rows of its model up to {}", standing.sync, moment(newest)))
}

/// What its owner should know or do.
fn hint(standing: &Standing) -> Option<String> {
    let run = standing.last_run.as_ref();
    match run {
        Some(run) if run.status == RunStatus::Held => {
            let mut text = format!("{} is held\n", standing.sync);
            for reason in &run.held_reasons {
                text.push_str(&format!("  {reason}\n"));
            }
            text.push_str(&held_steps(run));
            Some(text)
        }
        Some(run) if run.counts.held_back > 0 => {
            let mut text = format!("{} holds {} back", standing.sync, plural(run.counts.held_back, "removal"));
            run.held_reasons.iter().for_each(|reason| text.push_str(&format!("\n  {reason}")));
            Some(text)
        }
        Some(RunView { status: RunStatus::Failed, error: Some(error), .. }) => {
            let remedy = error.remedy.as_ref().map_or_else(String::new, |remedy| format!("\n  → {remedy}"));
            Some(format!("{} failed: {}{remedy}", standing.sync, error.message))
        }
        _ if standing.rejects > 0 => {
            let kept = plural(standing.rejects, "refused row");
            Some(format!("{} keeps {kept}, to try again\n{}", standing.sync, rejects_step(&standing.sync)))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::runs::tests::{at, view};
    use super::*;
    use crate::diff::CauseCounts;
    use crate::state::RunCounts;

    fn overview() -> Overview {
        let standing = |sync: &str, rejects, next: Option<&str>, last_run| Standing {
            sync: sync.into(),
            destination: "crm".into(),
            schedule: "every 15 min".into(),
            next: next.map(at),
            last_success: Some(at("2026-11-20T11:45:00Z")),
            rejects,
            watermark: None,
            raised: Vec::new(),
            last_run,
        };
        let mut manual = standing("brand-new", 0, None, None);
        manual.schedule = "manual".into();
        let mut held = standing("companies", 0, Some("2026-11-20T12:15:00Z"), Some(view("held")));
        held.raised.push(RaisedLimit {
            limit: "max_added".into(),
            value: "12%".into(),
            until: at("2026-11-20T14:00:00Z"),
            run: "20261120T114500-11aa".into(),
        });
        let mut ads = view("succeeded");
        ads.counts = RunCounts {
            rows: 200,
            removed: 7,
            accepted: 9,
            ineligible: CauseCounts { withdrawn: 3, suppressed: 2, held_out: 11 },
            removed_for: CauseCounts { withdrawn: 1, suppressed: 2, held_out: 4 },
            frozen: 1,
            ..RunCounts::default()
        };
        let mut events = standing("events", 0, Some("2026-11-20T12:15:00Z"), Some(view("succeeded")));
        events.watermark = Some(at("2026-11-20T11:41:07.25Z"));
        Overview {
            syncs: vec![
                standing("ads", 0, Some("2026-11-20T12:15:00Z"), Some(ads)),
                manual,
                held,
                standing("deals", 0, Some("2026-11-20T12:15:00Z"), Some(view("failed"))),
                events,
                standing("vip-crm", 3, Some("2026-11-20T12:00:00Z"), Some(view("partial"))),
            ],
        }
    }

    #[test]
    fn a_person_sees_what_stands_and_what_to_do() {
        insta::assert_snapshot!(text(&overview(), Format::Human, at("2026-11-20T12:00:00Z")));
    }

    #[test]
    fn a_program_sees_the_same_in_json() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&overview()).expect("JSON"));
    }
}
