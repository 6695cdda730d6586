//! Rows as Arrow record batches, whatever they were read from.
//!
//! | module | its one job |
//! |---|---|
//! | `form` | a field of a schema → what its values mean, or why they cannot be read |
//! | `cells` | an array → its values one after the other; the only place that knows Arrow's physical types |
//! | `hash` | a column → one hash a row |
//! | `value` | a cell → a [`backhaul_kit::Value`], or a part of a key |
//! | `page` | a batch as a [`backhaul_kit::RowPage`] |
//!
//! # Fingerprints
//!
//! Every column is hashed downwards in one typed loop, and its hashes are folded into those of the rows; no row is put
//! together, and nothing is decoded. What is hashed is a value's meaning, so that equal fingerprints mean equal records:
//! a text of an `Utf8`, `LargeUtf8`, `Utf8View` or dictionary array is the same text, an `Int32` the same number as an
//! `Int64`, an instant the same in every unit. Where a batch begins, how it is sliced and what an unused slot holds makes
//! no difference. A golden test pins the result: snapshots hold it.

mod cells;
mod form;
mod hash;
mod page;
mod value;

#[cfg(test)]
mod tests;

pub(super) use form::Form;
pub(super) use page::{ArrowPage, Layout};
