//! Reading a log back.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};

use super::entry::Codec;
use super::fates::Fates;
use super::frame::{self, HEAD, Header, Kind};
use super::ids::IdIndex;
use super::ranges::Ranges;
use super::{Entry, Fate, LogError, Sealed};

/// How an op stands when its run is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// The snapshot moves to what the plan says.
    Accepted,
    /// The destination has what it had before: rejected, deferred, or never sent.
    Kept,
    /// Sent, and nobody knows: the key is in doubt.
    InDoubt,
}

/// An async job that was created and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTicket {
    /// Names the job within the run.
    pub id: u64,
    /// Op numbers in it.
    pub ops: Vec<u64>,
    /// The ticket as JSON.
    pub body: String,
}

/// What a log says of every op, in memory that hardly grows with their number: remote ids stay in the log
/// ([`RemoteIds`](super::RemoteIds)).
pub struct Replay {
    fates: Fates,
    ids: Arc<IdIndex>,
    /// Ops that may have been sent and were not recalled by `Drained`.
    marked: Ranges,
    /// Ops that were marked when the session was committed.
    staged: Ranges,
    tickets: BTreeMap<u64, OpenTicket>,
    /// Ops in open tickets.
    ticketed: Ranges,
    committed: bool,
    sealed: Option<Sealed>,
    frames: u64,
    len: u64,
    lost_tail: u64,
    digest: Context,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("len", &self.len)
            .field("frames", &self.frames)
            .field("sealed", &self.sealed.is_some())
            .finish_non_exhaustive()
    }
}

impl Replay {
    /// Reads the log of a run.
    ///
    /// # Errors
    /// [`LogError::Corrupt`] for a damaged header, for a bad frame with a valid one behind it, and for
    /// bytes behind a seal; [`LogError::OtherRun`] and [`LogError::Version`] as they say.
    pub fn read(path: &Path, run_id: &str) -> Result<Self, LogError> {
        Self::read_from(BufReader::with_capacity(256 << 10, File::open(path)?), run_id)
    }

    /// Reads the log of a run from its first byte on.
    pub(super) fn read_from(mut input: impl Read, run_id: &str) -> Result<Self, LogError> {
        let mut head = vec![0; frame::header_len(run_id)];
        let got = read_up_to(&mut input, &mut head)?;
        head.truncate(got);
        match frame::judge_header(&head, run_id) {
            Header::Ours => {}
            Header::Version(version) => return Err(LogError::Version(version)),
            Header::OtherRun => return Err(LogError::OtherRun),
            Header::Bad => {
                // Another run's id may be longer than ours: its header is judged whole.
                input.by_ref().take(64 << 10).read_to_end(&mut head)?;
                return Err(match frame::judge_header(&head, run_id) {
                    Header::OtherRun => LogError::OtherRun,
                    Header::Version(version) => LogError::Version(version),
                    Header::Ours | Header::Bad => LogError::Corrupt { offset: 0 },
                });
            }
        }
        let mut replay = Self::empty();
        replay.accept(&head);
        let mut ids = IdIndex::default();
        replay.read_frames(&mut input, frame::seed(run_id), &mut ids)?;
        ids.finish();
        replay.ids = Arc::new(ids);
        Ok(replay)
    }

    fn empty() -> Self {
        Self {
            fates: Fates::default(),
            ids: Arc::default(),
            marked: Ranges::default(),
            staged: Ranges::default(),
            tickets: BTreeMap::new(),
            ticketed: Ranges::default(),
            committed: false,
            sealed: None,
            frames: 0,
            len: 0,
            lost_tail: 0,
            digest: Context::new(&SHA256),
        }
    }

    fn accept(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.len += bytes.len() as u64;
    }

    fn read_frames(&mut self, input: &mut impl Read, seed: u64, ids: &mut IdIndex) -> Result<(), LogError> {
        let (mut bytes, mut named) = (vec![0; HEAD], Vec::new());
        loop {
            bytes.resize(HEAD, 0);
            let got = read_up_to(input, &mut bytes)?;
            bytes.truncate(got);
            if got == 0 {
                return Ok(());
            }
            let corrupt = LogError::Corrupt { offset: self.len };
            if self.sealed.is_some() {
                return Err(corrupt);
            }
            let head = bytes.first_chunk::<HEAD>().and_then(frame::head);
            if let Some(head) = head {
                bytes.resize(HEAD + head.length, 0);
                let got = read_up_to(input, &mut bytes[HEAD..])?;
                bytes.truncate(HEAD + got);
            }
            match head {
                Some(head) if head.matches(seed, &bytes[HEAD..]) => {
                    // A valid frame in the wrong place, or one whose entries cannot be read, is no torn tail.
                    named.clear();
                    if head.sequence != self.frames || self.apply_all(&bytes[HEAD..], &mut named).is_none() {
                        return Err(corrupt);
                    }
                    ids.add(self.len, &named);
                    self.accept(&bytes);
                    self.frames += 1;
                    if head.kind == Kind::Seal {
                        let mut digest = [0; 32];
                        digest.copy_from_slice(self.digest.clone().finish().as_ref());
                        self.sealed = Some(Sealed { digest, len: self.len });
                    }
                }
                _ => {
                    input.read_to_end(&mut bytes)?;
                    if frame::holds_valid_frame(seed, bytes.get(1..).unwrap_or_default()) {
                        return Err(corrupt);
                    }
                    self.lost_tail = bytes.len() as u64;
                    return Ok(());
                }
            }
        }
    }

