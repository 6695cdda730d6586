//! Rows that were not found where the snapshot's order made them expected. They wait, in the source's own
//! encoding, for the pass over the snapshot at the end of the scan: in memory, or spilled by partition of their
//! key hash. As long as they are not too many, an index of their hashes stays in memory.

use std::sync::Arc;

use backhaul_kit::value::{put_bytes, put_varint, take_bytes, take_varint};
use backhaul_kit::{KeyHash, RowDecoder, RowDigest, RowPage};

use super::places::Places;
use super::spill::{Budget, Spill, Spilled};
use super::standing::Standing;
use super::{Cause, DiffError, PlanError, PlanWriter};
use crate::snapshot::FileError;
use crate::snapshot::sealed::SealedKind;

/// Rows are held in pieces of so many bytes: growing one piece would take twice its memory.
const PIECE_BYTES: usize = 256 << 10;
const SUFFIX: &str = ".waiting";
/// In place of a cause's code: the row may be sent.
const SENT: u8 = u8::MAX;

/// Takes rows during the scan.
pub(super) struct Waiting {
    budget: Budget,
    pieces: Vec<Vec<u8>>,
    spill: Option<Spill>,
    /// `None` when there are too many.
    index: Option<Vec<IndexRow>>,
    decoder: Option<Arc<dyn RowDecoder>>,
    key: Vec<u8>,
    raw: Vec<u8>,
}

/// The rows that waited.
pub(super) struct Waited {
    /// Their hashes, where they fit into memory.
    pub(super) index: Option<Index>,
    /// The rows themselves.
    pub(super) rows: Rows,
    /// What reads them.
    pub(super) decoder: Arc<dyn RowDecoder>,
}

/// Where rows are.
pub(super) enum Rows {
    /// In memory, in the order in which they came.
    Held(Vec<Vec<u8>>),
    /// In a scratch file, by partition.
    Spilled(Spilled),
}

impl Waiting {
    /// No row waits.
    pub(super) fn new(budget: Budget) -> Self {
        let (pieces, index) = (Vec::new(), Some(Vec::new()));
        Self { budget, pieces, spill: None, index, decoder: None, key: Vec::new(), raw: Vec::new() }
    }

    /// Takes a row of `page`, the one at `arrival` in the scan; its scratch file stands beside the plan. Of a row that is
    /// `refused` only the key is kept.
    pub(super) fn push(
        &mut self,
        page: &dyn RowPage,
        row: usize,
        (arrival, refused): (u64, Option<Cause>),
        digest: RowDigest,
        beside: &PlanWriter,
    ) -> Result<(), DiffError> {
        if self.decoder.is_none() {
            self.decoder = Some(page.decoder());
        }
        self.key.clear();
        page.key(row, &mut self.key)?;
        self.raw.clear();
        if refused.is_none() {
            page.raw(row, &mut self.raw)?;
        }
        if let Some(index) = &mut self.index {
            index.push(IndexRow { key: digest.key, fingerprint: digest.fingerprint, packed: Packed::NEW });
            if index.len() * INDEX_ROW > self.budget.index {
                self.index = None;
            }
        }
        let row = WaitingRow { digest, arrival, refused, key: &self.key, raw: &self.raw };
        if let Some(spill) = &mut self.spill {
            return Ok(spill.push(digest.key, |out| row.encode(out))?);
        }
        match self.pieces.last_mut() {
            Some(piece) if piece.len() + row.most_bytes() <= PIECE_BYTES => row.encode(piece),
            _ => {
                let mut piece = Vec::with_capacity(PIECE_BYTES.max(row.most_bytes()));
                row.encode(&mut piece);
                self.pieces.push(piece);
            }
        }
        let full = (self.pieces.len() - 1) * PIECE_BYTES + self.pieces.last().map_or(0, Vec::len);
        if full > self.budget.rows || self.index.is_none() { Ok(self.spill_all(beside)?) } else { Ok(()) }
    }

    #[cold]
    fn spill_all(&mut self, beside: &PlanWriter) -> Result<(), PlanError> {
        let mut spill = Spill::new(beside.scratch(SUFFIX, SealedKind::Spill)?, self.budget);
        for piece in std::mem::take(&mut self.pieces) {
            let mut rest = piece.as_slice();
            while !rest.is_empty() {
                let row = WaitingRow::decode(&mut rest).ok_or_else(changed)?;
                spill.push(row.digest.key, |out| row.encode(out))?;
            }
        }
        self.spill = Some(spill);
        Ok(())
    }

