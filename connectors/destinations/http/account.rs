//! `[destinations.X]` of `type = "http"`: where the API is, who we are there, and how fast we may go.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, ItemKind, Problem, SecretRef, Span};
use backhaul_kit::http::limit::{Limiter, Window};
use backhaul_kit::http::reach::host_and_port;
use backhaul_kit::http::{Auth, HttpKeys, HttpOptions, is_loopback};
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::oauth::OAuth;
use super::sync::HttpSync;

/// Calls in flight where nothing is said.
const DEFAULT_CONCURRENCY: usize = 4;

/// A checked `[destinations.X]`.
#[derive(Clone, Debug)]
pub(super) struct HttpAccount {
    /// Where the API is; paths of calls are appended to its path.
    pub(super) url: Url,
    /// Where the credential comes from and goes.
    pub(super) credential: Credential,
    /// Headers of every call.
    pub(super) headers: HeaderMap,
    /// The operator's limits, already lowered to `quota`.
    pub(super) windows: Vec<Window>,
    /// Calls in flight.
    pub(super) concurrency: usize,
    /// Timeouts; the rest is in `http`.
    pub(super) timeouts: HttpOptions,
    /// How connections are made.
    pub(super) http: HttpKeys,
    /// Whose account it is, in the operator's words.
    pub(super) identity: String,
    /// A path that `check` asks for.
    pub(super) check: Option<String>,
}

/// A credential, not yet read.
#[derive(Clone, Debug)]
pub(super) enum Credential {
    None,
    Bearer(SecretRef),
    Header(HeaderName, SecretRef),
    Basic { user: String, password: SecretRef },
    OAuth(Box<OAuth>),
}

impl Credential {
    /// With a handle that reads the secret when a call is made.
    ///
    /// # Errors
    /// A TLS set-up that cannot be built.
    pub(super) fn auth(&self, kit: &Kit, options: &HttpOptions) -> Result<Auth, Fault> {
        Ok(match self {
            Self::None => Auth::None,
            Self::Bearer(token) => Auth::Bearer(kit.secret(token)),
            Self::Header(name, value) => Auth::Header(name.clone(), kit.secret(value)),
            Self::Basic { user, password } => Auth::Basic { user: user.clone(), password: kit.secret(password) },
            Self::OAuth(oauth) => Auth::OAuth(oauth.tokens(kit, options)?),
        })
    }
}

impl HttpAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let url = read_url(table);
        let credential = read_credential(table);
        let headers = read_headers(table, "headers");
        let mut windows = read_limits(table);
        let share = table.percent("quota");
        if share.is_some() && windows.is_empty() {
            table.problems().push(
                Problem::warning("quota-without-limits", format!("`{}` is a share of nothing", table.path_of("quota")))
                    .at(table.span())
                    .remedy("say what the API allows: `limits = [{ cap = 100, per = \"10s\" }]`"),
            );
        }
        if let Some(share) = share {
            for window in &mut windows {
                // At least one call: a quota of a small limit must not stop everything.
                window.cap = ((f64::from(window.cap) * share).floor() as u32).max(1);
            }
        }
        let concurrency = read_size(table, "concurrency").unwrap_or(DEFAULT_CONCURRENCY);
        let timeouts = read_timeouts(table);
        let http = HttpKeys::connection(table);
        let identity = table.text("identity");
        let check = read_path(table, "check");
        let url = url?;
        let identity = identity.unwrap_or_else(|| origin(&url));
        Some(Self { url, credential, headers, windows, concurrency, timeouts, http, identity, check })
    }

    /// How the account's client behaves.
    pub(super) fn options(&self, kit: &Kit) -> HttpOptions {
        let HttpOptions { connect_timeout, first_byte_timeout, timeout, .. } = self.timeouts;
        HttpOptions { connect_timeout, first_byte_timeout, timeout, ..self.http.options(kit) }
    }

    /// The limiter of the account.
    pub(super) fn shared_limiter(&self, kit: &Kit) -> Arc<Limiter> {
        kit.limiters.get(&format!("http:{}", self.identity), &self.windows)
    }

    /// The absolute URL of a path below the account's; `None` where it is no URL, or where a part of the
    /// path is `.` or `..`: a key must not choose another resource than the one that is written.
    pub(super) fn join(&self, path: &str) -> Option<Url> {
        let parts = path.split(['?', '#']).next().unwrap_or_default();
        if parts
            .split(['/', '\\'])
            .any(|part| matches!(part.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | ".."))
        {
            return None;
        }
        Url::parse(&format!("{}{path}", self.url.as_str().trim_end_matches('/'))).ok()
    }
}

