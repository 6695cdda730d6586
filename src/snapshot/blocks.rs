//! Plain files of fixed-size records in checksummed blocks.
//!
//! ```text
//! magic 8 · version u32 · record bytes u32 · random id 16
//! block*: 256 records (the last: the rest) · xxh3-64 seeded with the file's id and the block's index
//! extra · records u64 · extra bytes u64 · xxh3-64 of header, extra and counts · "BHEND\0\0\0"
//! ```

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::error::FileError;
use super::file::{FileEntry, NewFile};
use super::seal::fill_random;

/// Records of one block in every file of a base.
pub(crate) const BLOCK: usize = 256;
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 32;
const CHECKSUM_BYTES: usize = 8;
const TAIL_BYTES: usize = 32;
const END: &[u8; 8] = b"BHEND\0\0\0";

/// Writes records one after the other.
pub(crate) struct BlockWriter {
    file: NewFile,
    header: [u8; HEADER_BYTES],
    record_bytes: usize,
    block: Vec<u8>,
    blocks: u64,
    records: u64,
}

impl BlockWriter {
    /// Starts a file of records of `record_bytes` (at least 1).
    pub(crate) fn new(mut file: NewFile, magic: &[u8; 8], record_bytes: usize) -> Result<Self, FileError> {
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(magic);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&(record_bytes as u32).to_le_bytes());
        fill_random(&mut header[16..])?;
        file.write(&header)?;
        let block = Vec::with_capacity(BLOCK * record_bytes + CHECKSUM_BYTES);
        Ok(Self { file, header, record_bytes, block, blocks: 0, records: 0 })
    }

    /// Appends a record: `fill` appends exactly its bytes.
    pub(crate) fn push(&mut self, fill: impl FnOnce(&mut Vec<u8>)) -> Result<(), FileError> {
        fill(&mut self.block);
        self.records += 1;
        debug_assert_eq!(self.block.len() % self.record_bytes, 0);
        if self.block.len() >= BLOCK * self.record_bytes {
            self.end_block()?;
        }
        Ok(())
    }

    /// How many records it has.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    fn end_block(&mut self) -> Result<(), FileError> {
        let sum = xxh3_64_with_seed(&self.block, block_seed(&self.header, self.blocks));
        self.block.extend_from_slice(&sum.to_le_bytes());
        self.file.write(&self.block)?;
        self.block.clear();
        self.blocks += 1;
        Ok(())
    }

    /// Ends the file with `extra` and makes it durable.
    pub(crate) fn finish(mut self, extra: &[u8]) -> Result<FileEntry, FileError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let counts = counts(self.records, extra.len() as u64);
        self.file.write(extra)?;
        self.file.write(&counts)?;
        self.file.write(&tail_sum(&self.header, extra, &counts).to_le_bytes())?;
        self.file.write(END)?;
        self.file.finish()
    }
}

impl BlockWriter {
    /// Gives a scratch file's content over for reading; nothing is synced.
    pub(crate) fn into_reader(mut self) -> Result<BlockReader, FileError> {
        if !self.block.is_empty() {
            self.end_block()?;
        }
        let Self { file, header, record_bytes, records, .. } = self;
        let (file, path) = file.into_unnamed()?;
        Ok(BlockReader { file, path, header, record_bytes, records, extra: Vec::new() })
    }
}

/// Reads records, any block at a time.
pub(crate) struct BlockReader {
    file: File,
    path: PathBuf,
    header: [u8; HEADER_BYTES],
    record_bytes: usize,
    records: u64,
    extra: Vec<u8>,
}

impl BlockReader {
    /// Opens a finished file; checks header, length and end. Blocks are checked as they are read.
    pub(crate) fn open(path: &Path, magic: &[u8; 8], record_bytes: usize) -> Result<Self, FileError> {
        let io = |e| FileError::io("read", path, e);
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        if bytes < (HEADER_BYTES + TAIL_BYTES) as u64 {
            return Err(FileError::damaged(path, "it is too short"));
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0).map_err(io)?;
        if !header.starts_with(magic) {
            return Err(FileError::damaged(path, "it does not start like a file of its kind"));
        }
        let version = u32_at(&header, 8);
        if version != VERSION {
            return Err(FileError::Version { file: path.to_owned(), found: version, known: VERSION });
        }
        if u32_at(&header, 12) as usize != record_bytes {
            return Err(FileError::damaged(path, "its records have another length"));
        }
        let mut tail = [0; TAIL_BYTES];
        file.read_exact_at(&mut tail, bytes - TAIL_BYTES as u64).map_err(io)?;
        if &tail[24..] != END {
            return Err(FileError::damaged(path, "its end is missing"));
        }
        let (records, extra_bytes) = (u64_at(&tail, 0), u64_at(&tail, 8));
        let whole = block_offset(record_bytes, records)
            .and_then(|end| end.checked_add(extra_bytes)?.checked_add(TAIL_BYTES as u64));
        if whole != Some(bytes) {
            return Err(FileError::damaged(path, "its length does not fit its counts"));
        }
        let mut extra = vec![0; extra_bytes as usize];
        file.read_exact_at(&mut extra, bytes - TAIL_BYTES as u64 - extra_bytes).map_err(io)?;
        if tail_sum(&header, &extra, &tail[..16]) != u64_at(&tail, 16) {
            return Err(FileError::damaged(path, "its header or end was altered"));
        }
        Ok(Self { file, path: path.to_owned(), header, record_bytes, records, extra })
    }

