//! Writing the next state of a snapshot: a segment on top of the old one, or a new base.

use std::path::Path;

use backhaul_kit::value::{put_bytes, take_bytes};
use backhaul_kit::{Address, KeyHash};

use super::Settlement;
use super::base::{BaseWriter, NewRecord};
use super::blocks::u64_at;
use super::effects::{Effects, Judgement};
use super::error::{FileError, SnapshotError};
use super::file::FileEntry;
use super::fingerprint::{DELETED, IN_DOUBT, STALE, UNKNOWN_FIELD, is_accepted};
use super::growth::OpenKeys;
use super::manifest::BaseFiles;
use super::order::ScanOrder;
use super::overlay::OverlayReader;
use super::records::{Details, Records};
use super::refresh::Unsent;
use super::segment::{SegmentEntry, SegmentWriter};
use super::sort::Sorter;
use super::store::{Snapshot, Store};
use crate::diff::{Op, OpKind, PlanReader};

/// What a plan changes.
pub(super) struct Gathered<'k> {
    pub(super) effects: Sorter<'k>,
    pub(super) new_records: u64,
    /// By how much the number of accepted records changes.
    pub(super) accepted: i64,
    /// By how much the number of records in doubt changes.
    pub(super) in_doubt: i64,
    pub(super) open: OpenKeys,
    pub(super) unsent: Unsent,
}

impl Gathered<'_> {
    pub(super) fn is_empty(&self) -> bool {
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

/// The order of a new base.
pub(super) enum BaseOrder {
    /// The old order, then what came since.
    AsItIs,
    /// That of the run's rows, then what has no row.
    ByArrival(Box<ScanOrder>),
    /// That of the key hashes.
    ByHash,
}

/// A new base and what is in it.
pub(super) struct MergedBase {
    pub(super) files: BaseFiles,
    pub(super) accepted: u64,
    pub(super) in_doubt: u64,
}

/// An old state, a plan that was made from it, and the fates of its ops.
pub(super) struct Merge<'a> {
    store: &'a Store,
    pub(super) snapshot: Snapshot,
    plan: &'a PlanReader,
    replay: &'a dyn Settlement,
}

impl<'a> Merge<'a> {
    pub(super) fn new(
        store: &'a Store,
        plan: &'a PlanReader,
        replay: &'a dyn Settlement,
    ) -> Result<Self, SnapshotError> {
        Ok(Self { store, snapshot: store.snapshot()?, plan, replay })
    }

