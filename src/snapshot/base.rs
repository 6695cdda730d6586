//! The base: the bulk of a snapshot, immutable, in the order in which its records arrived.
//!
//! A record's *ordinal* is its place. `recs` has 24 bytes a record (key hash 16, fingerprint 8) and behind
//! them the anchors: the key hash of every 256th record. `keys` and `addresses` are sealed, one chunk for
//! 256 records; `fields` has four bytes a mapped field.

use std::path::Path;

use backhaul_kit::value::{put_bytes, take_bytes};
use backhaul_kit::{Address, KeyHash};

use super::blocks::{BLOCK, BlockReader, BlockWriter, u64_at};
use super::error::FileError;
use super::file::{FileEntry, FreeSpace, NewFile};
use super::manifest::{BASE_PREFIX, BaseFiles, random_name};
use super::seal::StateKey;
use super::sealed::{SealedKind, SealedReader, SealedWriter};

/// Bytes of a record in `recs`.
pub(super) const RECORD_BYTES: usize = 24;
const ANCHOR_BYTES: usize = 16;
const RECS_MAGIC: &[u8; 8] = b"BHRECS\0\0";
const FIELDS_MAGIC: &[u8; 8] = b"BHFIELDS";

/// A base on disk, open for reading.
pub(super) struct Base {
    pub(super) records: u64,
    pub(super) recs: BlockReader,
    pub(super) keys: SealedReader,
    pub(super) addresses: Option<SealedReader>,
    pub(super) fields: Option<BlockReader>,
    pub(super) anchors: Anchors,
}

/// The key hashes of every 256th record, to be found by.
pub(super) struct Anchors {
    /// The lower halves, in the order of the records.
    hashes: Vec<u64>,
    /// An open-addressed table of places in `hashes`, plus 1.
    table: Vec<u32>,
}

impl Anchors {
    fn new(hashes: Vec<u64>) -> Self {
        let mut table = vec![0; (2 * hashes.len() + 1).next_power_of_two()];
        let mask = table.len() - 1;
        for (place, hash) in (1..).zip(&hashes) {
            let mut slot = *hash as usize & mask;
            while table[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            table[slot] = place;
        }
        Self { hashes, table }
    }

    /// Ordinals where `key` may stand.
    #[inline]
    pub(super) fn find(&self, key: KeyHash) -> impl Iterator<Item = u64> {
        let (half, mask) = (key.0 as u64, self.table.len() - 1);
        let slots = (half as usize..).map(move |slot| self.table[slot & mask]).take_while(|place| *place != 0);
        let places = slots.map(|place| place as usize - 1).filter(move |place| self.hashes[*place] == half);
        places.map(|place| (place * BLOCK) as u64)
    }
}

impl Base {
    /// Opens the files of a base whose snapshot has `fields` mapped fields, and checks that they fit together.
    pub(super) fn open(folder: &Path, files: &BaseFiles, fields: usize, key: &StateKey) -> Result<Self, FileError> {
        for entry in [&files.recs, &files.keys].into_iter().chain(&files.addresses).chain(&files.fields) {
            check_length(folder, entry)?;
        }
        let path = |entry: &FileEntry| folder.join(&entry.name);
        let mut recs = BlockReader::open(&path(&files.recs), RECS_MAGIC, RECORD_BYTES)?;
        let blocks = files.records.div_ceil(BLOCK as u64);
        let hashes = recs.take_extra();
        if recs.records() != files.records || hashes.len() as u64 != blocks * ANCHOR_BYTES as u64 {
            return Err(FileError::damaged(recs.path(), "it has another number of records than the manifest says"));
        }
        let anchors = Anchors::new(hashes.chunks_exact(ANCHOR_BYTES).map(|hash| u64_at(hash, 0)).collect());

        let sealed = |entry: &FileEntry, kind| {
            let reader = SealedReader::open(&path(entry), key, kind)?;
            if reader.chunks() as u64 != blocks {
                return Err(FileError::damaged(reader.path(), "it has another number of chunks than records"));
            }
            Ok(reader)
        };
        let keys = sealed(&files.keys, SealedKind::Keys)?;
        let addresses = files.addresses.as_ref().map(|entry| sealed(entry, SealedKind::Addresses)).transpose()?;
        let fields = match &files.fields {
            None => None,
            Some(entry) => {
                let reader = BlockReader::open(&path(entry), FIELDS_MAGIC, 4 * fields)?;
                if reader.records() != files.records {
                    return Err(FileError::damaged(reader.path(), "it has another number of records than `recs`"));
                }
                Some(reader)
            }
        };
        Ok(Self { records: files.records, recs, keys, addresses, fields, anchors })
    }
}

/// Checks that a listed file is there and as long as it was.
pub(super) fn check_length(folder: &Path, entry: &FileEntry) -> Result<(), FileError> {
    let path = folder.join(&entry.name);
    match std::fs::metadata(&path) {
        Ok(found) if found.len() == entry.bytes => Ok(()),
        Ok(found) => Err(FileError::damaged(&path, format!("it has {} bytes instead of {}", found.len(), entry.bytes))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(FileError::damaged(&path, "the manifest lists it but it is not there"))
        }
        Err(e) => Err(FileError::io("read", &path, e)),
    }
}

/// One record of a new base.
pub(super) struct NewRecord<'a> {
    pub(super) key_hash: KeyHash,
    pub(super) fingerprint: u64,
    pub(super) key: &'a [u8],
    pub(super) address: &'a Address,
    /// As many as the snapshot has fields.
    pub(super) fields: &'a [u32],
}

