//! The one encrypting chunk writer, and its reader.
//!
//! ```text
//! magic 8 · version u16 · kind u16 · nonce 12 · data key sealed by the state key 48
//! chunk*: length u32 · sealed(lz4(plain)), in scratch files sealed(plain)
//! footer: sealed(length of every chunk) · its length u32 · magic 8
//! ```
//!
//! Every file has its own random data key, so the nonce of a chunk is its index; index and kind are
//! authenticated with it: a chunk cannot be moved, repeated, or taken from another file. The footer makes
//! a truncated file different from a short one, and gives every chunk's place.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{Aad, LessSafeKey, NONCE_LEN, Nonce};
use secrecy::{ExposeSecret as _, SecretBox};

use super::error::FileError;
use super::file::{FileEntry, NewFile};
use super::seal::{BLOB_OVERHEAD, KEY_BYTES, StateKey, TAG_BYTES, cipher, fill_random};

const MAGIC: &[u8; 8] = b"BHSEALED";
const VERSION: u16 = 1;
const PREFIX_BYTES: usize = 12;
const HEADER_BYTES: usize = PREFIX_BYTES + BLOB_OVERHEAD + KEY_BYTES;
const TRAILER_BYTES: usize = 12;
/// The footer's nonce; no chunk has this index.
const FOOTER: u64 = u64::MAX;

/// What a sealed file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SealedKind {
    /// Canonical keys of a base.
    Keys = 1,
    /// Addresses of a base.
    Addresses = 2,
    /// A segment of the overlay in its first form, which is still read.
    SegmentV1 = 3,
    /// A plan in its first form, without causes of removals, which is still read.
    PlanV1 = 4,
    /// Scratch: rows and records by partition of their key hash.
    Spill = 5,
    /// Scratch: a sorted run.
    Run = 6,
    /// A segment of the overlay.
    Segment = 7,
    /// Where the rows of a scan stood.
    Order = 8,
    /// Accepted values of guarded fields.
    Values = 9,
    /// A plan.
    Plan = 10,
}

impl SealedKind {
    /// Scratch files are read once, soon: compressing them costs more than it saves.
    fn compresses(self) -> bool {
        !matches!(self, Self::Spill | Self::Run)
    }
}

/// Writes a sealed file chunk by chunk.
pub(crate) struct SealedWriter {
    file: NewFile,
    key: LessSafeKey,
    kind: SealedKind,
    /// Where every chunk starts, and where the next will.
    offsets: Vec<u64>,
    /// The chunk that was written last, kept for its memory.
    text: Vec<u8>,
}

impl SealedWriter {
    /// Starts the file.
    pub(crate) fn new(mut file: NewFile, key: &StateKey, kind: SealedKind) -> Result<Self, FileError> {
        let mut filled = Ok(());
        let data_key = SecretBox::init_with_mut(|bytes: &mut [u8; KEY_BYTES]| filled = fill_random(bytes));
        filled?;
        let prefix = prefix(kind);
        file.write(&prefix)?;
        file.write(&key.seal_blob(&prefix, data_key.expose_secret())?)?;
        Ok(Self {
            file,
            key: cipher(data_key.expose_secret())?,
            kind,
            offsets: vec![HEADER_BYTES as u64],
            text: Vec::new(),
        })
    }

