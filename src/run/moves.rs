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
            given.extend(given_up(&op));
            taken.extend(taken_up(&op));
        }
        given.sort_unstable();
        taken.sort_unstable();
        let mut tied = Vec::new();
        for op in moves() {
            let op = op?;
            let takes = taken_up(&op).any(|new| given.binary_search(&new).is_ok());
            let gives = given_up(&op).any(|old| taken.binary_search(&old).is_ok());
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
        // For every giver those that take from it; for every taker of how many it has to wait.
        let mut takers: HashMap<u64, Vec<usize>> = HashMap::new();
        for (at, op) in tied.iter().enumerate() {
            taken_up(op).for_each(|value| takers.entry(value).or_default().push(at));
        }
        let waits = |at: usize| given_up(&tied[at]).flat_map(|value| takers.get(&value).into_iter().flatten().copied());
        let mut left = vec![0usize; tied.len()];
        (0..tied.len()).flat_map(waits).for_each(|taker| left[taker] += 1);
        let mut ready: VecDeque<usize> = (0..tied.len()).filter(|at| left[*at] == 0).collect();
        let mut order = Vec::with_capacity(tied.len());
        while let Some(at) = ready.pop_front() {
            order.push(at);
            for taker in waits(at) {
                left[taker] -= 1;
                ready.extend((left[taker] == 0).then_some(taker));
            }
        }
        let mut tied: Vec<Option<Op>> = tied.into_iter().map(Some).collect();
        let ordered = order.into_iter().filter_map(|at| tied[at].take()).collect();
        // What its own record has says nothing of the one that it is written to.
        let ringed = tied.into_iter().flatten();
        let ringed = ringed.map(|op| Op { kind: OpKind::Change, changed: Vec::new(), ..op }).collect();
        Self { ordered, ringed, numbers }
    }
}

/// What the record was found by and is no longer: its match value, or some of its hashes.
fn given_up(op: &Op) -> impl Iterator<Item = u64> + use<'_> {
    only_in(op.old_address.match_value.as_deref(), op.match_value.as_deref())
}

/// What the record is found by now and was not before.
fn taken_up(op: &Op) -> impl Iterator<Item = u64> + use<'_> {
    only_in(op.match_value.as_deref(), op.old_address.match_value.as_deref())
}

/// Line by line, as hashes are. Other match values have one line; should one have more, it is ordered more strictly.
fn only_in<'a>(these: Option<&'a str>, others: Option<&'a str>) -> impl Iterator<Item = u64> + use<'a> {
    let others = others.unwrap_or_default();
    let only = these.into_iter().flat_map(str::lines).filter(move |line| others.lines().all(|other| other != *line));
    only.map(|line| xxh3_64(line.as_bytes()))
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

    #[test]
    fn who_takes_hashes_of_two_goes_after_both_and_one_that_is_kept_ties_nobody() {
        let moves = [moving(0, "x\nhome", "a\nb\nhome"), moving(1, "a", "c"), moving(2, "b\nhome", "d\nhome")];
        let sorted = Moves::sort(moves.into());
        let numbers: Vec<u64> = sorted.ordered.iter().map(|op| op.number).collect();
        assert_eq!(numbers, [1, 2, 0]);
        assert!(sorted.ringed.is_empty());
    }
}
