//! A set of hashes that may have more than memory holds: in memory, sorted, or in a sealed scratch file, sorted as well.
//! Of a file, memory has where its chunks begin, and a filter that knows most strangers without a look at the file. So
//! asking stays one call, whatever the size of the set.

use backhaul_kit::KeyHash;

use super::PlanError;
use super::spill::{Budget, Spill, Spilled};
use crate::snapshot::sealed::{SealedReader, SealedWriter};

/// Makes a file for what memory has no room for.
pub(crate) type Scratch = Box<dyn Fn() -> Result<SealedWriter, PlanError> + Send>;

/// What part of the memory that comparing may take hashes and the filter may have.
const SHARE: u64 = 4;
/// Partitions are sorted in memory: they are as many as six times so many hashes want.
const USUAL: u64 = 1 << 26;
/// 4 KiB: reading and opening one takes a few microseconds.
const CHUNK: usize = if cfg!(test) { 8 } else { 512 };

/// Takes hashes.
pub(crate) struct Gathered {
    most: usize,
    budget: Budget,
    held: Vec<u64>,
    spill: Option<Spill>,
    len: u64,
    scratch: Scratch,
}

impl Gathered {
    /// Holds a quarter of `memory` bytes; what is more goes to scratch files.
    pub(crate) fn new(memory: u64, scratch: Scratch) -> Self {
        let most = (memory / SHARE) as usize / size_of::<u64>();
        Self { most, budget: Budget::new(memory, USUAL), held: Vec::new(), spill: None, len: 0, scratch }
    }

    /// Takes a hash.
    pub(crate) fn push(&mut self, hash: u64) -> Result<(), PlanError> {
        self.len += 1;
        if let Some(spill) = &mut self.spill {
            return put(spill, hash);
        }
        self.held.push(hash);
        if self.held.len() > self.most {
            let mut spill = Spill::new((self.scratch)()?, self.budget);
            for hash in std::mem::take(&mut self.held) {
                put(&mut spill, hash)?;
            }
            self.spill = Some(spill);
        }
        Ok(())
    }

    /// Ends the taking. Sorts: of a large set that takes a while.
    pub(crate) fn ready(self) -> Result<Hashes, PlanError> {
        let Self { most, budget, mut held, spill, len, scratch } = self;
        let Some(spill) = spill else {
            held.sort_unstable();
            held.dedup();
            held.shrink_to_fit();
            return Ok(Hashes(Place::Memory(held)));
        };
        let spilled = spill.into_reader()?;
        let mut file =
            Sorted { file: scratch()?, firsts: Vec::new(), filter: Filter::new(len, most), chunk: Vec::new() };
        for partition in 0..budget.partitions {
            read(&spilled, partition, &mut held)?;
            held.sort_unstable();
            held.dedup();
            // Partitions ascend with the hash.
            held.drain(..).try_for_each(|hash| file.push(hash))?;
        }
        Ok(Hashes(Place::File(file.finish()?)))
    }
}

/// The partition of a hash is that of the key hash whose upper half it is.
fn put(spill: &mut Spill, hash: u64) -> Result<(), PlanError> {
    spill.push(KeyHash(u128::from(hash) << 64), |out| out.extend_from_slice(&hash.to_le_bytes()))
}

fn read(spilled: &Spilled, partition: usize, out: &mut Vec<u64>) -> Result<(), PlanError> {
    for chunk in spilled.partition(partition) {
        out.extend(hashes(&chunk?).ok_or_else(|| spilled.damaged())?);
    }
    Ok(())
}

/// The hashes of a chunk.
fn hashes(chunk: &[u8]) -> Option<impl Iterator<Item = u64>> {
    let (hashes, rest) = chunk.as_chunks::<8>();
    rest.is_empty().then(|| hashes.iter().map(|hash| u64::from_le_bytes(*hash)))
}

/// The set, to be asked.
pub(crate) struct Hashes(Place);

enum Place {
    Memory(Vec<u64>),
    File(File),
}

impl Default for Hashes {
    fn default() -> Self {
        Self(Place::Memory(Vec::new()))
    }
}

impl Hashes {
    /// Whether the set has a hash.
    pub(crate) fn has(&self, hash: u64) -> Result<bool, PlanError> {
        match &self.0 {
            Place::Memory(hashes) => Ok(hashes.binary_search(&hash).is_ok()),
            Place::File(file) => file.has(hash),
        }
    }
}

/// Hashes in ascending order, on their way into a file.
struct Sorted {
    file: SealedWriter,
    firsts: Vec<u64>,
    filter: Filter,
    chunk: Vec<u8>,
}

impl Sorted {
    fn push(&mut self, hash: u64) -> Result<(), PlanError> {
        if self.chunk.is_empty() {
            self.firsts.push(hash);
        }
        self.filter.add(hash);
        self.chunk.extend_from_slice(&hash.to_le_bytes());
        if self.chunk.len() == CHUNK * size_of::<u64>() { self.end_chunk() } else { Ok(()) }
    }

