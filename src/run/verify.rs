//! Reading everything that lies on disk for a sync: its snapshot, and the plans and logs of runs that are not over.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::RunError;
use super::error::io_error;
use super::files::RunFiles;
use super::site::standing_folder;
use crate::config::{Project, SyncDef};
use crate::diff::PlanReader;
use crate::snapshot::log::{LogError, Replay};
use crate::snapshot::{self, FileError, StateKey, order, values};

/// What reading everything of one sync came to.
#[derive(Debug, Default)]
pub struct Verified {
    /// Records accepted and in doubt; `None` where there is no snapshot or its manifest cannot be read.
    pub records: Option<(u64, u64)>,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Everything that is not as it was written.
    pub damage: Vec<Damage>,
}

/// A file, or a folder that lacks one, that is not as it was written.
#[derive(Debug, PartialEq, Eq)]
pub struct Damage {
    /// Which.
    pub file: PathBuf,
    /// What does not fit, as a sentence fragment.
    pub what: String,
    /// Whether it is the plan, the order file or the log of a run, and not of the snapshot.
    pub of_run: bool,
}

/// Reads every byte of what lies there for the sync. Takes no lease and changes nothing; runs may be at work.
///
/// # Errors
/// Whatever keeps it from being read and is not damage: rights, another state key, a newer version.
pub fn verify(project: &Project, key: &Arc<StateKey>, sync: &SyncDef) -> Result<Verified, RunError> {
    let site = standing_folder(project, sync);
    let mut verified = Verified::default();
    if let Some(snapshot) = snapshot::verify(&site, key)? {
        verified.records = snapshot.records;
        (verified.files, verified.bytes) = (snapshot.files, snapshot.bytes);
        for error in snapshot.damage {
            verified.file(Err(error), false)?;
        }
    }
    if verified.count(&values::path_of(&site)) {
        let read = values::PastValues::open(&site, key);
        verified.file(read.and_then(|file| file.map_or(Ok(()), |file| file.verify())), false)?;
    }
    let runs = site.join("runs");
    let entries = match std::fs::read_dir(&runs) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(verified),
        entries => entries.map_err(io_error(&runs))?,
    };
    for entry in entries {
        let run = entry.map_err(io_error(&runs))?.file_name().to_string_lossy().into_owned();
        verified.run(&RunFiles::new(&site, &run), &run, key)?;
    }
    verified.damage.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(verified)
}

impl Verified {
    /// Reads the files of a run. One that has none any more has come to its end meanwhile.
    fn run(&mut self, files: &RunFiles, run: &str, key: &StateKey) -> Result<(), RunError> {
        let plan = files.plan();
        // The order file stands there before its plan has its name.
        if self.count(&plan) {
            self.file(PlanReader::open(&plan, key).and_then(|plan| plan.verify()), true)?;
            if self.count(&order::path_of(&plan)) {
                self.file(order::verify(&plan, key), true)?;
            }
        }
        if self.count(&files.log()) {
            self.log(files.log(), Replay::read(&files.log(), run))?;
        }
        Ok(())
    }

    /// Whether the file is there; counts it then.
    fn count(&mut self, file: &Path) -> bool {
        let Ok(found) = std::fs::metadata(file) else { return false };
        (self.files, self.bytes) = (self.files + 1, self.bytes + found.len());
        true
    }

    /// Notes damage; gives back what is none.
    fn file(&mut self, read: Result<(), FileError>, of_run: bool) -> Result<(), RunError> {
        match read.map_err(FileError::under_known_key) {
            Ok(()) => Ok(()),
            Err(FileError::Damaged { file, what }) => {
                self.damage.push(Damage { file, what, of_run });
                Ok(())
            }
            Err(FileError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// As [`Verified::file`]. An open log whose last entry a crash tore is sound.
    fn log(&mut self, file: PathBuf, read: Result<Replay, LogError>) -> Result<(), RunError> {
        match read {
            Ok(_) => Ok(()),
            Err(LogError::Io(error)) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error @ (LogError::Io(_) | LogError::Version(_))) => Err(error.into()),
            Err(error) => {
                self.damage.push(Damage { file, what: error.to_string(), of_run: true });
                Ok(())
            }
        }
    }
}
