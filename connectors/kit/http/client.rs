//! The client between requests and answers.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Certificate, Method, StatusCode, Url};
use secrecy::{ExposeSecret as _, SecretString};

use super::auth::{Auth, basic};
use super::form::Form;
use super::keys::Proxy;
use super::limit::Limiter;
use super::message::{Answer, Manner, Request, retry_after};
use super::reach::{Reach, Unreachable, refusal};
use super::token::Tokens;
use crate::config::Secret;
use crate::fault::Fault;
use crate::preview::RequestPreview;

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Time to a connection.
    pub connect_timeout: Duration,
    /// Time from the start of the call to the head of the answer.
    pub first_byte_timeout: Duration,
    /// Time for the whole call.
    pub timeout: Duration,
    /// Which hosts may be connected to. Behind a proxy it is the proxy that resolves names, and judges them.
    pub reach: Reach,
    /// The proxy through which calls go; one that the environment names is not used.
    pub proxy: Option<Proxy>,
    /// A PEM file of authorities that are trusted besides the system's.
    pub ca_bundle: Option<Secret>,
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            first_byte_timeout: Duration::from_secs(60),
            timeout: Duration::from_secs(60),
            reach: Reach::default(),
            proxy: None,
            ca_bundle: None,
        }
    }
}

/// A client of one account: its credential and its limiter.
#[derive(Clone, Debug)]
pub struct Http {
    client: reqwest::Client,
    auth: Auth,
    limiter: Arc<Limiter>,
    manner: Manner,
    share: f64,
    first_byte_timeout: Duration,
    reach: Reach,
}

/// A client that follows no redirect (a credential must not travel to another host) and unpacks gzip.
#[expect(clippy::disallowed_methods, reason = "this is the one place where a client is built")]
fn build(options: &HttpOptions) -> Result<reqwest::Client, Fault> {
    let mut client = reqwest::Client::builder()
        .connect_timeout(options.connect_timeout)
        .timeout(options.timeout)
        .gzip(true)
        .referer(false)
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(options.reach.clone())
        .user_agent(concat!("backhaul/", env!("CARGO_PKG_VERSION")))
        .no_proxy();
    if let Some(proxy) = &options.proxy {
        client = client.proxy(through(proxy)?);
    }
    if let Some(bundle) = &options.ca_bundle {
        let unusable = || {
            Fault::config(format!("`ca_bundle`: {} holds no certificates", bundle.reference()))
                .remedy("give a file of PEM blocks: -----BEGIN CERTIFICATE-----")
        };
        let certificates = Certificate::from_pem_bundle(bundle.reveal()?.expose_secret().as_bytes());
        let certificates = certificates.ok().filter(|found| !found.is_empty()).ok_or_else(unusable)?;
        client = client.tls_certs_merge(certificates);
    }
    client.build().map_err(|e| Fault::config("cannot set up the HTTP client").caused_by(e))
}

fn through(proxy: &Proxy) -> Result<reqwest::Proxy, Fault> {
    let unusable = |error| Fault::config("the proxy cannot be used").caused_by(error);
    let all = reqwest::Proxy::all(proxy.url.clone()).map_err(unusable)?;
    Ok(match &proxy.login {
        Some((user, password)) => all.basic_auth(user, password.reveal()?.expose_secret()),
        None => all,
    })
}

/// Answers beyond this are cut off and become a fault: no vendor's answer to a batch is as large.
const MAX_ANSWER: usize = 64 << 20;

impl Http {
    /// A client that follows no redirect (a credential must not travel to another host) and unpacks gzip.
    ///
    /// # Errors
    /// A TLS set-up that cannot be built.
    pub fn new(options: &HttpOptions, auth: Auth, limiter: Arc<Limiter>) -> Result<Self, Fault> {
        Ok(Self {
            client: build(options)?,
            auth,
            limiter,
            manner: Manner::default(),
            share: 1.0,
            first_byte_timeout: options.first_byte_timeout,
            reach: options.reach.clone(),
        })
    }

    /// With answers that speak so, and that share of the account's limits.
    #[must_use]
    pub(super) fn spoken(self, manner: Manner, share: f64) -> Self {
        Self { manner, share, ..self }
    }

