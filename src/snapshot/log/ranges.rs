//! Sets of op numbers as merged ranges.

/// Op numbers as sorted, disjoint, inclusive ranges. Ops mostly come in order, so there are few.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds `first..=last`.
    pub(super) fn insert(&mut self, first: u64, last: u64) {
        // Ranges that touch or overlap the new one are merged into it.
        let start = self.0.partition_point(|(_, l)| l.saturating_add(1) < first);
        let end = self.0.partition_point(|(f, _)| *f <= last.saturating_add(1));
        if start >= end {
            self.0.insert(start, (first, last));
            return;
        }
        let merged = (first.min(self.0[start].0), last.max(self.0[end - 1].1));
        self.0[start] = merged;
        self.0.drain(start + 1..end);
    }

    /// Adds every op of a list.
    pub(super) fn insert_all(&mut self, ops: &[u64]) {
        for (first, count) in runs(ops) {
            self.insert(first, first + (count - 1));
        }
    }

    /// Adds everything that `other` holds.
    pub(super) fn merge(&mut self, other: &Self) {
        for &(first, last) in &other.0 {
            self.insert(first, last);
        }
    }

    /// Whether `op` is in one of them.
    pub(super) fn contains(&self, op: u64) -> bool {
        let at = self.0.partition_point(|(_, last)| *last < op);
        self.0.get(at).is_some_and(|(first, _)| *first <= op)
    }

    /// One more than the last op.
    pub(super) fn end(&self) -> u64 {
        self.0.last().map_or(0, |(_, last)| last.saturating_add(1))
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Runs of consecutive numbers: (first, count).
pub(super) fn runs(ops: &[u64]) -> impl Iterator<Item = (u64, u64)> {
    ops.chunk_by(|a, b| a.checked_add(1) == Some(*b)).map(|run| (run[0], run.len() as u64))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ranges_hold_exactly_what_was_put_in(parts in prop::collection::vec((0u64..60, 0u64..6), 0..20)) {
            let (mut ranges, mut naive) = (Ranges::default(), BTreeSet::new());
            for (first, more) in parts {
                ranges.insert(first, first + more);
                naive.extend(first..=first + more);
            }
            for op in 0..70 {
                prop_assert_eq!(ranges.contains(op), naive.contains(&op));
            }
            prop_assert!(ranges.0.windows(2).all(|w| w[0].1 + 1 < w[1].0), "{:?}", ranges);
        }
    }
}
