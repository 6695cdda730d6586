//! What each destination has accepted, on disk. Formats, states and the commit order are in `DESIGN.md`.

mod base;
mod blocks;
mod effects;
mod error;
pub(crate) mod file;
mod fingerprint;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod growth;
pub mod log;
mod manifest;
mod merge;
pub(crate) mod order;
mod overlay;
mod records;
mod refresh;
mod seal;
pub(crate) mod sealed;
mod segment;
mod settle;
mod sort;
mod store;
mod table;
pub mod values;
mod verify;

pub use error::{FileError, SnapshotError};
pub use fingerprint::storable;
pub(crate) use fingerprint::{FieldHasher, IN_DOUBT, NEVER_ACCEPTED, UNKNOWN_FIELD};
pub use growth::{Growing, Growth};
pub(crate) use manifest::hex_digest;
pub(crate) use manifest::random_name;
pub use manifest::{Binding, LastRun};
pub(crate) use records::{Details, Records};
pub use refresh::{Refreshing, Slices};
pub use seal::StateKey;
pub use settle::{Settle, SettleInfo, Settled, Settlement, settle};
#[cfg(test)]
pub(crate) use store::Limits;
pub(crate) use store::Rewrite;
pub use store::{Snapshot, Store};
pub use table::TablePlace;
pub(crate) use table::TableSettle;
pub use verify::{Verified, binding, verify};
