//! SQLite.
pub struct SqliteKind;
