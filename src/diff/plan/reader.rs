//! Reading a plan.

use std::path::Path;
use std::sync::Arc;

use super::chunk::Chunk;
use super::footer::{Footer, plan_hash};
use super::{PlanHeader, codec};
use crate::diff::{Op, OpKind, PlanError, PlanSummary};
use crate::snapshot::sealed::{SealedKind, SealedReader};
use crate::snapshot::{FileError, StateKey};

/// A finished plan, open for reading from any place.
pub struct PlanReader {
    content: Arc<Content>,
    summary: PlanSummary,
}

struct Content {
    file: SealedReader,
    header: PlanHeader,
    footer: Footer,
}

impl PlanReader {
    /// Opens a plan and checks header, footer and plan hash; ops are checked as they are read.
    ///
    /// # Errors
    /// The file is missing, damaged, unfinished, of another version, or sealed with another key.
    pub fn open(path: &Path, key: &StateKey) -> Result<Self, PlanError> {
        let damaged = |what| FileError::damaged(path, what);
        let bytes = std::fs::metadata(path).map_err(|e| FileError::io("read", path, e))?.len();
        let file = SealedReader::open_one_of(path, key, &[SealedKind::Plan, SealedKind::PlanV1])?;
        let last = file.chunks().checked_sub(1).filter(|last| *last > 0).ok_or_else(|| damaged("it has no end"))?;
        let header: PlanHeader =
            serde_json::from_slice(&file.chunk(0)?).map_err(|_| damaged("its header cannot be understood"))?;
        let footer = Footer::decode(&file.chunk(last)?).ok_or_else(|| damaged("its end cannot be understood"))?;
        if footer.chunks.len() != last - 1 {
            return Err(damaged("it has another number of chunks than its end says"));
        }
        if plan_hash(&header, &footer.chunks) != footer.totals.hash {
            return Err(damaged("its plan hash does not fit"));
        }
        let totals = footer.totals.clone();
        let summary =
            PlanSummary { hash: totals.hash, counts: totals.counts, proof: totals.proof, newest: totals.newest, bytes };
        Ok(Self { content: Arc::new(Content { file, header, footer }), summary })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.content.file.path()
    }

    /// What it was made for and from.
    pub fn header(&self) -> &PlanHeader {
        &self.content.header
    }

    /// Its hash and counts.
    pub fn summary(&self) -> &PlanSummary {
        &self.summary
    }

    /// How many ops it has, of all kinds.
    pub fn len(&self) -> u64 {
        self.content.footer.chunks.last().map_or(0, |last| last.first + last.ops)
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ops in plan order; with `kinds` only those of these kinds (chunks without any are not read).
    pub fn ops(&self, kinds: Option<&[OpKind]>) -> PlanOps {
        self.ops_from(0, kinds)
    }

    /// The ops from number `first` on, as [`PlanReader::ops`]. What is before them is not read.
    pub fn ops_from(&self, first: u64, kinds: Option<&[OpKind]>) -> PlanOps {
        let kinds = kinds.map_or(u8::MAX, |kinds| kinds.iter().fold(0, |set, kind| set | codec::kind_bit(*kind)));
        let chunk = self.content.footer.chunks.partition_point(|chunk| chunk.first + chunk.ops <= first);
        PlanOps { content: Arc::clone(&self.content), kinds, first, next_chunk: chunk, chunk: None }
    }

    /// The first op of a key, given as [`backhaul_kit::key::display`] shows it.
    ///
    /// # Errors
    /// An op cannot be read.
    pub fn find(&self, key_display: &str) -> Result<Option<Op>, PlanError> {
        for op in self.ops(None) {
            let op = op?;
            if backhaul_kit::key::display(&op.key) == key_display {
                return Ok(Some(op));
            }
        }
        Ok(None)
    }

    /// Reads every op and checks it against the plan hash.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn verify(&self) -> Result<(), PlanError> {
        // Opening checked that the plan hash covers every chunk's digest; reading checks the digests.
        self.ops(None).try_for_each(|op| op.map(|_| ()))
    }
}

/// The ops of a plan, one after the other. After an error there are no more.
pub struct PlanOps {
    content: Arc<Content>,
    kinds: u8,
    /// Ops before this number are passed over.
    first: u64,
    /// The next chunk, counted from 0 among those with ops.
    next_chunk: usize,
    /// The one that is being read; its bytes stay for as long as ops of it do.
    chunk: Option<Chunk>,
}

impl PlanOps {
    fn advance(&mut self) -> Result<Option<Op>, PlanError> {
        let Content { file, header, footer } = &*self.content;
        loop {
            while let Some(op) = self.chunk.as_mut().map(|chunk| chunk.next(file.path())).transpose()?.flatten() {
                if codec::kind_bit(op.kind) & self.kinds != 0 && op.number >= self.first {
                    return Ok(Some(op));
                }
            }
            let Some(info) = footer.chunks.get(self.next_chunk) else { return Ok(None) };
            self.next_chunk += 1;
            if info.kinds & self.kinds != 0 {
                // The header is the file's first chunk.
                self.chunk = Some(Chunk::open(file.path(), file.chunk(self.next_chunk)?, info, header.seed)?);
            }
        }
    }
}

impl Iterator for PlanOps {
    type Item = Result<Op, PlanError>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.advance();
        if next.is_err() {
            (self.chunk, self.next_chunk) = (None, usize::MAX);
        }
        next.transpose()
    }
}
