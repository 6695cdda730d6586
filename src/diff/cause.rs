//! Why a record is removed, or a row not sent.

use serde::{Deserialize, Serialize};

/// Why a record is removed. All but the first are also why a row is not sent: its person may not be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// Its row left the model.
    #[default]
    Left,
    /// Consent is not given, or no longer.
    Withdrawn,
    /// Its person is on a suppression list.
    Suppressed,
    /// Its person is held out.
    HeldOut,
    /// Its person asked to be erased.
    Erased,
}

impl Cause {
    /// All, each at the place of its code in plan files.
    pub(super) const ALL: [Self; 5] = [Self::Left, Self::Withdrawn, Self::Suppressed, Self::HeldOut, Self::Erased];

    /// Whether the person's will, or the law, wants it: it goes out first, and no guard of removals holds it.
    pub fn is_urgent(self) -> bool {
        matches!(self, Self::Withdrawn | Self::Suppressed | Self::Erased)
    }

    /// Its code in files.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Left => 0,
            Self::Withdrawn => 1,
            Self::Suppressed => 2,
            Self::HeldOut => 3,
            Self::Erased => 4,
        }
    }

    /// The cause of a code.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.get(usize::from(code)).copied()
    }

    /// Its word in output.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Withdrawn => "withdrawn",
            Self::Suppressed => "suppressed",
            Self::HeldOut => "held out",
            Self::Erased => "erased",
        }
    }
}

/// Numbers by cause; `left` is what is not counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CauseCounts {
    /// Consent is not given.
    pub withdrawn: u64,
    /// On a suppression list.
    pub suppressed: u64,
    /// Held out.
    pub held_out: u64,
    /// Asked to be erased.
    pub erased: u64,
}

impl CauseCounts {
    /// Adds one.
    pub(super) fn add(&mut self, cause: Cause) {
        match cause {
            Cause::Left => {}
            Cause::Erased => self.erased += 1,
            Cause::Withdrawn => self.withdrawn += 1,
            Cause::Suppressed => self.suppressed += 1,
            Cause::HeldOut => self.held_out += 1,
        }
    }

    /// All together.
    pub fn total(self) -> u64 {
        self.urgent() + self.held_out
    }

    /// Those that are [urgent](Cause::is_urgent).
    pub fn urgent(self) -> u64 {
        self.withdrawn + self.suppressed + self.erased
    }

    /// `3 withdrawn, 2 suppressed`; empty where there are none.
    pub fn text(self) -> String {
        let parts = [
            (self.erased, Cause::Erased),
            (self.withdrawn, Cause::Withdrawn),
            (self.suppressed, Cause::Suppressed),
            (self.held_out, Cause::HeldOut),
        ];
        let parts: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, cause)| format!("{n} {}", cause.as_str())).collect();
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_counted_apart_and_what_left_is_not() {
        let mut counts = CauseCounts::default();
        Cause::ALL.into_iter().chain([Cause::Withdrawn]).for_each(|cause| counts.add(cause));
        assert_eq!(counts, CauseCounts { withdrawn: 2, suppressed: 1, held_out: 1, erased: 1 });
        assert_eq!((counts.total(), counts.urgent()), (5, 4));
        assert_eq!(counts.text(), "1 erased, 2 withdrawn, 1 suppressed, 1 held out");
        assert_eq!(CauseCounts::default().text(), "");
    }
}
