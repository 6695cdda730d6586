//! Finding the record of a row where the order of the rows before it says.

use backhaul_kit::KeyHash;

use crate::snapshot::{Records, Snapshot, SnapshotError};

/// How many records beyond the expected one are looked at before the anchors are asked.
const LOOK_AHEAD: u64 = 16;
/// When so many rows were found nowhere, only the anchors are asked: the expected place says nothing.
const LOST: u32 = 32;
/// When so many were found nowhere, the anchors are asked for one in [`SAMPLE`] rows: the order does not repeat.
const LOST_FOR_GOOD: u32 = 4096;
const SAMPLE: u32 = 16;
/// Where a part of the scan is.
pub(super) struct Lane<'a> {
    records: Records<'a>,
    /// Where the next row is expected.
    cursor: u64,
    /// How many rows were not where they were expected since the last one that was.
    lost: u32,
}

impl<'a> Lane<'a> {
    pub(super) fn new(snapshot: &'a Snapshot) -> Self {
        Self { records: Records::new(snapshot), cursor: 0, lost: 0 }
    }

    /// The record of a key and what is stored there, if it is where the order or an anchor says; and whether it
    /// was where it was expected.
    #[inline]
    pub(super) fn locate(&mut self, key: KeyHash) -> Result<(Option<(u64, u64)>, bool), SnapshotError> {
        while let Some(record) = self.records.get(self.cursor)? {
            if record.key_hash == key {
                self.cursor += 1;
                self.lost = 0;
                return Ok((Some((self.cursor - 1, record.fingerprint)), true));
            }
            if record.key_hash != KeyHash::NULL {
                break;
            }
            // Removed records are stepped over for good.
            self.cursor += 1;
        }
        Ok((self.search(key)?, false))
    }

    #[cold]
    fn search(&mut self, key: KeyHash) -> Result<Option<(u64, u64)>, SnapshotError> {
        self.lost = self.lost.saturating_add(1);
        if self.lost > LOST_FOR_GOOD && !self.lost.is_multiple_of(SAMPLE) {
            return Ok(None);
        }
        let ahead = if self.lost < LOST { LOOK_AHEAD } else { 0 };
        let near = self.cursor + 1..=self.cursor + ahead;
        for ordinal in near.chain(self.records.anchor(key)) {
            match self.records.get(ordinal)? {
                Some(record) if record.key_hash == key => {
                    self.cursor = ordinal + 1;
                    return Ok(Some((ordinal, record.fingerprint)));
                }
                _ => {}
            }
        }
        Ok(None)
    }
}
