//! What the engine hands to connectors: secrets, HTTP clients and the process-wide limiters.

use std::sync::Arc;

use crate::config::{Secret, SecretRef, Secrets};
use crate::http::limit::Limiters;
use crate::http::token::TokenRegistry;

/// The kit of one process.
#[derive(Debug)]
pub struct Kit {
    /// Where secrets and the project's files are.
    pub secrets: Secrets,
    /// The limiters of accounts.
    pub limiters: Limiters,
    /// The access tokens of accounts.
    pub tokens: TokenRegistry,
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
}
