//! Rows that were not found where the snapshot's order made them expected. Their hashes wait in memory for
//! the pass at the end of the scan, their keys and values in a sealed scratch file.

use backhaul_kit::value::{put_bytes, take_bytes};
use backhaul_kit::{KeyHash, RowDigest, Value};

use super::standing::Standing;
use super::{PlanError, PlanWriter};
use crate::snapshot::FileError;
use crate::snapshot::sealed::{SealedKind, SealedReader, SealedWriter};

const CHUNK_BYTES: usize = 128 << 10;
const SUFFIX: &str = ".residue";

/// What the pass over the snapshot found out about a row that waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waiting {
    /// Nothing: the snapshot does not have its key.
    New,
    /// It needs no op, or is a repeated key.
    Done,
    /// It has this record.
    Found(u64, Standing),
}

/// Packs a [`Waiting`] into eight bytes: there may be a row in memory for every row of the scan.
#[derive(Clone, Copy)]
struct Packed(u64);

impl Packed {
    const NEW: Self = Self(u64::MAX);
    const DONE: Self = Self(u64::MAX - 1);

    fn of(waiting: Waiting) -> Self {
        match waiting {
            Waiting::New => Self::NEW,
            Waiting::Done => Self::DONE,
            Waiting::Found(ordinal, standing) => Self(ordinal << 2 | standing as u64),
        }
    }

    fn waiting(self) -> Waiting {
        match self {
            Self(u64::MAX) => Waiting::New,
            Self(n) if n == u64::MAX - 1 => Waiting::Done,
            Self(n) => Waiting::Found(n >> 2, Standing::of_code(n & 3)),
        }
    }
}

/// 32 bytes: the digest is kept in its parts, or alignment would make it 48.
struct ResidueRow {
    key: KeyHash,
    fingerprint: u64,
    packed: Packed,
}

impl ResidueRow {
    fn digest(&self) -> RowDigest {
        RowDigest { key: self.key, fingerprint: self.fingerprint }
    }
}

/// Takes rows during the scan.
#[derive(Default)]
pub(super) struct Residue {
    rows: Vec<ResidueRow>,
    scratch: Option<SealedWriter>,
    chunk: Vec<u8>,
}

impl Residue {
    /// Whether no row waits.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Takes a row; its scratch file stands beside the plan.
    pub(super) fn push(
        &mut self,
        digest: RowDigest,
        key: &[u8],
        record: &[Value],
        beside: &PlanWriter,
    ) -> Result<(), PlanError> {
        self.rows.push(ResidueRow { key: digest.key, fingerprint: digest.fingerprint, packed: Packed::NEW });
        put_bytes(key, &mut self.chunk);
        let mut encoded = Vec::new();
        for value in record {
            value.encode(&mut encoded);
        }
        put_bytes(&encoded, &mut self.chunk);
        if self.chunk.len() >= CHUNK_BYTES { self.end_chunk(beside) } else { Ok(()) }
    }

