//! Rows that were not found where the snapshot's order made them expected. They wait, in the source's own
//! encoding, for the pass over the snapshot at the end of the scan: in memory, or spilled.

use std::sync::Arc;

use backhaul_kit::value::{put_bytes, put_varint, take_bytes, take_varint};
use backhaul_kit::{KeyHash, RowDecoder, RowDigest, RowPage};

use super::places::Places;
use super::spill::{Budget, Spill, Spilled};
use super::standing::Standing;
use super::{DiffError, PlanError, PlanWriter};
use crate::snapshot::FileError;
use crate::snapshot::sealed::SealedKind;

/// Rows are held in pieces of so many bytes: growing one piece would take twice its memory.
const PIECE_BYTES: usize = 256 << 10;
const SUFFIX: &str = ".waiting";

/// Takes rows during the scan.
pub(super) struct Waiting {
    budget: Budget,
    held: Held,
    spill: Option<Spill>,
    decoder: Option<Arc<dyn RowDecoder>>,
    key: Vec<u8>,
    raw: Vec<u8>,
}

/// The rows that waited, and what decodes them.
pub(super) enum Waited {
    /// All in memory.
    Held(HeldRows, Arc<dyn RowDecoder>),
    /// All in a spill file.
    Spilled(Spilled, Arc<dyn RowDecoder>),
}

impl Waiting {
    /// No row waits.
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget, held: Held::default(), spill: None, decoder: None, key: Vec::new(), raw: Vec::new() }
    }

    /// Takes a row of `page`, the one at `arrival` in the scan; its scratch file stands beside the plan.
    pub(super) fn push(
        &mut self,
        page: &dyn RowPage,
        row: usize,
        arrival: u64,
        digest: RowDigest,
        beside: &PlanWriter,
    ) -> Result<(), DiffError> {
        if self.decoder.is_none() {
            self.decoder = Some(page.decoder());
        }
        self.key.clear();
        page.key(row, &mut self.key)?;
        self.raw.clear();
        page.raw(row, &mut self.raw)?;
        let body = Body { arrival, key: &self.key, raw: &self.raw };
        if let Some(spill) = &mut self.spill {
            return Ok(spill_row(spill, digest, &body)?);
        }
        self.held.push(digest, &body);
        if self.held.memory() > self.budget.rows { Ok(self.spill_all(beside)?) } else { Ok(()) }
    }

    #[cold]
    fn spill_all(&mut self, beside: &PlanWriter) -> Result<(), PlanError> {
        let mut spill = Spill::new(beside.scratch(SUFFIX, SealedKind::Spill)?, self.budget);
        std::mem::take(&mut self.held).read(|digest, body| spill_row(&mut spill, digest, &body))?;
        self.spill = Some(spill);
        Ok(())
    }

    /// Ends the taking; `None` where no row waited.
    pub(super) fn into_waited(self) -> Result<Option<Waited>, PlanError> {
        let Some(decoder) = self.decoder else { return Ok(None) };
        Ok(Some(match self.spill {
            Some(spill) => Waited::Spilled(spill.into_reader()?, decoder),
            None => Waited::Held(HeldRows::new(self.held), decoder),
        }))
    }
}

/// A row that waits, without its hashes.
pub(super) struct Body<'a> {
    /// Its place in the scan.
    pub(super) arrival: u64,
    /// Canonical key bytes.
    pub(super) key: &'a [u8],
    /// As [`RowPage::raw`] gave it.
    pub(super) raw: &'a [u8],
}

impl<'a> Body<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        put_varint(self.arrival, out);
        put_bytes(self.key, out);
        put_bytes(self.raw, out);
    }

    /// No encoding is longer.
    fn most_bytes(&self) -> usize {
        self.key.len() + self.raw.len() + 30
    }

    fn decode(input: &mut &'a [u8]) -> Option<Self> {
        Some(Self { arrival: take_varint(input)?, key: take_bytes(input)?, raw: take_bytes(input)? })
    }
}

fn spill_row(spill: &mut Spill, digest: RowDigest, body: &Body<'_>) -> Result<(), PlanError> {
    spill.push(digest.key, |out| {
        out.extend_from_slice(&digest.key.0.to_le_bytes());
        out.extend_from_slice(&digest.fingerprint.to_le_bytes());
        body.encode(out);
    })
}

/// Takes a spilled row off the front of `input`.
pub(super) fn take_spilled<'b>(input: &mut &'b [u8]) -> Option<(RowDigest, Body<'b>)> {
    let (key, rest) = input.split_first_chunk::<16>()?;
    let (fingerprint, rest) = rest.split_first_chunk::<8>()?;
    *input = rest;
    let key = KeyHash(u128::from_le_bytes(*key));
    let digest = RowDigest { key, fingerprint: u64::from_le_bytes(*fingerprint) };
    Some((digest, Body::decode(input)?))
}

