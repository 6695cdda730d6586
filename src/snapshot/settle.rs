//! Settling: a delivered plan and the fates of its ops become the next snapshot.

use backhaul_kit::{Address, KeyHash};

use super::base::{BaseWriter, NewRecord};
use super::effects::{Effect, EffectSorter, SortedEffects};
use super::error::{FileError, SnapshotError};
use super::file::{FileEntry, sync_folder};
use super::fingerprint::{DELETED, FieldHasher, IN_DOUBT, STALE, UNKNOWN_FIELD, is_accepted};
use super::manifest::{BaseFiles, LastRun, Manifest, random_name, remove_if_there};
use super::overlay::{SegmentEntry, SegmentWriter};
use super::records::{Details, Records};
use super::store::{Snapshot, Store};
use crate::diff::{Op, OpKind, PlanHeader, PlanReader};

/// What settling has to know of an op that was in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Settle {
    /// The destination has it: the snapshot moves.
    Accepted,
    /// Rejected, deferred or never sent: the old state stays.
    Kept,
    /// Sent, fate unknown.
    InDoubt,
}

/// The final verdicts of a run.
pub trait Settlement {
    /// What became of op number `op`. Asked only for ops that a destination hears of.
    fn fate(&self, op: u64) -> Settle;

    /// The vendor's id of the record, where an answer gave it. Asked for in op order.
    ///
    /// # Errors
    /// What holds the ids cannot be read.
    fn remote_id(&self, op: u64) -> Result<Option<String>, FileError>;
}

/// Which run is settled, and on the strength of which log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleInfo {
    /// The run.
    pub run_id: String,
    /// SHA-256 of the sealed acknowledgement log.
    pub log_digest: [u8; 32],
    /// Length of that log in bytes.
    pub log_len: u64,
}

/// What the snapshot holds after a settle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Records accepted, in all.
    pub accepted: u64,
    /// Records in doubt, in all.
    pub in_doubt: u64,
    /// Bytes written; 0 when nothing changed.
    pub bytes_written: u64,
}

/// Merges a delivered plan into the snapshot and commits the result. Memory does not grow with the plan.
///
/// Settling the run that was settled last again changes nothing; neither does a plan without effect.
///
/// # Errors
/// The plan was made from another state of the snapshot, a file is damaged, or cannot be written. The old
/// state is untouched.
pub fn settle(
    store: &Store,
    plan: &PlanReader,
    replay: &dyn Settlement,
    info: SettleInfo,
) -> Result<Settled, SnapshotError> {
    let old = store.manifest();
    if old.last_run.as_ref().is_some_and(|last| last.run_id == info.run_id) {
        return Ok(Settled { accepted: old.accepted, in_doubt: old.in_doubt, bytes_written: 0 });
    }
    let header = plan.header();
    if header.base_id != old.id {
        return Err(SnapshotError::OtherBase {
            run: info.run_id,
            planned: header.base_id.clone(),
            present: old.id.clone(),
        });
    }
    let merge = Merge { store, snapshot: store.snapshot()?, plan, header, replay };
    let gathered = merge.gather()?;

    let mut new = Manifest::clone(&old);
    new.binding = Some(header.binding.clone());
    new.config_digest = Some(header.config_digest);
    new.fields.clone_from(&header.fields);
    let remaps = (header.remap || new.fields != old.fields) && !merge.snapshot.is_empty();
    if gathered.is_empty() && !remaps && new == *old {
        return Ok(Settled { accepted: old.accepted, in_doubt: old.in_doubt, bytes_written: 0 });
    }
    fail::fail_point!("settle::gathered", |_| std::process::abort());

    let limits = store.limits;
    let overlay = merge.snapshot.overlay.entries.len() as u64 + gathered.effects.len() + gathered.new_records;
    let overlay_limit = limits.overlay_entries.max(merge.snapshot.base_records() / limits.base_records_per_entry);
    let mut written = NewFiles { store, files: Vec::new(), committed: false };
    if remaps || overlay > overlay_limit {
        let (base, accepted, in_doubt) = merge.write_base(gathered.effects.into_sorted()?, remaps, &mut written)?;
        new.next_ordinal = base.records;
        new.segments.clear();
        new.base = Some(base);
        (new.accepted, new.in_doubt) = (accepted, in_doubt);
    } else if !gathered.is_empty() {
        let all = old.segments.len() >= limits.segments;
        new.accepted = new.accepted.saturating_add_signed(gathered.accepted);
        new.in_doubt = new.in_doubt.saturating_add_signed(gathered.in_doubt);
        new.next_ordinal += gathered.new_records;
        let segment = merge.write_segment(gathered.effects.into_sorted()?, all)?;
        written.files.push(segment.clone());
        if all {
            new.segments.clear();
        }
        new.segments.push(segment);
    }
    new.id = random_name()?;
    new.last_run = Some(LastRun { run_id: info.run_id, log_digest: info.log_digest, log_len: info.log_len });

    fail::fail_point!("settle::written", |_| std::process::abort());
    sync_folder(&store.folder)?;
    let committed = new.commit(&store.folder);
    // One that failed behind its rename has come about all the same: its files are in use.
    let still_old = || matches!(Manifest::read(&store.folder), Ok(Some(now)) if now.id == old.id);
    written.committed = committed.is_ok() || !still_old();
    let bytes_written = committed? + written.files.iter().map(|file| file.bytes).sum::<u64>();
    fail::fail_point!("settle::committed", |_| std::process::abort());
    for file in old.files().filter(|file| !new.files().any(|kept| kept.name == file.name)) {
        remove_if_there(&store.folder.join(&file.name))?;
    }
    let settled = Settled { accepted: new.accepted, in_doubt: new.in_doubt, bytes_written };
    store.replace_manifest(new);
    Ok(settled)
}

