//! Reading every byte of a snapshot, without changing anything.

use std::path::Path;
use std::sync::Arc;

use backhaul_kit::KeyHash;

use super::base::check_length;
use super::error::{FileError, SnapshotError};
use super::file::verify_digest;
use super::manifest::{Binding, Manifest};
use super::records::{Details, Records};
use super::seal::StateKey;
use super::store::{Limits, Snapshot, Store};

/// What reading a snapshot came to.
#[derive(Debug, Default)]
pub struct Verified {
    /// Whose data it is, where the manifest tells.
    pub binding: Option<Binding>,
    /// Records accepted and in doubt, as the manifest counts them; `None` where it cannot be read.
    pub records: Option<(u64, u64)>,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Everything that is not as it was written; empty for a sound snapshot.
    pub damage: Vec<FileError>,
}

/// Whose data the snapshot in `folder` is, as far as its manifest can be read: its other files may be damaged.
pub fn binding(folder: &Path) -> Option<Binding> {
    Manifest::read(folder).ok()??.binding
}

/// Reads the snapshot in `folder`; `None` where there is none. A settle may replace it meanwhile.
///
/// # Errors
/// Whatever keeps it from being read and is not damage: rights, another state key, a newer version.
pub fn verify(folder: &Path, key: &Arc<StateKey>) -> Result<Option<Verified>, FileError> {
    loop {
        let mut verified = Verified::default();
        let manifest = match Manifest::read(folder) {
            Ok(Some(manifest)) => manifest,
            Ok(None) if !folder.exists() => return Ok(None),
            Ok(None) => match Manifest::check_not_missed(folder) {
                Ok(()) => return Ok(None),
                Err(error) => return verified.with(error).map(Some),
            },
            Err(error) => return verified.with(error).map(Some),
        };
        manifest.seed(folder, key)?;
        verified.binding.clone_from(&manifest.binding);
        verified.records = Some((manifest.accepted, manifest.in_doubt));
        for file in manifest.files() {
            (verified.files, verified.bytes) = (verified.files + 1, verified.bytes + file.bytes);
            if let Err(error) = check_length(folder, file).and_then(|()| verify_digest(folder, file)) {
                verified = verified.with(error)?;
            }
        }
        let id = manifest.id.clone();
        if verified.damage.is_empty()
            && let Err(SnapshotError::File(error)) = Store::of(folder, key.clone(), Limits::default(), manifest)
                .and_then(|store| read_all(&store.snapshot()?))
        {
            verified = verified.with(error)?;
        }
        // Damage may be files that a settle has deleted between the two looks.
        if verified.damage.is_empty() || Manifest::read(folder)?.is_some_and(|now| now.id == id) {
            return Ok(Some(verified));
        }
    }
}

impl Verified {
    /// Notes what is damaged; gives back what is no damage.
    fn with(mut self, error: FileError) -> Result<Self, FileError> {
        if !error.is_damage() {
            return Err(error);
        }
        self.damage.push(error);
        Ok(self)
    }
}

/// Reads every record with all that is kept of it.
fn read_all(snapshot: &Snapshot) -> Result<(), SnapshotError> {
    let (mut records, mut details, mut fields) = (Records::new(snapshot), Details::new(snapshot), Vec::new());
    for ordinal in 0..snapshot.ordinals() {
        // A removed record has nothing more.
        if records.get(ordinal)?.is_none_or(|record| record.key_hash == KeyHash::NULL) {
            continue;
        }
        details.key(ordinal)?;
        details.address(ordinal)?;
        details.fields(ordinal, &mut fields)?;
    }
    Ok(())
}
