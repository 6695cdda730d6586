//! Doors into what reads the server's bytes: they panic only where a decoder is wrong, and tell whether anything
//! decoded.

use std::sync::Arc;

use backhaul_kit::{KeyHash, RowPage, Value, key};

use super::copy::{CopyReader, Tuples};
use super::decode::{clear_oids, decode, put_key};
use super::layout::{Field, Layout};
use super::page::TuplePage;
use super::types::Wire;

/// The columns of a stream: one of every type and of some arrays; the first and the ninth are the key.
fn wires() -> Vec<Wire> {
    let array = |of| Wire::Array(Box::new(of));
    vec![
        Wire::Int4,
        Wire::Bool,
        Wire::Int2,
        Wire::Int8,
        Wire::Oid,
        Wire::Float4,
        Wire::Float8,
        Wire::Numeric,
        Wire::Text,
        Wire::Json,
        Wire::Jsonb,
        Wire::Bytea,
        Wire::Date,
        Wire::Time,
        Wire::Timestamp,
        Wire::TimestampTz,
        Wire::Interval,
        Wire::Uuid,
        Wire::Network,
        Wire::Mac,
        array(Wire::Int4),
        array(Wire::Text),
    ]
}

/// A stream in COPY's binary format. The first byte is the length of the pieces in which it comes (0: all at once).
pub fn copy(bytes: &[u8]) -> bool {
    let Some((&piece, stream)) = bytes.split_first() else { return false };
    let piece = if piece == 0 { stream.len().max(1) } else { usize::from(piece) };
    let field = |(place, wire)| Field { name: format!("c{place}"), native: String::new(), wire };
    let Ok(layout) = Layout::new(wires().into_iter().enumerate().map(field).collect(), vec![0, 8], 7) else {
        return false;
    };
    let layout = Arc::new(layout);
    let read = |piece: usize| {
        let (mut reader, mut all) = (CopyReader::new(Arc::clone(&layout)), Vec::new());
        for part in stream.chunks(piece) {
            if reader.push(part).is_err() {
                return None;
            }
            all.extend(reader.take());
        }
        let rows = reader.finish().ok()?;
        assert_eq!(rows, all.iter().map(|tuples| tuples.ends.len() as u64).sum::<u64>());
        Some(all)
    };
    let (whole, pieces) = (read(stream.len().max(1)), read(piece));
    let bytes_of = |all: &Option<Vec<Tuples>>| -> Option<Vec<u8>> {
        all.as_ref().map(|all| all.iter().flat_map(|tuples| tuples.data.clone()).collect())
    };
    let data = bytes_of(&whole);
    assert_eq!(bytes_of(&pieces), data, "however it comes, the tuples are the same");
    // What stands between the header and the trailer.
    assert!(data.is_none_or(|data| data.len() + 21 <= stream.len()));
    for tuples in pieces.into_iter().flatten() {
        page(&TuplePage::new(tuples, Arc::clone(&layout), 0));
    }
    whole.is_some()
}

/// Digest, key and record of a row agree, and do so again for a row that was put aside.
fn page(page: &TuplePage) {
    let mut digests = Vec::new();
    let digested = page.digest(&mut digests).is_ok();
    for row in 0..page.rows() {
        let (mut raw, mut key) = (Vec::new(), Vec::new());
        assert!(page.raw(row, &mut raw).is_ok());
        let text = |record: Result<Vec<Value>, _>| record.map(|values| format!("{values:?}")).ok();
        assert_eq!(text(page.decoder().record(&raw)), text(page.record(row)));
        let has_key = page.key(row, &mut key).is_ok();
        if let Some(digest) = digests.get(row).filter(|_| digested) {
            assert_eq!(digest.key, if has_key { KeyHash::of(&key, 7) } else { KeyHash::NULL });
        }
    }
}

/// The bytes of one value; the first byte chooses its type.
pub fn copy_value(bytes: &[u8]) -> bool {
    let Some((&chosen, bytes)) = bytes.split_first() else { return false };
    let wires = wires();
    let wire = &wires[usize::from(chosen) % wires.len()];
    let value = decode(wire, bytes);
    if let Wire::Array(element) = wire {
        // Without its element's object id it is hashed, and it is the same value.
        let mut cleared = bytes.to_vec();
        let has_oids = clear_oids(element, &mut cleared).is_some();
        assert!(value.is_none() || (has_oids && decode(wire, &cleared) == value));
    }
    if wire.can_be_key() {
        let (mut from_bytes, mut from_value) = (Vec::new(), Vec::new());
        let has_key = put_key(wire, bytes, &mut from_bytes).is_ok();
        let value = value.as_ref().filter(|value| key::put_value(value, &mut from_value).is_ok());
        assert_eq!(has_key.then_some(&from_bytes), value.map(|_| &from_value));
    }
    let Some(value) = value else { return false };
    let mut encoded = Vec::new();
    value.encode(&mut encoded);
    let mut rest = encoded.as_slice();
    assert_eq!(Value::decode(&mut rest), Some(value));
    assert!(rest.is_empty());
    true
}
