//! What a row, or a record without a row, becomes in the plan.

mod claims;
mod refer;

use backhaul_kit::key::Key;
use backhaul_kit::{Address, Fault, FieldRef, FieldValue, Fields, KeyHash, RowDigest, Value};

use self::claims::claim;
pub(super) use self::claims::{Claims, KEY, MATCH_VALUE, REMOTE_ID, REMOVAL, parts};
use super::aside::Aside;
use super::doubt::{Decision, Doubt, in_doubt};
use super::standing::Standing;
use super::{
    Cause, DiffError, Op, OpKind, PlanCounts, PlanRequest, PlanSummary, PlanWriter, Recall, Resolve, RowMapper, Sibling,
};
use crate::snapshot::{Details, FieldHasher, UNKNOWN_FIELD};

/// Writes the plan, op by op, and counts.
pub(super) struct Judge<'a, R = Details<'a>> {
    /// The snapshot's.
    seed: u64,
    request: PlanRequest,
    mapper: &'a dyn RowMapper,
    pub(super) plan: PlanWriter,
    pub(super) counts: PlanCounts,
    /// What the snapshot remembers of records.
    pub(super) details: R,
    hasher: FieldHasher,
    /// For every mapped field its place among the snapshot's fields.
    columns: Vec<Option<usize>>,
    remembered: Vec<u32>,
    sent: u64,
    /// Other syncs that write to the same object.
    pub(super) siblings: &'a [Sibling],
    /// Who finds the records that rows refer to.
    pub(super) resolver: Option<&'a dyn Resolve>,
    /// Rows that wait to be told what they refer to.
    aside: Aside,
}

/// What is to be done with a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// It is decoded and judged.
    Decode,
    /// Nothing.
    Pass,
    /// It waits: for its next try, or for a decision.
    Wait,
}

/// A row that is to become an op.
pub(super) struct Candidate<'r> {
    /// Its hashes; the fingerprint storable.
    pub(super) digest: RowDigest,
    /// Its record in the snapshot.
    pub(super) found: Option<(u64, Standing)>,
    /// Canonical key bytes.
    pub(super) key: &'r [u8],
    /// Values in projection order.
    pub(super) record: &'r [Value],
    /// The row's fingerprint as its warehouse computes it, where the snapshot is a table there.
    pub(super) table_fingerprint: Option<u64>,
}

impl Judge<'_> {
    /// Reads what [`Judge::row`] will ask of these records, in the snapshot's order.
    pub(super) fn read_ahead(&mut self, found: impl Iterator<Item = (u64, Standing)>) -> Result<(), DiffError> {
        let looks_at_same = self.sends_all() || self.request.refresh.is_some();
        let needed = found.filter(|(_, standing)| looks_at_same || *standing != Standing::Same);
        Ok(self.details.read_ahead(needed.map(|(ordinal, _)| ordinal).collect())?)
    }
}

impl<'a, R: Recall> Judge<'a, R> {
    /// Judges against a snapshot with this seed and these fields, whose records `details` knows.
    pub(super) fn new(
        (seed, known): (u64, &[String]),
        details: R,
        request: PlanRequest,
        mapper: &'a dyn RowMapper,
        plan: PlanWriter,
    ) -> Self {
        Self {
            seed,
            request,
            mapper,
            plan,
            counts: PlanCounts::default(),
            details,
            hasher: FieldHasher::new(seed),
            columns: mapper.fields().iter().map(|name| known.iter().position(|k| k == name)).collect(),
            remembered: Vec::new(),
            sent: 0,
            siblings: &[],
            resolver: None,
            aside: Aside::default(),
        }
    }

    /// What was asked for.
    pub(super) fn request(&self) -> &PlanRequest {
        &self.request
    }

    /// Whether a row with this key is looked at; if not, it is counted as left alone.
    pub(super) fn is_asked_for(&mut self, key: &[u8]) -> bool {
        let asked = self.request.only.as_ref().is_none_or(|only| only.contains(&backhaul_kit::key::display(key)));
        if !asked {
            self.counts.left_alone += 1;
        }
        asked
    }

    /// What is to be done with the row; one that need not be decoded is counted as what it is.
    #[inline]
    pub(super) fn look(&mut self, standing: Option<Standing>, digest: RowDigest) -> Look {
        let sends_once = self.request.ignores_changed && !self.request.full;
        match standing {
            Some(Standing::Same) if self.sends_all() && !sends_once => return Look::Decode,
            Some(Standing::Same) if !self.is_due(digest.key) => {
                self.counts.unchanged += 1;
                return Look::Pass;
            }
            Some(Standing::Other) if sends_once => {
                self.counts.ignored += 1;
                return Look::Pass;
            }
            Some(Standing::InDoubt) if self.request.doubts.of_row(digest.key) == Doubt::Waits => {
                self.counts.in_doubt += 1;
                return Look::Wait;
            }
            _ => {}
        }
        let withheld = self.is_withheld(digest);
        self.counts.withheld += u64::from(withheld);
        if withheld { Look::Wait } else { Look::Decode }
    }

