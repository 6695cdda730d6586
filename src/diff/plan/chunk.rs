//! The ops of one chunk, decoded one at a time.

use std::path::Path;

use bytes::Bytes;

use super::codec;
use super::footer::{ChunkInfo, chunk_digest};
use crate::diff::{Op, PlanError};
use crate::snapshot::FileError;

/// A chunk that is what its entry in the footer says. Ops share its bytes.
pub(super) struct Chunk {
    plain: Bytes,
    /// Where the next op begins.
    at: usize,
    /// The next op's number.
    number: u64,
    info: ChunkInfo,
    seed: u64,
}

impl Chunk {
    /// Takes the bytes of a chunk of the file at `path` and checks them against their digest.
    pub(super) fn open(path: &Path, plain: Vec<u8>, info: &ChunkInfo, seed: u64) -> Result<Self, PlanError> {
        let chunk = Self { at: 0, number: info.first, info: info.clone(), seed, plain: Bytes::from(plain) };
        if chunk_digest(&chunk.plain) == info.digest { Ok(chunk) } else { Err(chunk.damaged(path)) }
    }

    /// The next op.
    pub(super) fn next(&mut self, path: &Path) -> Result<Option<Op>, PlanError> {
        let mut rest = &self.plain[self.at..];
        let ended = self.number - self.info.first == self.info.ops;
        if rest.is_empty() || ended {
            return if rest.is_empty() && ended { Ok(None) } else { Err(self.damaged(path)) };
        }
        let op = codec::decode(&self.plain, &mut rest, self.number, self.seed).ok_or_else(|| self.damaged(path))?;
        self.at = self.plain.len() - rest.len();
        self.number += 1;
        Ok(Some(op))
    }

    fn damaged(&self, path: &Path) -> PlanError {
        FileError::damaged(path, format!("the ops from number {} on cannot be read", self.info.first))
    }
}