    /// The account's limiter, to steer it by the vendor's headers.
    pub fn limiter(&self) -> &Limiter {
        &self.limiter
    }

    /// The credential, for previews.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// Waits for the limiter, sends, and reads the whole answer. A 429 or a `Retry-After` closes the
    /// account's gate for as long as it says. An access token that is refused (401: nothing was applied) is replaced,
    /// and the call made once more.
    ///
    /// # Errors
    /// `Throttled` when the gate stays closed for long (nothing was sent), `Auth` for a secret that cannot be read, `Transient` when no byte was sent, `Ambiguous` when the
    /// answer did not come or broke off.
    pub async fn send(&self, request: Request) -> Result<Answer, Fault> {
        let Auth::OAuth(tokens) = &self.auth else { return self.send_with(request, None).await };
        let token = tokens.get().await?;
        let answer = self.send_with(request.clone(), Some(&token)).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        tokens.refused(&token).await;
        let token = tokens.get().await?;
        self.send_with(request, Some(&token)).await
    }

    /// Makes a call that applies nothing, as one that only reads: it may always be made again.
    ///
    /// # Errors
    /// As [`Http::send`], but never `Ambiguous`.
    pub async fn ask(&self, request: Request) -> Result<Answer, Fault> {
        self.send(request).await.map_err(Fault::not_applied)
    }

    /// The answer of such a call, if it is there: `None` where the destination does not know what was asked for (404).
    ///
    /// # Errors
    /// As [`Http::ask`], and what the account's [`Manner`] says of the answer.
    pub async fn find(&self, request: Request) -> Result<Option<Answer>, Fault> {
        let answer = self.ask(request).await?;
        match (self.manner.fault)(&answer) {
            Some(_) if answer.status == StatusCode::NOT_FOUND => Ok(None),
            fault => fault.map_or(Ok(Some(answer)), |fault| Err(fault.not_applied())),
        }
    }

    /// The answer of such a call, which must succeed.
    ///
    /// # Errors
    /// As [`Http::find`].
    pub async fn fetch(&self, request: Request) -> Result<Answer, Fault> {
        let answer = self.ask(request).await?;
        (self.manner.fault)(&answer).map_or(Ok(answer), |fault| Err(fault.not_applied()))
    }

    /// Its JSON.
    ///
    /// # Errors
    /// As [`Http::fetch`].
    pub async fn read(&self, request: Request) -> Result<serde_json::Value, Fault> {
        self.fetch(request).await?.json().ok_or_else(|| Fault::transient("the destination's answer is unreadable"))
    }

    /// What `plan --request` shows of requests.
    pub fn previews(&self, requests: &[Request]) -> Vec<RequestPreview> {
        requests.iter().map(|request| request.preview(&self.auth)).collect()
    }

    /// Asks an endpoint about the access token, which goes as a member of a form, so that no log of URLs has it.
    ///
    /// # Errors
    /// As [`Http::send`]; a `Bug` where there is no access token.
    pub async fn send_token(&self, url: Url, member: &str) -> Result<Answer, Fault> {
        let Auth::OAuth(tokens) = &self.auth else { return Err(Fault::bug("there is no access token to ask about")) };
        let token = tokens.get().await?;
        let mut form = Form::default();
        form.push(member, token.expose_secret());
        let request = Request::new(Method::POST, url).form(form);
        self.send_with(request, Some(&token)).await
    }

