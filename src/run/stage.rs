//! The stages of a run: one durable enum and its transition table.

use std::fmt;
use std::str::FromStr;

/// How far a run has come. Written to the state before the stage begins, so that a restart knows what to
/// do: everything before is done, this stage may be half done, and every stage can be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Stage {
    /// Scanning and writing the plan. A restart throws the plan away.
    Scan,
    /// The plan is complete and waits for a person; its canary may have been sent.
    Held,
    /// Sending. A restart goes on from the plan and the log.
    Deliver,
    /// The log is complete; rejects and counts go to the state.
    Record,
    /// The log is merged into the next snapshot; the manifest's rename is the commit.
    Settle,
    /// What became of the rows is reported, and the plan and the log are destroyed.
    Report,
    /// Nothing is left to do.
    Done,
}

impl Stage {
    const ALL: [Self; 7] =
        [Self::Scan, Self::Held, Self::Deliver, Self::Record, Self::Settle, Self::Report, Self::Done];

    /// The stages that may follow.
    pub(crate) fn next(self) -> &'static [Self] {
        match self {
            // A plan that sends nothing has nothing to deliver.
            Self::Scan => &[Self::Held, Self::Deliver, Self::Record, Self::Done],
            // A plan whose canary was sent is settled as far as it came when it is given up.
            Self::Held => &[Self::Deliver, Self::Record, Self::Done],
            // Likewise an old delivery; one whose canary failed is held.
            Self::Deliver => &[Self::Held, Self::Record],
            Self::Record => &[Self::Settle],
            Self::Settle => &[Self::Report],
            Self::Report => &[Self::Done],
            Self::Done => &[],
        }
    }

    /// The word in the state.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Scan => "scan",
            Self::Held => "held",
            Self::Deliver => "deliver",
            Self::Record => "record",
            Self::Settle => "settle",
            Self::Report => "report",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Stage {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|s| s.as_str() == text).ok_or_else(|| format!("unknown stage `{text}`"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_has_a_word_and_leads_to_the_end() {
        for stage in Stage::ALL {
            assert_eq!(stage.as_str().parse(), Ok(stage));
            let mut reached = vec![stage];
            let mut at = 0;
            while at < reached.len() {
                for next in reached[at].next() {
                    if !reached.contains(next) {
                        reached.push(*next);
                    }
                }
                at += 1;
            }
            assert!(reached.contains(&Stage::Done), "{stage} never ends");
        }
    }
}
