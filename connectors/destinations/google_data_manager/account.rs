//! `[destinations.X]` of type `google-data-manager`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, SecretRef, Span};
use backhaul_kit::http::assertion::Assertion;
use backhaul_kit::http::limit::Window;
use backhaul_kit::http::token::{Grant, TokenSource, Tokens};
use backhaul_kit::http::{Auth, BaseUrl, Http, HttpKeys, account_schema, quota_share, scaled};
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use reqwest::Url;
use serde_json::{Value, json};

use super::sync::AudienceSync;

const LIVE: &str = "https://datamanager.googleapis.com";
/// Where tokens are given and looked at.
const TOKENS: &str = "https://oauth2.googleapis.com";
/// All that is asked for.
pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/datamanager";
/// What the operator agrees to; Google's page on the terms.
const TERMS: &str = "https://support.google.com/adspolicy/answer/6299717";
/// Kinds of accounts that have audiences, and Google's names of them.
const KINDS: &[(&str, &str)] = &[
    ("google_ads", "GOOGLE_ADS"),
    ("display_video_partner", "DISPLAY_VIDEO_PARTNER"),
    ("display_video_advertiser", "DISPLAY_VIDEO_ADVERTISER"),
];
/// Calls of a Cloud project in a minute, and in a day.
const PER_MINUTE: u32 = 300;
const PER_DAY: u32 = 100_000;
/// How long after a request its status is asked for.
const STATUS_AFTER: Duration = Duration::from_secs(300);

/// Who calls. `Debug` names secrets by where they are.
#[derive(Clone, Debug)]
enum Credential {
    ServiceAccount(SecretRef),
    Refresh { client_id: String, client_secret: SecretRef, token: SecretRef },
}

/// A checked account.
#[derive(Clone, Debug)]
pub(super) struct GoogleAccount {
    base: BaseUrl,
    credential: Credential,
    /// As Google writes it.
    pub(super) operating: Value,
    pub(super) login: Option<Value>,
    share: f64,
    pub(super) status_after: Duration,
    pub(super) http: HttpKeys,
}

impl GoogleAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let errors = table.problems().errors();
        let base = BaseUrl::read(table, LIVE);
        let credential = credential(table);
        let operating = product_account(table, "account", true);
        let login = product_account(table, "login_account", false);
        terms(table);
        let share = quota_share(table);
        let status_after = table.duration("status_after");
        let http = HttpKeys::read(table);
        if table.problems().errors() > errors {
            return None;
        }
        let (base, credential, operating) = (base?, credential?, operating?);
        let status_after = status_after.unwrap_or(if base.is_loopback() { Duration::ZERO } else { STATUS_AFTER });
        Some(Self { base, credential, operating, login, share, status_after, http })
    }

    /// The URL of a call of version 1.
    pub(super) fn url(&self, call: &str) -> Result<Url, Fault> {
        self.base.join(&["v1", call])
    }

    /// Where tokens are given (`token`) and looked at (`tokeninfo`): beside the API, where that is a stand-in.
    pub(super) fn token_url(&self, path: &str) -> Result<Url, Fault> {
        if self.base.is_loopback() {
            return self.base.join(&[path]);
        }
        Url::parse(TOKENS).and_then(|url| url.join(path)).map_err(|e| Fault::bug("a wrong URL").caused_by(e))
    }

    /// The client of the account. The limits are those of the Cloud project that the credential belongs to.
    pub(super) fn client(&self, kit: &Kit) -> Result<Http, Fault> {
        let window = |cap, seconds| Window { cap: scaled(cap, self.share), per: Duration::from_secs(seconds) };
        let windows = [window(PER_MINUTE, 60), window(PER_DAY, 24 * 60 * 60)];
        // A stand-in has the limits that it was started with.
        let windows = if self.is_stand_in() { &[][..] } else { &windows[..] };
        let (options, holder) = (self.http.options(kit), format!("google {} {:?}", self.base, self.credential));
        let tokens = kit.tokens(&format!("{holder} {SCOPE}"), || {
            let (grant, client_id, client_secret, scope) = match &self.credential {
                Credential::ServiceAccount(key) => {
                    let grant = Grant::Assertion(Assertion::ServiceAccount(kit.secret(key)));
                    (grant, String::new(), None, Some(SCOPE.to_owned()))
                }
                // Without a scope the token has all that was granted: `check` tells what is too much.
                Credential::Refresh { client_id, client_secret, token } => {
                    let grant = Grant::RefreshToken(kit.secret(token));
                    (grant, client_id.clone(), Some(kit.secret(client_secret)), None)
                }
            };
            let url = self.token_url("token")?;
            let source =
                TokenSource { url, grant, client_id, client_secret, secret_in_form: true, scope, more: Vec::new() };
            Tokens::new(source, &options)
        })?;
        Http::new(&options, Auth::OAuth(tokens), kit.limiter(&holder, windows))
    }
}

