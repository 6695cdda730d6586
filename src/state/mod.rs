//! Runs, rejects and leases in SQLite.
