//! `[destinations.X]` of type `meta`.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::hmac;
use backhaul_kit::config::{ConfigTable, Secret, SecretRef, schema};
use backhaul_kit::http::{Auth, Http, HttpAccount, Request, account_schema};
use backhaul_kit::value::hex;
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use reqwest::{Method, Url};
use secrecy::ExposeSecret as _;

use super::sync::MetaSync;

const LIVE: &str = "https://graph.facebook.com";
/// The version whose pages were read.
const VERSION: &str = "v25.0";
/// Calls in an hour with Limited access, before what active audiences add.
const PER_HOUR: u32 = 5000;
pub(super) const HOUR: Duration = Duration::from_secs(3600);
/// Rows in a call.
pub(super) const MAX_ROWS: u64 = 10_000;

/// A checked ad account.
#[derive(Clone, Debug)]
pub(super) struct MetaAccount {
    version: String,
    /// Its number, without `act_`.
    pub(super) number: String,
    token: SecretRef,
    app_secret: Option<SecretRef>,
    pub(super) rows_per_call: usize,
    pub(super) http: HttpAccount,
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
        let http = HttpAccount::read(table, "meta", LIVE);
        let (token, app_secret) = (table.required_secret("token"), table.secret("app_secret"));
        let written = table.required_text_at("ad_account");
        let number = written.as_ref().and_then(|(text, _)| text.strip_prefix("act_")).filter(|text| is_number(text));
        if let (Some((text, span)), None) = (&written, number) {
            let message = format!("`{}` is no ad account: \"{text}\"", table.path_of("ad_account"));
            let remedy = "write act_ and the account's number, as \"act_1234567890\"";
            table.problems().refuse("bad-ad-account", span, message, remedy);
        }
        let version = table.text_at("api_version");
        let numbers = |text: &str| text.strip_prefix('v')?.split_once('.').map(|(a, b)| is_number(a) && is_number(b));
        if let Some((text, span)) = version.as_ref().filter(|(text, _)| numbers(text) != Some(true)) {
            let message = format!("`{}` is no version: \"{text}\"", table.path_of("api_version"));
            let remedy = format!("write it as \"{VERSION}\", or leave it out");
            table.problems().refuse("bad-version", span, message, &remedy);
        }
        let (cap, rows) = (table.number("per_hour", 1), table.size_to("rows_per_call", MAX_ROWS));
        let number = number?.to_owned();
        Some(Self {
            version: version.map_or_else(|| VERSION.to_owned(), |(text, _)| text),
            token: token?,
            app_secret,
            rows_per_call: rows.unwrap_or(MAX_ROWS as usize),
            http: http?.of(&number).limited(cap, PER_HOUR, HOUR),
            number,
        })
    }

    /// The URL of a call below the version.
    pub(super) fn url(&self, segments: &[&str]) -> Result<Url, Fault> {
        self.http.base.join(&[&[self.version.as_str()], segments].concat())
    }

    /// The client.
    pub(super) fn open(&self, kit: &Kit) -> Result<Graph, Fault> {
        let token = kit.secret(&self.token);
        let http = self.http.client(kit, Auth::Bearer(token.clone()))?;
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
        Some(Arc::new(MetaSync::read(self, into, shape)?))
    }

    fn http(&self) -> Option<&HttpAccount> {
        Some(&self.http)
    }
}

/// Whether a text is digits and nothing else.
pub(super) fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let mut ad_account = schema::text("The audiences' owner, as \"act_1234567890\".");
    ad_account["pattern"] = "^act_[0-9]+$".into();
    let mut version = schema::text("Version of the Graph API. Default \"v25.0\".");
    version["pattern"] = "^v[0-9]+\\.[0-9]+$".into();
    let own = serde_json::json!({
        "token": schema::secret("The system user's access token, by reference."),
        "app_secret": schema::secret("The app's secret, by reference: calls then carry `appsecret_proof`."),
        "ad_account": ad_account,
        "api_version": version,
        "per_hour": schema::count("Calls in an hour. Default 5000, of Limited access; none for a stand-in."),
        "rows_per_call": schema::count_to(MAX_ROWS, "People in a call. Default 10000, Meta's most."),
    });
    account_schema(LIVE, own, &["token", "ad_account"])
}
