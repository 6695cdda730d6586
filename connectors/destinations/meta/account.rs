//! `[destinations.X]` of type `meta`.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use backhaul_kit::config::{ConfigTable, Problem, Secret, SecretRef};
use backhaul_kit::http::limit::{Limiter, Window};
use backhaul_kit::http::{Auth, BaseUrl, Http, HttpKeys, Request, account_schema, quota_share, scaled};
use backhaul_kit::value::hex;
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use reqwest::{Method, Url};
use secrecy::ExposeSecret as _;

use super::sync::MetaSync;

const LIVE: &str = "https://graph.facebook.com";
/// The version whose pages were read.
const VERSION: &str = "v25.0";
/// Calls in an hour with Standard access, before what active audiences add.
const PER_HOUR: u32 = 5000;
const HOUR: Duration = Duration::from_secs(3600);
/// Rows in a call.
pub(super) const MAX_ROWS: u64 = 10_000;

/// A checked ad account.
#[derive(Clone, Debug)]
pub(super) struct MetaAccount {
    base: BaseUrl,
    version: String,
    /// Its number, without `act_`.
    pub(super) number: String,
    token: SecretRef,
    app_secret: Option<SecretRef>,
    windows: Vec<Window>,
    pub(super) rows_per_call: usize,
    pub(super) http: HttpKeys,
}

/// The client of an ad account, and what its calls are signed with.
#[derive(Debug)]
pub(super) struct Graph {
    pub(super) http: Http,
    pub(super) token: Secret,
    app_secret: Option<Secret>,
}

impl MetaAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let errors = table.problems().errors();
        let (base, token) = (BaseUrl::read(table, LIVE), table.required_secret("token"));
        let app_secret = table.secret("app_secret");
        let written = table.required_text_at("ad_account");
        let number = written.as_ref().and_then(|(text, _)| text.strip_prefix("act_")).filter(|text| is_number(text));
        if let (Some((text, span)), None) = (&written, number) {
            let message = format!("`{}` is no ad account: \"{text}\"", table.path_of("ad_account"));
            let remedy = "write act_ and the account's number, as \"act_1234567890\"";
            table.problems().push(Problem::error("bad-ad-account", message).at(span).remedy(remedy));
        }
        let version = table.text_at("api_version");
        let numbers = |text: &str| text.strip_prefix('v')?.split_once('.').map(|(a, b)| is_number(a) && is_number(b));
        if let Some((text, span)) = version.as_ref().filter(|(text, _)| numbers(text) != Some(true)) {
            let message = format!("`{}` is no version: \"{text}\"", table.path_of("api_version"));
            let remedy = format!("write it as \"{VERSION}\", or leave it out");
            table.problems().push(Problem::error("bad-version", message).at(span).remedy(remedy));
        }
        let share = quota_share(table);
        let per_hour = table.number("per_hour", 1).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let rows = table.number("rows_per_call", 1).unwrap_or(MAX_ROWS);
        if rows > MAX_ROWS {
            let message = format!("`{}` is more than Meta's {MAX_ROWS}", table.path_of("rows_per_call"));
            table.problems().push(Problem::error("out-of-range", message).at(table.span()));
        }
        let http = HttpKeys::read(table);
        if table.problems().errors() > errors {
            return None;
        }
        let base = base?;
        // A stand-in has the limits that it was started with.
        let cap = per_hour.or_else(|| (!base.is_loopback()).then_some(PER_HOUR));
        Some(Self {
            version: version.map_or_else(|| VERSION.to_owned(), |(text, _)| text),
            number: number?.to_owned(),
            token: token?,
            app_secret,
            windows: cap.into_iter().map(|cap| Window { cap: scaled(cap, share), per: HOUR }).collect(),
            rows_per_call: usize::try_from(rows).ok()?,
            http,
            base,
        })
    }

    /// The limiter, which all syncs of the ad account share.
    pub(super) fn limiter(&self, kit: &Kit) -> Arc<Limiter> {
        kit.limiter(&format!("meta {} {}", self.base, self.number), &self.windows)
    }

    /// The URL of a call below the version.
    pub(super) fn url(&self, segments: &[&str]) -> Result<Url, Fault> {
        self.base.join(&[&[self.version.as_str()], segments].concat())
    }

    /// The client.
    pub(super) fn open(&self, kit: &Kit) -> Result<Graph, Fault> {
        let token = kit.secret(&self.token);
        let http = Http::new(&self.http.options(kit), Auth::Bearer(token.clone()), self.limiter(kit))?;
        Ok(Graph { http, token, app_secret: self.app_secret.as_ref().map(|secret| kit.secret(secret)) })
    }
}

impl Graph {
    /// A request with the proof that its sender knows the app's secret, where that is configured.
    pub(super) fn signed(&self, method: Method, mut url: Url) -> Result<Request, Fault> {
        if let Some(secret) = &self.app_secret {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal()?.expose_secret().as_bytes());
            let proof = hmac::sign(&key, self.token.reveal()?.expose_secret().as_bytes());
            url.query_pairs_mut().append_pair("appsecret_proof", &hex(proof.as_ref()));
        }
        Ok(Request::new(method, url))
    }
}

impl Account for MetaAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        MetaSync::read(self, into, shape).map(|sync| Arc::new(sync) as Arc<dyn Prepared>)
    }

    fn is_stand_in(&self) -> bool {
        self.base.is_loopback()
    }

    fn hosts(&self) -> Vec<String> {
        self.http.hosts(vec![self.base.host_and_port()])
    }
}

/// Whether a text is digits and nothing else.
pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let own = serde_json::json!({
        "token": { "description": "The system user's access token, by reference.", "$ref": "#/$defs/Secret" },
        "app_secret": { "description": "The app's secret, by reference: calls then carry `appsecret_proof`.", "$ref": "#/$defs/Secret" },
        "ad_account": { "description": "The audiences' owner, as \"act_1234567890\".", "type": "string", "pattern": "^act_[0-9]+$" },
        "api_version": { "description": "Version of the Graph API. Default \"v25.0\".", "type": "string", "pattern": "^v[0-9]+\\.[0-9]+$" },
        "per_hour": { "description": "Calls in an hour. Default 5000, of Standard access; none for a stand-in.", "type": "integer", "minimum": 1 },
        "rows_per_call": { "description": "People in a call. Default 10000, Meta's most.", "type": "integer", "minimum": 1, "maximum": MAX_ROWS }
    });
    account_schema(LIVE, own, &["token", "ad_account"])
}
