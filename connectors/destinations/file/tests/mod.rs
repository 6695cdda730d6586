//! Tests of the file destination.

mod config;
mod contract;
mod csv;
mod sessions;

use std::path::Path;
use std::sync::Arc;

use backhaul_kit::Prepared;

use super::FILE;
use crate::destinations::fixture;

/// A sync into `folder` that must be right.
fn prepared(folder: &Path, into: &str, key: &[&str], fields: &[&str]) -> Arc<dyn Prepared> {
    let text = format!("[account]\npath = '{}'\n[into]\nremoved = \"delete\"\n{into}\n", folder.display());
    fixture::prepared(&FILE, &text, key, fields)
}
