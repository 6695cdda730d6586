//! What accounts have in common that are spoken to over HTTP: where they are, how much may be used, how calls are made.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Method;

use super::auth::Auth;
use super::base::{BaseUrl, quota_share, scaled};
use super::client::{Http, HttpOptions};
use super::keys::HttpKeys;
use super::limit::{Limiter, Window};
use super::message::{Manner, Request};
use crate::config::ConfigTable;
use crate::context::Kit;
use crate::fault::Fault;

/// The part of `[destinations.X]` that every account over HTTP has.
#[derive(Clone, Debug)]
pub struct HttpAccount {
    /// Where the API is.
    pub base: BaseUrl,
    /// The share of the account's limits that may be used.
    pub share: f64,
    /// `quota` is written, perhaps as all of it.
    has_quota: bool,
    keys: HttpKeys,
    holder: String,
    windows: Vec<Window>,
    manner: Manner,
}

impl HttpAccount {
    /// Reads `base_url`, `quota`, `timeout` and the keys of the connection. Problems go to the table.
    pub fn read(table: &mut ConfigTable, vendor: &str, live: &str) -> Option<Self> {
        let has_quota = table.has("quota");
        let (base, share, keys) = (BaseUrl::read(table, live), quota_share(table), HttpKeys::read(table));
        let base = base?;
        let (holder, windows, manner) = (format!("{vendor} {base}"), Vec::new(), Manner::default());
        Some(Self { base, share, has_quota, keys, holder, windows, manner })
    }

    /// Another default of `timeout`.
    #[must_use]
    pub fn patient(mut self, timeout: Duration) -> Self {
        self.keys.timeout.get_or_insert(timeout);
        self
    }

    /// How the vendor's answers speak.
    #[must_use]
    pub fn spoken(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }

    /// What tells accounts with the same base URL apart, whose quotas are not one.
    #[must_use]
    pub fn of(mut self, whose: &impl std::fmt::Display) -> Self {
        self.holder = format!("{} {whose}", self.holder);
        self
    }

    /// Lets through the share of `cap` calls in `per`: of the cap that was configured, or of the vendor's own. A stand-in
    /// has the limits that it was started with, unless a share of the vendor's is asked for.
    #[must_use]
    pub fn limited(mut self, configured: Option<u64>, vendors: u32, per: Duration) -> Self {
        let configured = configured.map(|cap| u32::try_from(cap).unwrap_or(u32::MAX));
        let cap = configured.or_else(|| (!self.is_stand_in() || self.has_quota).then_some(vendors));
        self.windows.extend(cap.map(|cap| Window { cap: scaled(cap, self.share), per }));
        self
    }

    /// The same account where its credential says that it is.
    #[must_use]
    pub fn at(&self, base: BaseUrl) -> Self {
        Self { base, ..self.clone() }
    }

    /// A call below the base URL; every segment is escaped.
    ///
    /// # Errors
    /// As [`BaseUrl::join`].
    pub fn call(&self, method: Method, segments: &[&str]) -> Result<Request, Fault> {
        Ok(Request::new(method, self.base.join(segments)?))
    }

    /// How clients are made.
    pub fn options(&self, kit: &Kit) -> HttpOptions {
        self.keys.options(kit)
    }

    /// The client: the credential, and the limiter, which all syncs of the account share.
    ///
    /// # Errors
    /// As [`Http::new`].
    pub fn client(&self, kit: &Kit, auth: Auth) -> Result<Http, Fault> {
        Ok(Http::new(&self.options(kit), auth, self.limiter(kit))?.spoken(self.manner, self.share))
    }

    /// The account's limiter.
    pub fn limiter(&self, kit: &Kit) -> Arc<Limiter> {
        kit.limiters.get(&self.holder, &self.windows)
    }

    /// Whether it is a stand-in on this machine.
    pub fn is_stand_in(&self) -> bool {
        self.base.is_loopback()
    }

    /// The hosts that are connected to.
    pub fn hosts(&self) -> Vec<String> {
        self.hosts_and(None)
    }

    /// The same where another one is called, too.
    pub fn hosts_and(&self, other: Option<String>) -> Vec<String> {
        let own = self.base.host_and_port();
        let other = other.filter(|other| *other != own);
        self.keys.hosts([own].into_iter().chain(other).collect())
    }

    /// How long a call may take.
    pub fn timeout(&self) -> Duration {
        self.keys.timeout()
    }

    /// How long a call whose answer was lost may still take effect, where only the timeout says so.
    pub fn settle_after(&self) -> Duration {
        self.timeout().max(Duration::from_secs(1))
    }

    /// The same where the vendor may work on a call for so long. A stand-in works on nothing for long.
    pub fn settle_after_work(&self, longest: Duration) -> Duration {
        self.settle_after().max(if self.is_stand_in() { Duration::ZERO } else { longest })
    }
}
