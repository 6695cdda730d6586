//! What settling learns from the acknowledgement log.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::snapshot::log::{Fate, LogError, RemoteIds, Replay, Standing};
use crate::snapshot::{FileError, Settle, Settlement};
use crate::state::RunCounts;

/// The log of a run, read; a run that sent nothing has none.
pub(super) struct Fates(Option<Log>);

struct Log {
    path: PathBuf,
    replay: Replay,
    ids: Mutex<RemoteIds>,
}

impl Fates {
    /// Reads the log at `path`, which a run that `sends` has. It is sealed when its run has nothing more to send: one
    /// that is cut off is told by that.
    pub(super) fn read(path: &Path, run: &str, sends: bool) -> Result<Self, LogError> {
        if !sends && !path.exists() {
            return Ok(Self(None));
        }
        let replay = Replay::read(path, run)?;
        if replay.sealed().is_none() {
            return Err(LogError::Unsealed);
        }
        let ids = Mutex::new(RemoteIds::open(path, run, &replay)?);
        Ok(Self(Some(Log { path: path.to_owned(), replay, ids })))
    }

    /// SHA-256 and length of the log.
    pub(super) fn log(&self) -> ([u8; 32], u64) {
        self.0.as_ref().map_or(([0; 32], 0), |log| (log.replay.digest(), log.replay.len()))
    }

    /// Adds what became of the ops below `ops`.
    pub(super) fn count(&self, ops: u64, counts: &mut RunCounts) {
        let Some(Log { replay, .. }) = &self.0 else { return };
        for op in 0..ops {
            match (replay.fate(op), replay.standing(op)) {
                (Some(Fate::Rejected), _) => counts.rejected += 1,
                (_, Standing::Accepted) => counts.accepted += 1,
                (_, Standing::InDoubt) => counts.in_doubt += 1,
                (_, Standing::Kept) => {}
            }
        }
    }
}

impl Settlement for Fates {
    fn fate(&self, op: u64) -> Settle {
        match self.0.as_ref().map(|log| log.replay.standing(op)) {
            Some(Standing::Accepted) => Settle::Accepted,
            Some(Standing::InDoubt) => Settle::InDoubt,
            Some(Standing::Kept) | None => Settle::Kept,
        }
    }

    fn remote_id(&self, op: u64) -> Result<Option<String>, FileError> {
        let Some(Log { path, ids, .. }) = &self.0 else { return Ok(None) };
        match ids.lock().unwrap_or_else(PoisonError::into_inner).get(op) {
            Ok(id) => Ok(id.map(str::to_owned)),
            Err(LogError::Io(error)) => Err(FileError::io("read", path, error)),
            Err(error) => Err(FileError::damaged(path, error.to_string())),
        }
    }
}
