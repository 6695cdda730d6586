//! The values of guarded fields that were accepted last: a file beside the snapshot, for guards that compare.
//!
//! ```text
//! sealed chunk 0: JSON header { version, run, fields }
//! sealed chunks:  entries by the high half of the key hash: key hash 16 · (last f64 · start f64 · since i64) a field
//! ```
//!
//! The file is written anew, under a name of its own, when a run is settled, and before the manifest is. It names
//! that run: a settle that is done again leaves it as it is.

use std::cmp::Ordering;
use std::path::{Path, PathBuf};

use backhaul_kit::KeyHash;
use serde::{Deserialize, Serialize};

use super::error::FileError;
use super::file::{FreeSpace, NewFile, sync_folder};
use super::manifest::remove_if_there;
use super::seal::StateKey;
use super::sealed::{SealedKind, SealedReader, SealedWriter};
use super::sort::{Sorted, Sorter};

const NAME: &str = "values";
const NAME_NEW: &str = "values.new";
const VERSION: u32 = 1;
const KEY_BYTES: usize = 16;
const FIELD_BYTES: usize = 24;
const CHUNK_BYTES: usize = 128 << 10;
/// New values are sorted in so much memory; more go to scratch files.
const SORT_BYTES: usize = 8 << 20;

/// What is known of one field of one key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    /// The value that was accepted last.
    pub last: f64,
    /// The value at the start of the present window.
    pub start: f64,
    /// When that window began, in microseconds since 1970.
    pub since: i64,
}

/// What a plan does to a key: the new value of each field, where it has one; `None` where the key goes.
pub type NewValues = Option<Vec<Option<f64>>>;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    version: u32,
    run: String,
    fields: Vec<String>,
}

/// The file, open for reading.
pub struct PastValues {
    file: SealedReader,
    header: Header,
}

impl PastValues {
    /// Opens the file of a sync's folder; `None` where there is none.
    ///
    /// # Errors
    /// The file is damaged, of another version, or sealed with another key.
    pub fn open(folder: &Path, key: &StateKey) -> Result<Option<Self>, FileError> {
        let path = path_of(folder);
        let file = match SealedReader::open(&path, key, SealedKind::Values) {
            Err(FileError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            file => file?,
        };
        let damaged = |_| FileError::damaged(&path, "its header cannot be understood");
        let header: Header = serde_json::from_slice(&file.chunk(0)?).map_err(damaged)?;
        if header.version != VERSION {
            return Err(FileError::Version { file: path, found: header.version, known: VERSION });
        }
        Ok(Some(Self { file, header }))
    }

    /// The run that was settled last when it was written.
    pub fn run(&self) -> &str {
        &self.header.run
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// The first thing that does not fit.
    pub fn verify(&self) -> Result<(), FileError> {
        let mut entries = Entries::new(Some(self), &[]);
        while entries.next()?.is_some() {}
        Ok(())
    }
}

/// Where the file of a sync's folder lies.
pub fn path_of(folder: &Path) -> PathBuf {
    folder.join(NAME)
}

/// Deletes the file, where nothing is compared any more.
///
/// # Errors
/// It cannot be deleted.
pub fn remove(folder: &Path) -> Result<(), FileError> {
    remove_if_there(&path_of(folder))
}

/// A key, and what is known of each field.
type Entry = (KeyHash, Vec<Option<Past>>);

/// Entries of the file in its order, with their fields in another.
struct Entries<'a> {
    file: Option<&'a PastValues>,
    /// For every wanted field its place in the file.
    places: Vec<Option<usize>>,
    next_chunk: usize,
    chunk: Vec<u8>,
    at: usize,
}

impl<'a> Entries<'a> {
    fn new(file: Option<&'a PastValues>, fields: &[&str]) -> Self {
        let known = |field: &&str| file.and_then(|file| file.header.fields.iter().position(|known| known == field));
        Self { file, places: fields.iter().map(known).collect(), next_chunk: 1, chunk: Vec::new(), at: 0 }
    }

