//! CPU, wall clock and memory of this process.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::Failure;

/// Measures from [`Meter::start`] on.
pub(crate) struct Meter {
    cpu: Duration,
    wall: Duration,
}

impl Meter {
    /// Starts, and forgets the peak of memory so far.
    pub(crate) fn start() -> Result<Self, Failure> {
        std::fs::write("/proc/self/clear_refs", "5")?;
        Ok(Self { cpu: read(ClockId::ProcessCPUTime), wall: read(ClockId::Monotonic) })
    }

    /// User and system time of all threads since the start.
    pub(crate) fn cpu(&self) -> Duration {
        read(ClockId::ProcessCPUTime).saturating_sub(self.cpu)
    }

    /// Prints what was measured for `rows` rows; `other` is CPU that is not to be counted.
    pub(crate) fn print(&self, what: &str, rows: u64, other: Duration) -> Result<(), Failure> {
        let cpu = self.cpu().saturating_sub(other).as_nanos() as f64 / rows as f64;
        let wall = read(ClockId::Monotonic).saturating_sub(self.wall).as_secs_f64();
        let (rate, peak) = (rows as f64 / wall / 1e3, peak_kib()? as f64 / 1024.0);
        println!("{what:<34} {cpu:>8.0} ns/row {rate:>8.0} krows/s {peak:>7.1} MiB peak");
        Ok(())
    }
}

fn read(clock: ClockId) -> Duration {
    // Neither clock is ever negative.
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}

/// The largest resident set since the meter was started.
fn peak_kib() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}
