//! The files of a model as they are at one moment, and whether they still are.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use backhaul_kit::Fault;

use super::pattern::{Part, Pattern};

/// Where a model's files are, and what vouches for their being whole.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) root: PathBuf,
    /// The marker's name.
    pub(super) done: Option<String>,
    /// How long files must have been as they are, where there is no marker.
    pub(super) quiet: Duration,
}

/// What tells a file from another, and from itself after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// The same of the last change of content or attributes, which no writer can set back.
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its path below the root, for people; the order of rows follows it.
    pub(super) path: PathBuf,
    /// The same without links.
    real: PathBuf,
    stamp: Stamp,
}

impl Listed {
    /// Opens the file that was listed.
    ///
    /// # Errors
    /// `Transient` where it is another by now.
    pub(super) fn open(&self) -> Result<File, Fault> {
        let file = File::open(&self.real).map_err(|e| unreadable(&self.path, &e))?;
        let now = file.metadata().map_err(|e| unreadable(&self.path, &e))?;
        if Stamp::of(&now) == self.stamp { Ok(file) } else { Err(changed(&self.path, "was changed")) }
    }

    /// Whether there still is what was listed.
    pub(super) fn is_unchanged(&self) -> bool {
        fs::metadata(&self.real).is_ok_and(|now| Stamp::of(&now) == self.stamp)
    }
}

/// All files that fit a pattern, in the order of their paths, and the marker beside them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listing {
    pub(super) files: Vec<Listed>,
    done: Option<Listed>,
}

impl Listing {
    /// Looks for the files.
    ///
    /// # Errors
    /// `Config` where there is none, or one that must not or cannot be read; `Transient` where they may not be whole
    /// yet.
    pub(super) fn of(place: &Place, pattern: &Pattern) -> Result<Self, Fault> {
        let root = fs::canonicalize(&place.root).map_err(|e| no_root(&place.root, &e))?;
        let mut search = Search { root: &root, found: Vec::new() };
        search.descend(&root, Path::new(""), pattern.parts())?;
        let mut files = search.found;
        files.sort_by(|a, b| a.path.cmp(&b.path));
        // Two `**` can find a file twice.
        files.dedup();
        if files.is_empty() {
            return Err(Fault::config(format!("no file fits `{pattern}` in {}", place.root.display()))
                .remedy("correct `files` or the warehouse's `root`; that there are no files does not prove that there are no rows"));
        }
        let done = match &place.done {
            Some(name) => Some(marker(&root, pattern, name, &files)?),
            None => {
                files.iter().try_for_each(|file| quiet(file, place.quiet))?;
                None
            }
        };
        Ok(Self { files, done })
    }

    /// Looks for the files again.
    ///
    /// # Errors
    /// `Transient` where any came, went or changed since.
    pub(super) fn confirm(&self, place: &Place, pattern: &Pattern) -> Result<(), Fault> {
        let now = match Self::of(place, pattern) {
            Ok(now) if now == *self => return Ok(()),
            Ok(now) => now,
            Err(fault) => {
                let what = format!("the files of `{pattern}` were changed while they were read: {fault}");
                return Err(Fault::transient(what).remedy(CHANGED));
            }
        };
        let then = self.files.iter().chain(&self.done);
        for file in then.clone() {
            match now.files.iter().chain(&now.done).find(|other| other.path == file.path) {
                None => return Err(changed(&file.path, "went away")),
                Some(other) if other != file => return Err(changed(&file.path, "was changed")),
                Some(_) => {}
            }
        }
        let added = now.files.iter().find(|file| !then.clone().any(|known| known.path == file.path));
        Err(changed(added.map_or(Path::new(""), |file| &file.path), "was added"))
    }
}

/// What to do about files that do not stand still.
const CHANGED: &str =
    "run again when their writer is done; let it write elsewhere and rename, or put a marker beside them (`done`)";

/// A file is not what it was when the scan began.
pub(super) fn changed(path: &Path, what: &str) -> Fault {
    Fault::transient(format!("{} {what} while the model was read", path.display())).remedy(CHANGED)
}

/// A file or folder that the system does not let us read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Fault {
    let message = format!("cannot read {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::PermissionDenied => Fault::config(message).remedy("let this user read it"),
        _ => Fault::transient(message).remedy("check the disk or network share that the warehouse's `root` is on"),
    }
}

/// The folder itself cannot be read.
pub(super) fn no_root(root: &Path, error: &io::Error) -> Fault {
    Fault::config(format!("cannot read the folder {}: {error}", root.display()))
        .remedy("correct the warehouse's `root`, which is relative to the project, or let this user read it")
}

