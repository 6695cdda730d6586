//! What every stand-in can be told, and what it counts.

use std::time::Duration;

use backhaul_kit::Fault;

use super::Window;
use super::told::{Setting, Told};

/// The settings of every stand-in.
pub(super) const SETTINGS: &[Setting] = &[
    ("token", "the token that it accepts; another one makes all others expire"),
    ("expire_after", "calls that change something until the token expires; 0 for never"),
    (
        "reject",
        "values to refuse, as `email=x@example.com`, separated by commas, or a share of the rows, as `1%`; empty for none",
    ),
    ("fail_next", "how many of the next writes are answered with 500, unapplied"),
    ("throttle_next", "how many of the next writes are answered with 429"),
    ("retry_after", "seconds that such a 429 asks to wait; 0 for no such word"),
    ("lose_next", "how many of the next writes are taken in, but their answer is lost"),
    ("limit", "calls let through in a window of time, as `100/10s` or `20/500ms` (ms, s, m, h, d); 0 for no limit"),
    (
        "window",
        "`rolling`: any such time counts; `fixed`: a window begins with the first call after the last one's end",
    ),
    ("connections", "calls at a time; 0 for no limit"),
    ("latency", "milliseconds before every answer"),
    ("slow_body", "milliseconds between the halves of every answer's body"),
];

/// The present settings and counts of a stand-in.
#[derive(Debug, Default)]
pub(in crate::destinations) struct Common {
    /// The credential that is accepted.
    pub(in crate::destinations) token: String,
    /// Calls that change something until it expires; 0: it does not.
    pub(super) expire_after: u64,
    /// Values that are refused on purpose.
    pub(in crate::destinations) rejects: Rejects,
    pub(super) fail_next: u64,
    pub(super) throttle_next: u64,
    /// Seconds; 0: a 429 says nothing of it.
    pub(in crate::destinations) retry_after: u64,
    pub(super) lose_next: u64,
    /// The limit of calls.
    pub(in crate::destinations) window: Window,
    /// Calls at a time; 0: no limit.
    pub(in crate::destinations) connections: u64,
    pub(super) latency: Duration,
    pub(super) slow_body: Duration,
    /// Calls that were made.
    pub(in crate::destinations) calls: u64,
    /// Calls that were not answered yet.
    pub(super) in_flight: u64,
}

impl Common {
    /// A new stand-in that accepts `token`, and asks to wait for so many seconds after a 429 (0: it does not ask).
    pub(in crate::destinations) fn new(token: &str, retry_after: u64) -> Self {
        Self { token: token.to_owned(), retry_after, ..Self::default() }
    }

    /// Changes a setting; false for one that is not common.
    pub(super) fn set(&mut self, told: Told<'_>) -> Result<bool, Fault> {
        match told.key {
            "token" => self.token = told.text(),
            "expire_after" => self.expire_after = told.number()?,
            "reject" => self.rejects = Rejects::pairs(told)?,
            "fail_next" => self.fail_next = told.number()?,
            "throttle_next" => self.throttle_next = told.number()?,
            "retry_after" => self.retry_after = told.number()?,
            "lose_next" => self.lose_next = told.number()?,
            "limit" => self.window.set_limit(told)?,
            "window" => self.window.set_kind(told)?,
            "connections" => self.connections = told.number()?,
            "latency" => self.latency = told.millis()?,
            "slow_body" => self.slow_body = told.millis()?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whether there are more calls at a time than there may be.
    pub(super) fn is_crowded(&self) -> bool {
        self.connections > 0 && self.in_flight > self.connections
    }
}

/// Values that are refused on purpose: of fields, and a share of all rows.
#[derive(Debug, Default)]
pub(in crate::destinations) struct Rejects {
    pairs: Vec<(String, String)>,
    share: Share,
}

impl Rejects {
    /// Reads `plan=gold,email=x@example.com` or a share.
    fn pairs(told: Told<'_>) -> Result<Self, Fault> {
        let pair = |item: &str| {
            let (name, value) = item.split_once('=').ok_or_else(|| told.wrong(item))?;
            Ok((name.to_owned(), value.to_owned()))
        };
        match Share::read(told.value) {
            Some(share) => Ok(Self { share, ..Self::default() }),
            None => Ok(Self { pairs: told.items().map(pair).collect::<Result<_, Fault>>()?, ..Self::default() }),
        }
    }

    /// Reads values of whatever field, or a share.
    pub(in crate::destinations) fn values(told: Told<'_>) -> Self {
        match Share::read(told.value) {
            Some(share) => Self { share, ..Self::default() },
            None => {
                Self { pairs: told.items().map(|item| (String::new(), item.to_owned())).collect(), ..Self::default() }
            }
        }
    }

    /// Whether a field's value is to be refused.
    pub(in crate::destinations) fn has(&self, field: &str, value: &str) -> bool {
        self.pairs.iter().any(|(name, refused)| name == field && refused == value)
    }

    /// The fields and values.
    pub(in crate::destinations) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Whether a row is one of the share, always the same ones. `row` is what tells it from others.
    pub(in crate::destinations) fn picks(&self, row: &str) -> bool {
        self.share.has(row)
    }
}

/// A share of all values: always the same ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Share(f64);

impl Share {
    /// Reads `1%`; `None` where it is something else.
    fn read(text: &str) -> Option<Self> {
        let percent: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
        (0.0..=100.0).contains(&percent).then_some(Self(percent / 100.0))
    }

    /// Whether a value is one of them.
    fn has(self, value: &str) -> bool {
        (xxhash_rust::xxh3::xxh3_64(value.as_bytes()) as f64) < self.0 * u64::MAX as f64
    }
}

/// Takes one off a counter of faults; false where there is none left.
pub(in crate::destinations) fn take(counter: &mut u64) -> bool {
    let left = *counter > 0;
    *counter = counter.saturating_sub(1);
    left
}

/// Another credential than `old`, which has expired.
pub(super) fn another(old: &str) -> String {
    let (name, number) =
        old.rsplit_once('~').and_then(|(name, n)| Some((name, n.parse().ok()?))).unwrap_or((old, 1_u64));
    format!("{name}~{}", number.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_about_as_many_and_always_the_same() {
        let share = Share::read("10%").expect("a share");
        let chosen: Vec<u32> = (0..10_000).filter(|n| share.has(&n.to_string())).collect();
        assert!((900..1100).contains(&chosen.len()), "{}", chosen.len());
        assert!(chosen.iter().all(|n| share.has(&n.to_string())));
        let wider = Share::read("11.5%").expect("a share");
        assert!(chosen.iter().all(|n| wider.has(&n.to_string())), "a wider share has those of a smaller one");
        assert!(!Share::default().has("x") && Share::read("100%").is_some_and(|all| all.has("x")));
        assert_eq!((Share::read("101%"), Share::read("email=x"), Share::read("")), (None, None, None));
    }

    #[test]
    fn another_credential_is_none_of_those_before() {
        let second = another("token");
        assert_eq!((second.as_str(), another(&second).as_str()), ("token~2", "token~3"));
    }
}
