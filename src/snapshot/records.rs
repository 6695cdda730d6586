//! Reading a snapshot record by record: the base with the overlay laid over it.

use backhaul_kit::{Address, KeyHash};

use super::base::{ColumnCache, RECORD_BYTES, decode_key};
use super::blocks::{BLOCK, u32_at, u64_at};
use super::error::{FileError, SnapshotError};
use super::fingerprint::{DELETED, UNKNOWN_FIELD};
use super::overlay::{OverlayEntry, OverlayReader};
use super::segment::{Segment, SegmentEntry};
use super::store::Snapshot;

/// After a jump little is read ahead, then ever more up to this many blocks.
const MAX_BLOCKS: usize = 32;
const FIRST_BLOCKS: usize = 2;

/// A record as matching sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    /// [`KeyHash::NULL`] where the record was removed.
    pub(crate) key_hash: KeyHash,
    /// Its fingerprint or state.
    pub(crate) fingerprint: u64,
}

/// A window of records that moves over the snapshot, best forwards.
pub(crate) struct Records<'s> {
    snapshot: &'s Snapshot,
    overlay: OverlayReader<'s>,
    window: Vec<Record>,
    start: u64,
    blocks: usize,
    raw: Vec<u8>,
    plain: Vec<u8>,
}

impl<'s> Records<'s> {
    /// Nothing is read yet.
    pub(crate) fn new(snapshot: &'s Snapshot) -> Self {
        let overlay = OverlayReader::new(snapshot.overlay());
        let (window, raw, plain) = (Vec::new(), Vec::new(), Vec::new());
        Self { snapshot, overlay, window, start: 0, blocks: FIRST_BLOCKS, raw, plain }
    }

    /// The record at `ordinal`; `None` behind the last one.
    #[inline]
    pub(crate) fn get(&mut self, ordinal: u64) -> Result<Option<Record>, SnapshotError> {
        if let Some(record) = ordinal.checked_sub(self.start).and_then(|at| self.window.get(at as usize)) {
            return Ok(Some(*record));
        }
        if ordinal >= self.snapshot.ordinals() {
            return Ok(None);
        }
        self.load(ordinal)?;
        Ok(self.window.get((ordinal - self.start) as usize).copied())
    }

    /// Where `key` may stand if it is an anchor's; the record there says whether it does.
    #[inline]
    pub(crate) fn anchor(&self, key: KeyHash) -> impl Iterator<Item = u64> + use<'s> {
        let snapshot = self.snapshot;
        snapshot.base().into_iter().flat_map(move |base| base.anchors.find(key))
    }

    #[cold]
    fn load(&mut self, ordinal: u64) -> Result<(), FileError> {
        let sequential = ordinal == self.start + self.window.len() as u64;
        self.blocks = if sequential { (2 * self.blocks).min(MAX_BLOCKS) } else { FIRST_BLOCKS };
        self.window.clear();
        let base_records = self.snapshot.base_records();
        let Some(base) = self.snapshot.base().filter(|_| ordinal < base_records) else {
            self.start = ordinal;
            let most = (self.blocks * BLOCK) as u64;
            let window = &mut self.window;
            return self.overlay.each(ordinal..ordinal + most, |entry| {
                window.push(Record { key_hash: live(&entry, entry.key_hash()), fingerprint: entry.fingerprint });
                true
            });
        };
        let block = ordinal / BLOCK as u64;
        self.start = block * BLOCK as u64;
        base.recs.read(block, self.blocks, &mut self.raw, &mut self.plain)?;
        self.window.extend(self.plain.chunks_exact(RECORD_BYTES).map(|bytes| Record {
            key_hash: KeyHash(u128::from(u64_at(bytes, 0)) | u128::from(u64_at(bytes, 8)) << 64),
            fingerprint: u64_at(bytes, 16),
        }));
        let (start, window) = (self.start, &mut self.window);
        self.overlay.each(start..start + window.len() as u64, |entry| {
            let record = &mut window[(entry.ordinal - start) as usize];
            *record = Record { key_hash: live(&entry, record.key_hash), fingerprint: entry.fingerprint };
            true
        })
    }
}

