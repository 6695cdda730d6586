//! A snapshot that is a table of the warehouse: its place in the manifest, the way in and out, and settling.
//!
//! The manifest stays the truth: its id is the table's generation. Every change of the table is one transaction
//! there; the manifest is committed after it.

use backhaul_kit::{Fault, Gone, KeyHash, Recorded, TableChange, TableCounts, TableEffect, TableEntry, TableState};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::base::{BaseWriter, NewRecord};
use super::effects::Judgement;
use super::error::{FileError, SnapshotError};
use super::file::sync_folder;
use super::fingerprint::{DELETED, IN_DOUBT, NEVER_ACCEPTED, STALE, UNKNOWN_FIELD};
use super::manifest::{LastRun, Manifest, random_name, remove_if_there};
use super::records::{Details, Records};
use super::settle::{SettleInfo, Settled, Settlement};
use super::store::{Snapshot, Store};
use crate::diff::{Op, PlanReader};

/// Where a snapshot is that is a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TablePlace {
    /// The warehouse, by its name in the project.
    pub warehouse: String,
    /// The table, in the warehouse's schema of snapshots.
    pub name: String,
    /// What its fingerprints were made with: algorithm, major version of the server, columns and their types.
    pub fingerprints: String,
    /// How many records it has.
    pub records: u64,
}

impl Snapshot {
    /// The table that the records are in; `None` where they are in files.
    pub fn table(&self) -> Option<&TablePlace> {
        self.manifest.table.as_ref()
    }

    /// The table in the state that it must be in.
    pub(crate) fn table_state(&self) -> Option<TableState> {
        self.table().map(|place| table_state(&self.manifest, place))
    }

    /// What tells the tables of this state folder from those of others; says nothing of the seed.
    pub(crate) fn owner(&self) -> String {
        format!("{:032x}", xxh3_128(&[b"owner".as_slice(), &self.seed().to_le_bytes()].concat()))
    }

    /// The records as entries of a new table. Accepted ones are compared field by field when they are next met: the
    /// warehouse has other fingerprints.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<TableEntry, Fault>> + Send {
        let (mut records, mut details) = (Records::new(self), Details::new(self));
        let mut hashes = Vec::new();
        let mut entry = move |ordinal| -> Result<Option<TableEntry>, SnapshotError> {
            let record = records.get(ordinal)?.filter(|record| record.key_hash != KeyHash::NULL);
            let Some(record) = record.filter(|record| record.fingerprint != NEVER_ACCEPTED) else { return Ok(None) };
            details.fields(ordinal, &mut hashes)?;
            let recorded = Recorded {
                fingerprint: None,
                in_doubt: record.fingerprint == IN_DOUBT,
                address: details.address(ordinal)?,
                fields: Some(to_bytes(&hashes)),
                check: check_of(record.key_hash),
            };
            Ok(Some(TableEntry { key: details.key(ordinal)?, effect: TableEffect::Insert(recorded) }))
        };
        (0..self.ordinals()).filter_map(move |ordinal| entry(ordinal).map_err(unreadable).transpose())
    }
}

impl Store {
    /// The table that the records are in, by the manifest alone; `None` where they are in files.
    pub(crate) fn table(&self) -> Option<TablePlace> {
        self.manifest().table.clone()
    }

    /// Commits that the records are in a table now, in its state `generation`. The old files go.
    pub(crate) fn move_into(&self, table: TablePlace, generation: String) -> Result<(), SnapshotError> {
        let old = self.manifest();
        let mut new = Manifest::clone(&old);
        (new.base, new.next_ordinal, new.table) = (None, 0, Some(table));
        // Such a snapshot is compared with whole models.
        new.growth = None;
        new.segments.clear();
        new.id = generation;
        self.commit_move(&old, new)
    }

    /// Starts to write the records of the table into files.
    pub(crate) fn import(&self) -> Result<TableImport<'_>, SnapshotError> {
        let seed = self.snapshot()?.seed();
        let fields = self.manifest().fields.len();
        let base = BaseWriter::create(&self.folder, &self.key, fields, true)?;
        Ok(TableImport { store: self, base, seed, fields, accepted: 0, in_doubt: 0 })
    }

    fn commit_move(&self, old: &Manifest, new: Manifest) -> Result<(), SnapshotError> {
        sync_folder(&self.folder)?;
        new.commit(&self.folder)?;
        for file in old.files() {
            remove_if_there(&self.folder.join(&file.name))?;
        }
        self.replace_manifest(new);
        Ok(())
    }
}

