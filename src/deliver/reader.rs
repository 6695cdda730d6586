//! Ops of a plan → rows, lazily.

use std::collections::HashMap;
use std::sync::Arc;

use backhaul_kit::{Address, AddressKind, ChangeKind, Facts, Fault, FieldRef, Row, Session, ValueRef};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::event::{Claims, Meta, Work};
use super::job::Phase;
use crate::diff::{Op, OpKind};
use crate::snapshot::log::{Fate, Replay};

/// Reads phases as far as the machine asks, and leaves out what an earlier process settled.
pub(super) struct Reader {
    phases: Vec<Phase>,
    already: Option<Arc<Replay>>,
    /// The jobs that ops are in.
    jobs: HashMap<u64, u64>,
}

/// Rows that are read at once, unless a batch has more.
pub(super) const ROWS_AHEAD: usize = 2048;
/// Values that are read at once: wide rows must not fill the memory.
const READ_BYTES: usize = 512 << 10;

/// What was read of a phase.
#[derive(Debug, Default)]
pub struct Chunk {
    /// Rows to send, in op order.
    pub rows: Vec<Work>,
    /// Ops that an earlier process sent, whose fate is unknown and which must not be sent again.
    pub doubtful: Vec<u64>,
    /// Rows in jobs that an earlier process left open, each with its job.
    pub in_jobs: Vec<(u64, Work)>,
    /// The phase has no more.
    pub end: bool,
}

/// What is to be done with an op that an earlier process may have had in hand.
enum Earlier {
    Nothing,
    Settled,
    /// It was sent: it may go again, but it can no longer be said that it was not applied.
    SendAgain,
    Doubtful,
    /// It is in a job that has not ended.
    InJob(u64),
}

impl Reader {
    pub(super) fn new(phases: Vec<Phase>, already: Option<Arc<Replay>>) -> Self {
        let tickets = already.iter().flat_map(|replay| replay.open_tickets());
        let jobs = tickets.flat_map(|ticket| ticket.ops.iter().map(|op| (*op, ticket.id))).collect();
        Self { phases, already, jobs }
    }

    /// The next rows of a phase: at most `most`, and no more once they have [`READ_BYTES`].
    pub(super) fn read(&mut self, phase: usize, most: usize) -> Result<Chunk, Fault> {
        let mut chunk = Chunk { rows: Vec::with_capacity(most.min(ROWS_AHEAD)), ..Chunk::default() };
        let mut bytes = 0;
        let Some(source) = self.phases.get_mut(phase) else {
            return Err(Fault::bug(format!("phase {phase} is not in the plan")));
        };
        while chunk.rows.len() + chunk.doubtful.len() + chunk.in_jobs.len() < most && bytes < READ_BYTES {
            let Some(op) = source.ops.next().transpose()? else {
                chunk.end = true;
                break;
            };
            let Some(change) = change(op.kind) else { continue };
            let (doubt, ask) = match earlier(self.already.as_deref(), &self.jobs, op.number, &source.facts) {
                Earlier::Nothing => (false, false),
                Earlier::SendAgain => (true, false),
                Earlier::Doubtful if source.facts.read_back => (true, true),
                Earlier::InJob(id) => {
                    chunk.in_jobs.push((id, work(op, change, phase, &source.facts)));
                    continue;
                }
                Earlier::Settled => continue,
                Earlier::Doubtful => {
                    chunk.doubtful.push(op.number);
                    continue;
                }
            };
            let mut work = work(op, change, phase, &source.facts);
            bytes += work.row.key.len() + work.row.fields.encoded().len();
            (work.meta.doubt, work.meta.ask) = (doubt, ask);
            if source.facts.max_bytes.is_some() {
                work.meta.bytes = row_bytes(&work.row);
            }
            chunk.rows.push(work);
        }
        Ok(chunk)
    }
}

/// What is to be done with an op by the log. What was staged in a session that was not committed counts for
/// nothing: it goes into the new session.
fn earlier(already: Option<&Replay>, jobs: &HashMap<u64, u64>, op: u64, facts: &Facts) -> Earlier {
    let Some(replay) = already else { return Earlier::Nothing };
    if let Some(id) = jobs.get(&op) {
        return Earlier::InJob(*id);
    }
    match replay.fate(op) {
        Some(Fate::Accepted | Fate::Rejected | Fate::Deferred | Fate::Unknown) => Earlier::Settled,
        None if !replay.dispatched(op) => Earlier::Nothing,
        None if facts.resend_safe || facts.session != Session::None => Earlier::SendAgain,
        None => Earlier::Doubtful,
    }
}

