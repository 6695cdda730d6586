//! Matching a scan with a snapshot, whatever the order of the rows; only speed depends on it.
//!
//! A row is looked for where the last one of its lane was found, then a few records further, then at the anchors.
//! What is found nowhere waits for one pass over the snapshot at the end ([`join`]). Where the snapshot stands in
//! the order of key hashes, every row waits. A row matches a record only where their whole 128-bit key hashes are
//! equal.

mod join;
mod lane;

use backhaul_kit::{Fault, KeyHash, Proof, RowDigest, RowPage};
use jiff::Timestamp;

use self::lane::Lane;
use super::judge::{Candidate, Judge, Look};
use super::plan::PlanHeader;
use super::repeats::Repeats;
use super::seen::Seen;
use super::spill::Budget;
use super::standing::Standing;
use super::waiting::Waiting;
use super::{Cause, DiffError, Eligibility, PlanRequest, PlanSummary, PlanWriter, Resolve, RowMapper, Sibling};
use crate::snapshot::order::OrderWriter;
use crate::snapshot::sealed::SealedKind;
use crate::snapshot::{Details, IN_DOUBT, NEVER_ACCEPTED, Records, Rewrite, Snapshot, storable};

/// Added to the plan's name: the keys of a first load.
const KEYS: &str = ".keys";
/// How many of the keys in question an error names.
const EXAMPLES: usize = 5;
/// So many of the keys that left the model are looked at at a time.
const GONE_AT_ONCE: usize = if cfg!(test) { 64 } else { 1 << 20 };