    fn judgement(&self) -> Judgement<'a> {
        Judgement::new(self.plan.header(), self.replay)
    }

    fn sorter(&self) -> Sorter<'a> {
        Sorter::new(self.store.folder.clone(), &self.store.key, self.store.limits.sort_bytes)
    }

    /// Reads the plan once: effects on existing records, and how many new ones there are.
    pub(super) fn gather(&self) -> Result<Gathered<'a>, SnapshotError> {
        let mut gathered = Gathered {
            effects: self.sorter(),
            new_records: 0,
            accepted: 0,
            in_doubt: 0,
            open: OpenKeys::default(),
            unsent: Unsent::default(),
        };
        let grows = self.plan.header().growing.is_some();
        let judgement = self.judgement();
        for op in self.plan.ops(None) {
            let op = op?;
            let fate = judgement.fate(&op);
            gathered.unsent.note(&op, fate);
            if grows {
                gathered.open.note(&op, fate);
            }
            let Some(ordinal) = op.ordinal else {
                if let Some(state) = judgement.new_state(&op) {
                    gathered.new_records += 1;
                    gathered.count(state, 1);
                }
                continue;
            };
            if ordinal >= self.snapshot.ordinals() {
                let what = format!("op {} speaks of a record that the snapshot does not have", op.number);
                return Err(FileError::damaged(self.plan.path(), what).into());
            }
            if let Some(effect) = judgement.effect(&op, ordinal)? {
                if op.was_in_doubt {
                    gathered.in_doubt -= 1;
                } else if op.kind != OpKind::Add {
                    gathered.accepted -= 1;
                }
                gathered.count(effect.fingerprint, 1);
                Effects::push(&mut gathered.effects, &effect)?;
            }
        }
        Ok(gathered)
    }

    /// New records in plan order, each with the number of its op, under the ordinals from the snapshot's end on.
    fn new_records(&self) -> impl Iterator<Item = Result<(u64, SegmentEntry), SnapshotError>> {
        let (judgement, mut ordinal) = (self.judgement(), self.snapshot.ordinals());
        self.plan.ops(Some(&[OpKind::Add])).filter_map(move |op| {
            let new = |op: &Op| if op.ordinal.is_none() { judgement.new_record(op, ordinal) } else { Ok(None) };
            let record = op.and_then(|op| Ok(new(&op)?.map(|record| (op.number, record)))).transpose()?;
            ordinal += 1;
            Some(record.map_err(SnapshotError::from))
        })
    }

    /// Writes everything into a new base. With `remaps`, accepted records that the plan did not bring under the
    /// new mapping become [`STALE`].
    pub(super) fn write_base(
        &self,
        effects: Sorter<'_>,
        order: BaseOrder,
        remaps: bool,
    ) -> Result<MergedBase, SnapshotError> {
        let header = self.plan.header();
        let mut effects = Effects::new(effects, header.fields.len())?;
        let mut base = Rewriter::new(self, order)?;
        let mut records = Records::new(&self.snapshot);
        let mut details = Details::new(&self.snapshot);
        let mut columns = FieldColumns::new(self.snapshot.fields(), &header.fields);
        for ordinal in 0..self.snapshot.ordinals() {
            let effect = effects.take(ordinal)?;
            let Some(record) = records.get(ordinal)?.filter(|record| record.key_hash != KeyHash::NULL) else {
                continue;
            };
            let (fingerprint, address, over) = match effect {
                Some(effect) if effect.fingerprint == DELETED => continue,
                Some(effect) => (effect.fingerprint, effect.address, effect.fields),
                None if remaps && is_accepted(record.fingerprint) => (STALE, None, Vec::new()),
                None => (record.fingerprint, None, Vec::new()),
            };
            let address = match address {
                Some(address) => address,
                None => details.address(ordinal)?,
            };
            let (key, fields) = (details.key(ordinal)?, columns.of(&mut details, ordinal, &over)?);
            let (key_hash, key, address) = (record.key_hash, key.as_slice(), &address);
            base.push(Place::Record(ordinal), &NewRecord { key_hash, fingerprint, key, address, fields })?;
        }
        let mut fields = Vec::new();
        for new in self.new_records() {
            let (op, SegmentEntry { fingerprint, key, address, fields: hashes, .. }) = new?;
            let (key, address) = (key.unwrap_or_default(), address.unwrap_or_default());
            let (key_hash, key, address) = (KeyHash::of(&key, self.snapshot.seed()), key.as_slice(), &address);
            fields.clear();
            fields.extend(hashes.iter().map(|hash| hash.unwrap_or(UNKNOWN_FIELD)));
            base.push(Place::Add(op), &NewRecord { key_hash, fingerprint, key, address, fields: &fields })?;
        }
        base.finish()
    }

    /// Writes a segment: the effects and the new records, with `all` the whole overlay under them.
    pub(super) fn write_segment(&self, effects: Sorter<'_>, all: bool) -> Result<FileEntry, SnapshotError> {
        let mut effects = Effects::new(effects, self.plan.header().fields.len())?;
        let mut segment = SegmentWriter::create(&self.store.folder, &self.store.key)?;
        let mut details = Details::new(&self.snapshot);
        let mut overlay = OverlayReader::new(self.snapshot.overlay());
        let mut next = 0;
        loop {
            let old = if all { overlay.first_from(next)?.map(|entry| entry.ordinal) } else { None };
            let Some(ordinal) = old.into_iter().chain(effects.next_ordinal()).min() else { break };
            next = ordinal + 1;
            let below = details.overlaid(ordinal)?;
            let entry = match (effects.take(ordinal)?, below) {
                (Some(effect), Some(below)) => Some(effect.over(below)),
                (Some(effect), None) => Some(effect),
                (None, below) => below.cloned(),
            };
            if let Some(entry) = entry {
                segment.push(&entry)?;
            }
        }
        for new in self.new_records() {
            segment.push(&new?.1)?;
        }
        Ok(segment.finish()?)
    }
}

