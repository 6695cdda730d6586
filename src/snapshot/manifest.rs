//! `MANIFEST`: what the snapshot consists of, and the only commit point.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_128;

use super::error::FileError;
use super::file::{FileEntry, FreeSpace, NewFile, sync_folder};
use super::growth::Growth;
use super::refresh::Refreshed;
use super::seal::{StateKey, fill_random};
use super::table::TablePlace;

const NAME: &str = "MANIFEST";
const NAME_NEW: &str = "MANIFEST.tmp";
const MAGIC: &str = "backhaul-snapshot";
const VERSION: u32 = 1;
/// Of a manifest whose records are in a table: earlier programs would take its snapshot for an empty one.
pub(super) const VERSION_TABLE: u32 = 2;
const SEED_CONTEXT: &[u8] = b"manifest/seed";

/// Whose data a snapshot describes. Another account, object or environment must not be compared with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// The destination account, in the vendor's words (`portal 123`).
    pub identity: String,
    /// The object, list or audience there.
    pub object: String,
    /// The environment.
    pub environment: String,
}

/// The run that was settled last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastRun {
    /// The run.
    pub run_id: String,
    /// SHA-256 of its sealed acknowledgement log.
    #[serde(with = "hex_digest")]
    pub log_digest: [u8; 32],
    /// Length of that log in bytes.
    pub log_len: u64,
}

/// The files of a base.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BaseFiles {
    /// How many records every file has.
    pub(super) records: u64,
    /// Key hashes and fingerprints, and the anchors.
    pub(super) recs: FileEntry,
    /// Canonical keys.
    pub(super) keys: FileEntry,
    /// Addresses, where they are kept.
    pub(super) addresses: Option<FileEntry>,
    /// Hashes of mapped fields, where there are any.
    pub(super) fields: Option<FileEntry>,
    /// Whether the records stand in the order of their key hashes, not of their arrival.
    #[serde(default)]
    pub(super) by_hash: bool,
}

impl BaseFiles {
    pub(super) fn files(&self) -> impl Iterator<Item = &FileEntry> {
        [&self.recs, &self.keys].into_iter().chain(&self.addresses).chain(&self.fields)
    }
}

/// How the rows of the last run stood to the order of the records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RowOrder {
    /// Where they were expected.
    #[default]
    Repeats,
    /// Many did not: the next base is written in the order of its run.
    Moved,
    /// The base has just been written in the order of the run: the next one shows whether that repeats.
    Written,
    /// It does not repeat: the next base is written in the order of key hashes.
    Random,
}

/// What the snapshot consists of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Names this state; another after every commit.
    pub(super) id: String,
    /// The hash seed, sealed by the state key.
    sealed_seed: String,
    /// Whose data it is; `None` before the first settle.
    pub(super) binding: Option<Binding>,
    /// Digest of what the accepted values were made with; `None` before the first settle.
    #[serde(with = "optional_hex_digest")]
    pub(super) config_digest: Option<[u8; 32]>,
    /// Names of the mapped fields, in the order of their hashes.
    pub(super) fields: Vec<String>,
    /// How many records are accepted.
    pub(super) accepted: u64,
    /// How many records are in doubt.
    pub(super) in_doubt: u64,
    /// The base; `None` while everything is in segments.
    pub(super) base: Option<BaseFiles>,
    /// Segments of the overlay, oldest first.
    pub(super) segments: Vec<FileEntry>,
    /// The ordinal of the next new record.
    pub(super) next_ordinal: u64,
    /// How the rows of the last run stood to the order of the records.
    #[serde(default)]
    pub(super) order: RowOrder,
    /// The run that was settled last.
    pub(super) last_run: Option<LastRun>,
    /// How far the model was delivered, where it is one that grows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) growth: Option<Growth>,
    /// When rows were last sent although nothing had changed.
    #[serde(default, skip_serializing_if = "Refreshed::is_empty")]
    pub(super) refreshed: Refreshed,
    /// The table that the records are in; then there are no files, and `id` is the table's generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) table: Option<TablePlace>,
}

