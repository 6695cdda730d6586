//! `[destinations.X]` of type `google-data-manager`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, SecretRef, Span, schema};
use backhaul_kit::http::assertion::Assertion;
use backhaul_kit::http::reach::host_and_port;
use backhaul_kit::http::token::{Grant, TokenSource, Tokens};
use backhaul_kit::http::{Auth, Http, HttpAccount, account_schema};
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
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
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
    credential: Credential,
    /// As Google writes it.
    pub(super) operating: Value,
    pub(super) login: Option<Value>,
    pub(super) status_after: Duration,
    pub(super) http: HttpAccount,
}

impl GoogleAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let http = HttpAccount::read(table, "google", LIVE);
        let credential = credential(table);
        let operating = product_account(table, "account", true);
        let login = product_account(table, "login_account", false);
        terms(table);
        let (status_after, credential) = (table.duration("status_after"), credential?);
        // The limits are those of the Cloud project that the credential belongs to.
        let http = http?.of(&format!("{credential:?}"));
        let http = http.limited(None, PER_MINUTE, MINUTE).limited(None, PER_DAY, DAY);
        let status_after = status_after.unwrap_or(if http.is_stand_in() { Duration::ZERO } else { STATUS_AFTER });
        Some(Self { credential, operating: operating?, login, status_after, http })
    }

    /// The URL of a call of version 1.
    pub(super) fn url(&self, call: &str) -> Result<Url, Fault> {
        self.http.base.join(&["v1", call])
    }

    /// Where tokens are given (`token`) and looked at (`tokeninfo`): beside the API, where that is a stand-in.
    pub(super) fn token_url(&self, path: &str) -> Result<Url, Fault> {
        if self.http.is_stand_in() {
            return self.http.base.join(&[path]);
        }
        Url::parse(TOKENS).and_then(|url| url.join(path)).map_err(|e| Fault::bug("a wrong URL").caused_by(e))
    }

    /// The client of the account.
    pub(super) fn client(&self, kit: &Kit) -> Result<Http, Fault> {
        let tokens = kit.tokens.get(&format!("google {} {:?} {SCOPE}", self.http.base, self.credential), || {
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
            Tokens::new(source, &self.http.options(kit))
        })?;
        self.http.client(kit, Auth::OAuth(tokens))
    }
}

impl Account for GoogleAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        Some(Arc::new(AudienceSync::read(self, into, shape)?))
    }

    fn http(&self) -> Option<&HttpAccount> {
        Some(&self.http)
    }

    fn hosts(&self) -> Vec<String> {
        self.http.hosts_and(self.token_url("token").ok().map(|url| host_and_port(&url)))
    }
}

/// `service_account`, or `oauth` with the three secrets of a user's grant.
fn credential(table: &mut ConfigTable) -> Option<Credential> {
    let given = [table.has("service_account"), table.has("oauth")];
    if given[0] == given[1] {
        let message = format!("`[{}]` needs `service_account` or `oauth`, one of them", table.path());
        let remedy = "service_account = { secret = \"google-key\" }: the JSON key of a service account";
        table.problems().refuse("missing-credential", table.span(), message, remedy);
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

/// An id of digits; Google shows those of accounts with dashes.
pub(super) fn number(table: &ConfigTable, key: &str, text: &str, span: &Span) -> Option<String> {
    let digits = text.replace('-', "");
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(digits);
    }
    let message = format!("`{}` is not the number of an account or a list", table.path_of(key));
    table.problems().refuse("bad-id", span, message, "as \"1112223333\"");
    None
}

/// `customer_match_terms`: nobody but the operator can accept them.
fn terms(table: &mut ConfigTable) {
    if !table.has("customer_match_terms") {
        let message = format!("`[{}]` does not say that the terms of Customer Match are accepted", table.path());
        let remedy = format!("read {TERMS}, then write customer_match_terms = \"accepted\"");
        table.problems().refuse("terms-not-accepted", table.span(), message, &remedy);
    }
    table.choice("customer_match_terms", &[("accepted", ())]);
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> Value {
    let kind = || schema::choice(KINDS.iter().map(|(name, _)| *name), "Its kind. Default \"google_ads\".");
    let user = json!({
        "client_id": { "type": "string" },
        "client_secret": { "$ref": "#/$defs/Secret" },
        "refresh_token": { "$ref": "#/$defs/Secret" }
    });
    let all = ["client_id", "client_secret", "refresh_token"];
    let id = |about: &str| json!({ "description": about, "type": "string", "pattern": "^[0-9-]+$" });
    let status_after = "How long after a request its status is asked for. Default \"5m\"; at once of a stand-in.";
    let own = json!({
        "service_account": schema::secret("The JSON key of a service account, by reference."),
        "oauth": { "description": "A user's grant, in its place.", "type": "object", "properties": user, "required": all },
        "account": id("The operating account: whose audiences these are."),
        "account_type": kind(),
        "login_account": id("The account through which the credential reaches it, as a manager's. Default: itself."),
        "login_account_type": kind(),
        "customer_match_terms": { "description": format!("Once you have read {TERMS}."), "const": "accepted" },
        "status_after": schema::text(status_after)
    });
    account_schema(LIVE, own, &["account", "customer_match_terms"])
}
