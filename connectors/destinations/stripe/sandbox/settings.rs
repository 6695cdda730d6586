//! What the stand-in can be told, at its start and while it runs.

use std::collections::BTreeSet;
use std::time::Duration;

use backhaul_kit::Fault;

use super::Account;
use crate::destinations::stand_in::{Known, Share, list};

/// Every setting, with one line each.
pub(super) const KNOWN: Known = Known(&[
    ("key", "the API key that it accepts; another one makes all others expire"),
    ("account", "the account's id"),
    ("permissions", "what the key may do, separated by commas; `all` for a secret key's rights"),
    ("per_second", "calls let through in any second; 0 for no limit"),
    ("limit", "calls let through in a window of time, as `100/10s` or `20/500ms` (ms, s, m, h, d); 0 for no limit"),
    (
        "window",
        "`rolling`: any such time counts; `fixed`: a window begins with the first call after the last one's end",
    ),
    ("search_lag", "milliseconds until a change can be found by the search"),
    ("forget_keys", "any value: idempotency keys are forgotten, as after 24 hours"),
    (
        "reject",
        "values to refuse, as `email=x@example.com`, separated by commas, or a share of the writes, as `1%`; empty for none",
    ),
    ("fail_next", "how many of the next writes are answered with 500, unapplied; kept under their idempotency key"),
    ("throttle_next", "how many of the next writes are answered with 429"),
    ("lose_next", "how many of the next writes are applied, but their answer is lost"),
    ("latency", "milliseconds before every answer"),
]);

/// What a restricted key for customers may do, with the account that it belongs to.
const RESTRICTED: [&str; 3] = ["rak_customer_write", "rak_customer_read", "rak_account_read"];

/// The present settings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) key: String,
    pub(super) account: String,
    pub(super) permissions: BTreeSet<String>,
    pub(super) search_lag: Duration,
    /// Parameters and the values that they may not have.
    pub(super) rejects: Vec<(String, String)>,
    /// By the values that a write has.
    pub(super) reject_share: Share,
    pub(super) fail_next: u64,
    pub(super) throttle_next: u64,
    pub(super) lose_next: u64,
    pub(super) latency: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            key: String::from("rk_test_sandbox"),
            account: String::from("acct_sandbox"),
            permissions: RESTRICTED.map(str::to_owned).into(),
            search_lag: Duration::ZERO,
            rejects: Vec::new(),
            reject_share: Share::default(),
            fail_next: 0,
            throttle_next: 0,
            lose_next: 0,
            latency: Duration::ZERO,
        }
    }
}

impl Settings {
    /// Whether the key has a permission.
    pub(super) fn allows(&self, permission: &str) -> bool {
        self.permissions.contains(permission) || self.permissions.contains("all")
    }
}

/// Changes a setting.
///
/// # Errors
/// A setting that is not known or has a wrong value.
pub(super) fn apply(account: &mut Account, key: &str, value: &str) -> Result<(), Fault> {
    let settings = &mut account.settings;
    let millis = || KNOWN.number(key, value).map(Duration::from_millis);
    match key {
        "key" => settings.key = value.to_owned(),
        "account" => settings.account = value.to_owned(),
        "permissions" => settings.permissions = list(value).map(str::to_owned).collect(),
        "per_second" => account.window.limit(KNOWN.number(key, value)?, Duration::from_secs(1)),
        "search_lag" => settings.search_lag = millis()?,
        "forget_keys" => account.answered.clear(),
        "reject" => {
            let pair = |item: &str| item.split_once('=').map(|(param, value)| (param.to_owned(), value.to_owned()));
            settings.reject_share = Share::read(value).unwrap_or_default();
            settings.rejects = list(value)
                .filter(|item| Share::read(item).is_none())
                .map(|item| pair(item).ok_or_else(|| KNOWN.wrong(key, item)))
                .collect::<Result<_, _>>()?;
        }
        "fail_next" => settings.fail_next = KNOWN.number(key, value)?,
        "throttle_next" => settings.throttle_next = KNOWN.number(key, value)?,
        "lose_next" => settings.lose_next = KNOWN.number(key, value)?,
        "latency" => settings.latency = millis()?,
        _ => return Err(KNOWN.unknown(key)),
    }
    Ok(())
}