    fn end_chunk(&mut self, beside: &PlanWriter) -> Result<(), PlanError> {
        let scratch = match &mut self.scratch {
            Some(scratch) => scratch,
            none => none.insert(beside.scratch(SUFFIX, SealedKind::Residue)?),
        };
        scratch.chunk(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    /// Ends the taking: rows can be found by key.
    pub(super) fn into_index(self) -> Result<ResidueIndex, PlanError> {
        let Self { rows, scratch, chunk } = self;
        let mut index = ResidueIndex {
            places: vec![0; (rows.len() * 2).next_power_of_two().max(2)],
            rows,
            scratch: scratch.map(SealedWriter::into_reader).transpose()?,
            rest: chunk,
            repeated: Vec::new(),
        };
        for place in 0..index.rows.len() {
            let (slot, found) = index.slot(index.rows[place].key);
            if found.is_some() {
                index.repeat(place);
            } else {
                index.places[slot] = place as u32 + 1;
            }
        }
        Ok(index)
    }
}

/// The rows that waited, by key hash.
pub(super) struct ResidueIndex {
    rows: Vec<ResidueRow>,
    /// An open-addressed table of places in `rows`, plus 1; the hashes are random already.
    places: Vec<u32>,
    scratch: Option<SealedReader>,
    /// The rows that never left memory.
    rest: Vec<u8>,
    /// Places of rows whose key another row has.
    repeated: Vec<usize>,
}

impl ResidueIndex {
    /// The slot of a key, and the place of its row if there is one.
    fn slot(&self, key: KeyHash) -> (usize, Option<usize>) {
        let mask = self.places.len() - 1;
        let mut slot = key.0 as usize & mask;
        loop {
            match self.places[slot] {
                0 => return (slot, None),
                place if self.rows[place as usize - 1].key == key => {
                    return (slot, Some(place as usize - 1));
                }
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// The place of the row with this key.
    pub(super) fn find(&self, key: KeyHash) -> Option<usize> {
        self.slot(key).1
    }

    /// Hashes of the row at `place`.
    pub(super) fn digest(&self, place: usize) -> RowDigest {
        self.rows[place].digest()
    }

    /// Says what was found out about the row at `place`.
    pub(super) fn set(&mut self, place: usize, waiting: Waiting) {
        self.rows[place].packed = Packed::of(waiting);
    }

    /// Ends the finding by key: its table is no longer needed.
    pub(super) fn end_finding(&mut self) {
        self.places = Vec::new();
    }

    /// The records that were found for rows at `place` and after it, in the next `count` rows.
    pub(super) fn found(&self, place: usize, count: usize) -> impl Iterator<Item = (u64, Standing)> {
        self.rows.iter().skip(place).take(count).filter_map(|row| match row.packed.waiting() {
            Waiting::Found(ordinal, standing) => Some((ordinal, standing)),
            Waiting::New | Waiting::Done => None,
        })
    }

    /// The row at `place` repeats the key of another row.
    pub(super) fn repeat(&mut self, place: usize) {
        self.set(place, Waiting::Done);
        self.repeated.push(place);
    }

    /// How many rows repeat the key of another row.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated.len() as u64
    }

    /// Keys of rows that repeat the key of another row; at most `limit`.
    pub(super) fn repeated_keys(&mut self, limit: usize) -> Result<Vec<Vec<u8>>, PlanError> {
        let mut places = std::mem::take(&mut self.repeated);
        places.sort_unstable();
        let mut keys: Vec<Vec<u8>> = Vec::new();
        self.read(|place, _, row| {
            if keys.len() < limit && places.binary_search(&place).is_ok() && !keys.iter().any(|k| k == row.key) {
                keys.push(row.key.to_vec());
            }
            Ok::<_, PlanError>(())
        })?;
        Ok(keys)
    }

    /// Reads all rows in the order in which they came.
    pub(super) fn read<E: From<PlanError>>(
        &self,
        mut each: impl FnMut(usize, (RowDigest, Waiting), WaitingRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut place = 0;
        let mut read_chunk = |chunk: &[u8]| -> Result<(), E> {
            let mut input = chunk;
            while !input.is_empty() {
                let row = WaitingRow::decode(&mut input).filter(|_| place < self.rows.len());
                let row = row.ok_or_else(|| self.damaged())?;
                let known = &self.rows[place];
                each(place, (known.digest(), known.packed.waiting()), row)?;
                place += 1;
            }
            Ok(())
        };
        if let Some(scratch) = &self.scratch {
            for chunk in 0..scratch.chunks() {
                read_chunk(&scratch.chunk(chunk)?)?;
            }
        }
        read_chunk(&self.rest)
    }

    /// The error for a row that cannot be read back.
    pub(super) fn damaged(&self) -> PlanError {
        let path = self.scratch.as_ref().map(SealedReader::path).unwrap_or(std::path::Path::new(SUFFIX));
        FileError::damaged(path, "a waiting row cannot be read")
    }
}

/// Key and values of a row that waited.
pub(super) struct WaitingRow<'a> {
    /// Canonical key bytes.
    pub(super) key: &'a [u8],
    record: &'a [u8],
}

impl<'a> WaitingRow<'a> {
    fn decode(input: &mut &'a [u8]) -> Option<Self> {
        Some(Self { key: take_bytes(input)?, record: take_bytes(input)? })
    }

    /// The values, in projection order.
    pub(super) fn record(&self) -> Option<Vec<Value>> {
        let mut rest = self.record;
        let mut values = Vec::new();
        while !rest.is_empty() {
            values.push(Value::decode(&mut rest)?);
        }
        Some(values)
    }
}
