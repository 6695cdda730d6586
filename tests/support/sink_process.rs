//! The sink as a test sees it: a child process with a port, a journal and a control.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;

/// A running sink; dropping it stops it.
pub(crate) struct Sink {
    child: Child,
    host: String,
    port: u16,
    folder: TempDir,
}

/// What the sink counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Stats {
    /// Calls on rows, refused ones included.
    pub(crate) calls: u64,
    /// Rows applied.
    pub(crate) rows: u64,
    /// Of these, written.
    pub(crate) puts: u64,
    /// Of these, removed.
    pub(crate) deletes: u64,
    /// Rows refused in a row's result.
    pub(crate) rejected: u64,
}

/// A call that the sink saw.
#[derive(Debug, Deserialize)]
pub(crate) struct Call {
    /// When it arrived, in milliseconds on the sink's clock.
    pub(crate) arrived_ms: u64,
    /// When it was answered.
    pub(crate) answered_ms: Option<u64>,
    /// The status of the answer; none where it was lost or is held.
    pub(crate) status: Option<u16>,
}

impl Sink {
    /// A sink on a free loopback port that takes every call.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// A sink with more arguments: `--token`, `--count-only`, `--address`.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        Self::spawn("127.0.0.1", arguments)
    }

    /// A sink on another address of this machine.
    pub(crate) fn on(host: &str) -> Self {
        Self::spawn(host, &[])
    }

    fn spawn(host: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let mut child = Command::new(program())
            .arg("--journal")
            .arg(folder.path().join("journal.jsonl"))
            .args(["--bind", host])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the sink starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a piped stdout");
        BufReader::new(stdout).read_line(&mut line).expect("the sink's first line");
        let port = line.trim().parse().expect("a port on the sink's first line");
        Self { child, host: host.to_owned(), port, folder }
    }

    /// Its base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }

    /// Its journal.
    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.path().join("journal.jsonl")
    }

    /// What it counted.
    pub(crate) fn stats(&self) -> Stats {
        serde_json::from_value(self.get("stats")).expect("stats")
    }

    /// Every call, in the order of arrival.
    pub(crate) fn calls(&self) -> Vec<Call> {
        serde_json::from_value(self.get("calls")).expect("calls")
    }

    /// What it has, by address.
    pub(crate) fn records(&self) -> BTreeMap<String, Value> {
        serde_json::from_value(self.get("records")).expect("records")
    }

    /// The next `times` calls are answered with `status` and nothing is applied.
    pub(crate) fn answer(&self, status: u16, times: u64) {
        self.order("answer", &json!({ "status": status, "times": times }));
    }

    /// Answers that were asked for and not given are not given.
    pub(crate) fn forget_answers(&self) {
        self.order("forget", &json!({}));
    }

    /// The next call is answered 429 with `Retry-After`.
    pub(crate) fn throttle(&self, retry_after: Duration) {
        self.order("answer", &json!({ "status": 429, "times": 1, "retry_after": retry_after.as_secs() }));
    }

    /// Rows with these ids are refused from now on; none are with an empty list.
    pub(crate) fn reject(&self, keys: &[i64], code: &str, message: &str) {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        self.order("reject", &json!({ "keys": keys, "code": code, "message": message }));
    }

    /// After `after` more calls, `times` calls are applied and their connection is closed without an answer.
    pub(crate) fn lose_answers(&self, after: u64, times: u64) {
        self.order("lose", &json!({ "after": after, "times": times }));
    }

    /// Once it has applied `rows` rows in all, calls are applied but their answers wait for [`release`](Self::release).
    pub(crate) fn hold_after(&self, rows: u64) {
        self.order("hold", &json!({ "after_rows": rows }));
    }

    /// Answers no longer wait.
    pub(crate) fn release(&self) {
        self.order("release", &json!({}));
    }

    /// New jobs say `polls` times that they are running before they are done.
    pub(crate) fn job_polls(&self, polls: u64) {
        self.order("jobs", &json!({ "polls": polls }));
    }

    /// All jobs are done when they are asked after the next time.
    pub(crate) fn finish_jobs(&self) {
        self.job_polls(0);
    }

    /// Jobs are forgotten.
    pub(crate) fn forget_jobs(&self) {
        self.order("jobs", &json!({ "polls": 0, "forget": true }));
    }

    /// From now on a call whose idempotency key was seen is answered as the first time, and not applied again.
    pub(crate) fn dedupe(&self) {
        self.order("dedupe", &json!({}));
    }

    /// Notes in the journal that this version of the model is in force.
    pub(crate) fn version(&self, version: usize) {
        self.order("version", &json!({ "version": version }));
    }

    /// A request as any client makes one: status and body.
    pub(crate) fn request(
        &self,
        method: &str,
        path: &str,
        headers: &str,
        body: &str,
    ) -> std::io::Result<(u16, String)> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: sink\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or(std::io::ErrorKind::UnexpectedEof)?;
        let status = head.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or(std::io::ErrorKind::InvalidData)?;
        Ok((status, body.to_owned()))
    }

    fn get(&self, what: &str) -> Value {
        let (status, body) = self.request("GET", &format!("/__control/{what}"), "", "").expect("the sink answers");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON of the sink")
    }

    fn order(&self, what: &str, order: &Value) {
        let path = format!("/__control/{what}");
        let (status, body) = self.request("POST", &path, "", &order.to_string()).expect("the sink answers");
        assert_eq!(status, 200, "{body}");
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // Its stdin closes with the child handle, so it ends even if this fails.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Cargo builds examples with the tests; they lie beside the program.
fn program() -> PathBuf {
    let folder = Path::new(env!("CARGO_BIN_EXE_backhaul")).parent().expect("the program's folder");
    let sink = folder.join("examples/sink");
    assert!(sink.is_file(), "{} is not built: run `cargo build --example sink`", sink.display());
    sink
}
