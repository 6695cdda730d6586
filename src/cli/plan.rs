//! `backhaul plan`: what it takes.

const EXAMPLES: &str = "\
Examples:
  backhaul plan vip-crm                      counts and a few masked samples
  backhaul plan vip-crm --request 4711       the exact request for one row, secrets left out
  backhaul plan tag:crm --detailed-exitcode  exit 2 where something would be sent
  backhaul plan tag:crm --output markdown    for a comment on a pull request";

/// Show what a run would send, and send nothing
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct PlanArgs {
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
