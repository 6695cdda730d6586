//! The program `backhaul`.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Failpoints are compiled into test builds alone.
    let _failpoints = fail::has_failpoints().then(fail::FailScenario::setup);
    backhaul::cli::start(&backhaul::cli::Work)
}
