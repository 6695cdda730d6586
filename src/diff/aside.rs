//! Entries that are put aside until the end of the scan: sealed, beside the plan. A chunk's worth stays in memory.

use super::{PlanError, PlanWriter};
use crate::snapshot::sealed::{SealedKind, SealedReader, SealedWriter};

/// Chunks are ended at about this size.
const CHUNK_BYTES: usize = 128 << 10;

/// Takes entries.
#[derive(Default)]
pub(super) struct Aside {
    scratch: Option<SealedWriter>,
    chunk: Vec<u8>,
}

/// Gives them back, in the order in which they came.
pub(super) struct PutAside {
    scratch: Option<SealedReader>,
    last: Vec<u8>,
}

impl Aside {
    /// Takes an entry, whose bytes `fill` appends; the scratch file is named after the plan and `suffix`.
    pub(super) fn push(
        &mut self,
        beside: &PlanWriter,
        suffix: &str,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), PlanError> {
        fill(&mut self.chunk);
        if self.chunk.len() < CHUNK_BYTES {
            return Ok(());
        }
        let scratch = match &mut self.scratch {
            Some(scratch) => scratch,
            none => none.insert(beside.scratch(suffix, SealedKind::Spill)?),
        };
        scratch.chunk(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }

    /// Ends the taking.
    pub(super) fn into_reader(self) -> Result<PutAside, PlanError> {
        let scratch = self.scratch.map(SealedWriter::into_reader).transpose()?;
        Ok(PutAside { scratch, last: self.chunk })
    }
}

impl PutAside {
    /// Whether nothing was put aside.
    pub(super) fn is_empty(&self) -> bool {
        self.scratch.is_none() && self.last.is_empty()
    }

    /// The bytes of the entries, in pieces of whole entries.
    pub(super) fn pieces(&self) -> impl Iterator<Item = Result<Vec<u8>, PlanError>> {
        let scratch = self.scratch.iter();
        let chunks = scratch.flat_map(|scratch| (0..scratch.chunks()).map(|chunk| scratch.chunk(chunk)));
        chunks.chain(Some(Ok(self.last.clone())))
    }
}