/// New files that no manifest lists yet: deleted when the commit does not come about.
struct NewFiles<'a> {
    store: &'a Store,
    files: Vec<FileEntry>,
    committed: bool,
}

impl Drop for NewFiles<'_> {
    fn drop(&mut self) {
        if !self.committed {
            for file in &self.files {
                // What stays is an orphan, and goes when the folder is next opened.
                let _ = remove_if_there(&self.store.folder.join(&file.name));
            }
        }
    }
}

/// What a plan changes.
struct Gathered<'k> {
    effects: EffectSorter<'k>,
    new_records: u64,
    /// By how much the number of accepted records changes.
    accepted: i64,
    /// By how much the number of records in doubt changes.
    in_doubt: i64,
}

impl Gathered<'_> {
    fn is_empty(&self) -> bool {
        self.effects.len() == 0 && self.new_records == 0
    }

    fn count(&mut self, fingerprint: u64, by: i64) {
        if fingerprint == IN_DOUBT {
            self.in_doubt += by;
        } else if is_accepted(fingerprint) {
            self.accepted += by;
        }
    }
}

struct Merge<'a> {
    store: &'a Store,
    snapshot: Snapshot,
    plan: &'a PlanReader,
    header: &'a PlanHeader,
    replay: &'a dyn Settlement,
}

