//! What each destination has accepted, on disk.

pub mod log;
