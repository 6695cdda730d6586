//! Who holds a lease, and whether that process still lives.

use std::fs;

use rustix::process::{Pid, test_kill_process};

use crate::state::StateError;

/// A process that holds a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Random, new for every process.
    pub process: String,
    /// The host's name, for people.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The boot and process-id namespace in which `pid` means something; `None` where it cannot be told.
    pub(super) machine: Option<String>,
    /// When the process was born, in ticks since boot: a later process with its id was born later.
    pub(super) born: Option<u64>,
}

impl Holder {
    /// This process.
    pub(super) fn this() -> Result<Self, StateError> {
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| StateError::Database(String::from("no randomness")))?;
        let read = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
        let boot = read("/proc/sys/kernel/random/boot_id");
        let namespace = fs::read_link("/proc/self/ns/pid").ok();
        let pid = std::process::id();
        Ok(Self {
            process: format!("{:032x}", u128::from_be_bytes(random)),
            host: read("/proc/sys/kernel/hostname").unwrap_or_else(|| String::from("this host")),
            pid,
            machine: boot.zip(namespace).map(|(boot, ns)| format!("{boot} {}", ns.display())),
            born: birth(pid),
        })
    }

    /// Whether the process is known to be gone, as seen from `here`.
    pub(super) fn is_dead(&self, here: &Self) -> bool {
        if self.machine.is_none() || self.machine != here.machine {
            return false;
        }
        let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw) else { return false };
        if test_kill_process(pid) == Err(rustix::io::Errno::SRCH) {
            return true;
        }
        let born = birth(self.pid);
        born.is_some() && self.born.is_some() && born != self.born
    }
}

/// When the process was born, in ticks since boot; `None` where it cannot be told (or it is a zombie).
pub(super) fn birth(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name stands in parentheses and may itself contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}
