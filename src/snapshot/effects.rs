//! Effects of a plan on records that exist, brought into the order of ordinals in bounded memory: sorted
//! runs go to scratch files and are merged as they are read.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::path::PathBuf;

use super::error::FileError;
use super::file::{FreeSpace, NewFile};
use super::manifest::{SEGMENT_PREFIX, random_name};
use super::overlay::SegmentEntry;
use super::seal::StateKey;
use super::sealed::{SealedKind, SealedReader, SealedWriter};

const CHUNK_BYTES: usize = 64 << 10;

/// What becomes of one record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Effect {
    /// The record as it will be.
    pub(super) entry: SegmentEntry,
    /// The field hashes stay as they are; those in `entry` say nothing.
    pub(super) keeps_fields: bool,
}

impl Effect {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.keeps_fields));
        self.entry.encode(out);
    }

    fn decode(input: &mut &[u8], fields: usize) -> Option<Self> {
        let (&keeps, rest) = input.split_first()?;
        *input = rest;
        Some(Self { entry: SegmentEntry::decode(input, fields)?, keeps_fields: keeps == 1 })
    }

    fn bytes(&self) -> usize {
        let address = [&self.entry.address.remote_id, &self.entry.address.match_value];
        let texts: usize = address.into_iter().flatten().map(String::len).sum();
        size_of::<Self>() + self.entry.key.len() + 4 * self.entry.fields.len() + texts
    }
}

/// Takes effects in any order.
pub(super) struct EffectSorter<'k> {
    folder: PathBuf,
    key: &'k StateKey,
    fields: usize,
    budget: usize,
    held: Vec<Effect>,
    held_bytes: usize,
    runs: Vec<SealedReader>,
    len: u64,
}

impl<'k> EffectSorter<'k> {
    /// Holds `budget` bytes in memory and puts the rest into scratch files in `folder`. Entries have `fields`
    /// mapped fields.
    pub(super) fn new(folder: PathBuf, key: &'k StateKey, fields: usize, budget: usize) -> Self {
        Self { folder, key, fields, budget, held: Vec::new(), held_bytes: 0, runs: Vec::new(), len: 0 }
    }

    /// How many effects there are.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Takes one effect.
    pub(super) fn push(&mut self, effect: Effect) -> Result<(), FileError> {
        self.held_bytes += effect.bytes();
        self.held.push(effect);
        self.len += 1;
        if self.held_bytes > self.budget { self.spill() } else { Ok(()) }
    }

    fn spill(&mut self) -> Result<(), FileError> {
        self.held.sort_unstable_by_key(|e| e.entry.ordinal);
        let path = self.folder.join(format!("{SEGMENT_PREFIX}{}", random_name()?));
        let file = NewFile::scratch(&path, FreeSpace::ANY)?;
        let mut writer = SealedWriter::new(file, self.key, SealedKind::Effects)?;
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        for effect in self.held.drain(..) {
            effect.encode(&mut chunk);
            if chunk.len() >= CHUNK_BYTES {
                writer.chunk(&chunk)?;
                chunk.clear();
            }
        }
        if !chunk.is_empty() {
            writer.chunk(&chunk)?;
        }
        self.held_bytes = 0;
        self.runs.push(writer.into_reader()?);
        Ok(())
    }

    /// All effects by ordinal.
    pub(super) fn into_sorted(mut self) -> Result<SortedEffects, FileError> {
        self.held.sort_unstable_by_key(|e| e.entry.ordinal);
        let mut sorted = SortedEffects { heads: BinaryHeap::new(), runs: Vec::new() };
        for reader in self.runs {
            sorted.runs.push(SortedRun { reader: Some(reader), fields: self.fields, chunk: 0, decoded: Vec::new() });
        }
        // Taken from the end.
        self.held.reverse();
        sorted.runs.push(SortedRun { reader: None, fields: self.fields, chunk: 0, decoded: self.held });
        for run in 0..sorted.runs.len() {
            sorted.advance(run)?;
        }
        Ok(sorted)
    }
}

/// Effects in the order of ordinals.
pub(super) struct SortedEffects {
    /// (ordinal, run) of every run's first effect.
    heads: BinaryHeap<Reverse<(u64, usize)>>,
    runs: Vec<SortedRun>,
}

struct SortedRun {
    /// `None` for the run that never left memory.
    reader: Option<SealedReader>,
    fields: usize,
    chunk: usize,
    /// What was read and not yet taken, last first.
    decoded: Vec<Effect>,
}

impl SortedEffects {
    /// The ordinal of the next effect.
    pub(super) fn next_ordinal(&self) -> Option<u64> {
        self.heads.peek().map(|Reverse((ordinal, _))| *ordinal)
    }

    /// The next effect, if it is for `ordinal`.
    pub(super) fn take(&mut self, ordinal: u64) -> Result<Option<Effect>, FileError> {
        let Some(&Reverse((next, run))) = self.heads.peek() else { return Ok(None) };
        if next != ordinal {
            return Ok(None);
        }
        self.heads.pop();
        let effect = self.runs[run].decoded.pop();
        self.advance(run)?;
        Ok(effect)
    }

    fn advance(&mut self, run: usize) -> Result<(), FileError> {
        let source = &mut self.runs[run];
        if source.decoded.is_empty() {
            source.read_chunk()?;
        }
        if let Some(effect) = source.decoded.last() {
            self.heads.push(Reverse((effect.entry.ordinal, run)));
        }
        Ok(())
    }
}

impl SortedRun {
    fn read_chunk(&mut self) -> Result<(), FileError> {
        let Some(reader) = self.reader.as_ref().filter(|reader| self.chunk < reader.chunks()) else { return Ok(()) };
        let plain = reader.chunk(self.chunk)?;
        self.chunk += 1;
        let mut rest = plain.as_slice();
        while !rest.is_empty() {
            let effect = Effect::decode(&mut rest, self.fields)
                .ok_or_else(|| FileError::damaged(reader.path(), "an effect cannot be read"))?;
            self.decoded.push(effect);
        }
        self.decoded.reverse();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use backhaul_kit::Address;

    #[test]
    fn effects_come_out_by_ordinal_whether_or_not_they_fit_into_memory() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = StateKey::random().expect("a key");
        for budget in [0, 1000, 1 << 20] {
            let mut sorter = EffectSorter::new(folder.path().to_owned(), &key, 2, budget);
            let effects: Vec<Effect> = (0..500u64)
                .map(|n| Effect {
                    entry: SegmentEntry {
                        ordinal: n * 7919 % 500,
                        fingerprint: 100 + n,
                        key: vec![1; n as usize % 9],
                        address: Address { remote_id: None, match_value: Some(n.to_string()) },
                        fields: vec![n as u32, 2],
                    },
                    keeps_fields: n % 2 == 0,
                })
                .collect();
            for effect in &effects {
                sorter.push(effect.clone()).expect("pushed");
            }
            assert_eq!(sorter.len(), 500);
            let mut sorted = sorter.into_sorted().expect("sorted");
            let mut expected = effects;
            expected.sort_by_key(|e| e.entry.ordinal);
            for effect in expected {
                assert_eq!(sorted.next_ordinal(), Some(effect.entry.ordinal));
                assert_eq!(sorted.take(effect.entry.ordinal).expect("read"), Some(effect));
            }
            assert_eq!(sorted.next_ordinal(), None);
            assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
        }
    }
}
