//! Reading TOML by hand, one typed key at a time, with every problem found and its place kept.
//!
//! [`parse`] turns a file into a [`ConfigTable`]. Whoever knows a key asks for it; what nobody asked for
//! is an unknown key, reported by [`ConfigTable::finish`] with the nearest known one. Problems never echo
//! the value of a secret.

mod problem;
pub mod schema;
mod secret;
mod table;
mod unit;

pub use problem::{Problem, Problems, Severity, SourceFile, Span};
pub use secret::{Secret, SecretRef, Secrets};
pub use table::{ConfigTable, Item, ItemKind, nearest, parse};
pub use unit::parse_duration;
