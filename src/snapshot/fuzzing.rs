//! Doors into the decoders of a snapshot's files: bytes go in, and what decodes must come back the same from its
//! own encoding. A door panics where that is not so, and tells whether anything decoded.

use std::path::Path;

use super::manifest::{Manifest, VERSION_TABLE};
use super::order;
use super::sealed::SealedKind;
use super::segment::{self, SegmentEntry};

pub use super::log::fuzzing::{log, log_entries};

/// `MANIFEST`: the bytes as the whole file, and as what stands behind a checksum that fits.
pub fn manifest(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let parse = |text: &str| Manifest::parse(Path::new("MANIFEST"), text).ok();
    let Some(manifest) = parse(text).or_else(|| parse(&Manifest::with_checksum(VERSION_TABLE, text))) else {
        return false;
    };
    assert_eq!(parse(&manifest.to_text()), Some(manifest));
    true
}

/// A chunk of a segment, in both forms; the first byte is the number of mapped fields.
pub fn segment(bytes: &[u8]) -> bool {
    let Some((&fields, chunk)) = bytes.split_first() else { return false };
    let read = |chunk: &[u8], kind| segment::decode_chunk(chunk, kind, usize::from(fields)).ok();
    let forms = [SealedKind::Segment, SealedKind::SegmentV1].map(|kind| read(chunk, kind));
    for entries in forms.iter().flatten() {
        // The first form is read and no longer written; the second says all that it said.
        assert_eq!(read(&segment_chunk(entries), SealedKind::Segment).as_ref(), Some(entries));
    }
    forms.iter().any(Option::is_some)
}

fn segment_chunk(entries: &[SegmentEntry]) -> Vec<u8> {
    let (mut out, mut previous) = (Vec::new(), 0);
    for entry in entries {
        entry.encode(previous, &mut out);
        previous = entry.ordinal;
    }
    out
}

/// A chunk of an order file.
pub fn order(bytes: &[u8]) -> bool {
    let Some((tag, runs)) = order::decode_chunk(bytes) else { return false };
    assert_eq!(order::decode_chunk(&order::encode_chunk(tag, &runs)), Some((tag, runs)));
    true
}
