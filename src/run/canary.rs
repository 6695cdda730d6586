//! The rows of a plan that go first.

use std::collections::{BinaryHeap, HashSet};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::config::Canary;
use crate::deliver::CanaryGate;
use crate::diff::{Op, OpKind, PlanError, PlanReader};
use crate::snapshot::log::{Fate, Replay};

const KINDS: [OpKind; 2] = [OpKind::Add, OpKind::Change];

/// The additions and changes of a plan with the lowest hash of key and plan: whoever looks at the plan, in whatever
/// process, finds the same rows, and another plan has others.
pub(super) struct CanaryRows {
    seed: u64,
    highest: u64,
    /// Match values, line by line, that a move of the plan gives free: rows that take one over go after it.
    moved: HashSet<u64>,
}

impl CanaryRows {
    /// Chooses so many; `None` where there is nothing to choose from.
    pub(super) fn choose(plan: &PlanReader, size: Canary) -> Result<Option<Self>, PlanError> {
        let summary = plan.summary();
        let seed = xxh3_64(summary.hash.as_bytes());
        let wanted = size.of(summary.counts.added + summary.counts.changed);
        let mut rows = Self { seed, highest: u64::MAX, moved: HashSet::new() };
        if summary.counts.moved > 0 {
            for op in plan.ops(Some(&[OpKind::Move])) {
                let freed = op?.old_address.match_value;
                let freed = freed.iter().flat_map(|value| value.lines());
                rows.moved.extend(freed.map(|value| xxh3_64_with_seed(value.as_bytes(), seed)));
            }
        }
        let mut lowest = BinaryHeap::new();
        for op in plan.ops(Some(&KINDS)) {
            let op = op?;
            if rows.contains(&op) {
                lowest.push(rows.rank(&op));
            }
            if lowest.len() as u64 > wanted {
                lowest.pop();
            }
        }
        Ok(lowest.pop().map(|highest| Self { highest, ..rows }))
    }

    /// Whether the op goes first.
    pub(super) fn contains(&self, op: &Op) -> bool {
        let follows_a_move = || {
            let mut values = op.match_value.iter().filter(|_| !self.moved.is_empty()).flat_map(|value| value.lines());
            values.any(|value| self.moved.contains(&xxh3_64_with_seed(value.as_bytes(), self.seed)))
        };
        KINDS.contains(&op.kind) && self.rank(op) <= self.highest && !follows_a_move()
    }

    /// What they have to show, and have shown to an earlier process.
    pub(super) fn gate(&self, plan: &PlanReader, already: Option<&Replay>, most: f64) -> Result<CanaryGate, PlanError> {
        let mut gate = CanaryGate { most, answered: 0, failed: 0 };
        let Some(replay) = already else { return Ok(gate) };
        for op in plan.ops(Some(&KINDS)) {
            let op = op?;
            if let Some(fate) = replay.fate(op.number).filter(|_| self.contains(&op)) {
                gate.answered += 1;
                gate.failed += u64::from(fate != Fate::Accepted);
            }
        }
        Ok(gate)
    }

    fn rank(&self, op: &Op) -> u64 {
        xxh3_64_with_seed(&op.key_hash.0.to_le_bytes(), self.seed)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use backhaul_kit::{Address, FieldValue, Fields, KeyHash, Value, key};

    use super::*;
    use crate::diff::{PlanCounts, PlanHeader, PlanWriter};
    use crate::snapshot::{Binding, StateKey};

    fn address(id: u64) -> String {
        format!("{id}@example.com")
    }

    /// A row whose address goes from `old` to `new`; the same is a change.
    fn op(number: u64, old: u64, new: u64) -> Op {
        let key = key::encode(&[&Value::Int(number.cast_signed())]).expect("a key");
        Op {
            number,
            kind: if old == new { OpKind::Change } else { OpKind::Move },
            ordinal: Some(number),
            key_hash: KeyHash::of(&key, 1),
            key: key.into(),
            fingerprint: number + 10,
            table_fingerprint: None,
            cause: crate::diff::Cause::Left,
            old_address: Address { remote_id: None, match_value: Some(address(old)) },
            match_value: Some(address(new)),
            was_in_doubt: false,
            changed: Vec::new(),
            fields: Fields::from_iter([FieldValue::Set(Value::Text(address(new)))]),
            reason: None,
        }
    }

    fn plan(folder: &std::path::Path, base_id: &str, ops: &[Op]) -> PlanReader {
        let key = Arc::new(StateKey::random().expect("a key"));
        let binding = Binding { identity: "a".into(), object: "b".into(), environment: "c".into() };
        let header = PlanHeader {
            run_id: "run-1".into(),
            base_id: base_id.into(),
            seed: 1,
            config_digest: [0; 32],
            binding,
            fields: vec!["email".into()],
            match_field: Some(0),
            hashes: false,
            keep_address: true,
            removals: true,
            remap: false,
            full: false,
            table_fingerprints: None,
            growing: None,
            refresh: None,
            siblings: Vec::new(),
        };
        let path = folder.join(base_id);
        let mut writer = PlanWriter::new(&path, key.clone());
        writer.begin(header, 0).expect("begun");
        let mut counts = PlanCounts::default();
        for op in ops {
            *(if op.kind == OpKind::Move { &mut counts.moved } else { &mut counts.changed }) += 1;
            writer.push(op).expect("written");
        }
        writer.finish(counts, "proof").expect("finished");
        PlanReader::open(&path, &key).expect("read")
    }

    fn chosen(plan: &PlanReader, size: Canary) -> HashSet<u64> {
        let Some(rows) = CanaryRows::choose(plan, size).expect("read") else { return HashSet::new() };
        plan.ops(None).map(|op| op.expect("an op")).filter(|op| rows.contains(op)).map(|op| op.number).collect()
    }

    #[test]
    fn the_same_rows_of_a_plan_are_chosen_each_time_and_others_of_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let ops: Vec<Op> = (0..1000).map(|id| op(id, id, id)).collect();
        let (one, other) = (plan(folder.path(), "one", &ops), plan(folder.path(), "other", &ops));
        let rows = chosen(&one, Canary::Share(0.05));
        assert_eq!((rows.len(), &chosen(&one, Canary::Rows(50))), (50, &rows));
        assert_ne!(chosen(&other, Canary::Rows(50)), rows);
        assert_eq!(chosen(&one, Canary::Rows(5000)).len(), 1000);
    }

    #[test]
    fn a_row_that_takes_over_the_address_of_a_move_goes_after_it() {
        let folder = tempfile::tempdir().expect("a folder");
        // Row 0 gives the address of row 1 free.
        let ops = [op(0, 1, 900), op(1, 1, 1), op(2, 2, 2), op(3, 3, 3)];
        let plan = plan(folder.path(), "one", &ops);
        assert_eq!(chosen(&plan, Canary::Rows(4)), HashSet::from([2, 3]));
    }
}
