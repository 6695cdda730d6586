//! Doors into the decoders of a snapshot's files: bytes go in, and what decodes must come back the same from its
//! own encoding. A door panics where that is not so.

use std::path::Path;

use super::manifest::Manifest;
use super::order;
use super::sealed::SealedKind;
use super::segment::{self, SegmentEntry};

pub use super::log::fuzzing::{log, log_entries};

/// `MANIFEST`: the bytes as the whole file, and as what stands behind a checksum that fits.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for text in [text.to_owned(), Manifest::with_checksum(text)] {
        if let Ok(manifest) = Manifest::parse(Path::new("MANIFEST"), &text) {
            assert_eq!(Manifest::parse(Path::new("MANIFEST"), &manifest.to_text()).ok(), Some(manifest));
        }
    }
}

/// A chunk of a segment, in both forms; the first byte is the number of mapped fields.
pub fn segment(bytes: &[u8]) {
    let Some((&fields, chunk)) = bytes.split_first() else { return };
    let fields = usize::from(fields);
    let read = |chunk: &[u8], kind| segment::decode_chunk(chunk, kind, fields);
    for kind in [SealedKind::Segment, SealedKind::SegmentV1] {
        if let Ok(entries) = read(chunk, kind) {
            // The first form is read and no longer written; the second says all that it said.
            assert_eq!(read(&segment_chunk(&entries), SealedKind::Segment), Ok(entries));
        }
    }
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
pub fn order(bytes: &[u8]) {
    if let Some((tag, runs)) = order::decode_chunk(bytes) {
        assert_eq!(order::decode_chunk(&order::encode_chunk(tag, &runs)), Some((tag, runs)));
    }
}
