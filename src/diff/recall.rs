//! What is remembered of the records that rows are judged against.

use backhaul_kit::Address;

use crate::snapshot::{Details, SnapshotError};

/// Knows the records of a snapshot by their numbers.
pub(super) trait Recall {
    /// Canonical key bytes.
    fn key(&mut self, ordinal: u64) -> Result<Vec<u8>, SnapshotError>;

    /// What finds the record at the destination.
    fn address(&mut self, ordinal: u64) -> Result<Address, SnapshotError>;

    /// Replaces `out` with the hashes of the mapped fields, in the snapshot's field order.
    fn fields(&mut self, ordinal: u64, out: &mut Vec<u32>) -> Result<(), SnapshotError>;
}

impl Recall for Details<'_> {
    fn key(&mut self, ordinal: u64) -> Result<Vec<u8>, SnapshotError> {
        Details::key(self, ordinal)
    }

    fn address(&mut self, ordinal: u64) -> Result<Address, SnapshotError> {
        Details::address(self, ordinal)
    }

    fn fields(&mut self, ordinal: u64, out: &mut Vec<u32>) -> Result<(), SnapshotError> {
        Details::fields(self, ordinal, out)
    }
}
