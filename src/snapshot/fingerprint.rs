//! Fingerprints as they are stored, and the reserved values that stand for states.

use backhaul_kit::FieldValue;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// In the base, but nothing was ever accepted: must never be removed.
pub(crate) const NEVER_ACCEPTED: u64 = 0;
/// Sent, fate unknown: sent again if in the model, removed if not.
pub(crate) const IN_DOUBT: u64 = 1;
/// Accepted under a mapping that no longer holds, and not yet under the present one: equals no row.
pub(crate) const STALE: u64 = 2;
/// No record any more. Only in segments and in memory, never in a base.
pub(crate) const DELETED: u64 = 3;

const RESERVED: std::ops::RangeInclusive<u64> = NEVER_ACCEPTED..=DELETED;

/// The fingerprint under which a row is stored and compared: the row's own, unless that is a reserved value.
pub fn storable(fingerprint: u64) -> u64 {
    if RESERVED.contains(&fingerprint) { fingerprint | 1 << 63 } else { fingerprint }
}

/// Whether the destination holds the record as accepted.
pub(crate) fn is_accepted(stored: u64) -> bool {
    stored == STALE || !RESERVED.contains(&stored)
}

/// The hash of a mapped field that equals no field.
pub(crate) const UNKNOWN_FIELD: u32 = 0;

/// Hashes mapped values for the `fields` sidecar.
#[derive(Clone, Debug)]
pub(crate) struct FieldHasher {
    seed: u64,
    encoded: Vec<u8>,
}

impl FieldHasher {
    /// Under the snapshot's seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed, encoded: Vec::new() }
    }

    /// The hash of one mapped value, never [`UNKNOWN_FIELD`].
    pub(crate) fn hash(&mut self, field: &FieldValue) -> u32 {
        self.encoded.clear();
        field.encode(&mut self.encoded);
        self.of_encoded(&self.encoded)
    }

    /// The hashes of all mapped values of a row.
    #[cfg(test)]
    pub(crate) fn hashes(&self, fields: &backhaul_kit::Fields) -> Vec<u32> {
        fields.encodings().map(|encoded| self.of_encoded(encoded)).collect()
    }

    /// The hash of one mapped value in its encoding.
    pub(crate) fn of_encoded(&self, encoded: &[u8]) -> u32 {
        (xxh3_64_with_seed(encoded, self.seed) as u32).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_row_has_the_fingerprint_of_a_state() {
        for reserved in RESERVED {
            assert!(!RESERVED.contains(&storable(reserved)));
            assert!(is_accepted(storable(reserved)));
        }
        assert_eq!(storable(4), 4);
        assert_eq!(storable(u64::MAX), u64::MAX);
    }
}