/// Why a row is in the plan; `None` for ops that no destination hears of.
fn change(kind: OpKind) -> Option<ChangeKind> {
    Some(match kind {
        OpKind::Add => ChangeKind::Add,
        OpKind::Change => ChangeKind::Change,
        OpKind::Move => ChangeKind::Move,
        OpKind::Remove => ChangeKind::Remove,
        OpKind::Refresh => ChangeKind::Refresh,
        OpKind::Touch | OpKind::Forget | OpKind::Reject => return None,
    })
}

/// The row that an op is sent as; `None` for ops that no destination hears of.
pub fn row(op: Op) -> Option<Row> {
    Some(row_of(change(op.kind)?, op))
}

fn row_of(change: ChangeKind, op: Op) -> Row {
    let mut address = op.old_address;
    // A move or a removal is found where the record was; a write goes to where it is now.
    if !matches!(change, ChangeKind::Move | ChangeKind::Remove) && op.match_value.is_some() {
        address.match_value = op.match_value;
    }
    Row { op: op.number, change, key: op.key, fingerprint: op.fingerprint, address, fields: op.fields }
}

fn work(op: Op, change: ChangeKind, phase: usize, facts: &Facts) -> Work {
    let claims = claims(&op, facts);
    let (doubt, counted, ask) = (false, false, false);
    let meta = Meta { op: op.number, bytes: 0, phase, claims, attempts: 0, throttles: 0, doubt, counted, ask };
    Work { row: row_of(change, op), meta }
}

/// The key, the remote id, and the match values of before and now. Hashes are claimed by moves alone, of which one may
/// take what another gives up: many may add the same one, and none has to wait for the other.
fn claims(op: &Op, facts: &Facts) -> Claims {
    let Address { remote_id, match_value: old } = &op.old_address;
    let new = op.match_value.as_ref().filter(|new| Some(*new) != old.as_ref());
    let hashes = facts.address == AddressKind::Hashes;
    let is_claimed = |value: &&String| !hashes || op.kind == OpKind::Move && !value.is_empty();
    let [old, new] = [old.as_ref(), new].map(|value| value.filter(is_claimed));
    // Each kind has a seed of its own: an id is no match value, which is one whether it is old or new.
    let text =
        |seed: u64, text: Option<&String>| text.map_or(0, |text| xxh3_64_with_seed(text.as_bytes(), seed).max(1));
    let key = (op.key_hash.0 as u64).max(1);
    [key, text(2, remote_id.as_ref()), text(3, old), text(3, new)]
}

/// About what a row takes in a request: its values as JSON, and a name and punctuation for every field.
/// Names are the destination's; a batch that turns out too large is cut in two.
fn row_bytes(row: &Row) -> usize {
    const PER_ROW: usize = 64;
    const PER_FIELD: usize = 24;
    let address = [&row.address.remote_id, &row.address.match_value];
    PER_ROW
        + row.key.len()
        + address.into_iter().flatten().map(String::len).sum::<usize>()
        + row.fields.iter().filter_map(FieldRef::value).map(|value| PER_FIELD + value_bytes(value)).sum::<usize>()
}

fn value_bytes(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(text) => text.len() + 2 + text.bytes().map(escape_bytes).sum::<usize>(),
        ValueRef::Json(text) | ValueRef::Number(text) | ValueRef::Decimal(text) => text.len() + 2,
        ValueRef::Bytes(bytes) => bytes.len().div_ceil(3) * 4 + 2,
        ValueRef::Array(items) => 2 + items.iter().map(|item| 1 + value_bytes(item)).sum::<usize>(),
        ValueRef::Null | ValueRef::Bool(_) | ValueRef::Invalid(_) => 5,
        ValueRef::Int(_)
        | ValueRef::Float(_)
        | ValueRef::Date(_)
        | ValueRef::Time(_)
        | ValueRef::Timestamp(_)
        | ValueRef::LocalTimestamp(_)
        | ValueRef::Interval { .. }
        | ValueRef::Uuid(_) => 38,
    }
}

/// What escaping a byte adds in JSON.
fn escape_bytes(byte: u8) -> usize {
    match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..0x20 => 5,
        _ => 0,
    }
}
