//! A comparison that the warehouse has made with its snapshot table → a plan.
//!
//! Which rows are new, changed or gone is known already; what becomes of them is judged as ever.

use backhaul_kit::value::{put_bytes, put_varint, take_bytes, take_varint};
use backhaul_kit::{Address, ComparedPage, Fault, Gone, KeyHash, Proof, Recorded, RowDigest};

use super::aside::Aside;
use super::judge::{Candidate, Judge, Look};
use super::plan::PlanHeader;
use super::standing::Standing;
use super::{Cause, DiffError, PlanError, PlanRequest, PlanSummary, PlanWriter, Recall, Resolve, RowMapper};
use crate::snapshot::{FileError, SnapshotError, UNKNOWN_FIELD, storable};

/// How many of the keys in question an error names.
const EXAMPLES: usize = 5;
const SUFFIX: &str = ".gone";

/// The state of a snapshot table, as far as comparing needs it.
#[derive(Clone, Debug)]
pub struct TableSnapshot {
    /// Names the state.
    pub base_id: String,
    /// The seed of all hashes.
    pub seed: u64,
    /// Names of the mapped fields whose hashes are remembered.
    pub fields: Vec<String>,
    /// What the fingerprints of this comparison are made with.
    pub fingerprints: String,
}

/// Writes the plan of a comparison.
pub struct TableDiffer<'a> {
    seed: u64,
    judge: Judge<'a, Held>,
    /// Records that the pages and the rest have spoken of.
    met: u64,
    gone: Aside,
    /// Claims of records without a row: ours and the warehouse's hash of the same address.
    leaving: Vec<(u64, u64)>,
    /// The warehouse's hashes of claims that live records hold too.
    shared: Vec<u64>,
    null_keys: u64,
    repeated_keys: u64,
    examples: Vec<Vec<u8>>,
}

/// What is remembered of the record at hand.
#[derive(Default)]
struct Held {
    key: Vec<u8>,
    address: Address,
    fields: Vec<u32>,
}

impl Recall for Held {
    fn key(&mut self, _ordinal: u64) -> Result<Vec<u8>, SnapshotError> {
        Ok(self.key.clone())
    }

    fn address(&mut self, _ordinal: u64) -> Result<Address, SnapshotError> {
        Ok(self.address.clone())
    }

    fn fields(&mut self, _ordinal: u64, out: &mut Vec<u32>) -> Result<(), SnapshotError> {
        out.clone_from(&self.fields);
        Ok(())
    }
}

impl<'a> TableDiffer<'a> {
    /// Starts a plan.
    ///
    /// # Errors
    /// The plan file cannot be made, or too little space is free.
    pub fn new(
        snapshot: &TableSnapshot,
        request: PlanRequest,
        mapper: &'a dyn RowMapper,
        mut plan: PlanWriter,
    ) -> Result<Self, DiffError> {
        let mut header = PlanHeader::new(&snapshot.base_id, snapshot.seed, &request, mapper);
        header.table_fingerprints = Some(snapshot.fingerprints.clone());
        plan.begin(header, request.min_free)?;
        let held = Held { fields: vec![UNKNOWN_FIELD; snapshot.fields.len()], ..Held::default() };
        Ok(Self {
            seed: snapshot.seed,
            judge: Judge::new((snapshot.seed, &snapshot.fields), held, request, mapper, plan),
            met: 0,
            gone: Aside::default(),
            leaving: Vec::new(),
            shared: Vec::new(),
            null_keys: 0,
            repeated_keys: 0,
            examples: Vec::new(),
        })
    }

    /// Has this one find the records that rows refer to.
    #[must_use]
    pub fn referring(mut self, resolver: &'a dyn Resolve) -> Self {
        self.judge.resolver = Some(resolver);
        self
    }

