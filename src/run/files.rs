//! The plan and the log of one run.

use std::path::{Path, PathBuf};

use super::RunError;
use super::error::io_error;
use crate::diff::PlanReader;
use crate::snapshot::StateKey;

/// The files of one run.
pub(super) struct RunFiles {
    folder: PathBuf,
}

impl RunFiles {
    pub(super) fn new(site: &Path, run: &str) -> Self {
        Self { folder: site.join("runs").join(run) }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn plan(&self) -> PathBuf {
        self.folder.join("plan")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Whether neither plan nor log is there.
    pub(super) fn are_gone(&self) -> bool {
        !self.plan().exists() && !self.log().exists()
    }

    /// Whether all of the plan can be read.
    pub(super) fn is_plan_sound(&self, key: &StateKey) -> bool {
        PlanReader::open(&self.plan(), key).and_then(|plan| plan.verify()).is_ok()
    }

    /// Destroys the plan's values and the log.
    pub(super) fn destroy(&self) -> Result<(), RunError> {
        match std::fs::remove_dir_all(&self.folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(io_error(&self.folder)(e)),
            _ => Ok(()),
        }
    }
}
