//! What `[guards]` comes to.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A bare percentage applies above so many rows.
pub(super) const BARE_PERCENT_BEYOND: u64 = 20;

/// `{ percent = "5%", beyond = 100 }`, a bare percentage (`beyond = 20`), or a count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Threshold {
    /// A share of the accepted keys, applied only above `beyond` rows.
    Percent {
        /// As a fraction.
        fraction: f64,
        /// Rows below which it does not apply.
        beyond: u64,
    },
    /// So many rows.
    Count(u64),
}

impl Threshold {
    /// Whether `count` rows are too many. Percentages are of `total`; of nothing they do not apply.
    pub fn is_exceeded(self, count: u64, total: u64) -> bool {
        match self {
            Self::Count(max) => count > max,
            Self::Percent { fraction, beyond } => total > 0 && count > beyond && count as f64 > fraction * total as f64,
        }
    }

    /// A threshold as it stands on a command line: `12%` or `500`.
    pub fn from_text(text: &str) -> Option<Self> {
        match text.trim().strip_suffix('%') {
            None => text.trim().parse().ok().map(Self::Count),
            Some(percent) => {
                let percent: f64 = percent.trim().parse().ok()?;
                let fraction = (0.0..=100.0).contains(&percent).then_some(percent / 100.0)?;
                Some(Self::Percent { fraction, beyond: BARE_PERCENT_BEYOND })
            }
        }
    }
}

/// As in a sentence: `20% beyond 100`, `500`.
impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Count(max) => write!(f, "{max}"),
            Self::Percent { fraction, beyond } => write!(f, "{} beyond {beyond}", percent(fraction)),
        }
    }
}

/// A fraction as a percentage with at most two decimals: `2.5%`.
pub fn percent(fraction: f64) -> String {
    format!("{}%", (fraction * 1e4).round() / 100.0)
}

/// `[guards]`.
#[derive(Clone, Debug)]
pub struct Guards {
    /// Fewest rows a model may have.
    pub min_rows: Option<u64>,
    /// Most rows.
    pub max_rows: Option<u64>,
    /// Most additions.
    pub max_added: Option<Threshold>,
    /// Most changes.
    pub max_changed: Option<Threshold>,
    /// Most removals; default 20 % beyond 100.
    pub max_removed: Threshold,
    /// Most removals in 24 hours; `None` is as many as one plan may have.
    pub max_removed_per_day: Option<Threshold>,
    /// Most removals of people who withdrew their consent or were put on a suppression list; default 10 % beyond 100.
    pub max_withdrawn: Threshold,
    /// Most refused rows, of those that the destination has answered; default 50 % beyond 100.
    pub max_rejected: Threshold,
    /// Most rows of a first run to a live account; default 10,000.
    pub first_run_max: u64,
    /// `on_remap`.
    pub on_remap: OnRemap,
    /// `key_shift`; default hold, except where rows are appended.
    pub key_shift: OnKeyShift,
    /// Rows that go first.
    pub canary: Option<Canary>,
    /// The share of canary rows that may come to nothing, as a fraction; default 1 %.
    pub canary_max_rejects: f64,
    /// `[guards.fields.X]`.
    pub fields: Vec<FieldGuard>,
}

/// What a mapping change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnRemap {
    /// The plan is held.
    Hold,
    /// It goes out in full.
    Full,
}

/// What a plan does in which most keys are new and most old ones are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnKeyShift {
    /// It is held.
    Hold,
    /// It goes out.
    Send,
}

/// What a plan does that a guard of removals stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnHold {
    /// It is held as a whole.
    #[default]
    All,
    /// Its removals are held back; all else goes out.
    Removals,
}

/// How many rows go first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Canary {
    /// A share of the additions and changes, as a fraction; at least one row.
    Share(f64),
    /// So many rows.
    Rows(u64),
}

impl Canary {
    /// How many of `rows` rows.
    pub fn of(self, rows: u64) -> u64 {
        match self {
            Self::Rows(most) => most.min(rows),
            Self::Share(fraction) => ((fraction * rows as f64).ceil() as u64).max(1).min(rows),
        }
    }
}

/// As in a file, without the quotes: `1%`, `100`.
impl fmt::Display for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(fraction) => write!(f, "{}%", fraction * 100.0),
            Self::Rows(rows) => write!(f, "{rows}"),
        }
    }
}

