//! Snapshots that are tables in the warehouse, and the comparison there. Why it is as it is: `DESIGN.md`.
//!
//! | file | what is there |
//! |---|---|
//! | `columns` | a column as part of a key, and as part of a fingerprint |
//! | `query` | the one statement that compares |
//! | `compare` | its rows |
//! | `schema` | the schema of snapshots, rights, the table `snapshots` |
//! | `tables` | making, changing, reading and removing a table |
//! | `entries` | entries as COPY takes them |

mod columns;
mod compare;
mod entries;
mod query;
mod schema;
mod tables;

pub(super) use columns::{KeyColumn, fingerprints};
pub(super) use compare::Splitter;
pub(super) use entries::other_key;
pub(super) use query::{Comparison, holders};
pub(super) use schema::StateSchema;
pub(super) use tables::PgTables;
