//! Files: JSON Lines or CSV in a folder, complete or not there.
//!
//! ```toml
//! # backhaul.toml
//! [destinations.exports]
//! type = "file"
//! path = "exports"                  # a folder; relative to the project
//!
//! # a sync
//! [into]
//! object  = "customers"             # the file's name; default the sync's
//! mode    = "upsert"
//! removed = "delete"
//! format  = "csv"                   # or "jsonl"
//! set     = "full"                  # or "changes"
//! ```
//!
//! | `set` | what a run leaves |
//! |---|---|
//! | `full` | `customers.csv`, replaced by the whole set as soon as one row changed |
//! | `changes` | one more file, `customers.TIME.RUN.csv`, with the rows of this run and what became of them in `op` |
//!
//! `op` is `add`, `change`, `move`, `refresh` or `remove`. In a file of changes the key columns of the model
//! come first, under their own names, so that a removal says which row it removes; its other columns are
//! empty. A field of the same name takes the place of its key column.
//!
//! Rows are gathered in a hidden file of the same folder, which is renamed when it is complete and on disk:
//! a reader never sees half a file. Then `customers.manifest.json` (or `customers.TIME.RUN.manifest.json`)
//! says what the file holds: `version`, `file`, `sync`, `run`, `rows`, `bytes`, `sha256` and `columns`. A reader that
//! must not mix the two compares the digest.
//!
//! CSV is RFC 4180: a header line, CRLF, quotes where they are needed. NULL and a field that is left out
//! are empty; an empty text is `""`. Values are written as they are, also those that begin with `=`, `+`,
//! `-` or `@`, which a spreadsheet takes for a formula: open files with data of strangers by an import
//! that treats every column as text.

mod account;
mod format;
mod manifest;
mod session;
#[cfg(test)]
mod tests;

use backhaul_kit::{DestinationKind, KindSchema, Mode, Object, ObjectName, Removed};

/// `type = "file"`.
pub static FILE: DestinationKind = DestinationKind {
    name: "file",
    title: "Files",
    summary: "JSON Lines or CSV in a folder: the full set, or the changes of each run",
    objects: &[Object {
        name: ObjectName::Perhaps("names of files"),
        modes: &[Mode::Upsert, Mode::Append],
        removed: &[Removed::Ignore, Removed::Delete],
        instead: &[
            ("archive", "use \"delete\" (a row leaves the full set, or is a `remove` among the changes) or \"ignore\""),
            ("clear", "use \"delete\" (a row leaves the full set, or is a `remove` among the changes) or \"ignore\""),
        ],
        ..Object::PLAIN
    }],
    proof: "real files",
    validated: "",
    errors: &[],
    example: include_str!("example.toml"),
    read: |table| Some(Box::new(account::FileAccount::read(table)?)),
    schema: || KindSchema { account: account::json_schema(), into: account::into_schema() },
    sandbox: None,
};
