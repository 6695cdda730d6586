//! The program as an operator runs it: arguments in, output, exit code and peak memory out.

use std::io::Read;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::time::Instant;

use super::sink_process::{Sink, Stats};

/// The longest that a test waits for something that must happen. Nothing is timed by it; those that `BACKHAUL_QUOTA` has
/// send 100,000 rows take their time.
fn patience() -> Duration {
    let is_full = std::env::var("BACKHAUL_QUOTA").is_ok_and(|asked| asked == "full");
    Duration::from_secs(if is_full { 3600 } else { 120 })
}

/// What a run of the program left.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The exit code; none when a signal ended it.
    pub(crate) code: Option<i32>,
    /// The signal that ended it.
    pub(crate) signal: Option<i32>,
    /// Data.
    pub(crate) stdout: String,
    /// Progress and logs.
    pub(crate) stderr: String,
    /// Peak resident memory in KiB, as last read while it ran.
    pub(crate) peak_kib: u64,
}

impl Finished {
    /// Fails the test, with all output, unless the exit code is this one.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Fails the test unless either output has every one of these texts.
    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            let said = self.stdout.contains(text) || self.stderr.contains(text);
            assert!(said, "`{text}` is not said\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        }
        self
    }

    /// Fails the test if either output has one of these texts.
    #[track_caller]
    pub(crate) fn hides(self, texts: &[&str]) -> Self {
        for text in texts {
            let said = self.stdout.contains(text) || self.stderr.contains(text);
            assert!(!said, "`{text}` is said\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        }
        self
    }

    /// Stdout as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|e| panic!("{e}\nstdout:\n{}\nstderr:\n{}", self.stdout, self.stderr))
    }
}

/// The running program; dropping it kills it.
pub(crate) struct Running {
    child: Child,
    stdout: Capture,
    stderr: Capture,
    peak_kib: u64,
}

/// An output that is read while it is written.
struct Capture {
    text: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Capture {
    fn of(mut output: impl Read + Send + 'static) -> Self {
        let text = Arc::new(Mutex::new(String::new()));
        let shared = Arc::clone(&text);
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = output.read(&mut buffer) {
                shared.lock().expect("text").push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        Self { text, reader: Some(reader) }
    }

    fn so_far(&self) -> String {
        self.text.lock().expect("text").clone()
    }

    /// All of it, once the program has closed it.
    fn whole(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            reader.join().expect("the reader");
        }
        self.so_far()
    }
}

/// Starts the program in `folder`. Variables of the environment that steer backhaul are not passed on.
pub(crate) fn start(folder: &Path, environment: &[(String, String)], arguments: &[&str]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backhaul"));
    let inherited = std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BACKHAUL_"));
    for (name, _) in inherited {
        command.env_remove(name);
    }
    command.current_dir(folder).args(arguments).env("NO_COLOR", "1").env_remove("RUST_LOG");
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let stdout = Capture::of(child.stdout.take().expect("a piped stdout"));
    let stderr = Capture::of(child.stderr.take().expect("a piped stderr"));
    Running { child, stdout, stderr, peak_kib: 0 }
}

impl Running {
    /// Waits for its end.
    pub(crate) fn finish(mut self) -> Finished {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.poll() {
                break status;
            }
            assert!(start.elapsed() < patience(), "still running\nstderr:\n{}", self.stderr.so_far());
            std::thread::sleep(Duration::from_millis(5));
        };
        Finished {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
            peak_kib: self.peak_kib,
        }
    }

    /// Ends it as a power cut would: no handler runs.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("a running program");
        self.child.wait().expect("its end");
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        self.signal(Signal::INT);
    }

    /// As a service manager stops it.
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// It stands still until it is [resumed](Self::resume).
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// It goes on.
    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("a running program");
    }

    /// Whether it has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        self.poll().is_none()
    }

    /// Waits until the sink has applied so many rows in all.
    #[track_caller]
    pub(crate) fn wait_for_rows(&mut self, sink: &Sink, rows: u64) {
        self.wait_for(sink, |stats| stats.rows >= rows);
    }

    /// Waits until so many calls have reached the sink.
    #[track_caller]
    pub(crate) fn wait_for_calls(&mut self, sink: &Sink, calls: u64) {
        self.wait_for(sink, |stats| stats.calls >= calls);
    }

    #[track_caller]
    fn wait_for(&mut self, sink: &Sink, is_there: impl Fn(Stats) -> bool) {
        let start = Instant::now();
        while !is_there(sink.stats()) {
            assert!(
                self.poll().is_none(),
                "it ended and the sink has {:?}:\n{}",
                sink.stats(),
                self.stdout.whole() + &self.stderr.whole()
            );
            assert!(
                start.elapsed() < patience(),
                "the sink has {:?} and no more comes:\n{}",
                sink.stats(),
                self.stderr.so_far()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until stderr has this text.
    #[track_caller]
    pub(crate) fn wait_for_word(&mut self, text: &str) {
        let start = Instant::now();
        while !self.stderr.so_far().contains(text) {
            let ended = self.poll().is_some();
            assert!(!ended && start.elapsed() < patience(), "`{text}` is not said:\n{}", self.stderr.so_far());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until stdout is a whole JSON value.
    #[track_caller]
    pub(crate) fn wait_for_json(&mut self) -> serde_json::Value {
        let start = Instant::now();
        loop {
            if let Ok(value) = serde_json::from_str(&self.stdout.so_far()) {
                return value;
            }
            let ended = self.poll().is_some();
            assert!(!ended && start.elapsed() < patience(), "no JSON came:\n{}", self.stderr.so_far());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn poll(&mut self) -> Option<ExitStatus> {
        self.peak_kib = peak_kib(self.child.id()).unwrap_or(0).max(self.peak_kib);
        self.child.try_wait().expect("a child of ours")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// `VmHWM` of a running process.
fn peak_kib(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}
