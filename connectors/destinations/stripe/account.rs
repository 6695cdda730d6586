//! `[destinations.X]` of type `stripe`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, SecretRef, schema};
use backhaul_kit::http::{Auth, Http, HttpAccount, Request, account_schema};
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
    key: SecretRef,
    pub(super) http: HttpAccount,
}

impl StripeAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let (key, http) = (table.required_secret("key"), HttpAccount::read(table, "stripe", LIVE));
        let (cap, key) = (table.number("per_second", 1), key?);
        Some(Self { http: http?.of(&key).limited(cap, PER_SECOND, Duration::from_secs(1)), key })
    }

    /// A call below `/v1/`; every segment is escaped.
    pub(super) fn call(&self, method: Method, segments: &[&str]) -> Result<Request, Fault> {
        let mut request = self.http.call(method, &[&["v1"], segments].concat())?;
        request.headers.insert("stripe-version", HeaderValue::from_static(VERSION));
        Ok(request)
    }

    /// The client of the account.
    pub(super) fn client(&self, kit: &Kit) -> Result<Http, Fault> {
        self.http.client(kit, Auth::Bearer(kit.secret(&self.key)))
    }
}

impl Account for StripeAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        Some(Arc::new(StripeSync::read(self, into, shape)?))
    }

    fn http(&self) -> Option<&HttpAccount> {
        Some(&self.http)
    }
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let own = serde_json::json!({
        "key": schema::secret("API key, by reference: a restricted one (rk_…) with \"Customers: Write\"."),
        "per_second": schema::count("Calls in a second. Default 20; none for a stand-in."),
    });
    account_schema(LIVE, own, &["key"])
}
