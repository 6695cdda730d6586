//! The program `backhaul`.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};

use fail::FailScenario;
use rustix::process::{Signal, getpid, kill_process};

fn main() -> ExitCode {
    // Failpoints are compiled into test builds alone.
    let _failpoints = fail::has_failpoints().then(failpoints);
    backhaul::cli::start(&backhaul::cli::Work)
}

/// The failpoints of `FAILPOINTS`, and the one of `FAILPOINT_KILL=NAME=N`: SIGKILL when it is come by for the Nth time.
fn failpoints() -> FailScenario<'static> {
    let scenario = FailScenario::setup();
    let wanted = std::env::var("FAILPOINT_KILL").unwrap_or_default();
    if let Some((name, nth)) = wanted.split_once('=').and_then(|(name, n)| Some((name, n.parse::<u64>().ok()?))) {
        let passed = AtomicU64::new(0);
        // A name can always be given a callback; without one the test sees that the program was not killed.
        let _ = fail::cfg_callback(name, move || {
            if passed.fetch_add(1, Ordering::Relaxed) + 1 == nth {
                let _ = kill_process(getpid(), Signal::KILL);
            }
        });
    }
    scenario
}