/// The key hash, unless the record was removed.
fn live(entry: &OverlayEntry, key_hash: KeyHash) -> KeyHash {
    if entry.fingerprint == DELETED { KeyHash::NULL } else { key_hash }
}

/// Reads keys, addresses and field hashes of single records; cheapest in ascending order.
pub(crate) struct Details<'s> {
    snapshot: &'s Snapshot,
    keys: ColumnCache<Vec<u8>>,
    addresses: ColumnCache<Address>,
    fields: FieldsCache,
    overlay: OverlayReader<'s>,
    segments: Vec<SegmentCache>,
    /// What was read ahead, by ordinal.
    ahead: Vec<Ahead>,
}

struct Ahead {
    ordinal: u64,
    address: Address,
    fields: Box<[u32]>,
}

#[derive(Default)]
struct FieldsCache {
    block: Option<u64>,
    raw: Vec<u8>,
    plain: Vec<u8>,
}

impl<'s> Details<'s> {
    /// Nothing is read yet.
    pub(crate) fn new(snapshot: &'s Snapshot) -> Self {
        Self {
            snapshot,
            keys: ColumnCache::default(),
            addresses: ColumnCache::default(),
            fields: FieldsCache::default(),
            overlay: OverlayReader::new(snapshot.overlay()),
            segments: snapshot.overlay().segments.iter().map(|_| SegmentCache::default()).collect(),
            ahead: Vec::new(),
        }
    }

    /// Reads addresses and field hashes of records that will be asked for in another order; forgets those
    /// that were read ahead before.
    pub(crate) fn read_ahead(&mut self, mut ordinals: Vec<u64>) -> Result<(), SnapshotError> {
        self.ahead = Vec::new();
        ordinals.sort_unstable();
        let mut ahead = Vec::with_capacity(ordinals.len());
        let mut fields = Vec::new();
        for ordinal in ordinals {
            self.fields(ordinal, &mut fields)?;
            ahead.push(Ahead { ordinal, address: self.address(ordinal)?, fields: fields.as_slice().into() });
        }
        self.ahead = ahead;
        Ok(())
    }

    fn read_already(&self, ordinal: u64) -> Option<&Ahead> {
        let place = self.ahead.binary_search_by_key(&ordinal, |ahead| ahead.ordinal).ok()?;
        self.ahead.get(place)
    }

    /// Canonical key bytes of the record.
    pub(crate) fn key(&mut self, ordinal: u64) -> Result<Vec<u8>, SnapshotError> {
        if let Some(SegmentEntry { key: Some(key), .. }) = self.overlaid(ordinal)? {
            return Ok(key.clone());
        }
        match self.snapshot.base() {
            Some(base) => Ok(self.keys.entry(&base.keys, ordinal, decode_key)?.clone()),
            None => Ok(Vec::new()),
        }
    }

    /// What is remembered of the record at the destination.
    pub(crate) fn address(&mut self, ordinal: u64) -> Result<Address, SnapshotError> {
        if let Some(ahead) = self.read_already(ordinal) {
            return Ok(ahead.address.clone());
        }
        if let Some(SegmentEntry { address: Some(address), .. }) = self.overlaid(ordinal)? {
            return Ok(address.clone());
        }
        match self.snapshot.base().and_then(|base| base.addresses.as_ref()) {
            Some(column) if ordinal < self.snapshot.base_records() => {
                Ok(self.addresses.entry(column, ordinal, Address::decode)?.clone())
            }
            _ => Ok(Address::default()),
        }
    }

