//! The pass at the end of a scan: rows that waited meet the records of the snapshot. What has no record is new.
//!
//! Records that *were* seen are asked too: the row that waits then repeats their key.

use backhaul_kit::{Fault, KeyHash, RowDecoder};

use super::Differ;
use crate::diff::judge::{Candidate, Look};
use crate::diff::places::Places;
use crate::diff::spill::{Budget, Spill, Spilled, partition_of};
use crate::diff::standing::Standing;
use crate::diff::waiting::{Finding, Index, Rows, Waiting, WaitingRow};
use crate::diff::{DiffError, PlanError, PlanWriter};
use crate::snapshot::sealed::SealedKind;
use crate::snapshot::{Records, Snapshot};

const SUFFIX: &str = ".records";

impl Differ<'_> {
    /// Joins the rows that waited with the snapshot.
    pub(super) fn join(&mut self) -> Result<(), DiffError> {
        let nothing = Waiting::new(self.budget);
        let Some(waited) = std::mem::replace(&mut self.waiting, nothing).into_waited()? else { return Ok(()) };
        let decoder = waited.decoder.as_ref();
        match (waited.index, waited.rows) {
            (Some(index), rows) => self.join_index(index, rows, decoder),
            (None, Rows::Spilled(rows)) => self.join_partitions(&rows, decoder),
            (None, Rows::Held(_)) => Err(Fault::bug("rows without an index were not spilled").into()),
        }
    }

    /// One pass over the snapshot, with the hashes of all rows in memory.
    fn join_index(&mut self, mut index: Index, rows: Rows, decoder: &dyn RowDecoder) -> Result<(), DiffError> {
        let mut records = Records::new(self.snapshot);
        for ordinal in 0..self.snapshot.ordinals() {
            if let Some(record) = records.get(ordinal)?.filter(|record| record.key_hash != KeyHash::NULL) {
                index.meet(record.key_hash, ordinal, record.fingerprint, || self.seen.set(ordinal));
            }
        }
        let budget = self.budget;
        let mut batch = |pieces: &[Vec<u8>]| {
            let rows = pieces.iter().flat_map(|piece| WaitingRow::all(piece));
            let found = rows.map(|row| row.map(|row| (index.take(row.digest.key), row)));
            self.waited(found.collect::<Result<_, _>>()?, decoder)
        };
        match rows {
            Rows::Held(pieces) => batch(&pieces),
            Rows::Spilled(spilled) => {
                let pieces = (0..budget.partitions).flat_map(|partition| spilled.partition(partition));
                in_batches(pieces, budget.rows, batch)
            }
        }
    }

    /// One partition of rows and records after the other.
    fn join_partitions(&mut self, rows: &Spilled, decoder: &dyn RowDecoder) -> Result<(), DiffError> {
        let mut records = PartitionedRecords::new(self.snapshot, self.budget, &self.judge.plan)?;
        for partition in 0..self.budget.partitions {
            let mut known = records.partition(partition)?;
            in_batches(rows.partition(partition), self.budget.rows, |pieces| {
                let seen = &mut self.seen;
                let rows = pieces.iter().flat_map(|piece| WaitingRow::all(piece));
                let found = rows.map(|row| row.map(|row| (known.meet(&row, |ordinal| seen.set(ordinal)), row)));
                let found = found.collect::<Result<_, _>>()?;
                self.waited(found, decoder)
            })?;
        }
        Ok(())
    }

    /// Handles rows that waited, now that their records, or the absence of one, are known.
    fn waited(&mut self, found: Vec<(Finding, WaitingRow<'_>)>, decoder: &dyn RowDecoder) -> Result<(), DiffError> {
        for (_, row) in found.iter().filter(|(finding, _)| *finding == Finding::Repeated) {
            self.note_repeated(row.key);
        }
        if self.repeated_keys > 0 {
            // There will be no plan: what is left to find is how many there are.
            return Ok(());
        }
        let wanted = found.iter().filter(|(_, row)| row.refused.is_none());
        self.judge.read_ahead(wanted.filter_map(|(finding, _)| finding.record()))?;
        for (finding, WaitingRow { digest, arrival, refused, key, raw }) in found {
            let found = finding.record();
            if let Some(cause) = refused {
                self.turn_away(found, cause);
                continue;
            }
            if let (Some((ordinal, _)), Some(order)) = (found, &mut self.order) {
                order.record(ordinal, arrival)?;
            }
            let judge = &mut self.judge;
            if !judge.is_asked_for(key) {
                continue;
            }
            match judge.look(found.map(|(_, standing)| standing), digest) {
                Look::Pass => continue,
                Look::Wait => {
                    judge.note_waiting(digest, key)?;
                    continue;
                }
                Look::Decode => {}
            }
            let record = decoder.record(raw)?;
            let added = judge.row(&Candidate { digest, found, key, record: &record, table_fingerprint: None })?;
            if let (Some(op), None, Some(order)) = (added, found, &mut self.order) {
                order.add(op, arrival)?;
            }
        }
        Ok(())
    }
}

/// Gives pieces to `each`, about so many bytes at a time: what they ask of the snapshot is then read in its order.
fn in_batches(
    pieces: impl Iterator<Item = Result<Vec<u8>, PlanError>>,
    bytes: usize,
    mut each: impl FnMut(&[Vec<u8>]) -> Result<(), DiffError>,
) -> Result<(), DiffError> {
    let (mut batch, mut held) = (Vec::new(), 0);
    for piece in pieces {
        let piece = piece?;
        held += piece.len();
        batch.push(piece);
        if held >= bytes {
            each(&batch)?;
            batch.clear();
            held = 0;
        }
    }
    each(&batch)
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

    /// What is known of a row's key: its record if `first` says that no row was found for it before. A key without
    /// one is new, once.
    fn meet(&mut self, row: &WaitingRow<'_>, first: impl FnOnce(u64) -> bool) -> Finding {
        let (keys, key) = (&self.keys, row.digest.key);
        let Some(place) = self.places.find(key, |at| keys[at].0) else {
            self.record(key, NEW, 0);
            return Finding::New;
        };
        match self.keys[place] {
            (_, ordinal, stored) if ordinal != NEW && first(ordinal) => {
                Finding::Record(ordinal, Standing::of(stored, row.digest.fingerprint))
            }
            _ => Finding::Repeated,
        }
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
