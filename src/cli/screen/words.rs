//! Numbers, spans and times as people write them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// `20000` → `20,000`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `plural(1, "row")` → `1 row`, `plural(2, "row")` → `2 rows`.
pub fn plural(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(n), if n == 1 { "" } else { "s" })
}

/// A share of a whole: `0.5%`, `12%`; of nothing: `0%`.
pub fn percent(part: u64, whole: u64) -> String {
    if part == 0 || whole == 0 {
        return String::from("0%");
    }
    // In thousandths, rounded, and never rounded away.
    let thousandths = ((u128::from(part) * 1000 + u128::from(whole) / 2) / u128::from(whole)).max(1);
    match (thousandths / 10, thousandths % 10) {
        (whole, tenth) if whole < 10 && tenth != 0 => format!("{whole}.{tenth}%"),
        (whole, _) => format!("{whole}%"),
    }
}

/// How long something takes: `250 ms`, `1.2 s`, `3 min 5 s`, `2 h 5 min`, `3 d 4 h`.
pub fn duration(span: Duration) -> String {
    let seconds = span.as_secs();
    let pair = |big: u64, unit: &str, small: u64, subunit: &str| {
        if small == 0 { format!("{big} {unit}") } else { format!("{big} {unit} {small} {subunit}") }
    };
    match seconds {
        0 => format!("{} ms", span.as_millis()),
        1..10 => format!("{seconds}.{} s", span.subsec_millis() / 100),
        10..60 => format!("{seconds} s"),
        60..3600 => pair(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => pair(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => pair(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

/// A time as seen from `now`, in its largest unit: `5 min ago`, `in 2 h`, `now`.
pub fn relative(time: Timestamp, now: Timestamp) -> String {
    let apart = time.duration_since(now);
    let seconds = apart.as_secs().unsigned_abs();
    let text = match seconds {
        0 => return String::from("now"),
        1..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    };
    if apart > SignedDuration::ZERO { format!("in {text}") } else { format!("{text} ago") }
}

/// A time to the second, UTC: `2026-11-20 12:34:56Z`.
pub fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_thousands() {
        let texts: Vec<String> = [0, 999, 1000, 20_000, 1_234_567, u64::MAX].into_iter().map(number).collect();
        assert_eq!(texts, ["0", "999", "1,000", "20,000", "1,234,567", "18,446,744,073,709,551,615"]);
        assert_eq!((plural(1, "row"), plural(0, "row")), ("1 row".into(), "0 rows".into()));
    }

    #[test]
    fn shares_are_rounded_but_never_to_nothing() {
        let texts: Vec<String> =
            [(0, 5), (5, 0), (1, 100_000), (1, 200), (3, 1000), (1, 3), (5, 5)].map(|(a, b)| percent(a, b)).into();
        assert_eq!(texts, ["0%", "0%", "0.1%", "0.5%", "0.3%", "33%", "100%"]);
    }

    #[test]
    fn spans_have_at_most_two_units() {
        let texts: Vec<String> = [250, 1250, 59_000, 185_000, 3_600_000, 7_500_000, 273_600_000]
            .map(|ms| duration(Duration::from_millis(ms)))
            .into();
        assert_eq!(texts, ["250 ms", "1.2 s", "59 s", "3 min 5 s", "1 h", "2 h 5 min", "3 d 4 h"]);
    }

    #[test]
    fn times_are_told_from_now() {
        let now: Timestamp = "2026-11-20T12:00:00Z".parse().expect("a timestamp");
        let seen: Vec<String> = [-100_000, -3700, -300, 0, 59, 7300, 900_000]
            .map(|s| relative(now + SignedDuration::from_secs(s), now))
            .into();
        assert_eq!(moment(now), "2026-11-20 12:00:00Z");
        assert_eq!(seen, ["27 h ago", "1 h ago", "5 min ago", "now", "in 59 s", "in 2 h", "in 10 d"]);
    }
}
