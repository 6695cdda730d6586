//! Writing a plan.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;

use super::chunk::Chunk;
use super::footer::{ChunkInfo, Footer, Totals, chunk_digest, plan_hash};
use super::{PlanHeader, codec};
use crate::diff::{Op, OpKind, PlanCounts, PlanError, PlanSummary};
use crate::snapshot::file::{FreeSpace, NewFile, sync_folder};
use crate::snapshot::order::OrderWriter;
use crate::snapshot::sealed::{SealedKind, SealedReader, SealedWriter};
use crate::snapshot::{FileError, StateKey};

/// A chunk is ended when it has so many bytes.
const CHUNK_BYTES: usize = 128 << 10;
/// Added to the plan's name until it is finished.
const PARTIAL: &str = ".partial";

/// Writes a plan file. Until it is finished it has another name; dropping it deletes it.
pub struct PlanWriter {
    path: PathBuf,
    key: Arc<StateKey>,
    space: FreeSpace,
    open: Option<Open>,
    newest: Option<Timestamp>,
}

struct Open {
    header: PlanHeader,
    sealed: SealedWriter,
    chunk: Vec<u8>,
    chunk_ops: u64,
    chunk_kinds: u8,
    chunks: Vec<ChunkInfo>,
    ops: u64,
}

impl PlanWriter {
    /// A plan that will stand at `path`. Nothing is written yet.
    pub fn new(path: impl Into<PathBuf>, key: Arc<StateKey>) -> Self {
        Self { path: path.into(), key, space: FreeSpace::ANY, open: None, newest: None }
    }

    /// Notes when the newest row of a model that grows came.
    pub(crate) fn note_newest(&mut self, newest: Option<Timestamp>) {
        self.newest = newest;
    }

    /// Starts the file.
    ///
    /// # Errors
    /// Fewer than `min_free` bytes are free, or the file cannot be made.
    pub fn begin(&mut self, header: PlanHeader, min_free: u64) -> Result<(), PlanError> {
        self.space = FreeSpace { keep: min_free };
        self.restart(header)
    }

    fn restart(&mut self, header: PlanHeader) -> Result<(), PlanError> {
        self.open = None;
        let partial = self.partial();
        if let Err(e) = std::fs::remove_file(&partial)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            return Err(FileError::io("delete", &partial, e));
        }
        let file = NewFile::create(&partial, self.space)?;
        let mut sealed = SealedWriter::new(file, &self.key, SealedKind::Plan)?;
        // The type has nothing that JSON cannot hold.
        sealed.chunk(&serde_json::to_vec(&header).unwrap_or_default())?;
        let chunk = Vec::with_capacity(CHUNK_BYTES + 1024);
        self.open = Some(Open { header, sealed, chunk, chunk_ops: 0, chunk_kinds: 0, chunks: Vec::new(), ops: 0 });
        Ok(())
    }

    fn partial(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(PARTIAL);
        name.into()
    }

    fn open(&mut self) -> Result<&mut Open, PlanError> {
        let not_begun = std::io::Error::other("the plan was not begun");
        self.open.as_mut().ok_or_else(|| FileError::io("write", &self.path, not_begun))
    }

    /// The folder of the plan, its name, and its key: for scratch files beside it.
    pub(crate) fn scratch(&self, suffix: &str, kind: SealedKind) -> Result<SealedWriter, PlanError> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(suffix);
        SealedWriter::new(NewFile::scratch(Path::new(&name), self.space)?, &self.key, kind)
    }

    /// The order file beside the plan.
    pub(crate) fn order(&self, base_id: &str) -> Result<OrderWriter, PlanError> {
        OrderWriter::create(&self.path, self.space, &self.key, base_id)
    }

    /// Appends an op and returns the number that it got; the number it came with says nothing.
    ///
    /// # Errors
    /// The file cannot be written, or free space runs out.
    pub fn push(&mut self, op: &Op) -> Result<u64, PlanError> {
        let open = self.open()?;
        codec::encode(op, &mut open.chunk);
        open.chunk_kinds |= codec::kind_bit(op.kind);
        open.chunk_ops += 1;
        open.ops += 1;
        let number = open.ops - 1;
        if open.chunk.len() >= CHUNK_BYTES {
            open.end_chunk()?;
        }
        Ok(number)
    }

    /// Gives all ops so far to `each`, in order, until it says false.
    pub(crate) fn read_back(&mut self, mut each: impl FnMut(&Op) -> bool) -> Result<(), PlanError> {
        let path = self.path.clone();
        let open = self.open()?;
        open.end_chunk()?;
        for index in 1..open.sealed.chunks() {
            let plain = open.sealed.read_back(index)?;
            let mut chunk = Chunk::open(&path, plain, &open.chunks[index - 1], open.header.seed)?;
            while let Some(op) = chunk.next(&path)? {
                if !each(&op) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Writes the plan again without the ops of `kind`.
    pub(crate) fn drop_kind(&mut self, kind: OpKind) -> Result<(), PlanError> {
        self.open()?.end_chunk()?;
        let Some(Open { header, sealed, chunks, .. }) = self.open.take() else { return Ok(()) };
        let seed = header.seed;
        let old: SealedReader = sealed.into_reader()?;
        self.restart(header)?;
        for (index, info) in (1..).zip(&chunks).filter(|(_, info)| info.kinds != codec::kind_bit(kind)) {
            let mut chunk = Chunk::open(old.path(), old.chunk(index)?, info, seed)?;
            while let Some(op) = chunk.next(old.path())? {
                if op.kind != kind {
                    self.push(&op)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the plan: it is durable and has its name.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn finish(mut self, counts: PlanCounts, proof: &str) -> Result<PlanSummary, PlanError> {
        self.open()?.end_chunk()?;
        let newest = self.newest;
        let partial = self.partial();
        let Some(Open { header, mut sealed, chunks, .. }) = self.open.take() else {
            return Err(FileError::damaged(&self.path, "it was not begun"));
        };
        let hash = plan_hash(&header, &chunks);
        let footer = Footer { totals: Totals { hash: hash.clone(), counts, proof: proof.to_owned(), newest }, chunks };
        sealed.chunk(&footer.encode())?;
        let bytes = sealed.finish()?.bytes;
        fail::fail_point!("plan::before_rename", |_| std::process::abort());
        std::fs::rename(&partial, &self.path).map_err(|e| FileError::io("rename", &partial, e))?;
        sync_folder(self.path.parent().unwrap_or(&self.path))?;
        Ok(PlanSummary { hash, counts, proof: proof.to_owned(), newest, bytes })
    }
}

impl Open {
    fn end_chunk(&mut self) -> Result<(), PlanError> {
        if self.chunk_ops == 0 {
            return Ok(());
        }
        self.sealed.chunk(&self.chunk)?;
        self.chunks.push(ChunkInfo {
            first: self.ops - self.chunk_ops,
            ops: self.chunk_ops,
            kinds: self.chunk_kinds,
            digest: chunk_digest(&self.chunk),
        });
        self.chunk.clear();
        (self.chunk_ops, self.chunk_kinds) = (0, 0);
        Ok(())
    }
}
