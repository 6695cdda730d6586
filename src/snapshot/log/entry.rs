//! The compact encoding of entries inside a frame.
//!
//! One tag byte, then LEB128 numbers. The op of an ack is the difference from the ack before it in the
//! same frame, so an ack without a remote id takes two bytes; lists of ops are runs of consecutive numbers.

use backhaul_kit::value::{put_bytes, put_varint, take_bytes, take_varint, unzigzag, zigzag};

use super::ranges::runs;
use super::{Entry, Fate};

const DISPATCHED: u8 = 1;
const INTENT: u8 = 2;
const TICKET: u8 = 3;
const CLOSED: u8 = 4;
const COMMITTED: u8 = 5;
const DRAINED: u8 = 6;
/// `ACK | fate | HAS_ID`.
const ACK: u8 = 0x10;
const HAS_ID: u8 = 0x08;

/// What a frame's decoder and encoder remember from one entry to the next.
#[derive(Debug, Default)]
pub(super) struct Codec {
    /// The op of the ack before.
    previous: u64,
}

impl Fate {
    /// Its number on disk; 0 stands for none.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Accepted => 1,
            Self::Rejected => 2,
            Self::Deferred => 3,
            Self::Unknown => 4,
        }
    }

    /// The fate of a number.
    pub(super) fn of_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Accepted,
            2 => Self::Rejected,
            3 => Self::Deferred,
            4 => Self::Unknown,
            _ => return None,
        })
    }
}

impl Codec {
    /// Appends an entry to a frame's payload.
    pub(super) fn encode(&mut self, entry: &Entry, out: &mut Vec<u8>) {
        match entry {
            Entry::Dispatched { first, last } => {
                out.push(DISPATCHED);
                put_varint(*first, out);
                put_varint(last.saturating_sub(*first), out);
            }
            Entry::Ack { op, fate, remote_id } => {
                self.put_ack(*op, *fate, remote_id.is_some(), out);
                if let Some(id) = remote_id {
                    put_bytes(id.as_bytes(), out);
                }
            }
            Entry::Acks { first, last, fate } => {
                for op in *first..=*last {
                    self.put_ack(op, *fate, false, out);
                }
            }
            Entry::Intent { ops } => {
                out.push(INTENT);
                put_ops(ops, out);
            }
            Entry::Ticket { id, ops, body } => {
                out.push(TICKET);
                put_varint(*id, out);
                put_ops(ops, out);
                put_bytes(body.as_bytes(), out);
            }
            Entry::Closed { id } => {
                out.push(CLOSED);
                put_varint(*id, out);
            }
            Entry::Committed => out.push(COMMITTED),
            Entry::Drained => out.push(DRAINED),
        }
    }

    fn put_ack(&mut self, op: u64, fate: Fate, has_id: bool, out: &mut Vec<u8>) {
        out.push(ACK | fate.code() | if has_id { HAS_ID } else { 0 });
        put_varint(zigzag(op.wrapping_sub(self.previous).cast_signed()), out);
        self.previous = op;
    }

    /// Reads one entry off the front of a payload; `None` when the bytes are not one.
    pub(super) fn decode(&mut self, input: &mut &[u8]) -> Option<Entry> {
        let (&tag, rest) = input.split_first()?;
        *input = rest;
        Some(match tag {
            DISPATCHED => {
                let first = take_varint(input)?;
                Entry::Dispatched { first, last: first.checked_add(take_varint(input)?)? }
            }
            INTENT => Entry::Intent { ops: take_ops(input)? },
            TICKET => Entry::Ticket { id: take_varint(input)?, ops: take_ops(input)?, body: take_text(input)? },
            CLOSED => Entry::Closed { id: take_varint(input)? },
            COMMITTED => Entry::Committed,
            DRAINED => Entry::Drained,
            tag if tag & !(HAS_ID | 0x07) == ACK => {
                let fate = Fate::of_code(tag & 0x07)?;
                let op = self.previous.wrapping_add(unzigzag(take_varint(input)?).cast_unsigned());
                self.previous = op;
                let remote_id = if tag & HAS_ID == 0 { None } else { Some(take_text(input)?) };
                Entry::Ack { op, fate, remote_id }
            }
            _ => return None,
        })
    }
}

fn take_text(input: &mut &[u8]) -> Option<String> {
    String::from_utf8(take_bytes(input)?.to_vec()).ok()
}

fn put_ops(ops: &[u64], out: &mut Vec<u8>) {
    put_varint(ops.len() as u64, out);
    let mut previous = 0u64;
    for (first, count) in runs(ops) {
        put_varint(zigzag(first.wrapping_sub(previous).cast_signed()), out);
        put_varint(count, out);
        previous = first.wrapping_add(count);
    }
}

fn take_ops(input: &mut &[u8]) -> Option<Vec<u64>> {
    /// More than any batch holds: a bound on what a damaged count can allocate.
    const MOST: u64 = 1 << 20;
    let total = take_varint(input)?;
    if total > MOST {
        return None;
    }
    let mut ops = Vec::new();
    let mut previous = 0u64;
    while (ops.len() as u64) < total {
        let first = previous.wrapping_add(unzigzag(take_varint(input)?).cast_unsigned());
        let count = take_varint(input)?;
        if count == 0 || count > total - ops.len() as u64 {
            return None;
        }
        previous = first.checked_add(count)?;
        ops.extend(first..previous);
    }
    Some(ops)
}
