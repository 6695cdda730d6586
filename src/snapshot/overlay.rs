//! The overlay: what was settled since the base was written.
//!
//! Every settle that touches few records writes one segment: changed records under their ordinals, removed
//! ones as tombstones, new ones under the next ordinals behind the base. The overlay is the newest entry of
//! every ordinal over all segments, without keys and sidecars, in the order of ordinals: in memory, or in a
//! scratch file where there are many.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::path::Path;

use backhaul_kit::KeyHash;

use super::blocks::{BLOCK, BlockReader, BlockWriter, u32_at, u64_at};
use super::error::FileError;
use super::file::{FileEntry, FreeSpace, NewFile};
use super::fingerprint::DELETED;
use super::manifest::{SEGMENT_PREFIX, random_name};
use super::seal::StateKey;
use super::segment::{Segment, SegmentEntry};

const ENTRY_BYTES: usize = 40;
const MAGIC: &[u8; 8] = b"BHOVER\0\0";

/// The newest entry of an ordinal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverlayEntry {
    pub(super) ordinal: u64,
    /// The halves of the key hash of a record behind the base; 0 for all others.
    key_hash: [u64; 2],
    /// [`DELETED`] for a tombstone.
    pub(super) fingerprint: u64,
    /// Which segment has it.
    pub(super) segment: u32,
    /// Its place there.
    pub(super) place: u32,
}

impl OverlayEntry {
    fn of(entry: &SegmentEntry, segment: usize, place: usize, seed: u64) -> Self {
        let key_hash = entry.key.as_ref().map_or(0, |key| KeyHash::of(key, seed).0);
        let (ordinal, fingerprint) = (entry.ordinal, entry.fingerprint);
        let key_hash = [key_hash as u64, (key_hash >> 64) as u64];
        Self { ordinal, key_hash, fingerprint, segment: segment as u32, place: place as u32 }
    }

    /// The key hash of a record behind the base, which only its entry has.
    pub(super) fn key_hash(&self) -> KeyHash {
        KeyHash(u128::from(self.key_hash[0]) | u128::from(self.key_hash[1]) << 64)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        for part in [self.ordinal, self.key_hash[0], self.key_hash[1], self.fingerprint] {
            out.extend_from_slice(&part.to_le_bytes());
        }
        out.extend_from_slice(&self.segment.to_le_bytes());
        out.extend_from_slice(&self.place.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Self {
        Self {
            ordinal: u64_at(bytes, 0),
            key_hash: [u64_at(bytes, 8), u64_at(bytes, 16)],
            fingerprint: u64_at(bytes, 24),
            segment: u32_at(bytes, 32),
            place: u32_at(bytes, 36),
        }
    }
}

/// All segments, merged.
pub(super) struct Overlay {
    pub(super) segments: Vec<Segment>,
    entries: Entries,
    len: u64,
}

enum Entries {
    Memory(Vec<OverlayEntry>),
    /// In a scratch file, with the first ordinal of every block.
    Disk(BlockReader, Vec<u64>),
}

impl Overlay {
    /// Opens and merges `files`, oldest first, behind whose base records `ordinals` must be complete. More than
    /// `in_memory` entries go to a scratch file.
    pub(super) fn open(
        folder: &Path,
        files: &[FileEntry],
        fields: usize,
        seed: u64,
        key: &StateKey,
        ordinals: Range<u64>,
        in_memory: usize,
    ) -> Result<Self, FileError> {
        let segments: Vec<Segment> =
            files.iter().map(|file| Segment::open(folder, file, fields, key)).collect::<Result<_, _>>()?;
        let mut entries = EntryWriter::Memory(Vec::new());
        let (mut len, mut next) = (0, ordinals.start);
        let mut merge = Merge::new(&segments)?;
        while let Some((entry, segment, place)) = merge.next()? {
            if entry.ordinal >= ordinals.start {
                if entry.ordinal != next || (entry.fingerprint != DELETED && entry.key.is_none()) {
                    return Err(incomplete(segments[segment].path()));
                }
                next += 1;
            }
            entries = entries.push(OverlayEntry::of(&entry, segment, place, seed), folder, in_memory)?;
            len += 1;
        }
        if next != ordinals.end {
            return Err(incomplete(segments.last().map_or(folder, Segment::path)));
        }
        drop(merge);
        Ok(Self { entries: entries.finish()?, segments, len })
    }

    /// How many records have an entry.
    pub(super) fn len(&self) -> u64 {
        self.len
    }
}

fn incomplete(path: &Path) -> FileError {
    FileError::damaged(path, "records are missing between the base and the last one")
}

/// The newest entry of every ordinal, in the order of ordinals.
struct Merge<'s> {
    segments: &'s [Segment],
    /// (ordinal, newest first) of the next entry of every segment.
    heads: BinaryHeap<Reverse<(u64, Reverse<usize>)>>,
    cursors: Vec<Cursor>,
}

#[derive(Default)]
struct Cursor {
    next_chunk: usize,
    /// What was read and not yet taken, last first.
    entries: Vec<SegmentEntry>,
    place: usize,
}

impl<'s> Merge<'s> {
    fn new(segments: &'s [Segment]) -> Result<Self, FileError> {
        let cursors = segments.iter().map(|_| Cursor::default()).collect();
        let mut merge = Self { segments, heads: BinaryHeap::new(), cursors };
        for segment in 0..segments.len() {
            merge.advance(segment, None)?;
        }
        Ok(merge)
    }

