//! The place of one sync in the state folder, and the right to write there.

use std::path::{Path, PathBuf};

use backhaul_kit::config::Secrets;
use jiff::Timestamp;

use super::connect::{Connected, check_object, connect};
use super::error::io_error;
use super::stage::Stage;
use super::{RunError, Runs, leftovers};
use crate::config::{Project, StateSettings, SyncDef};
use crate::snapshot::{Binding, StateKey, Store};
use crate::state::{Lease, LeaseTiming, NewRun, RunStatus, Sealer, Trigger, Wait};

/// The place of one sync, with the lease on its account.
pub(super) struct Site {
    pub(super) folder: PathBuf,
    pub(super) store: Store,
    pub(super) binding: Binding,
    pub(super) lease: Lease,
}

impl Site {
    /// Gives the account free for the next process.
    pub(super) async fn leave(self) {
        self.lease.release().await;
    }
}

fn folder(project: &Project, sync: &str) -> PathBuf {
    project.state.dir.join("syncs").join(sync)
}

/// Where the sync's folder stands: under its name, or under an earlier one from which no run has taken it over yet.
pub(super) fn standing_folder(project: &Project, sync: &SyncDef) -> PathBuf {
    let own = folder(project, &sync.name);
    let earlier = sync.previously.iter().map(|name| folder(project, name)).find(|earlier| earlier.exists());
    if own.exists() { own } else { earlier.unwrap_or(own) }
}

impl Runs {
    pub(super) fn folder(&self, sync: &str) -> PathBuf {
        folder(&self.project, sync)
    }

    /// The sync's folder; one that stands under an earlier name of the sync is taken over.
    pub(super) async fn take_over(&self, sync: &SyncDef) -> Result<PathBuf, RunError> {
        let folder = self.folder(&sync.name);
        for old in &sync.previously {
            let from = self.folder(old);
            if from.exists() && !folder.exists() {
                self.state.rename_sync(old, &sync.name).await?;
                std::fs::rename(&from, &folder).map_err(io_error(&from))?;
            }
        }
        make_private(&folder)?;
        Ok(folder)
    }

    /// Waits for the right to write to the sync's account, opens its snapshot, and brings the state into line
    /// with what lies there.
    pub(super) async fn enter(&self, sync: &SyncDef, wait: bool) -> Result<(Site, Option<Connected>), RunError> {
        let folder = self.take_over(sync).await?;
        let bound = Store::read(&folder, &self.key)?.and_then(|snapshot| snapshot.binding().cloned());
        let (binding, connected) = match bound {
            Some(binding) => (binding, None),
            None => {
                let connected = connect(sync, self.kit.clone()).await?;
                (connected.binding.clone(), Some(connected))
            }
        };
        check_object(&binding, sync)?;
        let wait = if wait { Wait::Ranked(sync.priority.rank()) } else { Wait::No };
        let lease = self.state.acquire(&binding.identity, wait, LeaseTiming::default()).await?;
        // Another process may have called the account meanwhile.
        self.kit.limiters.recall(self.state.quotas(Timestamp::now()).await?);
        let store = Store::open(&folder, self.key.clone())?;
        self.adopt(sync, &folder).await?;
        Ok((Site { folder, store, binding, lease }, connected))
    }

    /// Removes what earlier processes left. A run that the state does not know (the database was restored or
    /// lost) is entered again, because its log says which rows are in doubt.
    async fn adopt(&self, sync: &SyncDef, folder: &Path) -> Result<(), RunError> {
        let unfinished = self.unfinished(&sync.name).await?;
        for run in leftovers::sweep(&self.state, folder, &unfinished).await? {
            tracing::warn!(run, "taking up a run that the state does not know");
            let new = NewRun {
                sync: sync.name.clone(),
                trigger: Trigger::Manual,
                stage: Stage::Deliver.to_string(),
                config_digest: None,
            };
            let mut run = self.state.adopt_run(&run, &new, RunStatus::Delivering, Timestamp::now()).await?;
            // Where its canary failed it is held again.
            run.canary = sync.guards.canary.map(|canary| canary.to_string());
            self.state.update_run(&mut run, Timestamp::now()).await?;
        }
        Ok(())
    }
}

impl Sealer for StateKey {
    fn seal(&self, context: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        self.seal_blob(context, plain).ok()
    }

    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        self.open_blob(context, sealed)
    }
}

/// The key of the project's state: the configured one, else the file beside the state folder.
///
/// # Errors
/// A key that cannot be read, or that is gone while there is a state.
pub fn state_key(settings: &StateSettings, secrets: &Secrets) -> Result<StateKey, RunError> {
    match &settings.key {
        Some(reference) => Ok(StateKey::from_secret(&secrets.secret(reference.clone()).reveal()?)?),
        None => default_key(&settings.dir),
    }
}

/// `key` beside the state folder, made with the first state.
fn default_key(dir: &Path) -> Result<StateKey, RunError> {
    let path = dir.parent().unwrap_or(dir).join("key");
    if path.exists() {
        return Ok(StateKey::read_file(&path)?);
    }
    if dir.join("state.db").exists() {
        return Err(RunError::Refused {
            message: format!("the state in {} has lost its key {}", dir.display(), path.display()),
            remedy: "restore the key file from a backup: without it the state cannot be read".into(),
            exit: 4,
        });
    }
    if let Some(parent) = path.parent() {
        make_private(parent)?;
    }
    match StateKey::create_file(&path) {
        // Another process makes its first run too.
        Err(_) if path.exists() => Ok(StateKey::read_file(&path)?),
        created => Ok(created?),
    }
}

/// Makes a folder that nobody else may read.
pub(super) fn make_private(dir: &Path) -> Result<(), RunError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(io_error(dir))
}