impl<'a> Merge<'a> {
    /// Reads the plan once: effects on existing records, and how many new ones there are.
    fn gather(&self) -> Result<Gathered<'a>, SnapshotError> {
        let fields = self.header.fields.len();
        let effects =
            EffectSorter::new(self.store.folder.clone(), &self.store.key, fields, self.store.limits.effect_bytes);
        let mut gathered = Gathered { effects, new_records: 0, accepted: 0, in_doubt: 0 };
        let hasher = FieldHasher::new(self.snapshot.seed());
        for op in self.plan.ops(None) {
            let op = op?;
            let Some(ordinal) = op.ordinal else {
                if let Some(state) = self.new_state(&op) {
                    gathered.new_records += 1;
                    gathered.count(state, 1);
                }
                continue;
            };
            if ordinal >= self.snapshot.ordinals() {
                let what = format!("op {} speaks of a record that the snapshot does not have", op.number);
                return Err(FileError::damaged(self.plan.path(), what).into());
            }
            if let Some(effect) = self.effect(&op, ordinal, &hasher)? {
                if op.was_in_doubt {
                    gathered.in_doubt -= 1;
                } else if op.kind != OpKind::Add {
                    gathered.accepted -= 1;
                }
                gathered.count(effect.entry.fingerprint, 1);
                gathered.effects.push(effect)?;
            }
        }
        Ok(gathered)
    }

    /// The fate of an op; what no destination hears of settles by itself.
    fn fate(&self, op: &Op) -> Settle {
        match op.kind {
            OpKind::Touch | OpKind::Forget => Settle::Accepted,
            OpKind::Reject => Settle::Kept,
            OpKind::Add | OpKind::Change | OpKind::Move | OpKind::Remove | OpKind::Refresh => {
                self.replay.fate(op.number)
            }
        }
    }

    /// The state of a key that the snapshot does not have; `None` where it still does not get it.
    fn new_state(&self, op: &Op) -> Option<u64> {
        match self.fate(op) {
            Settle::Accepted if op.kind == OpKind::Add => Some(op.fingerprint),
            Settle::InDoubt if op.kind == OpKind::Add => Some(IN_DOUBT),
            _ => None,
        }
    }

    /// What the op does to the record that it was planned for; `None` where the old state stays.
    fn effect(&self, op: &Op, ordinal: u64, hasher: &FieldHasher) -> Result<Option<Effect>, FileError> {
        let fate = self.fate(op);
        let leaves = matches!(op.kind, OpKind::Remove | OpKind::Forget);
        let (fingerprint, keeps_fields) = match fate {
            Settle::Kept => return Ok(None),
            Settle::Accepted if leaves => {
                return Ok(Some(Effect { entry: SegmentEntry::tombstone(ordinal), keeps_fields: false }));
            }
            Settle::Accepted => (op.fingerprint, false),
            Settle::InDoubt => (IN_DOUBT, true),
        };
        let fields = self.field_hashes(op, fingerprint, hasher);
        let address = self.address(op, fate)?;
        Ok(Some(Effect {
            entry: SegmentEntry { ordinal, fingerprint, key: op.key.to_vec(), address, fields },
            keeps_fields,
        }))
    }

    /// One hash for every field of the plan; unknown where nobody knows what the destination has.
    fn field_hashes(&self, op: &Op, fingerprint: u64, hasher: &FieldHasher) -> Vec<u32> {
        let mut hashes = if fingerprint == IN_DOUBT { Vec::new() } else { hasher.hashes(&op.fields) };
        hashes.resize(self.header.fields.len(), UNKNOWN_FIELD);
        hashes
    }

    /// What to remember of a record. In doubt the old match value stays: the vendor's id, where it is
    /// known, finds the record under either.
    fn address(&self, op: &Op, fate: Settle) -> Result<Address, FileError> {
        if !self.header.keep_address {
            return Ok(Address::default());
        }
        let (old, now) = (op.old_address.match_value.as_ref(), op.match_value.as_ref());
        let match_value = if fate == Settle::InDoubt { old.or(now) } else { now.or(old) };
        let answered = if op.kind.is_sent() { self.replay.remote_id(op.number)? } else { None };
        let remote_id = answered.or_else(|| op.old_address.remote_id.clone());
        Ok(Address { remote_id, match_value: match_value.cloned() })
    }

    /// New records in plan order, from `next_ordinal` on.
    fn new_records(&self, mut next_ordinal: u64) -> impl Iterator<Item = Result<SegmentEntry, SnapshotError>> {
        let hasher = FieldHasher::new(self.snapshot.seed());
        self.plan.ops(Some(&[OpKind::Add])).filter_map(move |op| {
            let record = op.and_then(|op| self.new_record(&op, next_ordinal, &hasher)).transpose()?;
            next_ordinal += 1;
            Some(record.map_err(Into::into))
        })
    }

    /// The record that an op makes of a key that the snapshot does not have.
    fn new_record(&self, op: &Op, ordinal: u64, hasher: &FieldHasher) -> Result<Option<SegmentEntry>, FileError> {
        let state = if op.ordinal.is_none() { self.new_state(op) } else { None };
        let Some(fingerprint) = state else { return Ok(None) };
        let fields = self.field_hashes(op, fingerprint, hasher);
        let address = self.address(op, self.fate(op))?;
        Ok(Some(SegmentEntry { ordinal, fingerprint, key: op.key.to_vec(), address, fields }))
    }

    /// Writes everything into a new base: the old order, then what came since. With `remaps`, accepted
    /// records that the plan did not bring under the new mapping become [`STALE`].
    fn write_base(
        &self,
        mut effects: SortedEffects,
        remaps: bool,
        written: &mut NewFiles<'_>,
    ) -> Result<(BaseFiles, u64, u64), SnapshotError> {
        let kept = self.snapshot.base.as_ref().is_some_and(|base| base.addresses.is_some());
        let addresses = self.header.keep_address || kept;
        let mut base = BaseWriter::create(&self.store.folder, &self.store.key, self.header.fields.len(), addresses)?;
        let (mut accepted, mut in_doubt) = (0, 0);
        let mut push = |record: &NewRecord<'_>| {
            accepted += u64::from(is_accepted(record.fingerprint));
            in_doubt += u64::from(record.fingerprint == IN_DOUBT);
            base.push(record)
        };
        let mut records = Records::new(&self.snapshot);
        let mut details = Details::new(&self.snapshot);
        let mut columns = FieldColumns::new(self.snapshot.fields(), &self.header.fields);
        for ordinal in 0..self.snapshot.ordinals() {
            let effect = effects.take(ordinal)?;
            let Some(record) = records.get(ordinal)?.filter(|record| record.key_hash != KeyHash::NULL) else {
                continue;
            };
            let key_hash = record.key_hash;
            match effect {
                Some(Effect { entry, .. }) if entry.fingerprint == DELETED => {}
                Some(Effect { entry, keeps_fields }) => {
                    let fields = if keeps_fields { columns.of(&mut details, ordinal)? } else { &entry.fields };
                    let (key, address) = (entry.key.as_slice(), &entry.address);
                    push(&NewRecord { key_hash, fingerprint: entry.fingerprint, key, address, fields })?;
                }
                None => {
                    let stale = remaps && is_accepted(record.fingerprint);
                    let fingerprint = if stale { STALE } else { record.fingerprint };
                    let (key, address) = (details.key(ordinal)?, details.address(ordinal)?);
                    let fields = columns.of(&mut details, ordinal)?;
                    push(&NewRecord { key_hash, fingerprint, key: &key, address: &address, fields })?;
                }
            }
        }
        for entry in self.new_records(self.snapshot.ordinals()) {
            let SegmentEntry { fingerprint, key, address, fields, .. } = &entry?;
            let key_hash = KeyHash::of(key, self.snapshot.seed());
            push(&NewRecord { key_hash, fingerprint: *fingerprint, key, address, fields })?;
        }
        let files = base.finish()?;
        written.files.extend([files.recs.clone(), files.keys.clone()]);
        written.files.extend(files.addresses.iter().chain(&files.fields).cloned());
        Ok((files, accepted, in_doubt))
    }

    /// Writes a segment: the effects and the new records, with `all` the whole overlay under them.
    fn write_segment(&self, mut effects: SortedEffects, all: bool) -> Result<FileEntry, SnapshotError> {
        let mut segment = SegmentWriter::create(&self.store.folder, &self.store.key)?;
        let mut details = Details::new(&self.snapshot);
        let mut overlay = self.snapshot.overlay.entries.iter().filter(|_| all).peekable();
        loop {
            let old = overlay.peek().map(|entry| entry.ordinal);
            let Some(ordinal) = old.into_iter().chain(effects.next_ordinal()).min() else { break };
            let below = overlay.next_if(|entry| entry.ordinal == ordinal);
            let entry = match effects.take(ordinal)? {
                Some(Effect { mut entry, keeps_fields }) => {
                    if keeps_fields {
                        details.fields(ordinal, &mut entry.fields)?;
                    }
                    entry
                }
                None if below.is_some_and(|entry| entry.fingerprint == DELETED) => SegmentEntry::tombstone(ordinal),
                None => {
                    let mut fields = Vec::new();
                    details.fields(ordinal, &mut fields)?;
                    let fingerprint = below.map_or(DELETED, |entry| entry.fingerprint);
                    let (key, address) = (details.key(ordinal)?, details.address(ordinal)?);
                    SegmentEntry { ordinal, fingerprint, key, address, fields }
                }
            };
            segment.push(&entry)?;
        }
        for entry in self.new_records(self.snapshot.ordinals()) {
            segment.push(&entry?)?;
        }
        Ok(segment.finish()?)
    }
}

/// Field hashes in the order of the plan's fields, found by name.
struct FieldColumns {
    /// For every field of the plan its place in the snapshot.
    places: Vec<Option<usize>>,
    old: Vec<u32>,
    new: Vec<u32>,
}

impl FieldColumns {
    fn new(old: &[String], new: &[String]) -> Self {
        let places = new.iter().map(|name| old.iter().position(|o| o == name)).collect();
        Self { places, old: Vec::new(), new: Vec::new() }
    }

    fn of(&mut self, details: &mut Details<'_>, ordinal: u64) -> Result<&[u32], SnapshotError> {
        details.fields(ordinal, &mut self.old)?;
        let hash = |place: &Option<usize>| place.and_then(|p| self.old.get(p)).copied().unwrap_or(UNKNOWN_FIELD);
        self.new.clear();
        self.new.extend(self.places.iter().map(hash));
        Ok(&self.new)
    }
}
