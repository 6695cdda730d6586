//! What stands beside a file: what it holds, so that a reader can tell whether it has all of it.

use serde::{Deserialize, Serialize};

/// The version of the manifest's form.
const VERSION: u32 = 1;

/// A manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// The version of this form.
    pub(super) version: u32,
    /// The file's name.
    pub(super) file: String,
    /// The sync that wrote it.
    pub(super) sync: String,
    /// The run that wrote it.
    pub(super) run: String,
    /// When the run started (UTC).
    pub(super) started: String,
    /// Rows; a CSV's header is none.
    pub(super) rows: u64,
    /// The file's length.
    pub(super) bytes: u64,
    /// SHA-256 of the file, in hexadecimal digits.
    pub(super) sha256: String,
    /// Names of the columns, in order.
    pub(super) columns: Vec<String>,
}

impl Manifest {
    /// A manifest of the present version, of a file with nothing in it.
    pub(super) fn new(file: &str, run: &backhaul_kit::Run, columns: &[&str]) -> Self {
        Self {
            version: VERSION,
            file: file.to_owned(),
            sync: run.sync.clone(),
            run: run.id.clone(),
            started: run.started.to_string(),
            rows: 0,
            bytes: 0,
            sha256: String::new(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
        }
    }

    /// As JSON with a line break.
    pub(super) fn to_json(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).unwrap_or_default();
        text.push(b'\n');
        text
    }
}
