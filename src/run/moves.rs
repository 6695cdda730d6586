//! The order of a plan's moves: nobody takes an address before its record has left it.
//!
//! An API that finds records by their match value alone would take the wrong one otherwise. Rows that take each other's
//! addresses in a ring cannot be ordered: each of the ring's records is written as the row that has its address now.

use std::collections::{HashMap, HashSet, VecDeque};

use xxhash_rust::xxh3::xxh3_64;

use crate::diff::{Op, OpKind, PlanError, PlanReader};

/// The moves of which one takes what another gives up. Plans mostly have none; these are held in memory.
#[derive(Debug, Default)]
pub(super) struct Moves {
    /// One after the other: givers first. They go behind all others.
    pub(super) ordered: Vec<Op>,
    /// In rings; to be written, not moved.
    pub(super) ringed: Vec<Op>,
    numbers: HashSet<u64>,
}

impl Moves {
    /// Sorts the moves of a plan.
    pub(super) fn of(plan: &PlanReader) -> Result<Self, PlanError> {
        if plan.summary().counts.moved < 2 {
            return Ok(Self::default());
        }
        let moves = || plan.ops(Some(&[OpKind::Move]));
        let (mut given, mut taken) = (Vec::new(), Vec::new());
        for op in moves() {
            let op = op?;
            given.extend(old(&op));
            taken.extend(new(&op));
        }
        given.sort_unstable();
        taken.sort_unstable();
        let mut tied = Vec::new();
        for op in moves() {
            let op = op?;
            let takes = new(&op).is_some_and(|new| given.binary_search(&new).is_ok());
            let gives = old(&op).is_some_and(|old| taken.binary_search(&old).is_ok());
            if takes || gives {
                tied.push(op);
            }
        }
        Ok(Self::sort(tied))
    }

    /// Whether the move is none of these.
    pub(super) fn is_free(&self, op: &Op) -> bool {
        !self.numbers.contains(&op.number)
    }

    fn sort(tied: Vec<Op>) -> Self {
        let numbers = tied.iter().map(|op| op.number).collect();
        let mut takers: HashMap<u64, Vec<usize>> = HashMap::new();
        let givers: HashMap<u64, usize> = tied.iter().enumerate().filter_map(|(at, op)| Some((old(op)?, at))).collect();
        let mut ready = VecDeque::new();
        for (at, op) in tied.iter().enumerate() {
            match new(op).filter(|new| givers.contains_key(new)) {
                Some(new) => takers.entry(new).or_default().push(at),
                None => ready.push_back(at),
            }
        }
        let mut order = Vec::with_capacity(tied.len());
        while let Some(at) = ready.pop_front() {
            order.push(at);
            ready.extend(old(&tied[at]).and_then(|old| takers.remove(&old)).into_iter().flatten());
        }
        let mut tied: Vec<Option<Op>> = tied.into_iter().map(Some).collect();
        let ordered = order.into_iter().filter_map(|at| tied[at].take()).collect();
        let ringed = tied.into_iter().flatten().map(|op| Op { kind: OpKind::Change, ..op }).collect();
        Self { ordered, ringed, numbers }
    }
}

fn old(op: &Op) -> Option<u64> {
    op.old_address.match_value.as_ref().map(|value| xxh3_64(value.as_bytes()))
}

fn new(op: &Op) -> Option<u64> {
    op.match_value.as_ref().map(|value| xxh3_64(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use backhaul_kit::{Address, Fields, KeyHash};

    use super::*;

    fn moving(number: u64, old: &str, new: &str) -> Op {
        Op {
            number,
            kind: OpKind::Move,
            ordinal: Some(number),
            key_hash: KeyHash(number.into()),
            key: number.to_be_bytes().to_vec().into(),
            fingerprint: number,
            table_fingerprint: None,
            cause: crate::diff::Cause::Left,
            old_address: Address { remote_id: None, match_value: Some(old.into()) },
            match_value: Some(new.into()),
            was_in_doubt: false,
            changed: Vec::new(),
            fields: Fields::default(),
            reason: None,
        }
    }

    #[test]
    fn who_takes_an_address_goes_after_its_giver_and_a_ring_is_written() {
        let chain = [moving(0, "a", "b"), moving(1, "b", "c"), moving(2, "c", "d")];
        let ring = [moving(3, "x", "y"), moving(4, "y", "z"), moving(5, "z", "x")];
        let sorted = Moves::sort(chain.into_iter().chain(ring).collect());
        let numbers = |ops: &[Op]| ops.iter().map(|op| op.number).collect::<Vec<_>>();
        assert_eq!(numbers(&sorted.ordered), [2, 1, 0]);
        assert_eq!(numbers(&sorted.ringed), [3, 4, 5]);
        assert!(sorted.ringed.iter().all(|op| op.kind == OpKind::Change));
        assert!(!sorted.is_free(&moving(5, "", "")) && sorted.is_free(&moving(6, "", "")));
    }
}
