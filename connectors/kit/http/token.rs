//! OAuth 2.0 access tokens: one for everybody who calls an account, renewed before it expires.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::time::Instant;

use super::assertion::Assertion;
use super::auth::{Auth, basic};
use super::client::{Http, HttpOptions, unreachable};
use super::form::{self, Form};
use super::limit::Limiter;
use super::message::{Answer, Request, retry_after};
use crate::config::Secret;
use crate::fault::Fault;

/// A token is renewed when less than this part of its life is left, and at the latest a minute before its end.
const RENEW_AT: f64 = 0.1;
const RENEW_BEFORE: Duration = Duration::from_secs(60);
/// A token whose answer does not say how long it lives is asked for again after this (RFC 6749 leaves it open).
const UNSAID: Duration = Duration::from_secs(600);

/// A clock that is off by less is no reason for a refused assertion.
const MINOR_SKEW: i64 = 5;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// How a token is come by (RFC 6749).
#[derive(Clone, Debug)]
pub enum Grant {
    /// Section 4.4.
    ClientCredentials,
    /// Section 6. A server that gives a new refresh token with every answer (rotation) is not supported: the new one
    /// would have to be written where the operator's secrets are.
    RefreshToken(Secret),
    /// RFC 7523, section 2.1: a signed assertion, which also says who asks.
    Assertion(Assertion),
}

/// Where tokens come from, and who asks.
#[derive(Clone, Debug)]
pub struct TokenSource {
    /// The token endpoint.
    pub url: Url,
    /// The grant.
    pub grant: Grant,
    /// The client's id; not sent with an assertion.
    pub client_id: String,
    /// The client's secret; none for a public client.
    pub client_secret: Option<Secret>,
    /// Whether id and secret go into the form rather than into HTTP basic authentication.
    pub secret_in_form: bool,
    /// What is asked for, separated by spaces. Clients that sign an assertion get what they were authorised for.
    pub scope: Option<String>,
    /// Further members of the form (`audience`, `resource`).
    pub more: Vec<(String, String)>,
}

/// The tokens of one source, shared by all who call with them.
#[derive(Debug)]
pub struct Tokens {
    source: TokenSource,
    http: Http,
    /// Held while a token is asked for, so that one call serves all who wait.
    current: tokio::sync::Mutex<Option<Token>>,
    /// How many seconds the server's clock is ahead of ours, once it has said that an assertion is not good.
    skew: AtomicI64,
}

/// A token and when it is to be renewed.
#[derive(Clone)]
struct Token {
    value: SecretString,
    renew_at: Instant,
    /// What it is good for, where the server says it (RFC 6749, section 5.1).
    scope: Option<String>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
    scope: Option<String>,
}

#[derive(Default, Deserialize)]
struct Refused {
    #[serde(default)]
    error: String,
}

impl Tokens {
    /// Asks nothing yet.
    ///
    /// # Errors
    /// A TLS set-up that cannot be built, a host that may not be connected to.
    pub fn new(source: TokenSource, options: &HttpOptions) -> Result<Self, Fault> {
        options.reach.check(&source.url).map_err(|why| unreachable(&why))?;
        let http = Http::new(options, Auth::None, Arc::new(Limiter::new(&[])))?;
        Ok(Self { source, http, current: tokio::sync::Mutex::default(), skew: AtomicI64::new(0) })
    }

    /// Who asks, for previews.
    pub fn of_whom(&self) -> String {
        match &self.source.grant {
            Grant::Assertion(assertion) => assertion.of_whom(),
            Grant::ClientCredentials | Grant::RefreshToken(_) => self.source.client_id.clone(),
        }
    }

    /// A token that is good for a while: the one at hand, or a new one.
    ///
    /// # Errors
    /// `Auth` where the server refuses the client, `Transient` where it cannot be asked, `Throttled` where it wants to be
    /// left alone: nothing was sent to the API.
    pub(super) async fn get(&self) -> Result<SecretString, Fault> {
        self.token().await.map(|token| token.value)
    }

    /// The scopes that the server granted, in its own words; `None` where it does not say.
    ///
    /// # Errors
    /// As for a call that needs a token.
    pub async fn scope(&self) -> Result<Option<String>, Fault> {
        self.token().await.map(|token| token.scope)
    }

