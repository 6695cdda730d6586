//! Segments: what one settle changed, in one immutable sealed file.
//!
//! Entries stand in the order of ordinals, 256 in a chunk. An entry says only what is other than in the base
//! below it; the entry of a record behind the base says everything.

use std::path::Path;

use backhaul_kit::Address;
use backhaul_kit::value::{put_bytes, put_varint, take_bytes, take_varint};

use super::base::check_length;
use super::blocks::BLOCK;
use super::error::FileError;
use super::file::{FileEntry, FreeSpace, NewFile};
use super::fingerprint::DELETED;
use super::manifest::{SEGMENT_PREFIX, random_name};
use super::seal::StateKey;
use super::sealed::{SealedKind, SealedReader, SealedWriter};

const HAS_KEY: u8 = 1;
const HAS_ADDRESS: u8 = 2;
const HAS_FIELDS: u8 = 4;

/// A record as a segment or an effect has it; `None` where it is as in the layer below.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SegmentEntry {
    pub(super) ordinal: u64,
    /// The new fingerprint or state; [`DELETED`] makes it a tombstone, which has nothing else.
    pub(super) fingerprint: u64,
    pub(super) key: Option<Vec<u8>>,
    pub(super) address: Option<Address>,
    /// One hash for every mapped field, or nothing where all are as below.
    pub(super) fields: Vec<Option<u32>>,
}

impl SegmentEntry {
    /// The tombstone of a record.
    pub(super) fn tombstone(ordinal: u64) -> Self {
        Self { ordinal, fingerprint: DELETED, key: None, address: None, fields: Vec::new() }
    }

    /// Takes from `below` what this entry does not say itself.
    pub(super) fn over(mut self, below: &Self) -> Self {
        if self.fingerprint == DELETED {
            return self;
        }
        self.key = self.key.or_else(|| below.key.clone());
        self.address = self.address.or_else(|| below.address.clone());
        if self.fields.is_empty() {
            self.fields.clone_from(&below.fields);
        }
        for (mine, theirs) in self.fields.iter_mut().zip(&below.fields) {
            *mine = mine.or(*theirs);
        }
        self
    }

    /// Appends the entry; `previous` is the ordinal before it in the chunk.
    pub(super) fn encode(&self, previous: u64, out: &mut Vec<u8>) {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let has_fields = self.fields.iter().any(Option::is_some);
        out.push(
            flag(self.key.is_some(), HAS_KEY)
                | flag(self.address.is_some(), HAS_ADDRESS)
                | flag(has_fields, HAS_FIELDS),
        );
        put_varint(self.ordinal.wrapping_sub(previous), out);
        out.extend_from_slice(&self.fingerprint.to_le_bytes());
        if let Some(key) = &self.key {
            put_bytes(key, out);
        }
        if let Some(address) = &self.address {
            address.encode(out);
        }
        if has_fields {
            let bits =
                |eight: &[Option<u32>]| eight.iter().rev().fold(0, |bits, hash| bits << 1 | u8::from(hash.is_some()));
            out.extend(self.fields.chunks(8).map(bits));
            out.extend(self.fields.iter().flatten().flat_map(|hash| hash.to_le_bytes()));
        }
    }

    /// Reads one entry with `fields` mapped fields off the front of `input`.
    pub(super) fn decode(input: &mut &[u8], previous: u64, fields: usize) -> Option<Self> {
        let (&flags, rest) = input.split_first()?;
        *input = rest;
        let ordinal = previous.wrapping_add(take_varint(input)?);
        let mut entry = Self { fingerprint: take_u64(input)?, ..Self::tombstone(ordinal) };
        if flags & HAS_KEY != 0 {
            entry.key = Some(take_bytes(input)?.to_vec());
        }
        if flags & HAS_ADDRESS != 0 {
            entry.address = Some(Address::decode(input)?);
        }
        if flags & HAS_FIELDS != 0 {
            let (mask, rest) = input.split_at_checked(fields.div_ceil(8))?;
            *input = rest;
            for field in 0..fields {
                let has = mask[field / 8] >> (field % 8) & 1 == 1;
                entry.fields.push(if has { Some(take_u32(input)?) } else { None });
            }
        }
        let has_fields = entry.fields.iter().any(Option::is_some);
        let told = flags & !(HAS_KEY | HAS_ADDRESS) == if has_fields { HAS_FIELDS } else { 0 };
        told.then_some(entry)
    }

    /// Reads one entry in the first form of segments, which says everything.
    fn decode_v1(input: &mut &[u8], fields: usize) -> Option<Self> {
        let ordinal = take_varint(input)?;
        let mut entry = Self { fingerprint: take_u64(input)?, ..Self::tombstone(ordinal) };
        if entry.fingerprint != DELETED {
            entry.key = Some(take_bytes(input)?.to_vec());
            entry.address = Some(Address::decode(input)?);
            entry.fields = (0..fields).map(|_| take_u32(input).map(Some)).collect::<Option<_>>()?;
        }
        Some(entry)
    }
}

fn take_u64(input: &mut &[u8]) -> Option<u64> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    *input = rest;
    Some(u64::from_le_bytes(*bytes))
}

fn take_u32(input: &mut &[u8]) -> Option<u32> {
    let (bytes, rest) = input.split_first_chunk::<4>()?;
    *input = rest;
    Some(u32::from_le_bytes(*bytes))
}

