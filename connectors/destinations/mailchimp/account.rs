//! `[destinations.X]` of type `mailchimp`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, SecretRef, schema};
use backhaul_kit::http::limit::Limiter;
use backhaul_kit::http::{Auth, BaseUrl, Http, HttpAccount, Manner, account_schema, scaled};
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use secrecy::ExposeSecret as _;

use super::answer;
use super::sync::MailchimpSync;

/// Where the data centres are.
const LIVE: &str = "https://api.mailchimp.com";
/// Connections of one user.
const CONNECTIONS: u32 = 10;
/// Mailchimp gives a call up after this long.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A checked account.
#[derive(Clone, Debug)]
pub(super) struct MailchimpAccount {
    secret: SecretRef,
    is_token: bool,
    /// Whether only the key says where it is.
    is_in_key: bool,
    pub(super) http: HttpAccount,
}

impl MailchimpAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let is_token = table.has("token");
        if table.has("key") == is_token {
            let message = format!("`{}` needs either a key or a token", table.path());
            let remedy = "key = { secret = \"…\" } for an API key";
            table.problems().refuse("credential", table.span(), message, remedy);
        }
        let secret = table.secret(if is_token { "token" } else { "key" });
        let named = table.text_at("data_center");
        let base = named.as_ref().map(|(name, span)| (host(name), span));
        if let Some((Err(_), span)) = &base {
            let message = "this is no data centre of Mailchimp's";
            table.problems().refuse("bad-data-center", span, message, "as \"us21\": the `dc` that comes with a token");
        }
        let is_in_key = base.is_none() && !table.has("base_url");
        if is_in_key && is_token {
            table.missing("data_center");
        }
        let base = base.and_then(|(base, _)| base.ok()).map_or_else(|| String::from(LIVE), |base| base.to_string());
        let manner = Manner { fault: answer::fault, ..Manner::default() };
        let (http, secret) = (HttpAccount::read(table, "mailchimp", &base), secret?);
        Some(Self { http: http?.of(&secret).patient(TIMEOUT).spoken(manner), secret, is_token, is_in_key })
    }

    /// Calls in flight.
    pub(super) fn connections(&self) -> usize {
        scaled(CONNECTIONS, self.http.share) as usize
    }

    /// The account where it is.
    pub(super) fn place(&self, kit: &Kit) -> Result<HttpAccount, Fault> {
        if !self.is_in_key {
            return Ok(self.http.clone());
        }
        let key = kit.secret(&self.secret).reveal()?;
        Ok(self.http.at(host(key.expose_secret().rsplit_once('-').map_or("", |(_, name)| name))?))
    }

    /// The client of the API, and one without a credential for results, which lie on another host.
    pub(super) fn clients(&self, kit: &Kit) -> Result<(Http, Http), Fault> {
        let secret = kit.secret(&self.secret);
        let auth = match self.is_token {
            true => Auth::Bearer(secret),
            false => Auth::Basic { user: String::from("backhaul"), password: secret },
        };
        let results = Http::new(&self.http.options(kit), Auth::None, Arc::new(Limiter::new(&[])))?;
        Ok((self.http.client(kit, auth)?, results))
    }
}

impl Account for MailchimpAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        Some(Arc::new(MailchimpSync::read(self, into, shape)?))
    }

    fn http(&self) -> Option<&HttpAccount> {
        Some(&self.http).filter(|_| !self.is_in_key)
    }

    fn secret_hosts(&self, kit: &Kit) -> Result<Vec<String>, Fault> {
        Ok(self.place(kit)?.hosts())
    }
}

/// The API in a data centre, whose name may come out of a secret.
fn host(data_center: &str) -> Result<BaseUrl, Fault> {
    if data_center.is_empty() || !data_center.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let fault = Fault::auth("the key does not end in its data centre");
        return Err(fault.remedy("copy the whole key, as Mailchimp shows it: …-us21"));
    }
    BaseUrl::of_host(&format!("{data_center}.api.mailchimp.com"))
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let own = serde_json::json!({
        "key": schema::secret("API key, by reference: it ends in its data centre (…-us21)."),
        "token": schema::secret("OAuth access token, by reference, instead of a key."),
        "data_center": schema::text("Where the account of a token is, as \"us21\"."),
        "timeout": schema::text("How long a call may take. Default \"120s\".")
    });
    account_schema("the data centre's own", own, &[])
}
