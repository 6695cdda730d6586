//! The driver's errors as faults, by SQLite's primary result codes.

use std::path::Path;

use backhaul_kit::Fault;
use sqlx::Error;

const PERM: i32 = 3;
const BUSY: i32 = 5;
const LOCKED: i32 = 6;
const READONLY: i32 = 8;
const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const CANTOPEN: i32 = 14;
const PROTOCOL: i32 = 15;
const NOTADB: i32 = 26;

/// A fault about the file.
pub(super) fn of_call(error: Error, path: &Path) -> Fault {
    let Error::Database(error) = error else {
        return Fault::transient(format!("reading {} failed: {error}", path.display()));
    };
    // The upper bytes of an extended code are its details.
    let code = error.code().and_then(|code| code.parse::<i32>().ok()).unwrap_or_default() & 0xff;
    let message = format!("{}: {}", path.display(), error.message());
    match code {
        BUSY | LOCKED | PROTOCOL => {
            Fault::transient(message).remedy("another process writes the file: run again, or raise `busy_timeout`")
        }
        INTERRUPT | IOERR => Fault::transient(message),
        CANTOPEN => Fault::config(message).remedy(
            "check that the file exists and that this user may read it; in WAL mode its folder must be writable or \
             its -shm file be there",
        ),
        PERM => Fault::config(message).remedy("let this user read the file"),
        NOTADB | CORRUPT => Fault::config(message).remedy("check that `path` is a sound SQLite database"),
        READONLY => Fault::config(message).remedy("a model may only read: remove what writes"),
        _ => Fault::config(error.message().to_owned()),
    }
}