/// What the pass over the snapshot found out about a row that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// Nothing: the snapshot does not have its key.
    New,
    /// It repeats the key of another row.
    Repeated,
    /// It has this record.
    Record(u64, Standing),
}

/// Packs a [`Finding`] into eight bytes: there may be a row in memory for every row of the scan.
#[derive(Clone, Copy)]
struct Packed(u64);

impl Packed {
    const NEW: Self = Self(u64::MAX);
    const REPEATED: Self = Self(u64::MAX - 1);

    fn of(finding: Finding) -> Self {
        match finding {
            Finding::New => Self::NEW,
            Finding::Repeated => Self::REPEATED,
            Finding::Record(ordinal, standing) => Self(ordinal << 2 | standing as u64),
        }
    }

    fn finding(self) -> Finding {
        match self {
            Self(u64::MAX) => Finding::New,
            Self(n) if n == u64::MAX - 1 => Finding::Repeated,
            Self(n) => Finding::Record(n >> 2, Standing::of_code(n & 3)),
        }
    }
}

/// 32 bytes: the digest is kept in its parts, or alignment would make it 48.
struct HeldRow {
    key: KeyHash,
    fingerprint: u64,
    packed: Packed,
}

impl HeldRow {
    fn digest(&self) -> RowDigest {
        RowDigest { key: self.key, fingerprint: self.fingerprint }
    }
}

/// Rows in memory.
#[derive(Default)]
struct Held {
    rows: Vec<HeldRow>,
    /// Their bodies, in the same order.
    pieces: Vec<Vec<u8>>,
}

impl Held {
    fn push(&mut self, digest: RowDigest, body: &Body<'_>) {
        self.rows.push(HeldRow { key: digest.key, fingerprint: digest.fingerprint, packed: Packed::NEW });
        match self.pieces.last_mut() {
            Some(piece) if piece.len() + body.most_bytes() <= PIECE_BYTES => body.encode(piece),
            _ => {
                let mut piece = Vec::with_capacity(PIECE_BYTES.max(body.most_bytes()));
                body.encode(&mut piece);
                self.pieces.push(piece);
            }
        }
    }

    /// About as many bytes as it takes, the table for finding by key included.
    fn memory(&self) -> usize {
        let full = self.pieces.len().saturating_sub(1) * PIECE_BYTES;
        full + self.pieces.last().map_or(0, Vec::len) + self.rows.len() * (size_of::<HeldRow>() + 16)
    }

    fn read<E: From<PlanError>>(&self, mut each: impl FnMut(RowDigest, Body<'_>) -> Result<(), E>) -> Result<(), E> {
        let mut rows = self.rows.iter();
        for piece in &self.pieces {
            let mut rest = piece.as_slice();
            while !rest.is_empty() {
                let (row, body) = rows.next().zip(Body::decode(&mut rest)).ok_or_else(changed)?;
                each(row.digest(), body)?;
            }
        }
        Ok(())
    }
}

fn changed() -> PlanError {
    FileError::Crypto("a row that waited changed in memory")
}

/// The rows that waited, by key hash.
pub(super) struct HeldRows {
    held: Held,
    places: Places,
    repeated: u64,
}

impl HeldRows {
    fn new(held: Held) -> Self {
        let mut all = Self { held, places: Places::default(), repeated: 0 };
        for place in 0..all.held.rows.len() {
            let rows = &all.held.rows;
            if all.places.insert(rows[place].key, place, |at| rows[at].key).is_err() {
                all.set(place, Finding::Repeated);
            }
        }
        all
    }

    /// The place of the row with this key.
    pub(super) fn find(&self, key: KeyHash) -> Option<usize> {
        self.places.find(key, |place| self.held.rows[place].key)
    }

    /// Fingerprint of the row at `place`.
    pub(super) fn fingerprint(&self, place: usize) -> u64 {
        self.held.rows[place].fingerprint
    }

    /// Says what was found out about the row at `place`.
    pub(super) fn set(&mut self, place: usize, finding: Finding) {
        self.repeated += u64::from(finding == Finding::Repeated);
        self.held.rows[place].packed = Packed::of(finding);
    }

    /// Ends the finding by key: its table is no longer needed.
    pub(super) fn end_finding(&mut self) {
        self.places = Places::default();
    }

    /// How many rows repeat the key of another row.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// What was found out about the rows at `place` and after it, in the next `count` rows.
    pub(super) fn findings(&self, place: usize, count: usize) -> impl Iterator<Item = Finding> {
        self.held.rows.iter().skip(place).take(count).map(|row| row.packed.finding())
    }

    /// Reads all rows in the order in which they came.
    pub(super) fn read(
        &self,
        mut each: impl FnMut(usize, RowDigest, Finding, Body<'_>) -> Result<(), DiffError>,
    ) -> Result<(), DiffError> {
        let mut place = 0;
        self.held.read(|digest, body| {
            place += 1;
            each(place - 1, digest, self.held.rows[place - 1].packed.finding(), body)
        })
    }
}
