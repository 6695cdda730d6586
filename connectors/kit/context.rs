//! What the engine hands to connectors: secrets, HTTP clients and the process-wide limiters.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Secret, SecretRef, Secrets};
use crate::fault::Fault;
use crate::http::limit::{Limiter, Limiters, Used, Window};
use crate::http::token::{TokenRegistry, Tokens};

/// The kit of one process.
#[derive(Debug)]
pub struct Kit {
    secrets: Secrets,
    limiters: Limiters,
    tokens: TokenRegistry,
}

impl Kit {
    /// A kit over these secrets, with no limiter yet.
    pub fn new(secrets: Secrets) -> Arc<Self> {
        Arc::new(Self { secrets, limiters: Limiters::default(), tokens: TokenRegistry::default() })
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

    /// What accounts have used of their long windows (days), to be kept for the next process.
    pub fn quotas_used(&self) -> Vec<Used> {
        self.limiters.used()
    }

    /// Counts what earlier processes used of long windows.
    pub fn recall_quotas(&self, used: Vec<Used>) {
        self.limiters.recall(used);
    }

    /// The access tokens of a holder (an account and who asks for them); the first caller makes them.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn tokens(&self, holder: &str, make: impl FnOnce() -> Result<Tokens, Fault>) -> Result<Arc<Tokens>, Fault> {
        self.tokens.get(holder, make)
    }
}
