//! A vendor's stand-in in a process of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use super::program::Running;
use super::project::Project;

/// `backhaul sandbox`; dropping it ends it.
pub(crate) struct Sandbox {
    _process: Running,
    /// Where it listens.
    pub(crate) url: String,
    /// The credential that it accepts.
    pub(crate) token: String,
    /// The table of a destination that points to it.
    pub(crate) destination: String,
}

impl Sandbox {
    /// Starts it with these arguments behind `sandbox`.
    pub(crate) fn start(project: &Project, arguments: &[&str]) -> Self {
        let mut process = project.start(&[&["sandbox"], arguments, &["--output", "json"]].concat());
        let json = process.wait_for_json();
        let member = |name: &str| json[name].as_str().unwrap_or_else(|| panic!("no `{name}` in {json}")).to_owned();
        let (url, token, destination) = (member("url"), member("token"), member("destination"));
        Self { url, token, destination, _process: process }
    }

    /// What it holds, for stand-ins that show it.
    pub(crate) fn records(&self) -> Value {
        let port = self.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a URL with a port");
        get_json(port, "/sandbox/records")
    }
}

/// Asks a server on this machine for JSON.
pub(crate) fn get_json(port: u16, path: &str) -> Value {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("a server that listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: api\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
    serde_json::from_str(body).expect("JSON")
}