    pub(super) async fn send_with(&self, request: Request, token: Option<&SecretString>) -> Result<Answer, Fault> {
        self.reach.check(&request.url).map_err(|why| unreachable(&why))?;
        if let Err(wait) = self.limiter.acquire_within(PATIENCE).await {
            return Err(Fault::throttled("the account's quota is used up for now", Some(wait)));
        }
        let asked = tokio::time::Instant::now();
        // After the wait, which may be long: a credential that was rotated meanwhile is the new one.
        let mut headers = request.headers;
        self.authorize(&mut headers, token)?;
        let host = request.url.authority().rsplit('@').next().unwrap_or("").to_owned();
        let method = request.method.clone();
        let sending = self.client.request(request.method, request.url).headers(headers).body(request.body).send();
        let sent = tokio::time::timeout(self.first_byte_timeout, sending)
            .await
            .map_err(|_| Fault::ambiguous(format!("{host} did not answer in time")))?;
        let mut response = sent.map_err(|e| no_answer(&host, e))?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let mut body =
            Vec::with_capacity(usize::try_from(response.content_length().unwrap_or(0)).unwrap_or(0).min(MAX_ANSWER));
        while let Some(chunk) = response.chunk().await.map_err(|e| no_answer(&host, e))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                return Err(Fault::ambiguous(format!("the answer of {host} is larger than 64 MiB")));
            }
            body.extend_from_slice(&chunk);
        }
        let answer = Answer { status, headers, body: body.into(), asked };
        tracing::debug!(%method, host, status = status.as_u16(), bytes = answer.body.len(), ms = asked.elapsed().as_millis() as u64, "http call");
        (self.manner.steer)(&answer, &self.limiter, self.share);
        if status == StatusCode::TOO_MANY_REQUESTS {
            self.limiter.close_for(retry_after(&answer).unwrap_or(DEFAULT_PAUSE));
        } else if let (StatusCode::SERVICE_UNAVAILABLE, Some(wait)) = (status, retry_after(&answer)) {
            self.limiter.close_for(wait);
        }
        Ok(answer)
    }

    fn authorize(&self, headers: &mut HeaderMap, token: Option<&SecretString>) -> Result<(), Fault> {
        let revealed = |secret: &Secret| Ok(secret.reveal()?.expose_secret().to_owned());
        let held = |_: &Tokens| match token {
            Some(token) => Ok(token.expose_secret().to_owned()),
            None => Err(Fault::bug("a call without its access token")),
        };
        let login = |user: &str, password: &str| basic(user, &SecretString::from(password));
        let Some((name, text)) = self.auth.header(revealed, held, login)? else { return Ok(()) };
        let mut value = HeaderValue::from_str(&text)
            .map_err(|_| Fault::auth("the credential has characters that no HTTP header can carry"))?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Ok(())
    }
}

/// A gate that stays closed for longer is a fault, so that the wait can be called off by whoever retries.
const PATIENCE: Duration = Duration::from_secs(10);

/// A 429 without `Retry-After` closes the gate this long.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);

/// Nothing was sent to a host that may not be connected to.
pub(super) fn unreachable(why: &Unreachable) -> Fault {
    Fault::config(format!("{why}: it is not connected to")).remedy(why.remedy())
}

