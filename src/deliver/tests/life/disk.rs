//! The log of a run on a disk that loses what was not synced when the power is cut.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::deliver::tests::dice::Dice;
use crate::snapshot::log::{Entry, LogWriter, Replay};

/// What a power cut can tear at most.
const PAGE: u64 = 4096;

/// An open log. Entries wait in memory until they are synced.
pub(super) struct Disk<'a> {
    path: &'a Path,
    writer: LogWriter,
    waiting: Vec<Entry>,
    /// Entries synced so far.
    synced: usize,
}

impl<'a> Disk<'a> {
    /// The log of a run, new, or as an earlier process left it, with what it says; `None` where it is sealed.
    pub(super) fn open(path: &'a Path, run: &str) -> Option<(Self, Option<Replay>)> {
        let (writer, replay) = if path.exists() {
            let replay = Replay::read(path, run).expect("a log that a power cut cannot make unreadable");
            if replay.sealed().is_some() {
                return None;
            }
            (LogWriter::resume(path, run, &replay), Some(replay))
        } else {
            (LogWriter::create(path, run), None)
        };
        let writer = writer.expect("an open log");
        Some((Self { path, writer, waiting: Vec::new(), synced: 0 }, replay))
    }

    pub(super) fn log(&mut self, entries: Vec<Entry>) {
        self.waiting.extend(entries);
    }

    /// Entries logged so far.
    pub(super) fn logged(&self) -> usize {
        self.synced + self.waiting.len()
    }

    /// The first `upto` entries are on the disk.
    pub(super) fn sync(&mut self, upto: usize) {
        let due = upto.saturating_sub(self.synced);
        for entry in self.waiting.drain(..due) {
            self.writer.push(&entry).expect("pushed");
        }
        self.synced += due;
        self.writer.sync().expect("synced");
    }

    /// Everything is on the disk, and nothing will follow.
    pub(super) fn seal(mut self) {
        self.sync(self.logged());
        self.writer.seal().expect("sealed");
    }

    /// The power is cut, perhaps while a frame is being written: it is not there, or there though nobody heard, or
    /// cut, or torn.
    pub(super) fn power_cut(mut self, dice: &mut Dice) -> &'static str {
        let before = self.len();
        let under_way = dice.roll(self.waiting.len() as u64 + 1) as usize;
        let fate = dice.roll(4);
        if fate == 0 || under_way == 0 {
            return "lost";
        }
        self.sync(self.synced + under_way);
        let after = self.len();
        let file = OpenOptions::new().write(true).open(self.path).expect("the log");
        match fate {
            1 => "written",
            2 => {
                file.set_len(before + dice.roll(after - before)).expect("cut");
                "cut"
            }
            _ => {
                let torn = 1 + dice.roll(PAGE.min(after - before));
                // A frame's last bytes may be those of what stood on the page before.
                let garbage = vec![0xa5; torn as usize];
                file.write_all_at(&garbage, after - torn).expect("torn");
                "torn"
            }
        }
    }

    fn len(&self) -> u64 {
        self.path.metadata().expect("the log").len()
    }
}