/// Compares pages with a snapshot and writes the plan.
pub struct Differ<'a> {
    snapshot: &'a Snapshot,
    budget: Budget,
    judge: Judge<'a>,
    lanes: Vec<Lane<'a>>,
    seen: Seen,
    waiting: Waiting,
    /// The keys, where the snapshot is empty and every row is new.
    first_load: Option<Repeats>,
    /// Where rows stand, if the base is to be written in their order.
    order: Option<OrderWriter>,
    /// Who may be sent; `None` is everybody.
    eligibility: Option<Eligibility>,
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
        // The rows of a part say nothing of the whole's order.
        let order = match snapshot.rewrites().filter(|_| request.growing.is_none()) {
            Some(Rewrite::ByArrival) => Some(plan.order(snapshot.base_id())?),
            Some(Rewrite::ByHash) | None => None,
        };
        let budget = Budget::new(request.memory, snapshot.ordinals());
        Ok(Self {
            snapshot,
            budget,
            judge: Judge::new((snapshot.seed(), snapshot.fields()), Details::new(snapshot), request, mapper, plan),
            lanes: Vec::new(),
            seen: Seen::new(snapshot.ordinals()),
            waiting: Waiting::new(budget),
            first_load: snapshot.is_empty().then(|| Repeats::new(budget)),
            order,
            eligibility: None,
            null_keys: 0,
            repeated_keys: 0,
            examples: Vec::new(),
            digests: Vec::new(),
            key: Vec::new(),
        })
    }

    /// Nets removals against what these other syncs hold, too.
    #[must_use]
    pub fn beside(mut self, siblings: &'a [Sibling]) -> Self {
        self.judge.siblings = siblings;
        self
    }

    /// Notes when the newest row of a model that grows came.
    pub fn note_newest(&mut self, newest: Option<Timestamp>) {
        self.judge.plan.note_newest(newest);
    }

    /// Sends nobody whom this refuses.
    #[must_use]
    pub fn admitting(mut self, eligibility: Option<Eligibility>) -> Self {
        self.eligibility = eligibility;
        self
    }

    /// Has this one find the records that rows refer to.
    #[must_use]
    pub fn referring(mut self, resolver: &'a dyn Resolve) -> Self {
        self.judge.resolver = Some(resolver);
        self
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
        while self.lanes.len() <= page.lane() {
            self.lanes.push(Lane::new(self.snapshot));
        }
        let mut lane = self.lanes.swap_remove(page.lane());
        let mut done = Ok(());
        for (row, digest) in digests.iter().enumerate() {
            let digest = RowDigest { key: digest.key, fingerprint: storable(digest.fingerprint) };
            done = self.row(&mut lane, page, row, digest);
            if done.is_err() {
                break;
            }
        }
        self.lanes.push(lane);
        let last = self.lanes.len() - 1;
        self.lanes.swap(page.lane(), last);
        self.digests = digests;
        done
    }

    #[inline]
    fn row(&mut self, lane: &mut Lane<'_>, page: &dyn RowPage, row: usize, digest: RowDigest) -> Result<(), DiffError> {
        let arrival = self.judge.counts.rows;
        self.judge.counts.rows += 1;
        if digest.key == KeyHash::NULL {
            self.null_keys += 1;
            return Ok(());
        }
        let refused = match &self.eligibility {
            None => None,
            Some(eligibility) => eligibility.refuses(page, row)?,
        };
        if let Some(keys) = &mut self.first_load {
            keys.push(digest.key, || self.judge.plan.scratch(KEYS, SealedKind::Spill))?;
            let Some(cause) = refused else { return self.found(page, row, digest, None) };
            self.turn_away(None, cause);
            return Ok(());
        }
        if self.snapshot.by_hash() {
            return self.waiting.push(page, row, (arrival, refused), digest, &self.judge.plan);
        }
        let (found, expected) = lane.locate(digest.key)?;
        self.judge.counts.misses += u64::from(!expected);
        let Some((ordinal, stored)) = found else {
            return self.waiting.push(page, row, (arrival, refused), digest, &self.judge.plan);
        };
        if !self.seen.set(ordinal) {
            return self.repeated(page, row);
        }
        if let Some(cause) = refused {
            self.turn_away(Some((ordinal, Standing::of(stored, digest.fingerprint))), cause);
            return Ok(());
        }
        if let Some(order) = &mut self.order {
            order.record(ordinal, arrival)?;
        }
        let standing = Standing::of(stored, digest.fingerprint);
        self.found(page, row, digest, Some((ordinal, standing)))
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
        match self.judge.look(found.map(|(_, standing)| standing), digest) {
            Look::Pass => return Ok(()),
            Look::Wait => {
                self.read_key(page, row)?;
                return self.judge.note_waiting(digest, &self.key);
            }
            Look::Decode => {}
        }
        self.read_key(page, row)?;
        let record = page.record(row)?;
        self.judge.row(&Candidate { digest, found, key: &self.key, record: &record, table_fingerprint: None })?;
        Ok(())
    }

    /// Handles a row that may not be sent: what was delivered of it is removed, or stays as it is.
    fn turn_away(&mut self, found: Option<(u64, Standing)>, cause: Cause) {
        self.judge.counts.ineligible.add(cause);
        let delivered = found.filter(|(_, standing)| *standing != Standing::Never);
        let Some((ordinal, _)) = delivered else { return };
        if self.eligibility.as_ref().is_some_and(|eligibility| eligibility.removes) {
            self.seen.turn_away(ordinal, cause);
        } else {
            self.judge.counts.frozen += 1;
        }
    }

    #[cold]
    fn repeated(&mut self, page: &dyn RowPage, row: usize) -> Result<(), DiffError> {
        self.read_key(page, row)?;
        let key = std::mem::take(&mut self.key);
        self.note_repeated(&key);
        Ok(())
    }

    fn note_repeated(&mut self, key: &[u8]) {
        self.repeated_keys += 1;
        if self.examples.len() < EXAMPLES && !self.examples.iter().any(|known| known == key) {
            self.examples.push(key.to_vec());
        }
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
        self.judge.refer()?;
        if proof.is_of_all() {
            self.left()?;
        } else if self.judge.request().removals {
            return Err(Fault::bug("removals were asked of a scan that did not ask for all rows").into());
        }
        if let Some(order) = self.order {
            order.finish()?;
        }
        self.judge.finish(proof.words())
    }

    /// Looks for repeated keys where no record could tell.
    fn check_first_load(&mut self, keys: Repeats) -> Result<(), DiffError> {
        let (count, some) = keys.repeated(EXAMPLES)?;
        self.repeated_keys = count;
        if count > 0 {
            let examples = &mut self.examples;
            self.judge.plan.read_back(|op| {
                if some.binary_search(&op.key_hash).is_ok() && !examples.iter().any(|key| key[..] == op.key[..]) {
                    examples.push(op.key.to_vec());
                }
                examples.len() < some.len()
            })?;
            self.judge.keys_put_aside(
                |key| some.binary_search(&key).is_ok(),
                |key| {
                    if examples.len() < EXAMPLES && !examples.iter().any(|known| known == key) {
                        examples.push(key.to_vec());
                    }
                },
            )?;
        }
        Ok(())
    }

    /// Counts what left the model, and writes its removals by ordinal where the destination is told of them.
    fn left(&mut self) -> Result<(), DiffError> {
        let (ordinals, mut records, mut start) = (self.snapshot.ordinals(), Records::new(self.snapshot), 0);
        while start < ordinals {
            let mut gone = Vec::new();
            let unset = self.seen.unset(start);
            start = ordinals;
            for ordinal in unset {
                let record = records.get(ordinal)?.filter(|record| record.key_hash != KeyHash::NULL);
                if let Some(record) = record.filter(|record| record.fingerprint != NEVER_ACCEPTED) {
                    gone.push((ordinal, record.fingerprint == IN_DOUBT));
                }
                if gone.len() == GONE_AT_ONCE {
                    start = ordinal + 1;
                    break;
                }
            }
            self.judge.counts.left +=
                gone.iter().filter(|(ordinal, _)| self.seen.cause(*ordinal) == Cause::Left).count() as u64;
            let PlanRequest { removals, removes_left, .. } = *self.judge.request();
            gone.retain(|(ordinal, _)| removals && (removes_left || self.seen.cause(*ordinal) != Cause::Left));
            if gone.is_empty() {
                continue;
            }
            let seen = &self.seen;
            let claims = self.judge.claims(gone.iter().map(|(ordinal, _)| *ordinal), |ordinal| seen.get(ordinal))?;
            for (ordinal, in_doubt) in gone {
                self.judge.removal(ordinal, in_doubt, self.seen.cause(ordinal), &claims)?;
            }
        }
        Ok(())
    }
}
