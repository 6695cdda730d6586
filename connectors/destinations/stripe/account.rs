//! `[destinations.X]` of type `stripe`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, SecretRef};
use backhaul_kit::http::limit::{Limiter, Window};
use backhaul_kit::http::{Auth, BaseUrl, Http, HttpKeys, Request, account_schema, quota_share, scaled};
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use reqwest::Method;
use reqwest::header::HeaderValue;

use super::sync::StripeSync;

const LIVE: &str = "https://api.stripe.com";
/// The version that answers are read by, whatever the account's own is.
const VERSION: &str = "2023-08-16";
/// Calls in a second, of all endpoints: below the 25 of each one, and the 20 of the search.
const PER_SECOND: u32 = 20;

/// A checked Stripe account.
#[derive(Clone, Debug)]
pub(super) struct StripeAccount {
    base: BaseUrl,
    key: SecretRef,
    windows: Vec<Window>,
    /// How calls are made.
    pub(super) http: HttpKeys,
}

impl StripeAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let errors = table.problems().errors();
        let key = table.required_secret("key");
        let base = BaseUrl::read(table, LIVE);
        let share = quota_share(table);
        let cap = table.number("per_second", 1).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
        let http = HttpKeys::read(table);
        if table.problems().errors() > errors {
            return None;
        }
        let base = base?;
        // A stand-in has the limits that it was started with.
        let cap = cap.or_else(|| (!base.is_loopback()).then_some(PER_SECOND));
        let per = Duration::from_secs(1);
        let windows = cap.into_iter().map(|cap| Window { cap: scaled(cap, share), per }).collect();
        Some(Self { base, key: key?, windows, http })
    }

    /// A call below `/v1/`; every segment is escaped.
    pub(super) fn call(&self, method: Method, segments: &[&str]) -> Result<Request, Fault> {
        let url = self.base.join(&[&["v1"], segments].concat())?;
        let mut request = Request::new(method, url);
        request.headers.insert("stripe-version", HeaderValue::from_static(VERSION));
        Ok(request)
    }

    /// The client of the account: its key and its limiter, which all syncs of the account share.
    pub(super) fn client(&self, kit: &Kit) -> Result<Http, Fault> {
        Http::new(&self.http.options(kit), Auth::Bearer(kit.secret(&self.key)), self.limiter(kit))
    }

    /// The limiter of the account.
    pub(super) fn limiter(&self, kit: &Kit) -> Arc<Limiter> {
        kit.limiter(&format!("stripe {} {}", self.base, self.key), &self.windows)
    }
}

impl Account for StripeAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        StripeSync::read(self, into, shape).map(|sync| Arc::new(sync) as Arc<dyn Prepared>)
    }

    fn is_stand_in(&self) -> bool {
        self.base.is_loopback()
    }

    fn hosts(&self) -> Vec<String> {
        self.http.hosts(vec![self.base.host_and_port()])
    }
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let own = serde_json::json!({
        "key": {
            "description": "API key, by reference: a restricted one (rk_…) with \"Customers: Write\".",
            "$ref": "#/$defs/Secret"
        },
        "per_second": {
            "description": "Calls in a second. Default 20; none for a stand-in.",
            "type": "integer",
            "minimum": 1
        }
    });
    account_schema(LIVE, own, &["key"])
}
