//! `[destinations.X]` of type `hubspot`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, SecretRef, schema};
use backhaul_kit::http::limit::Limiter;
use backhaul_kit::http::{Answer, Auth, Http, HttpAccount, Manner, account_schema};
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};

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
    token: SecretRef,
    pub(super) http: HttpAccount,
}

impl HubSpotAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let (token, http) = (table.required_secret("token"), HttpAccount::read(table, "hubspot", LIVE));
        let (cap, token) = (cap(table), token?);
        let http = http?.of(&token).limited(cap, SMALLEST_CAP, WINDOW);
        Some(Self { http: http.spoken(Manner { steer, ..Manner::default() }), token })
    }

    /// The client of the account.
    pub(super) fn client(&self, kit: &Kit) -> Result<Http, Fault> {
        self.http.client(kit, Auth::Bearer(kit.secret(&self.token)))
    }
}

impl Account for HubSpotAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        Some(Arc::new(HubSpotSync::read(self, into, shape)?))
    }

    fn http(&self) -> Option<&HttpAccount> {
        Some(&self.http)
    }
}

/// Takes over what an answer says of the short window. The interval is its length, not the time left of it, and it rolls
/// (its policy is named `TEN_SECONDLY_ROLLING`).
fn steer(answer: &Answer, limiter: &Limiter, _share: f64) {
    let number = |name: &str| answer.header(name).and_then(|text| text.trim().parse::<u64>().ok());
    if let Some(remaining) = number("x-hubspot-ratelimit-remaining") {
        let window = number("x-hubspot-ratelimit-interval-milliseconds").map_or(WINDOW, Duration::from_millis);
        limiter.steer_rolling(u32::try_from(remaining).unwrap_or(u32::MAX), window, answer.asked);
    }
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let tier = "The account's plan, for its calls in 10 seconds. Default: the smallest; none for a stand-in.";
    let own = serde_json::json!({
        "token": schema::secret("Access token of a private app or a service key, by reference."),
        "tier": schema::choice(TIERS.iter().map(|(name, _)| *name), tier),
        "per_ten_seconds": schema::count("Calls in 10 seconds, instead of `tier`."),
    });
    account_schema(LIVE, own, &["token"])
}

fn cap(table: &mut ConfigTable) -> Option<u64> {
    let (tier, explicit) = (table.choice("tier", TIERS), table.number("per_ten_seconds", 1));
    if tier.is_some() && explicit.is_some() {
        let message = format!("`{}` and `per_ten_seconds` both set the limit", table.path_of("tier"));
        table.problems().refuse("conflicting-keys", table.span(), message, "keep one of them");
    }
    tier.map(u64::from).or(explicit)
}
