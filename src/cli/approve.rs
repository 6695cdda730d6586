//! `backhaul approve`, `backhaul discard` and `backhaul replan`: what they take.

use std::str::FromStr;

use jiff::SignedDuration;

use crate::config::Threshold;
use crate::guard::{RAISABLE, Raised};

const APPROVE: &str = "\
Examples:
  backhaul approve 20261120T123456-7f3a --plan-hash 9f2c…
  backhaul approve 20261120T123456-7f3a --plan-hash 9f2c… --allow max_removed=12% --for 2h

The hash stands in `backhaul plan show RUN`: it says that you approve the data that you looked at. An approval counts \
once, for that plan alone. With --allow the plan is sent only where it is within that limit; with --for the limit \
stays raised for later plans of the sync.";

/// Limits are raised for hours or days; what is to last belongs into the sync's file.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Let a held run send its plan
#[derive(Debug, clap::Args)]
#[command(after_help = APPROVE)]
pub struct ApproveArgs {
    /// The held run
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The hash of the plan that you looked at
    #[arg(long, value_name = "HASH")]
    pub plan_hash: String,
    /// Raise a limit of [guards], as max_removed=12%; the plan must be within it
    #[arg(long, value_name = "LIMIT=VALUE")]
    pub allow: Option<AllowArg>,
    /// How long the limit stays raised for later plans, as 2h; default for this plan alone
    #[arg(long = "for", value_name = "TIME", requires = "allow", value_parser = lasts)]
    pub lasts: Option<SignedDuration>,
}

/// A limit and what it is raised to.
#[derive(Clone, Debug, PartialEq)]
pub struct AllowArg {
    /// Both.
    pub raised: Raised,
    /// What it is raised to, as written.
    pub value: String,
}

impl FromStr for AllowArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (limit, value) = text.split_once('=').ok_or("write a limit and its value, as max_removed=12%")?;
        if !RAISABLE.contains(&limit) {
            return Err(format!("`{limit}` is no limit that can be raised; these can: {}", RAISABLE.join(", ")));
        }
        let to = Threshold::from_text(value).ok_or("write a percentage or a number of rows, as 12% or 500")?;
        Ok(Self { raised: Raised { limit: limit.to_owned(), to }, value: value.trim().to_owned() })
    }
}

fn lasts(text: &str) -> Result<SignedDuration, String> {
    let lasts: Option<SignedDuration> = text.parse().ok();
    let fits = |lasts: &SignedDuration| lasts.is_positive() && *lasts <= LONGEST;
    lasts.filter(fits).ok_or_else(|| String::from("write a time of at most seven days, as 2h or 1h 30m"))
}

const DISCARD: &str = "\
Example:
  backhaul discard 20261120T123456-7f3a

Nothing of its plan is sent. The next run of the sync scans and judges afresh.";

/// Give a held run up
#[derive(Debug, clap::Args)]
#[command(after_help = DISCARD)]
pub struct DiscardArgs {
    /// The held run
    #[arg(value_name = "RUN")]
    pub run: String,
}

const REPLAN: &str = "\
Example:
  backhaul replan 20261120T123456-7f3a

As `discard` and then `run`: for a model that was repaired.";

/// Give a held run up, scan and judge anew
#[derive(Debug, clap::Args)]
#[command(after_help = REPLAN)]
pub struct ReplanArgs {
    /// The held run
    #[arg(value_name = "RUN")]
    pub run: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_by_its_key_and_for_days_at_most() {
        let allow: AllowArg = "max_removed=12%".parse().expect("a limit");
        assert_eq!((allow.raised.limit.as_str(), allow.value.as_str()), ("max_removed", "12%"));
        assert_eq!("max_added=500".parse::<AllowArg>().map(|allow| allow.raised.to), Ok(Threshold::Count(500)));
        for wrong in ["max_removed", "max_removed=", "max_removed=200%", "min_rows=1", "=5%"] {
            assert!(wrong.parse::<AllowArg>().is_err(), "{wrong}");
        }
        assert_eq!(lasts("2h"), Ok(SignedDuration::from_hours(2)));
        assert_eq!(lasts("1h 30m"), Ok(SignedDuration::from_mins(90)));
        for wrong in ["0s", "-2h", "8d", "200h", "soon"] {
            assert!(lasts(wrong).is_err(), "{wrong}");
        }
    }
}
