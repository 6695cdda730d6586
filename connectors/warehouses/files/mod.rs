//! A folder of Parquet, CSV or JSON lines.
//!
//! ```toml
//! [warehouses.lake]
//! type  = "files"
//! root  = "lake"                         # relative to the project
//! done  = "_SUCCESS"                     # optional: the marker that a writer puts last
//! quiet = "10s"                          # without a marker: how long files must have been as they are; false: not at all
//! ```
//!
//! A model on it has `files = "customers/*.parquet"` in place of SQL: a path below `root` with `*` and `?` inside of
//! names and `**` for any number of folders (`pattern`). Wildcards pass by names that begin with `.` or `_`, and `**` does
//! not follow links. Links may lead anywhere inside of `root` and nowhere else (`listing`). No file at all is an error,
//! never an empty model. Names of folders (`country=DE`) are no columns.
//!
//! Reading files is blocking work: it runs on a thread of its own, a few pages ahead (`scan`), and needs the feature
//! `files`; without it the keys are known and `type = "files"` is an error that says so (`config`).
//!
//! # What a row is
//!
//! | ending | rows | types |
//! |---|---|---|
//! | `.parquet` | those of its row groups, in order | the schema's; structs and maps become JSON, lists arrays |
//! | `.csv` | RFC 4180 after a header, strictly | text; nothing at all between two commas is NULL, `""` is empty text |
//! | `.jsonl`, `.ndjson` | one object a line, every one with the same members | each value its own, as in SQLite |
//!
//! All files of a model have the same columns, in any order; in Parquet their types may differ in width. Files are read
//! in the order of their paths, so the order of rows repeats.
//!
//! # Complete or not
//!
//! The files are listed when the scan opens, with device, inode, length, time of modification and time of change; each is
//! compared when it is opened, and all are listed again at the end. The proof of a complete scan is that the two lists are
//! equal, and that every file was read whole: of Parquet as many rows as the footer counts, of text up to the end of its
//! last line, which must be ended.
//!
//! What no look at a file can tell: a text file that was cut exactly at the end of a line, and a set of files of which some
//! are still to come. So a run begins only when no file was written for `quiet`, or, better, when the marker `done` is
//! there and no file is newer than it. It lies in the folder before the first wildcard: `customers/_SUCCESS` of
//! `customers/**/*.parquet`.
//!
//! # Where the facts come from
//!
//! - Parquet's types, its footer and `isAdjustedToUTC`: the format's "Logical Types" and "File Format"; what the columns of
//!   other writers look like: files of pyarrow, DuckDB and Polars among the tests.
//! - INT96 timestamps come from old writers and are read as microseconds of no zone; INTERVAL comes without its months
//!   (crate `parquet`, `schema/primitive.rs`) and is refused.
//! - Some malformed files make the crate's decoder panic (tried: 18 of 6,000 files with one to three other bytes);
//!   that ends the scan as any malformed file does.
//! - A file's time of change is set by the system at every change and by nobody else: inode(7).
//! - Unfinished and auxiliary files begin with `_` or `.`, and `_SUCCESS` is put last: Hadoop's `FileOutputCommitter`.

mod config;
#[cfg(feature = "files")]
mod csv;
#[cfg(feature = "files")]
mod jsonl;
#[cfg(feature = "files")]
mod listing;
#[cfg(feature = "files")]
mod parquet;
#[cfg(feature = "files")]
mod pattern;
#[cfg(feature = "files")]
mod scan;
#[cfg(feature = "files")]
mod since;
#[cfg(feature = "files")]
mod source;

#[cfg(all(test, feature = "files"))]
mod tests;

pub use config::FilesKind;
