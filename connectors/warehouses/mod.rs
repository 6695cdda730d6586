//! The warehouses, one module each.
//!
//! | module | what is there |
//! |---|---|
//! | [`files`] | a folder of Parquet, CSV or JSON lines (reading them: feature `files`) |
//! | [`postgres`] | PostgreSQL: `COPY (…) TO STDOUT (FORMAT binary)` over one connection |
//! | [`sqlite`] | SQLite files, opened read-only |
//! | `arrow` | Arrow record batches as pages of rows (feature `files`) |
//! | `wrap` | a model's query inside a SELECT of ours, and the checks that both share |
//! | `since` | the condition by which a scan asks for some rows only |
//! | `value_page` | pages of values that have a type each |
//! | `columns`, `deadline`, `sound` | a scan's projected columns, its wall clock, what a destination can take of a value |
//! | `keys` | what the JSON Schemas of their configuration share |

#[cfg(feature = "files")]
mod arrow;
mod columns;
mod deadline;
pub mod files;
mod keys;
pub mod postgres;
mod since;
mod sound;
pub mod sqlite;
#[cfg(test)]
mod testing;
mod value_page;
mod wrap;
