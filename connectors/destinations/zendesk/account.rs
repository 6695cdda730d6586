//! `[destinations.X]` of type `zendesk`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, SecretRef, schema};
use backhaul_kit::http::{Auth, Http, HttpAccount, Request, account_schema};
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
    /// Whose API token the secret is; none for an OAuth token.
    email: Option<String>,
    secret: SecretRef,
    pub(super) http: HttpAccount,
}

impl ZendeskAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let subdomain = subdomain(table).unwrap_or_default();
        let http = HttpAccount::read(table, "zendesk", &format!("https://{subdomain}.zendesk.com"));
        let (credential, plan) = (credential(table), table.choice("plan", PLANS));
        let http = http?.limited(None, plan.unwrap_or(PLANS[0].1), Duration::from_secs(60));
        let (email, secret) = credential?;
        Some(Self { subdomain, email, secret, http })
    }

    /// A call below `/api/v2/`; every segment is escaped.
    pub(super) fn call(&self, method: Method, segments: &[&str]) -> Result<Request, Fault> {
        self.http.call(method, &[&["api", "v2"], segments].concat())
    }

    /// The client, with the credential.
    pub(super) fn client(&self, kit: &Kit) -> Result<Http, Fault> {
        let secret = kit.secret(&self.secret);
        let auth = match &self.email {
            Some(email) => Auth::Basic { user: format!("{email}/token"), password: secret },
            None => Auth::Bearer(secret),
        };
        self.http.client(kit, auth)
    }
}

impl Account for ZendeskAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        Some(Arc::new(ZendeskSync::read(self, into, shape)?))
    }

    fn http(&self) -> Option<&HttpAccount> {
        Some(&self.http)
    }
}

fn subdomain(table: &mut ConfigTable) -> Option<String> {
    let (text, span) = table.required_text_at("subdomain")?;
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let message = format!("`{}` is no subdomain", table.path_of("subdomain"));
        let remedy = "write the first part of the account's address: \"acme\" of acme.zendesk.com";
        table.problems().refuse("bad-subdomain", &span, message, remedy);
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
            table.problems().refuse(
                "bad-credential",
                table.span(),
                message,
                "give `token`, or `email` and `api_token`",
            );
            None
        }
    }
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let own = serde_json::json!({
        "subdomain": schema::text("`acme` of acme.zendesk.com."),
        "token": schema::secret("An OAuth access token, by reference, with the scopes that `doctor` names."),
        "email": schema::text("The agent whose `api_token` is used."),
        "api_token": schema::secret("An API token, by reference. It has no scopes, and ends on 30 April 2027."),
        "plan": schema::choice(PLANS.iter().map(|(name, _)| *name), "The account's plan, for its limit. Default \"team\"."),
    });
    account_schema("https://SUBDOMAIN.zendesk.com", own, &["subdomain"])
}