    /// Takes rows that are new or differ, or all of them.
    ///
    /// # Errors
    /// The page cannot be read, the table was edited, or the plan cannot be written.
    pub fn page(&mut self, page: &ComparedPage) -> Result<(), DiffError> {
        let mut digests = Vec::with_capacity(page.marks.len());
        page.rows.digest(&mut digests)?;
        if digests.len() != page.marks.len() {
            return Err(Fault::bug("the source gave another number of digests than marks").into());
        }
        let mut key = Vec::new();
        for (row, (digest, mark)) in digests.iter().zip(&page.marks).enumerate() {
            self.judge.counts.rows += 1;
            if digest.key == KeyHash::NULL {
                self.null_keys += 1;
                continue;
            }
            key.clear();
            page.rows.key(row, &mut key)?;
            if mark.repeated {
                self.repeated_keys += 1;
                if self.examples.len() < EXAMPLES && !self.examples.contains(&key) {
                    self.examples.push(key.clone());
                }
                continue;
            }
            let digest = RowDigest { key: digest.key, fingerprint: storable(digest.fingerprint) };
            let found = match &mark.record {
                None => None,
                Some(record) => Some((self.meet(digest.key, record)?, standing(record, mark.fingerprint))),
            };
            let wanted = self.judge.is_asked_for(&key);
            if !wanted || self.judge.look(found.map(|(_, standing)| standing), digest) != Look::Decode {
                continue;
            }
            self.hold(mark.record.as_ref(), &key)?;
            let record = page.rows.record(row)?;
            let table_fingerprint = Some(mark.fingerprint);
            self.judge.row(&Candidate { digest, found, key: &key, record: &record, table_fingerprint })?;
        }
        Ok(())
    }

    /// Gives a record its number, once it is sure that it is the key's.
    fn meet(&mut self, key: KeyHash, record: &Recorded) -> Result<u64, DiffError> {
        if record.check != key.0 as u64 {
            return Err(edited("the key of a record was changed").into());
        }
        self.met += 1;
        Ok(self.met - 1)
    }

    fn hold(&mut self, record: Option<&Recorded>, key: &[u8]) -> Result<(), DiffError> {
        let held = &mut self.judge.details;
        held.key.clear();
        held.key.extend_from_slice(key);
        held.address = record.map(|record| record.address.clone()).unwrap_or_default();
        match record.and_then(|record| record.fields.as_deref()) {
            None => held.fields.fill(UNKNOWN_FIELD),
            Some(bytes) if bytes.len() == 4 * held.fields.len() => {
                for (hash, bytes) in held.fields.iter_mut().zip(bytes.chunks_exact(4)) {
                    *hash = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
                }
            }
            Some(_) => return Err(edited("a record has hashes of other fields").into()),
        }
        Ok(())
    }

    /// Takes records without a row.
    ///
    /// # Errors
    /// The table was edited, or a scratch file cannot be written.
    pub fn gone(&mut self, records: &[Gone]) -> Result<(), DiffError> {
        for gone in records {
            let number = self.meet(KeyHash::of(&gone.key, self.seed), &gone.record)?;
            let ours = self.judge.claims_of(&gone.record.address);
            self.leaving.extend(ours.into_iter().zip(gone.claims).filter_map(|(ours, theirs)| ours.zip(theirs)));
            put_aside(&mut self.gone, number, gone, &self.judge.plan)?;
        }
        Ok(())
    }

    /// Takes claims of records without a row that live records hold too, as the warehouse hashes them.
    pub fn shared(&mut self, claims: &[u64]) {
        self.shared.extend_from_slice(claims);
    }

