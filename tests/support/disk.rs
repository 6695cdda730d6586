//! A small disk in memory, which a test fills up.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::skipped;

/// A mounted tmpfs; dropping it unmounts it.
pub(crate) struct Disk {
    folder: TempDir,
}

impl Disk {
    /// A disk of so many MiB, or `None` and a word on the terminal where the test may not mount one.
    pub(crate) fn mount(mib: u32) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let size = format!("size={mib}m");
        let mounted =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "backhaul-test"]).arg(folder.path()).output();
        if mounted.is_ok_and(|mount| mount.status.success()) {
            return Some(Self { folder });
        }
        skipped("needs to mount a tmpfs: run it as root");
        None
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves so many bytes free, rounded to pages.
    pub(crate) fn leave(&self, bytes: usize) {
        let mut ballast = File::create(self.ballast()).expect("ballast");
        let block = vec![0; 4096];
        while ballast.write_all(&block).is_ok() {}
        let full = ballast.metadata().expect("the ballast's size").len();
        ballast.set_len(full.saturating_sub(bytes as u64)).expect("cut");
    }

    /// Frees all.
    pub(crate) fn free(&self) {
        std::fs::remove_file(self.ballast()).expect("the ballast");
    }

    fn ballast(&self) -> PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a program that is being ended may still hold it.
        drop(Command::new("umount").arg("-l").arg(self.path()).status());
    }
}