/// What tells a record's place in the run's order.
enum Place {
    /// The record that had this ordinal.
    Record(u64),
    /// The key that this op adds.
    Add(u64),
}

/// Brings records into the order of a new base.
struct Rewriter<'a> {
    base: BaseWriter,
    order: BaseOrder,
    sorter: Sorter<'a>,
    fields: usize,
    seed: u64,
    accepted: u64,
    in_doubt: u64,
}

impl<'a> Rewriter<'a> {
    fn new(merge: &Merge<'a>, order: BaseOrder) -> Result<Self, FileError> {
        let header = merge.plan.header();
        let kept = merge.snapshot.base().is_some_and(|base| base.addresses.is_some());
        let (folder, fields): (&Path, _) = (&merge.store.folder, header.fields.len());
        let base = BaseWriter::create(folder, &merge.store.key, fields, header.keep_address || kept)?;
        let (sorter, seed) = (merge.sorter(), merge.snapshot.seed());
        Ok(Self { base, order, sorter, fields, seed, accepted: 0, in_doubt: 0 })
    }

    fn push(&mut self, place: Place, record: &NewRecord<'_>) -> Result<(), FileError> {
        self.accepted += u64::from(is_accepted(record.fingerprint));
        self.in_doubt += u64::from(record.fingerprint == IN_DOUBT);
        let number = match (&mut self.order, place) {
            (BaseOrder::AsItIs, _) => return self.base.push(record),
            (BaseOrder::ByHash, _) => Some((record.key_hash.0 >> 64) as u64),
            (BaseOrder::ByArrival(order), Place::Record(ordinal)) => order.of_record(ordinal)?,
            (BaseOrder::ByArrival(order), Place::Add(op)) => order.of_add(op)?,
        };
        self.sorter.push(number.unwrap_or(u64::MAX), |out| {
            out.extend_from_slice(&record.fingerprint.to_le_bytes());
            put_bytes(record.key, out);
            record.address.encode(out);
            out.extend(record.fields.iter().flat_map(|hash| hash.to_le_bytes()));
        })
    }

    fn finish(self) -> Result<MergedBase, SnapshotError> {
        let Self { mut base, order, sorter, fields: count, seed, accepted, in_doubt } = self;
        let (mut sorted, mut bytes, mut fields) = (sorter.into_sorted()?, Vec::new(), Vec::new());
        while sorted.next(&mut bytes)?.is_some() {
            let record = decode(&bytes, count, &mut fields);
            let (fingerprint, key, address) = record.ok_or(FileError::Crypto("a record changed in memory"))?;
            let (key_hash, address) = (KeyHash::of(key, seed), &address);
            base.push(&NewRecord { key_hash, fingerprint, key, address, fields: &fields })?;
        }
        let files = base.finish(matches!(order, BaseOrder::ByHash))?;
        Ok(MergedBase { files, accepted, in_doubt })
    }
}

/// Fingerprint, key and address of a record that was sorted; its field hashes go to `fields`.
fn decode<'b>(mut bytes: &'b [u8], count: usize, fields: &mut Vec<u32>) -> Option<(u64, &'b [u8], Address)> {
    let (fingerprint, rest) = bytes.split_at_checked(8)?;
    bytes = rest;
    let key = take_bytes(&mut bytes)?;
    let address = Address::decode(&mut bytes)?;
    fields.clear();
    fields.extend(bytes.chunks_exact(4).map(|hash| super::blocks::u32_at(hash, 0)));
    (fields.len() == count).then_some((u64_at(fingerprint, 0), key, address))
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

    /// The hashes of a record, with those of `over` in the place of the old ones.
    fn of(&mut self, details: &mut Details<'_>, ordinal: u64, over: &[Option<u32>]) -> Result<&[u32], SnapshotError> {
        details.fields(ordinal, &mut self.old)?;
        let hash = |place: &Option<usize>| place.and_then(|p| self.old.get(p)).copied().unwrap_or(UNKNOWN_FIELD);
        self.new.clear();
        self.new.extend(self.places.iter().map(hash));
        for (hash, over) in self.new.iter_mut().zip(over) {
            *hash = over.unwrap_or(*hash);
        }
        Ok(&self.new)
    }
}
