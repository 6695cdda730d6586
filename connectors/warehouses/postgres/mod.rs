//! PostgreSQL.
//!
//! ```toml
//! [warehouses.analytics]
//! type = "postgres"
//! url  = { secret = "warehouse-url" }    # postgres://user:password@host:5432/database
//! ```
//!
//! # A scan
//!
//! One connection of its own, never from a pool, in `BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY`, with
//! pinned settings (`session`). The model is prepared alone and then wrapped, both by the extended protocol,
//! which takes one statement only; then exactly the wrapped text runs as `COPY (…) TO STDOUT (FORMAT binary)`.
//! COPY is a simple query and would take several statements, so no text goes into it that was not prepared
//! first. Rows stay in COPY's own encoding (`copy`, `page`), but for the object ids inside of arrays; values are decoded
//! only when asked for (`layout`, `decode`).
//!
//! The proof of a complete scan: the trailer was the last thing in the stream, *and* the stream then ended
//! without an error. When no byte comes for a while, a second connection looks whether the backend still works
//! (`watch`). A table that somebody rewrote or replaced between the snapshot and our lock on it looks empty in the
//! snapshot: such a scan is refused when it is opened.
//!
//! # Lanes
//!
//! With `parallel = true` a large plain table is read in ranges of its blocks (`ranges`), each on a connection of its own
//! (`lane`) in the snapshot that the first has exported. The ranges have no gap and the last has no end. The first
//! connection holds its lock on the table until every other has one, and each keeps its own to its end, so nobody can
//! rewrite the table between two lanes. The scan ends when all lanes have ended, each with its own proof; when one
//! fails, the others are dropped, which ends their backends.
//!
//! Snapshots that are tables there, and the comparison with them: `pushdown`.
//!
//! # Where the facts come from
//!
//! - The binary format of COPY: PostgreSQL documentation, "COPY", section "Binary Format".
//! - What each type looks like on the wire: the type's send function (`src/backend/utils/adt`); checked by
//!   tests against what the server itself prints.
//! - `READ ONLY` refuses every command that would write and cannot be lifted after the first query: "SET
//!   TRANSACTION". What is still allowed there (`set_config`, `pg_cancel_backend` on backends of one's own
//!   role) is a matter of grants.
//! - Error codes: appendix "PostgreSQL Error Codes".
//! - Ranges of places (`ctid`) are read without looking at the rest of the table since 14; `EXPLAIN` says whether they
//!   are. Exported snapshots: "Snapshot Synchronization Functions". What is not safe for older snapshots (`ALTER TABLE`,
//!   `TRUNCATE`): "Caveats" of the chapter on concurrency control.
//! - `client_connection_check_interval` (14 and later) ends the query of a client that is gone: "Client
//!   Connection Defaults".

pub(crate) mod config;
mod copy;
mod decode;
pub(crate) mod fault;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod lane;
mod layout;
mod network;
mod numeric;
mod page;
mod pushdown;
mod ranges;
mod scan;
pub(crate) mod session;
mod source;
mod types;
mod watch;

#[cfg(test)]
mod tests;

pub use config::PostgresKind;
