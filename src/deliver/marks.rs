//! Which ops the log says may be sent.

use std::collections::BTreeMap;

use crate::snapshot::log::Entry;

/// Marks that are durable, or will be: first op → last op and the sync that makes it durable.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<u64, (u64, u64)>);

impl Marks {
    /// Covers `ops`. Says which sync must be durable before they are sent, and which marks are to be logged first: of
    /// `width` ops each, durable with sync number `next`.
    pub(super) fn cover(&mut self, ops: impl Iterator<Item = u64>, width: u64, next: u64) -> (u64, Vec<Entry>) {
        let (mut needs, mut fresh) = (0, Vec::new());
        // The mark over one op mostly covers the next one too.
        let mut covered = 0..0;
        for op in ops {
            if covered.contains(&op) {
                continue;
            }
            let mark = self.0.range(..=op).next_back().filter(|(_, (last, _))| *last >= op);
            let (first, last, sync) = match mark {
                Some((first, (last, sync))) => (*first, *last, *sync),
                None => {
                    let last = op.saturating_add(width.max(1) - 1);
                    self.0.insert(op, (last, next));
                    fresh.push(Entry::Dispatched { first: op, last });
                    (op, last, next)
                }
            };
            needs = needs.max(sync);
            covered = first..last.saturating_add(1);
        }
        (needs, fresh)
    }
}
