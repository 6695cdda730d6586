//! `backhaul approve` and `backhaul discard`: what they take.

const APPROVE: &str = "\
Example:
  backhaul approve 20261120T123456-7f3a --plan-hash 9f2c…

The hash stands in `backhaul runs show RUN`: it says that you approve the data that you looked at. An approval counts \
once, for that plan alone.";

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