    fn next(&mut self) -> Result<Option<Entry>, FileError> {
        let Some(PastValues { file, header }) = self.file else { return Ok(None) };
        while self.at == self.chunk.len() {
            if self.next_chunk >= file.chunks() {
                return Ok(None);
            }
            self.chunk = file.chunk(self.next_chunk)?;
            (self.next_chunk, self.at) = (self.next_chunk + 1, 0);
        }
        let length = KEY_BYTES + FIELD_BYTES * header.fields.len();
        let entry = self.chunk.get(self.at..self.at + length);
        let entry = entry.ok_or_else(|| FileError::damaged(file.path(), "an entry is cut"))?;
        self.at += length;
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(&entry[..KEY_BYTES]);
        let past = |place: usize| Past::decode(&entry[KEY_BYTES + FIELD_BYTES * place..][..FIELD_BYTES]);
        let fields = self.places.iter().map(|place| place.and_then(past)).collect();
        Ok(Some((KeyHash(u128::from_le_bytes(key)), fields)))
    }
}

impl Past {
    fn encode(past: Option<Self>, out: &mut Vec<u8>) {
        // What is not known has no number.
        let Self { last, start, since } = past.unwrap_or(Self { last: f64::NAN, start: f64::NAN, since: 0 });
        out.extend_from_slice(&last.to_le_bytes());
        out.extend_from_slice(&start.to_le_bytes());
        out.extend_from_slice(&since.to_le_bytes());
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let part = |place: usize| {
            let mut part = [0; 8];
            part.copy_from_slice(&bytes[8 * place..8 * place + 8]);
            part
        };
        let (last, start, since) =
            (f64::from_le_bytes(part(0)), f64::from_le_bytes(part(1)), i64::from_le_bytes(part(2)));
        (!last.is_nan()).then_some(Self { last, start, since })
    }
}

/// The new values of a plan, to be met with those of the file.
pub struct Arriving<'k> {
    folder: PathBuf,
    key: &'k StateKey,
    sorter: Sorter<'k>,
    fields: usize,
}

impl<'k> Arriving<'k> {
    /// None yet; of so many fields.
    pub fn new(folder: &Path, key: &'k StateKey, fields: usize) -> Self {
        Self { folder: folder.to_owned(), key, sorter: Sorter::new(folder.to_owned(), key, SORT_BYTES), fields }
    }

    /// Whether none has come.
    pub fn is_empty(&self) -> bool {
        self.sorter.len() == 0
    }

    /// Takes the values of one key.
    ///
    /// # Errors
    /// A scratch file cannot be written.
    pub fn push(&mut self, key: KeyHash, values: &NewValues) -> Result<(), FileError> {
        self.sorter.push(rank(key), |out| {
            out.extend_from_slice(&key.0.to_le_bytes());
            for value in values.iter().flatten() {
                out.extend_from_slice(&value.unwrap_or(f64::NAN).to_le_bytes());
            }
        })
    }

    /// Hands over every key of the plan or of the file, in the file's order: its new values, if it is in the plan,
    /// and what is known of each field.
    ///
    /// # Errors
    /// A file cannot be read; whatever `each` says.
    pub fn meet(
        self,
        past: Option<&PastValues>,
        fields: &[&str],
        mut each: impl FnMut(KeyHash, Option<NewValues>, Vec<Option<Past>>) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let count = self.fields;
        let mut entries = Entries::new(past, fields);
        let mut sorted = self.sorter.into_sorted()?;
        let (mut old, mut new) = (entries.next()?, next_new(&mut sorted, count)?);
        // Of keys that share the high half of their hash, which by chance no two do, some may count as unknown.
        loop {
            let order = match (&old, &new) {
                (None, None) => return Ok(()),
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some((old, _)), Some((new, _))) if old == new => Ordering::Equal,
                (Some((old, _)), Some((new, _))) => rank(*old).cmp(&rank(*new)).then(Ordering::Less),
            };
            let past = if order.is_le() { std::mem::replace(&mut old, entries.next()?) } else { None };
            let arrived = if order.is_ge() { std::mem::replace(&mut new, next_new(&mut sorted, count)?) } else { None };
            match (past, arrived) {
                (Some((key, past)), arrived) => each(key, arrived.map(|(_, values)| values), past)?,
                (None, Some((key, values))) => each(key, Some(values), vec![None; count])?,
                (None, None) => return Ok(()),
            }
        }
    }

    /// Writes the file anew: `next` says what is known of a field from now on, by its place, what was known and its
    /// accepted value.
    ///
    /// # Errors
    /// A file cannot be read or written; the old one is untouched.
    pub fn write(
        self,
        past: Option<&PastValues>,
        fields: &[&str],
        run: &str,
        next: impl Fn(usize, Option<Past>, f64) -> Past,
    ) -> Result<(), FileError> {
        let path = self.folder.join(NAME_NEW);
        remove_if_there(&path)?;
        let mut file = SealedWriter::new(NewFile::create(&path, FreeSpace::ANY)?, self.key, SealedKind::Values)?;
        let fields_of_it = fields.iter().map(|field| (*field).to_owned()).collect();
        let header = Header { version: VERSION, run: run.to_owned(), fields: fields_of_it };
        // The type has nothing that JSON cannot hold.
        file.chunk(&serde_json::to_vec(&header).unwrap_or_default())?;
        let (folder, mut chunk) = (self.folder.clone(), Vec::with_capacity(CHUNK_BYTES + 256));
        self.meet(past, fields, |key, new, past| {
            let values = match new {
                Some(None) => return Ok(()),
                Some(Some(values)) => values,
                None => vec![None; past.len()],
            };
            chunk.extend_from_slice(&key.0.to_le_bytes());
            for (place, (past, value)) in past.into_iter().zip(values).enumerate() {
                Past::encode(value.map(|value| next(place, past, value)).or(past), &mut chunk);
            }
            if chunk.len() >= CHUNK_BYTES {
                file.chunk(&chunk)?;
                chunk.clear();
            }
            Ok(())
        })?;
        if !chunk.is_empty() {
            file.chunk(&chunk)?;
        }
        file.finish()?;
        fail::fail_point!("values::before_rename", |_| std::process::abort());
        std::fs::rename(&path, path_of(&folder)).map_err(|e| FileError::io("rename", &path, e))?;
        fail::fail_point!("values::after_rename", |_| std::process::abort());
        sync_folder(&folder)
    }
}

