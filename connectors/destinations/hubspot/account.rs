//! `[destinations.X]` of type `hubspot`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, SecretRef};
use backhaul_kit::http::limit::{Limiter, Window};
use backhaul_kit::http::{Auth, BaseUrl, Http, HttpKeys, account_schema, quota_share, scaled};
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use reqwest::Url;

use super::sync::HubSpotSync;

/// The live API; the same for every account and region.
const LIVE: &str = "https://api.hubapi.com";
/// The length of HubSpot's short window.
const WINDOW: Duration = Duration::from_secs(10);
/// The cap of the smallest plan: safe for every account.
const SMALLEST_CAP: u32 = 100;
/// Calls in 10 seconds by plan.
const TIERS: &[(&str, u32)] = &[
    ("free", SMALLEST_CAP),
    ("starter", SMALLEST_CAP),
    ("professional", 190),
    ("enterprise", 190),
    ("limit_increase", 250),
];

/// A checked HubSpot account.
#[derive(Clone, Debug)]
pub(super) struct HubSpotAccount {
    base: BaseUrl,
    token: SecretRef,
    windows: Vec<Window>,
    http: HttpKeys,
}

impl HubSpotAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let errors = table.problems().errors();
        let token = table.required_secret("token");
        let base = BaseUrl::read(table, LIVE);
        let share = quota_share(table);
        let cap = cap(table);
        let http = HttpKeys::read(table);
        if table.problems().errors() > errors {
            return None;
        }
        let base = base?;
        // A stand-in has the limits that it was started with and says so by itself.
        let cap = cap.or_else(|| (!base.is_loopback()).then_some(SMALLEST_CAP));
        let windows = cap.into_iter().map(|cap| Window { cap: scaled(cap, share), per: WINDOW }).collect();
        Some(Self { base, token: token?, windows, http })
    }

    /// The time after which a call counts as unanswered.
    pub(super) fn timeout(&self) -> Duration {
        self.http.timeout()
    }

    /// An absolute URL of the API; every segment is escaped.
    pub(super) fn url(&self, segments: &[&str]) -> Result<Url, Fault> {
        self.base.join(segments)
    }

    /// The client of the account: its credential and its limiter, which all syncs of the account share.
    pub(super) fn client(&self, kit: &Kit) -> Result<Http, Fault> {
        Http::new(&self.http.options(kit), Auth::Bearer(kit.secret(&self.token)), self.limiter(kit))
    }

    /// The limiter of the account.
    pub(super) fn limiter(&self, kit: &Kit) -> Arc<Limiter> {
        kit.limiter(&format!("hubspot {} {}", self.base, self.token), &self.windows)
    }
}

impl Account for HubSpotAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        HubSpotSync::read(self, into, shape).map(|sync| Arc::new(sync) as Arc<dyn Prepared>)
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
    let tiers: Vec<&str> = TIERS.iter().map(|(name, _)| *name).collect();
    let own = serde_json::json!({
        "token": {
            "description": "Access token of a private app or a service key, by reference.",
            "$ref": "#/$defs/Secret"
        },
        "tier": {
            "description": "The account's plan, for its calls in 10 seconds. Default: the smallest; none for a stand-in.",
            "enum": tiers
        },
        "per_ten_seconds": {
            "description": "Calls in 10 seconds, instead of `tier`.",
            "type": "integer",
            "minimum": 1
        }
    });
    account_schema(LIVE, own, &["token"])
}

fn cap(table: &mut ConfigTable) -> Option<u32> {
    let tier = table.choice("tier", TIERS);
    let explicit = table.number("per_ten_seconds", 1).map(|n| u32::try_from(n).unwrap_or(u32::MAX));
    if tier.is_some() && explicit.is_some() {
        let message = format!("`{}` and `per_ten_seconds` both set the limit", table.path_of("tier"));
        table.problems().push(Problem::error("conflicting-keys", message).at(table.span()).remedy("keep one of them"));
    }
    tier.or(explicit)
}