    /// Moves a segment's head on; `after` is the ordinal before it.
    fn advance(&mut self, segment: usize, after: Option<u64>) -> Result<(), FileError> {
        let (cursor, file) = (&mut self.cursors[segment], &self.segments[segment]);
        if cursor.entries.is_empty() && cursor.next_chunk < file.chunks() {
            cursor.entries = file.chunk(cursor.next_chunk)?;
            cursor.entries.reverse();
            cursor.next_chunk += 1;
        }
        let Some(entry) = cursor.entries.last() else { return Ok(()) };
        if after.is_some_and(|after| after >= entry.ordinal) {
            return Err(FileError::damaged(file.path(), "its entries are not in order"));
        }
        self.heads.push(Reverse((entry.ordinal, Reverse(segment))));
        Ok(())
    }

    /// The next entry, its segment, and its place there.
    fn next(&mut self) -> Result<Option<(SegmentEntry, usize, usize)>, FileError> {
        let mut newest = None;
        while let Some(&Reverse((ordinal, Reverse(segment)))) = self.heads.peek() {
            if newest.as_ref().is_some_and(|(entry, ..): &(SegmentEntry, usize, usize)| entry.ordinal != ordinal) {
                break;
            }
            self.heads.pop();
            let cursor = &mut self.cursors[segment];
            let place = cursor.place;
            cursor.place += 1;
            let entry = cursor.entries.pop();
            newest = newest.or(entry.map(|entry| (entry, segment, place)));
            self.advance(segment, Some(ordinal))?;
        }
        Ok(newest)
    }
}

/// Collects entries, in memory as long as they are few.
enum EntryWriter {
    Memory(Vec<OverlayEntry>),
    Disk(Box<BlockWriter>, Vec<u64>),
}

impl EntryWriter {
    fn push(self, entry: OverlayEntry, folder: &Path, in_memory: usize) -> Result<Self, FileError> {
        match self {
            Self::Memory(mut entries) => {
                entries.push(entry);
                if entries.len() <= in_memory {
                    return Ok(Self::Memory(entries));
                }
                let path = folder.join(format!("{SEGMENT_PREFIX}{}", random_name()?));
                let file = NewFile::scratch(&path, FreeSpace::ANY)?;
                let mut disk = Self::Disk(Box::new(BlockWriter::new(file, MAGIC, ENTRY_BYTES)?), Vec::new());
                for entry in entries {
                    disk = disk.push(entry, folder, in_memory)?;
                }
                Ok(disk)
            }
            Self::Disk(mut writer, mut firsts) => {
                if writer.records().is_multiple_of(BLOCK as u64) {
                    firsts.push(entry.ordinal);
                }
                writer.push(|out| entry.encode(out))?;
                Ok(Self::Disk(writer, firsts))
            }
        }
    }

    fn finish(self) -> Result<Entries, FileError> {
        Ok(match self {
            Self::Memory(mut entries) => {
                entries.shrink_to_fit();
                Entries::Memory(entries)
            }
            Self::Disk(writer, firsts) => Entries::Disk(writer.into_reader()?, firsts),
        })
    }
}

/// Reads entries of an overlay; cheapest in ascending order.
pub(super) struct OverlayReader<'s> {
    overlay: &'s Overlay,
    /// The block of the scratch file that was read last.
    block: Option<(usize, Vec<OverlayEntry>)>,
    raw: Vec<u8>,
    plain: Vec<u8>,
}

impl<'s> OverlayReader<'s> {
    /// Nothing is read yet.
    pub(super) fn new(overlay: &'s Overlay) -> Self {
        Self { overlay, block: None, raw: Vec::new(), plain: Vec::new() }
    }

    /// The entry of `ordinal`, if it was touched since the base was written.
    pub(super) fn get(&mut self, ordinal: u64) -> Result<Option<OverlayEntry>, FileError> {
        Ok(self.first_from(ordinal)?.filter(|entry| entry.ordinal == ordinal))
    }

