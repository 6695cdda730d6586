//! Signed assertions: how a client or a service account asks for an access token without a shared secret (RFC 7523).

use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::Secret;
use crate::fault::Fault;

/// How long an assertion is good for. Salesforce takes 5 minutes at most, Google an hour.
const LIFE: Duration = Duration::from_secs(180);
/// An assertion is dated back by this much, for servers whose clock is a little behind.
const BACK: Duration = Duration::from_secs(10);

/// What an assertion says of who asks, and with what it is signed.
#[derive(Clone, Debug)]
pub enum Assertion {
    /// A client with a private key of its own: RSA (RS256) or the elliptic curve P-256 (ES256), as PEM.
    Client {
        /// The key.
        key: Secret,
        /// `iss`: the client's id.
        issuer: String,
        /// `sub`: for whom the client acts.
        subject: String,
        /// `aud`: who is to take it, which is not everywhere the address of the token endpoint.
        audience: String,
    },
    /// A Google service account, by its JSON key file; the scopes stand in the assertion, the token endpoint is its
    /// audience (Google, "Using OAuth 2.0 for server to server applications").
    ServiceAccount(Secret),
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    iat: i64,
    exp: i64,
}

/// What is read of a service account's key file.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: String,
    private_key_id: Option<String>,
}

impl Assertion {
    /// An assertion for the token endpoint `endpoint`, as of `now`, which is the server's time where that is known.
    ///
    /// # Errors
    /// `Auth` for a key that cannot be read or used; the text says nothing of the key.
    pub(super) fn sign(&self, endpoint: &str, scope: Option<&str>, now: Timestamp) -> Result<SecretString, Fault> {
        match self {
            Self::Client { key, issuer, subject, audience } => {
                let pem = key.reveal()?;
                let claims = Claims::of(issuer, Some(subject), audience, None, now);
                sign(&claims, &pem, None).map_err(|why| Fault::auth(format!("{}: {why}", key.reference())).remedy(PEM))
            }
            Self::ServiceAccount(file) => {
                let text = file.reveal()?;
                // The words of the parser may quote the file.
                let parsed: KeyFile = serde_json::from_str(text.expose_secret()).map_err(|_| {
                    Fault::auth(format!("{} is no key file of a service account", file.reference()))
                        .remedy("create a JSON key for the service account, and put the whole file there")
                })?;
                let claims = Claims::of(&parsed.client_email, None, endpoint, scope, now);
                sign(&claims, &parsed.private_key.into(), parsed.private_key_id)
                    .map_err(|why| Fault::auth(format!("the key in {}: {why}", file.reference())).remedy(PEM))
            }
        }
    }

    /// Who asks, for previews.
    pub(super) fn of_whom(&self) -> String {
        match self {
            Self::Client { issuer, .. } => issuer.clone(),
            Self::ServiceAccount(file) => format!("the service account of {}", file.reference()),
        }
    }
}

impl<'a> Claims<'a> {
    fn of(iss: &'a str, sub: Option<&'a str>, aud: &'a str, scope: Option<&'a str>, now: Timestamp) -> Self {
        let iat = now.as_second() - BACK.as_secs() as i64;
        Self { iss, sub, aud, scope, iat, exp: now.as_second() + LIFE.as_secs() as i64 }
    }
}

const PEM: &str = "give an RSA key or one of the curve P-256 as PEM, without a passphrase";