impl Account for HttpAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        let sync = HttpSync::read(self, into, shape)?;
        Some(Arc::new(sync))
    }

    fn limiter(&self, kit: &Kit) -> Option<Arc<Limiter>> {
        Some(self.shared_limiter(kit))
    }

    fn is_stand_in(&self) -> bool {
        is_loopback(&self.url)
    }

    fn hosts(&self) -> Vec<String> {
        let tokens = match &self.credential {
            Credential::OAuth(oauth) => Some(host_and_port(oauth.token_url())),
            _ => None,
        };
        self.http.hosts([host_and_port(&self.url)].into_iter().chain(tokens).collect())
    }
}

/// Host, and the port where it is not the scheme's own.
fn origin(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

fn read_url(table: &mut ConfigTable) -> Option<Url> {
    read_url_at(table, "url")
}

/// A URL of HTTP; problems go to the table.
pub(super) fn read_url_at(table: &mut ConfigTable, key: &str) -> Option<Url> {
    let (text, span) = table.required_text_at(key)?;
    let refuse = |message: String, remedy: &str| {
        table.problems().push(Problem::error("bad-url", message).at(&span).masked().remedy(remedy));
        None
    };
    let Ok(url) = Url::parse(&text) else {
        return refuse(format!("`{}` is not a URL", table.path_of(key)), "write it as \"https://api.example.com\"");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
        return refuse(format!("`{}` must begin with https://", table.path_of(key)), "only HTTP is spoken here");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse(
            format!("`{}` holds a credential", table.path_of(key)),
            "use `basic = { user = \"…\", password = { secret = \"name\" } }`",
        );
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse(
            format!("`{}` has a query or fragment", table.path_of(key)),
            "put the query into the `url` of `[into.request]`",
        );
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        table.problems().push(
            Problem::warning("plain-http", format!("`{}` is not encrypted", table.path_of(key)))
                .at(&span)
                .remedy("use https://: rows and credentials can be read on the way"),
        );
    }
    Some(url)
}

fn read_credential(table: &mut ConfigTable) -> Credential {
    let ways = ["token", "header", "basic", "oauth"];
    let given: Vec<(String, Span)> = table.keys().into_iter().filter(|(key, _)| ways.contains(&key.as_str())).collect();
    if let [(first, _), (second, span), ..] = given.as_slice() {
        table.problems().push(
            Problem::error("two-credentials", format!("`{first}` and `{second}` exclude each other"))
                .at(span)
                .remedy("keep one of `token`, `header`, `basic` and `oauth`"),
        );
    }
    let token = table.secret("token").map(Credential::Bearer);
    let header = table.table("header").and_then(|mut header| {
        let name = header.required_text_at("name").and_then(|(name, span)| header_name(&header, &name, &span));
        let value = header.required_secret("value");
        header.finish();
        Some(Credential::Header(name?, value?))
    });
    let basic = table.table("basic").and_then(|mut basic| {
        let user = basic.required_text("user");
        let password = basic.required_secret("password");
        basic.finish();
        Some(Credential::Basic { user: user?, password: password? })
    });
    let oauth = OAuth::read(table).map(|oauth| Credential::OAuth(Box::new(oauth)));
    token.or(header).or(basic).or(oauth).unwrap_or(Credential::None)
}

fn read_limits(table: &mut ConfigTable) -> Vec<Window> {
    let Some(item) = table.take("limits") else { return Vec::new() };
    let ItemKind::Array(items) = item.kind else {
        table.wrong_type("limits", "an array of tables", &item);
        return Vec::new();
    };
    let mut windows = Vec::with_capacity(items.len());
    for item in items {
        let Some(mut window) = table.item_table("limits", item) else { continue };
        for key in ["cap", "per"] {
            if !window.has(key) {
                window.missing(key);
            }
        }
        let (cap, per) = (window.number("cap", 1), window.duration("per"));
        window.finish();
        if let (Some(cap), Some(per)) = (cap, per) {
            windows.push(Window { cap: u32::try_from(cap).unwrap_or(u32::MAX), per });
        }
    }
    windows
}

fn read_timeouts(table: &mut ConfigTable) -> HttpOptions {
    let mut options = HttpOptions::default();
    if let Some(mut timeouts) = table.table("timeouts") {
        let set = |slot: &mut Duration, value: Option<Duration>| {
            if let Some(value) = value {
                *slot = value;
            }
        };
        set(&mut options.connect_timeout, timeouts.duration("connect"));
        set(&mut options.timeout, timeouts.duration("total"));
        options.first_byte_timeout = options.timeout;
        set(&mut options.first_byte_timeout, timeouts.duration("first_byte"));
        timeouts.finish();
    }
    options
}

/// A whole number of at least 1 that fits the machine.
pub(super) fn read_size(table: &mut ConfigTable, key: &str) -> Option<usize> {
    table.number(key, 1).map(|n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// A path that begins with a slash.
pub(super) fn read_path(table: &mut ConfigTable, key: &str) -> Option<String> {
    let (path, span) = table.text_at(key)?;
    check_path(table, key, &path, &span).then_some(path)
}

/// Whether `path` begins with one slash; reports it otherwise.
pub(super) fn check_path(table: &ConfigTable, key: &str, path: &str, span: &Span) -> bool {
    let good = path.starts_with('/') && !path.starts_with("//") && !path.contains('#');
    if !good {
        table.problems().push(
            Problem::error(
                "bad-path",
                format!("`{}` must be a path below the destination's `url`", table.path_of(key)),
            )
            .at(span)
            .remedy("begin it with one slash, as \"/v1/customers\""),
        );
    }
    good
}

/// A table of plain headers. A credential has a place of its own and is refused here.
pub(super) fn read_headers(table: &mut ConfigTable, key: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let Some(mut plain) = table.table(key) else { return headers };
    for (text, key_span) in plain.keys() {
        let Some((value, span)) = plain.text_at(&text) else { continue };
        let Some(name) = header_name(&plain, &text, &key_span) else { continue };
        if matches!(name.as_str(), "authorization" | "proxy-authorization" | "cookie") {
            plain.problems().push(
                Problem::error(
                    "inline-secret",
                    format!("`{}` holds a secret and must not be written here", plain.path_of(&text)),
                )
                .at(&span)
                .masked()
                .remedy("use `token`, `header` or `basic` of the destination, which take { secret = \"name\" }"),
            );
        } else if matches!(name.as_str(), "host" | "content-length" | "transfer-encoding" | "connection") {
            plain.problems().push(
                Problem::error("bad-header", format!("`{}` is set by the HTTP client itself", plain.path_of(&text)))
                    .at(&key_span),
            );
        } else if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        } else {
            plain.problems().push(
                Problem::error(
                    "bad-header",
                    format!("`{}` has characters that no header can carry", plain.path_of(&text)),
                )
                .at(&span),
            );
        }
    }
    headers
}

/// A header's name; reports what cannot be one.
pub(super) fn header_name(table: &ConfigTable, name: &str, span: &Span) -> Option<HeaderName> {
    let parsed = HeaderName::try_from(name).ok();
    if parsed.is_none() {
        table
            .problems()
            .push(Problem::error("bad-header", format!("\"{name}\" cannot be the name of a header")).at(span));
    }
    parsed
}
