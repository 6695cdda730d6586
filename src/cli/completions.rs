//! `backhaul completions`.

use clap_complete::Shell;

use super::{Exit, Failure, Screen};

const EXAMPLES: &str = "\
Examples:
  backhaul completions bash > ~/.local/share/bash-completion/completions/backhaul
  backhaul completions zsh > \"${fpath[1]}/_backhaul\"
  backhaul completions fish > ~/.config/fish/completions/backhaul.fish";

/// Print completions for a shell
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The shell
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

pub(super) fn completions(screen: &Screen, mut command: clap::Command, args: &Args) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "backhaul", &mut script);
    screen.print_raw(&script)?;
    Ok(Exit::Ok)
}
