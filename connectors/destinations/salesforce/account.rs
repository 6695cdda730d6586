//! `[destinations.X]` of type `salesforce`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, SecretRef, schema};
use backhaul_kit::http::assertion::Assertion;
use backhaul_kit::http::token::{Grant, TokenSource, Tokens};
use backhaul_kit::http::{Auth, Http, HttpAccount, Request, account_schema};
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use reqwest::Method;

use super::sync::SalesforceSync;

/// The version that answers are read by.
const VERSION: u64 = 67;
/// Who takes the assertions of production organisations.
const LOGIN: &str = "https://login.salesforce.com";
/// The longest that Salesforce works on a call.
const LONGEST_CALL: Duration = Duration::from_secs(600);
/// A call of 200 rows runs the organisation's own triggers and rules, too.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A checked organisation.
#[derive(Clone, Debug)]
pub(super) struct SalesforceAccount {
    version: u64,
    client_id: String,
    /// The app's secret, or, for the one that it acts for, the key of its certificate.
    secret: SecretRef,
    /// JWT bearer: the user that the app acts for, and the login host; without, it is client credentials.
    acts_for: Option<(String, String)>,
    /// Its day of calls is counted by Salesforce.
    pub(super) http: HttpAccount,
}

impl SalesforceAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let domain = domain(table).unwrap_or_default();
        let http = HttpAccount::read(table, "salesforce", &format!("https://{domain}"));
        let version = table.number("api_version", 1).unwrap_or(VERSION);
        let (client_id, credential) = (table.required_text("client_id"), credential(table));
        let (client_id, (secret, acts_for)) = (client_id?, credential?);
        Some(Self { version, client_id, secret, acts_for, http: http?.patient(TIMEOUT) })
    }

    /// A call below the API's version; every segment is escaped.
    pub(super) fn call(&self, method: Method, segments: &[&str]) -> Result<Request, Fault> {
        let version = format!("v{}.0", self.version);
        self.http.call(method, &[&["services", "data", version.as_str()], segments].concat())
    }

    /// A call of the authorisation server.
    pub(super) fn oauth_call(&self, name: &str) -> Result<Request, Fault> {
        self.http.call(Method::GET, &["services", "oauth2", name])
    }

    /// How long a call whose answer was lost may still be at work.
    pub(super) fn settle_after(&self) -> Duration {
        // A stand-in works on nothing for as long.
        self.http.settle_after().max(if self.http.is_stand_in() { Duration::ZERO } else { LONGEST_CALL })
    }

    /// The client of the organisation: its tokens and its limiter, which all syncs of the account share.
    pub(super) fn client(&self, kit: &Kit) -> Result<Http, Fault> {
        let holder = format!("salesforce {} {} {} {:?}", self.http.base, self.client_id, self.secret, self.acts_for);
        let tokens = kit.tokens.get(&holder, || {
            let (secret, client_id, url) =
                (kit.secret(&self.secret), self.client_id.clone(), self.oauth_call("token")?.url);
            let (grant, client_secret) = match self.acts_for.clone() {
                None => (Grant::ClientCredentials, Some(secret)),
                Some((subject, audience)) => {
                    let issuer = client_id.clone();
                    (Grant::Assertion(Assertion::Client { key: secret, issuer, subject, audience }), None)
                }
            };
            let (scope, more) = (None, Vec::new());
            let source = TokenSource { url, grant, client_id, client_secret, secret_in_form: true, scope, more };
            Tokens::new(source, &self.http.options(kit))
        })?;
        self.http.client(kit, Auth::OAuth(tokens))
    }
}

impl Account for SalesforceAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        Some(Arc::new(SalesforceSync::read(self, into, shape)?))
    }

    fn http(&self) -> Option<&HttpAccount> {
        Some(&self.http)
    }
}

/// The My Domain host.
fn domain(table: &mut ConfigTable) -> Option<String> {
    let (domain, span) = table.required_text_at("domain")?;
    let is_host = domain.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'));
    if is_host && domain.contains(".my.") {
        return Some(domain);
    }
    let message = format!("`{}` is no My Domain host", table.path_of("domain"));
    let remedy = "as in Setup › My Domain, without https://: \"acme.my.salesforce.com\"";
    table.problems().refuse("bad-domain", &span, message, remedy);
    None
}

/// The secret of the app, and whom it acts for.
fn credential(table: &mut ConfigTable) -> Option<(SecretRef, Option<(String, String)>)> {
    let (has_key, has_secret) = (table.has("private_key"), table.has("client_secret"));
    let secret = table.secret("client_secret").xor(table.secret("private_key"));
    let (username, audience) = (table.text("username"), table.text("audience"));
    if has_key == has_secret || (has_secret && (username.is_some() || audience.is_some())) {
        let message = format!("`[{}]` needs one credential, and the keys that belong to it", table.path());
        let remedy =
            "private_key and username, perhaps audience (JWT bearer), or client_secret alone (client credentials)";
        table.problems().refuse("bad-credential", table.span(), message, remedy);
        return None;
    }
    if has_key && username.is_none() {
        table.missing("username");
    }
    let acts_for = username.map(|user| (user, audience.unwrap_or_else(|| LOGIN.to_owned())));
    Some((secret?, acts_for))
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let audience = "JWT bearer: the login host. Default \"https://login.salesforce.com\"; of sandboxes \"https://test.salesforce.com\".";
    let key = "JWT bearer: the key (PEM) of the app's certificate, by reference. Needs `username`.";
    let own = serde_json::json!({
        "domain": schema::text("The My Domain host, as \"acme.my.salesforce.com\"."),
        "client_id": schema::text("The consumer key of the external client app."),
        "private_key": schema::secret(key),
        "username": schema::text("JWT bearer: the user that the app acts for."),
        "audience": schema::text(audience),
        "client_secret": schema::secret("Client credentials: the app's consumer secret, by reference."),
        "api_version": schema::count("Version of the API. Default 67, which is v67.0 (Summer '26)."),
        "timeout": schema::text("How long a call may take. Default \"2m\".")
    });
    account_schema("`domain`", own, &["domain", "client_id"])
}