fn no_answer(host: &str, error: reqwest::Error) -> Fault {
    // The URL may carry a key in its query: it is not part of the message.
    let error = error.without_url();
    if let Some(why) = refusal(&error) {
        return unreachable(why);
    }
    if error.is_connect() || error.is_builder() {
        Fault::transient(format!("cannot reach {host}")).caused_by(error)
    } else if error.is_timeout() {
        Fault::ambiguous(format!("{host} did not answer in time")).caused_by(error)
    } else {
        Fault::ambiguous(format!("the connection to {host} broke before the answer was complete")).caused_by(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FaultClass;
    use crate::contract::{Reply, Scripted, Server};
    use crate::http::fault_of_status;

    /// `{"packed":true}` in gzip.
    const PACKED: &[u8] = &[
        0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x2a, 0x48, 0x4c, 0xce, 0x4e, 0x4d,
        0x51, 0xb2, 0x2a, 0x29, 0x2a, 0x4d, 0xad, 0x05, 0x00, 0x89, 0xe0, 0xb5, 0xdc, 0x0f, 0x00, 0x00, 0x00,
    ];

    fn client(options: &HttpOptions) -> Http {
        Http::new(options, Auth::None, Arc::new(Limiter::new(&[]))).expect("a client")
    }

    fn get(url: &str) -> Request {
        Request::new(Method::GET, Url::parse(url).expect("a URL"))
    }

    #[tokio::test]
    async fn gzip_is_asked_for_and_unpacked() {
        let server = Server::start(|_| {
            Reply::Answer(Scripted::of(200, "application/json", PACKED).header("content-encoding", "gzip"))
        })
        .await;
        let answer = client(&HttpOptions::default()).send(get(server.url())).await.expect("an answer");
        assert_eq!(&answer.body[..], br#"{"packed":true}"#);
        let asked = server.received();
        assert!(asked[0].header("accept-encoding").is_some_and(|accepted| accepted.contains("gzip")));
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let other = Server::start(|_| Reply::Answer(Scripted::empty(200))).await;
        let target = other.url().to_owned();
        let server = Server::start(move |_| Reply::Answer(Scripted::empty(302).header("location", &target))).await;
        let answer = client(&HttpOptions::default()).send(get(server.url())).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::FOUND);
        assert_eq!(fault_of_status(&answer).map(|fault| fault.class), Some(FaultClass::Config));
        assert_eq!(other.received().len(), 0);
    }

    #[tokio::test]
    async fn a_vendors_manner_steers_by_every_answer_and_judges_those_that_must_succeed() {
        fn steer(answer: &Answer, limiter: &Limiter, share: f64) {
            let left = answer.header("calls-left").and_then(|text| text.parse::<f64>().ok());
            left.into_iter().for_each(|left| limiter.steer((left * share) as u32, 2 * PATIENCE, answer.asked));
        }
        let fault = |answer: &Answer| fault_of_status(answer).map(|fault| Fault::ambiguous(format!("oh, {fault}")));
        let server = Server::start(|request| {
            Reply::Answer(match request.target.as_str() {
                "/" => Scripted::json(200, &serde_json::json!({ "found": true })),
                "/gone" => Scripted::empty(404),
                "/broken" => Scripted::empty(500),
                _ => Scripted::empty(400).header("calls-left", "1"),
            })
        })
        .await;
        let http = client(&HttpOptions::default()).spoken(Manner { steer, fault }, 0.5);
        let at = |path: &str| get(&format!("{}{path}", server.url()));
        assert_eq!(http.read(at("/")).await.expect("JSON")["found"], true);
        assert!(http.find(at("/gone")).await.expect("judged").is_none());
        for fault in [http.find(at("/broken")).await.err(), http.fetch(at("/gone")).await.err()] {
            let fault = fault.expect("no success");
            assert_eq!(fault.class, FaultClass::Transient, "a read applies nothing");
            assert!(fault.message.starts_with("oh, "), "{fault}");
        }
        // Half of the one call that is left is none.
        http.send(at("/last")).await.expect("an answer");
        assert_eq!(http.ask(at("/")).await.expect_err("no call is left").class, FaultClass::Throttled);
        assert_eq!(server.received().len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_says_nothing_is_ambiguous_after_the_first_byte_timeout() {
        // Accepts connections in the backlog and never reads from them.
        let silent = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let url = format!("http://{}", silent.local_addr().expect("a bound address"));
        let options = HttpOptions {
            connect_timeout: Duration::from_secs(100),
            first_byte_timeout: Duration::from_secs(7),
            timeout: Duration::from_secs(100),
            ..HttpOptions::default()
        };
        let started = tokio::time::Instant::now();
        let fault = client(&options).send(get(&url)).await.expect_err("no answer");
        assert_eq!(fault.class, FaultClass::Ambiguous);
        assert_eq!(started.elapsed().as_secs(), 7);
    }

    #[tokio::test]
    async fn a_key_as_the_users_name_is_sent_and_not_shown() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("key"), "k\"1").expect("written");
        let secret =
            crate::config::Secrets::from_env(folder.path()).secret(crate::config::SecretRef::File("key".into()));
        let server = Server::start(|_| Reply::Answer(Scripted::empty(200))).await;
        let auth = Auth::BasicKey(secret);
        let http = Http::new(&HttpOptions::default(), auth, Arc::new(Limiter::new(&[]))).expect("a client");
        let request = get(server.url());
        let shown = request.preview(http.auth());
        assert!(!format!("{shown:?}").contains("k\\\"1"), "{shown:?}");
        http.send(request).await.expect("an answer");
        let sent = &server.received()[0];
        assert_eq!(sent.header("authorization"), Some(basic("k\"1", &SecretString::default()).as_str()));
    }
}
