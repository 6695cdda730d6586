//! What the engine hands to connectors: secrets, HTTP clients and the process-wide limiters.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Secret, SecretRef, Secrets};
use crate::http::limit::{Limiter, Limiters, Window};

/// The kit of one process.
#[derive(Debug)]
pub struct Kit {
    secrets: Secrets,
    limiters: Limiters,
}

impl Kit {
    /// A kit over these secrets, with no limiter yet.
    pub fn new(secrets: Secrets) -> Arc<Self> {
        Arc::new(Self { secrets, limiters: Limiters::default() })
    }

    /// A handle to a secret.
    pub fn secret(&self, reference: &SecretRef) -> Secret {
        self.secrets.secret(reference.clone())
    }

    /// A path of the project's files: what is relative lies below the project.
    pub fn project_path(&self, path: &Path) -> PathBuf {
        self.secrets.project_path(path)
    }

    /// The limiter of a quota holder (an account, not a sync). The first caller sets its windows; for a
    /// later one each window is lowered to the lower cap.
    pub fn limiter(&self, holder: &str, windows: &[Window]) -> Arc<Limiter> {
        self.limiters.get(holder, windows)
    }
}
