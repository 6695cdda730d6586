//! `backhaul state`: what it takes.

const EXAMPLES: &str = "\
Examples:
  backhaul state verify                 read every file of every sync
  backhaul state verify vip-crm
  backhaul state rebuild vip-crm        the snapshot is damaged and there is no backup";

const REBUILD: &str = "\
Example:
  backhaul state rebuild vip-crm

For a snapshot that is damaged or lost, where there is no backup. It is set aside under a dated name, nothing is \
deleted. The next run starts from an empty one: every row of the model is sent again, and rows that have left the \
model are not removed.";

/// What the state knows of the destinations: check it, or begin anew
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct StateArgs {
    /// What is to be done.
    #[command(subcommand)]
    pub action: StateAction,
}

/// What is to be done with the state.
#[derive(Debug, clap::Subcommand)]
pub enum StateAction {
    /// Read every byte of snapshots, plans and logs; exit 1 where one is damaged
    Verify {
        /// Names of syncs, or tag:NAME, dest:NAME, owner:NAME; default: all
        #[arg(value_name = "SYNC")]
        syncs: Vec<String>,
    },
    /// Set a sync's damaged snapshot aside, so that the next run starts from an empty one
    #[command(after_help = REBUILD)]
    Rebuild {
        /// The sync
        #[arg(value_name = "SYNC")]
        sync: String,
        /// Do it although the snapshot is sound, or a run that has begun to send is not settled
        #[arg(long)]
        yes: bool,
    },
}
