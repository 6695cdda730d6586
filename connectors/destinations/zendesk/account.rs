//! `[destinations.X]` of type `zendesk`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, SecretRef};
use backhaul_kit::http::limit::{Limiter, Window};
use backhaul_kit::http::{Auth, BaseUrl, Http, HttpKeys, Request, account_schema, quota_share, scaled};
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use reqwest::Method;

use super::sync::ZendeskSync;

/// Plans of Zendesk Suite and Support, and their calls in a minute.
const PLANS: &[(&str, u32)] =
    &[("team", 200), ("growth", 400), ("professional", 400), ("enterprise", 700), ("enterprise_plus", 2500)];

/// A checked Zendesk account.
#[derive(Clone, Debug)]
pub(super) struct ZendeskAccount {
    pub(super) subdomain: String,
    base: BaseUrl,
    /// Whose API token the secret is; none for an OAuth token.
    email: Option<String>,
    secret: SecretRef,
    windows: Vec<Window>,
    /// How calls are made.
    pub(super) http: HttpKeys,
}

impl ZendeskAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let errors = table.problems().errors();
        let subdomain = subdomain(table).unwrap_or_default();
        let base = BaseUrl::read(table, &format!("https://{subdomain}.zendesk.com"));
        let credential = credential(table);
        let share = quota_share(table);
        let cap = table.choice("plan", PLANS).unwrap_or(PLANS[0].1);
        let http = HttpKeys::read(table);
        if table.problems().errors() > errors {
            return None;
        }
        let (base, (email, secret)) = (base?, credential?);
        let window = Window { cap: scaled(cap, share), per: Duration::from_secs(60) };
        // A stand-in has the limits that it was started with.
        let windows = if base.is_loopback() { Vec::new() } else { vec![window] };
        Some(Self { subdomain, base, email, secret, windows, http })
    }

    /// A call below `/api/v2/`; every segment is escaped.
    pub(super) fn call(&self, method: Method, segments: &[&str]) -> Result<Request, Fault> {
        Ok(Request::new(method, self.base.join(&[&["api", "v2"], segments].concat())?))
    }

    /// The client, with the credential.
    pub(super) fn client(&self, kit: &Kit) -> Result<Http, Fault> {
        let secret = kit.secret(&self.secret);
        let auth = match &self.email {
            Some(email) => Auth::Basic { user: format!("{email}/token"), password: secret },
            None => Auth::Bearer(secret),
        };
        Http::new(&self.http.options(kit), auth, self.limiter(kit))
    }

    /// The limiter that all who call the account share.
    pub(super) fn limiter(&self, kit: &Kit) -> Arc<Limiter> {
        kit.limiter(&format!("zendesk {}", self.base), &self.windows)
    }
}

impl Account for ZendeskAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        ZendeskSync::read(self, into, shape).map(|sync| Arc::new(sync) as Arc<dyn Prepared>)
    }

    fn is_stand_in(&self) -> bool {
        self.base.is_loopback()
    }

    fn hosts(&self) -> Vec<String> {
        self.http.hosts(vec![self.base.host_and_port()])
    }
}

fn subdomain(table: &mut ConfigTable) -> Option<String> {
    let (text, span) = table.required_text_at("subdomain")?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let message = format!("`{}` is no subdomain", table.path_of("subdomain"));
        let remedy = "write the first part of the account's address: \"acme\" of acme.zendesk.com";
        table.problems().push(Problem::error("bad-subdomain", message).at(&span).remedy(remedy));
    }
    Some(text.to_ascii_lowercase())
}

/// An OAuth token, or an agent's address and an API token.
fn credential(table: &mut ConfigTable) -> Option<(Option<String>, SecretRef)> {
    let given = ["token", "email", "api_token"].map(|key| table.has(key));
    let (token, email, api_token) = (table.secret("token"), table.text("email"), table.secret("api_token"));
    match given {
        [true, false, false] => Some((None, token?)),
        [false, true, true] => Some((Some(email?), api_token?)),
        _ => {
            let message = "Zendesk wants one credential: an OAuth token, or an address and its API token";
            let remedy = "give `token`, or `email` and `api_token`";
            table.problems().push(Problem::error("bad-credential", message).at(table.span()).remedy(remedy));
            None
        }
    }
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let plans: Vec<&str> = PLANS.iter().map(|(name, _)| *name).collect();
    let own = serde_json::json!({
        "subdomain": { "description": "`acme` of acme.zendesk.com.", "type": "string" },
        "token": {
            "description": "An OAuth access token, by reference, with the scopes that `doctor` names.",
            "$ref": "#/$defs/Secret"
        },
        "email": { "description": "The agent whose `api_token` is used.", "type": "string" },
        "api_token": {
            "description": "An API token, by reference. It has no scopes, and ends on 30 April 2027.",
            "$ref": "#/$defs/Secret"
        },
        "plan": { "description": "The account's plan, for its limit. Default \"team\".", "enum": plans }
    });
    account_schema("https://SUBDOMAIN.zendesk.com", own, &["subdomain"])
}
