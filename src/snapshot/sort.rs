//! Sorting more than memory holds: entries under a number come back in the order of their numbers. Sorted
//! runs go to scratch files and are merged as they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;

use backhaul_kit::value::{put_bytes, put_varint, take_bytes, take_varint};

use super::error::FileError;
use super::file::{FreeSpace, NewFile};
use super::manifest::{SEGMENT_PREFIX, random_name};
use super::seal::StateKey;
use super::sealed::{SealedKind, SealedReader, SealedWriter};

const CHUNK_BYTES: usize = 64 << 10;

/// Takes entries in any order.
pub(super) struct Sorter<'k> {
    folder: PathBuf,
    key: &'k StateKey,
    budget: usize,
    bytes: Vec<u8>,
    held: Vec<Held>,
    runs: Vec<SealedReader>,
    len: u64,
}

/// An entry in memory: its number, and where its bytes are.
#[derive(Clone, Copy)]
struct Held {
    number: u64,
    start: u32,
    length: u32,
}

impl<'k> Sorter<'k> {
    /// Holds `budget` bytes in memory and puts the rest into scratch files in `folder`.
    pub(super) fn new(folder: PathBuf, key: &'k StateKey, budget: usize) -> Self {
        Self { folder, key, budget, bytes: Vec::new(), held: Vec::new(), runs: Vec::new(), len: 0 }
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Takes one entry: `fill` appends its bytes.
    pub(super) fn push(&mut self, number: u64, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), FileError> {
        let start = self.bytes.len();
        fill(&mut self.bytes);
        self.held.push(Held { number, start: start as u32, length: (self.bytes.len() - start) as u32 });
        self.len += 1;
        let held = self.bytes.len() + self.held.len() * size_of::<Held>();
        if held > self.budget { self.spill() } else { Ok(()) }
    }

    fn sort(&mut self) {
        // By place within a number: entries of one number stay in the order in which they came.
        self.held.sort_unstable_by_key(|held| (held.number, held.start));
    }

    fn spill(&mut self) -> Result<(), FileError> {
        self.sort();
        let path = self.folder.join(format!("{SEGMENT_PREFIX}{}", random_name()?));
        let mut writer = SealedWriter::new(NewFile::scratch(&path, FreeSpace::ANY)?, self.key, SealedKind::Run)?;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        for held in self.held.drain(..) {
            put_varint(held.number, &mut chunk);
            put_bytes(&self.bytes[held.range()], &mut chunk);
            if chunk.len() >= CHUNK_BYTES {
                writer.chunk(&chunk)?;
                chunk.clear();
            }
        }
        if !chunk.is_empty() {
            writer.chunk(&chunk)?;
        }
        self.bytes.clear();
        self.runs.push(writer.into_reader()?);
        Ok(())
    }

    /// All entries by number.
    pub(super) fn into_sorted(mut self) -> Result<Sorted, FileError> {
        self.sort();
        let mut sorted =
            Sorted { heads: BinaryHeap::new(), runs: Vec::new(), bytes: self.bytes, held: self.held, next_held: 0 };
        for reader in self.runs {
            sorted.runs.push(Run { reader, next_chunk: 0, chunk: Vec::new(), at: 0, entry: 0..0 });
        }
        for run in 0..=sorted.runs.len() {
            sorted.advance(run)?;
        }
        Ok(sorted)
    }
}

impl Held {
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.length as usize
    }
}

/// Gives the entries back.
pub(super) struct Sorted {
    /// The next number of every run, with the run; the last run never left memory.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    runs: Vec<Run>,
    bytes: Vec<u8>,
    held: Vec<Held>,
    next_held: usize,
}

struct Run {
    reader: SealedReader,
    next_chunk: usize,
    chunk: Vec<u8>,
    /// Where the entry after the next starts in `chunk`.
    at: usize,
    /// The bytes of the next entry in `chunk`.
    entry: std::ops::Range<usize>,
}

impl Sorted {
    /// The number of the next entry.
    pub(super) fn peek(&self) -> Option<u64> {
        self.heads.peek().map(|Reverse((number, _))| *number)
    }

    /// Replaces `out` with the bytes of the next entry and gives its number.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Result<Option<u64>, FileError> {
        let Some(Reverse((number, run))) = self.heads.pop() else { return Ok(None) };
        out.clear();
        match self.runs.get(run) {
            Some(run) => out.extend_from_slice(&run.chunk[run.entry.clone()]),
            None => out.extend_from_slice(&self.bytes[self.held[self.next_held - 1].range()]),
        }
        self.advance(run)?;
        Ok(Some(number))
    }

    fn advance(&mut self, place: usize) -> Result<(), FileError> {
        let number = match self.runs.get_mut(place) {
            Some(run) => run.advance()?,
            None => self.held.get(self.next_held).map(|held| {
                self.next_held += 1;
                held.number
            }),
        };
        self.heads.extend(number.map(|number| Reverse((number, place))));
        Ok(())
    }
}

impl Run {
    fn advance(&mut self) -> Result<Option<u64>, FileError> {
        if self.at == self.chunk.len() {
            if self.next_chunk == self.reader.chunks() {
                return Ok(None);
            }
            self.chunk = self.reader.chunk(self.next_chunk)?;
            self.next_chunk += 1;
            self.at = 0;
        }
        let mut rest = &self.chunk[self.at..];
        let entry = take_varint(&mut rest).zip(take_bytes(&mut rest));
        let (number, bytes) = entry.ok_or_else(|| FileError::damaged(self.reader.path(), "a run cannot be read"))?;
        self.at = self.chunk.len() - rest.len();
        self.entry = self.at - bytes.len()..self.at;
        Ok(Some(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_out_by_number_whether_or_not_they_fit_into_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = StateKey::random().expect("a key");
        for budget in [0, 1000, 1 << 20] {
            let mut sorter = Sorter::new(folder.path().to_owned(), &key, budget);
            for n in 0..500u64 {
                // Every number twice.
                let number = n * 7919 % 250;
                sorter.push(number, |out| out.extend_from_slice(format!("{number}/{n}").as_bytes())).expect("pushed");
            }
            assert_eq!(sorter.len(), 500);
            let mut sorted = sorter.into_sorted().expect("sorted");
            let mut expected: Vec<(u64, String)> =
                (0..500u64).map(|n| (n * 7919 % 250, format!("{}/{n}", n * 7919 % 250))).collect();
            expected.sort_by_key(|(number, _)| *number);
            let mut bytes = Vec::new();
            for (number, text) in expected {
                assert_eq!(sorted.peek(), Some(number));
                assert_eq!(sorted.next(&mut bytes).expect("read"), Some(number));
                assert_eq!(bytes, text.as_bytes(), "budget {budget}");
            }
            assert_eq!(sorted.next(&mut bytes).expect("read"), None);
            assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
        }
    }
}