    async fn token(&self) -> Result<Token, Fault> {
        let mut current = self.current.lock().await;
        if let Some(token) = current.as_ref().filter(|token| Instant::now() < token.renew_at) {
            return Ok(token.clone());
        }
        let token = self.ask().await?;
        Ok(current.insert(token).clone())
    }

    /// The API refused this token: the next [`Tokens::get`] asks for another, unless somebody has already.
    pub(super) async fn refused(&self, token: &SecretString) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|held| held.value.expose_secret() == token.expose_secret()) {
            *current = None;
        }
    }

    async fn ask(&self) -> Result<Token, Fault> {
        let host = self.source.url.host_str().unwrap_or_default().to_owned();
        let mut answer = self.call().await?;
        // An assertion is dated by our clock: where that is wrong, the server's tells how much.
        if !answer.status.is_success() && matches!(self.source.grant, Grant::Assertion(_)) {
            let skew = date(&answer).map_or(0, |theirs| theirs - Timestamp::now().as_second());
            if (skew - self.skew.load(Ordering::Relaxed)).abs() > MINOR_SKEW {
                tracing::warn!(host, seconds = skew, "this machine's clock is not the token server's");
                self.skew.store(skew, Ordering::Relaxed);
                answer = self.call().await?;
            }
        }
        if !answer.status.is_success() {
            return Err(refusal(&host, &answer));
        }
        let granted: Granted =
            answer.json().ok_or_else(|| Fault::transient(format!("{host} answered without an access token")))?;
        if granted.token_type.as_ref().is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(Fault::config(format!("{host} gives tokens of another type than Bearer")));
        }
        let life = granted.expires_in.as_ref().and_then(seconds).unwrap_or(UNSAID);
        let margin = life.mul_f64(RENEW_AT).max(RENEW_BEFORE.min(life / 2));
        tracing::debug!(host, seconds = life.as_secs(), "access token renewed");
        let renew_at = answer.asked + life.saturating_sub(margin);
        Ok(Token { value: granted.access_token.into(), renew_at, scope: granted.scope })
    }

    /// One call of the token endpoint.
    async fn call(&self) -> Result<Answer, Fault> {
        let source = &self.source;
        let mut form = Form::default();
        let mut request = Request::new(Method::POST, source.url.clone());
        request.headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        match &source.grant {
            Grant::ClientCredentials => form.push("grant_type", "client_credentials"),
            Grant::RefreshToken(token) => {
                form.push("grant_type", "refresh_token");
                form.push("refresh_token", token.reveal()?.expose_secret());
            }
            Grant::Assertion(assertion) => {
                let skew = SignedDuration::from_secs(self.skew.load(Ordering::Relaxed));
                let now = Timestamp::now().saturating_add(skew).unwrap_or(Timestamp::MAX);
                let assertion = assertion.sign(source.url.as_str(), source.scope.as_deref(), now)?;
                form.push("grant_type", JWT_BEARER);
                form.push("assertion", assertion.expose_secret());
            }
        }
        let signed = matches!(source.grant, Grant::Assertion(_));
        source.scope.iter().filter(|_| !signed).for_each(|scope| form.push("scope", scope));
        source.more.iter().for_each(|(name, value)| form.push(name, value));
        if !signed {
            match &source.client_secret {
                Some(secret) if !source.secret_in_form => {
                    request.headers.insert(AUTHORIZATION, basic_client(&source.client_id, secret)?);
                }
                secret => {
                    form.push("client_id", &source.client_id);
                    if let Some(secret) = secret {
                        form.push("client_secret", secret.reveal()?.expose_secret());
                    }
                }
            }
        }
        self.http.send_with(request.form(form), None).await.map_err(|fault| {
            // Whatever became of the question, nothing was sent to the API.
            let mut fault = fault.not_applied();
            fault.message = format!("no access token: {}", fault.message);
            fault
        })
    }
}

