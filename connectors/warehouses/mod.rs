//! The warehouses, one module each.
//!
//! | module | what is there |
//! |---|---|
//! | [`postgres`] | PostgreSQL: `COPY (…) TO STDOUT (FORMAT binary)` over one connection |
//! | [`sqlite`] | SQLite files, opened read-only |
//! | `wrap` | a model's query inside a SELECT of ours, and the checks that both share |
//! | `keys` | what the JSON Schemas of their configuration share |

mod keys;
pub mod postgres;
pub mod sqlite;
#[cfg(test)]
mod testing;
mod wrap;