/// The file's order.
fn rank(key: KeyHash) -> u64 {
    (key.0 >> 64) as u64
}

fn next_new(sorted: &mut Sorted, fields: usize) -> Result<Option<(KeyHash, NewValues)>, FileError> {
    let mut bytes = Vec::new();
    if sorted.next(&mut bytes)?.is_none() {
        return Ok(None);
    }
    let (key, values) = bytes.split_first_chunk::<KEY_BYTES>().ok_or(CHANGED)?;
    let values: Vec<Option<f64>> = values
        .chunks_exact(8)
        .map(|value| {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(value);
            Some(f64::from_le_bytes(bytes)).filter(|value| !value.is_nan())
        })
        .collect();
    let values = (!values.is_empty()).then_some(values);
    if values.as_ref().is_some_and(|values| values.len() != fields) {
        return Err(CHANGED);
    }
    Ok(Some((KeyHash(u128::from_le_bytes(*key)), values)))
}

const CHANGED: FileError = FileError::Crypto("a value changed in memory");

#[cfg(test)]
mod tests {
    use backhaul_kit::KeyHash;
    use secrecy::SecretString;

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/snapshot/golden/values-v1");
    const FIELDS: [&str; 2] = ["bid", "budget"];

    fn key() -> StateKey {
        StateKey::from_secret(&SecretString::from("5a".repeat(32))).expect("a key")
    }

