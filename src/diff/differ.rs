//! Matching a scan with a snapshot, whatever the order of the rows; only speed depends on it.
//!
//! A row is looked for where the last one was found, then a few records further, then at the anchors. What
//! is found nowhere waits in the residue for one pass over the snapshot at the end. A row matches a record
//! only where their whole 128-bit key hashes are equal.

use backhaul_kit::{Fault, KeyHash, Proof, RowDigest, RowPage};

use super::judge::{Candidate, Judge};
use super::plan::PlanHeader;
use super::residue::{Residue, Waiting};
use super::seen::Seen;
use super::standing::Standing;
use super::{DiffError, PlanRequest, PlanSummary, PlanWriter, RowMapper};
use crate::snapshot::{Details, IN_DOUBT, NEVER_ACCEPTED, Records, Snapshot, SnapshotError, storable};

/// How many records beyond the expected one are looked at before the anchors are asked.
const LOOK_AHEAD: u64 = 16;
/// How many of the keys in question an error names.
const EXAMPLES: usize = 5;
/// So many rows of the residue are compared at a time: their records are read in the snapshot's order.
const BATCH: usize = if cfg!(test) { 64 } else { 64 << 10 };

/// Compares pages with a snapshot and writes the plan.
pub struct Differ<'a> {
    snapshot: &'a Snapshot,
    records: Records<'a>,
    judge: Judge<'a>,
    /// Where the next row is expected.
    cursor: u64,
    seen: Seen,
    residue: Residue,
    /// All key hashes, where the snapshot is empty and every row is new.
    first_load: Option<Vec<KeyHash>>,
    null_keys: u64,
    repeated_keys: u64,
    examples: Vec<Vec<u8>>,
    digests: Vec<RowDigest>,
    key: Vec<u8>,
}

impl<'a> Differ<'a> {
    /// Starts a plan against `snapshot`.
    ///
    /// # Errors
    /// The plan file cannot be made, or too little space is free.
    pub fn new(
        snapshot: &'a Snapshot,
        request: PlanRequest,
        mapper: &'a dyn RowMapper,
        mut plan: PlanWriter,
    ) -> Result<Self, DiffError> {
        let header = PlanHeader::new(snapshot.base_id(), snapshot.seed(), &request, mapper);
        plan.begin(header, request.min_free)?;
        Ok(Self {
            snapshot,
            records: Records::new(snapshot),
            judge: Judge::new((snapshot.seed(), snapshot.fields()), Details::new(snapshot), request, mapper, plan),
            cursor: 0,
            seen: Seen::new(snapshot.ordinals()),
            residue: Residue::default(),
            first_load: snapshot.is_empty().then(Vec::new),
            null_keys: 0,
            repeated_keys: 0,
            examples: Vec::new(),
            digests: Vec::new(),
            key: Vec::new(),
        })
    }

    /// Takes a page.
    ///
    /// # Errors
    /// The page or the snapshot cannot be read, or the plan cannot be written. Wrong keys are told by
    /// [`Differ::finish`], when all are known.
    pub fn page(&mut self, page: &dyn RowPage) -> Result<(), DiffError> {
        let mut digests = std::mem::take(&mut self.digests);
        digests.clear();
        page.digest(&mut digests)?;
        if digests.len() != page.rows() {
            return Err(Fault::bug("the source gave another number of digests than rows").into());
        }
        for (row, digest) in digests.iter().enumerate() {
            let digest = RowDigest { key: digest.key, fingerprint: storable(digest.fingerprint) };
            self.row(page, row, digest)?;
        }
        self.digests = digests;
        Ok(())
    }

    #[inline]
    fn row(&mut self, page: &dyn RowPage, row: usize, digest: RowDigest) -> Result<(), DiffError> {
        self.judge.counts.rows += 1;
        if digest.key == KeyHash::NULL {
            self.null_keys += 1;
            return Ok(());
        }
        if let Some(keys) = &mut self.first_load {
            keys.push(digest.key);
            return self.found(page, row, digest, None);
        }
        let Some((ordinal, stored)) = self.locate(digest.key)? else {
            return self.wait(page, row, digest);
        };
        if !self.seen.set(ordinal) {
            return self.repeated(page, row);
        }
        let standing = Standing::of(stored, digest.fingerprint);
        self.found(page, row, digest, Some((ordinal, standing)))
    }

    /// The record of a key and what is stored there, if it is where order or an anchor says.
    #[inline]
    fn locate(&mut self, key: KeyHash) -> Result<Option<(u64, u64)>, SnapshotError> {
        while let Some(record) = self.records.get(self.cursor)? {
            if record.key_hash == key {
                self.cursor += 1;
                return Ok(Some((self.cursor - 1, record.fingerprint)));
            }
            if record.key_hash != KeyHash::NULL {
                break;
            }
            // Removed records are stepped over for good.
            self.cursor += 1;
        }
        self.judge.counts.misses += 1;
        self.search(key)
    }

