//! One door for every fuzz target of `fuzz/`: functions that take any bytes, panic only where a decoder is wrong, and
//! tell whether anything decoded.
//! Not part of the program: compiled for tests and under the feature `fuzzing`.

pub use crate::diff::fuzzing::{plan_file, plan_footer, plan_header, plan_ops};
pub use crate::snapshot::fuzzing::{log, log_entries, manifest, order, segment};

#[cfg(test)]
mod tests;