    /// How many records it has.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// What stands behind the blocks; moved out.
    pub(crate) fn take_extra(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.extra)
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces `out` with the records of `count` blocks from block `first` on (fewer at the end). `raw` is
    /// scratch space, kept by the caller.
    pub(crate) fn read(&self, first: u64, count: usize, raw: &mut Vec<u8>, out: &mut Vec<u8>) -> Result<(), FileError> {
        out.clear();
        let first_record = first * BLOCK as u64;
        let records = (self.records.saturating_sub(first_record)).min((count * BLOCK) as u64) as usize;
        let full = BLOCK * self.record_bytes;
        let bytes = records * self.record_bytes;
        raw.resize(bytes + records.div_ceil(BLOCK) * CHECKSUM_BYTES, 0);
        let offset = HEADER_BYTES as u64 + first * (full + CHECKSUM_BYTES) as u64;
        self.file.read_exact_at(raw, offset).map_err(|e| FileError::io("read", &self.path, e))?;
        out.reserve(bytes);
        for (index, block) in (first..).zip(raw.chunks(full + CHECKSUM_BYTES)) {
            let (block, sum) = block.split_at(block.len() - CHECKSUM_BYTES);
            if xxh3_64_with_seed(block, block_seed(&self.header, index)) != u64_at(sum, 0) {
                return Err(FileError::damaged(&self.path, format!("block {index} was altered")));
            }
            out.extend_from_slice(block);
        }
        Ok(())
    }
}

fn counts(records: u64, extra: u64) -> [u8; 16] {
    let mut counts = [0; 16];
    counts[..8].copy_from_slice(&records.to_le_bytes());
    counts[8..].copy_from_slice(&extra.to_le_bytes());
    counts
}

/// Where the blocks of so many records end.
fn block_offset(record_bytes: usize, records: u64) -> Option<u64> {
    let blocks = records.div_ceil(BLOCK as u64);
    let bytes = records.checked_mul(record_bytes as u64)?.checked_add(blocks.checked_mul(CHECKSUM_BYTES as u64)?)?;
    bytes.checked_add(HEADER_BYTES as u64)
}

fn block_seed(header: &[u8; HEADER_BYTES], block: u64) -> u64 {
    u64_at(header, 16).wrapping_add(block)
}

fn tail_sum(header: &[u8], extra: &[u8], counts: &[u8]) -> u64 {
    xxh3_64_with_seed(extra, xxh3_64(&[header, counts].concat()))
}

/// The little-endian u64 at `at`; the caller knows that it is there.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut out = [0; 8];
    out.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(out)
}

/// The little-endian u32 at `at`; the caller knows that it is there.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut out = [0; 4];
    out.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::file::FreeSpace;

    const MAGIC: &[u8; 8] = b"BHTEST\0\0";

    fn write(path: &Path, records: u32, extra: &[u8]) {
        let file = NewFile::create(path, FreeSpace::ANY).expect("created");
        let mut writer = BlockWriter::new(file, MAGIC, 4).expect("started");
        for n in 0..records {
            writer.push(|out| out.extend_from_slice(&n.to_le_bytes())).expect("pushed");
        }
        writer.finish(extra).expect("finished");
    }

    fn read(path: &Path) -> Result<(Vec<u32>, Vec<u8>), FileError> {
        let mut reader = BlockReader::open(path, MAGIC, 4)?;
        let (mut raw, mut out) = (Vec::new(), Vec::new());
        reader.read(0, reader.records().div_ceil(BLOCK as u64) as usize, &mut raw, &mut out)?;
        Ok((out.chunks(4).map(|c| u32_at(c, 0)).collect(), reader.take_extra()))
    }

    #[test]
    fn records_come_back_whole_and_block_by_block() {
        for records in [0, 1, 255, 256, 257, 1000] {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("f");
            write(&path, records, b"extra");
            assert_eq!(read(&path).expect("whole"), ((0..records).collect(), b"extra".to_vec()));
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        write(&path, 600, b"");
        let reader = BlockReader::open(&path, MAGIC, 4).expect("opened");
        let (mut raw, mut out) = (Vec::new(), Vec::new());
        reader.read(1, 1, &mut raw, &mut out).expect("block 1");
        assert_eq!((out.len(), u32_at(&out, 0)), (1024, 256));
        reader.read(2, 9, &mut raw, &mut out).expect("block 2");
        assert_eq!((out.len(), u32_at(&out, 0)), (88 * 4, 512));
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        write(&path, 300, b"extra");
        let whole = std::fs::read(&path).expect("the file");
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1 << (at % 8);
            std::fs::write(&path, &altered).expect("altered");
            assert!(read(&path).is_err(), "byte {at}");
        }
        for at in (0..whole.len()).step_by(7) {
            std::fs::write(&path, &whole[..at]).expect("cut");
            assert!(read(&path).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn blocks_that_change_places_are_detected() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        write(&path, 512, b"");
        let mut raw = std::fs::read(&path).expect("the file");
        let block = BLOCK * 4 + CHECKSUM_BYTES;
        let (first, second) = raw[HEADER_BYTES..HEADER_BYTES + 2 * block].split_at_mut(block);
        first.swap_with_slice(second);
        std::fs::write(&path, &raw).expect("altered");
        assert!(matches!(read(&path), Err(FileError::Damaged { .. })));
    }
}
