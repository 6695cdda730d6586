//! Files being written: private, digested on the way, gone unless finished, and never at the cost of the
//! free space that must be kept.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::error::FileError;

const BUFFER_BYTES: usize = 64 << 10;
/// Free space is asked for once every so many written bytes.
const SPACE_INTERVAL: u64 = 4 << 20;

/// A finished file as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileEntry {
    /// Its name in the state folder.
    pub(crate) name: String,
    /// Its length.
    pub(crate) bytes: u64,
    /// xxh3-128 of all its bytes, as hexadecimal digits.
    pub(crate) digest: String,
}

/// How much free space must stay on a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FreeSpace {
    /// Bytes to keep free; 0 asks nothing.
    pub(crate) keep: u64,
}

impl FreeSpace {
    /// Nothing is kept: settling a delivered plan may use the reserve.
    pub(crate) const ANY: Self = Self { keep: 0 };

    /// Refuses when `folder` has less free space than must be kept.
    pub(crate) fn check(self, folder: &Path) -> Result<(), FileError> {
        if self.keep == 0 {
            return Ok(());
        }
        let stat = rustix::fs::statvfs(folder).map_err(|e| FileError::io("ask the free space of", folder, e.into()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < self.keep {
            return Err(FileError::NoSpace { folder: folder.to_owned(), free, needed: self.keep });
        }
        Ok(())
    }
}

/// A new private file (0600). Unless it is finished, dropping it deletes it.
pub(crate) struct NewFile {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    digest: Box<Xxh3>,
    bytes: u64,
    space: FreeSpace,
    space_checked_at: u64,
    on_drop: OnDrop,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OnDrop {
    Delete,
    Nothing,
}

impl NewFile {
    /// Creates `path`, which must not exist.
    pub(crate) fn create(path: &Path, space: FreeSpace) -> Result<Self, FileError> {
        space.check(path.parent().unwrap_or(path))?;
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|e| FileError::io("create", path, e))?;
        Ok(Self {
            file,
            path: path.to_owned(),
            buffer: Vec::with_capacity(BUFFER_BYTES),
            digest: Box::new(Xxh3::new()),
            bytes: 0,
            space,
            space_checked_at: 0,
            on_drop: OnDrop::Delete,
        })
    }

    /// Creates a file that has no name from the start: it is gone when its last handle is closed, even
    /// after a crash. `path` is used for a moment and in messages.
    pub(crate) fn scratch(path: &Path, space: FreeSpace) -> Result<Self, FileError> {
        let mut file = Self::create(path, space)?;
        std::fs::remove_file(path).map_err(|e| FileError::io("delete", path, e))?;
        file.on_drop = OnDrop::Nothing;
        Ok(file)
    }

    /// How many bytes were written so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Appends `bytes`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
        if self.buffer.len() + bytes.len() > BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() >= BUFFER_BYTES {
            self.file.write_all(bytes).map_err(|e| FileError::io("write", &self.path, e))
        } else {
            self.buffer.extend_from_slice(bytes);
            Ok(())
        }
    }

    fn flush(&mut self) -> Result<(), FileError> {
        if self.bytes - self.space_checked_at >= SPACE_INTERVAL {
            self.space.check(self.path.parent().unwrap_or(&self.path))?;
            self.space_checked_at = self.bytes;
        }
        self.file.write_all(&self.buffer).map_err(|e| FileError::io("write", &self.path, e))?;
        self.buffer.clear();
        Ok(())
    }

    /// Makes the file durable and keeps it. The folder is the caller's to sync.
    pub(crate) fn finish(mut self) -> Result<FileEntry, FileError> {
        self.flush()?;
        self.file.sync_all().map_err(|e| FileError::io("write", &self.path, e))?;
        self.on_drop = OnDrop::Nothing;
        Ok(FileEntry {
            name: self.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            bytes: self.bytes,
            digest: format!("{:032x}", self.digest.digest128()),
        })
    }

    /// The file with everything that was written so far, for reading at places.
    pub(crate) fn readable(&mut self) -> Result<(&File, &Path), FileError> {
        self.flush()?;
        Ok((&self.file, &self.path))
    }

    /// Gives the file's name up and hands its content over for reading; nothing is synced.
    pub(crate) fn into_unnamed(mut self) -> Result<(File, PathBuf), FileError> {
        self.flush()?;
        let file = self.file.try_clone().map_err(|e| FileError::io("read", &self.path, e))?;
        Ok((file, self.path.clone()))
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if self.on_drop == OnDrop::Delete {
            // An orphan that cannot be deleted now goes when the state folder is next opened.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Creates `folder` with its parents, for this user alone (0700).
pub(crate) fn create_private_folder(folder: &Path) -> Result<(), FileError> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| FileError::io("create", folder, e))?;
    let io = |e| FileError::io("restrict the rights of", folder, e);
    let mode = std::fs::metadata(folder).map_err(io)?.permissions().mode();
    if mode & 0o077 != 0 {
        std::fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(io)?;
    }
    Ok(())
}

/// Makes new, renamed and deleted names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), FileError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| FileError::io("write", folder, e))
}

/// Reads a whole listed file and compares its length and digest with the entry.
pub(crate) fn verify_digest(folder: &Path, entry: &FileEntry) -> Result<(), FileError> {
    let path = folder.join(&entry.name);
    let mut file = File::open(&path).map_err(|e| FileError::io("read", &path, e))?;
    let mut digest = Digester(Box::new(Xxh3::new()));
    let bytes = io::copy(&mut file, &mut digest).map_err(|e| FileError::io("read", &path, e))?;
    if bytes != entry.bytes {
        return Err(FileError::damaged(&path, format!("it has {bytes} bytes instead of {}", entry.bytes)));
    }
    if format!("{:032x}", digest.0.digest128()) != entry.digest {
        return Err(FileError::damaged(&path, "its digest is not the one in the manifest"));
    }
    Ok(())
}

struct Digester(Box<Xxh3>);

impl io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let mut file = NewFile::create(&path, FreeSpace::ANY).expect("created");
        file.write(&vec![7; 3 * BUFFER_BYTES]).expect("written");
        drop(file);
        assert!(!path.exists());
    }

    #[test]
    fn a_finished_file_is_private_and_its_digest_tells_every_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f");
        let mut file = NewFile::create(&path, FreeSpace::ANY).expect("created");
        file.write(b"some").expect("written");
        file.write(b" text").expect("written");
        let entry = file.finish().expect("finished");
        assert_eq!(std::fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
        verify_digest(folder.path(), &entry).expect("whole");
        std::fs::write(&path, b"some tezt").expect("altered");
        assert!(matches!(verify_digest(folder.path(), &entry), Err(FileError::Damaged { .. })));
        std::fs::write(&path, b"some").expect("altered");
        assert!(matches!(verify_digest(folder.path(), &entry), Err(FileError::Damaged { .. })));
    }

    #[test]
    fn less_free_space_than_must_be_kept_is_refused_and_the_folder_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let refused = NewFile::create(&folder.path().join("f"), FreeSpace { keep: u64::MAX }).map(|_| ());
        let Err(FileError::NoSpace { folder: named, needed, .. }) = refused else { panic!("{refused:?}") };
        assert_eq!((named.as_path(), needed), (folder.path(), u64::MAX));
    }

    #[test]
    fn writing_stops_when_the_free_space_falls_under_what_must_be_kept() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut file = NewFile::create(&folder.path().join("f"), FreeSpace::ANY).expect("created");
        file.space = FreeSpace { keep: u64::MAX };
        let part = vec![1; 1 << 20];
        let stopped = (0..8).find_map(|_| file.write(&part).err());
        assert!(matches!(stopped, Some(FileError::NoSpace { .. })), "{stopped:?}");
    }
}
