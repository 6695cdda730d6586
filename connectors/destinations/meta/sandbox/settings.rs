//! What the stand-in can be told, at its start and while it runs.

use std::time::Duration;

use backhaul_kit::Fault;

use crate::destinations::stand_in::{Known, Share, list};

/// Every setting, with one line each.
pub(super) const KNOWN: Known = Known(&[
    ("token", "the token that it accepts; another one makes all others expire"),
    ("app_secret", "the app's secret: calls must then prove that they know it; empty for none"),
    ("scopes", "the token's permissions, separated by commas"),
    ("inspect", "whether the token may look at itself: yes or no"),
    ("ad_account", "the ad account that owns the audience, without act_"),
    ("audience", "the audience's id"),
    ("operation_status", "the audience's status; 471 for a flagged one"),
    ("reject", "values to count as invalid, as `EXTERN_ID=7`, separated by commas, or a share of the rows, as `1%`"),
    ("usage", "percent of the quota that is used"),
    ("usage_per_call", "how much of that each call adds"),
    ("regain", "minutes without access once all is used"),
    ("throttle_next", "how many of the next changes are answered with code 17 and Retry-After"),
    ("retry_after", "seconds that such an answer asks to wait"),
    ("fail_next", "how many of the next changes are answered with code 2, unapplied"),
    ("lose_next", "how many of the next changes are applied, but their answer is lost"),
    ("latency", "milliseconds before every answer"),
]);

/// The present settings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) token: String,
    pub(super) app_secret: String,
    pub(super) scopes: Vec<String>,
    pub(super) inspect: bool,
    pub(super) ad_account: String,
    pub(super) audience: String,
    pub(super) operation_status: i64,
    /// Keys and the values that count as invalid.
    pub(super) rejects: Vec<(String, String)>,
    /// By the values that a row has.
    pub(super) reject_share: Share,
    pub(super) usage: f64,
    pub(super) usage_per_call: f64,
    pub(super) regain: f64,
    pub(super) throttle_next: u64,
    pub(super) retry_after: u64,
    pub(super) fail_next: u64,
    pub(super) lose_next: u64,
    pub(super) latency: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token: String::from("sandbox-token"),
            app_secret: String::new(),
            scopes: vec![String::from("ads_management")],
            inspect: true,
            ad_account: String::from("1234567890"),
            audience: String::from("23851234567890"),
            operation_status: 200,
            rejects: Vec::new(),
            reject_share: Share::default(),
            usage: 0.0,
            usage_per_call: 0.0,
            regain: 1.0,
            throttle_next: 0,
            retry_after: 1,
            fail_next: 0,
            lose_next: 0,
            latency: Duration::ZERO,
        }
    }
}

impl Settings {
    /// Changes a setting.
    ///
    /// # Errors
    /// One that is not known or has a wrong value.
    pub(super) fn apply(&mut self, key: &str, value: &str) -> Result<(), Fault> {
        match key {
            "token" => value.clone_into(&mut self.token),
            "app_secret" => value.clone_into(&mut self.app_secret),
            "scopes" => self.scopes = list(value).map(str::to_owned).collect(),
            "inspect" => {
                self.inspect = match value {
                    "yes" => true,
                    "no" => false,
                    _ => return Err(KNOWN.wrong(key, value)),
                }
            }
            "ad_account" => value.clone_into(&mut self.ad_account),
            "audience" => value.clone_into(&mut self.audience),
            "operation_status" => self.operation_status = KNOWN.number(key, value)?,
            "reject" => {
                let pair = |item: &str| item.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
                self.reject_share = Share::read(value).unwrap_or_default();
                self.rejects = list(value)
                    .filter(|item| Share::read(item).is_none())
                    .map(|item| pair(item).ok_or_else(|| KNOWN.wrong(key, item)))
                    .collect::<Result<_, _>>()?;
            }
            "usage" => self.usage = KNOWN.number(key, value)?,
            "usage_per_call" => self.usage_per_call = KNOWN.number(key, value)?,
            "regain" => self.regain = KNOWN.number(key, value)?,
            "throttle_next" => self.throttle_next = KNOWN.number(key, value)?,
            "retry_after" => self.retry_after = KNOWN.number(key, value)?,
            "fail_next" => self.fail_next = KNOWN.number(key, value)?,
            "lose_next" => self.lose_next = KNOWN.number(key, value)?,
            "latency" => self.latency = Duration::from_millis(KNOWN.number(key, value)?),
            _ => return Err(KNOWN.unknown(key)),
        }
        Ok(())
    }
}
