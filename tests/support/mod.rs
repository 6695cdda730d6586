//! What the whole-program tests stand on.
//!
//! | module | its one job |
//! |---|---|
//! | `customers` | a model that changes, and the history of what it was |
//! | `warehouse` | where the model lives: a SQLite file or a database of a real PostgreSQL |
//! | `project` | a project on disk: `backhaul.toml`, `models/`, `syncs/` |
//! | `program` | the program itself, run as an operator runs it |
//! | `sink_process` | the sink (`sink.rs`), a process of its own, and its control |
//! | `journal` | what the sink writes down |
//! | `judge` | the journal against the history |
//! | `proxy` | the network in front of a server, which fails as told |
//! | `sandbox` | a vendor's stand-in in a process of its own |
//! | `schema` | a TOML file against the JSON Schema that it names |
//! | `dice` | random choices that a seed repeats |
//! | `disk` | a small disk that fills up |
//! | `footprint` | what a folder took in while something ran |

pub(crate) mod customers;
pub(crate) mod dice;
pub(crate) mod disk;
pub(crate) mod footprint;
pub(crate) mod journal;
pub(crate) mod judge;
pub(crate) mod program;
pub(crate) mod project;
pub(crate) mod proxy;
pub(crate) mod sandbox;
pub(crate) mod schema;
pub(crate) mod sink_process;
pub(crate) mod warehouse;

/// Says on the terminal, past the test harness's capture, that the running test was left out and why.
pub(crate) fn skipped(reason: &str) {
    use std::io::Write as _;
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    writeln!(std::io::stderr(), "skipped: {test}: {reason}").expect("a writable stderr");
}
