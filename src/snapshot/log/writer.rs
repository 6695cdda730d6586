//! Appending to a log.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::digest::{Context, SHA256};

use super::entry::Codec;
use super::frame::{self, Kind, MAX_PAYLOAD};
use super::{Entry, Replay};

/// Entries beyond so many bytes are synced without being asked: a frame stays small.
const FULL: usize = 1 << 20;

/// A sealed log: what the manifest remembers of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// SHA-256 of the whole file.
    pub digest: [u8; 32],
    /// Its length in bytes.
    pub len: u64,
}

/// Appends entries to the log of one run. Entries wait in memory for the next [`sync`](Self::sync).
pub struct LogWriter {
    file: File,
    seed: u64,
    sequence: u64,
    len: u64,
    digest: Context,
    payload: Vec<u8>,
    codec: Codec,
    /// A write or sync failed: what is on disk is not known, so nothing may follow it.
    broken: bool,
}

impl std::fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogWriter").field("len", &self.len).field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl LogWriter {
    /// Starts the log of a run; its header is durable when this returns.
    ///
    /// # Errors
    /// The file exists, or cannot be written.
    pub fn create(path: &Path, run_id: &str) -> io::Result<Self> {
        if path.try_exists()? {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the run already has an acknowledgement log"));
        }
        let header = frame::header(run_id);
        let file = put_in_place(path, |file| file.write_all(&header))?;
        let mut digest = Context::new(&SHA256);
        digest.update(&header);
        Ok(Self::over(file, run_id, 0, header.len() as u64, digest))
    }

    /// Goes on with an unsealed log as `replay` read it; a bad tail is left out. It goes on in a file of its own under
    /// the same name: a process that stood still while its lease ran out, and wakes up, writes to the old one.
    ///
    /// # Errors
    /// The log is sealed, has changed since, or cannot be written.
    pub fn resume(path: &Path, run_id: &str, replay: &Replay) -> io::Result<Self> {
        if replay.sealed().is_some() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the acknowledgement log is sealed"));
        }
        let file = put_in_place(path, |file| {
            let copied = io::copy(&mut File::open(path)?.take(replay.len()), file)?;
            if copied == replay.len() { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
        })?;
        Ok(Self::over(file, run_id, replay.frames(), replay.len(), replay.context()))
    }

    fn over(file: File, run_id: &str, sequence: u64, len: u64, digest: Context) -> Self {
        let seed = frame::seed(run_id);
        let codec = Codec::default();
        Self { file, seed, sequence, len, digest, payload: Vec::new(), codec, broken: false }
    }

    /// Adds an entry; it is durable after the next [`sync`](Self::sync).
    ///
    /// # Errors
    /// An entry of more than 16 MiB; a write that failed (now or before).
    pub fn push(&mut self, entry: &Entry) -> io::Result<()> {
        let before = self.payload.len();
        self.codec.encode(entry, &mut self.payload);
        if self.payload.len() > MAX_PAYLOAD {
            self.payload.truncate(before);
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "an entry is too large for the acknowledgement log",
            ));
        }
        if self.payload.len() >= FULL { self.sync() } else { Ok(()) }
    }

    /// Returns when every entry pushed so far is on disk.
    ///
    /// # Errors
    /// A write or sync that failed; after that the writer refuses all further work, because what reached
    /// the disk is not known.
    pub fn sync(&mut self) -> io::Result<()> {
        if self.payload.is_empty() {
            return if self.broken { Err(broken()) } else { Ok(()) };
        }
        let payload = std::mem::take(&mut self.payload);
        self.codec = Codec::default();
        self.append(Kind::Entries, &payload)
    }

    /// Writes what is left and closes the log for ever.
    ///
    /// # Errors
    /// As [`sync`](Self::sync).
    pub fn seal(mut self) -> io::Result<Sealed> {
        self.sync()?;
        self.append(Kind::Seal, &[])?;
        let mut digest = [0; 32];
        digest.copy_from_slice(self.digest.finish().as_ref());
        Ok(Sealed { digest, len: self.len })
    }

    fn append(&mut self, kind: Kind, payload: &[u8]) -> io::Result<()> {
        if self.broken {
            return Err(broken());
        }
        let frame = frame::frame(self.seed, kind, self.sequence, payload);
        self.broken = true;
        self.file.write_all(&frame)?;
        self.file.sync_data()?;
        self.broken = false;
        self.sequence += 1;
        self.len += frame.len() as u64;
        self.digest.update(&frame);
        Ok(())
    }
}

/// Makes the file at `path`, under a new name first: one that is half written is never seen. It is durable when this
/// returns.
fn put_in_place(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<File> {
    let mut fresh = path.as_os_str().to_owned();
    fresh.push(".new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    write(&mut file)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)?;
    if let Some(folder) = path.parent() {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn broken() -> io::Error {
    io::Error::other("an earlier write to the acknowledgement log failed")
}
