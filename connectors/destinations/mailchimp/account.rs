//! `[destinations.X]` of type `mailchimp`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, SecretRef};
use backhaul_kit::http::limit::Limiter;
use backhaul_kit::http::{Auth, BaseUrl, Http, HttpKeys, HttpOptions, account_schema, quota_share, scaled};
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use secrecy::ExposeSecret as _;

use super::sync::MailchimpSync;

/// Connections of one user.
const CONNECTIONS: u32 = 10;
/// Mailchimp gives a call up after this long.
const TIMEOUT: Duration = Duration::from_secs(120);

/// A checked account.
#[derive(Clone, Debug)]
pub(super) struct MailchimpAccount {
    /// Where it is; none where only the key says so.
    base: Option<BaseUrl>,
    secret: SecretRef,
    is_token: bool,
    /// Calls in flight.
    pub(super) connections: usize,
    pub(super) http: HttpKeys,
}

impl MailchimpAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let errors = table.problems().errors();
        let is_token = table.has("token");
        if table.has("key") == is_token {
            let problem = Problem::error("credential", format!("`{}` needs either a key or a token", table.path()));
            table.problems().push(problem.at(table.span()).remedy("key = { secret = \"…\" } for an API key"));
        }
        let secret = table.secret(if is_token { "token" } else { "key" });
        let named = table.text_at("data_center");
        let mut base = named.as_ref().and_then(|(name, _)| host(name).ok());
        if let (Some((name, span)), None) = (&named, &base) {
            let problem = Problem::error("bad-data-center", format!("\"{name}\" is no data centre of Mailchimp's"));
            table.problems().push(problem.at(span).remedy("as \"us21\": the `dc` that comes with a token"));
        }
        if table.has("base_url") {
            base = BaseUrl::read(table, "");
        } else if is_token && named.is_none() {
            table.missing("data_center");
        }
        let connections = scaled(CONNECTIONS, quota_share(table)) as usize;
        let mut http = HttpKeys::read(table);
        http.timeout.get_or_insert(TIMEOUT);
        if table.problems().errors() > errors {
            return None;
        }
        Some(Self { base, secret: secret?, is_token, connections, http })
    }

    /// Where the account is.
    pub(super) fn base(&self, kit: &Kit) -> Result<BaseUrl, Fault> {
        if let Some(base) = &self.base {
            return Ok(base.clone());
        }
        let key = kit.secret(&self.secret).reveal()?;
        host(key.expose_secret().rsplit_once('-').map_or("", |(_, name)| name))
    }

    /// The client of the API, and one without a credential for results, which lie on another host.
    pub(super) fn clients(&self, kit: &Kit, base: &BaseUrl) -> Result<(Http, Http), Fault> {
        let secret = kit.secret(&self.secret);
        let auth = match self.is_token {
            true => Auth::Bearer(secret),
            false => Auth::Basic { user: String::from("backhaul"), password: secret },
        };
        let options = HttpOptions { first_byte_timeout: self.http.timeout(), ..self.http.options(kit) };
        let limiter = kit.limiter(&format!("mailchimp {base} {}", self.secret), &[]);
        Ok((Http::new(&options, auth, limiter)?, Http::new(&options, Auth::None, Arc::new(Limiter::new(&[])))?))
    }
}

impl Account for MailchimpAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        MailchimpSync::read(self, into, shape).map(|sync| Arc::new(sync) as Arc<dyn Prepared>)
    }

    fn is_stand_in(&self) -> bool {
        self.base.as_ref().is_some_and(BaseUrl::is_loopback)
    }

    fn secret_hosts(&self, kit: &Kit) -> Result<Vec<String>, Fault> {
        Ok(self.http.hosts(vec![self.base(kit)?.host_and_port()]))
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
    let secret = |text: &str| serde_json::json!({ "description": text, "$ref": "#/$defs/Secret" });
    let text = |text: &str| serde_json::json!({ "description": text, "type": "string" });
    let own = serde_json::json!({
        "key": secret("API key, by reference: it ends in its data centre (…-us21)."),
        "token": secret("OAuth access token, by reference, instead of a key."),
        "data_center": text("Where the account of a token is, as \"us21\"."),
        "timeout": text("How long a call may take. Default \"120s\".")
    });
    account_schema("the data centre's own", own, &[])
}
