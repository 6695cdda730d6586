//! `backhaul validate` against the real warehouses and destinations: asks, and writes nothing.

use std::sync::Arc;

use backhaul_kit::Kit;
use backhaul_kit::config::Secrets;

use crate::cli::Check;
use crate::config::Project;
use crate::run::{self, RunError};

pub(super) async fn check(project: &Project) -> Vec<Check> {
    let kit = Kit::new(Secrets::from_env(&project.root));
    let mut checks = Vec::new();
    for warehouse in project.warehouses.values() {
        let asked = async {
            let report = warehouse.config.open(kit.clone())?.check().await?;
            let user = report.user.map_or_else(String::new, |user| format!(" as {user}"));
            let rights = |what: &str, list: &[String]| {
                if list.is_empty() { String::new() } else { format!(", {what}: {}", list.join(", ")) }
            };
            let excess = rights("more rights than needed", &report.excess);
            let missing = rights("missing", &report.missing);
            Ok(format!("{}{user}{missing}{excess}", report.server))
        };
        checks.push(outcome(format!("warehouse {}", warehouse.name), asked.await));
    }
    for sync in project.syncs.values() {
        checks.push(outcome(format!("sync {}", sync.name), run::check(project, sync, &Arc::clone(&kit)).await));
    }
    checks
}

fn outcome(subject: String, asked: Result<String, RunError>) -> Check {
    let (mut detail, mut problems, mut fault) = (String::new(), Vec::new(), None);
    match asked {
        Ok(found) => detail = found,
        Err(RunError::Problems(found)) => problems = found,
        Err(RunError::Fault(found)) => fault = Some(found),
        Err(other) => fault = Some(backhaul_kit::Fault::bug(other.to_string()).remedy(other.remedy())),
    }
    Check { subject, detail, problems, fault }
}