/// Takes the records of a table; nothing has changed until it is committed.
pub(crate) struct TableImport<'a> {
    store: &'a Store,
    base: BaseWriter,
    seed: u64,
    fields: usize,
    accepted: u64,
    in_doubt: u64,
}

impl TableImport<'_> {
    /// Takes a record.
    pub(crate) fn push(&mut self, record: &Gone) -> Result<(), Fault> {
        let Gone { key, record: Recorded { in_doubt, address, fields, check, .. }, .. } = record;
        let key_hash = KeyHash::of(key, self.seed);
        let fields =
            fields.as_deref().map_or_else(|| Some(vec![UNKNOWN_FIELD; self.fields]), |b| of_bytes(b, self.fields));
        let Some(fields) = fields.filter(|_| check_of(key_hash) == *check) else {
            return Err(Fault::config("the snapshot table does not hold what backhaul wrote").remedy(
                "restore the schema of snapshots and the state folder from backups of one moment; without them \
                     `backhaul state rebuild SYNC`: every row is then sent again, and nothing is removed",
            ));
        };
        let fingerprint = if *in_doubt { IN_DOUBT } else { STALE };
        self.accepted += u64::from(!*in_doubt);
        self.in_doubt += u64::from(*in_doubt);
        let written = self.base.push(&NewRecord { key_hash, fingerprint, key, address, fields: &fields });
        written.map_err(|e| unreadable(e.into()))
    }

    /// Commits that the records are in files now.
    pub(crate) fn commit(self) -> Result<(), SnapshotError> {
        let base = self.base.finish(false)?;
        let old = self.store.manifest();
        let mut new = Manifest::clone(&old);
        new.next_ordinal = base.records;
        (new.accepted, new.in_doubt) = (self.accepted, self.in_doubt);
        (new.base, new.table, new.id) = (Some(base), None, random_name()?);
        self.store.commit_move(&old, new)
    }
}

/// A plan and its fates, on their way into the table.
pub(crate) struct TableSettle<'a> {
    store: &'a Store,
    plan: &'a PlanReader,
    judgement: Judgement<'a>,
    new: Manifest,
    change: TableChange,
}

impl<'a> TableSettle<'a> {
    /// Reads the plan once. `None` where nothing changes, or where the run is settled already.
    ///
    /// # Errors
    /// The plan was made from another state, or cannot be read.
    pub(crate) fn begin(
        store: &'a Store,
        plan: &'a PlanReader,
        replay: &'a dyn Settlement,
        info: SettleInfo,
    ) -> Result<Option<Self>, SnapshotError> {
        let (old, header) = (store.manifest(), plan.header());
        if old.last_run.as_ref().is_some_and(|last| last.run_id == info.run_id) {
            return Ok(None);
        }
        let planned = &header.base_id;
        let (Some(place), Some(fingerprints), true) = (&old.table, &header.table_fingerprints, *planned == old.id)
        else {
            let (run, planned, present) = (info.run_id, planned.clone(), old.id.clone());
            return Err(SnapshotError::OtherBase { run, planned, present });
        };
        let judgement = Judgement::new(header, replay);
        let gathered = gather(plan, &judgement)?;
        let mut new = Manifest::clone(&old);
        new.binding = Some(header.binding.clone());
        new.config_digest = Some(header.config_digest);
        new.fields.clone_from(&header.fields);
        new.accepted = new.accepted.saturating_add_signed(gathered.accepted);
        new.in_doubt = new.in_doubt.saturating_add_signed(gathered.in_doubt);
        let TableCounts { inserts, deletes, .. } = gathered.counts;
        let records = (place.records + inserts).saturating_sub(deletes);
        new.table = Some(TablePlace { fingerprints: fingerprints.clone(), records, ..place.clone() });
        let stale = header.remap || new.fields != old.fields || *fingerprints != place.fingerprints;
        if gathered.counts == TableCounts::default() && !(stale && place.records > 0) && new == *old {
            return Ok(None);
        }
        let moved = (new.fields != old.fields)
            .then(|| new.fields.iter().map(|name| old.fields.iter().position(|known| known == name)).collect());
        let change = TableChange {
            from: table_state(&old, place),
            generation: random_name()?,
            fingerprints: fingerprints.clone(),
            run: info.run_id.clone(),
            stale,
            fields: moved,
            expected: gathered.counts,
        };
        new.last_run = Some(LastRun { run_id: info.run_id, log_digest: info.log_digest, log_len: info.log_len });
        fail::fail_point!("settle::gathered", |_| std::process::abort());
        Ok(Some(Self { store, plan, judgement, new, change }))
    }

