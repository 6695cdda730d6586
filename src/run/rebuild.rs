//! The way out of a snapshot that is damaged or lost: it is set aside, and the next run starts from an empty one.
//!
//! Nothing is deleted. Runs that had begun to send stay unfinished in the state: they go on where the folder is put
//! back, and are ended by the next run where it is not ([`Runs::recover`](super::recover)).

use std::path::{Path, PathBuf};

use backhaul_kit::{Fault, Mode};
use jiff::Timestamp;

use super::connect::{Operations, connect};
use super::error::io_error;
use super::files::RunFiles;
use super::stage::Stage;
use super::{RunError, Runs};
use crate::config::SyncDef;
use crate::snapshot::file::sync_folder;
use crate::snapshot::log::Replay;
use crate::snapshot::{self, Verified};
use crate::state::{LeaseTiming, RunRecord, StateError, Wait};

/// What a rebuild did, and what it costs.
#[derive(Debug)]
pub struct Rebuilt {
    /// Where the snapshot stood, and the next one will.
    pub folder: PathBuf,
    /// Where it stands now; `None` where there was none.
    pub aside: Option<PathBuf>,
    /// Records that it counted as accepted or in doubt; `None` where that cannot be read.
    pub records: Option<u64>,
    /// Runs that had begun to send and were not settled.
    pub begun: Vec<Begun>,
    /// Held runs that were given up.
    pub discarded: Vec<String>,
    /// Refused rows that were forgotten: they are sent again with all others.
    pub rejects: u64,
    /// Whether rows that left the model would have been removed.
    pub removes: bool,
    /// Whether sending a row again makes a second record of it.
    pub duplicates: bool,
}

/// A run that had begun to send and was not settled.
#[derive(Debug)]
pub struct Begun {
    /// The run.
    pub run: String,
    /// Rows accepted and in doubt by its log; `None` where that cannot be read.
    pub told: Option<(u64, u64)>,
}

impl Runs {
    /// Sets the snapshot of the sync aside, under the lease on its account. What is sound, or may still be settled,
    /// is set aside only with `yes`; a run that can go on never is.
    ///
    /// # Errors
    /// Another process works on the account; the snapshot is sound, or a run has begun to send, and `yes` was not
    /// said; a run that can go on.
    pub async fn rebuild(&self, sync: &SyncDef, yes: bool) -> Result<Rebuilt, RunError> {
        let folder = self.take_over(sync).await?;
        let account = self.account(sync, &folder).await?;
        let lease = self.state.acquire(&account, Wait::No, LeaseTiming::default()).await?;
        let rebuilt = self.rebuild_at(sync, folder, yes).await;
        lease.release().await;
        rebuilt
    }

    /// The account that the sync writes to: as the snapshot says, else as its runs do, else as the destination does.
    async fn account(&self, sync: &SyncDef, folder: &Path) -> Result<String, RunError> {
        if let Some(binding) = snapshot::binding(folder) {
            return Ok(binding.identity);
        }
        let runs = self.state.runs(Some(&sync.name), u32::MAX).await?;
        if let Some(identity) = runs.into_iter().find_map(|run| run.identity) {
            return Ok(identity);
        }
        Ok(connect(sync, self.kit.clone()).await?.binding.identity)
    }

    async fn rebuild_at(&self, sync: &SyncDef, folder: PathBuf, yes: bool) -> Result<Rebuilt, RunError> {
        let name = &sync.name;
        let verified = snapshot::verify(&folder, &self.key)?;
        let sound = verified.as_ref().filter(|verified| verified.damage.is_empty());
        let mut begun = Vec::new();
        let mut held = Vec::new();
        for run in self.open_runs(sync, &folder).await? {
            match run {
                Open::Held(run) => held.push(run),
                Open::Begun { begun: run, goes_on } => {
                    if goes_on && sound.is_some() {
                        return Err(goes_on_first(name, &run.run));
                    }
                    begun.push(run);
                }
            }
        }
        if !yes {
            ask(name, sound, &begun)?;
        }
        let aside = set_aside(&folder)?;
        for run in &held {
            self.state.discard(run, Timestamp::now()).await?;
        }
        let rejects: Vec<_> = self.state.reject_keys(name).await?.into_iter().collect();
        let rejects = self.state.clear_rejects(name, &rejects).await?;
        let operations = Operations::of(sync);
        let records = verified.and_then(|verified| verified.records).map(|(accepted, in_doubt)| accepted + in_doubt);
        Ok(Rebuilt {
            folder,
            aside,
            records,
            begun,
            discarded: held,
            rejects,
            removes: operations.removal.is_some() && !operations.write.1.whole_set,
            duplicates: matches!(sync.shape.mode.0, Mode::Create | Mode::Append),
        })
    }

