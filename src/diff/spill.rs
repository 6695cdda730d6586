//! More than memory holds, in a sealed scratch file, by partition of the key hash: what can meet, meets in
//! one partition, and only one is in memory at a time.

use backhaul_kit::KeyHash;

use super::PlanError;
use crate::snapshot::sealed::{SealedReader, SealedWriter};

/// How much memory comparing may take, and how it is shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Bytes of rows that wait in memory before they are spilled.
    pub(super) rows: usize,
    /// Bytes of the hashes of such rows.
    pub(super) index: usize,
    /// Bytes of the buffers in front of a spill.
    buffers: usize,
    /// How many partitions there are.
    pub(super) partitions: usize,
}

/// A record or row of a partition in memory: hash, fingerprint, ordinal, and its share of the table.
const PARTITION_ENTRY: u64 = 48;
const FEWEST_PARTITIONS: u64 = if cfg!(test) { 4 } else { 128 };
/// Beyond so many the buffers in front of them become small; only memory asks for more.
const MANY_PARTITIONS: u64 = 512;
const MOST_PARTITIONS: u64 = 4096;
/// A partition of so many bytes is joined within the processor's cache.
const CACHED: u64 = 1 << 20;
const MOST_BUFFER: usize = 64 << 10;
/// A usual entry that ends behind a full buffer does not make it grow.
const BEYOND: usize = 1 << 10;

impl Budget {
    /// Shares `memory` bytes out for a snapshot with so many records: an eighth for rows, an eighth for buffers, a
    /// quarter for what is joined (hashes of all rows, or a partition of rows and records). The rest is for what
    /// the allocator does not give back at once, and for a batch of the rows that are judged.
    pub(crate) fn new(memory: u64, records: u64) -> Self {
        let (eighth, quarter) = ((memory / 8) as usize, memory / 4);
        let bytes = records.saturating_mul(PARTITION_ENTRY);
        let cached = (bytes / CACHED).clamp(FEWEST_PARTITIONS, MANY_PARTITIONS);
        let partitions = (bytes / quarter.max(1)).max(cached).next_power_of_two();
        let partitions = partitions.min(MOST_PARTITIONS) as usize;
        Self { rows: eighth, index: quarter as usize, buffers: eighth, partitions }
    }
}

/// The partition of a key among `partitions`: ascending with the hash.
#[inline]
pub(super) fn partition_of(key: KeyHash, partitions: usize) -> usize {
    let high = (key.0 >> 64) as u64;
    ((u128::from(high) * partitions as u128) >> 64) as usize
}

/// Takes entries.
pub(super) struct Spill {
    file: SealedWriter,
    buffer_bytes: usize,
    partitions: Vec<Partition>,
}

struct Partition {
    buffer: Vec<u8>,
    /// Places of its chunks in the file.
    chunks: Vec<u32>,
}

impl Spill {
    pub(super) fn new(file: SealedWriter, budget: Budget) -> Self {
        let buffer_bytes = (budget.buffers / budget.partitions).min(MOST_BUFFER);
        let partition = |_| Partition { buffer: Vec::with_capacity(buffer_bytes + BEYOND), chunks: Vec::new() };
        let partitions = (0..budget.partitions).map(partition).collect();
        Self { file, buffer_bytes, partitions }
    }

    /// Takes an entry of that key: `fill` appends its bytes.
    #[inline]
    pub(super) fn push(&mut self, key: KeyHash, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), PlanError> {
        let partition = partition_of(key, self.partitions.len());
        let buffer = &mut self.partitions[partition].buffer;
        fill(buffer);
        if buffer.len() >= self.buffer_bytes { self.end_chunk(partition) } else { Ok(()) }
    }

    #[cold]
    fn end_chunk(&mut self, partition: usize) -> Result<(), PlanError> {
        let Partition { buffer, chunks } = &mut self.partitions[partition];
        if !buffer.is_empty() {
            chunks.push(self.file.chunks() as u32);
            self.file.chunk(buffer)?;
            buffer.clear();
        }
        Ok(())
    }

    /// Ends the taking.
    pub(super) fn into_reader(mut self) -> Result<Spilled, PlanError> {
        for partition in 0..self.partitions.len() {
            self.end_chunk(partition)?;
            self.partitions[partition].buffer = Vec::new();
        }
        let chunks = self.partitions.into_iter().map(|partition| partition.chunks).collect();
        Ok(Spilled { file: self.file.into_reader()?, chunks })
    }
}

/// Gives the entries back, a partition at a time.
pub(super) struct Spilled {
    file: SealedReader,
    chunks: Vec<Vec<u32>>,
}

impl Spilled {
    /// The bytes of the entries of a partition, in the order in which they came, in pieces of whole entries.
    pub(super) fn partition(&self, partition: usize) -> impl Iterator<Item = Result<Vec<u8>, PlanError>> {
        self.chunks[partition].iter().map(|chunk| self.file.chunk(*chunk as usize))
    }

    /// The error for an entry that cannot be read.
    pub(super) fn damaged(&self) -> PlanError {
        PlanError::damaged(self.file.path(), "an entry that was put aside cannot be read")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::StateKey;
    use crate::snapshot::file::{FreeSpace, NewFile};
    use crate::snapshot::sealed::SealedKind;

    #[test]
    fn every_entry_comes_back_in_the_partition_of_its_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = StateKey::random().expect("a key");
        for memory in [0, 400, 1 << 20] {
            let file = NewFile::scratch(&folder.path().join("s"), FreeSpace::ANY).expect("created");
            let file = SealedWriter::new(file, &key, SealedKind::Spill).expect("started");
            let budget = Budget::new(memory, 0);
            let mut spill = Spill::new(file, budget);
            let keys: Vec<KeyHash> = (0..3000u32).map(|n| KeyHash::of(&n.to_le_bytes(), 3)).collect();
            for key in &keys {
                spill.push(*key, |out| out.extend_from_slice(&key.0.to_le_bytes())).expect("pushed");
            }
            let spilled = spill.into_reader().expect("read again");
            let mut found = Vec::new();
            for partition in 0..budget.partitions {
                for chunk in spilled.partition(partition) {
                    let chunk = chunk.expect("a chunk");
                    let hashes = chunk.as_chunks::<16>().0.iter();
                    found.extend(hashes.map(|hash| (partition, KeyHash(u128::from_le_bytes(*hash)))));
                }
            }
            assert!(found.windows(2).all(|pair| pair[0].0 <= pair[1].0));
            assert!(found.iter().all(|(partition, key)| partition_of(*key, budget.partitions) == *partition));
            let (mut found, mut keys): (Vec<_>, Vec<_>) = (found.into_iter().map(|(_, key)| key).collect(), keys);
            found.sort_unstable();
            keys.sort_unstable();
            assert_eq!(found, keys, "memory {memory}");
        }
    }

    #[test]
    fn a_partition_of_a_large_snapshot_fits_into_a_quarter_of_the_memory() {
        for (records, memory) in
            [(0, 64 << 20), (10_000_000, 64 << 20), (100_000_000, 64 << 20), (1_000_000_000, 256 << 20)]
        {
            let budget = Budget::new(memory, records);
            assert!(records / budget.partitions as u64 * PARTITION_ENTRY <= memory / 4, "{records}: {budget:?}");
        }
    }
}
