//! Where a credential goes in a call.

use std::sync::Arc;

use reqwest::header::{AUTHORIZATION, HeaderName};
use secrecy::{ExposeSecret as _, SecretString};

use super::token::Tokens;
use crate::config::Secret;
use crate::fault::Fault;

/// Where a credential goes.
#[derive(Clone, Debug)]
pub enum Auth {
    /// None.
    None,
    /// `Authorization: Bearer …`.
    Bearer(Secret),
    /// A header of its own (`X-Api-Key`).
    Header(HeaderName, Secret),
    /// HTTP basic.
    Basic {
        /// The user's name.
        user: String,
        /// The password.
        password: Secret,
    },
    /// HTTP basic with a key as the user's name and an empty password.
    BasicKey(Secret),
    /// An OAuth 2.0 access token, renewed as needed.
    OAuth(Arc<Tokens>),
}

impl Auth {
    /// The header that it makes: what `secret`, `token` and `login` (of user and password) say of the credential.
    pub(super) fn header(
        &self,
        secret: impl Fn(&Secret) -> Result<String, Fault>,
        token: impl FnOnce(&Tokens) -> Result<String, Fault>,
        login: impl Fn(&str, &str) -> String,
    ) -> Result<Option<(HeaderName, String)>, Fault> {
        Ok(Some(match self {
            Self::None => return Ok(None),
            Self::Header(name, value) => (name.clone(), secret(value)?),
            Self::Bearer(value) => (AUTHORIZATION, format!("Bearer {}", secret(value)?)),
            Self::Basic { user, password } => (AUTHORIZATION, login(user, &secret(password)?)),
            Self::BasicKey(key) => (AUTHORIZATION, login(&secret(key)?, "")),
            Self::OAuth(tokens) => (AUTHORIZATION, format!("Bearer {}", token(tokens)?)),
        }))
    }
}

/// HTTP basic.
pub(super) fn basic(user: &str, password: &SecretString) -> String {
    use base64::Engine as _;
    let pair = format!("{user}:{}", password.expose_secret());
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}