impl FromStr for Canary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match Threshold::from_text(text) {
            Some(Threshold::Percent { fraction, .. }) => Ok(Self::Share(fraction)),
            Some(Threshold::Count(rows)) if rows > 0 => Ok(Self::Rows(rows)),
            _ => Err(String::from("write a percentage or a number of rows, as 1% or 100")),
        }
    }
}

/// `[guards.fields.X]`: what a field's values may be.
#[derive(Clone, Debug, PartialEq)]
pub struct FieldGuard {
    /// The field, as its target is written.
    pub field: String,
    /// The least value.
    pub floor: Option<f64>,
    /// The greatest value.
    pub ceiling: Option<f64>,
    /// How far one plan may take it from the value that was last accepted.
    pub max_step: Option<Step>,
    /// How far the plans of a window may take it from its value at the window's start.
    pub max_step_per: Option<(Step, Duration)>,
}

impl FieldGuard {
    /// Whether values that were accepted must be known.
    pub fn compares(&self) -> bool {
        self.max_step.is_some() || self.max_step_per.is_some()
    }
}

/// How far a value may move.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Step {
    /// By this share of the old value, as a fraction.
    Share(f64),
    /// By so much.
    By(f64),
}

impl Step {
    /// Whether going from `old` to `new` is too far.
    pub fn is_exceeded(self, old: f64, new: f64) -> bool {
        let most = match self {
            Self::By(most) => most,
            Self::Share(fraction) => fraction * old.abs(),
        };
        // Decimal steps are not exact in binary: a step of just the limit is none too far.
        let slack = 1e-9 * old.abs().max(new.abs());
        (new - old).abs() > most + slack
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(fraction) => f.write_str(&percent(*fraction)),
            Self::By(most) => write!(f, "{most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_applies_above_its_count_and_of_something_only() {
        let limit = Threshold::Percent { fraction: 0.2, beyond: 100 };
        assert!(!limit.is_exceeded(100, 400) && limit.is_exceeded(101, 400));
        assert!(!limit.is_exceeded(200, 1000) && limit.is_exceeded(201, 1000));
        assert!(!limit.is_exceeded(500, 0));
        assert!(!Threshold::Count(5).is_exceeded(5, 0) && Threshold::Count(5).is_exceeded(6, 0));
    }

    #[test]
    fn a_threshold_is_read_as_it_stands_on_a_command_line() {
        assert_eq!(Threshold::from_text("12%"), Some(Threshold::Percent { fraction: 0.12, beyond: 20 }));
        assert_eq!(Threshold::from_text("500"), Some(Threshold::Count(500)));
        for wrong in ["", "%", "-1", "101%", "NaN%", "12 rows", "1.5"] {
            assert_eq!(Threshold::from_text(wrong), None, "{wrong}");
        }
        assert_eq!(Threshold::from_text("2.5%").map(|t| t.to_string()).as_deref(), Some("2.5% beyond 20"));
    }

    #[test]
    fn a_canary_has_a_row_and_no_more_than_there_are() {
        assert_eq!([0, 1, 50, 100, 101].map(|rows| Canary::Share(0.01).of(rows)), [0, 1, 1, 1, 2]);
        assert_eq!([0, 5, 50].map(|rows| Canary::Rows(10).of(rows)), [0, 5, 10]);
        for text in ["1%", "0.5%", "100"] {
            assert_eq!(text.parse::<Canary>().map(|canary| canary.to_string()), Ok(text.to_owned()));
        }
        assert!("0".parse::<Canary>().is_err() && "half".parse::<Canary>().is_err());
    }

    #[test]
    fn a_step_is_measured_from_the_old_value() {
        assert!(!Step::Share(0.2).is_exceeded(10.0, 12.0) && Step::Share(0.2).is_exceeded(10.0, 12.01));
        assert!(!Step::Share(0.2).is_exceeded(-10.0, -8.0) && Step::Share(0.2).is_exceeded(-10.0, -7.9));
        assert!(!Step::By(0.3).is_exceeded(0.1, 0.4) && Step::By(0.3).is_exceeded(0.1, 0.41));
        assert!(Step::Share(0.5).is_exceeded(0.0, 0.1), "a share of nothing is nothing");
    }
}
