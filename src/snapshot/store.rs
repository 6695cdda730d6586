//! The state folder of one sync, and the snapshot in it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::base::Base;
use super::error::{FileError, SnapshotError};
use super::file::create_private_folder;
use super::growth::Growth;
use super::manifest::{Binding, LastRun, Manifest, RowOrder};
use super::overlay::Overlay;
use super::refresh::Slices;
use super::seal::StateKey;

/// When a settle writes what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The overlay may always have so many entries.
    pub(crate) overlay_entries: u64,
    /// Beyond that it may have one entry for so many records of the base.
    pub(crate) base_records_per_entry: u64,
    /// With more segments than these a settle merges them into one.
    pub(crate) segments: usize,
    /// So many entries of the overlay are held in memory; more go to a scratch file.
    pub(crate) overlay_in_memory: usize,
    /// So many bytes of what is being sorted are held in memory while settling; more go to scratch files.
    pub(crate) sort_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            overlay_entries: 4096,
            base_records_per_entry: 20,
            segments: 16,
            overlay_in_memory: 400_000,
            sort_bytes: 8 << 20,
        }
    }
}

/// The state folder of one sync (0700, files 0600). Whoever opens it for writing holds the lease of the
/// destination account.
pub struct Store {
    pub(super) folder: PathBuf,
    pub(super) key: Arc<StateKey>,
    pub(super) limits: Limits,
    manifest: Mutex<Arc<Manifest>>,
    /// The files of the last state that was looked at, by its id.
    opened: Mutex<Option<(String, Arc<Files>)>>,
}

/// The open files of one state.
struct Files {
    base: Option<Base>,
    overlay: Overlay,
}

impl Store {
    /// Opens the folder, or makes it with an empty snapshot (random seed and id), and deletes what a crash
    /// left there. Files that are not a snapshot's stay.
    ///
    /// # Errors
    /// A damaged manifest, another version, a missing or shortened file, another state key.
    pub fn open(folder: &Path, key: Arc<StateKey>) -> Result<Self, SnapshotError> {
        Self::open_with(folder, key, Limits::default())
    }

    pub(crate) fn open_with(folder: &Path, key: Arc<StateKey>, limits: Limits) -> Result<Self, SnapshotError> {
        create_private_folder(folder)?;
        let manifest = match Manifest::read(folder)? {
            Some(manifest) => manifest,
            None => {
                // Made anew it would take all that was delivered for never sent, and delete the files.
                Manifest::check_not_missed(folder)?;
                let manifest = Manifest::empty(&key)?;
                manifest.commit(folder)?;
                manifest
            }
        };
        // Checked before anything is deleted: a key that does not fit must not cost files.
        manifest.seed(folder, &key)?;
        manifest.delete_orphans(folder)?;
        Self::of(folder, key, limits, manifest)
    }

    /// How far a growing model was delivered into the folder's snapshot, without a look at its records.
    ///
    /// # Errors
    /// The manifest cannot be read.
    pub fn growth(folder: &Path) -> Result<Option<Growth>, SnapshotError> {
        Ok(Manifest::read(folder)?.and_then(|manifest| manifest.growth))
    }

