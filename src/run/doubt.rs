//! Rows in doubt: sent, and nobody knows what became of them.

use backhaul_kit::Reason;

use super::connect::Operations;
use super::{RunError, Runs};
use crate::config::{OnUnknown, SyncDef};
use crate::diff::{Decision, Doubts, IN_DOUBT_CODE, Op, OpKind, in_doubt};
use crate::state::{NewReject, RejectClass, Resolution};

impl Runs {
    /// Which rows in doubt the next plan leaves alone, and what is known of the others.
    pub(super) async fn doubts(&self, sync: &SyncDef) -> Result<Doubts, RunError> {
        let listed = self.state.in_doubt(&sync.name).await?.into_iter();
        let decided = |fingerprint, resolution| match resolution {
            Resolution::Written => Decision::Written(fingerprint),
            Resolution::Absent => Decision::Absent,
            Resolution::Resend => Decision::Resend,
        };
        let hold = sync.on_unknown != OnUnknown::Resend;
        let removal = Operations::of(sync).removal;
        Ok(Doubts {
            hold,
            // A removal that may be made again needs no decision.
            hold_removals: hold && removal.is_some_and(|(_, facts)| !facts.resend_safe),
            listed: listed.map(|(key, sent, resolution)| (key, resolution.map(|as_| decided(sent, as_)))).collect(),
        })
    }
}

/// Whether an op of the plan that is in doubt waits for a decision.
pub(super) fn must_be_decided(doubts: &Doubts, op: &Op) -> bool {
    if op.kind == OpKind::Remove { doubts.hold_removals } else { doubts.hold }
}

/// A row of the list that a person, or nobody yet, decides on.
pub(super) fn listed(op: &Op, reason: &Reason) -> NewReject {
    let class = if reason.code == IN_DOUBT_CODE { RejectClass::InDoubt } else { RejectClass::Mapping };
    NewReject {
        key_hash: op.key_hash,
        key: op.key.to_vec(),
        fingerprint: op.fingerprint,
        class,
        reason: reason.clone(),
    }
}

/// The same of an op whose answer was lost.
pub(super) fn doubtful(op: &Op) -> NewReject {
    listed(op, &in_doubt())
}
