//! What happens to rows in doubt: those that were sent and whose fate nobody knows.

use std::collections::HashMap;

use backhaul_kit::{KeyHash, Reason};

/// The code of a row in doubt that nobody has on a list yet.
pub const IN_DOUBT_CODE: &str = "in_doubt";

/// Which rows in doubt wait for a decision, and what was decided.
#[derive(Clone, Debug, Default)]
pub struct Doubts {
    /// Rows wait; if not, they are sent again.
    pub hold: bool,
    /// Removals wait; if not, they are made again.
    pub hold_removals: bool,
    /// The keys that are on the list of rows in doubt, with what was decided.
    pub listed: HashMap<KeyHash, Option<Decision>>,
}

/// What became of a row in doubt, as far as somebody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The row of this fingerprint was written.
    Written(u64),
    /// The record is not there.
    Absent,
    /// Nobody knows: it is sent again.
    Resend,
}

/// What is to be done about one key in doubt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doubt {
    /// It waits.
    Waits,
    /// It waits and must be put on the list.
    Unlisted,
    /// It goes on.
    Is(Decision),
}

impl Doubts {
    /// Of a row that is in the model.
    pub(super) fn of_row(&self, key: KeyHash) -> Doubt {
        self.of(key, self.hold)
    }

    /// Of a record whose row left the model.
    pub(super) fn of_removal(&self, key: KeyHash) -> Doubt {
        self.of(key, self.hold_removals)
    }

    fn of(&self, key: KeyHash, hold: bool) -> Doubt {
        match self.listed.get(&key) {
            Some(Some(decision)) => Doubt::Is(*decision),
            _ if !hold => Doubt::Is(Decision::Resend),
            Some(None) => Doubt::Waits,
            None => Doubt::Unlisted,
        }
    }
}

/// Why a row in doubt is put on the list.
pub fn in_doubt() -> Reason {
    Reason::new(IN_DOUBT_CODE, "it was sent, and nobody knows whether it was applied")
}