impl Manifest {
    /// The manifest of an empty snapshot with a random seed.
    pub(super) fn empty(key: &StateKey) -> Result<Self, FileError> {
        let mut seed = [0; 8];
        fill_random(&mut seed)?;
        Self::seeded(key, u64::from_le_bytes(seed))
    }

    /// The manifest of an empty snapshot with this seed.
    pub(super) fn seeded(key: &StateKey, seed: u64) -> Result<Self, FileError> {
        Ok(Self {
            id: random_name()?,
            sealed_seed: STANDARD.encode(key.seal_blob(SEED_CONTEXT, &seed.to_le_bytes())?),
            binding: None,
            config_digest: None,
            fields: Vec::new(),
            accepted: 0,
            in_doubt: 0,
            base: None,
            segments: Vec::new(),
            next_ordinal: 0,
            order: RowOrder::default(),
            last_run: None,
            growth: None,
            refreshed: Refreshed::default(),
            table: None,
        })
    }

    /// Reads the manifest of a folder; `None` where there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, FileError> {
        let path = folder.join(NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) if e.kind() == std::io::ErrorKind::InvalidData => {
                return Err(FileError::damaged(&path, "it is not text"));
            }
            Err(e) => return Err(FileError::io("read", &path, e)),
        };
        Self::parse(&path, &text).map(Some)
    }

    /// Reads a manifest's text.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, FileError> {
        let damaged = |what| FileError::damaged(path, what);
        let (head, body) = text.split_once('\n').ok_or_else(|| damaged("its first line is missing"))?;
        let mut words = head.split(' ');
        if words.next() != Some(MAGIC) {
            return Err(damaged("it does not start like a manifest"));
        }
        let version = words.next().and_then(|v| v.parse().ok()).ok_or_else(|| damaged("its version is missing"))?;
        if ![VERSION, VERSION_TABLE].contains(&version) {
            return Err(FileError::Version { file: path.to_owned(), found: version, known: VERSION_TABLE });
        }
        if words.next() != Some(&checksum(body)) || words.next().is_some() {
            return Err(damaged("its checksum does not fit"));
        }
        serde_json::from_str(body).map_err(|_| damaged("its content cannot be understood"))
    }

    /// The manifest's text.
    pub(super) fn to_text(&self) -> String {
        // The type has nothing that JSON cannot hold.
        let body = serde_json::to_string_pretty(self).unwrap_or_default() + "\n";
        Self::with_checksum(if self.table.is_some() { VERSION_TABLE } else { VERSION }, &body)
    }

    /// A body under its first line.
    pub(super) fn with_checksum(version: u32, body: &str) -> String {
        format!("{MAGIC} {version} {}\n{body}", checksum(body))
    }

    /// The hash seed.
    pub(super) fn seed(&self, folder: &Path, key: &StateKey) -> Result<u64, FileError> {
        let sealed = STANDARD.decode(&self.sealed_seed);
        let seed = sealed.ok().and_then(|sealed| key.open_blob(SEED_CONTEXT, &sealed));
        // The checksum fits, so what does not open was sealed with another key.
        let seed: Option<[u8; 8]> = seed.and_then(|seed| seed.try_into().ok());
        seed.map(u64::from_le_bytes).ok_or_else(|| FileError::OtherKey { file: folder.join(NAME) })
    }

    /// All files that it lists.
    pub(super) fn files(&self) -> impl Iterator<Item = &FileEntry> {
        self.base.iter().flat_map(BaseFiles::files).chain(&self.segments)
    }

    /// Makes this the manifest of `folder`: the commit. The files that it lists are durable already.
    /// Returns the bytes written.
    pub(super) fn commit(&self, folder: &Path) -> Result<u64, FileError> {
        let (new, committed) = (folder.join(NAME_NEW), folder.join(NAME));
        remove_if_there(&new)?;
        let mut file = NewFile::create(&new, FreeSpace::ANY)?;
        file.write(self.to_text().as_bytes())?;
        let bytes = file.finish()?.bytes;
        fail::fail_point!("manifest::before_rename", |_| std::process::abort());
        std::fs::rename(&new, &committed).map_err(|e| FileError::io("rename", &new, e))?;
        fail::fail_point!("manifest::after_rename", |_| std::process::abort());
        sync_folder(folder)?;
        Ok(bytes)
    }

    /// Refuses a folder without a manifest that has files which one must have listed: an empty manifest is
    /// there before the first of them.
    pub(super) fn check_not_missed(folder: &Path) -> Result<(), FileError> {
        let io = |e| FileError::io("read", folder, e);
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
            if is_listed_name(&name) {
                return Err(FileError::damaged(folder, "it has the files of a snapshot, but their MANIFEST is gone"));
            }
        }
        Ok(())
    }

    /// Deletes what a crash or an older state left in the folder: files of our names that are not listed.
    pub(super) fn delete_orphans(&self, folder: &Path) -> Result<(), FileError> {
        let io = |e| FileError::io("read", folder, e);
        for entry in std::fs::read_dir(folder).map_err(io)? {
            let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
            let ours = name == NAME_NEW || is_listed_name(&name);
            if ours && !self.files().any(|file| file.name == name) {
                remove_if_there(&folder.join(name))?;
            }
        }
        Ok(())
    }
}

