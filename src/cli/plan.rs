//! `backhaul plan`: what it takes.

const EXAMPLES: &str = "\
Examples:
  backhaul plan vip-crm                      counts and a few masked samples
  backhaul plan vip-crm --request 4711       the exact request for one row, secrets left out
  backhaul plan tag:crm --detailed-exitcode  exit 2 where something would be sent
  backhaul plan tag:crm --output markdown    for a comment on a pull request
  backhaul plan show 20261120T123456-7f3a    the stored plan of a held run";

const SHOW: &str = "\
Example:
  backhaul plan show 20261120T123456-7f3a --sample 20

Nothing is scanned: this is what `approve` would send.";

/// Show what a run would send, and send nothing
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct PlanArgs {
    /// What else is to be done.
    #[command(subcommand)]
    pub action: Option<PlanAction>,
    /// Names of syncs, or tag:NAME, dest:NAME, owner:NAME
    #[arg(required = true, value_name = "SYNC")]
    pub syncs: Vec<String>,
    /// Show so many rows of each kind, masked
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub sample: usize,
    /// Show the request that the row of this key would be sent by, its values in full and its secrets left out
    #[arg(long, value_name = "KEY")]
    pub request: Option<String>,
    /// Exit 2 where the plan has changes
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// What is done with plans besides making them.
#[derive(Debug, clap::Subcommand)]
pub enum PlanAction {
    /// Show the stored plan of a held run
    #[command(after_help = SHOW)]
    Show(ShowPlanArgs),
}

/// What `plan show` takes.
#[derive(Debug, clap::Args)]
pub struct ShowPlanArgs {
    /// The run
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Show so many rows of each kind, masked
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub sample: usize,
}
