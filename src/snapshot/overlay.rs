//! The overlay: what was settled since the base was written.
//!
//! Every settle that touches few records writes one immutable segment, sorted by ordinal: changed records
//! under their ordinals, removed ones as tombstones, new ones under the next ordinals behind the base.
//! A segment is one sealed file; its entries carry the sidecars with them. In memory the overlay is the
//! newest entry of every ordinal, without keys and sidecars.

use std::path::Path;

use backhaul_kit::value::{put_bytes, put_varint, take_bytes, take_varint};
use backhaul_kit::{Address, KeyHash};

use super::base::check_length;
use super::blocks::BLOCK;
use super::error::FileError;
use super::file::{FileEntry, FreeSpace, NewFile};
use super::fingerprint::DELETED;
use super::manifest::{SEGMENT_PREFIX, random_name};
use super::seal::StateKey;
use super::sealed::{SealedKind, SealedReader, SealedWriter};

/// One entry of a segment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SegmentEntry {
    pub(super) ordinal: u64,
    /// The new fingerprint or state; [`DELETED`] makes it a tombstone.
    pub(super) fingerprint: u64,
    /// Empty in a tombstone, as is all that follows.
    pub(super) key: Vec<u8>,
    pub(super) address: Address,
    pub(super) fields: Vec<u32>,
}

impl SegmentEntry {
    /// The tombstone of a record.
    pub(super) fn tombstone(ordinal: u64) -> Self {
        Self { ordinal, fingerprint: DELETED, key: Vec::new(), address: Address::default(), fields: Vec::new() }
    }

    /// Appends the encoding of segments.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        put_varint(self.ordinal, out);
        out.extend_from_slice(&self.fingerprint.to_le_bytes());
        if self.fingerprint != DELETED {
            put_bytes(&self.key, out);
            self.address.encode(out);
            out.extend(self.fields.iter().flat_map(|hash| hash.to_le_bytes()));
        }
    }

    /// Reads one entry with `fields` mapped fields off the front of `input`.
    pub(super) fn decode(input: &mut &[u8], fields: usize) -> Option<Self> {
        let ordinal = take_varint(input)?;
        let (fingerprint, rest) = input.split_first_chunk::<8>()?;
        *input = rest;
        let fingerprint = u64::from_le_bytes(*fingerprint);
        if fingerprint == DELETED {
            return Some(Self::tombstone(ordinal));
        }
        let key = take_bytes(input)?.to_vec();
        let address = Address::decode(input)?;
        let (hashes, rest) = input.split_at_checked(4 * fields)?;
        *input = rest;
        let fields = hashes.chunks_exact(4).map(|h| u32::from_le_bytes([h[0], h[1], h[2], h[3]])).collect();
        Some(Self { ordinal, fingerprint, key, address, fields })
    }
}

/// Writes a segment, entry by entry, in the order of ordinals.
pub(super) struct SegmentWriter {
    writer: SealedWriter,
    chunk: Vec<u8>,
    entries: u64,
}

impl SegmentWriter {
    /// Starts a new segment.
    pub(super) fn create(folder: &Path, key: &StateKey) -> Result<Self, FileError> {
        let path = folder.join(format!("{SEGMENT_PREFIX}{}", random_name()?));
        let writer = SealedWriter::new(NewFile::create(&path, FreeSpace::ANY)?, key, SealedKind::Segment)?;
        Ok(Self { writer, chunk: Vec::new(), entries: 0 })
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, entry: &SegmentEntry) -> Result<(), FileError> {
        entry.encode(&mut self.chunk);
        self.entries += 1;
        if self.entries.is_multiple_of(BLOCK as u64) {
            self.writer.chunk(&self.chunk)?;
            self.chunk.clear();
        }
        Ok(())
    }

    /// Ends and syncs the segment.
    pub(super) fn finish(mut self) -> Result<FileEntry, FileError> {
        if !self.chunk.is_empty() {
            self.writer.chunk(&self.chunk)?;
        }
        self.writer.finish()
    }
}

/// The newest entry of an ordinal.
#[derive(Clone, Copy, Debug)]
pub(super) struct OverlayEntry {
    pub(super) ordinal: u64,
    /// [`KeyHash::NULL`] for a tombstone.
    pub(super) key_hash: KeyHash,
    pub(super) fingerprint: u64,
    /// Which segment has it.
    pub(super) segment: u32,
    /// Its place there.
    pub(super) place: u32,
}

/// All segments, merged.
pub(super) struct Overlay {
    /// Sorted by ordinal; complete from the base's end to the next new ordinal.
    pub(super) entries: Vec<OverlayEntry>,
    pub(super) segments: Vec<SealedReader>,
}

impl Overlay {
    /// Opens and merges `files`, oldest first, over a base of `base_records`.
    pub(super) fn open(
        folder: &Path,
        files: &[FileEntry],
        fields: usize,
        seed: u64,
        key: &StateKey,
        ordinals: std::ops::Range<u64>,
    ) -> Result<Self, FileError> {
        let mut entries: Vec<OverlayEntry> = Vec::new();
        let mut segments = Vec::with_capacity(files.len());
        for (segment, file) in (0..).zip(files) {
            check_length(folder, file)?;
            let reader = SealedReader::open(&folder.join(&file.name), key, SealedKind::Segment)?;
            read_segment(&reader, fields, |place, entry| {
                let live = entry.fingerprint != DELETED;
                entries.push(OverlayEntry {
                    ordinal: entry.ordinal,
                    key_hash: if live { KeyHash::of(&entry.key, seed) } else { KeyHash::NULL },
                    fingerprint: entry.fingerprint,
                    segment,
                    place,
                });
            })?;
            segments.push(reader);
        }
        // The newest first within an ordinal: `dedup` keeps the first.
        entries.sort_unstable_by_key(|e| (e.ordinal, u32::MAX - e.segment));
        entries.dedup_by_key(|e| e.ordinal);
        entries.shrink_to_fit();

        let overlay = Self { entries, segments };
        let tail = overlay.from(ordinals.start);
        let complete = tail.iter().map(|e| e.ordinal).eq(ordinals);
        match overlay.segments.last() {
            Some(last) if !complete => {
                Err(FileError::damaged(last.path(), "records are missing between the base and the last one"))
            }
            None if !complete => Err(FileError::damaged(folder, "the manifest counts records that no file has")),
            _ => Ok(overlay),
        }
    }

    /// The entries from `ordinal` on.
    pub(super) fn from(&self, ordinal: u64) -> &[OverlayEntry] {
        &self.entries[self.entries.partition_point(|e| e.ordinal < ordinal)..]
    }

    /// The entry of `ordinal`, if it was touched since the base was written.
    pub(super) fn get(&self, ordinal: u64) -> Option<&OverlayEntry> {
        self.from(ordinal).first().filter(|e| e.ordinal == ordinal)
    }
}

fn read_segment(
    reader: &SealedReader,
    fields: usize,
    mut each: impl FnMut(u32, &SegmentEntry),
) -> Result<(), FileError> {
    let mut place = 0;
    for chunk in 0..reader.chunks() {
        let chunk = reader.chunk(chunk)?;
        let mut rest = chunk.as_slice();
        while !rest.is_empty() {
            let entry = SegmentEntry::decode(&mut rest, fields)
                .ok_or_else(|| FileError::damaged(reader.path(), format!("entry {place} cannot be read")))?;
            each(place, &entry);
            place += 1;
        }
    }
    Ok(())
}
