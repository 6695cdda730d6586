//! Times in JSON output: RFC 3339, UTC.

use jiff::Timestamp;
use serde::Serializer;

/// For `#[serde(serialize_with)]`.
pub(in crate::cli) fn time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

/// For `#[serde(serialize_with)]`.
pub(in crate::cli) fn some_time<S: Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match time {
        Some(time) => serializer.collect_str(time),
        None => serializer.serialize_none(),
    }
}
