//! What a row, or a record without a row, becomes in the plan.

use backhaul_kit::key::Key;
use backhaul_kit::{Address, Fault, FieldValue, Fields, KeyHash, RowDigest, Value};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::standing::Standing;
use super::{DiffError, Op, OpKind, PlanCounts, PlanRequest, PlanWriter, RowMapper};
use crate::snapshot::{Details, FieldHasher, Snapshot, SnapshotError, UNKNOWN_FIELD};

/// Writes the plan, op by op, and counts.
pub(super) struct Judge<'a> {
    snapshot: &'a Snapshot,
    request: PlanRequest,
    mapper: &'a dyn RowMapper,
    pub(super) plan: PlanWriter,
    pub(super) counts: PlanCounts,
    details: Details<'a>,
    hasher: FieldHasher,
    /// For every mapped field its place among the snapshot's fields.
    columns: Vec<Option<usize>>,
    remembered: Vec<u32>,
    /// Hashes of the match values that rows of the plan claim.
    claims: Vec<u64>,
    sent: u64,
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
}

impl<'a> Judge<'a> {
    pub(super) fn new(
        snapshot: &'a Snapshot,
        request: PlanRequest,
        mapper: &'a dyn RowMapper,
        plan: PlanWriter,
    ) -> Self {
        let known = snapshot.fields();
        Self {
            snapshot,
            request,
            mapper,
            plan,
            counts: PlanCounts::default(),
            details: Details::new(snapshot),
            hasher: FieldHasher::new(snapshot.seed()),
            columns: mapper.fields().iter().map(|name| known.iter().position(|k| k == name)).collect(),
            remembered: Vec::new(),
            claims: Vec::new(),
            sent: 0,
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

    /// Whether the row must be decoded; if not, it is counted as what it is.
    #[inline]
    pub(super) fn needs_record(&mut self, standing: Option<Standing>, digest: RowDigest) -> bool {
        if standing == Some(Standing::Same) {
            let sends_all = self.sends_all();
            self.counts.unchanged += u64::from(!sends_all);
            return sends_all;
        }
        let withheld = self.is_withheld(digest);
        self.counts.withheld += u64::from(withheld);
        !withheld
    }

    /// Whether unchanged rows are looked at too.
    fn sends_all(&self) -> bool {
        self.request.full || self.request.whole_set || self.request.remap
    }

    /// Whether the row was rejected as it is, and is not due.
    fn is_withheld(&self, digest: RowDigest) -> bool {
        let refused = self.request.withheld.get(&digest.key);
        refused.is_some_and(|fingerprint| crate::snapshot::storable(*fingerprint) == digest.fingerprint)
    }

    /// Whether the plan may send no more.
    fn is_full(&self) -> bool {
        self.request.max_rows.is_some_and(|max| self.sent >= max)
    }

    /// Reads what [`Judge::row`] will ask of these records, in the snapshot's order.
    pub(super) fn read_ahead(&mut self, found: impl Iterator<Item = (u64, Standing)>) -> Result<(), DiffError> {
        let sends_all = self.sends_all();
        let needed = found.filter(|(_, standing)| sends_all || *standing != Standing::Same);
        Ok(self.details.read_ahead(needed.map(|(ordinal, _)| ordinal).collect())?)
    }

    /// Maps a row, compares it with what is remembered of its record, and writes its op.
    pub(super) fn row(&mut self, row: &Candidate<'_>) -> Result<(), DiffError> {
        if KeyHash::of(row.key, self.snapshot.seed()) != row.digest.key {
            return Err(Fault::bug("the source's key hash is not the hash of its key").into());
        }
        if self.is_full() {
            self.counts.postponed += 1;
            return Ok(());
        }
        let ordinal = row.found.map(|(ordinal, _)| ordinal);
        let old_address = match ordinal {
            Some(ordinal) => self.details.address(ordinal)?,
            None => Address::default(),
        };
        let was_in_doubt = matches!(row.found, Some((_, Standing::InDoubt)));
        let mut op = Op {
            number: 0,
            kind: OpKind::Reject,
            ordinal,
            key: Key::from_slice(row.key),
            key_hash: row.digest.key,
            fingerprint: row.digest.fingerprint,
            old_address,
            match_value: None,
            was_in_doubt,
            changed: Vec::new(),
            fields: Fields::default(),
            reason: None,
        };
        match self.mapper.map(row.record) {
            Err(reason) => op.reason = Some(Box::new(reason)),
            Ok(fields) if fields.len() != self.columns.len() => {
                return Err(Fault::bug("the mapper gave another number of fields than it names").into());
            }
            Ok(fields) => {
                op.match_value = self.match_value(&fields);
                op.kind = match row.found {
                    None | Some((_, Standing::Never)) => OpKind::Add,
                    Some((_, Standing::InDoubt)) => OpKind::Change,
                    Some((ordinal, Standing::Same | Standing::Other)) => {
                        self.compare(&mut op, ordinal, row.found.map(|(_, standing)| standing), &fields)?
                    }
                };
                op.fields = fields.as_slice().into();
            }
        }
        if self.request.keep_address && self.request.removals {
            self.claims.extend(op.match_value.as_ref().map(|value| self.claim(MATCH_VALUE, value)));
        }
        self.write(&op)
    }

    fn match_value(&self, fields: &[FieldValue]) -> Option<String> {
        let value = fields.get(self.request.match_field?)?.value()?;
        (!value.is_null()).then(|| value.to_text())
    }

    /// What an accepted record's row becomes; fills in which fields changed.
    fn compare(
        &mut self,
        op: &mut Op,
        ordinal: u64,
        standing: Option<Standing>,
        fields: &[FieldValue],
    ) -> Result<OpKind, SnapshotError> {
        self.details.fields(ordinal, &mut self.remembered)?;
        let mut any_known = false;
        for (field, column) in fields.iter().zip(&self.columns) {
            let remembered = column.and_then(|c| self.remembered.get(c)).copied().unwrap_or(UNKNOWN_FIELD);
            any_known |= remembered != UNKNOWN_FIELD;
            op.changed.push(remembered != self.hasher.hash(field));
        }
        let any_changed = fields.is_empty() && standing == Some(Standing::Other) || op.changed.contains(&true);
        if !any_changed {
            op.changed.clear();
            let resend = self.request.full || self.request.whole_set;
            return Ok(if resend { OpKind::Refresh } else { OpKind::Touch });
        }
        if !any_known {
            op.changed.clear();
        }
        let moved = match (&op.old_address.match_value, &op.match_value) {
            (Some(old), Some(new)) => self.request.moves && old != new,
            _ => false,
        };
        Ok(if moved { OpKind::Move } else { OpKind::Change })
    }

    /// Writes and counts an op.
    fn write(&mut self, op: &Op) -> Result<(), DiffError> {
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
            counts.repeats += u64::from(op.was_in_doubt);
        }
        self.plan.push(op)?;
        Ok(())
    }

    /// Writes the removal of a record whose key left the model: `Forget` where a live row claims its address.
    pub(super) fn removal(&mut self, ordinal: u64, was_in_doubt: bool, live: &Claims) -> Result<(), DiffError> {
        let key = self.details.key(ordinal)?;
        if self.request.only.as_ref().is_some_and(|only| !only.contains(&backhaul_kit::key::display(&key))) {
            return Ok(());
        }
        let old_address = self.details.address(ordinal)?;
        let claimed = self.claims_of(&old_address).iter().flatten().any(|claim| live.0.binary_search(claim).is_ok());
        let key_hash = KeyHash::of(&key, self.snapshot.seed());
        if !claimed && self.request.withheld.get(&key_hash) == Some(&REMOVAL) {
            self.counts.withheld += 1;
            return Ok(());
        }
        if !claimed && self.is_full() {
            self.counts.postponed += 1;
            return Ok(());
        }
        let op = Op {
            number: 0,
            kind: if claimed { OpKind::Forget } else { OpKind::Remove },
            ordinal: Some(ordinal),
            key_hash,
            key: key.into(),
            fingerprint: REMOVAL,
            old_address,
            match_value: None,
            was_in_doubt,
            changed: Vec::new(),
            fields: Fields::default(),
            reason: None,
        };
        self.write(&op)
    }

    /// Which addresses of the records in `gone` are claimed by a live row: one of the plan, or a record in
    /// `live`. Deleting such an address would delete the row that now has it.
    pub(super) fn claims(&mut self, gone: &[u64], live: impl Iterator<Item = u64>) -> Result<Claims, DiffError> {
        let mut leaving = Vec::new();
        if self.request.keep_address {
            for ordinal in gone {
                let address = self.details.address(*ordinal)?;
                leaving.extend(self.claims_of(&address).into_iter().flatten());
            }
            leaving.sort_unstable();
        }
        let mut claimed = std::mem::take(&mut self.claims);
        claimed.retain(|claim| leaving.binary_search(claim).is_ok());
        for ordinal in live.take_while(|_| !leaving.is_empty()) {
            let address = self.details.address(ordinal)?;
            let claims = self.claims_of(&address).into_iter().flatten();
            claimed.extend(claims.filter(|claim| leaving.binary_search(claim).is_ok()));
        }
        claimed.sort_unstable();
        Ok(Claims(claimed))
    }

    fn claims_of(&self, address: &Address) -> [Option<u64>; 2] {
        [
            address.match_value.as_ref().map(|value| self.claim(MATCH_VALUE, value)),
            address.remote_id.as_ref().map(|id| self.claim(REMOTE_ID, id)),
        ]
    }

    fn claim(&self, kind: u64, text: &str) -> u64 {
        xxh3_64_with_seed(text.as_bytes(), self.snapshot.seed() ^ kind)
    }
}

/// What stands for the fingerprint in the removal of a row, and in its reject.
const REMOVAL: u64 = 0;
const MATCH_VALUE: u64 = 1;
const REMOTE_ID: u64 = 2;

/// Hashes of the addresses that live rows claim among those of records that leave, sorted.
pub(super) struct Claims(Vec<u64>);
