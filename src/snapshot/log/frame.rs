//! The frames around the entries: what makes a damaged byte visible.

use xxhash_rust::xxh3::{Xxh3, xxh3_64};

/// First bytes of every log.
const MAGIC: &[u8; 8] = b"BHAULLOG";
/// The format written.
pub(super) const VERSION: u16 = 1;
/// First bytes of every frame, so that a valid frame behind a bad one can be found.
const MARKER: [u8; 4] = [0xba, 0xc4, 0x4a, 0x01];
/// Marker, kind, sequence, length, checksum.
pub(super) const HEAD: usize = 4 + 1 + 8 + 4 + 8;
/// No payload is longer; the writer cuts far below.
pub(super) const MAX_PAYLOAD: usize = 16 << 20;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Entries.
    Entries,
    /// The end: nothing follows.
    Seal,
}

impl Kind {
    fn code(self) -> u8 {
        match self {
            Self::Entries => 1,
            Self::Seal => 2,
        }
    }
}

/// The head of a frame as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) sequence: u64,
    pub(super) length: usize,
    checksum: u64,
}

/// The file's header.
pub(super) fn header(run_id: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(header_len(run_id));
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&(run_id.len() as u32).to_le_bytes());
    out.extend_from_slice(run_id.as_bytes());
    let checksum = xxh3_64(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

/// Bytes of the header of a run's log.
pub(super) fn header_len(run_id: &str) -> usize {
    8 + 2 + 4 + run_id.len() + 8
}

/// What the first bytes of a file say.
pub(super) enum Header {
    /// A log of this run.
    Ours,
    /// A sound log of another run.
    OtherRun,
    /// A format that is not known.
    Version(u16),
    /// Not a log's header.
    Bad,
}

/// Judges the header at the front of a file (`bytes` may be longer).
pub(super) fn judge_header(bytes: &[u8], run_id: &str) -> Header {
    if bytes.starts_with(&header(run_id)) {
        return Header::Ours;
    }
    let part = |from: usize, len: usize| bytes.get(from..from + len);
    let (Some(magic), Some(&[low, high]), Some(&[a, b, c, d])) = (part(0, 8), part(8, 2), part(10, 4)) else {
        return Header::Bad;
    };
    let version = u16::from_le_bytes([low, high]);
    let end = 14 + u32::from_le_bytes([a, b, c, d]) as usize;
    let sound = bytes.get(..end).is_some_and(|head| part(end, 8) == Some(&xxh3_64(head).to_le_bytes()[..]));
    match (magic == MAGIC, sound) {
        (true, true) if version != VERSION => Header::Version(version),
        (true, true) => Header::OtherRun,
        _ => Header::Bad,
    }
}

/// The seed of a run's frame checksums: a frame of another run is never valid here.
pub(super) fn seed(run_id: &str) -> u64 {
    xxh3_64(run_id.as_bytes())
}

fn checksum(seed: u64, kind: u8, sequence: u64, payload: &[u8]) -> u64 {
    let mut hash = Xxh3::with_seed(seed);
    hash.update(&[kind]);
    hash.update(&sequence.to_le_bytes());
    hash.update(&(payload.len() as u64).to_le_bytes());
    hash.update(payload);
    hash.digest()
}

/// A whole frame.
pub(super) fn frame(seed: u64, kind: Kind, sequence: u64, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD + payload.len());
    out.extend_from_slice(&MARKER);
    out.push(kind.code());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.extend_from_slice(&checksum(seed, kind.code(), sequence, payload).to_le_bytes());
    out.extend_from_slice(payload);
    out
}

/// Reads a head; `None` when the bytes cannot be one.
pub(super) fn head(bytes: &[u8; HEAD]) -> Option<Head> {
    let (marker, rest) = bytes.split_first_chunk::<4>()?;
    let (&kind, rest) = rest.split_first()?;
    let (sequence, rest) = rest.split_first_chunk::<8>()?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (sum, _) = rest.split_first_chunk::<8>()?;
    let kind = match kind {
        1 => Kind::Entries,
        2 => Kind::Seal,
        _ => return None,
    };
    let length = u32::from_le_bytes(*length) as usize;
    (*marker == MARKER && length <= MAX_PAYLOAD).then_some(Head {
        kind,
        sequence: u64::from_le_bytes(*sequence),
        length,
        checksum: u64::from_le_bytes(*sum),
    })
}

impl Head {
    /// Whether the payload is the one that was written.
    pub(super) fn matches(&self, seed: u64, payload: &[u8]) -> bool {
        payload.len() == self.length && checksum(seed, self.kind.code(), self.sequence, payload) == self.checksum
    }
}

/// Whether a valid frame of the run starts anywhere in `bytes`.
pub(super) fn holds_valid_frame(seed: u64, bytes: &[u8]) -> bool {
    bytes.windows(HEAD).enumerate().any(|(at, window)| {
        window.starts_with(&MARKER)
            && <&[u8; HEAD]>::try_from(window).ok().and_then(head).is_some_and(|head| {
                let start = at + HEAD;
                bytes.get(start..start + head.length).is_some_and(|payload| head.matches(seed, payload))
            })
    })
}
