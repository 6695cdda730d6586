//! Times in a column, and how old the newest is.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The sentence of a newest value that is too old, or missing.
pub(super) fn stale(newest: Option<i64>, within: Duration, now: Timestamp) -> Option<String> {
    let limit = words(within);
    let Some(newest) = newest else {
        return Some(format!("no row has a time, and the newest may be {limit} old"));
    };
    // What lies in the future is fresh.
    let age = now.as_microsecond().saturating_sub(newest).max(0);
    let age = Duration::from_micros(age.unsigned_abs());
    (age > within).then(|| format!("the newest value is {} old, and may be {limit}", words(age)))
}

/// `7h 12m`: the two largest units are enough.
fn words(duration: Duration) -> String {
    let whole = SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX).as_secs();
    let units = [(whole / 86_400, "d"), (whole / 3600 % 24, "h"), (whole / 60 % 60, "m"), (whole % 60, "s")];
    let told: Vec<String> = units
        .into_iter()
        .skip_while(|(n, _)| *n == 0)
        .take(2)
        .filter(|(n, _)| *n > 0)
        .map(|(n, unit)| format!("{n}{unit}"))
        .collect();
    if told.is_empty() { String::from("0s") } else { told.join(" ") }
}