    /// How many chunks were written.
    pub(crate) fn chunks(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Appends one chunk.
    pub(crate) fn chunk(&mut self, plain: &[u8]) -> Result<(), FileError> {
        let index = self.chunks() as u64;
        let Self { file, key, kind, offsets, text } = self;
        text.clear();
        if kind.compresses() {
            *text = lz4_flex::block::compress_prepend_size(plain);
        } else {
            text.extend_from_slice(plain);
        }
        seal(key, *kind, index, text)?;
        let length = u32::try_from(text.len()).map_err(|_| FileError::Crypto("a chunk of more than 4 GiB"))?;
        file.write(&length.to_le_bytes())?;
        file.write(text)?;
        offsets.push(file.bytes());
        Ok(())
    }

    /// Reads a chunk back.
    pub(crate) fn read_back(&mut self, index: usize) -> Result<Vec<u8>, FileError> {
        let (file, path) = self.file.readable()?;
        Chunks { file, path, key: &self.key, kind: self.kind, offsets: &self.offsets }.read(index)
    }

    /// Ends the file and makes it durable.
    pub(crate) fn finish(mut self) -> Result<FileEntry, FileError> {
        self.footer()?;
        self.file.finish()
    }

    /// Gives the file's name up and reads it again.
    pub(crate) fn into_reader(self) -> Result<SealedReader, FileError> {
        let (file, path) = self.file.into_unnamed()?;
        Ok(SealedReader { file, path, key: self.key, kind: self.kind, offsets: self.offsets })
    }

    fn footer(&mut self) -> Result<(), FileError> {
        let lengths = self.offsets.windows(2).map(|pair| (pair[1] - pair[0] - 4) as u32);
        let mut text: Vec<u8> = lengths.flat_map(u32::to_le_bytes).collect();
        seal(&self.key, self.kind, FOOTER, &mut text)?;
        self.file.write(&text)?;
        self.file.write(&(text.len() as u32).to_le_bytes())?;
        self.file.write(MAGIC)
    }
}

/// Reads a sealed file, any chunk at a time.
pub(crate) struct SealedReader {
    file: File,
    path: PathBuf,
    key: LessSafeKey,
    kind: SealedKind,
    /// Where every chunk starts, and where the last ends.
    offsets: Vec<u64>,
}

impl SealedReader {
    /// Opens a finished file; checks header, length and footer.
    pub(crate) fn open(path: &Path, key: &StateKey, kind: SealedKind) -> Result<Self, FileError> {
        Self::open_one_of(path, key, &[kind])
    }

    /// Opens a finished file of one of `kinds`.
    pub(crate) fn open_one_of(path: &Path, key: &StateKey, kinds: &[SealedKind]) -> Result<Self, FileError> {
        let io = |e| FileError::io("read", path, e);
        let file = File::open(path).map_err(io)?;
        let bytes = file.metadata().map_err(io)?.len();
        if bytes < (HEADER_BYTES + TAG_BYTES + TRAILER_BYTES) as u64 {
            return Err(FileError::damaged(path, "it is too short"));
        }
        let mut header = [0; HEADER_BYTES];
        file.read_exact_at(&mut header, 0).map_err(io)?;
        let (head, wrapped) = header.split_at(PREFIX_BYTES);
        let kind = check_prefix(path, head, kinds)?;
        let data_key = key.open_blob(head, wrapped).map(|k| SecretBox::new(Box::new(k)));
        let data_key = data_key.ok_or_else(|| FileError::OtherKey { file: path.to_owned() })?;
        let data_key: &[u8; KEY_BYTES] = (data_key.expose_secret().as_slice())
            .try_into()
            .map_err(|_| FileError::damaged(path, "its key has another length"))?;
        let key = cipher(data_key)?;

        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, bytes - TRAILER_BYTES as u64).map_err(io)?;
        let (length, magic) = trailer.split_at(4);
        let mut footer_bytes = [0; 4];
        footer_bytes.copy_from_slice(length);
        let footer_bytes = u64::from(u32::from_le_bytes(footer_bytes));
        let chunks_end = (bytes - TRAILER_BYTES as u64)
            .checked_sub(footer_bytes)
            .filter(|end| magic == MAGIC && *end >= HEADER_BYTES as u64)
            .ok_or_else(|| FileError::damaged(path, "its end is missing"))?;
        let mut footer = vec![0; footer_bytes as usize];
        file.read_exact_at(&mut footer, chunks_end).map_err(io)?;
        open(&key, kind, FOOTER, &mut footer).ok_or_else(|| FileError::damaged(path, "its footer was altered"))?;
        let lengths = footer.chunks_exact(4).map(|l| u32::from_le_bytes([l[0], l[1], l[2], l[3]]));
        let offsets = offsets(lengths);
        if offsets.last() != Some(&chunks_end) {
            return Err(FileError::damaged(path, "its chunks do not add up to its length"));
        }
        Ok(Self { file, path: path.to_owned(), key, kind, offsets })
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What it holds.
    pub(crate) fn kind(&self) -> SealedKind {
        self.kind
    }