/// Writes a segment, entry by entry, in the order of ordinals.
pub(super) struct SegmentWriter {
    writer: SealedWriter,
    chunk: Vec<u8>,
    previous: u64,
    entries: u64,
}

impl SegmentWriter {
    /// Starts a new segment.
    pub(super) fn create(folder: &Path, key: &StateKey) -> Result<Self, FileError> {
        let path = folder.join(format!("{SEGMENT_PREFIX}{}", random_name()?));
        let writer = SealedWriter::new(NewFile::create(&path, FreeSpace::ANY)?, key, SealedKind::Segment)?;
        Ok(Self { writer, chunk: Vec::new(), previous: 0, entries: 0 })
    }

    /// Appends an entry.
    pub(super) fn push(&mut self, entry: &SegmentEntry) -> Result<(), FileError> {
        entry.encode(self.previous, &mut self.chunk);
        self.previous = entry.ordinal;
        self.entries += 1;
        if self.entries.is_multiple_of(BLOCK as u64) {
            self.writer.chunk(&self.chunk)?;
            self.chunk.clear();
            self.previous = 0;
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

/// The entries of a chunk; else the place of the first that cannot be read.
pub(super) fn decode_chunk(mut plain: &[u8], kind: SealedKind, fields: usize) -> Result<Vec<SegmentEntry>, usize> {
    let (mut entries, mut previous) = (Vec::with_capacity(BLOCK), 0);
    while !plain.is_empty() {
        let entry = match kind {
            SealedKind::SegmentV1 => SegmentEntry::decode_v1(&mut plain, fields),
            _ => SegmentEntry::decode(&mut plain, previous, fields),
        };
        let entry = entry.ok_or(entries.len())?;
        previous = entry.ordinal;
        entries.push(entry);
    }
    Ok(entries)
}

/// A segment, open for reading.
pub(super) struct Segment {
    reader: SealedReader,
    fields: usize,
}

impl Segment {
    /// Opens a listed segment of a snapshot with `fields` mapped fields.
    pub(super) fn open(folder: &Path, file: &FileEntry, fields: usize, key: &StateKey) -> Result<Self, FileError> {
        check_length(folder, file)?;
        let kinds = [SealedKind::Segment, SealedKind::SegmentV1];
        Ok(Self { reader: SealedReader::open_one_of(&folder.join(&file.name), key, &kinds)?, fields })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        self.reader.path()
    }

    /// How many chunks of 256 entries it has.
    pub(super) fn chunks(&self) -> usize {
        self.reader.chunks()
    }

    /// The entries of a chunk.
    pub(super) fn chunk(&self, index: usize) -> Result<Vec<SegmentEntry>, FileError> {
        let plain = self.reader.chunk(index)?;
        decode_chunk(&plain, self.reader.kind(), self.fields).map_err(|place| self.damaged(index * BLOCK + place))
    }

    /// The error for an entry that cannot be read.
    pub(super) fn damaged(&self, place: usize) -> FileError {
        FileError::damaged(self.path(), format!("entry {place} cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    prop_compose! {
        fn any_entry()(
            ordinal: u64,
            fingerprint: u64,
            key in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)),
            match_value in proptest::option::of(proptest::option::of(".{0,9}")),
            fields in proptest::collection::vec(proptest::option::of(any::<u32>()), 11),
        ) -> SegmentEntry {
            let address = match_value.map(|match_value| Address { remote_id: None, match_value });
            let fields = if fields.iter().all(Option::is_none) { Vec::new() } else { fields };
            SegmentEntry { ordinal, fingerprint, key, address, fields }
        }
    }

    proptest! {
        #[test]
        fn every_entry_comes_back(entry in any_entry(), previous: u64) {
            let mut bytes = Vec::new();
            entry.encode(previous, &mut bytes);
            let mut rest = bytes.as_slice();
            prop_assert_eq!(SegmentEntry::decode(&mut rest, previous, 11), Some(entry));
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn any_bytes_are_an_entry_or_refused(bytes: Vec<u8>) {
            let _ = SegmentEntry::decode(&mut bytes.as_slice(), 0, 3);
            let _ = SegmentEntry::decode_v1(&mut bytes.as_slice(), 3);
        }
    }

    #[test]
    fn an_entry_over_another_keeps_what_it_does_not_say() {
        let address = |text: &str| Some(Address { remote_id: None, match_value: Some(text.into()) });
        let below = SegmentEntry {
            ordinal: 7,
            fingerprint: 70,
            key: Some(vec![1]),
            address: address("old"),
            fields: vec![Some(1), None, Some(3)],
        };
        let change =
            SegmentEntry { fingerprint: 71, fields: vec![None, Some(5), Some(6)], ..SegmentEntry::tombstone(7) };
        let expected = SegmentEntry { fingerprint: 71, fields: vec![Some(1), Some(5), Some(6)], ..below.clone() };
        assert_eq!(change.over(&below), expected);
        let move_ = SegmentEntry { fingerprint: 72, address: address("new"), ..SegmentEntry::tombstone(7) };
        assert_eq!(move_.over(&below), SegmentEntry { fingerprint: 72, address: address("new"), ..below.clone() });
        assert_eq!(SegmentEntry::tombstone(7).over(&below), SegmentEntry::tombstone(7));
    }
}
