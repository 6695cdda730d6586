//! The archives of jobs' results.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::account::Account;
use crate::destinations::stand_in::Answer;

/// A block of an archive.
const BLOCK: usize = 512;

/// The results of a job, in two files, as an archive.
pub(super) fn results(account: &Account, name: &str) -> Option<Answer> {
    let number: usize = name.strip_suffix(".tar.gz")?.parse().ok()?;
    let done = account.jobs.get(number.checked_sub(1)?)?.done.as_ref()?;
    let mut tar = entry("job/", b'5', &[]);
    for (at, part) in done.chunks(done.len().div_ceil(2).max(1)).enumerate() {
        tar.extend(entry(&format!("job/{at}.json"), b'0', &serde_json::to_vec(part).ok()?));
    }
    tar.extend([0; 2 * BLOCK]);
    Some(Answer::plain(200, packed(&tar).ok()?))
}

fn packed(tar: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(tar)?;
    encoder.finish()
}

/// An entry of a tar archive: its head, its bytes, and zeros up to a whole block.
fn entry(name: &str, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![0; BLOCK];
    out[..name.len()].copy_from_slice(name.as_bytes());
    out[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
    out[156] = kind;
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
    out
}
