//! `[destinations.X]` of type `hubspot`.

use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, Problem, SecretRef};
use backhaul_kit::http::limit::Window;
use backhaul_kit::http::reach::host_and_port;
use backhaul_kit::http::{Auth, Http, HttpOptions};
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
    base: Url,
    token: SecretRef,
    windows: Vec<Window>,
    timeout: Duration,
}

impl HubSpotAccount {
    /// Reads the table; problems go to it.
    pub(super) fn read(table: &mut ConfigTable) -> Option<Self> {
        let errors = table.problems().errors();
        let token = table.required_secret("token");
        let base = base_url(table);
        let share = share(table);
        let cap = cap(table);
        let timeout = table.duration("timeout").unwrap_or(HttpOptions::default().timeout);
        if table.problems().errors() > errors {
            return None;
        }
        let base = base?;
        // A stand-in has the limits that it was started with and says so by itself.
        let cap = cap.or_else(|| (!is_loopback(&base)).then_some(SMALLEST_CAP));
        let windows = cap.into_iter().map(|cap| Window { cap: scaled(cap, share), per: WINDOW }).collect();
        Some(Self { base, token: token?, windows, timeout })
    }

    /// The time after which a call counts as unanswered.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// An absolute URL of the API; every segment is escaped.
    pub(super) fn url(&self, segments: &[&str]) -> Result<Url, Fault> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| Fault::config("`base_url` cannot have paths below it"))?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }

    /// The client of the account: its credential and its limiter, which all syncs of the account share.
    pub(super) fn client(&self, kit: &Kit) -> Result<Http, Fault> {
        let holder = format!("hubspot {} {}", self.base, self.token);
        let options = HttpOptions { timeout: self.timeout, ..HttpOptions::default() };
        Http::new(&options, Auth::Bearer(kit.secret(&self.token)), kit.limiter(&holder, &self.windows))
    }
}

impl Account for HubSpotAccount {
    fn sync(&self, into: &mut ConfigTable, shape: &SyncShape) -> Option<Arc<dyn Prepared>> {
        HubSpotSync::read(self, into, shape).map(|sync| Arc::new(sync) as Arc<dyn Prepared>)
    }

    fn is_stand_in(&self) -> bool {
        is_loopback(&self.base)
    }

    fn hosts(&self) -> Vec<String> {
        vec![host_and_port(&self.base)]
    }
}

/// The keys of the table, for editors.
pub(super) fn json_schema() -> serde_json::Value {
    let tiers: Vec<&str> = TIERS.iter().map(|(name, _)| *name).collect();
    serde_json::json!({
        "properties": {
            "token": {
                "description": "Access token of a private app or a service key, by reference.",
                "$ref": "#/$defs/Secret"
            },
            "quota": {
                "description": "Share of the account's limits that backhaul may use. Default \"100%\".",
                "type": "string",
                "pattern": "^[0-9.]+ *%$"
            },
            "tier": {
                "description": "The account's plan, for its calls in 10 seconds. Default: the smallest; none for a stand-in.",
                "enum": tiers
            },
            "per_ten_seconds": {
                "description": "Calls in 10 seconds, instead of `tier`.",
                "type": "integer",
                "minimum": 1
            },
            "base_url": {
                "description": "Where the API is; a loopback address means a stand-in. Default \"https://api.hubapi.com\".",
                "type": "string",
                "format": "uri"
            },
            "timeout": {
                "description": "How long a call may take. Default \"60s\".",
                "type": "string"
            }
        },
        "required": ["token"]
    })
}

fn base_url(table: &mut ConfigTable) -> Option<Url> {
    let Some((text, span)) = table.text_at("base_url") else { return Url::parse(LIVE).ok() };
    let refuse = |message: &str, remedy: &str| {
        let message = format!("`{}` {message}", table.path_of("base_url"));
        table.problems().push(Problem::error("bad-url", message).at(&span).remedy(remedy.to_owned()));
    };
    let Some(url) = Url::parse(&text).ok().filter(|url| url.has_host() && !url.cannot_be_a_base()) else {
        refuse("is not a URL", "write it as \"https://api.hubapi.com\", or leave it out");
        return None;
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        refuse("has more than scheme, host, port and path", "leave out user, query and fragment");
        return None;
    }
    let secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
    if !secure {
        refuse("would send the token unencrypted", "use https; only a stand-in on this machine may use http");
        return None;
    }
    Some(url)
}

fn share(table: &mut ConfigTable) -> f64 {
    let share = table.percent("quota").unwrap_or(1.0);
    if share <= 0.0 {
        let message = format!("`{}` leaves no call at all", table.path_of("quota"));
        table.problems().push(Problem::error("out-of-range", message).at(table.span()).remedy("give it more than 0%"));
    }
    share
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

/// The part of a cap that this program may use: at least one call.
fn scaled(cap: u32, share: f64) -> u32 {
    ((f64::from(cap) * share) as u32).max(1)
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}
