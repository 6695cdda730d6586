//! `backhaul validate`.

use std::path::Path;

use backhaul_kit::config::{Problem, Severity};
use serde_json::json;

use super::screen::{Format, Tone, plural};
use super::{Check, Engine, Exit, Failure, Screen, project};
use crate::config::Project;
use crate::run::exit_code;

const EXAMPLES: &str = "\
Examples:
  backhaul validate              the files, then every warehouse and destination; writes nothing
  backhaul validate --offline    the files alone, as for a commit hook
  backhaul validate --output json";

/// Check the project: files, warehouses, destinations
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Look at the files alone: no connection is made
    #[arg(long)]
    offline: bool,
}

pub(super) async fn validate(
    screen: &Screen,
    engine: &dyn Engine,
    config: Option<&Path>,
    args: &Args,
) -> Result<Exit, Failure> {
    let root = project::find(config)?;
    let (mut problems, checks) = match engine.load(&root) {
        Ok(project) => {
            let checks = if args.offline { Vec::new() } else { engine.check(&project).await };
            (project.warnings.clone(), Some((project, checks)))
        }
        Err(problems) => (problems, None),
    };
    let (counts, checks) = match checks {
        Some((project, checks)) => (Some(counts(&project)), checks),
        None => (None, Vec::new()),
    };
    problems.extend(checks.iter().flat_map(|check| check.problems.iter().cloned()));
    let exit = exit(&problems, &checks);
    if screen.format() == Format::Json {
        let checks: Vec<_> = checks.iter().map(check_json).collect();
        let body = json!({
            "ok": exit == Exit::Ok,
            "exit": exit,
            "problems": engine.problems_json(&problems),
            "checks": checks,
        });
        screen.json(&body)?;
        return Ok(exit);
    }
    let mut text = String::new();
    if !problems.is_empty() {
        text.push_str(engine.render(&problems, screen.stdout_color()).trim_end());
        text.push_str("\n\n");
    }
    for check in &checks {
        text.push_str(&check_text(screen, check));
        text.push('\n');
    }
    let errors = problems.iter().filter(|p| p.severity == Severity::Error).count() as u64;
    let failed = checks.iter().filter(|check| check.fault.is_some()).count() as u64;
    let verdict = match (errors, failed) {
        (0, 0) => screen.paint(Tone::Good, "✓ no problems"),
        (0, failed) => screen.paint(Tone::Bad, &format!("✗ {} failed", plural(failed, "check"))),
        (errors, _) => screen.paint(Tone::Bad, &format!("✗ {}", plural(errors, "problem"))),
    };
    text.push_str(&verdict);
    if let Some(counts) = counts {
        text.push_str(&format!("  ({counts})"));
    }
    screen.print(&text)?;
    Ok(exit)
}

fn counts(project: &Project) -> String {
    [
        plural(project.syncs.len() as u64, "sync"),
        plural(project.models.len() as u64, "model"),
        plural(project.warehouses.len() as u64, "warehouse"),
        plural(project.destinations.len() as u64, "destination"),
    ]
    .join(", ")
}

fn exit(problems: &[Problem], checks: &[Check]) -> Exit {
    let files = if problems.iter().any(|p| p.severity == Severity::Error) { Exit::Config } else { Exit::Ok };
    let faults = checks.iter().filter_map(|check| check.fault.as_ref());
    faults.map(|fault| Exit::from_code(exit_code(fault.class))).fold(files, Exit::worst)
}

fn check_text(screen: &Screen, check: &Check) -> String {
    match &check.fault {
        None if check.problems.iter().any(|p| p.severity == Severity::Error) => {
            format!("{} {}  see above", screen.paint(Tone::Bad, "✗"), check.subject)
        }
        None => format!("{} {}  {}", screen.paint(Tone::Good, "✓"), check.subject, check.detail),
        Some(fault) => {
            format!("{} {}  {fault}\n  → {}", screen.paint(Tone::Bad, "✗"), check.subject, fault.remedy_text())
        }
    }
}

fn check_json(check: &Check) -> serde_json::Value {
    json!({
        "subject": check.subject,
        "detail": check.detail,
        "ok": check.fault.is_none() && check.problems.iter().all(|p| p.severity != Severity::Error),
        "error": check.fault.as_ref().map(|fault| json!({
            "class": fault.class.as_str(),
            "message": fault.to_string(),
            "remedy": fault.remedy_text(),
        })),
    })
}
