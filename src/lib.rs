//! backhaul: a reverse-ETL and data-sharing sync daemon.
//!
//! # The life of a row
//!
//! `scan` asks the warehouse for pages → each page gives a key hash and a fingerprint for every row →
//! `diff` compares them with the snapshot: unchanged rows end here → a changed row is decoded, mapped to
//! the destination's fields and written to the plan → at the end of a scan that is proved complete, the keys
//! not seen become removals → `guard` looks at the finished plan: pass, or hold it → `deliver` cuts batches
//! within the vendor's caps, waits for the limiter, sends, and gives every row a verdict, appended to the
//! acknowledgement log → `settle` merges the log into the next snapshot → `report` says what became of it.
//!
//! | module | its one job |
//! |---|---|
//! | [`config`] | `backhaul.toml`, `models/`, `syncs/` → a checked [`config::Project`], or every problem with its place |
//! | [`transform`] | what a value is made into: `as`, templates |
//! | [`mapping`] | a warehouse record → the destination's fields |
//! | [`mask`] | people's data in output |
//! | [`diff`] | pages against a snapshot → a plan file; pure and synchronous |
//! | [`snapshot`] | what each destination has accepted, on disk: base, overlay, log, settling |
//! | [`check`] | is the model's data what it must be, over the pages of a scan |
//! | [`guard`] | what may stop a plan before its first request |
//! | [`deliver`] | a plan → verdicts: a pure state machine and its thin driver |
//! | [`state`] | runs, rejects and leases in SQLite |
//! | [`run`] | the life of a run, stage after stage, and nothing else |
//! | [`daemon`] | `serve`: schedules, resuming, shutdown |
//! | [`cli`] | one file a command |
//!
//! Warehouses and destinations live in the package `backhaul-connectors`, on `backhaul-kit`.

pub mod check;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod deliver;
pub mod diff;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod guard;
pub mod mapping;
pub mod mask;
pub mod run;
pub mod snapshot;
pub mod state;
pub mod transform;
