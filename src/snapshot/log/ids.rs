//! Remote ids stay in the log: an index says which frames name them.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use super::entry::Codec;
use super::frame::{self, HEAD};
use super::{Entry, LogError, Replay};

/// The index knows so many ops together.
const BLOCK: u32 = 64;
/// Frames held decoded. Ids are asked for in op order, and answers came in nearly that order.
const HELD: usize = 4;

/// Which frames name ids of which ops.
#[derive(Clone, Debug, Default)]
pub(super) struct IdIndex {
    /// Where each of these frames begins.
    frames: Vec<u64>,
    /// (block of ops, place in `frames`), sorted.
    places: Vec<(u32, u32)>,
}

impl IdIndex {
    /// Adds a frame that begins at `offset` and names ids of `ops`.
    pub(super) fn add(&mut self, offset: u64, ops: &[u32]) {
        let mut blocks: Vec<u32> = ops.iter().map(|op| op / BLOCK).collect();
        blocks.sort_unstable();
        blocks.dedup();
        if !blocks.is_empty() {
            let frame = self.frames.len() as u32;
            self.frames.push(offset);
            self.places.extend(blocks.into_iter().map(|block| (block, frame)));
        }
    }

    /// To be called after the last [`IdIndex::add`].
    pub(super) fn finish(&mut self) {
        self.places.sort_unstable();
        self.places.shrink_to_fit();
    }

    /// Places of the frames that may name an id of `op`.
    fn frames_of(&self, op: u32) -> &[(u32, u32)] {
        let block = op / BLOCK;
        let start = self.places.partition_point(|(other, _)| *other < block);
        let end = self.places.partition_point(|(other, _)| *other <= block);
        &self.places[start..end]
    }

    /// Bytes held.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        8 * (self.frames.capacity() + self.places.capacity())
    }
}

/// The vendor's ids that a log names. A few frames are in memory at a time.
#[derive(Debug)]
pub struct RemoteIds {
    file: File,
    seed: u64,
    index: Arc<IdIndex>,
    /// (place of the frame, its ids by op), the one used last at the end.
    held: VecDeque<(u32, Vec<(u64, String)>)>,
}

impl RemoteIds {
    /// Those of the log at `path`, which `replay` has read.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn open(path: &Path, run_id: &str, replay: &Replay) -> Result<Self, LogError> {
        let (file, seed) = (File::open(path)?, frame::seed(run_id));
        Ok(Self { file, seed, index: replay.id_index(), held: VecDeque::with_capacity(HELD) })
    }

    /// The id of the record of `op`, where an answer gave it. Cheap for ops that are near each other.
    ///
    /// # Errors
    /// The file cannot be read, or is no longer what it was.
    pub fn get(&mut self, op: u64) -> Result<Option<&str>, LogError> {
        let Ok(number) = u32::try_from(op) else { return Ok(None) };
        let index = Arc::clone(&self.index);
        for (_, place) in index.frames_of(number) {
            self.hold(*place)?;
            let found = self.held.back().and_then(|(_, ids)| ids.binary_search_by_key(&op, |(op, _)| *op).ok());
            if let Some(at) = found {
                return Ok(self.held.back().and_then(|(_, ids)| ids.get(at)).map(|(_, id)| id.as_str()));
            }
        }
        Ok(None)
    }

    /// Makes a frame the last of those held.
    fn hold(&mut self, place: u32) -> Result<(), LogError> {
        let held = self.held.iter().position(|(other, _)| *other == place);
        let frame = match held.and_then(|at| self.held.remove(at)) {
            Some(frame) => frame,
            None => (place, self.read(place)?),
        };
        if self.held.len() >= HELD {
            self.held.pop_front();
        }
        self.held.push_back(frame);
        Ok(())
    }

    fn read(&self, place: u32) -> Result<Vec<(u64, String)>, LogError> {
        let offset = self.index.frames.get(place as usize).copied().unwrap_or_default();
        let corrupt = || LogError::Corrupt { offset };
        let mut head = [0; HEAD];
        self.file.read_exact_at(&mut head, offset)?;
        let head = frame::head(&head).ok_or_else(corrupt)?;
        let mut payload = vec![0; head.length];
        self.file.read_exact_at(&mut payload, offset + HEAD as u64)?;
        if !head.matches(self.seed, &payload) {
            return Err(corrupt());
        }
        let (mut codec, mut rest, mut ids) = (Codec::default(), payload.as_slice(), Vec::new());
        while !rest.is_empty() {
            if let Entry::Ack { op, remote_id: Some(id), .. } = codec.decode(&mut rest).ok_or_else(corrupt)? {
                ids.push((op, id));
            }
        }
        // An op has one final verdict; of two in one frame the later would stand.
        ids.sort_by_key(|(op, _)| *op);
        Ok(ids)
    }
}
