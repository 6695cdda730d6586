//! `[destinations.X]` of type `meta`.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use backhaul_kit::config::{ConfigTable, Problem, Secret, SecretRef};
use backhaul_kit::http::limit::Window;
use backhaul_kit::http::{Auth, BaseUrl, Http, HttpOptions, Request, quota_share, scaled};
use backhaul_kit::normalise::person::hex;
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use reqwest::{Method, Url};
use secrecy::ExposeSecret as _;

use super::sync::MetaSync;

const LIVE: &str = "https://graph.facebook.com";
/// The version whose pages were read.
const VERSION: &str = "v25.0";
/// Calls in an hour with Standard access, before what active audiences add.
const PER_HOUR: u32 = 5000;
/// Rows in a call.
pub(super) const MAX_ROWS: usize = 10_000;

/// A checked ad account.
#[derive(Clone, Debug)]
pub(super) struct MetaAccount {
    base: BaseUrl,
    version: String,
    /// `act_` and digits.
    pub(super) ad_account: String,
    token: SecretRef,
    app_secret: Option<SecretRef>,
    windows: Vec<Window>,
    pub(super) rows_per_call: usize,
    pub(super) timeout: Duration,
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
        let (base, token, app_secret) =
            (BaseUrl::read(table, LIVE), table.required_secret("token"), table.secret("app_secret"));
        let ad_account = table.required_text_at("ad_account");
        let version = table.text_at("api_version");
        let refuse = |code, message: String, span, remedy: &str| {
            table.problems().push(Problem::error(code, message).at(span).remedy(remedy.to_owned()));
        };
        if let Some((text, span)) = &ad_account
            && !text.strip_prefix("act_").is_some_and(is_number)
        {
            let message = format!("`{}` is no ad account: \"{text}\"", table.path_of("ad_account"));
            refuse("bad-ad-account", message, span, "write act_ and the account's number, as \"act_1234567890\"");
        }
        if let Some((text, span)) = &version
            && !text
                .strip_prefix('v')
                .and_then(|v| v.split_once('.'))
                .is_some_and(|(a, b)| is_number(a) && is_number(b))
        {
            let message = format!("`{}` is no version: \"{text}\"", table.path_of("api_version"));
            refuse("bad-version", message, span, "write it as \"v25.0\", or leave it out");
        }
        let share = quota_share(table);
        let per_hour = table.number("per_hour", 1).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let rows = table.number("rows_per_call", 1).map_or(MAX_ROWS, |n| usize::try_from(n).unwrap_or(usize::MAX));
        if rows > MAX_ROWS {
            let message = format!("`{}` is more than Meta's {MAX_ROWS}", table.path_of("rows_per_call"));
            table.problems().push(Problem::error("out-of-range", message).at(table.span()));
        }
        let timeout = table.duration("timeout").unwrap_or(HttpOptions::default().timeout);
        if table.problems().errors() > errors {
            return None;
        }
        let base = base?;
        // A stand-in has the limits that it was started with.
        let cap = per_hour.or_else(|| (!base.is_loopback()).then_some(PER_HOUR));
        let per = Duration::from_secs(3600);
        Some(Self {
            version: version.map_or_else(|| VERSION.to_owned(), |(text, _)| text),
            ad_account: ad_account?.0,
            token: token?,
            app_secret,
            windows: cap.into_iter().map(|cap| Window { cap: scaled(cap, share), per }).collect(),
            rows_per_call: rows,
            timeout,
            base,
        })
    }

    /// The URL of a call below the version.
    pub(super) fn url(&self, segments: &[&str]) -> Result<Url, Fault> {
        self.base.join(&[&[self.version.as_str()], segments].concat())
    }

    /// The client; all syncs of the ad account share its limiter.
    pub(super) fn open(&self, kit: &Kit) -> Result<Graph, Fault> {
        let limiter = kit.limiter(&format!("meta {} {}", self.base, self.ad_account), &self.windows);
        let options = HttpOptions { timeout: self.timeout, first_byte_timeout: self.timeout, ..HttpOptions::default() };
        let token = kit.secret(&self.token);
        Ok(Graph {
            http: Http::new(&options, Auth::Bearer(token.clone()), limiter)?,
            token,
            app_secret: self.app_secret.as_ref().map(|reference| kit.secret(reference)),
        })
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
        vec![self.base.host_and_port()]
    }
}

/// Whether a text is digits and nothing else.
pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    serde_json::json!({
        "properties": {
            "token": {
                "description": "The system user's access token, by reference.",
                "$ref": "#/$defs/Secret"
            },
            "app_secret": {
                "description": "The app's secret, by reference: calls then carry `appsecret_proof`, which some apps demand.",
                "$ref": "#/$defs/Secret"
            },
            "ad_account": {
                "description": "The ad account that owns the audiences, as \"act_1234567890\".",
                "type": "string",
                "pattern": "^act_[0-9]+$"
            },
            "api_version": {
                "description": "The Graph API's version. Default \"v25.0\".",
                "type": "string",
                "pattern": "^v[0-9]+\\.[0-9]+$"
            },
            "quota": {
                "description": "Share of the limit that backhaul may use. Default \"100%\".",
                "type": "string",
                "pattern": "^[0-9.]+ *%$"
            },
            "per_hour": {
                "description": "Calls in an hour. Default 5000, that of Standard access; none for a stand-in.",
                "type": "integer",
                "minimum": 1
            },
            "rows_per_call": {
                "description": "People in one call. Default 10000, Meta's most.",
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_ROWS
            },
            "base_url": {
                "description": "Where the API is; a loopback address means a stand-in. Default \"https://graph.facebook.com\".",
                "type": "string",
                "format": "uri"
            },
            "timeout": {
                "description": "How long a call may take. Default \"60s\".",
                "type": "string"
            }
        },
        "required": ["token", "ad_account"]
    })
}
