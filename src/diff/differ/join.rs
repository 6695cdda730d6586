//! The pass at the end of a scan: rows that waited meet the records of the snapshot. What has no record is new.
//!
//! Records that *were* seen are asked too: the row that waits then repeats their key.

use backhaul_kit::{KeyHash, RowDecoder, RowDigest};

use super::Differ;
use crate::diff::judge::Candidate;
use crate::diff::places::Places;
use crate::diff::spill::{Budget, Spill, Spilled, partition_of};
use crate::diff::standing::Standing;
use crate::diff::waiting::{Body, Finding, HeldRows, Waited, take_spilled};
use crate::diff::{DiffError, PlanWriter};
use crate::snapshot::sealed::SealedKind;
use crate::snapshot::{Records, Snapshot};

/// So many rows in memory are compared at a time: their records are read in the snapshot's order.
const ROWS_AT_ONCE: usize = if cfg!(test) { 64 } else { 64 << 10 };
const SUFFIX: &str = ".records";

impl Differ<'_> {
    /// Joins the rows that waited with the snapshot.
    pub(super) fn join(&mut self) -> Result<(), DiffError> {
        let nothing = super::Waiting::new(self.budget);
        match std::mem::replace(&mut self.waiting, nothing).into_waited()? {
            None => Ok(()),
            Some(Waited::Held(rows, decoder)) => self.join_held(rows, decoder.as_ref()),
            Some(Waited::Spilled(rows, decoder)) => self.join_spilled(&rows, decoder.as_ref()),
        }
    }

    /// One pass over the snapshot, with all rows in memory.
    fn join_held(&mut self, mut rows: HeldRows, decoder: &dyn RowDecoder) -> Result<(), DiffError> {
        let mut records = Records::new(self.snapshot);
        for ordinal in 0..self.snapshot.ordinals() {
            let Some(record) = records.get(ordinal)?.filter(|r| r.key_hash != KeyHash::NULL) else { continue };
            let Some(place) = rows.find(record.key_hash) else { continue };
            if self.seen.set(ordinal) {
                rows.set(place, Finding::Record(ordinal, Standing::of(record.fingerprint, rows.fingerprint(place))));
            } else {
                rows.set(place, Finding::Repeated);
            }
        }
        if rows.repeated() > 0 {
            return rows.read(|_, _, finding, body| {
                if finding == Finding::Repeated {
                    self.note_repeated(body.key);
                }
                Ok(())
            });
        }
        rows.end_finding();
        rows.read(|place, digest, finding, body| {
            if place.is_multiple_of(ROWS_AT_ONCE) {
                self.judge.read_ahead(rows.findings(place, ROWS_AT_ONCE).filter_map(record_of))?;
            }
            self.waited(digest, finding, &body, decoder)
        })
    }

    /// One partition of rows and records after the other.
    fn join_spilled(&mut self, rows: &Spilled, decoder: &dyn RowDecoder) -> Result<(), DiffError> {
        let mut records = PartitionedRecords::new(self.snapshot, self.budget, &self.judge.plan)?;
        for partition in 0..self.budget.partitions {
            let mut known = records.partition(partition)?;
            let (mut chunks, mut bytes) = (Vec::new(), 0);
            let mut pieces = rows.partition(partition).peekable();
            while let Some(chunk) = pieces.next() {
                let chunk = chunk?;
                bytes += chunk.len();
                chunks.push(chunk);
                if bytes >= self.budget.rows || pieces.peek().is_none() {
                    self.join_chunks(&chunks, &mut known, rows, decoder)?;
                    chunks.clear();
                    bytes = 0;
                }
            }
        }
        Ok(())
    }

    fn join_chunks(
        &mut self,
        chunks: &[Vec<u8>],
        known: &mut Known,
        rows: &Spilled,
        decoder: &dyn RowDecoder,
    ) -> Result<(), DiffError> {
        let mut found = Vec::new();
        for chunk in chunks {
            let mut rest = chunk.as_slice();
            while !rest.is_empty() {
                let (digest, body) = take_spilled(&mut rest).ok_or_else(|| rows.damaged())?;
                let finding = match known.meet(digest.key) {
                    None => Finding::New,
                    Some((ordinal, stored)) if ordinal != NEW && self.seen.set(ordinal) => {
                        Finding::Record(ordinal, Standing::of(stored, digest.fingerprint))
                    }
                    Some(_) => {
                        self.note_repeated(body.key);
                        Finding::Repeated
                    }
                };
                found.push((digest, finding, body));
            }
        }
        if self.repeated_keys > 0 {
            // There will be no plan: what is left to find is how many there are.
            return Ok(());
        }
        self.judge.read_ahead(found.iter().filter_map(|(_, finding, _)| record_of(*finding)))?;
        for (digest, finding, body) in found {
            self.waited(digest, finding, &body, decoder)?;
        }
        Ok(())
    }

    /// Handles a row that waited, now that its record or its absence is known.
    fn waited(
        &mut self,
        digest: RowDigest,
        finding: Finding,
        body: &Body<'_>,
        decoder: &dyn RowDecoder,
    ) -> Result<(), DiffError> {
        let found = record_of(finding);
        if let (Some((ordinal, _)), Some(order)) = (found, &mut self.order) {
            order.record(ordinal, body.arrival)?;
        }
        let judge = &mut self.judge;
        let standing = found.map(|(_, standing)| standing);
        if finding == Finding::Repeated || !judge.is_asked_for(body.key) || !judge.needs_record(standing, digest) {
            return Ok(());
        }
        let record = decoder.record(body.raw)?;
        let added = judge.row(&Candidate { digest, found, key: body.key, record: &record })?;
        if let (Some(op), None, Some(order)) = (added, found, &mut self.order) {
            order.add(op, body.arrival)?;
        }
        Ok(())
    }
}

