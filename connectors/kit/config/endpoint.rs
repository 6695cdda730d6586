//! Keys that the accounts of most vendors have: where the API is, and our share of its limits.

use reqwest::Url;

use super::problem::Problem;
use super::table::ConfigTable;

impl ConfigTable {
    /// `base_url`: where the API is; `live` where the key is not there. Only a stand-in on this machine may be spoken to
    /// without TLS. `None` after a problem.
    pub fn base_url(&mut self, live: &str) -> Option<Url> {
        let Some((text, span)) = self.text_at("base_url") else { return Url::parse(live).ok() };
        let refuse = |message: &str, remedy: String| {
            let message = format!("`{}` {message}", self.path_of("base_url"));
            self.problems().push(Problem::error("bad-url", message).at(&span).remedy(remedy));
            None
        };
        let Some(url) = Url::parse(&text).ok().filter(|url| url.has_host() && !url.cannot_be_a_base()) else {
            return refuse("is not a URL", format!("write it as \"{live}\", or leave it out"));
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return refuse(
                "has more than scheme, host, port and path",
                String::from("leave out user, query and fragment"),
            );
        }
        let secure = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
        if !secure {
            return refuse(
                "would send the token unencrypted",
                String::from("use https; only a stand-in on this machine may use http"),
            );
        }
        Some(url)
    }

    /// `quota`: the share of the account's limits that is ours, above 0; 1 where the key is not there.
    pub fn quota(&mut self) -> f64 {
        let share = self.percent("quota").unwrap_or(1.0);
        if share <= 0.0 {
            let message = format!("`{}` leaves no call at all", self.path_of("quota"));
            let problem = Problem::error("out-of-range", message).at(self.span());
            self.problems().push(problem.remedy("give it more than 0%"));
        }
        share
    }
}

/// The part of a cap that is ours by `quota`: at least one call.
pub fn share_of(cap: u32, share: f64) -> u32 {
    ((f64::from(cap) * share) as u32).max(1)
}

/// Whether a URL leads to this machine: to a stand-in rather than to a live account.
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}