    /// Gives remote id and match value of all records to `each`, by ordinal in the base and then in the overlay; those
    /// of removed records too, as far as they are there.
    pub(crate) fn all_addresses(&mut self, mut each: impl FnMut(u64, [Option<&[u8]>; 2])) -> Result<(), SnapshotError> {
        let mut overlay = OverlayReader::new(self.snapshot.overlay());
        let mut overlaid = overlay.first_from(0)?;
        if let Some(column) = self.snapshot.base().and_then(|base| base.addresses.as_ref()) {
            let mut ordinal = 0;
            for chunk in 0..column.chunks() {
                let plain = column.chunk(chunk)?;
                let mut rest = plain.as_slice();
                while !rest.is_empty() {
                    let parts = Address::parts(&mut rest)
                        .ok_or_else(|| FileError::damaged(column.path(), format!("entry {ordinal} cannot be read")))?;
                    if overlaid.is_some_and(|entry| entry.ordinal == ordinal) {
                        overlaid = overlay.first_from(ordinal + 1)?;
                    } else {
                        each(ordinal, parts);
                    }
                    ordinal += 1;
                }
            }
        }
        let mut overlaid = overlay.first_from(0)?;
        while let Some(OverlayEntry { ordinal, .. }) = overlaid {
            let Address { remote_id, match_value } = self.address(ordinal)?;
            each(ordinal, [remote_id.as_deref().map(str::as_bytes), match_value.as_deref().map(str::as_bytes)]);
            overlaid = overlay.first_from(ordinal + 1)?;
        }
        Ok(())
    }

    /// Replaces `out` with the hashes of the record's mapped fields, in the snapshot's field order.
    pub(crate) fn fields(&mut self, ordinal: u64, out: &mut Vec<u32>) -> Result<(), SnapshotError> {
        out.clear();
        if let Some(ahead) = self.read_already(ordinal) {
            out.extend_from_slice(&ahead.fields);
            return Ok(());
        }
        let count = self.snapshot.fields().len();
        let over = self.overlaid(ordinal)?.map(|entry| entry.fields.clone()).unwrap_or_default();
        if over.len() < count || over.contains(&None) {
            self.base_fields(ordinal, count, out)?;
        } else {
            out.resize(count, UNKNOWN_FIELD);
        }
        for (hash, over) in out.iter_mut().zip(over) {
            *hash = over.unwrap_or(*hash);
        }
        Ok(())
    }

    fn base_fields(&mut self, ordinal: u64, count: usize, out: &mut Vec<u32>) -> Result<(), FileError> {
        let column = self.snapshot.base().and_then(|base| base.fields.as_ref());
        let Some(column) = column.filter(|column| ordinal < column.records()) else {
            out.resize(count, UNKNOWN_FIELD);
            return Ok(());
        };
        let (block, cache) = (ordinal / BLOCK as u64, &mut self.fields);
        if cache.block != Some(block) {
            cache.block = None;
            column.read(block, 1, &mut cache.raw, &mut cache.plain)?;
            cache.block = Some(block);
        }
        let at = (ordinal % BLOCK as u64) as usize * 4 * count;
        let hashes = cache
            .plain
            .get(at..at + 4 * count)
            .ok_or_else(|| FileError::damaged(column.path(), format!("record {ordinal} is missing")))?;
        out.extend(hashes.chunks_exact(4).map(|hash| u32_at(hash, 0)));
        Ok(())
    }

    /// What the overlay says of the record; `None` where it is as in the base.
    pub(super) fn overlaid(&mut self, ordinal: u64) -> Result<Option<&SegmentEntry>, FileError> {
        let Some(known) = self.overlay.get(ordinal)? else { return Ok(None) };
        let segment = &self.snapshot.overlay().segments[known.segment as usize];
        let found = self.segments[known.segment as usize].entry(segment, known.place as usize)?;
        if (found.ordinal, found.fingerprint) != (ordinal, known.fingerprint) {
            return Err(FileError::damaged(segment.path(), format!("record {ordinal} is another one")));
        }
        Ok(Some(found))
    }
}

/// The chunk of a segment that was read last.
#[derive(Default)]
struct SegmentCache {
    chunk: Option<(usize, Vec<SegmentEntry>)>,
}

impl SegmentCache {
    fn entry(&mut self, segment: &Segment, place: usize) -> Result<&SegmentEntry, FileError> {
        let index = place / BLOCK;
        let entries = match self.chunk.take() {
            Some((held, entries)) if held == index => entries,
            _ => segment.chunk(index)?,
        };
        let (_, entries) = self.chunk.insert((index, entries));
        entries.get(place % BLOCK).ok_or_else(|| segment.damaged(place))
    }
}
