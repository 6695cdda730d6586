//! What the stand-in can be told, at its start and while it runs.

use std::time::Duration;

use backhaul_kit::Fault;

use super::State;
use crate::destinations::stand_in::{Known, Share, list};

/// Every setting, with one line each.
pub(super) const KNOWN: Known = Known(&[
    ("account", "the operating account that may be written; others are refused (403)"),
    ("audience", "the id of its list; others do not exist"),
    ("terms", "`signed`, or anything else for an account that has not accepted Customer Match's terms"),
    ("scopes", "what tokens are good for, separated by commas; empty for what an assertion asks for"),
    ("per_minute", "calls let through in a minute; 0 for no limit"),
    ("limit", "calls let through in a window of time, as `100/10s` or `20/500ms` (ms, s, m, h, d); 0 for no limit"),
    (
        "window",
        "`rolling`: any such time counts; `fixed`: a window begins with the first call after the last one's end",
    ),
    ("processing", "milliseconds that a request is worked on"),
    ("stuck", "how many of the next requests are worked on for ever"),
    ("work", "any value: all requests are worked on at once"),
    ("forget", "any value: the numbers of all requests are forgotten"),
    ("reject", "hashes that are refused at once, separated by commas, or a share of all, as `1%`"),
    ("drop", "hashes that are dropped when a request is worked on, separated by commas"),
    ("drop_reason", "the reason for that, without PROCESSING_ERROR_REASON_"),
    ("fail_next", "how many of the next writes are answered with 500, unapplied"),
    ("throttle_next", "how many of the next writes are answered with 429 and Retry-After"),
    ("lose_next", "how many of the next writes are taken in, but their answer is lost"),
    ("token_url", "the address of the token endpoint, which assertions are made for"),
    ("latency", "milliseconds before every answer"),
]);

/// The present settings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) account: String,
    pub(super) audience: String,
    pub(super) terms: bool,
    pub(super) scopes: Vec<String>,
    pub(super) processing: Duration,
    pub(super) stuck: u64,
    pub(super) reject: Vec<String>,
    pub(super) reject_share: Share,
    pub(super) drop: Vec<String>,
    pub(super) drop_reason: String,
    pub(super) fail_next: u64,
    pub(super) throttle_next: u64,
    pub(super) lose_next: u64,
    pub(super) latency: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            account: String::from("1112223333"),
            audience: String::from("987"),
            terms: true,
            scopes: Vec::new(),
            processing: Duration::ZERO,
            stuck: 0,
            reject: Vec::new(),
            reject_share: Share::default(),
            drop: Vec::new(),
            drop_reason: String::from("INVALID_FORMAT"),
            fail_next: 0,
            throttle_next: 0,
            lose_next: 0,
            latency: Duration::ZERO,
        }
    }
}

/// Changes a setting.
///
/// # Errors
/// A setting that is not known or has a wrong value.
pub(super) fn apply(state: &mut State, key: &str, value: &str) -> Result<(), Fault> {
    let settings = &mut state.settings;
    let millis = || KNOWN.number(key, value).map(Duration::from_millis);
    let texts = || list(value).map(str::to_owned).collect();
    match key {
        "account" => settings.account = value.to_owned(),
        "audience" => settings.audience = value.to_owned(),
        "terms" => settings.terms = value == "signed",
        "scopes" => settings.scopes = texts(),
        "per_minute" => state.window.limit(KNOWN.number(key, value)?, Duration::from_secs(60)),
        "processing" => settings.processing = millis()?,
        "stuck" => settings.stuck = KNOWN.number(key, value)?,
        "work" => state.lists.hurry(),
        "forget" => state.lists.forget(),
        "reject" => {
            settings.reject_share = Share::read(value).unwrap_or_default();
            settings.reject = texts();
        }
        "drop" => settings.drop = texts(),
        "drop_reason" => settings.drop_reason = value.to_owned(),
        "fail_next" => settings.fail_next = KNOWN.number(key, value)?,
        "throttle_next" => settings.throttle_next = KNOWN.number(key, value)?,
        "lose_next" => settings.lose_next = KNOWN.number(key, value)?,
        "token_url" => state.tokens.audience = value.to_owned(),
        "latency" => settings.latency = millis()?,
        _ => return Err(KNOWN.unknown(key)),
    }
    Ok(())
}
