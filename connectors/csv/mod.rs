//! CSV by RFC 4180, for warehouses and destinations.

mod read;
mod write;

pub(crate) use read::table;
#[cfg(feature = "files")]
pub(crate) use read::{CsvError, CsvReader, Fields, MAX_ROW};
pub(crate) use write::CsvLine;