    /// The snapshot of the folder, for reading alone: nothing is created or deleted. `None` where there is none.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn read(folder: &Path, key: &Arc<StateKey>) -> Result<Option<Snapshot>, SnapshotError> {
        loop {
            let manifest = match Manifest::read(folder)? {
                Some(manifest) => manifest,
                None if folder.exists() => {
                    return Manifest::check_not_missed(folder).map(|()| None).map_err(Into::into);
                }
                None => return Ok(None),
            };
            let looked_at = manifest.id.clone();
            let read = Self::of(folder, key.clone(), Limits::default(), manifest).and_then(|store| store.snapshot());
            // Between the two looks a settle may have replaced the manifest and deleted the files of the old one.
            let replaced = || Ok::<_, FileError>(Manifest::read(folder)?.is_none_or(|now| now.id != looked_at));
            if read.is_err() && replaced()? {
                continue;
            }
            return read.map(Some);
        }
    }

    pub(super) fn of(
        folder: &Path,
        key: Arc<StateKey>,
        limits: Limits,
        manifest: Manifest,
    ) -> Result<Self, SnapshotError> {
        let manifest = Mutex::new(Arc::new(manifest));
        let store = Self { folder: folder.to_owned(), key, limits, manifest, opened: Mutex::new(None) };
        store.snapshot()?;
        Ok(store)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The snapshot as it is now. It stays readable, and the same, while a settle replaces it.
    ///
    /// # Errors
    /// A file that is missing, shortened, or altered where it was looked at.
    pub fn snapshot(&self) -> Result<Snapshot, SnapshotError> {
        let manifest = self.manifest();
        let seed = manifest.seed(&self.folder, &self.key)?;
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let files = match opened.take() {
            Some((id, files)) if id == manifest.id => files,
            // The manifest has opened under the key: what does not is damaged.
            _ => Arc::new(self.open_files(&manifest, seed).map_err(FileError::under_known_key)?),
        };
        *opened = Some((manifest.id.clone(), files.clone()));
        let base_records = files.base.as_ref().map_or(0, |base| base.records);
        let overlay_limit = self.limits.overlay_entries.max(base_records / self.limits.base_records_per_entry);
        let open_keys = match &manifest.growth {
            None => Vec::new(),
            Some(growth) => growth
                .open_keys(&self.key)
                .ok_or_else(|| FileError::damaged(&self.folder, "the open keys of its MANIFEST cannot be read"))?,
        };
        Ok(Snapshot { manifest, seed, files, overlay_limit, open_keys })
    }

    fn open_files(&self, manifest: &Manifest, seed: u64) -> Result<Files, FileError> {
        let fields = manifest.fields.len();
        let base = match &manifest.base {
            Some(files) => Some(Base::open(&self.folder, files, fields, &self.key)?),
            None => None,
        };
        let base_records = base.as_ref().map_or(0, |base| base.records);
        if manifest.next_ordinal < base_records {
            return Err(FileError::damaged(&self.folder, "the base has more records than the manifest counts"));
        }
        let ordinals = base_records..manifest.next_ordinal;
        let (files, in_memory) = (&manifest.segments, self.limits.overlay_in_memory);
        let overlay = Overlay::open(&self.folder, files, fields, seed, &self.key, ordinals, in_memory)?;
        Ok(Files { base, overlay })
    }

    pub(super) fn manifest(&self) -> Arc<Manifest> {
        Arc::clone(&self.manifest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn replace_manifest(&self, manifest: Manifest) {
        *self.manifest.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(manifest);
    }
}

/// What a destination has accepted, at one moment.
pub struct Snapshot {
    pub(super) manifest: Arc<Manifest>,
    seed: u64,
    files: Arc<Files>,
    /// A larger overlay is folded into a new base.
    pub(super) overlay_limit: u64,
    open_keys: Vec<Vec<u8>>,
}

/// The order of a new base.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rewrite {
    /// That in which the rows of the run came.
    ByArrival,
    /// That of the key hashes.
    ByHash,
}

impl Snapshot {
    /// The secret seed of all hashes; it never changes.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// How many records the destination has accepted.
    pub fn accepted(&self) -> u64 {
        self.manifest.accepted
    }

    /// How many records are in doubt.
    pub fn in_doubt(&self) -> u64 {
        self.manifest.in_doubt
    }

    /// Whose data it is; `None` before the first settle.
    pub fn binding(&self) -> Option<&Binding> {
        self.manifest.binding.as_ref()
    }

    /// Digest of what the accepted values were made with (mapping, columns, versions); `None` before the
    /// first settle.
    pub fn config_digest(&self) -> Option<[u8; 32]> {
        self.manifest.config_digest
    }

    /// Names this state of the snapshot; changes at each settle that changes anything.
    pub fn base_id(&self) -> &str {
        &self.manifest.id
    }

    /// Names of the mapped fields whose hashes are remembered.
    pub fn fields(&self) -> &[String] {
        &self.manifest.fields
    }

    /// The run that was settled last.
    pub fn last_run(&self) -> Option<&LastRun> {
        self.manifest.last_run.as_ref()
    }

    /// How far the model was delivered, where it is one that grows.
    pub fn growth(&self) -> Option<&Growth> {
        self.manifest.growth.as_ref()
    }

    /// The keys of a growing model that were asked for and not accepted, canonical and sorted.
    pub fn open_keys(&self) -> &[Vec<u8>] {
        &self.open_keys
    }

    /// The keys that are due to be sent again, where that is wanted `after` some time.
    pub fn due(&self, now: Timestamp, after: Duration) -> Slices {
        if self.is_empty() { Slices::default() } else { self.manifest.refreshed.due(now, after) }
    }

    /// Whether the base's records stand in the order of their key hashes: the rows' order says nothing.
    pub(crate) fn by_hash(&self) -> bool {
        self.manifest.base.as_ref().is_some_and(|base| base.by_hash)
    }

    /// In which order the base is to be written anew when a run on this snapshot is settled; `None` where it is
    /// not. Known before the run's first row.
    pub(crate) fn rewrites(&self) -> Option<Rewrite> {
        match self.manifest.order {
            _ if self.by_hash() => None,
            RowOrder::Random => Some(Rewrite::ByHash),
            RowOrder::Moved => Some(Rewrite::ByArrival),
            RowOrder::Repeats | RowOrder::Written => {
                (self.overlay().len() > self.overlay_limit).then_some(Rewrite::ByArrival)
            }
        }
    }

    /// How many ordinals there are, those of removed records included.
    pub(crate) fn ordinals(&self) -> u64 {
        self.manifest.next_ordinal
    }

    /// The base, if there is one.
    pub(super) fn base(&self) -> Option<&Base> {
        self.files.base.as_ref()
    }

    /// What was settled since the base was written.
    pub(super) fn overlay(&self) -> &Overlay {
        &self.files.overlay
    }

    /// How many records the base has.
    pub(crate) fn base_records(&self) -> u64 {
        self.base().map_or(0, |base| base.records)
    }

    /// Whether there is no record at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.base_records() == 0 && self.accepted() + self.in_doubt() == 0
    }
}