    fn end_chunk(&mut self) -> Result<(), PlanError> {
        self.file.chunk(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<File, PlanError> {
        if !self.chunk.is_empty() {
            self.end_chunk()?;
        }
        Ok(File { file: self.file.into_reader()?, firsts: self.firsts, filter: self.filter })
    }
}

struct File {
    file: SealedReader,
    /// The first hash of every chunk.
    firsts: Vec<u64>,
    filter: Filter,
}

impl File {
    fn has(&self, hash: u64) -> Result<bool, PlanError> {
        if !self.filter.may_have(hash) {
            return Ok(false);
        }
        let behind = self.firsts.partition_point(|first| *first <= hash);
        let Some(place) = behind.checked_sub(1) else { return Ok(false) };
        let chunk = self.file.chunk(place)?;
        let damaged = || PlanError::damaged(self.file.path(), "a hash cannot be read");
        Ok(hashes(&chunk).ok_or_else(damaged)?.any(|known| known == hash))
    }
}

/// Says of most hashes that are not in a set that they are not: four bits of one word for each that is.
struct Filter(Vec<u64>);

impl Filter {
    /// For so many hashes, in at most so many words: with a word for every four hashes it is wrong once in a hundred times.
    fn new(hashes: u64, most: usize) -> Self {
        let words = usize::try_from(hashes / 4).unwrap_or(usize::MAX);
        Self(vec![0; words.clamp(1, most.max(1))])
    }

    fn place(&self, hash: u64) -> (usize, u64) {
        let word = (u128::from(hash) * self.0.len() as u128) >> 64;
        let bits = (0..4).fold(0, |bits, n| bits | 1 << (hash >> (6 * n) & 63));
        (word as usize, bits)
    }

    fn add(&mut self, hash: u64) {
        let (word, bits) = self.place(hash);
        self.0[word] |= bits;
    }

    fn may_have(&self, hash: u64) -> bool {
        let (word, bits) = self.place(hash);
        self.0[word] & bits == bits
    }
}

#[cfg(test)]
pub(super) mod tests {
    use xxhash_rust::xxh3::xxh3_64;

    use super::*;
    use crate::snapshot::StateKey;
    use crate::snapshot::file::{FreeSpace, NewFile};
    use crate::snapshot::sealed::SealedKind;

    /// Scratch files in a folder that goes with them.
    pub(in crate::diff) fn scratch() -> Scratch {
        let folder = tempfile::tempdir().expect("a folder");
        let key = StateKey::random().expect("a key");
        Box::new(move || {
            SealedWriter::new(NewFile::scratch(&folder.path().join("s"), FreeSpace::ANY)?, &key, SealedKind::Spill)
        })
    }

    fn hash(n: u32) -> u64 {
        xxh3_64(&n.to_le_bytes())
    }

    fn gathered(memory: u64, numbers: impl Iterator<Item = u32>) -> Hashes {
        let mut gathered = Gathered::new(memory, scratch());
        numbers.for_each(|n| gathered.push(hash(n)).expect("pushed"));
        gathered.ready().expect("ready")
    }

    #[test]
    fn a_set_has_what_it_was_given_and_nothing_else_wherever_it_is() {
        for memory in [0, 400, 1 << 20] {
            // Every number twice.
            let set = gathered(memory, (0..3000).chain(0..3000));
            assert_eq!(matches!(set.0, Place::File(_)), memory < 1 << 20);
            for n in 0..10_000 {
                assert_eq!(set.has(hash(n)).expect("asked"), n < 3000, "{n} with {memory}");
            }
            assert!(!set.has(0).expect("asked") && !set.has(u64::MAX).expect("asked"));
        }
        assert!(!Hashes::default().has(hash(1)).expect("asked"));
        assert!(!gathered(0, 0..0).has(hash(1)).expect("asked"));
    }

    #[test]
    fn memory_has_little_of_a_set_in_a_file() {
        let memory = 40_000;
        let set = gathered(memory, 0..50_000);
        let Place::File(File { firsts, filter, .. }) = &set.0 else { panic!("in memory") };
        assert!(filter.0.len() * 8 <= memory as usize / 4, "{}", filter.0.len());
        assert_eq!(firsts.len(), 50_000usize.div_ceil(CHUNK));
    }

    #[test]
    fn a_filter_with_room_is_seldom_wrong() {
        let mut filter = Filter::new(100_000, usize::MAX);
        (0..100_000).for_each(|n| filter.add(hash(n)));
        assert!((0..100_000).all(|n| filter.may_have(hash(n))));
        let wrong = (100_000..200_000).filter(|n| filter.may_have(hash(*n))).count();
        assert!(wrong < 2_500, "{wrong} of 100,000");
    }
}
