//! `[warehouses.X]` with `type = "files"`. The keys are known to every build; only one with the feature reads files.

use std::borrow::Cow;
use std::path::PathBuf;
use std::time::Duration;

use backhaul_kit::config::{ConfigTable, ItemKind, Problem};
use backhaul_kit::{SourceKind, WarehouseConfig};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::super::keys;

/// The kind `files`.
#[derive(Clone, Copy, Debug)]
pub struct FilesKind;

/// A duration, or `false`.
struct QuietText;

impl JsonSchema for QuietText {
    fn schema_name() -> Cow<'static, str> {
        "QuietText".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [keys::DurationText::json_schema(generator), { "const": false }] })
    }
}

/// The keys of the table.
#[derive(Clone, Debug, JsonSchema)]
#[cfg_attr(not(feature = "files"), expect(dead_code, reason = "this build only checks and describes the keys"))]
pub(super) struct FilesConfig {
    /// The folder, relative to the project. A model's `files` lie below it; no link may lead out of it.
    pub(super) root: PathBuf,
    /// The marker that the files' writer puts last, as `_SUCCESS`. No run begins without it, or with newer files.
    #[schemars(length(min = 1))]
    pub(super) done: Option<String>,
    /// Without `done`: for how long no file may have been written. Default `10s`; `false` where whole ones are renamed.
    #[schemars(with = "Option<QuietText>")]
    pub(super) quiet: Option<Duration>,
}

impl SourceKind for FilesKind {
    fn name(&self) -> &'static str {
        "files"
    }

    fn about(&self) -> &'static str {
        if cfg!(feature = "files") {
            "a folder of Parquet, CSV or JSON lines"
        } else {
            "a folder of Parquet, CSV or JSON lines (not in this build: it lacks the feature `files`)"
        }
    }

    fn parse(&self, table: &mut ConfigTable) -> Option<Box<dyn WarehouseConfig>> {
        let before = table.problems().errors();
        let root = table.required_text("root").map(PathBuf::from);
        let done = table.text_at("done");
        if let Some((name, span)) = &done
            && (name.is_empty() || name.contains('/') || matches!(name.as_str(), "." | ".."))
        {
            table.problems().push(
                Problem::error("bad-path", "`done` must be the name of a file")
                    .at(span)
                    .remedy("the name alone, as \"_SUCCESS\": it is looked for beside the files"),
            );
        }
        let quiet = match table.peek("quiet") {
            Some(ItemKind::Bool(false)) => table.bool("quiet").map(|_| Duration::ZERO),
            _ => table.duration("quiet"),
        };
        if table.problems().errors() > before {
            return None;
        }
        open(table, FilesConfig { root: root?, done: done.map(|(name, _)| name), quiet })
    }

    fn json_schema(&self) -> serde_json::Value {
        schemars::schema_for!(FilesConfig).to_value()
    }
}

#[cfg(feature = "files")]
fn open(_: &ConfigTable, config: FilesConfig) -> Option<Box<dyn WarehouseConfig>> {
    Some(Box::new(config))
}

/// A build without Arrow and Parquet says so, and how to get one with them.
#[cfg(not(feature = "files"))]
fn open(table: &ConfigTable, _: FilesConfig) -> Option<Box<dyn WarehouseConfig>> {
    table.problems().push(
        Problem::error("not-in-this-build", "this build of backhaul has no warehouse of `type = \"files\"`")
            .at(table.span())
            .remedy("use a released program, or build one: cargo build --release --features files"),
    );
    None
}

#[cfg(test)]
mod tests {
    use super::super::super::testing;
    use super::*;

    fn codes(text: &str) -> Vec<&'static str> {
        testing::problems(&FilesKind, text).iter().map(|problem| problem.code).collect()
    }

    #[test]
    fn the_reader_and_the_schema_have_the_same_keys() {
        testing::assert_keys_match_schema(&FilesKind);
        assert_eq!(FilesKind.json_schema()["required"], serde_json::json!(["root"]));
    }

    #[test]
    fn problems_are_found() {
        assert_eq!(codes("quiet = \"soon\""), ["missing-key", "bad-duration"]);
        assert_eq!(codes("root = \"lake\"\nquiet = true"), ["wrong-type"]);
        for done in ["", "..", "a/_SUCCESS"] {
            assert_eq!(codes(&format!("root = \"lake\"\ndone = \"{done}\"")), ["bad-path"], "{done}");
        }
    }

    #[test]
    fn a_right_table_is_taken_by_a_build_that_has_the_feature() {
        let expected: &[&str] = if cfg!(feature = "files") { &[] } else { &["not-in-this-build"] };
        for quiet in ["false", "\"1m\""] {
            assert_eq!(codes(&format!("root = \"lake\"\ndone = \"_SUCCESS\"\nquiet = {quiet}")), expected);
        }
    }
}
