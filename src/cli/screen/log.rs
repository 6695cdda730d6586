//! Logs on stderr. For people at a terminal a short form; a service whose stderr is collected writes JSON lines.

use std::io::{self, IsTerminal as _, Write};

use indicatif::MultiProgress;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Overrides the level: `BACKHAUL_LOG=backhaul=debug`.
const VARIABLE: &str = "BACKHAUL_LOG";

/// Starts logging; a second start in one process (tests) changes nothing.
pub(super) fn start(bars: MultiProgress, verbose: u8, quiet: bool, service: bool, color: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (_, 0) if service => "backhaul=info,backhaul_kit=info,backhaul_connectors=info,warn",
        (_, 0) => "warn",
        (_, 1) => "backhaul=info,backhaul_kit=info,backhaul_connectors=info,warn",
        (_, 2) => "backhaul=debug,backhaul_kit=debug,backhaul_connectors=debug,info",
        _ => "trace",
    };
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(AroundBars(bars));
    let started = if service && !io::stderr().is_terminal() {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.compact().with_target(verbose > 1).with_ansi(color).try_init()
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
}

/// stderr, with the progress bars out of the way while a line is written.
struct AroundBars(MultiProgress);

impl<'a> MakeWriter<'a> for AroundBars {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line(self.0.clone())
    }
}

struct Line(MultiProgress);

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
