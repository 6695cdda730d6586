//! What a folder took in while something ran: also what was written and deleted again, as a plan is.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Sizes by file (inode), so that a renamed file counts once and a replaced one anew.
type Sizes = HashMap<u64, u64>;

/// Watches a folder.
pub(crate) struct Footprint {
    folder: PathBuf,
    before: Sizes,
    largest: Arc<Mutex<Sizes>>,
    stop: Arc<AtomicBool>,
    watcher: JoinHandle<()>,
}

impl Footprint {
    /// Starts to watch. SQLite's own files are left out: they hold the run's record, not the snapshot.
    pub(crate) fn watch(folder: &Path) -> Self {
        let mut before = Sizes::new();
        add_sizes(folder, &mut before);
        let largest = Arc::new(Mutex::new(before.clone()));
        let stop = Arc::new(AtomicBool::new(false));
        let (watched, sizes, stopped) = (folder.to_owned(), Arc::clone(&largest), Arc::clone(&stop));
        let watcher = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                add_sizes(&watched, &mut sizes.lock().expect("sizes"));
                std::thread::sleep(Duration::from_millis(2));
            }
        });
        Self { folder: folder.to_owned(), before, largest, stop, watcher }
    }

    /// Bytes that came in: new files whole, grown files by their growth.
    pub(crate) fn bytes(self) -> u64 {
        self.look();
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.join().expect("the watcher");
        let largest = self.largest.lock().expect("sizes");
        largest.iter().map(|(file, size)| size.saturating_sub(*self.before.get(file).unwrap_or(&0))).sum()
    }

    fn look(&self) {
        add_sizes(&self.folder, &mut self.largest.lock().expect("sizes"));
    }
}

/// Adds the files below `folder`, each with the largest size seen. Files come and go while it looks.
fn add_sizes(folder: &Path, sizes: &mut Sizes) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.is_dir() {
            add_sizes(&entry.path(), sizes);
        } else if !is_sqlite(&entry.file_name().to_string_lossy()) {
            let size = sizes.entry(meta.ino()).or_default();
            *size = meta.len().max(*size);
        }
    }
}

fn is_sqlite(name: &str) -> bool {
    [".db", ".sqlite", ".sqlite3"].iter().any(|ending| {
        name.find(ending).is_some_and(|at| matches!(&name[at + ending.len()..], "" | "-wal" | "-shm" | "-journal"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_deleted_again_counts() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("base"), [0; 100]).expect("written");
        let footprint = Footprint::watch(folder.path());
        std::fs::write(path("plan"), [0; 1000]).expect("written");
        footprint.look();
        std::fs::remove_file(path("plan")).expect("removed");
        std::fs::write(path("base"), [0; 130]).expect("grown");
        std::fs::write(path("state.db-wal"), [0; 5000]).expect("written");
        assert_eq!(footprint.bytes(), 1030);
    }
}