/// Writes a new base, record by record.
pub(super) struct BaseWriter {
    recs: BlockWriter,
    anchors: Vec<u8>,
    keys: ChunkedColumn,
    addresses: Option<ChunkedColumn>,
    fields: Option<BlockWriter>,
    records: u64,
}

impl BaseWriter {
    /// Starts the files of a base with `fields` mapped fields.
    pub(super) fn create(folder: &Path, key: &StateKey, fields: usize, addresses: bool) -> Result<Self, FileError> {
        let name = random_name()?;
        let new = |what: &str| NewFile::create(&folder.join(format!("{BASE_PREFIX}{name}.{what}")), FreeSpace::ANY);
        let column = |what, kind| Ok::<_, FileError>(ChunkedColumn::new(SealedWriter::new(new(what)?, key, kind)?));
        Ok(Self {
            recs: BlockWriter::new(new("recs")?, RECS_MAGIC, RECORD_BYTES)?,
            anchors: Vec::new(),
            keys: column("keys", SealedKind::Keys)?,
            addresses: addresses.then(|| column("addresses", SealedKind::Addresses)).transpose()?,
            fields: (fields > 0).then(|| BlockWriter::new(new("fields")?, FIELDS_MAGIC, 4 * fields)).transpose()?,
            records: 0,
        })
    }

    /// Appends a record.
    pub(super) fn push(&mut self, record: &NewRecord<'_>) -> Result<(), FileError> {
        let hash = record.key_hash.0.to_le_bytes();
        if self.records.is_multiple_of(BLOCK as u64) {
            self.anchors.extend_from_slice(&hash);
        }
        self.recs.push(|out| {
            out.extend_from_slice(&hash);
            out.extend_from_slice(&record.fingerprint.to_le_bytes());
        })?;
        self.keys.push(|out| put_bytes(record.key, out))?;
        if let Some(addresses) = &mut self.addresses {
            addresses.push(|out| record.address.encode(out))?;
        }
        if let Some(fields) = &mut self.fields {
            fields.push(|out| out.extend(record.fields.iter().flat_map(|hash| hash.to_le_bytes())))?;
        }
        self.records += 1;
        Ok(())
    }

    /// Ends and syncs all files. `by_hash` says that the records came in the order of their key hashes.
    pub(super) fn finish(self, by_hash: bool) -> Result<BaseFiles, FileError> {
        Ok(BaseFiles {
            records: self.records,
            recs: self.recs.finish(&self.anchors)?,
            keys: self.keys.finish()?,
            addresses: self.addresses.map(ChunkedColumn::finish).transpose()?,
            fields: self.fields.map(|fields| fields.finish(&[])).transpose()?,
            by_hash,
        })
    }
}

/// A sealed column with one chunk for every 256 records.
struct ChunkedColumn {
    writer: SealedWriter,
    chunk: Vec<u8>,
    records: usize,
}

impl ChunkedColumn {
    fn new(writer: SealedWriter) -> Self {
        Self { writer, chunk: Vec::new(), records: 0 }
    }

    fn push(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), FileError> {
        fill(&mut self.chunk);
        self.records += 1;
        if self.records == BLOCK {
            self.writer.chunk(&self.chunk)?;
            self.chunk.clear();
            self.records = 0;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<FileEntry, FileError> {
        if self.records > 0 {
            self.writer.chunk(&self.chunk)?;
        }
        self.writer.finish()
    }
}

/// The chunk of a sealed column that was read last, decoded: neighbours are usually asked for next.
pub(super) struct ColumnCache<T> {
    chunk: Option<(usize, Vec<T>)>,
}

impl<T> Default for ColumnCache<T> {
    fn default() -> Self {
        Self { chunk: None }
    }
}

impl<T> ColumnCache<T> {
    /// The entry at `place`; `decode` takes one entry off the front of its input.
    pub(super) fn entry(
        &mut self,
        column: &SealedReader,
        place: u64,
        decode: impl Fn(&mut &[u8]) -> Option<T>,
    ) -> Result<&T, FileError> {
        let index = (place / BLOCK as u64) as usize;
        let damaged = || FileError::damaged(column.path(), format!("entry {place} cannot be read"));
        let held = match self.chunk.take() {
            Some((held, entries)) if held == index => entries,
            _ => {
                let chunk = column.chunk(index)?;
                let mut rest = chunk.as_slice();
                let mut entries = Vec::with_capacity(BLOCK);
                while !rest.is_empty() {
                    entries.push(decode(&mut rest).ok_or_else(damaged)?);
                }
                entries
            }
        };
        let (_, entries) = self.chunk.insert((index, held));
        entries.get((place % BLOCK as u64) as usize).ok_or_else(damaged)
    }
}

/// Takes one entry of the key column off the front of `input`.
pub(super) fn decode_key(input: &mut &[u8]) -> Option<Vec<u8>> {
    take_bytes(input).map(<[u8]>::to_vec)
}
