//! The phases of a delivery: which ops go out together, and in which order.

use std::sync::Arc;

use backhaul_kit::{Facts, Fault, Operation, Order};

use super::canary::CanaryRows;
use super::connect::Operations;
use super::moves::Moves;
use super::partial::Partial;
use super::veto::Vetoed;
use crate::config::{OnUnknown, SyncDef};
use crate::deliver::Phase;
use crate::diff::{Cause, Op, OpKind, PlanError, PlanReader};
use crate::snapshot::log::Replay;

type Ops = Box<dyn Iterator<Item = Result<Op, PlanError>> + Send>;

/// Which ops of a plan go out.
pub(super) struct Going {
    /// The number of the first that is not settled.
    pub(super) first: u64,
    /// Those that go before all others.
    pub(super) canary: Option<Arc<CanaryRows>>,
    /// Whether removals of what left the model are held back.
    pub(super) none_left: bool,
    /// Those that were not to be sent any more when the plan was approved.
    pub(super) vetoed: Option<Arc<Vetoed>>,
    /// What an earlier process has sent.
    pub(super) already: Option<Arc<Replay>>,
}

/// The plan's ops in the order that the object wants, behind those of the canary, or behind removals that do not wait (a
/// plan with a canary has none, see `urgent`), for a run that sends `rows` rows.
pub(super) fn phases(plan: &PlanReader, going: Going, rows: u64, sync: &SyncDef) -> Result<Vec<Phase>, PlanError> {
    let Going { first, canary, none_left, vetoed, already } = going;
    let phase = |ops: Ops, (operation, facts): &(Operation, Facts)| {
        let read_back = facts.read_back && sync.on_unknown == OnUnknown::ReadBack;
        let facts = Facts { read_back, ..facts.clone() };
        let partial = Partial::of(plan.header(), &facts);
        let part = move |op: Op| match &partial {
            Some(partial) => partial.apply(op),
            None => op,
        };
        Phase { operation: *operation, facts, ops: Box::new(ops.map(move |op| op.map(&part).map_err(unreadable))) }
    };
    let ops = |kinds: &[OpKind], only: Option<(Arc<CanaryRows>, bool)>| {
        let (vetoed, already) = (vetoed.clone(), already.clone());
        let wanted = move |op: Op| {
            let is_of_it = only.as_ref().is_none_or(|(canary, of_it)| canary.contains(&op) == *of_it);
            let is_kept_back = match &vetoed {
                Some(vetoed) => vetoed.keeps_back(&op, already.as_deref())?,
                None => false,
            };
            Ok((is_of_it && !is_kept_back).then_some(op))
        };
        plan.ops_from(first, Some(kinds)).filter_map(move |op| op.and_then(&wanted).transpose())
    };
    let operations = Operations::for_rows(sync, rows);
    let tied = Moves::of(plan)?;
    let (ordered, ringed) = (tied.ordered.clone(), tied.ringed.clone());
    let goes_first = canary.clone().map(|rows| ops(&[OpKind::Add, OpKind::Change], Some((rows, true))));
    let goes_first = goes_first.map(|ops| phase(Box::new(ops), &operations.write));
    let writes = ops(&[OpKind::Add, OpKind::Change, OpKind::Refresh], canary.map(|rows| (rows, false)));
    let writes = phase(Box::new(writes.chain(ringed.into_iter().map(Ok))), &operations.write);
    let moves = operations.moves.as_ref().map(|operation| {
        let free = ops(&[OpKind::Move], None).filter(move |op| op.as_ref().map_or(true, |op| tied.is_free(op)));
        phase(Box::new(free.chain(ordered.into_iter().map(Ok))), operation)
    });
    let removals = |wanted: fn(Cause) -> bool| {
        let operation = operations.removal.as_ref()?;
        let of_cause = move |op: &Result<Op, PlanError>| op.as_ref().map_or(true, |op| wanted(op.cause));
        Some(phase(Box::new(ops(&[OpKind::Remove], None).filter(of_cause)), operation))
    };
    let urgent = if plan.summary().counts.removed_for.urgent() > 0 { removals(Cause::is_urgent) } else { None };
    let removals = removals(if none_left { |cause| cause == Cause::HeldOut } else { |cause| !cause.is_urgent() });
    let rest = match operations.write.1.order {
        Order::WritesFirst => moves.into_iter().chain([writes]).chain(removals).collect::<Vec<_>>(),
        Order::RemovalsFirst => moves.into_iter().chain(removals).chain([writes]).collect(),
    };
    Ok(goes_first.into_iter().chain(urgent).chain(rest).collect())
}

fn unreadable(error: PlanError) -> Fault {
    Fault::bug("the plan cannot be read to its end").remedy("check the disk that holds the state").caused_by(error)
}
