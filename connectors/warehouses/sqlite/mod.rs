//! SQLite files.
//!
//! ```toml
//! [warehouses.local]
//! type = "sqlite"
//! path = "warehouse.db"                  # relative to the project
//! ```
//!
//! # A scan
//!
//! One connection of its own to the file, opened with `mode=ro` and `PRAGMA query_only = 1`; a `BEGIN` and a first
//! read pin the snapshot. The model must be one statement without brackets that close ours (`guard`), because the
//! driver would run what stands after a semicolon; between our brackets only a SELECT can stand, so `ATTACH` and
//! `PRAGMA` are syntax errors. Values have a type each, whatever the column declares; a row travels in the compact
//! encoding of [`backhaul_kit::Value`].
//!
//! The proof of a complete scan is `SQLITE_DONE`, as the driver reports it at the end of a statement; the end of
//! its row channel alone proves nothing.
//!
//! # Where the facts come from
//!
//! - Typing by value, NaN as NULL: sqlite.org "Datatypes In SQLite", "Floating Point Numbers".
//! - Snapshots: "Isolation In SQLite"; a reader of a file in WAL mode needs the `-shm` file or a writable folder:
//!   "Write-Ahead Logging".
//! - Result codes: "Result and Error Codes".
//! - The driver cuts a text into statements at semicolons (sqlx 0.9, `VirtualStatement`), has no text in UTF-16, and
//!   ends a query when its progress handler says so.

mod config;
mod fault;
mod guard;
mod scan;
mod source;

#[cfg(test)]
mod tests;

pub use config::SqliteKind;