    /// How many chunks it has.
    pub(crate) fn chunks(&self) -> usize {
        self.offsets.len() - 1
    }

    /// The plain bytes of chunk `index`.
    pub(crate) fn chunk(&self, index: usize) -> Result<Vec<u8>, FileError> {
        let Self { file, path, key, kind, offsets } = self;
        Chunks { file, path, key, kind: *kind, offsets }.read(index)
    }
}

/// The chunks of a file that is open for reading.
struct Chunks<'a> {
    file: &'a File,
    path: &'a Path,
    key: &'a LessSafeKey,
    kind: SealedKind,
    offsets: &'a [u64],
}

impl Chunks<'_> {
    fn read(&self, index: usize) -> Result<Vec<u8>, FileError> {
        let damaged = || FileError::damaged(self.path, format!("chunk {index} cannot be read"));
        let (Some(&start), Some(&end)) = (self.offsets.get(index), self.offsets.get(index + 1)) else {
            return Err(damaged());
        };
        let mut text = vec![0; (end - start) as usize];
        self.file.read_exact_at(&mut text, start).map_err(|e| FileError::io("read", self.path, e))?;
        let length = u64::from(u32::from_le_bytes([text[0], text[1], text[2], text[3]]));
        if length + 4 != end - start {
            return Err(damaged());
        }
        open_behind(self.key, self.kind, index as u64, 4, &mut text).ok_or_else(damaged)?;
        if !self.kind.compresses() {
            return Ok(text);
        }
        lz4_flex::block::decompress_size_prepended(&text).map_err(|_| damaged())
    }
}

fn prefix(kind: SealedKind) -> [u8; PREFIX_BYTES] {
    let mut prefix = [0; PREFIX_BYTES];
    prefix[..8].copy_from_slice(MAGIC);
    prefix[8..10].copy_from_slice(&VERSION.to_le_bytes());
    prefix[10..].copy_from_slice(&(kind as u16).to_le_bytes());
    prefix
}

fn check_prefix(path: &Path, found: &[u8], kinds: &[SealedKind]) -> Result<SealedKind, FileError> {
    if !found.starts_with(MAGIC) {
        return Err(FileError::damaged(path, "it does not start like a file of backhaul"));
    }
    let version = u16::from_le_bytes([found[8], found[9]]);
    if version != VERSION {
        return Err(FileError::Version { file: path.to_owned(), found: version.into(), known: VERSION.into() });
    }
    let kind = kinds.iter().copied().find(|kind| found == prefix(*kind));
    kind.ok_or_else(|| FileError::damaged(path, "it is a file of another kind"))
}

fn offsets(lengths: impl Iterator<Item = u32>) -> Vec<u64> {
    let mut end = HEADER_BYTES as u64;
    std::iter::once(end)
        .chain(lengths.map(|length| {
            end += 4 + u64::from(length);
            end
        }))
        .collect()
}

fn nonce_and_context(kind: SealedKind, index: u64) -> (Nonce, [u8; 10]) {
    let mut nonce = [0; NONCE_LEN];
    nonce[..8].copy_from_slice(&index.to_le_bytes());
    let mut context = [0; 10];
    context[..2].copy_from_slice(&(kind as u16).to_le_bytes());
    context[2..].copy_from_slice(&index.to_le_bytes());
    (Nonce::assume_unique_for_key(nonce), context)
}

fn seal(key: &LessSafeKey, kind: SealedKind, index: u64, text: &mut Vec<u8>) -> Result<(), FileError> {
    let (nonce, context) = nonce_and_context(kind, index);
    key.seal_in_place_append_tag(nonce, Aad::from(context), text).map_err(|_| FileError::Crypto("sealing failed"))
}

fn open(key: &LessSafeKey, kind: SealedKind, index: u64, text: &mut Vec<u8>) -> Option<()> {
    open_behind(key, kind, index, 0, text)
}

