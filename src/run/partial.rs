//! Rows of which only the fields that changed are sent, where the vendor leaves the others as they are.
//!
//! A field is left out where the destination is known to have accepted the very value that it would be sent. It is sent
//! where that is not known: of new rows and rows in doubt, where everything is sent again, and beside others of its own
//! nested object, which vendors replace as a whole.

use std::collections::HashMap;

use backhaul_kit::{Facts, FieldValue};

use crate::diff::{Op, OpKind, PlanHeader};

/// The fields of a sync by what is sent as a whole.
#[derive(Clone, Debug)]
pub(super) struct Partial {
    /// For every field the number of its object.
    objects: Vec<usize>,
    match_field: Option<usize>,
}

impl Partial {
    /// For the rows of a plan, if the operation leaves what it is not given as it is.
    pub(super) fn of(plan: &PlanHeader, facts: &Facts) -> Option<Self> {
        if !facts.merges || plan.full {
            return None;
        }
        let mut numbers = HashMap::new();
        let object = |field: &String| {
            let top = field.split(['.', '[']).next().unwrap_or_default().to_owned();
            let next = numbers.len();
            *numbers.entry(top).or_insert(next)
        };
        Some(Self { objects: plan.fields.iter().map(object).collect(), match_field: plan.match_field })
    }

    /// The op with what did not change left out.
    pub(super) fn apply(&self, mut op: Op) -> Op {
        let is_known = op.changed.len() == op.fields.len() && op.changed.len() == self.objects.len();
        if !is_known || op.was_in_doubt || !matches!(op.kind, OpKind::Change | OpKind::Move) {
            return op;
        }
        let mut wanted = vec![false; self.objects.len()];
        for (changed, object) in op.changed.iter().zip(&self.objects) {
            wanted[*object] |= changed;
        }
        let keeps = |place: usize| self.match_field == Some(place) || wanted[self.objects[place]];
        let fields = op.fields.iter().enumerate();
        op.fields = fields.map(|(at, field)| if keeps(at) { field.into() } else { FieldValue::Skip }).collect();
        op
    }
}

#[cfg(test)]
mod tests {
    use backhaul_kit::key::Key;
    use backhaul_kit::{Address, FieldRef, KeyHash, Value};

    use super::*;
    use crate::snapshot::Binding;

    fn header(full: bool) -> PlanHeader {
        PlanHeader {
            run_id: "r".into(),
            base_id: "b".into(),
            seed: 0,
            config_digest: [0; 32],
            binding: Binding { identity: "a".into(), object: "o".into(), environment: "e".into() },
            fields: ["id", "name", "home.city", "home.street", "plan"].map(str::to_owned).to_vec(),
            match_field: Some(0),
            hashes: false,
            keep_address: true,
            removals: false,
            remap: false,
            full,
            table_fingerprints: None,
            growing: None,
            refresh: None,
            siblings: Vec::new(),
        }
    }

    fn op(kind: OpKind, changed: &[bool]) -> Op {
        Op {
            number: 0,
            kind,
            ordinal: Some(0),
            key: Key::from_slice(b"k"),
            key_hash: KeyHash(1),
            fingerprint: 5,
            table_fingerprint: None,
            cause: crate::diff::Cause::Left,
            old_address: Address::default(),
            match_value: None,
            was_in_doubt: false,
            changed: changed.to_vec(),
            fields: (0..5).map(|n| FieldValue::Set(Value::Int(n))).collect(),
            reason: None,
        }
    }

    /// The places of the fields that are sent.
    fn sent(op: Op) -> Vec<usize> {
        let merging = Facts { merges: true, ..Facts::default() };
        let op = Partial::of(&header(false), &merging).expect("it merges").apply(op);
        let sent = op.fields.iter().enumerate().filter(|(_, field)| !matches!(field, FieldRef::Skip));
        sent.map(|(place, _)| place).collect()
    }

    #[test]
    fn what_changed_is_sent_with_its_object_and_what_finds_the_record() {
        let no = false;
        assert_eq!(sent(op(OpKind::Change, &[no, true, no, no, no])), [0, 1]);
        assert_eq!(sent(op(OpKind::Change, &[no, no, true, no, no])), [0, 2, 3]);
        assert_eq!(sent(op(OpKind::Move, &[true, no, no, no, true])), [0, 4]);
    }

    #[test]
    fn rows_of_which_it_is_not_known_are_sent_whole() {
        let changed = [false, true, false, false, false];
        let all = [0, 1, 2, 3, 4];
        assert_eq!(sent(op(OpKind::Change, &[])), all);
        assert_eq!(sent(Op { was_in_doubt: true, ..op(OpKind::Change, &changed) }), all);
        assert_eq!(sent(op(OpKind::Add, &[])), all);
        assert_eq!(sent(op(OpKind::Refresh, &[])), all);
        let merging = Facts { merges: true, ..Facts::default() };
        assert!(Partial::of(&header(true), &merging).is_none(), "everything is sent again");
        assert!(Partial::of(&header(false), &Facts::default()).is_none(), "the vendor replaces");
    }
}
