//! What the credentials of a project may do, beside what its syncs need. Asks, and writes nothing.

use std::collections::BTreeSet;
use std::sync::Arc;

use backhaul_kit::{Fault, Kit, ModelQuery};

use super::connect::Operations;
use crate::config::{Field, FieldSource, ModelDef, Project, Reference, Referred, SyncDef};

/// What is known of one credential.
#[derive(Debug, Default)]
pub struct Examined {
    /// Whose: `warehouse analytics`, `sync vip-crm`.
    pub subject: String,
    /// Who we are there: server and user, or account.
    pub identity: String,
    /// What it lacks.
    pub missing: Vec<String>,
    /// What it has beyond need.
    pub excess: Vec<String>,
    /// What cannot be told there.
    pub unknowable: Vec<String>,
    /// The smallest grant: scopes, or statements.
    pub grant: Vec<String>,
    /// Why asking failed.
    pub fault: Option<Fault>,
}

/// Asks the warehouses and destinations of these syncs.
pub async fn doctor(project: &Project, syncs: &[Arc<SyncDef>], kit: &Arc<Kit>) -> Vec<Examined> {
    let mut examined = Vec::new();
    let used: BTreeSet<&str> =
        syncs.iter().flat_map(|sync| models(sync)).map(|model| model.warehouse.as_str()).collect();
    for warehouse in project.warehouses.values().filter(|warehouse| used.contains(warehouse.name.as_str())) {
        let asked = async { warehouse.config.open(kit.clone())?.check().await };
        let mut found = Examined { subject: format!("warehouse {}", warehouse.name), ..Examined::default() };
        match asked.await {
            Err(fault) => found.fault = Some(fault),
            Ok(report) => {
                found.identity = match &report.user {
                    Some(user) => format!("{} as {user}", report.server),
                    None => report.server,
                };
                if let Some(user) = &report.user {
                    let models: Vec<(&str, &ModelQuery)> = syncs
                        .iter()
                        .flat_map(|sync| models(sync))
                        .filter(|model| model.warehouse == warehouse.name)
                        .map(|model| (model.name.as_str(), &model.query))
                        .collect();
                    found.grant = warehouse.config.grants(user, &models);
                    found.grant.dedup();
                }
                (found.missing, found.excess) = (report.missing, report.excess);
            }
        }
        examined.push(found);
    }
    for sync in syncs {
        let asked = async { sync.prepared.open(kit.clone())?.check().await };
        let mut found = Examined { subject: format!("sync {}", sync.name), ..Examined::default() };
        match asked.await {
            Err(fault) => found.fault = Some(fault),
            Ok(report) => {
                found.grant = report.grants;
                found.identity = report.identity;
                if !report.label.is_empty() && !found.identity.contains(&report.label) {
                    found.identity.push_str(&format!(" ({})", report.label));
                }
                (found.missing, found.excess, found.unknowable) = (report.missing, report.excess, report.unknowable);
                // The destination is not told what its sync looks up.
                let looks_up: Vec<String> = lookup_scopes(sync).collect();
                found.excess.retain(|scope| !looks_up.contains(scope));
            }
        }
        if found.grant.is_empty() {
            found.grant = scopes(sync);
        }
        examined.push(found);
    }
    examined
}

/// The models that the sync reads: its own, and its suppression lists'.
fn models(sync: &SyncDef) -> impl Iterator<Item = &ModelDef> {
    std::iter::once(&sync.model).chain(sync.people.suppress.iter().map(|list| &list.model)).map(AsRef::as_ref)
}

/// The scopes that the sync's look-ups need.
fn lookup_scopes(sync: &SyncDef) -> impl Iterator<Item = String> {
    let scopes = |field: &Field| match &field.source {
        FieldSource::Reference(Reference { to: Referred::Lookup { object, by }, .. }) => {
            sync.prepared.check_lookup(object, by).unwrap_or_default()
        }
        FieldSource::Reference(_) | FieldSource::Column(..) | FieldSource::Value(_) | FieldSource::Template { .. } => {
            Vec::new()
        }
    };
    sync.fields.iter().flat_map(scopes)
}

/// The scopes that the sync's operations and look-ups need.
fn scopes(sync: &SyncDef) -> Vec<String> {
    let Operations { write, removal, moves } = Operations::of(sync);
    let all = [Some(write), removal, moves].into_iter().flatten().flat_map(|(_, facts)| facts.scopes);
    all.chain(lookup_scopes(sync)).collect::<BTreeSet<String>>().into_iter().collect()
}

/// The hosts that these syncs connect to, each with who needs it.
///
/// # Errors
/// A secret that cannot be read.
pub fn egress(project: &Project, syncs: &[Arc<SyncDef>], kit: &Kit) -> Result<Vec<(String, String)>, Fault> {
    let mut hosts = BTreeSet::new();
    for sync in syncs {
        for warehouse in models(sync).map(|model| &model.warehouse) {
            if let Some(found) = project.warehouses.get(warehouse) {
                hosts.extend(found.config.hosts(kit)?.into_iter().map(|host| (host, format!("warehouse {warehouse}"))));
            }
        }
        if let Some(found) = project.destinations.get(&sync.destination) {
            let subject = format!("destination {}", sync.destination);
            hosts.extend(found.account.secret_hosts(kit)?.into_iter().map(|host| (host, subject.clone())));
        }
    }
    Ok(hosts.into_iter().collect())
}
