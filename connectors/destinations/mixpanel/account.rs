//! `[destinations.X]` of type `mixpanel`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, SecretRef};
use backhaul_kit::http::limit::{Limiter, Window};
use backhaul_kit::http::{Auth, BaseUrl, Http, HttpKeys, account_schema, quota_share, scaled};
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
    base: BaseUrl,
    pub(super) token: SecretRef,
    share: f64,
    /// More than one: an answer is taken at its word for all.
    pub(super) profiles_per_call: usize,
    pub(super) http: HttpKeys,
}

impl MixpanelAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let errors = table.problems().errors();
        if !table.has("region") {
            table.missing("region");
        }
        let region = table.choice("region", REGIONS);
        let base = BaseUrl::read(table, region.map_or(REGIONS[0].1.1, |(_, url)| url));
        let token = table.required_secret("token");
        let share = quota_share(table);
        let profiles = table.number("profiles_per_call", 1).unwrap_or(1);
        if profiles > MAX_PROFILES {
            let message = format!("`{}` is more than Mixpanel's {MAX_PROFILES}", table.path_of("profiles_per_call"));
            table.problems().push(Problem::error("out-of-range", message).at(table.span()));
        }
        let http = HttpKeys::read(table);
        if table.problems().errors() > errors {
            return None;
        }
        let profiles_per_call = usize::try_from(profiles).ok()?;
        Some(Self { region: region?.0, base: base?, token: token?, share, profiles_per_call, http })
    }

    /// The URL of a call.
    pub(super) fn url(&self, path: &str, query: &[(&str, &str)]) -> Result<Url, Fault> {
        let mut url = self.base.join(&[path])?;
        url.query_pairs_mut().extend_pairs(query);
        Ok(url)
    }

    /// The clients of events, which have the token as their credential, and of profiles, whose records carry it. Both
    /// share the project's limiter.
    pub(super) fn clients(&self, kit: &Kit) -> Result<(Http, Http), Fault> {
        let limiter = self.limiter(kit);
        let options = self.http.options(kit);
        let events = Http::new(&options, Auth::BasicKey(kit.secret(&self.token)), limiter.clone())?;
        Ok((events, Http::new(&options, Auth::None, limiter)?))
    }
}

impl MixpanelAccount {
    /// The project's limiter.
    pub(super) fn limiter(&self, kit: &Kit) -> Arc<Limiter> {
        let window = Window { cap: scaled(CALLS_PER_MINUTE, self.share), per: Duration::from_secs(60) };
        // A stand-in has the limits that it was started with.
        let windows = if self.is_stand_in() { Vec::new() } else { vec![window] };
        kit.limiter(&format!("mixpanel {} {}", self.base, self.token), &windows)
    }
}

impl Account for MixpanelAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        MixpanelSync::read(self, into, shape).map(|sync| Arc::new(sync) as Arc<dyn Prepared>)
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
    let regions: Vec<&str> = REGIONS.iter().map(|(name, _)| *name).collect();
    let own = serde_json::json!({
        "region": {
            "description": "Where the project's data lives.",
            "enum": regions
        },
        "token": {
            "description": "The project's token, by reference.",
            "$ref": "#/$defs/Secret"
        },
        "profiles_per_call": {
            "description": "Profiles in one call. Default 1: an answer to more does not say which of them were taken, and with more it counts for all.",
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_PROFILES
        }
    });
    account_schema("the region's own", own, &["region", "token"])
}