/// How the files of a base start.
pub(super) const BASE_PREFIX: &str = "base-";
/// How segments start.
pub(super) const SEGMENT_PREFIX: &str = "segment-";

/// Whether a file of that name belongs into a manifest.
fn is_listed_name(name: &str) -> bool {
    [BASE_PREFIX, SEGMENT_PREFIX].iter().any(|prefix| name.starts_with(prefix))
}

/// A name that no file has yet: 16 random hexadecimal digits.
pub(crate) fn random_name() -> Result<String, FileError> {
    let mut bytes = [0; 8];
    fill_random(&mut bytes)?;
    Ok(format!("{:016x}", u64::from_le_bytes(bytes)))
}

/// Deletes a file; it is no error when it is not there.
pub(super) fn remove_if_there(path: &PathBuf) -> Result<(), FileError> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(FileError::io("delete", path, e)),
        _ => Ok(()),
    }
}

fn checksum(body: &str) -> String {
    format!("{:032x}", xxh3_128(body.as_bytes()))
}

/// A digest as hexadecimal digits.
pub(crate) mod hex_digest {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(crate) fn to_hex(digest: &[u8]) -> String {
        use std::fmt::Write as _;
        digest.iter().fold(String::with_capacity(2 * digest.len()), |mut text, byte| {
            // Writing to a String cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
        let mut digest = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(text.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(digest)
    }

    pub(crate) fn serialize<S: Serializer>(digest: &[u8; 32], to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&to_hex(digest))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[u8; 32], D::Error> {
        from_hex(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not a digest"))
    }
}

/// A digest that may be missing.
mod optional_hex_digest {
    use super::hex_digest::{from_hex, to_hex};
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(digest: &Option<[u8; 32]>, to: S) -> Result<S::Ok, S::Error> {
        digest.as_ref().map(|d| to_hex(d)).serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<[u8; 32]>, D::Error> {
        Option::<String>::deserialize(from)?
            .map(|text| from_hex(&text).ok_or_else(|| D::Error::custom("not a digest")))
            .transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_comes_back_and_every_change_to_it_is_detected() {
        let folder = tempfile::tempdir().expect("a folder");
        let key = StateKey::random().expect("a key");
        let mut manifest = Manifest::empty(&key).expect("a manifest");
        manifest.config_digest = Some([7; 32]);
        manifest.last_run = Some(LastRun { run_id: "r1".into(), log_digest: [9; 32], log_len: 12 });
        manifest.commit(folder.path()).expect("committed");
        assert_eq!(Manifest::read(folder.path()).expect("read"), Some(manifest));

        let path = folder.path().join(NAME);
        let whole = std::fs::read(&path).expect("the file");
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            std::fs::write(&path, &altered).expect("altered");
            assert!(Manifest::read(folder.path()).is_err(), "byte {at}");
            std::fs::write(&path, &whole[..at]).expect("cut");
            assert!(Manifest::read(folder.path()).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_unknown_version_is_refused_as_such() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(NAME), "backhaul-snapshot 7 whatever\n{}").expect("written");
        let refused = Manifest::read(folder.path()).expect_err("version 7");
        assert!(matches!(refused, FileError::Version { found: 7, known: 2, .. }), "{refused}");
    }
}