    /// Whether the key is sent again although nothing in its row has changed.
    fn is_due(&self, key: KeyHash) -> bool {
        self.request.refresh.is_some_and(|refresh| refresh.slices.contains(key))
    }

    /// Whether unchanged rows are looked at too.
    pub(super) fn sends_all(&self) -> bool {
        self.request.full || self.request.whole_set || self.request.remap
    }

    /// Whether the row was rejected as it is, and is not due.
    fn is_withheld(&self, digest: RowDigest) -> bool {
        let refused = self.request.withheld.get(&digest.key);
        refused.is_some_and(|fingerprint| crate::snapshot::storable(*fingerprint) == digest.fingerprint)
    }

    /// Whether siblings are asked for keys.
    fn is_netted_by_key(&self) -> bool {
        self.request.removal_by_key && !self.siblings.is_empty()
    }

    /// Whether the plan may send no more.
    fn is_full(&self) -> bool {
        self.request.max_rows.is_some_and(|max| self.sent >= max)
    }

    /// Notes a row of a growing model that waits: its key is not accepted, and is to be asked for again. Other models
    /// show all of their rows to every scan.
    pub(super) fn note_waiting(&mut self, digest: RowDigest, key: &[u8]) -> Result<(), DiffError> {
        if self.request.growing.is_some() {
            let key = Key::from_slice(key);
            self.plan.push(&Op::without_effect(key, digest))?;
        }
        Ok(())
    }

    /// Maps a row, compares it with what is remembered of its record, and writes its op; gives the number of an
    /// `Add`.
    pub(super) fn row(&mut self, row: &Candidate<'_>) -> Result<Option<u64>, DiffError> {
        if KeyHash::of(row.key, self.seed) != row.digest.key {
            return Err(Fault::bug("the source's key hash is not the hash of its key").into());
        }
        self.counts.new_keys += u64::from(matches!(row.found, None | Some((_, Standing::Never))));
        if self.is_full() {
            self.counts.postponed += 1;
            return Ok(None);
        }
        let ordinal = row.found.map(|(ordinal, _)| ordinal);
        let old_address = match ordinal {
            Some(ordinal) => self.details.address(ordinal)?,
            None => Address::default(),
        };
        let doubt = match row.found {
            Some((_, Standing::InDoubt)) => Some(self.request.doubts.of_row(row.digest.key)),
            _ => None,
        };
        let was_in_doubt = matches!(doubt, Some(Doubt::Is(Decision::Resend)));
        let mut op = Op {
            ordinal,
            table_fingerprint: row.table_fingerprint,
            old_address,
            was_in_doubt,
            ..Op::without_effect(Key::from_slice(row.key), row.digest)
        };
        if matches!(doubt, Some(Doubt::Waits | Doubt::Unlisted)) {
            return self.list(op).map(|()| None);
        }
        match self.mapper.map(row.record) {
            Err(reason) => op.reason = Some(Box::new(reason)),
            Ok(fields) if fields.len() != self.columns.len() => {
                return Err(Fault::bug("the mapper gave another number of fields than it names").into());
            }
            Ok(mut fields) => {
                let standing = row.found.map(|(_, standing)| standing);
                if let Some((ordinal, Standing::Same | Standing::Other)) = row.found {
                    self.details.fields(ordinal, &mut self.remembered)?;
                } else {
                    self.remembered.clear();
                }
                if self.refers(&fields) {
                    return self.put_aside(op, standing, fields).map(|()| None);
                }
                self.settle_nulls(&mut fields);
                self.decide(&mut op, standing, &fields);
            }
        }
        let number = self.write(&op)?;
        Ok((op.kind == OpKind::Add).then_some(number))
    }

    /// What a row becomes whose fields are known, and whose record's are in `remembered`.
    fn decide(&mut self, op: &mut Op, standing: Option<Standing>, fields: &[FieldValue]) {
        op.match_value = self.match_value(fields);
        op.kind = match standing {
            None | Some(Standing::Never) => OpKind::Add,
            Some(Standing::InDoubt) => match self.request.doubts.of_row(op.key_hash) {
                Doubt::Is(Decision::Absent) => OpKind::Add,
                Doubt::Is(Decision::Written(as_sent)) if crate::snapshot::storable(as_sent) == op.fingerprint => {
                    OpKind::Touch
                }
                // Where a lost call never arrived, the record still stands at its old address.
                _ => self.moved_or_changed(op),
            },
            Some(Standing::Same | Standing::Other) => self.compare(op, standing, fields),
        };
        op.fields = fields.iter().collect();
    }

    fn match_value(&self, fields: &[FieldValue]) -> Option<String> {
        if self.request.hashes {
            return self.mapper.hashes(fields);
        }
        let value = FieldRef::from(fields.get(self.request.match_field?)?).value()?;
        (!value.is_null()).then(|| value.to_text())
    }

