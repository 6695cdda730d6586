//! The stand-in's service account, and the access tokens that it gives.

use std::collections::HashMap;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
use aws_lc_rs::signature::KeyPair as _;
use backhaul_kit::Fault;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;
use serde_json::json;

/// Who the service account is.
const EMAIL: &str = "sync@sandbox.iam.example";
/// The one refresh token.
pub(super) const REFRESH: &str = "sandbox-refresh";

/// Keys and tokens.
#[derive(Debug)]
pub(super) struct Tokens {
    /// The service account's key, as Google's console hands it out.
    pub(super) key_file: String,
    /// Its public half, as DER.
    public: Vec<u8>,
    /// What assertions must be made for: the token endpoint.
    pub(super) audience: String,
    /// The scopes of every token.
    given: HashMap<String, String>,
    count: u64,
}

#[derive(Deserialize)]
struct Claims {
    scope: String,
}

impl Tokens {
    /// A new key.
    pub(super) fn new() -> Result<Self, Fault> {
        let failed = |what| Fault::bug(format!("the stand-in cannot make a key: {what}"));
        let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| failed("no numbers"))?;
        let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| failed("no encoding"))?;
        let pem = STANDARD.encode(der.as_ref());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{pem}\n-----END PRIVATE KEY-----\n");
        let file = json!({
            "type": "service_account", "client_email": EMAIL, "private_key_id": "sandbox", "private_key": pem
        });
        let public = pair.public_key().as_ref().to_vec();
        Ok(Self { key_file: file.to_string(), public, audience: String::new(), given: HashMap::new(), count: 0 })
    }

    /// The scopes that an assertion asks for; `None` for one that is not good.
    pub(super) fn asked_for(&self, assertion: &str) -> Option<String> {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_audience(&[&self.audience]);
        validation.set_issuer(&[EMAIL]);
        let key = DecodingKey::from_rsa_der(&self.public);
        decode::<Claims>(assertion, &key, &validation).ok().map(|token| token.claims.scope)
    }

    /// A new token.
    pub(super) fn give(&mut self, scopes: &str) -> String {
        self.count += 1;
        let token = format!("sandbox-token-{}", self.count);
        self.know(&token, scopes);
        token
    }

    /// A token is good from now on.
    pub(super) fn know(&mut self, token: &str, scopes: &str) {
        self.given.insert(token.to_owned(), scopes.to_owned());
    }

    /// The scopes of a token that is good.
    pub(super) fn scopes(&self, token: &str) -> Option<&str> {
        self.given.get(token).map(String::as_str)
    }

    /// All tokens expire.
    pub(super) fn expire(&mut self) {
        self.given.clear();
    }
}
