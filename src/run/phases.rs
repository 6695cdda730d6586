//! The phases of a delivery: which ops go out together, and in which order.

use std::sync::Arc;

use backhaul_kit::{Facts, Fault, Operation, Order};

use super::canary::CanaryRows;
use super::connect::Operations;
use super::moves::Moves;
use crate::config::{OnUnknown, SyncDef};
use crate::deliver::Phase;
use crate::diff::{Op, OpKind, PlanError, PlanReader};

type Ops = Box<dyn Iterator<Item = Result<Op, PlanError>> + Send>;

/// The plan's ops from number `first` on, in the order that the object wants, behind those of the canary, for a run
/// that sends `rows` rows.
pub(super) fn phases(
    plan: &PlanReader,
    first: u64,
    rows: u64,
    sync: &SyncDef,
    canary: Option<Arc<CanaryRows>>,
    no_removals: bool,
) -> Result<Vec<Phase>, PlanError> {
    let phase = |ops: Ops, (operation, facts): &(Operation, Facts)| {
        let read_back = facts.read_back && sync.on_unknown == OnUnknown::ReadBack;
        let facts = Facts { read_back, ..facts.clone() };
        Phase { operation: *operation, facts, ops: Box::new(ops.map(|op| op.map_err(unreadable))) }
    };
    let ops = |kinds: &[OpKind], only: Option<(Arc<CanaryRows>, bool)>| {
        let is_wanted = move |op: &Op| only.as_ref().is_none_or(|(canary, of_it)| canary.contains(op) == *of_it);
        plan.ops_from(first, Some(kinds)).filter(move |op| op.as_ref().map_or(true, &is_wanted))
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
    let removal = operations.removal.as_ref().filter(|_| !no_removals);
    let removals = removal.map(|operation| phase(Box::new(ops(&[OpKind::Remove], None)), operation));
    let rest = match operations.write.1.order {
        Order::WritesFirst => moves.into_iter().chain([writes]).chain(removals).collect::<Vec<_>>(),
        Order::RemovalsFirst => moves.into_iter().chain(removals).chain([writes]).collect(),
    };
    Ok(goes_first.into_iter().chain(rest).collect())
}

fn unreadable(error: PlanError) -> Fault {
    Fault::bug("the plan cannot be read to its end").remedy("check the disk that holds the state").caused_by(error)
}
