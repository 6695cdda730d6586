//! What earlier runs and previews left behind: folders that nobody needs, rejects that the model has settled.

use std::collections::HashSet;
use std::fs::{DirBuilder, File};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use backhaul_kit::KeyHash;
use rustix::fs::{FlockOperation, flock};

use super::RunError;
use super::error::io_error;
use super::files::RunFiles;
use super::site::make_private;
use crate::diff::PlanReader;
use crate::state::{RunRecord, State, StateError};

/// How the names of previews begin; runs are named by their ids, which begin with a year.
const PREVIEW: &str = "plan-";

/// Makes a folder for a plan that is only looked at. It counts as in use as long as the returned file is open,
/// and no longer when its process was killed.
pub(super) fn claim_preview(site: &Path) -> Result<(String, File), RunError> {
    let runs = site.join("runs");
    make_private(&runs)?;
    let _gate = gate(&runs)?;
    for number in 0u32.. {
        let name = format!("{PREVIEW}{}-{number}", std::process::id());
        let folder = runs.join(&name);
        match DirBuilder::new().mode(0o700).create(&folder) {
            // Of a process with our id: killed, or in another container on the same state.
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) => return Err(io_error(&folder)(e)),
            Ok(()) => {
                let claim = File::open(&folder).map_err(io_error(&folder))?;
                flock(&claim, FlockOperation::LockExclusive).map_err(|e| io_error(&folder)(e.into()))?;
                return Ok((name, claim));
            }
        }
    }
    Err(io_error(&runs)(ErrorKind::AlreadyExists.into()))
}

/// Deletes the folders of runs that are over and of previews that nobody looks at any more. Called under the
/// lease, with the unfinished runs of the sync. Returns the runs that the state does not know and that had begun
/// to send.
pub(super) async fn sweep(state: &State, site: &Path, unfinished: &[RunRecord]) -> Result<Vec<String>, RunError> {
    let mut unknown = Vec::new();
    let runs = site.join("runs");
    let entries = match std::fs::read_dir(&runs) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(unknown),
        entries => entries.map_err(io_error(&runs))?,
    };
    let _gate = gate(&runs)?;
    for entry in entries {
        let name = entry.map_err(io_error(&runs))?.file_name().to_string_lossy().into_owned();
        let files = RunFiles::new(site, &name);
        if name.starts_with(PREVIEW) {
            if !is_claimed(files.folder()) {
                files.destroy()?;
            }
        } else if unfinished.iter().any(|run| run.id == name) {
            continue;
        } else if files.log().exists() && matches!(state.run(&name).await, Err(StateError::NoSuchRun(_))) {
            // A log that nobody settled tells what was sent: it outlives a state database that was lost.
            unknown.push(name);
        } else {
            files.destroy()?;
        }
    }
    Ok(unknown)
}

/// Held while folders are made and claimed, or swept: none is swept before it is claimed.
fn gate(runs: &Path) -> Result<File, RunError> {
    let gate = File::open(runs).map_err(io_error(runs))?;
    flock(&gate, FlockOperation::LockExclusive).map_err(|e| io_error(runs)(e.into()))?;
    Ok(gate)
}

/// Whether a living process looks at the preview in this folder.
fn is_claimed(folder: &Path) -> bool {
    let claim = File::open(folder).map(|folder| flock(&folder, FlockOperation::NonBlockingLockExclusive));
    matches!(claim, Ok(Err(rustix::io::Errno::WOULDBLOCK)))
}

/// Forgets the rejects that a plan for the whole model shows to be settled: their rows are again what the
/// destination has, or are neither in the model nor to be removed.
pub(super) async fn forget_rejects(state: &State, run: &RunRecord, plan: &PlanReader) -> Result<(), RunError> {
    let mut settled = state.reject_keys(&run.sync).await?;
    if settled.is_empty() {
        return Ok(());
    }
    // What was withheld has no op. Whatever was not due during the scan was not due when the run began.
    let withheld: HashSet<KeyHash> =
        state.withheld(&run.sync, run.started).await?.into_iter().map(|withheld| withheld.key_hash).collect();
    settled.retain(|key| !withheld.contains(key));
    for op in plan.ops(None) {
        settled.remove(&op?.key_hash);
    }
    let settled: Vec<KeyHash> = settled.into_iter().collect();
    state.clear_rejects(&run.sync, &settled).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_claimed_until_its_file_is_closed() {
        let site = tempfile::tempdir().expect("a folder");
        let (first, claim) = claim_preview(site.path()).expect("a preview");
        let (second, _other) = claim_preview(site.path()).expect("another");
        assert_ne!(first, second);
        let folder = RunFiles::new(site.path(), &first).folder().to_owned();
        assert!(is_claimed(&folder));
        drop(claim);
        assert!(!is_claimed(&folder));
    }
}
