//! How a row stands to the record of its key.

use crate::snapshot::{IN_DOUBT, NEVER_ACCEPTED};

/// How a row stands to the record of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Accepted exactly so.
    Same = 0,
    /// Accepted with another fingerprint.
    Other = 1,
    /// Nobody knows what the destination has.
    InDoubt = 2,
    /// The record is there, but nothing was ever accepted.
    Never = 3,
}

impl Standing {
    /// Compares a storable fingerprint with what is stored.
    #[inline]
    pub(super) fn of(stored: u64, fingerprint: u64) -> Self {
        match stored {
            IN_DOUBT => Self::InDoubt,
            NEVER_ACCEPTED => Self::Never,
            _ if stored == fingerprint => Self::Same,
            _ => Self::Other,
        }
    }

    /// The inverse of `as u64`; takes the lowest two bits.
    pub(super) fn of_code(code: u64) -> Self {
        match code & 3 {
            0 => Self::Same,
            1 => Self::Other,
            2 => Self::InDoubt,
            _ => Self::Never,
        }
    }
}
