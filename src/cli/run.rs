//! `backhaul run`: what it takes.

use std::str::FromStr;

use crate::config::Canary;

const EXAMPLES: &str = "\
Examples:
  backhaul run vip-crm                         send what changed
  backhaul run vip-crm --only 4711             this row alone
  backhaul run tag:crm --fail-on 'rejects>1%'  rejects up to 1 % do not fail the command
  backhaul run vip-crm --yes                   a first run beyond guards.first_run_max

Ctrl-C finishes the requests in flight and exits 130; the next run goes on from there.";

/// Send what changed
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct RunArgs {
    /// Names of syncs, or tag:NAME, dest:NAME, owner:NAME
    #[arg(required = true, value_name = "SYNC")]
    pub syncs: Vec<String>,
    /// Only the rows of these keys; one that left the model is removed if the sync removes
    #[arg(long, value_name = "KEY", num_args = 1..)]
    pub only: Vec<String>,
    /// At most so many rows; the rest waits for the next run
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub max_rows: Option<u64>,
    /// Send so many of the added and changed rows first, as 1% or 100; the rest only where these are accepted
    #[arg(long, value_name = "PCT")]
    pub canary: Option<Canary>,
    /// Confirm a first run of many rows; a held run of the sync is planned and judged again
    #[arg(long)]
    pub yes: bool,
    /// Send every row again, changed or not
    #[arg(long, conflicts_with = "only")]
    pub full: bool,
    /// Exit 6 at once where another process works on the account
    #[arg(long)]
    pub no_wait: bool,
    /// Exit 3 only where so many rows are rejected, as rejects>1% or rejects>10
    #[arg(long, value_name = "LIMIT")]
    pub fail_on: Option<FailOn>,
}

/// How many rejected rows fail a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FailOn {
    /// More than this share (a fraction) of the rows sent.
    Share(f64),
    /// More than so many rows.
    Rows(u64),
}

impl FailOn {
    /// Whether `rejected` rows of `sent` are too many.
    pub fn is_exceeded(self, rejected: u64, sent: u64) -> bool {
        match self {
            Self::Rows(most) => rejected > most,
            #[expect(clippy::cast_precision_loss, reason = "a share of rows needs no more than 53 bits")]
            Self::Share(most) => rejected > 0 && rejected as f64 > most * sent as f64,
        }
    }
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || String::from("write rejects>1% or rejects>10");
        let limit = text.strip_prefix("rejects>").ok_or_else(wrong)?.trim();
        let Some(percent) = limit.strip_suffix('%') else { return limit.parse().map(Self::Rows).map_err(|_| wrong()) };
        let percent: f64 = percent.parse().map_err(|_| wrong())?;
        if (0.0..=100.0).contains(&percent) { Ok(Self::Share(percent / 100.0)) } else { Err(wrong()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_share_or_a_count() {
        let limit = |text: &str| text.parse::<FailOn>();
        assert_eq!(limit("rejects>1%"), Ok(FailOn::Share(0.01)));
        assert_eq!(limit("rejects>10"), Ok(FailOn::Rows(10)));
        for wrong in ["rejects", "rejects>", "rejects>101%", "rejects>-1", "rows>1%", "rejects>NaN%"] {
            assert!(limit(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_limit_is_exceeded_by_more_than_it_says() {
        assert!(!FailOn::Share(0.01).is_exceeded(10, 1000));
        assert!(FailOn::Share(0.01).is_exceeded(11, 1000));
        assert!(!FailOn::Share(0.0).is_exceeded(0, 0));
        assert!(!FailOn::Rows(3).is_exceeded(3, 5));
        assert!(FailOn::Rows(3).is_exceeded(4, 5));
    }
}
