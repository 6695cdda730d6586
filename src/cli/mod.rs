//! The command line: one file a command, and what they share.
//!
//! | module | what is there |
//! |---|---|
//! | [`engine`] | what the commands ask of the rest of the program |
//! | [`exit`] | exit codes, and what a command fails with |
//! | [`screen`] | output: data on stdout, the rest on stderr; tables, numbers, times, progress |
//! | [`project`] | finding and loading the project, opening its state |
//! | [`select`] | `SYNC…`, `tag:x`, `dest:x`, `owner:x` |
//! | the others | one command each |

mod approve;
mod completions;
mod connectors;
mod demo;
mod doctor;
pub mod engine;
pub mod exit;
mod handlers;
mod init;
mod ls;
mod plan;
pub mod project;
mod rejects;
mod run;
mod runs;
mod sandbox;
mod schema;
pub mod screen;
pub mod select;
mod state;
mod status;
#[cfg(test)]
mod tests;
mod validate;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory as _, Parser, Subcommand};

pub use approve::{AllowArg, ApproveArgs, DiscardArgs, ReplanArgs};
pub use demo::DemoArgs;
pub use engine::{Check, Engine, SchemaFile};
pub use exit::{Exit, Failure};
pub use handlers::Work;
pub use plan::{PlanAction, PlanArgs, ShowPlanArgs};
pub use run::{FailOn, RunArgs};
pub use screen::{Format, Screen};
pub use state::{StateAction, StateArgs};

/// How long work in the background may take after a command has ended.
const LAST_MOMENT: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  backhaul demo                     see it work, on this machine alone
  backhaul init crm && cd crm       start a project
  backhaul plan vip-crm             what a run would send
  backhaul run vip-crm              send it
  backhaul status                   how every sync stands

Exit codes: 0 ok, 1 failed, 2 changes pending (plan --detailed-exitcode), 3 rows rejected, \
4 credentials, 5 held, 6 locked elsewhere, 64 usage, 75 destination down or rows deferred, \
78 configuration, 130 interrupted.";

const SERVE: &str = "\
Example:
  backhaul serve

Runs that were interrupted go on first. SIGTERM and Ctrl-C let the runs at work come to rest; a second \
one stops at once. Logs go to stderr, as JSON lines where it is no terminal; BACKHAUL_LOG sets the level.";

/// Sends what the warehouse knows to the tools in which people work: only the rows that changed
#[derive(Debug, Parser)]
#[command(name = "backhaul", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Options of every command.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// The project's folder or its backhaul.toml; default: the nearest one upwards from here
    #[arg(long, global = true, value_name = "PATH", env = "BACKHAUL_CONFIG", hide_env = true)]
    config: Option<PathBuf>,
    /// The form of what goes to stdout; json is versioned and for programs
    #[arg(long, global = true, value_name = "FORMAT", value_enum, default_value_t = Format::Human, hide_possible_values = true)]
    output: Format,
    /// Say more on stderr (twice: much more)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// No colours (as does the variable NO_COLOR)
    #[arg(long, global = true)]
    no_color: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// See it work in a minute, on this machine alone
    Demo(DemoArgs),
    /// Make a project that runs
    Init(init::Args),
    /// Check the project: files, warehouses, destinations
    Validate(validate::Args),
    /// Hold credentials against what the syncs need
    Doctor(doctor::Args),
    /// List the syncs
    Ls(ls::Args),
    /// Show what a run would send, and send nothing
    Plan(PlanArgs),
    /// Send what changed
    Run(RunArgs),
    /// Run every sync on its schedule until stopped
    #[command(after_help = SERVE)]
    Serve,
    /// How every sync stands
    Status(status::Args),
    /// List runs, or show one
    Runs(runs::Args),
    /// Let a held run send its plan
    Approve(ApproveArgs),
    /// Give a held run up
    Discard(DiscardArgs),
    /// Give a held run up, scan and judge anew
    Replan(ReplanArgs),
    /// Rows that were refused: list, retry, settle, export, drop
    Rejects(rejects::Args),
    /// What the state knows of the destinations: check it, or begin anew
    State(StateArgs),
    /// List warehouses and destinations, or show one
    Connectors(connectors::Args),
    /// Start a stand-in of a vendor's API on this machine
    Sandbox(sandbox::Args),
    /// Print the JSON Schema of the project's files
    Schema(schema::Args),
    /// Print completions for a shell
    Completions(completions::Args),
}

/// Runs the program: what `main` does.
pub fn start(engine: &dyn Engine) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let failure = Failure::new(Exit::Failed, format!("cannot start: {error}"));
            Screen::new(Format::Human, 0, false, false).failure(&failure);
            return Exit::Failed.into();
        }
    };
    let exit = runtime.block_on(main(std::env::args_os(), engine));
    runtime.shutdown_timeout(LAST_MOMENT);
    exit.into()
}

/// Runs the program with the arguments of the process (the first is its name).
pub async fn main(args: impl IntoIterator<Item = OsString>, engine: &dyn Engine) -> Exit {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Ok };
            // Whoever closed the pipe does not want to read it.
            error.print().unwrap_or_default();
            return exit;
        }
    };
    let screen = Screen::new(cli.global.output, cli.global.verbose, cli.global.quiet, cli.global.no_color);
    screen.log(matches!(cli.command, Command::Serve));
    let config = cli.global.config.as_deref();
    let ended = dispatch(cli.command, config, &screen, engine).await;
    ended.unwrap_or_else(|failure| {
        screen.failure(&failure);
        failure.exit
    })
}

async fn dispatch(
    command: Command,
    config: Option<&std::path::Path>,
    screen: &Screen,
    engine: &dyn Engine,
) -> Result<Exit, Failure> {
    let load = || project::load(screen, engine, config);
    match command {
        Command::Demo(args) => engine.demo(screen, args).await,
        Command::Init(args) => init::init(screen, engine, &args).await,
        Command::Validate(args) => validate::validate(screen, engine, config, &args).await,
        Command::Doctor(args) => doctor::doctor(screen, engine, &load()?, &args).await,
        Command::Ls(args) => ls::ls(screen, &load()?, &args),
        Command::Plan(PlanArgs { action: Some(PlanAction::Show(args)), .. }) => {
            engine.show_plan(screen, load()?, args).await
        }
        Command::Plan(args) => {
            let project = load()?;
            let syncs = select::select(&project, &args.syncs)?;
            engine.plan(screen, project, syncs, args).await
        }
        Command::Run(args) => {
            let project = load()?;
            let syncs = select::select(&project, &args.syncs)?;
            engine.run(screen, project, syncs, args).await
        }
        Command::Serve => engine.serve(screen, load()?).await,
        Command::Status(args) => status::status(screen, engine, &load()?, &args).await,
        Command::Runs(args) => runs::runs(screen, engine, &load()?, &args).await,
        Command::Approve(args) => engine.approve(screen, load()?, args).await,
        Command::Discard(args) => engine.discard(screen, load()?, args).await,
        Command::Replan(args) => engine.replan(screen, load()?, args).await,
        Command::Rejects(args) => rejects::rejects(screen, engine, &load()?, args).await,
        Command::State(args) => engine.state(screen, load()?, args).await,
        Command::Connectors(args) => connectors::connectors(screen, &args),
        Command::Sandbox(args) => sandbox::sandbox(screen, &args).await,
        Command::Schema(args) => schema::schema(screen, engine, config, &args),
        Command::Completions(args) => completions::completions(screen, Cli::command(), &args),
    }
}