    /// Ends the plan of a comparison that `proof` proves complete, of a table with so many `records`, so many of
    /// them without a row.
    ///
    /// # Errors
    /// The counts do not fit, keys are NULL or repeated, or a file cannot be read or written. No plan is left.
    pub fn finish(mut self, records: u64, gone: u64, proof: &Proof) -> Result<PlanSummary, DiffError> {
        if self.null_keys > 0 {
            return Err(DiffError::NullKeys { rows: self.null_keys });
        }
        if self.repeated_keys > 0 {
            return Err(DiffError::DuplicateKeys { count: self.repeated_keys, examples: self.examples });
        }
        let spoken_of = if self.judge.request().removals { self.met } else { self.met + gone };
        let equal = records.checked_sub(spoken_of).filter(|equal| *equal == 0 || !self.judge.sends_all());
        let equal = equal.ok_or(DiffError::Incomplete { seen: spoken_of, said: records })?;
        // Rows that never left the warehouse: no two of them have one key, and each has its record.
        let asked_for_some = self.judge.request().only.is_some();
        let counts = &mut self.judge.counts;
        counts.rows += equal;
        *(if asked_for_some { &mut counts.left_alone } else { &mut counts.unchanged }) += equal;
        counts.left = gone;
        self.judge.refer()?;
        if self.judge.request().removals && self.judge.request().removes_left {
            self.removals()?;
        }
        self.judge.finish(proof.words())
    }

    /// Writes what left the model.
    fn removals(&mut self) -> Result<(), DiffError> {
        self.shared.sort_unstable();
        let shared = |theirs: &u64| self.shared.binary_search(theirs).is_ok();
        let claimed = self.leaving.iter().filter(|(_, theirs)| shared(theirs)).map(|(ours, _)| *ours).collect();
        let mut leaving: Vec<u64> = std::mem::take(&mut self.leaving).into_iter().map(|(ours, _)| ours).collect();
        leaving.sort_unstable();
        let claims = self.judge.claims_told(&leaving, claimed)?;
        let judge = &mut self.judge;
        each_of(std::mem::take(&mut self.gone), |number, in_doubt, key, address| {
            judge.details = Held { key, address, fields: Vec::new() };
            judge.removal(number, in_doubt, Cause::Left, &claims)
        })
    }
}

fn standing(record: &Recorded, fingerprint: u64) -> Standing {
    if record.in_doubt {
        Standing::InDoubt
    } else if record.fingerprint == Some(fingerprint) {
        Standing::Same
    } else {
        Standing::Other
    }
}

fn edited(what: &str) -> Fault {
    Fault::config(format!("the snapshot table does not hold what backhaul wrote: {what}; nothing was sent")).remedy(
        "restore the schema of snapshots and the state folder from backups of one moment; without them \
         `backhaul state rebuild SYNC --yes`: every row is then sent again, and rows that left the model are not \
         removed",
    )
}

/// Puts a record without a row aside, until it is known which addresses live rows claim.
fn put_aside(aside: &mut Aside, number: u64, gone: &Gone, beside: &PlanWriter) -> Result<(), PlanError> {
    aside.push(beside, SUFFIX, |out| {
        put_varint(number, out);
        put_bytes(&gone.key, out);
        out.push(u8::from(gone.record.in_doubt));
        gone.record.address.encode(out);
    })
}

/// Hands over number, doubt, key and address of every record, in the order in which they came.
fn each_of(
    aside: Aside,
    mut each: impl FnMut(u64, bool, Vec<u8>, Address) -> Result<(), DiffError>,
) -> Result<(), DiffError> {
    for piece in aside.into_reader()?.pieces() {
        let piece = piece?;
        let mut rest = piece.as_slice();
        while !rest.is_empty() {
            let (number, in_doubt, key, address) = take(&mut rest)
                .ok_or_else(|| FileError::damaged(std::path::Path::new(SUFFIX), "a record cannot be read"))?;
            each(number, in_doubt, key, address)?;
        }
    }
    Ok(())
}

fn take(input: &mut &[u8]) -> Option<(u64, bool, Vec<u8>, Address)> {
    let number = take_varint(input)?;
    let key = take_bytes(input)?.to_vec();
    let (in_doubt, rest) = input.split_first()?;
    *input = rest;
    Some((number, *in_doubt == 1, key, Address::decode(input)?))
}
