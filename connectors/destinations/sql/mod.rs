//! Tables of PostgreSQL and of MariaDB.
//!
//! ```toml
//! # backhaul.toml
//! [destinations.shop]
//! type = "postgres"                          # or "mariadb"
//! url  = { secret = "shop-url" }             # postgres://user:password@host:5432/database
//!
//! # a sync
//! [into]
//! object     = "crm.customers"               # schema.table
//! mode       = "upsert"                      # or update, append
//! match      = "email"                       # a column with a unique index of its own
//! removed    = "delete"                      # or ignore, clear
//! operations = "crm.backhaul_operations"     # only where a lost answer must be settled exactly
//! ```
//!
//! | file | what is there |
//! |---|---|
//! | `account` | `[destinations.X]` |
//! | `sync` | `[into]`, and the facts of each operation |
//! | `name` | names of tables, quoted |
//! | `table` | what the server says of a table, and what is wrong with it for a sync |
//! | `draft` | a batch as rows of cells, by the columns that they write |
//! | `database` | what a server can do: the seam between the next and the last two |
//! | `send` | the destination: one transaction a batch |
//! | `postgres`, `mariadb` | their sessions, statements, values and errors |
//!
//! # A batch
//!
//! A batch is one transaction. Statements hold quoted names and placeholders, values are always bound. What the server
//! refuses for what a row says (a constraint, a type, a length) is rolled back, and the batch is cut in two until that
//! row is alone and is rejected with the server's code and words. Conflicts of transactions (deadlock, serialisation) are
//! tried again. A connection that breaks before COMMIT was sent has applied nothing; one that breaks after it leaves the
//! batch in doubt: it is sent again where that is harmless (upsert, update, delete, clear).
//!
//! | mode | statement | a row that is not there |
//! |---|---|---|
//! | `upsert` | INSERT, or UPDATE where the match value is there | is made |
//! | `update` | UPDATE | is rejected (`NOT_FOUND`) |
//! | `append` | INSERT | |
//!
//! A changed match value is an UPDATE of the record that has the old one; where another record has the new one already,
//! the unique index refuses it. A field that is left out (`null = "skip"`) keeps its value, and gets the column's default
//! where the row is new. `removed = "clear"` empties the mapped columns but the match column.
//!
//! # The table of operations
//!
//! With `operations` each transaction also writes who it is: sync, run, number of the op, hash of the key, fingerprint.
//! What is there was committed. That makes a lost answer of `append` a question that has an answer: whoever asks waits
//! for a transaction that still holds the entry, so "not there" means "and never will be". The table is made where it is
//! missing (that needs the right), and each run deletes the entries of earlier runs of its sync.
//!
//! # Where the facts come from
//!
//! - PostgreSQL documentation: INSERT (ON CONFLICT), "System Catalogs", "Error Codes"; a cast to a type without its
//!   modifier does not cut (`varchar(3)` cuts a text in a cast and refuses it in an assignment): "Value Storage".
//! - MariaDB documentation: INSERT ON DUPLICATE KEY UPDATE, "SQL_MODE", "Information Schema", "Error Codes".
//! - COMMIT: a server that answers it with an error has not applied it; one that ends the connection leaves it open.
//!
//! Run against PostgreSQL 15 and MariaDB 10.11. Not run against MySQL, which speaks the same protocol. Accounts of MySQL
//! that use `caching_sha2_password` or `sha256_password` need TLS: the part of the driver that would encrypt the password
//! for them without it is left out, because of an open advisory (RUSTSEC-2023-0071 on the crate `rsa`).

mod account;
mod database;
mod draft;
#[cfg(feature = "mariadb")]
mod mariadb;
mod name;
mod postgres;
mod send;
mod sync;
mod table;
#[cfg(test)]
mod tests;

use backhaul_kit::{DestinationKind, KindSchema, Mode, Object, ObjectName, Removed, WritePolicy};

use account::{Dialect, SqlAccount};

/// A table, named like this.
const fn table(name: &'static str) -> Object {
    Object {
        name: ObjectName::Like(name),
        modes: &[Mode::Upsert, Mode::Update, Mode::Append],
        removed: &[Removed::Ignore, Removed::Delete, Removed::Clear],
        flat: true,
        writes: &[WritePolicy::IfEmpty, WritePolicy::OnCreate],
        instead: &[
            ("create", "use mode = \"append\": a unique index refuses rows that are there already"),
            ("audience", "use mode = \"upsert\" with removed = \"delete\": the table then holds the members"),
        ],
        ..Object::PLAIN
    }
}

const ERRORS: &[(&str, &str)] = &[
    (
        "the server's code (rejects)",
        "the server refuses the row (a constraint, a type, a length); its words are in `rejects show`",
    ),
    ("deadlock, serialisation, lock timeout", "the batch was rolled back and is tried again"),
    ("a missing right", "`doctor` prints the statements that give what the sync needs and no more"),
];

/// `type = "postgres"`.
pub static POSTGRES: DestinationKind = DestinationKind {
    name: "postgres",
    title: "PostgreSQL",
    summary: "rows of a table, one transaction a batch",
    objects: &[table("schema.table")],
    proof: "a real server, version 15",
    validated: "",
    errors: ERRORS,
    example: include_str!("postgres/example.toml"),
    read: |table| Some(Box::new(SqlAccount::read(table, Dialect::Postgres)?)),
    schema: || schema(Dialect::Postgres),
    sandbox: None,
};

/// `type = "mariadb"` (writing to it: feature `mariadb`).
pub static MARIADB: DestinationKind = DestinationKind {
    name: "mariadb",
    title: "MariaDB",
    summary: if cfg!(feature = "mariadb") {
        "rows of a table, one transaction a batch"
    } else {
        "rows of a table (not in this build: it lacks the feature `mariadb`)"
    },
    objects: &[table("database.table")],
    proof: "a real server, version 10.11",
    validated: "",
    errors: ERRORS,
    example: include_str!("mariadb/example.toml"),
    read: |table| Some(Box::new(SqlAccount::read(table, Dialect::MariaDb)?)),
    schema: || schema(Dialect::MariaDb),
    sandbox: None,
};

fn schema(dialect: Dialect) -> KindSchema {
    KindSchema { account: account::json_schema(dialect), into: sync::json_schema() }
}