fn sign(claims: &Claims<'_>, pem: &SecretString, key_id: Option<String>) -> Result<SecretString, &'static str> {
    let pem = pem.expose_secret().as_bytes();
    let (algorithm, key) = match EncodingKey::from_rsa_pem(pem) {
        Ok(key) => (Algorithm::RS256, key),
        Err(_) => (Algorithm::ES256, EncodingKey::from_ec_pem(pem).map_err(|_| "no private key that can be used")?),
    };
    let header = Header { kid: key_id, ..Header::new(algorithm) };
    encode(&header, claims, &key).map(Into::into).map_err(|_| "the key cannot sign")
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
    use base64::prelude::{BASE64_STANDARD, Engine as _};
    use jsonwebtoken::{DecodingKey, Validation, decode};

    use super::*;
    use crate::FaultClass;
    use crate::config::{SecretRef, Secrets};

    fn pem(der: &[u8]) -> String {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64_STANDARD.encode(der))
    }

    /// A PEM key, and who can check its signatures.
    fn keys(algorithm: Algorithm) -> (String, DecodingKey) {
        use aws_lc_rs::signature::KeyPair as _;
        if algorithm == Algorithm::ES256 {
            let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
            let der = pair.to_pkcs8v1().expect("a document");
            return (pem(der.as_ref()), DecodingKey::from_ec_der(pair.public_key().as_ref()));
        }
        let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).expect("a key");
        let der = aws_lc_rs::encoding::AsDer::<aws_lc_rs::encoding::Pkcs8V1Der<'_>>::as_der(&pair).expect("a document");
        (pem(der.as_ref()), DecodingKey::from_rsa_der(pair.public_key().as_ref()))
    }

    fn secret(folder: &tempfile::TempDir, text: &str) -> Secret {
        std::fs::write(folder.path().join("key"), text).expect("written");
        Secrets::from_env(folder.path()).secret(SecretRef::File("key".into()))
    }

    fn claims(token: &SecretString, algorithm: Algorithm, key: &DecodingKey, audience: &str) -> serde_json::Value {
        let mut validation = Validation::new(algorithm);
        validation.set_audience(&[audience]);
        decode(token.expose_secret(), key, &validation).expect("a valid assertion").claims
    }

    #[test]
    fn a_client_signs_with_the_kind_of_key_it_has() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for algorithm in [Algorithm::RS256, Algorithm::ES256] {
            let (pem, public) = keys(algorithm);
            let assertion = Assertion::Client {
                key: secret(&folder, &pem),
                issuer: "consumer".into(),
                subject: "sync@acme.example".into(),
                audience: "https://login.example.com".into(),
            };
            let now = Timestamp::now();
            let token = assertion.sign("https://acme.example.com/token", Some("api"), now).expect("signed");
            let claims = claims(&token, algorithm, &public, "https://login.example.com");
            assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("consumer"), Some("sync@acme.example")));
            assert_eq!(claims["exp"].as_i64(), Some(now.as_second() + 180));
            assert!(claims.get("scope").is_none());
        }
    }

    #[test]
    fn a_service_account_asks_for_its_scopes_at_the_endpoint() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (pem, public) = keys(Algorithm::RS256);
        let file =
            serde_json::json!({ "client_email": "sync@project.example", "private_key": pem, "private_key_id": "k1" });
        let assertion = Assertion::ServiceAccount(secret(&folder, &file.to_string()));
        let endpoint = "https://oauth2.example.com/token";
        let token = assertion.sign(endpoint, Some("one two"), Timestamp::now()).expect("signed");
        let claims = claims(&token, Algorithm::RS256, &public, endpoint);
        assert_eq!((claims["iss"].as_str(), claims["scope"].as_str()), (Some("sync@project.example"), Some("one two")));
        let header = jsonwebtoken::decode_header(token.expose_secret()).expect("a header");
        assert_eq!(header.kid.as_deref(), Some("k1"));
    }

    #[test]
    fn a_key_that_is_none_is_told_without_quoting_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for text in [
            "canary-4711",
            "{\"client_email\":\"canary-4711\"}",
            "{\"client_email\":\"a\",\"private_key\":\"canary-4711\"}",
        ] {
            let key = secret(&folder, text);
            let client =
                Assertion::Client { key: key.clone(), issuer: "i".into(), subject: "s".into(), audience: "a".into() };
            for assertion in [client, Assertion::ServiceAccount(key)] {
                let fault = assertion.sign("https://x.example", None, Timestamp::now()).expect_err("no key");
                assert_eq!(fault.class, FaultClass::Auth);
                assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
            }
        }
    }
}
