//! The other syncs of a group: a removal must not take away what one of them has delivered.
//!
//! A plan is netted against their snapshots as they are when it is made, and holds only as long as they stay so: it is
//! approved or resumed only then. Within a run they do, because all of them write under the lease of one account. What
//! a run of theirs delivered before it was interrupted stands in its log alone; until it is settled nothing is removed.

use std::path::Path;

use backhaul_kit::Operation;

use super::connect::Operations;
use super::error::io_error;
use super::site::standing_folder;
use super::{RunError, Runs};
use crate::config::SyncDef;
use crate::diff::{PlanReader, Sibling, SiblingState};
use crate::snapshot::Store;

impl Runs {
    /// What the other syncs of the sync's group have delivered, where it removes records.
    pub(super) fn siblings(&self, sync: &SyncDef) -> Result<Vec<Sibling>, RunError> {
        let mut siblings = Vec::new();
        for other in self.others(sync) {
            let Some(snapshot) = Store::read(&standing_folder(&self.project, other), &self.key)? else { continue };
            if snapshot.accepted() + snapshot.in_doubt() == 0 {
                continue;
            }
            if snapshot.table().is_some() {
                return Err(RunError::Refused {
                    message: format!(
                        "the snapshot of sync `{}`, of the same group, is still in the warehouse",
                        other.name
                    ),
                    remedy: format!("`backhaul run {}` brings it here", other.name),
                    exit: 75,
                });
            }
            siblings.push(Sibling { sync: other.name.clone(), snapshot });
        }
        Ok(siblings)
    }

    /// The other syncs of the group of one that removes records. Clearing fields takes nothing from anybody.
    fn others<'a>(&'a self, sync: &'a SyncDef) -> impl Iterator<Item = &'a SyncDef> {
        let removes = Operations::of(sync).removal.is_some_and(|(operation, _)| operation != Operation::Clear);
        let group = sync.group.as_ref().filter(|_| removes).and_then(|group| self.project.groups.get(group));
        let names = group.into_iter().flatten().filter(|name| **name != sync.name);
        names.filter_map(|name| self.project.syncs.get(name)).map(AsRef::as_ref)
    }

    /// Refuses removals while another sync of the group has delivered what its snapshot does not say yet.
    pub(super) fn check_siblings_at_rest(&self, sync: &SyncDef) -> Result<(), RunError> {
        for other in self.others(sync) {
            if let Some(run) = interrupted(&standing_folder(&self.project, other))? {
                let (name, other) = (&sync.name, &other.name);
                return Err(RunError::Refused {
                    message: format!(
                        "run {run} of sync `{other}` is not settled, and `{name}` might remove what it delivered"
                    ),
                    remedy: format!(
                        "`backhaul run {other}` first: it brings that run to its end, or says what is to be decided"
                    ),
                    exit: 75,
                });
            }
        }
        Ok(())
    }

    /// Whether the plan's removals may hit what another sync of the group has delivered since it was made.
    pub(super) fn siblings_changed(&self, sync: &SyncDef, plan: &PlanReader) -> Result<bool, RunError> {
        if plan.summary().counts.removed == 0 {
            return Ok(false);
        }
        Ok(plan.header().siblings != states(&self.siblings(sync)?) || self.check_siblings_at_rest(sync).is_err())
    }
}

/// What a plan says of the snapshots that it was netted against.
pub(super) fn states(siblings: &[Sibling]) -> Vec<SiblingState> {
    let state =
        |sibling: &Sibling| SiblingState { sync: sibling.sync.clone(), base_id: sibling.snapshot.base_id().to_owned() };
    siblings.iter().map(state).collect()
}

/// A run in the folder of a sync that had begun to send and is not settled.
fn interrupted(folder: &Path) -> Result<Option<String>, RunError> {
    let runs = folder.join("runs");
    let entries = match std::fs::read_dir(&runs) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        entries => entries.map_err(io_error(&runs))?,
    };
    for entry in entries {
        let entry = entry.map_err(io_error(&runs))?;
        if entry.path().join("log").exists() {
            return Ok(Some(entry.file_name().to_string_lossy().into_owned()));
        }
    }
    Ok(None)
}