fn record_of(finding: Finding) -> Option<(u64, Standing)> {
    match finding {
        Finding::Record(ordinal, standing) => Some((ordinal, standing)),
        Finding::New | Finding::Repeated => None,
    }
}

/// Stands for the ordinal of a key that the snapshot does not have.
const NEW: u64 = u64::MAX;

/// The keys of one partition: records of the snapshot, and new rows.
#[derive(Default)]
struct Known {
    /// Key hash, ordinal, what is stored.
    keys: Vec<(KeyHash, u64, u64)>,
    places: Places,
}

impl Known {
    fn record(&mut self, key: KeyHash, ordinal: u64, stored: u64) {
        self.keys.push((key, ordinal, stored));
        let (keys, place) = (&self.keys, self.keys.len() - 1);
        // No two records have one key.
        let _ = self.places.insert(key, place, |at| keys[at].0);
    }

    /// The record of a row's key; a key without one is new from now on.
    fn meet(&mut self, key: KeyHash) -> Option<(u64, u64)> {
        let keys = &self.keys;
        if let Some(place) = self.places.find(key, |at| keys[at].0) {
            let (_, ordinal, stored) = self.keys[place];
            return Some((ordinal, stored));
        }
        self.record(key, NEW, 0);
        None
    }
}

/// The records of a snapshot by partition of the key hash. A base that stands in the order of the hashes is read as
/// it is; all others, and what came since, go through a spill file.
struct PartitionedRecords<'s> {
    records: Records<'s>,
    partitions: usize,
    /// The next record of a base in the order of hashes.
    next: u64,
    in_order: u64,
    spilled: Spilled,
}

impl<'s> PartitionedRecords<'s> {
    fn new(snapshot: &'s Snapshot, budget: Budget, beside: &PlanWriter) -> Result<Self, DiffError> {
        let mut records = Records::new(snapshot);
        let in_order = if snapshot.by_hash() { snapshot.base_records() } else { 0 };
        let mut spill = Spill::new(beside.scratch(SUFFIX, SealedKind::Spill)?, budget);
        for ordinal in in_order..snapshot.ordinals() {
            let Some(record) = records.get(ordinal)?.filter(|r| r.key_hash != KeyHash::NULL) else { continue };
            spill.push(record.key_hash, |out| {
                out.extend_from_slice(&record.key_hash.0.to_le_bytes());
                out.extend_from_slice(&ordinal.to_le_bytes());
                out.extend_from_slice(&record.fingerprint.to_le_bytes());
            })?;
        }
        Ok(Self { records, partitions: budget.partitions, next: 0, in_order, spilled: spill.into_reader()? })
    }

    /// The records of a partition; to be asked for in ascending order.
    fn partition(&mut self, partition: usize) -> Result<Known, DiffError> {
        let mut known = Known::default();
        while self.next < self.in_order {
            if let Some(record) = self.records.get(self.next)?.filter(|r| r.key_hash != KeyHash::NULL) {
                if partition_of(record.key_hash, self.partitions) > partition {
                    break;
                }
                known.record(record.key_hash, self.next, record.fingerprint);
            }
            self.next += 1;
        }
        for chunk in self.spilled.partition(partition) {
            let chunk = chunk?;
            let (records, rest) = chunk.as_chunks::<32>();
            if !rest.is_empty() {
                return Err(self.spilled.damaged().into());
            }
            for record in records {
                let part = |at: usize| u64::from_le_bytes(std::array::from_fn(|byte| record[at + byte]));
                let key = KeyHash(u128::from(part(0)) | u128::from(part(8)) << 64);
                known.record(key, part(16), part(24));
            }
        }
        Ok(known)
    }
}