    /// The runs of the sync that are held or have begun to send; also those that only their log knows.
    async fn open_runs(&self, sync: &SyncDef, folder: &Path) -> Result<Vec<Open>, RunError> {
        let mut open = Vec::new();
        let unfinished = self.unfinished(&sync.name).await?;
        for record in &unfinished {
            open.extend(self.open_run(record, folder)?);
        }
        for name in run_folders(folder)? {
            let files = RunFiles::new(folder, &name);
            let unknown = matches!(self.state.run(&name).await, Err(StateError::NoSuchRun(_)));
            if unknown && files.log().exists() {
                open.push(self.begun(&files, &name));
            }
        }
        Ok(open)
    }

    fn open_run(&self, record: &RunRecord, folder: &Path) -> Result<Option<Open>, RunError> {
        let files = RunFiles::new(folder, &record.id);
        let stage: Stage = record.stage.parse().map_err(Fault::bug)?;
        Ok(match stage {
            Stage::Held => Some(Open::Held(record.id.clone())),
            Stage::Deliver | Stage::Record | Stage::Settle if files.log().exists() || !files.plan().exists() => {
                Some(self.begun(&files, &record.id))
            }
            // Nothing was sent, or everything is settled.
            _ => None,
        })
    }

    fn begun(&self, files: &RunFiles, run: &str) -> Open {
        let replay = Replay::read(&files.log(), run).ok();
        let goes_on = replay.is_some() && files.is_plan_sound(&self.key);
        Open::Begun { begun: Begun { run: run.to_owned(), told: replay.map(|replay| replay.told()) }, goes_on }
    }
}

/// A run of the sync that is not over.
enum Open {
    Held(String),
    /// `goes_on`: its plan and its log are there.
    Begun {
        begun: Begun,
        goes_on: bool,
    },
}

/// Refuses what should not be done without a second thought.
fn ask(sync: &str, sound: Option<&Verified>, begun: &[Begun]) -> Result<(), RunError> {
    let yes = format!("`backhaul state rebuild {sync} --yes`");
    let refused = |message, remedy| Err(RunError::Refused { message, remedy, exit: 5 });
    if let Some(run) = begun.first() {
        let told = match run.told {
            Some((accepted, in_doubt)) => {
                format!("by its log {accepted} rows were accepted and {in_doubt} are in doubt")
            }
            None => String::from("its log cannot be read: how far it came is not known"),
        };
        return refused(
            format!("run {} of sync `{sync}` has begun to send and is not settled; {told}", run.run),
            format!(
                "restore the state from a backup that has the run, and it is settled; without one {yes}: rows that it \
                 sent are sent again while they are in the model, and stay at the destination as they are when they \
                 have left it"
            ),
        );
    }
    if let Some((accepted, _)) = sound.filter(|sound| sound.binding.is_some()).and_then(|sound| sound.records) {
        return refused(
            format!("the snapshot of sync `{sync}` is sound: {accepted} rows accepted"),
            format!(
                "to have every row sent again, `backhaul run {sync} --full` keeps what is known of removed rows; {yes} \
                 forgets it"
            ),
        );
    }
    Ok(())
}

fn goes_on_first(sync: &str, run: &str) -> RunError {
    RunError::Refused {
        message: format!("run {run} of sync `{sync}` has begun to send, and can go on: what it sent must be settled"),
        remedy: format!("`backhaul run {sync}` brings it to its end"),
        exit: 5,
    }
}

/// Names of the folders of runs.
fn run_folders(site: &Path) -> Result<Vec<String>, RunError> {
    let runs = site.join("runs");
    let entries = match std::fs::read_dir(&runs) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(io_error(&runs))?,
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<std::io::Result<_>>().map_err(io_error(&runs))
}

/// Renames the folder, unless it is empty. No sync has such a name.
fn set_aside(folder: &Path) -> Result<Option<PathBuf>, RunError> {
    let mut entries = std::fs::read_dir(folder).map_err(io_error(folder))?;
    if entries.next().is_none() {
        return Ok(None);
    }
    let mut name = folder.as_os_str().to_owned();
    name.push(Timestamp::now().strftime(".aside-%Y%m%dT%H%M%SZ").to_string());
    let aside = PathBuf::from(name);
    std::fs::rename(folder, &aside).map_err(io_error(folder))?;
    sync_folder(folder.parent().unwrap_or(folder))?;
    Ok(Some(aside))
}