/// A client's id and secret in HTTP basic authentication.
fn basic_client(id: &str, secret: &Secret) -> Result<HeaderValue, Fault> {
    // RFC 6749, 2.3.1: both are form-encoded before they go into the header.
    let password = form::encoded(secret.reveal()?.expose_secret());
    let value = HeaderValue::from_str(&basic(&form::encoded(id), &password.into()));
    let mut value = value.map_err(|_| Fault::auth("the client's id has characters that no header can carry"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The server's time in Unix seconds, where it says it.
fn date(answer: &Answer) -> Option<i64> {
    Some(jiff::fmt::rfc2822::parse(answer.header("date")?).ok()?.timestamp().as_second())
}

/// A number of seconds, which some servers write as text.
fn seconds(said: &serde_json::Value) -> Option<Duration> {
    let seconds = said.as_f64().or_else(|| said.as_str()?.trim().parse().ok())?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// What a refusal means. The server's own words may quote the client: only its code is shown.
fn refusal(host: &str, answer: &Answer) -> Fault {
    let (status, Refused { error }) = (answer.status, answer.json().unwrap_or_default());
    let code: String = error.chars().filter(char::is_ascii_graphic).take(60).collect();
    let said = if code.is_empty() { status.to_string() } else { format!("{status}, {code}") };
    let message = format!("{host} gives no access token ({said})");
    match (status.as_u16(), code.as_str()) {
        (429, _) => Fault::throttled(message, retry_after(answer)),
        (500.., _) | (_, "temporarily_unavailable" | "server_error") => Fault::transient(message),
        (_, "invalid_scope") => Fault::auth(message).remedy("ask for scopes that the client may have: `scope`"),
        (_, "invalid_grant") => {
            Fault::auth(message).remedy("the refresh token or the key is not, or no longer, good: authorise anew")
        }
        _ => Fault::auth(message).remedy("check the client's id and secret, and what it may do"),
    }
}

/// The tokens of one process, by their source: syncs of one account share theirs.
#[derive(Debug, Default)]
pub struct TokenRegistry(Mutex<HashMap<String, Arc<Tokens>>>);

impl TokenRegistry {
    /// The access tokens of a holder (an account and who asks for them); the first caller makes them.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn get(&self, holder: &str, make: impl FnOnce() -> Result<Tokens, Fault>) -> Result<Arc<Tokens>, Fault> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = known.get(holder) {
            return Ok(tokens.clone());
        }
        let tokens = Arc::new(make()?);
        known.insert(holder.to_owned(), tokens.clone());
        Ok(tokens)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use serde_json::json;

    use super::*;
    use crate::FaultClass;
    use crate::contract::{Received, Reply, Scripted, Server};

    fn source(url: &str) -> TokenSource {
        TokenSource {
            url: Url::parse(url).expect("a URL"),
            grant: Grant::ClientCredentials,
            client_id: "me & you".into(),
            client_secret: None,
            secret_in_form: false,
            scope: Some("write read".into()),
            more: vec![("audience".into(), "api".into())],
        }
    }

    /// Gives tokens t1, t2 … of that life.
    async fn server(expires_in: serde_json::Value) -> Server {
        let count = AtomicU32::new(0);
        Server::start(move |_: &Received| {
            let n = count.fetch_add(1, Ordering::Relaxed) + 1;
            Reply::Answer(Scripted::json(
                200,
                &json!({ "access_token": format!("t{n}"), "token_type": "bearer", "expires_in": expires_in }),
            ))
        })
        .await
    }

    fn tokens(url: &str) -> Tokens {
        Tokens::new(source(url), &HttpOptions::default()).expect("a client")
    }

    async fn get(tokens: &Tokens) -> String {
        tokens.get().await.expect("a token").expose_secret().to_owned()
    }

    #[tokio::test]
    async fn one_call_serves_all_who_wait() {
        let server = server(json!(3600)).await;
        let tokens = Arc::new(tokens(server.url()));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..50 {
            let tokens = tokens.clone();
            tasks.spawn(async move { get(&tokens).await });
        }
        assert!(tasks.join_all().await.iter().all(|token| token == "t1"));
        let asked = server.received();
        assert_eq!(asked.len(), 1);
        let form = String::from_utf8_lossy(&asked[0].body).into_owned();
        assert_eq!(form, "grant_type=client_credentials&scope=write+read&audience=api&client_id=me+%26+you");
    }

    #[tokio::test]
    async fn a_refused_token_is_replaced_once_however_many_tell() {
        let server = server(json!("3600")).await;
        let tokens = tokens(server.url());
        let first = tokens.get().await.expect("a token");
        tokens.refused(&first).await;
        assert_eq!(get(&tokens).await, "t2");
        // One who was refused with the old token comes late: the new one stays.
        tokens.refused(&first).await;
        assert_eq!(get(&tokens).await, "t2");
        assert_eq!(server.received().len(), 2);
    }

    #[tokio::test]
    async fn a_token_is_renewed_before_its_end() {
        let server = server(json!(100)).await;
        let tokens = tokens(server.url());
        assert_eq!(get(&tokens).await, "t1");
        let left = |token: &Option<Token>| token.as_ref().map(|t| t.renew_at.duration_since(Instant::now()));
        let left = left(&*tokens.current.lock().await).expect("a token");
        assert!(left <= Duration::from_secs(50) && left > Duration::from_secs(40), "{left:?}");
        tokens.current.lock().await.as_mut().expect("a token").renew_at = Instant::now();
        assert_eq!(get(&tokens).await, "t2");
    }

    #[tokio::test]
    async fn where_our_clock_is_wrong_the_servers_is_taken() {
        use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
        use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};

        let folder = tempfile::tempdir().expect("a temporary folder");
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        let der = BASE64_STANDARD.encode(pair.to_pkcs8v1().expect("a document"));
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----");
        std::fs::write(folder.path().join("key"), pem).expect("written");
        let key = crate::config::Secrets::from_env(folder.path()).secret(crate::config::SecretRef::File("key".into()));
        // A server whose clock is an hour behind takes what is dated between a minute ago and its present.
        let server = Server::start(|call: &Received| {
            let theirs = Timestamp::now() - SignedDuration::from_hours(1);
            let form = String::from_utf8_lossy(&call.body).into_owned();
            let claims = form.split("assertion=").nth(1).and_then(|jwt| jwt.split('.').nth(1)).expect("an assertion");
            let claims = BASE64_URL_SAFE_NO_PAD.decode(claims).expect("base64");
            let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
            let issued = claims["iat"].as_i64().expect("a time");
            let good = (theirs.as_second() - 60..=theirs.as_second()).contains(&issued);
            let mut answer = match good {
                true => Scripted::json(200, &json!({ "access_token": "t", "expires_in": 1 })),
                false => Scripted::json(400, &json!({ "error": "invalid_grant" })),
            };
            answer.headers.push((
                "date".into(),
                jiff::fmt::rfc2822::to_string(&theirs.to_zoned(jiff::tz::TimeZone::UTC)).expect("a date"),
            ));
            Reply::Answer(answer)
        })
        .await;
        let assertion =
            Assertion::Client { key, issuer: "i".into(), subject: "s".into(), audience: server.url().to_owned() };
        let source = TokenSource { grant: Grant::Assertion(assertion), ..source(server.url()) };
        let tokens = Tokens::new(source, &HttpOptions::default()).expect("a client");
        assert_eq!(get(&tokens).await, "t");
        assert_eq!(server.received().len(), 2);
        *tokens.current.lock().await = None;
        assert_eq!(get(&tokens).await, "t");
        assert_eq!(server.received().len(), 3, "what was learned of the clock is kept");
    }

    #[tokio::test]
    async fn what_a_refusal_means_is_told_by_its_code() {
        for (status, body, class) in [
            (400, r#"{"error":"invalid_grant","error_description":"secret words"}"#, FaultClass::Auth),
            (401, r#"{"error":"invalid_client"}"#, FaultClass::Auth),
            (503, "<html>", FaultClass::Transient),
            (400, r#"{"error":"temporarily_unavailable"}"#, FaultClass::Transient),
            (429, "", FaultClass::Throttled),
            (200, "<html>", FaultClass::Transient),
            (200, r#"{"access_token":"x","token_type":"mac"}"#, FaultClass::Config),
        ] {
            let server =
                Server::start(move |_| Reply::Answer(Scripted::of(status, "application/json", body.as_bytes()))).await;
            let fault = tokens(server.url()).get().await.expect_err("no token");
            assert_eq!(fault.class, class, "{status} {body}");
            assert!(!fault.message.contains("secret words"), "{}", fault.message);
        }
        let nobody = tokens("http://127.0.0.1:1/token").get().await.expect_err("nobody listens");
        assert_eq!(nobody.class, FaultClass::Transient);
    }
}