    fn hash(id: u64) -> KeyHash {
        KeyHash(u128::from(id.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 64 | u128::from(id))
    }

    /// Keeps the value and the time at which it was accepted, and the first one.
    fn next(now: i64) -> impl Fn(usize, Option<Past>, f64) -> Past {
        move |_, past, value| match past {
            Some(past) => Past { last: value, ..past },
            None => Past { last: value, start: value, since: now },
        }
    }

    fn write(folder: &Path, run: &str, now: i64, values: &[(u64, NewValues)]) {
        let key = key();
        let mut arriving = Arriving::new(folder, &key, 2);
        for (id, values) in values {
            arriving.push(hash(*id), values).expect("taken");
        }
        let past = PastValues::open(folder, &key).expect("read");
        arriving.write(past.as_ref(), &FIELDS, run, next(now)).expect("written");
    }

    fn read(folder: &Path, fields: &[&str]) -> Vec<(u64, Vec<Option<Past>>)> {
        let key = key();
        let past = PastValues::open(folder, &key).expect("read");
        let mut all = Vec::new();
        let nothing = Arriving::new(folder, &key, fields.len());
        nothing
            .meet(past.as_ref(), fields, |key, new, past| {
                assert_eq!(new, None);
                all.push((key.0 as u64, past));
                Ok(())
            })
            .expect("read");
        all.sort_by_key(|(id, _)| *id);
        all
    }

    fn past(last: f64, start: f64, since: i64) -> Option<Past> {
        Some(Past { last, start, since })
    }

    #[test]
    fn values_come_back_and_those_of_a_plan_go_over_them() {
        let folder = tempfile::tempdir().expect("a folder");
        let first: Vec<(u64, NewValues)> = (1..=5000).map(|id| (id, Some(vec![Some(id as f64), None]))).collect();
        write(folder.path(), "run-1", 10, &first);
        write(
            folder.path(),
            "run-2",
            20,
            &[(2, Some(vec![Some(0.5), Some(7.0)])), (3, None), (6000, Some(vec![None; 2]))],
        );
        let all = read(folder.path(), &FIELDS);
        assert_eq!(all.len(), 5000);
        assert_eq!(all[0], (1, vec![past(1.0, 1.0, 10), None]));
        assert_eq!(all[1], (2, vec![past(0.5, 2.0, 10), past(7.0, 7.0, 20)]));
        assert_eq!(all[2].0, 4, "a key that went is forgotten");
        assert_eq!(all[4999], (6000, vec![None, None]));
        assert_eq!(PastValues::open(folder.path(), &key()).expect("read").expect("a file").run(), "run-2");
    }

    #[test]
    fn fields_are_found_by_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "run-1", 10, &[(1, Some(vec![Some(3.0), Some(4.0)]))]);
        let all = read(folder.path(), &["new", "budget", "bid"]);
        assert_eq!(all, [(1, vec![None, past(4.0, 4.0, 10), past(3.0, 3.0, 10)])]);
    }

    #[test]
    fn a_plan_meets_what_is_known() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "run-1", 10, &[(1, Some(vec![Some(3.0), None])), (2, Some(vec![Some(4.0), None]))]);
        let key = key();
        let mut arriving = Arriving::new(folder.path(), &key, 1);
        for (id, value) in [(2, 5.0), (3, 6.0)] {
            arriving.push(hash(id), &Some(vec![Some(value)])).expect("taken");
        }
        let file = PastValues::open(folder.path(), &key).expect("read");
        let mut met = Vec::new();
        arriving
            .meet(file.as_ref(), &["bid"], |key, new, past| {
                met.push((key.0 as u64, new.flatten().and_then(|new| new[0]), past[0].map(|past| past.last)));
                Ok(())
            })
            .expect("met");
        met.sort_by_key(|(id, ..)| *id);
        assert_eq!(met, [(1, None, Some(3.0)), (2, Some(5.0), Some(4.0)), (3, Some(6.0), None)]);
    }

    #[test]
    fn damage_is_told_and_values_do_not_stand_in_the_clear() {
        let folder = tempfile::tempdir().expect("a folder");
        write(folder.path(), "run-1", 10, &[(1, Some(vec![Some(123.456), None]))]);
        let path = path_of(folder.path());
        let whole = std::fs::read(&path).expect("the file");
        assert!(!whole.windows(8).any(|bytes| bytes == 123.456_f64.to_le_bytes()));
        for at in 0..whole.len() {
            let mut altered = whole.clone();
            altered[at] ^= 1;
            std::fs::write(&path, &altered).expect("altered");
            let read = PastValues::open(folder.path(), &key()).and_then(|file| file.expect("a file").verify());
            assert!(read.is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_file_of_version_1_is_read_as_it_was_written() {
        assert_eq!(
            read(Path::new(GOLDEN), &FIELDS),
            [(1, vec![past(0.5, 1.0, 10), None]), (2, vec![past(2.0, 2.0, 10), past(7.0, 7.0, 20)]),]
        );
        let file = PastValues::open(Path::new(GOLDEN), &key()).expect("read").expect("a file");
        assert_eq!(file.run(), "run-2");
    }

    /// Run once for a new version, by hand: `cargo test write_the_golden_values -- --ignored`.
    #[test]
    #[ignore = "writes the golden file"]
    fn write_the_golden_values() {
        let folder = Path::new(GOLDEN);
        std::fs::create_dir_all(folder).expect("the folder");
        write(folder, "run-1", 10, &[(1, Some(vec![Some(1.0), None])), (2, Some(vec![Some(2.0), None])), (3, None)]);
        write(folder, "run-2", 20, &[(1, Some(vec![Some(0.5), None])), (2, Some(vec![None, Some(7.0)]))]);
    }
}
