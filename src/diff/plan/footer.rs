//! The end of a plan file: what is in which chunk, the counts, and the plan hash.

use aws_lc_rs::digest::{Context, SHA256, digest};
use backhaul_kit::value::{put_bytes, put_varint, take_bytes, take_varint};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PlanHeader;
use crate::diff::PlanCounts;
use crate::snapshot::{Binding, hex_digest};

const DIGEST_BYTES: usize = 32;

/// A chunk of ops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChunkInfo {
    /// Number of its first op.
    pub(super) first: u64,
    /// How many ops it has.
    pub(super) ops: u64,
    /// Which kinds ([`super::codec::kind_bit`]).
    pub(super) kinds: u8,
    /// SHA-256 of its bytes before compression.
    pub(super) digest: [u8; DIGEST_BYTES],
}

/// The end of a plan file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) totals: Totals,
    pub(super) chunks: Vec<ChunkInfo>,
}

/// The readable part of the footer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Totals {
    pub(super) hash: String,
    pub(super) counts: PlanCounts,
    pub(super) proof: String,
    /// The newest row of a model that grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) newest: Option<Timestamp>,
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        // The type has nothing that JSON cannot hold.
        put_bytes(&serde_json::to_vec(&self.totals).unwrap_or_default(), &mut out);
        put_varint(self.chunks.len() as u64, &mut out);
        for chunk in &self.chunks {
            put_varint(chunk.ops, &mut out);
            out.push(chunk.kinds);
            out.extend_from_slice(&chunk.digest);
        }
        out
    }

    pub(super) fn decode(mut input: &[u8]) -> Option<Self> {
        let totals = serde_json::from_slice(take_bytes(&mut input)?).ok()?;
        let count = usize::try_from(take_varint(&mut input)?).ok().filter(|count| *count <= input.len())?;
        let mut chunks = Vec::with_capacity(count);
        let mut first = 0u64;
        for _ in 0..count {
            let ops = take_varint(&mut input)?;
            let (&kinds, rest) = input.split_first()?;
            let (digest, rest) = rest.split_first_chunk::<DIGEST_BYTES>()?;
            input = rest;
            chunks.push(ChunkInfo { first, ops, kinds, digest: *digest });
            first = first.checked_add(ops)?;
        }
        input.is_empty().then_some(Self { totals, chunks })
    }
}

/// SHA-256 of a chunk.
pub(super) fn chunk_digest(plain: &[u8]) -> [u8; DIGEST_BYTES] {
    let mut out = [0; DIGEST_BYTES];
    out.copy_from_slice(digest(&SHA256, plain).as_ref());
    out
}

/// The plan hash: SHA-256 over base id, config digest, binding, and the digest of every chunk.
pub(super) fn plan_hash(header: &PlanHeader, chunks: &[ChunkInfo]) -> String {
    let mut bound = Vec::new();
    let Binding { identity, object, environment } = &header.binding;
    for part in [&header.base_id, identity, object, environment] {
        put_bytes(part.as_bytes(), &mut bound);
    }
    let mut hash = Context::new(&SHA256);
    hash.update(b"backhaul-plan-1\0");
    hash.update(&header.config_digest);
    hash.update(&bound);
    for chunk in chunks {
        hash.update(&chunk.digest);
    }
    hex_digest::to_hex(hash.finish().as_ref())
}