/// Replaces `text` with the plain bytes of what is sealed behind its first `start` bytes.
fn open_behind(key: &LessSafeKey, kind: SealedKind, index: u64, start: usize, text: &mut Vec<u8>) -> Option<()> {
    let (nonce, context) = nonce_and_context(kind, index);
    let plain = key.open_within(nonce, Aad::from(context), text, start..).ok()?.len();
    text.truncate(plain);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::file::FreeSpace;

    fn write(path: &Path, key: &StateKey, chunks: &[&[u8]]) -> FileEntry {
        let file = NewFile::create(path, FreeSpace::ANY).expect("created");
        let mut writer = SealedWriter::new(file, key, SealedKind::Keys).expect("started");
        for chunk in chunks {
            writer.chunk(chunk).expect("written");
        }
        writer.finish().expect("finished")
    }

    fn read(path: &Path, key: &StateKey) -> Result<Vec<Vec<u8>>, FileError> {
        let reader = SealedReader::open(path, key, SealedKind::Keys)?;
        (0..reader.chunks()).map(|i| reader.chunk(i)).collect()
    }

    #[test]
    fn chunks_come_back_in_any_order_and_nothing_stands_in_the_clear() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let key = StateKey::random().expect("a key");
        let long = b"somebody@example.com ".repeat(1000);
        write(&path, &key, &[b"", b"somebody@example.com", &long]);
        let reader = SealedReader::open(&path, &key, SealedKind::Keys).expect("opened");
        assert_eq!(reader.chunks(), 3);
        assert_eq!(reader.chunk(2).expect("chunk 2"), long);
        assert_eq!(reader.chunk(0).expect("chunk 0"), b"");
        assert_eq!(reader.chunk(1).expect("chunk 1"), b"somebody@example.com");
        assert!(reader.chunk(3).is_err());
        let raw = std::fs::read(&path).expect("the file");
        assert!(!raw.windows(8).any(|w| w == b"somebody"));
        assert!(raw.len() < 2000, "compressed, but it has {} bytes", raw.len());
    }

    #[test]
    fn every_flipped_bit_and_every_truncation_is_detected() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let key = StateKey::random().expect("a key");
        write(&path, &key, &[b"first", b"second"]);
        let whole = std::fs::read(&path).expect("the file");
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1 << (at % 8);
            std::fs::write(&path, &altered).expect("altered");
            assert!(read(&path, &key).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).expect("cut");
            assert!(read(&path, &key).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn chunks_that_change_places_are_detected() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let key = StateKey::random().expect("a key");
        write(&path, &key, &[b"one", b"two"]);
        let mut raw = std::fs::read(&path).expect("the file");
        let chunk = 4 + (raw.len() - HEADER_BYTES - TRAILER_BYTES - TAG_BYTES - 8 - 8) / 2;
        let (first, second) = raw[HEADER_BYTES..HEADER_BYTES + 2 * chunk].split_at_mut(chunk);
        first.swap_with_slice(second);
        std::fs::write(&path, &raw).expect("altered");
        let reader = SealedReader::open(&path, &key, SealedKind::Keys).expect("header and footer are whole");
        assert!(reader.chunk(0).is_err() && reader.chunk(1).is_err());
    }

    #[test]
    fn another_key_kind_or_version_is_told_apart_from_damage() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let key = StateKey::random().expect("a key");
        write(&path, &key, &[b"x"]);
        let other = StateKey::random().expect("a key");
        assert!(matches!(read(&path, &other), Err(FileError::OtherKey { .. })));
        assert!(matches!(SealedReader::open(&path, &key, SealedKind::Plan), Err(FileError::Damaged { .. })));
        let mut raw = std::fs::read(&path).expect("the file");
        raw[8] = 9;
        std::fs::write(&path, &raw).expect("altered");
        assert!(matches!(read(&path, &key), Err(FileError::Version { found: 9, known: 1, .. })));
    }

    #[test]
    fn a_scratch_file_has_no_name_and_comes_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = StateKey::random().expect("a key");
        let file = NewFile::scratch(&folder.path().join("s"), FreeSpace::ANY).expect("created");
        let mut writer = SealedWriter::new(file, &key, SealedKind::Spill).expect("started");
        writer.chunk(b"waiting").expect("written");
        let reader = writer.into_reader().expect("read again");
        assert_eq!(std::fs::read_dir(folder.path()).expect("the folder").count(), 0);
        assert_eq!(reader.chunk(0).expect("chunk 0"), b"waiting");
    }
}