    #[cold]
    fn search(&mut self, key: KeyHash) -> Result<Option<(u64, u64)>, SnapshotError> {
        let near = self.cursor + 1..=self.cursor + LOOK_AHEAD;
        for ordinal in near.chain(self.records.anchor(key)) {
            match self.records.get(ordinal)? {
                Some(record) if record.key_hash == key => {
                    self.cursor = ordinal + 1;
                    return Ok(Some((ordinal, record.fingerprint)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Handles a row whose record, or its absence, is known.
    #[inline]
    fn found(
        &mut self,
        page: &dyn RowPage,
        row: usize,
        digest: RowDigest,
        found: Option<(u64, Standing)>,
    ) -> Result<(), DiffError> {
        if self.judge.request().only.is_some() {
            self.read_key(page, row)?;
            if !self.judge.is_asked_for(&self.key) {
                return Ok(());
            }
        }
        if !self.judge.needs_record(found.map(|(_, standing)| standing), digest) {
            return Ok(());
        }
        self.read_key(page, row)?;
        let record = page.record(row)?;
        self.judge.row(&Candidate { digest, found, key: &self.key, record: &record, table_fingerprint: None })
    }

    /// Puts a row into the residue.
    fn wait(&mut self, page: &dyn RowPage, row: usize, digest: RowDigest) -> Result<(), DiffError> {
        self.read_key(page, row)?;
        let record = page.record(row)?;
        Ok(self.residue.push(digest, &self.key, &record, &self.judge.plan)?)
    }

    #[cold]
    fn repeated(&mut self, page: &dyn RowPage, row: usize) -> Result<(), DiffError> {
        self.repeated_keys += 1;
        if self.examples.len() < EXAMPLES {
            self.read_key(page, row)?;
            if !self.examples.contains(&self.key) {
                self.examples.push(self.key.clone());
            }
        }
        Ok(())
    }

    fn read_key(&mut self, page: &dyn RowPage, row: usize) -> Result<(), Fault> {
        self.key.clear();
        page.key(row, &mut self.key)
    }

    /// Ends the plan of a scan that `proof` proves complete and whose source counts `scanned_rows`.
    ///
    /// # Errors
    /// Another number of rows came, keys are NULL or repeated, or a file cannot be read or written. No plan
    /// is left.
    pub fn finish(mut self, scanned_rows: u64, proof: &Proof) -> Result<PlanSummary, DiffError> {
        let seen = self.judge.counts.rows;
        if seen != scanned_rows {
            return Err(DiffError::Incomplete { seen, said: scanned_rows });
        }
        if self.null_keys > 0 {
            return Err(DiffError::NullKeys { rows: self.null_keys });
        }
        match self.first_load.take() {
            Some(keys) => self.check_first_load(keys)?,
            None => self.join()?,
        }
        if self.repeated_keys > 0 {
            return Err(DiffError::DuplicateKeys { count: self.repeated_keys, examples: self.examples });
        }
        if self.judge.request().removals {
            self.removals()?;
        }
        self.judge.finish(proof.0)
    }

    /// Looks for repeated keys where no record could tell.
    fn check_first_load(&mut self, mut keys: Vec<KeyHash>) -> Result<(), DiffError> {
        keys.sort_unstable();
        let repeated: Vec<KeyHash> = keys.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
        if !repeated.is_empty() {
            self.repeated_keys = repeated.len() as u64;
            let is_repeated = |op: &super::Op| repeated.binary_search(&op.key_hash).is_ok();
            self.examples = self.judge.plan.keys(is_repeated, EXAMPLES)?;
        }
        Ok(())
    }

    /// One pass over the snapshot joins the residue with the records that were not seen; what is left of it
    /// is new. Records that *were* seen are asked too: the row that waits then repeats their key.
    fn join(&mut self) -> Result<(), DiffError> {
        if self.residue.is_empty() {
            return Ok(());
        }
        let mut index = std::mem::take(&mut self.residue).into_index()?;
        for ordinal in 0..self.snapshot.ordinals() {
            let Some(record) = self.records.get(ordinal)?.filter(|r| r.key_hash != KeyHash::NULL) else { continue };
            let Some(place) = index.find(record.key_hash) else { continue };
            if self.seen.set(ordinal) {
                let standing = Standing::of(record.fingerprint, index.digest(place).fingerprint);
                index.set(place, Waiting::Found(ordinal, standing));
            } else {
                index.repeat(place);
            }
        }
        self.repeated_keys += index.repeated();
        if self.repeated_keys > 0 {
            let wanted = EXAMPLES - self.examples.len();
            let keys = index.repeated_keys(EXAMPLES)?;
            let new: Vec<_> = keys.into_iter().filter(|key| !self.examples.contains(key)).take(wanted).collect();
            self.examples.extend(new);
            return Ok(());
        }
        index.end_finding();
        let judge = &mut self.judge;
        index.read(|place, (digest, waiting), row| {
            if place.is_multiple_of(BATCH) {
                judge.read_ahead(index.found(place, BATCH))?;
            }
            let found = match waiting {
                Waiting::Done => return Ok(()),
                Waiting::New => None,
                Waiting::Found(ordinal, standing) => Some((ordinal, standing)),
            };
            if !judge.is_asked_for(row.key) || !judge.needs_record(found.map(|(_, standing)| standing), digest) {
                return Ok(());
            }
            let record = row.record().ok_or_else(|| index.damaged())?;
            judge.row(&Candidate { digest, found, key: row.key, record: &record, table_fingerprint: None })
        })
    }

    /// Writes what left the model, by ordinal.
    fn removals(&mut self) -> Result<(), DiffError> {
        let ordinals = self.snapshot.ordinals();
        let mut gone = Vec::new();
        for ordinal in self.seen.unset() {
            let record = self.records.get(ordinal)?.filter(|record| record.key_hash != KeyHash::NULL);
            if record.is_some_and(|record| record.fingerprint != NEVER_ACCEPTED) {
                gone.push(ordinal);
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        let live = (0..ordinals).filter(|ordinal| self.seen.get(*ordinal));
        let claims = self.judge.claims(&gone, live)?;
        for ordinal in gone {
            if let Some(record) = self.records.get(ordinal)? {
                self.judge.removal(ordinal, record.fingerprint == IN_DOUBT, &claims)?;
            }
        }
        Ok(())
    }
}
