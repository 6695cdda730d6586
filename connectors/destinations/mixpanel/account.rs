//! `[destinations.X]` of type `mixpanel`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, SecretRef, schema};
use backhaul_kit::http::{Auth, Http, HttpAccount, account_schema};
use backhaul_kit::{Account, Fault, Kit, Prepared, SyncShape};
use reqwest::Url;

use super::sync::MixpanelSync;

/// Regions, and where the API of each is.
const REGIONS: &[(&str, (&str, &str))] = &[
    ("us", ("us", "https://api.mixpanel.com")),
    ("eu", ("eu", "https://api-eu.mixpanel.com")),
    ("in", ("in", "https://api-in.mixpanel.com")),
];
/// Full calls that stay within 30,000 events a second and 2 GB a minute.
const CALLS_PER_MINUTE: u32 = 900;
/// Profile updates in a call.
const MAX_PROFILES: u64 = 2000;

/// A checked project.
#[derive(Clone, Debug)]
pub(super) struct MixpanelAccount {
    pub(super) region: &'static str,
    pub(super) token: SecretRef,
    /// More than one: an answer is taken at its word for all.
    pub(super) profiles_per_call: usize,
    pub(super) http: HttpAccount,
}

impl MixpanelAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let region = table.required_choice("region", REGIONS);
        let http = HttpAccount::read(table, "mixpanel", region.map_or(REGIONS[0].1.1, |(_, url)| url));
        let token = table.required_secret("token");
        let profiles_per_call = table.size_to("profiles_per_call", MAX_PROFILES).unwrap_or(1);
        let ((region, _), token) = (region?, token?);
        let http = http?.of(&token).limited(None, CALLS_PER_MINUTE, Duration::from_secs(60));
        Some(Self { region, token, profiles_per_call, http })
    }

    /// The URL of a call.
    pub(super) fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, Fault> {
        let mut url = self.http.base.join(&[path])?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    /// The clients of events, which have the token as their credential, and of profiles, whose records carry it. Both
    /// share the project's limiter.
    pub(super) fn clients(&self, kit: &Kit) -> Result<(Http, Http), Fault> {
        let events = self.http.client(kit, Auth::BasicKey(kit.secret(&self.token)))?;
        Ok((events, self.http.client(kit, Auth::None)?))
    }
}

impl Account for MixpanelAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        Some(Arc::new(MixpanelSync::read(self, into, shape)?))
    }

    fn http(&self) -> Option<&HttpAccount> {
        Some(&self.http)
    }
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let profiles = "Profiles in one call. Default 1: an answer to more does not say which of them were taken, and with more it counts for all.";
    let own = serde_json::json!({
        "region": schema::choice(REGIONS.iter().map(|(name, _)| *name), "Where the project's data lives."),
        "token": schema::secret("The project's token, by reference."),
        "profiles_per_call": schema::count_to(MAX_PROFILES, profiles),
    });
    account_schema("the region's own", own, &["region", "token"])
}