    /// Ends the taking; `None` where no row waited.
    pub(super) fn into_waited(self) -> Result<Option<Waited>, PlanError> {
        let Some(decoder) = self.decoder else { return Ok(None) };
        let rows = match self.spill {
            Some(spill) => Rows::Spilled(spill.into_reader()?),
            None => Rows::Held(self.pieces),
        };
        Ok(Some(Waited { index: self.index.map(Index::new), rows, decoder }))
    }
}

/// A row that waits.
pub(super) struct WaitingRow<'a> {
    /// Its hashes.
    pub(super) digest: RowDigest,
    /// Its place in the scan.
    pub(super) arrival: u64,
    /// Why it may not be sent.
    pub(super) refused: Option<Cause>,
    /// Canonical key bytes.
    pub(super) key: &'a [u8],
    /// As [`RowPage::raw`] gave it.
    pub(super) raw: &'a [u8],
}

impl<'a> WaitingRow<'a> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.digest.key.0.to_le_bytes());
        out.extend_from_slice(&self.digest.fingerprint.to_le_bytes());
        out.push(self.refused.map_or(SENT, Cause::code));
        put_varint(self.arrival, out);
        put_bytes(self.key, out);
        put_bytes(self.raw, out);
    }

    /// No encoding is longer.
    fn most_bytes(&self) -> usize {
        self.key.len() + self.raw.len() + 55
    }

    /// Takes a row off the front of `input`.
    fn decode(input: &mut &'a [u8]) -> Option<Self> {
        let (key, rest) = input.split_first_chunk::<16>()?;
        let (fingerprint, rest) = rest.split_first_chunk::<8>()?;
        let (refused, rest) = rest.split_first()?;
        *input = rest;
        let refused = if *refused == SENT { None } else { Some(Cause::of_code(*refused)?) };
        let key = KeyHash(u128::from_le_bytes(*key));
        let digest = RowDigest { key, fingerprint: u64::from_le_bytes(*fingerprint) };
        Some(Self { digest, arrival: take_varint(input)?, refused, key: take_bytes(input)?, raw: take_bytes(input)? })
    }

    /// The rows of a piece.
    pub(super) fn all(mut piece: &'a [u8]) -> impl Iterator<Item = Result<Self, PlanError>> {
        std::iter::from_fn(move || {
            if piece.is_empty() {
                return None;
            }
            let row = Self::decode(&mut piece).ok_or_else(changed);
            if row.is_err() {
                piece = &[];
            }
            Some(row)
        })
    }
}

fn changed() -> PlanError {
    FileError::Crypto("a row that waited changed in memory")
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

impl Finding {
    /// Its record, if it has one.
    pub(super) fn record(self) -> Option<(u64, Standing)> {
        match self {
            Self::Record(ordinal, standing) => Some((ordinal, standing)),
            Self::New | Self::Repeated => None,
        }
    }
}

/// Packs a [`Finding`] into eight bytes: there are many in memory.
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
struct IndexRow {
    key: KeyHash,
    fingerprint: u64,
    packed: Packed,
}

/// What a row takes in memory, its share of the table for finding it by key included.
const INDEX_ROW: usize = size_of::<IndexRow>() + 24;

/// The hashes of rows that waited, by key.
pub(super) struct Index {
    rows: Vec<IndexRow>,
    places: Places,
}

impl Index {
    fn new(rows: Vec<IndexRow>) -> Self {
        let mut places = Places::default();
        for (place, row) in rows.iter().enumerate() {
            // The first row of a key stands for all.
            let _ = places.insert(row.key, place, |at| rows[at].key);
        }
        Self { rows, places }
    }

    /// A record of the snapshot has `key`, and `stored` is what is stored of it. `first` says whether no row was
    /// found for it during the scan; it is asked only where a row waits for the record.
    #[inline]
    pub(super) fn meet(&mut self, key: KeyHash, ordinal: u64, stored: u64, first: impl FnOnce() -> bool) {
        let rows = &mut self.rows;
        if let Some(place) = self.places.find(key, |at| rows[at].key) {
            let row = &mut rows[place];
            let standing = Standing::of(stored, row.fingerprint);
            row.packed = Packed::of(if first() { Finding::Record(ordinal, standing) } else { Finding::Repeated });
        }
    }

    /// What was found out about a row with this key; every further one repeats it.
    pub(super) fn take(&mut self, key: KeyHash) -> Finding {
        let rows = &mut self.rows;
        let Some(place) = self.places.find(key, |at| rows[at].key) else { return Finding::New };
        std::mem::replace(&mut rows[place].packed, Packed::REPEATED).finding()
    }
}