    /// Applies the entries of a frame; ops whose id it names go into `named`.
    fn apply_all(&mut self, mut payload: &[u8], named: &mut Vec<u32>) -> Option<()> {
        let mut codec = Codec::default();
        while !payload.is_empty() {
            let entry = codec.decode(&mut payload)?;
            if let Entry::Ack { op, remote_id: Some(_), .. } = entry {
                named.push(u32::try_from(op).ok()?);
            }
            self.apply(entry)?;
        }
        Some(())
    }

    fn apply(&mut self, entry: Entry) -> Option<()> {
        match entry {
            Entry::Dispatched { first, last } => self.marked.insert(first, last),
            Entry::Intent { ops } => self.marked.insert_all(&ops),
            // Ops beyond 32 bits cannot be in a plan: a log that names one was not written by us.
            Entry::Ack { op, fate, .. } => self.fates.set(u32::try_from(op).ok()?, fate.code()),
            Entry::Acks { first, last, fate } => {
                for op in first..=last {
                    self.fates.set(u32::try_from(op).ok()?, fate.code());
                }
            }
            Entry::Ticket { id, ops, body } => {
                self.ticketed.insert_all(&ops);
                self.tickets.insert(id, OpenTicket { id, ops, body });
            }
            Entry::Closed { id } => {
                self.tickets.remove(&id);
                self.ticketed.clear();
                self.tickets.values().for_each(|ticket| self.ticketed.insert_all(&ticket.ops));
            }
            Entry::Committed => {
                self.committed = true;
                let marked = std::mem::take(&mut self.marked);
                self.staged.merge(&marked);
            }
            Entry::Drained => self.marked.clear(),
        }
        Some(())
    }

    /// The final verdict of an op, if the log has one.
    pub fn fate(&self, op: u64) -> Option<Fate> {
        Fate::of_code(self.fates.get(op)).or_else(|| self.staged.contains(op).then_some(Fate::Accepted))
    }

    /// Whether the op may have been sent: a mark or an intent covers it, or it is in an open ticket.
    pub fn dispatched(&self, op: u64) -> bool {
        self.marked.contains(op) || self.staged.contains(op) || self.ticketed(op)
    }

    /// Whether the op is in a job that has not ended.
    pub fn ticketed(&self, op: u64) -> bool {
        self.ticketed.contains(op)
    }

    /// How the op stands when the run is settled.
    pub fn standing(&self, op: u64) -> Standing {
        match self.fate(op) {
            Some(Fate::Accepted) => Standing::Accepted,
            Some(Fate::Unknown) => Standing::InDoubt,
            None if self.dispatched(op) => Standing::InDoubt,
            Some(Fate::Rejected | Fate::Deferred) | None => Standing::Kept,
        }
    }

    /// How many ops are accepted and how many in doubt, of all that the log names.
    pub fn told(&self) -> (u64, u64) {
        let ends = [self.fates.end(), self.marked.end(), self.staged.end(), self.ticketed.end()];
        let ops = ends.into_iter().max().unwrap_or_default().min(u32::MAX.into());
        (0..ops).fold((0, 0), |(accepted, in_doubt), op| match self.standing(op) {
            Standing::Accepted => (accepted + 1, in_doubt),
            Standing::InDoubt => (accepted, in_doubt + 1),
            Standing::Kept => (accepted, in_doubt),
        })
    }

    /// Every op before this one has a verdict.
    pub fn first_open(&self) -> u64 {
        self.fates.first_open()
    }

    pub(super) fn id_index(&self) -> Arc<IdIndex> {
        Arc::clone(&self.ids)
    }

    /// Jobs that were created and have not ended.
    pub fn open_tickets(&self) -> impl Iterator<Item = &OpenTicket> {
        self.tickets.values()
    }

    /// Whether a session was committed.
    pub fn committed(&self) -> bool {
        self.committed
    }

    /// Length and digest of a sealed log; `None` for one that is still open.
    pub fn sealed(&self) -> Option<Sealed> {
        self.sealed
    }

    /// SHA-256 of the sound part.
    pub fn digest(&self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.digest.clone().finish().as_ref());
        digest
    }

    /// Bytes of the sound part.
    #[expect(clippy::len_without_is_empty, reason = "a log is never empty: it has a header")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Bytes behind the sound part that a crash left torn.
    pub fn lost_tail(&self) -> u64 {
        self.lost_tail
    }

    /// What a log with these entries would say.
    #[cfg(test)]
    pub(crate) fn of_entries(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut replay = Self::empty();
        for entry in entries {
            replay.apply(entry).expect("an op number that a plan can have");
        }
        replay
    }

    /// Bytes held for verdicts and the index of remote ids.
    #[cfg(test)]
    pub(super) fn footprint(&self) -> usize {
        self.fates.footprint() + self.ids.footprint()
    }

    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    pub(super) fn context(&self) -> Context {
        self.digest.clone()
    }
}

fn read_up_to(input: &mut impl Read, out: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < out.len() {
        match input.read(&mut out[got..]) {
            Ok(0) => break,
            Ok(n) => got += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(got)
}