    /// The first entry at `ordinal` or behind it.
    pub(super) fn first_from(&mut self, ordinal: u64) -> Result<Option<OverlayEntry>, FileError> {
        let mut first = None;
        self.each(ordinal..u64::MAX, |entry| {
            first = Some(entry);
            false
        })?;
        Ok(first)
    }

    /// Gives the entries of a range of ordinals to `each`, in order, until it says false.
    pub(super) fn each(
        &mut self,
        ordinals: Range<u64>,
        mut each: impl FnMut(OverlayEntry) -> bool,
    ) -> Result<(), FileError> {
        let overlay = self.overlay;
        let mut block = match &overlay.entries {
            Entries::Memory(entries) => {
                give(entries, &ordinals, &mut each);
                return Ok(());
            }
            Entries::Disk(_, firsts) => firsts.partition_point(|first| *first <= ordinals.start).saturating_sub(1),
        };
        while let Some(entries) = self.load(block)? {
            if !give(entries, &ordinals, &mut each) {
                return Ok(());
            }
            block += 1;
        }
        Ok(())
    }

    fn load(&mut self, block: usize) -> Result<Option<&[OverlayEntry]>, FileError> {
        let Entries::Disk(file, firsts) = &self.overlay.entries else { return Ok(None) };
        if block >= firsts.len() {
            return Ok(None);
        }
        if self.block.as_ref().is_none_or(|(held, _)| *held != block) {
            file.read(block as u64, 1, &mut self.raw, &mut self.plain)?;
            let entries = self.plain.chunks_exact(ENTRY_BYTES).map(OverlayEntry::decode).collect();
            self.block = Some((block, entries));
        }
        Ok(self.block.as_ref().map(|(_, entries)| entries.as_slice()))
    }
}

/// Gives the entries of the range; false when no more are wanted, or the range has ended.
fn give(entries: &[OverlayEntry], ordinals: &Range<u64>, each: &mut impl FnMut(OverlayEntry) -> bool) -> bool {
    let start = entries.partition_point(|entry| entry.ordinal < ordinals.start);
    entries[start..].iter().all(|entry| entry.ordinal < ordinals.end && each(*entry))
}

#[cfg(test)]
mod tests {
    use super::super::segment::SegmentWriter;
    use super::*;

    /// The place of an entry is told by its fingerprint: 1000 × segment + ordinal.
    fn segments(folder: &Path, key: &StateKey) -> Vec<FileEntry> {
        let mut files = Vec::new();
        for (segment, step) in [(1u64, 3), (2, 7), (3, 700)] {
            let mut writer = SegmentWriter::create(folder, key).expect("created");
            for ordinal in (0..2000).step_by(step).chain(2000 + 10 * segment..2010 + 10 * segment) {
                let key = (ordinal >= 2000).then(|| ordinal.to_le_bytes().to_vec());
                let entry =
                    SegmentEntry { fingerprint: 10_000 * segment + ordinal, key, ..SegmentEntry::tombstone(ordinal) };
                writer.push(&entry).expect("pushed");
            }
            files.push(writer.finish().expect("finished"));
        }
        files
    }

    #[test]
    fn the_newest_entry_of_every_ordinal_is_found_in_memory_and_on_disk() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = StateKey::random().expect("a key");
        let files = segments(folder.path(), &key);
        let newest = |ordinal: u64| match ordinal {
            o if o >= 2040 => None,
            o if o >= 2010 => Some((o - 2000) / 10),
            o if o >= 2000 => None,
            o if o % 700 == 0 => Some(3),
            o if o % 7 == 0 => Some(2),
            o if o % 3 == 0 => Some(1),
            _ => None,
        };
        for in_memory in [0, 100, 1 << 20] {
            let open = |ordinals| Overlay::open(folder.path(), &files, 0, 9, &key, ordinals, in_memory);
            let overlay = open(2010..2040).expect("an overlay");
            assert_eq!(matches!(overlay.entries, Entries::Memory(_)), in_memory == 1 << 20);
            let mut reader = OverlayReader::new(&overlay);
            for ordinal in (0..2045).chain([3, 1999, 0]) {
                let entry = reader.get(ordinal).expect("read");
                assert_eq!(entry.map(|e| e.fingerprint), newest(ordinal).map(|segment| 10_000 * segment + ordinal));
            }
            let mut all = Vec::new();
            reader
                .each(100..1500, |entry| {
                    all.push(entry.ordinal);
                    true
                })
                .expect("read");
            assert_eq!(all, (100..1500).filter(|o| newest(*o).is_some()).collect::<Vec<_>>());
            assert_eq!(overlay.len(), (0..2040).filter(|o| newest(*o).is_some()).count() as u64);
            assert!(open(2009..2040).is_err() && open(2010..2041).is_err(), "gaps are told");
        }
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 3, "scratch files have no names");
    }
}