#[cfg(test)]
impl Store {
    /// Makes the folder with an empty snapshot whose hashes have this seed: all that happens to it can be repeated.
    pub(crate) fn make(folder: &Path, key: Arc<StateKey>, limits: Limits, seed: u64) -> Result<Self, SnapshotError> {
        create_private_folder(folder)?;
        Manifest::seeded(&key, seed)?.commit(folder)?;
        Self::open_with(folder, key, limits)
    }

    /// The first file that is not as it was written.
    pub(crate) fn verify(&self) -> Result<(), FileError> {
        let verified = super::verify::verify(&self.folder, &self.key)?.unwrap_or_default();
        verified.damage.into_iter().next().map_or(Ok(()), Err)
    }

    /// Replaces the snapshot by a base of these keys and stored fingerprints, without fields and addresses.
    pub(crate) fn commit_base(&self, records: &[(Vec<u8>, u64)]) -> Result<(), SnapshotError> {
        use super::base::{BaseWriter, NewRecord};

        let seed = self.snapshot()?.seed();
        let mut base = BaseWriter::create(&self.folder, &self.key, 0, false)?;
        for (key, fingerprint) in records {
            let (key_hash, address) = (backhaul_kit::KeyHash::of(key, seed), &backhaul_kit::Address::default());
            base.push(&NewRecord { key_hash, fingerprint: *fingerprint, key, address, fields: &[] })?;
        }
        let mut manifest = Manifest::clone(&self.manifest());
        manifest.id = super::manifest::random_name()?;
        manifest.base = Some(base.finish(false)?);
        manifest.next_ordinal = records.len() as u64;
        manifest.commit(&self.folder)?;
        self.replace_manifest(manifest);
        Ok(())
    }
}