impl Account for GoogleAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        AudienceSync::read(self, into, shape).map(|sync| Arc::new(sync) as Arc<dyn Prepared>)
    }

    fn is_stand_in(&self) -> bool {
        self.base.is_loopback()
    }

    fn hosts(&self) -> Vec<String> {
        let tokens = self.token_url("token").ok().map(|url| backhaul_kit::http::reach::host_and_port(&url));
        let mut hosts = vec![self.base.host_and_port()];
        hosts.extend(tokens.filter(|host| *host != hosts[0]));
        self.http.hosts(hosts)
    }
}

/// `service_account`, or `oauth` with the three secrets of a user's grant.
fn credential(table: &mut ConfigTable) -> Option<Credential> {
    let given = [table.has("service_account"), table.has("oauth")];
    if given[0] == given[1] {
        let message = format!("`[{}]` needs `service_account` or `oauth`, one of them", table.path());
        let remedy = "service_account = { secret = \"google-key\" }: the JSON key of a service account";
        refuse(table, table.span(), "missing-credential", message, remedy);
    }
    let service_account = table.secret("service_account").map(Credential::ServiceAccount);
    let Some(mut oauth) = table.table("oauth") else { return service_account };
    let (id, secret) = (oauth.required_text("client_id"), oauth.required_secret("client_secret"));
    let token = oauth.required_secret("refresh_token");
    oauth.finish();
    Some(Credential::Refresh { client_id: id?, client_secret: secret?, token: token? })
}

/// `account` and `account_type`, or the same of another account.
fn product_account(table: &mut ConfigTable, key: &str, needed: bool) -> Option<Value> {
    let kind = table.choice(&format!("{key}_type"), KINDS).unwrap_or(KINDS[0].1);
    let (text, span) = if needed { table.required_text_at(key) } else { table.text_at(key) }?;
    Some(json!({ "accountType": kind, "accountId": number(table, key, &text, &span)? }))
}

/// Tells a problem.
pub(super) fn refuse(table: &ConfigTable, at: &Span, code: &'static str, message: String, remedy: &str) {
    table.problems().push(Problem::error(code, message).at(at).remedy(remedy));
}

/// An id of digits; Google shows those of accounts with dashes.
pub(super) fn number(table: &ConfigTable, key: &str, text: &str, span: &Span) -> Option<String> {
    let digits = text.replace('-', "");
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(digits);
    }
    let message = format!("`{}` is not the number of an account or a list", table.path_of(key));
    refuse(table, span, "bad-id", message, "as \"1112223333\"");
    None
}

/// `customer_match_terms`: nobody but the operator can accept them.
fn terms(table: &mut ConfigTable) {
    if !table.has("customer_match_terms") {
        let message = format!("`[{}]` does not say that the terms of Customer Match are accepted", table.path());
        let remedy = format!("read {TERMS}, then write customer_match_terms = \"accepted\"");
        refuse(table, table.span(), "terms-not-accepted", message, &remedy);
    }
    table.choice("customer_match_terms", &[("accepted", ())]);
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> Value {
    let kinds: Vec<&str> = KINDS.iter().map(|(name, _)| *name).collect();
    let secret = json!({ "$ref": "#/$defs/Secret" });
    let user = json!({ "client_id": { "type": "string" }, "client_secret": secret, "refresh_token": secret });
    let all = ["client_id", "client_secret", "refresh_token"];
    let id = |about: &str| json!({ "description": about, "type": "string", "pattern": "^[0-9-]+$" });
    let own = json!({
        "service_account": { "description": "The JSON key of a service account, by reference.", "$ref": "#/$defs/Secret" },
        "oauth": { "description": "A user's grant, in its place.", "type": "object", "properties": user, "required": all },
        "account": id("The operating account: whose audiences these are."),
        "account_type": { "description": "Its kind. Default \"google_ads\".", "enum": kinds },
        "login_account": id("The account through which the credential reaches it, as a manager's. Default: itself."),
        "login_account_type": { "description": "Its kind. Default \"google_ads\".", "enum": kinds },
        "customer_match_terms": { "description": format!("Once you have read {TERMS}."), "const": "accepted" },
        "status_after": { "description": "How long after a request its status is asked for. Default \"5m\"; at once of a stand-in.", "type": "string" }
    });
    account_schema(LIVE, own, &["account", "customer_match_terms"])
}