    /// What an accepted record's row becomes; fills in which fields changed.
    fn compare(&mut self, op: &mut Op, standing: Option<Standing>, fields: &[FieldValue]) -> OpKind {
        let mut any_known = false;
        for (field, column) in fields.iter().zip(&self.columns) {
            let remembered = column.and_then(|c| self.remembered.get(c)).copied().unwrap_or(UNKNOWN_FIELD);
            any_known |= remembered != UNKNOWN_FIELD;
            op.changed.push(remembered != self.hasher.hash(field));
        }
        let any_changed = fields.is_empty() && standing == Some(Standing::Other) || op.changed.contains(&true);
        if !any_changed {
            op.changed.clear();
            let resend = self.request.full || self.request.whole_set || self.is_due(op.key_hash);
            return if resend { OpKind::Refresh } else { OpKind::Touch };
        }
        if !any_known {
            op.changed.clear();
        }
        self.moved_or_changed(op)
    }

    fn moved_or_changed(&self, op: &Op) -> OpKind {
        match (&op.old_address.match_value, &op.match_value) {
            (Some(old), Some(new)) if self.request.moves && old != new => OpKind::Move,
            _ => OpKind::Change,
        }
    }

    /// Writes and counts an op; gives its number.
    fn write(&mut self, op: &Op) -> Result<u64, DiffError> {
        let counts = &mut self.counts;
        *match op.kind {
            OpKind::Add => &mut counts.added,
            OpKind::Change => &mut counts.changed,
            OpKind::Move => &mut counts.moved,
            OpKind::Remove => &mut counts.removed,
            OpKind::Touch => &mut counts.touched,
            OpKind::Refresh => &mut counts.refreshed,
            OpKind::Forget => &mut counts.forgotten,
            OpKind::Reject => &mut counts.rejected,
        } += 1;
        if op.kind.is_sent() {
            self.sent += 1;
            counts.removed_for.add(op.cause);
            counts.repeats += u64::from(op.was_in_doubt && op.kind == OpKind::Change);
        }
        Ok(self.plan.push(op)?)
    }

    /// Puts a row in doubt on the list of those that wait for a decision.
    fn list(&mut self, op: Op) -> Result<(), DiffError> {
        self.counts.in_doubt += 1;
        self.plan.push(&Op { kind: OpKind::Reject, reason: Some(Box::new(in_doubt())), ..op })?;
        Ok(())
    }

    /// Writes the removal of a record whose key left the model, or whose row may not be sent: `Forget` where a live row
    /// claims its address.
    pub(super) fn removal(
        &mut self,
        ordinal: u64,
        was_in_doubt: bool,
        cause: Cause,
        live: &Claims,
    ) -> Result<(), DiffError> {
        let key = self.details.key(ordinal)?;
        if self.request.only.as_ref().is_some_and(|only| !only.contains(&backhaul_kit::key::display(&key))) {
            return Ok(());
        }
        let mut old_address = self.details.address(ordinal)?;
        let by_key = self.is_netted_by_key().then(|| claim(KEY, &key, self.seed));
        let claims = self.all_claims(&old_address).chain(by_key);
        let claimant = claims.filter_map(|claim| live.claimant(claim)).min();
        // A hash that a live row has too stays there; what only this one had goes.
        let claimant = claimant.filter(|_| !self.request.hashes || !self.leave_claimed(&mut old_address, live));
        let claimed = claimant.is_some();
        let key_hash = KeyHash::of(&key, self.seed);
        let doubt = match was_in_doubt {
            true => self.request.doubts.of_removal(key_hash),
            false => Doubt::Is(Decision::Resend),
        };
        if !claimed && doubt == Doubt::Waits {
            self.counts.in_doubt += 1;
            return Ok(());
        }
        // A removal that was made, and a record that was never written: there is nothing to remove.
        let gone = matches!(doubt, Doubt::Is(Decision::Absent | Decision::Written(REMOVAL)));
        let claimed = claimed || gone;
        if !claimed && self.request.withheld.get(&key_hash) == Some(&REMOVAL) {
            self.counts.withheld += 1;
            return Ok(());
        }
        if !claimed && self.is_full() && !cause.is_urgent() {
            self.counts.postponed += 1;
            return Ok(());
        }
        let op = Op {
            number: 0,
            kind: if claimed { OpKind::Forget } else { OpKind::Remove },
            ordinal: Some(ordinal),
            key_hash,
            key: key.into(),
            fingerprint: claimant.unwrap_or(REMOVAL),
            table_fingerprint: None,
            cause: if claimed { Cause::Left } else { cause },
            old_address,
            match_value: None,
            was_in_doubt,
            changed: Vec::new(),
            fields: Fields::default(),
            reason: None,
        };
        if !claimed && doubt == Doubt::Unlisted {
            return self.list(op);
        }
        self.write(&op)?;
        Ok(())
    }

    /// Ends the plan. Where the whole set is written again or not at all, a set without a change is not.
    pub(super) fn finish(mut self, proof: &str) -> Result<PlanSummary, DiffError> {
        let counts = &mut self.counts;
        if self.request.whole_set && counts.sent() == counts.refreshed && counts.refreshed > 0 {
            counts.unchanged += std::mem::take(&mut counts.refreshed);
            self.plan.drop_kind(OpKind::Refresh)?;
        }
        Ok(self.plan.finish(self.counts, proof)?)
    }
}
