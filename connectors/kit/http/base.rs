//! Where an API is, and how much of its quota may be used: keys that the tables of most vendors share.

use reqwest::Url;

use super::reach::host_and_port;
use crate::config::ConfigTable;
use crate::fault::Fault;

/// The base URL of an API: the vendor's own, or that of a stand-in on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

impl BaseUrl {
    /// Reads `base_url`; `live` (a URL) where it is left out. Problems go to the table.
    pub fn read(table: &mut ConfigTable, live: &str) -> Option<Self> {
        let Some((text, span)) = table.text_at("base_url") else { return Url::parse(live).ok().map(Self) };
        let refuse = |message: &str, remedy: &str| {
            let message = format!("`{}` {message}", table.path_of("base_url"));
            table.problems().refuse("bad-url", &span, message, remedy);
        };
        let Some(url) = Url::parse(&text).ok().filter(|url| url.has_host() && !url.cannot_be_a_base()) else {
            refuse("is not a URL", &format!("write it as \"{live}\", or leave it out"));
            return None;
        };
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            refuse("has more than scheme, host, port and path", "leave out user, query and fragment");
            return None;
        }
        let base = Self(url);
        if base.0.scheme() != "https" && !(base.0.scheme() == "http" && base.is_loopback()) {
            let remedy = "use https; only a stand-in on this machine may use http";
            refuse("would send the credential unencrypted", remedy);
            return None;
        }
        Some(base)
    }

    /// The API of a host that only a credential names.
    ///
    /// # Errors
    /// `Auth` for what is no name of a host; the text, which may be a part of a secret, is not shown.
    pub fn of_host(host: &str) -> Result<Self, Fault> {
        let url = Url::parse(&format!("https://{host}")).ok().filter(|url| url.host_str() == Some(host));
        url.map(Self).ok_or_else(|| Fault::auth("the credential does not say where its account is"))
    }

    /// An absolute URL below it; every segment is escaped.
    ///
    /// # Errors
    /// A `Bug` for a segment that would make the URL another call: an empty one, `.` or `..`.
    pub fn join(&self, segments: &[&str]) -> Result<Url, Fault> {
        if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
            return Err(Fault::bug("a part of a path that is no name"));
        }
        let mut url = self.0.clone();
        url.path_segments_mut()
            .map_err(|()| Fault::config("`base_url` cannot have paths below it"))?
            .pop_if_empty()
            .extend(segments);
        Ok(url)
    }

    /// Host and port, as a firewall knows them.
    pub fn host_and_port(&self) -> String {
        host_and_port(&self.0)
    }

    /// Whether it points to this machine, which only a stand-in does.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.0)
    }
}

/// Whether a URL leads to this machine: to a stand-in rather than to a live account.
pub fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        host == "localhost"
            || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    })
}

impl std::fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Reads `quota`: the share of the account's limits that may be used, above 0; all of it where left out.
pub fn quota_share(table: &mut ConfigTable) -> f64 {
    let share = table.percent("quota").unwrap_or(1.0);
    if share <= 0.0 {
        let message = format!("`{}` leaves no call at all", table.path_of("quota"));
        table.problems().refuse("out-of-range", table.span(), message, "give it more than 0%");
    }
    share
}

/// The part of a cap that this program may use: at least one call.
pub fn scaled(cap: u32, share: f64) -> u32 {
    ((f64::from(cap) * share) as u32).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_one_segment_whatever_it_holds() {
        let base = BaseUrl(Url::parse("https://api.example.com/base/").expect("a URL"));
        let joined = |segments: &[&str]| base.join(segments).map(|url| url.to_string());
        assert_eq!(joined(&["v1", "a/b?c#d"]).expect("a URL"), "https://api.example.com/base/v1/a%2Fb%3Fc%23d");
        for segment in ["", ".", ".."] {
            assert!(joined(&["v1", segment]).is_err(), "{segment}");
        }
    }

    #[test]
    fn a_host_is_a_host_and_no_more() {
        let joined = BaseUrl::of_host("us21.api.example.com").and_then(|base| base.join(&["v1"]));
        assert_eq!(joined.expect("a URL").as_str(), "https://us21.api.example.com/v1");
        for host in ["", "evil.example/#.api.example.com", "a@b.example.com", "a.example.com:8080", "A.example.com"] {
            assert!(BaseUrl::of_host(host).is_err(), "{host}");
        }
    }

    #[test]
    fn a_share_leaves_at_least_one_call() {
        assert_eq!((scaled(20, 0.5), scaled(20, 0.01), scaled(100, 1.0)), (10, 1, 100));
    }
}
