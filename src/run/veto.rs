//! The last look before an approved plan goes out: whoever has withdrawn consent, was put on a list or is held out since
//! it was made is not sent. The model is read once more for that, its key and the columns that decide alone.
//!
//! Rows are only taken out of a plan here, never added. Those that are taken out keep what the snapshot says of them; the
//! next run removes what is to be removed. An interrupted run needs no such look: with people to be decided about it is
//! settled as far as it came and scanned anew.

use std::sync::Arc;

use backhaul_kit::{Fault, Projection, Scanned};
use futures_util::StreamExt as _;

use super::people::Asked;
use super::{Ground, RunError, Runs, error::stale, scan, unless_cancelled};
use crate::config::SyncDef;
use crate::diff::{Gathered, Hashes, Op, OpKind, PlanError, PlanReader};
use crate::snapshot::log::Replay;

/// The rows that may not be sent any more.
pub(super) struct Vetoed {
    /// Halves of key hashes: a stranger who shares one is sent by the next run.
    keys: Hashes,
}

impl Vetoed {
    /// Whether an op would send such a row, and no earlier process has.
    pub(super) fn keeps_back(&self, op: &Op, already: Option<&Replay>) -> Result<bool, PlanError> {
        let sends = matches!(op.kind, OpKind::Add | OpKind::Change | OpKind::Move | OpKind::Refresh);
        let may_go = !sends || already.is_some_and(|replay| replay.dispatched(op.number));
        Ok(!may_go && self.keys.has(op.key_hash.0 as u64)?)
    }

    /// How many ops of the plan it keeps back.
    pub(super) fn count(&self, plan: &PlanReader, already: Option<&Replay>) -> Result<u64, PlanError> {
        let mut count = 0;
        for op in plan.ops(None) {
            count += u64::from(self.keeps_back(&op?, already)?);
        }
        Ok(count)
    }
}

impl Runs {
    /// The rows of the model that may not be sent any more; `None` where every row may.
    pub(super) async fn vetoed(
        &self,
        ground: &Ground<'_>,
        run: &str,
        plan: &PlanReader,
    ) -> Result<Option<Arc<Vetoed>>, RunError> {
        if !ground.sync.people.decide() {
            return Ok(None);
        }
        let vetoed = unless_cancelled(&ground.cancel, self.refused_now(ground.sync, plan)).await?;
        for op in plan.ops(Some(&[OpKind::Move])) {
            if vetoed.keeps_back(&op?, None)? {
                // Another row may count on its address.
                return Err(stale(run, "somebody whose record it moves may not be sent any more"));
            }
        }
        Ok(Some(Arc::new(vetoed)))
    }

    async fn refused_now(&self, sync: &SyncDef, plan: &PlanReader) -> Result<Vetoed, RunError> {
        let mut opened = scan::open(&self.project, sync, &self.kit).await?;
        let columns: Vec<String> = sync.model.key.iter().map(|(column, _)| column.clone()).collect();
        let key: Vec<usize> = (0..columns.len()).collect();
        let mut projection = Projection { fingerprinted: key.len(), columns, key, seed: plan.header().seed };
        let before = self.state.list_rows().await?;
        let asked = Asked { project: &self.project, kit: &self.kit, sync, columns: &opened.columns, before: &before };
        let scratch = |name| scan::scratch(plan.path(), &self.project, &self.key, name);
        let decider = asked.decider(opened.scan.as_mut(), &mut projection, scratch("lists")).await?;
        let Some(decider) = decider else { return Ok(Vetoed { keys: Hashes::default() }) };
        let mut keys = Gathered::new(self.project.state.memory, scratch("vetoed"));
        let (mut digests, mut came) = (Vec::new(), 0);
        let mut pages = opened.scan.pages(projection);
        while let Some(scanned) = pages.next().await {
            match scanned? {
                Scanned::Page(page) => {
                    digests.clear();
                    page.digest(&mut digests)?;
                    for (row, digest) in digests.iter().enumerate() {
                        if decider.eligibility.refuses(page.as_ref(), row)?.is_some() {
                            keys.push(digest.key.0 as u64)?;
                        }
                    }
                    came += page.rows() as u64;
                }
                Scanned::End { rows, .. } if rows == came => {
                    let sorting = tokio::task::spawn_blocking(|| keys.ready());
                    let keys = sorting.await.map_err(|e| Fault::bug("sorting keys ended early").caused_by(e))??;
                    return Ok(Vetoed { keys });
                }
                Scanned::End { .. } => break,
            }
        }
        Err(Fault::transient("who may not be sent any more could not be read to its end").into())
    }
}
