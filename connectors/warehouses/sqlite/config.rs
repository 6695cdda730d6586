//! `[warehouses.X]` with `type = "sqlite"`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::config::ConfigTable;
use backhaul_kit::{Fault, Kit, Source, SourceKind, WarehouseConfig};
use schemars::JsonSchema;

use super::super::keys;
use super::source::SqliteSource;

/// How long to wait for a writer of the file where the operator says nothing.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The kind `sqlite`.
#[derive(Clone, Copy, Debug)]
pub struct SqliteKind;

/// The keys of the table.
#[derive(Clone, Debug, JsonSchema)]
struct SqliteConfig {
    /// The database file, relative to the project.
    path: PathBuf,
    /// How long to wait while another process writes the file. Default `10s`.
    #[schemars(with = "Option<keys::DurationText>")]
    busy_timeout: Option<Duration>,
}

impl SourceKind for SqliteKind {
    fn name(&self) -> &'static str {
        "sqlite"
    }

    fn about(&self) -> &'static str {
        "SQLite files, opened read-only"
    }

    fn parse(&self, table: &mut ConfigTable) -> Option<Box<dyn WarehouseConfig>> {
        let before = table.problems().errors();
        let path = table.required_text("path").map(PathBuf::from);
        let busy_timeout = table.duration("busy_timeout");
        if table.problems().errors() > before {
            return None;
        }
        Some(Box::new(SqliteConfig { path: path?, busy_timeout }))
    }

    fn json_schema(&self) -> serde_json::Value {
        schemars::schema_for!(SqliteConfig).to_value()
    }
}

impl WarehouseConfig for SqliteConfig {
    fn open(&self, kit: Arc<Kit>) -> Result<Arc<dyn Source>, Fault> {
        let path = kit.secrets.project_path(&self.path);
        Ok(Arc::new(SqliteSource::new(path, self.busy_timeout.unwrap_or(BUSY_TIMEOUT))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing;
    use super::*;

    #[test]
    fn the_reader_and_the_schema_have_the_same_keys() {
        testing::assert_keys_match_schema(&SqliteKind);
    }

    #[test]
    fn optional_keys_are_optional_in_the_schema() {
        assert_eq!(SqliteKind.json_schema()["required"], serde_json::json!(["path"]));
    }

    #[test]
    fn a_table_is_read_or_its_problems_are_found() {
        assert!(testing::problems(&SqliteKind, "path = \"a.db\"").is_empty());
        let codes = |text: &str| testing::problems(&SqliteKind, text).iter().map(|p| p.code).collect::<Vec<_>>();
        assert_eq!(codes("busy_timeout = \"never\""), ["missing-key", "bad-duration"]);
        assert_eq!(codes("path = 5"), ["wrong-type"]);
    }
}
