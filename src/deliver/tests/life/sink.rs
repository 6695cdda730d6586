//! The destination: an API that keeps records by an address, and perhaps under ids of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use backhaul_kit::{Address, Batch, Delivery, Fault, FieldRef, Operation, Outcomes, Reason, Row, ValueRef, Verdict};

use super::model::Version;
use crate::deliver::tests::dice::Dice;
use crate::diff::tests::id_of;

/// What it has of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// Its key in the model.
    pub(super) key: i64,
    pub(super) n: i64,
    /// Its id at the destination.
    id: u64,
}

/// A call on its way: what it will do and what will be answered.
#[derive(Debug)]
pub(super) struct Call {
    batch: Batch,
    /// For each row whether it is applied, and what is said of it.
    rows: Vec<(bool, Verdict)>,
    /// Said instead of all verdicts.
    fault: Option<Fault>,
    /// It is applied some time after its answer, and within `settle_after`.
    pub(super) is_late: bool,
}

/// The destination.
#[derive(Debug, Default)]
pub(super) struct Sink {
    /// Whether it names its records in answers.
    names_records: bool,
    /// By address.
    pub(super) records: BTreeMap<String, Record>,
    next_id: u64,
    /// Ops of the present plan that were applied.
    pub(super) applied: BTreeSet<u64>,
    /// Everything goes well.
    pub(super) is_kind: bool,
}

impl Call {
    /// What is answered, and the batch, back.
    pub(super) fn answer(self) -> (Batch, Result<Delivery, Fault>) {
        let Self { batch, rows, fault, .. } = self;
        let answer = fault.map_or_else(
            || {
                let mut outcomes = Outcomes::of(&batch);
                for (row, (_, verdict)) in batch.rows.iter().zip(rows) {
                    outcomes.set(row.op, verdict).expect("one verdict a row");
                }
                Ok(Delivery::Settled(outcomes))
            },
            Err,
        );
        (batch, answer)
    }

    /// The same call, whose answer was given long ago.
    pub(super) fn without_answer(&self) -> Self {
        Self { batch: self.batch.clone(), rows: self.rows.clone(), fault: None, is_late: false }
    }
}

impl Sink {
    pub(super) fn new(names_records: bool) -> Self {
        Self { names_records, ..Self::default() }
    }

    /// Receives a call. It does nothing before it is [applied](Self::apply).
    pub(super) fn call(&mut self, batch: Batch, dice: &mut Dice) -> Call {
        let (applied, fault) = match if self.is_kind { 19 } else { dice.roll(20) } {
            0 => (false, Fault::transient("busy")),
            1 => (false, Fault::throttled("slow down", Some(Duration::from_secs(dice.roll(5))))),
            2 => (true, Fault::ambiguous("no answer, and it was applied")),
            3 => (false, Fault::ambiguous("no answer, and it was not applied")),
            4 => (false, Fault::split("one row is bad")),
            5 if dice.roll(12) == 0 => (false, Fault::auth("revoked")),
            _ => {
                let rows = batch.rows.iter().map(|_| self.verdict(dice)).collect();
                return Call { batch, rows, fault: None, is_late: false };
            }
        };
        let is_late = applied && dice.roll(3) == 0;
        let rows = batch.rows.iter().map(|_| (applied, Verdict::Unknown)).collect();
        Call { batch, rows, fault: Some(fault), is_late }
    }

    /// Whether a row is applied, and what is said of it.
    fn verdict(&self, dice: &mut Dice) -> (bool, Verdict) {
        match if self.is_kind { 29 } else { dice.roll(30) } {
            0 => (false, Verdict::Rejected(Reason::new("BAD", "bad"))),
            1 => (false, Verdict::Retry(None)),
            2 => (false, Verdict::Unknown),
            3 => (true, Verdict::Unknown),
            4 => (true, Verdict::Unchanged),
            _ => (true, Verdict::Written { remote_id: None }),
        }
    }

    /// Does what the call asks for. `planned_from` is what the model was when the plan was made.
    pub(super) fn apply(&mut self, call: &mut Call, planned_from: &Version) {
        for (row, (applied, verdict)) in call.batch.rows.iter().zip(&mut call.rows) {
            if *applied {
                self.applied.insert(row.op);
                let id = self.apply_row(call.batch.operation, row, planned_from);
                if let Verdict::Written { remote_id } = verdict {
                    *remote_id = id.filter(|_| self.names_records).map(|id| format!("r{id}"));
                }
            }
        }
    }

    /// Gives the id of the record that was written.
    fn apply_row(&mut self, operation: Operation, row: &Row, planned_from: &Version) -> Option<u64> {
        let key = id_of(&row.key);
        let old = self.find(&row.address);
        if operation.is_removal() {
            assert!(!planned_from.contains_key(&key), "key {key} is removed and in the model");
            let removed = old.and_then(|address| self.records.remove(&address));
            let other = removed.map(|record| record.key).filter(|other| *other != key);
            assert!(other.is_none_or(|other| !planned_from.contains_key(&other)), "the removal of {key} hit {other:?}");
            return None;
        }
        let Some(FieldRef::Set(ValueRef::Int(n))) = row.fields.get(1) else { panic!("a row without its number") };
        let address = text(row).expect("a row has an address");
        // A move takes its record along; an upsert writes the one that is found under the address.
        let moved = if operation == Operation::Move { old.and_then(|old| self.records.remove(&old)) } else { None };
        let kept = moved.or_else(|| self.records.remove(&address));
        self.next_id += 1;
        let id = kept.map_or(self.next_id, |record| record.id);
        self.records.insert(address, Record { key, n, id });
        Some(id)
    }

    /// The address of the record that an address remembers: by its id, else by its old address.
    fn find(&self, remembered: &Address) -> Option<String> {
        let by_id = remembered.remote_id.as_ref().and_then(|id| {
            self.records.iter().find(|(_, record)| format!("r{}", record.id) == *id).map(|(address, _)| address.clone())
        });
        by_id.or_else(|| remembered.match_value.clone())
    }
}

/// The address that the row has now.
fn text(row: &Row) -> Option<String> {
    match row.fields.get(0) {
        Some(FieldRef::Set(ValueRef::Text(text))) => Some(text.to_owned()),
        _ => None,
    }
}