fn quiet(file: &Listed, quiet: Duration) -> Result<(), Fault> {
    let (seconds, nanos) = file.stamp.modified;
    let modified = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
    let modified = modified
        .map_or(SystemTime::UNIX_EPOCH, |(seconds, nanos)| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos));
    // A time that is still to come says nothing but that the clocks differ.
    let age = SystemTime::now().duration_since(modified).unwrap_or_default();
    if age >= quiet {
        return Ok(());
    }
    Err(Fault::transient(format!(
        "{} was written {} s ago and may not be whole yet: `quiet` is {} s",
        file.path.display(),
        age.as_secs(),
        quiet.as_secs_f32()
    ))
    .remedy(
        "run again; where writers rename whole files into place set `quiet = false`, or let them put a marker (`done`)",
    ))
}

/// The marker, which must be no older than any file.
fn marker(root: &Path, pattern: &Pattern, name: &str, files: &[Listed]) -> Result<Listed, Fault> {
    let path = pattern.folder().collect::<PathBuf>().join(name);
    let marker = list(root, &root.join(&path), &path).map_err(|_| {
        Fault::transient(format!("the marker {} is not there", path.display()))
            .remedy("run again when the writer of the files is done; `done` names the marker that it puts last")
    })?;
    match files.iter().find(|file| file.stamp.modified > marker.stamp.modified) {
        None => Ok(marker),
        Some(newer) => Err(Fault::transient(format!(
            "{} is newer than the marker {}, which so does not vouch for it",
            newer.path.display(),
            path.display()
        ))
        .remedy("run again when the writer of the files is done: it must put the marker last")),
    }
}

/// The file at `real`, links followed.
fn list(root: &Path, at: &Path, path: &Path) -> Result<Listed, Fault> {
    let real = inside(root, at, path)?;
    let found = fs::metadata(&real).map_err(|e| unreadable(path, &e))?;
    if found.is_file() {
        return Ok(Listed { path: path.to_owned(), real, stamp: Stamp::of(&found) });
    }
    let shown = path.display();
    Err(if found.is_dir() {
        Fault::config(format!("{shown} is a folder"))
            .remedy(format!("write `files = \"{shown}/*\"` with the ending of its files"))
    } else {
        Fault::config(format!("{shown} is not a regular file")).remedy("leave it out of `files`")
    })
}

/// The place that a path leads to, which must lie below the root.
fn inside(root: &Path, at: &Path, path: &Path) -> Result<PathBuf, Fault> {
    let real = fs::canonicalize(at).map_err(|e| unreadable(path, &e))?;
    if real.starts_with(root) {
        return Ok(real);
    }
    Err(Fault::config(format!("the link {} leads out of the warehouse's `root`", path.display()))
        .remedy("put the files below `root`, or name the folder that the link leads to as `root`"))
}

/// A walk through the folders.
struct Search<'a> {
    root: &'a Path,
    found: Vec<Listed>,
}

impl Search<'_> {
    /// Looks for the rest of a pattern in the folder `at`, which is `path` to people.
    fn descend(&mut self, at: &Path, path: &Path, parts: &[Part]) -> Result<(), Fault> {
        let Some((part, rest)) = parts.split_first() else { return Ok(()) };
        if let Part::Name(name) = part {
            return self.take(&at.join(name), &path.join(name), rest);
        }
        if *part == Part::Folders {
            self.descend(at, path, rest)?;
        }
        let failed = |e| if path.as_os_str().is_empty() { no_root(at, &e) } else { unreadable(path, &e) };
        for entry in fs::read_dir(at).map_err(failed)? {
            let entry = entry.map_err(|e| unreadable(path, &e))?;
            let name = entry.file_name();
            if !part.matches(&name.to_string_lossy()) {
                continue;
            }
            let (at, path) = (entry.path(), path.join(&name));
            match part {
                // A link among them could lead round in a circle.
                Part::Folders => {
                    if entry.file_type().map_err(|e| unreadable(&path, &e))?.is_dir() {
                        self.descend(&at, &path, parts)?;
                    }
                }
                _ => self.take(&at, &path, rest)?,
            }
        }
        Ok(())
    }

    /// Takes a file, or goes on into a folder, where the pattern does.
    fn take(&mut self, at: &Path, path: &Path, rest: &[Part]) -> Result<(), Fault> {
        match fs::symlink_metadata(at) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(e) => return Err(unreadable(path, &e)),
            Ok(_) => {}
        }
        if rest.is_empty() {
            self.found.push(list(self.root, at, path)?);
            return Ok(());
        }
        let real = inside(self.root, at, path)?;
        if real.is_dir() { self.descend(&real, path, rest) } else { Ok(()) }
    }
}