    /// The warehouse that has the table.
    pub(crate) fn warehouse(&self) -> &str {
        self.new.table.as_ref().map_or("", |place| &place.warehouse)
    }

    /// What the table is asked for.
    pub(crate) fn change(&self) -> &TableChange {
        &self.change
    }

    /// The entries of the change, in plan order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Result<TableEntry, Fault>> + Send {
        let ops = self.plan.ops(None).filter_map(|op| {
            let entry = op.and_then(|op| entry(&self.judgement, &op)).transpose()?;
            Some(entry.map_err(|error| unreadable(error.into())))
        });
        // Reached when all was read, and the table not yet changed.
        let end = std::iter::once_with(|| {
            fail::fail_point!("settle::table_filled", |_| std::process::abort());
            None
        });
        ops.map(Some).chain(end).flatten()
    }

    /// Commits what the table holds by now, in its state `generation`.
    pub(crate) fn commit(mut self, generation: String) -> Result<Settled, SnapshotError> {
        fail::fail_point!("settle::table_changed", |_| std::process::abort());
        self.new.id = generation;
        let store = self.store;
        let bytes_written = self.new.commit(&store.folder)?;
        fail::fail_point!("settle::committed", |_| std::process::abort());
        let settled = Settled { accepted: self.new.accepted, in_doubt: self.new.in_doubt, bytes_written };
        store.replace_manifest(self.new);
        Ok(settled)
    }
}

#[derive(Default)]
struct Gathered {
    counts: TableCounts,
    accepted: i64,
    in_doubt: i64,
}

/// What the plan comes to.
fn gather(plan: &PlanReader, judgement: &Judgement<'_>) -> Result<Gathered, SnapshotError> {
    let mut gathered = Gathered::default();
    for op in plan.ops(None) {
        let op = op?;
        let Some(entry) = entry(judgement, &op)? else { continue };
        let counts = &mut gathered.counts;
        let now = match entry.effect {
            TableEffect::Insert(now) => {
                counts.inserts += 1;
                Some(now)
            }
            TableEffect::Update(now) => {
                counts.updates += 1;
                Some(now)
            }
            TableEffect::Delete => {
                counts.deletes += 1;
                None
            }
        };
        if op.ordinal.is_some() {
            *(if op.was_in_doubt { &mut gathered.in_doubt } else { &mut gathered.accepted }) -= 1;
        }
        if let Some(now) = now {
            *(if now.in_doubt { &mut gathered.in_doubt } else { &mut gathered.accepted }) += 1;
        }
    }
    Ok(gathered)
}

/// What an op does to the table; `None` where its record stays as it is, or still does not come about.
fn entry(judgement: &Judgement<'_>, op: &Op) -> Result<Option<TableEntry>, FileError> {
    let is_new = op.ordinal.is_none();
    let state = if is_new { judgement.new_state(op) } else { judgement.state(op) };
    let Some(fingerprint) = state else { return Ok(None) };
    let key = op.key.to_vec();
    if fingerprint == DELETED {
        return Ok(Some(TableEntry { key, effect: TableEffect::Delete }));
    }
    let known = fingerprint != IN_DOUBT;
    let fields = known.then(|| judgement.field_hashes(op, |_| true).into_iter().flatten().collect::<Vec<_>>());
    let recorded = Recorded {
        fingerprint: op.table_fingerprint.filter(|_| known),
        in_doubt: !known,
        address: judgement.address(op)?,
        fields: fields.as_deref().map(to_bytes),
        check: check_of(op.key_hash),
    };
    let effect = if is_new { TableEffect::Insert(recorded) } else { TableEffect::Update(recorded) };
    Ok(Some(TableEntry { key, effect }))
}

fn table_state(manifest: &Manifest, place: &TablePlace) -> TableState {
    TableState {
        name: place.name.clone(),
        generation: manifest.id.clone(),
        fingerprints: place.fingerprints.clone(),
        records: place.records,
    }
}

/// What ties a record to its key.
fn check_of(key: KeyHash) -> u64 {
    key.0 as u64
}

fn to_bytes(hashes: &[u32]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| hash.to_le_bytes()).collect()
}

fn of_bytes(bytes: &[u8], fields: usize) -> Option<Vec<u32>> {
    let hashes = bytes.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    (bytes.len() == 4 * fields).then(|| hashes.collect())
}

/// A file of the state on the way to or from the table.
fn unreadable(error: SnapshotError) -> Fault {
    let remedy = error.remedy();
    Fault::bug("the state's files cannot be read or written").remedy(remedy).caused_by(error)
}
