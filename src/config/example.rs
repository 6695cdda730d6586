//! A project written into one text: how manuals show and prove theirs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use backhaul_kit::config::{Problem, Problems, SourceFile, parse};

use super::load::Registry;
use super::project::SyncDef;
use super::{root, sync};

/// The files of a text in which each begins with a line `# its/path.toml`: paths and texts, in their order.
pub fn files_of(text: &str) -> Vec<(&str, &str)> {
    let mut files = Vec::new();
    let mut rest = text;
    while let Some((path, after)) = rest.strip_prefix("# ").and_then(|rest| rest.split_once('\n')) {
        let end = after.find("\n# syncs/").map_or(after.len(), |at| at + 1);
        files.push((path, after[..end].trim()));
        rest = &after[end..];
    }
    files
}

/// The syncs of such a text; nothing is read but the text.
///
/// # Errors
/// Every problem, warnings included.
pub fn example(text: &str, registry: &Registry<'_>) -> Result<Vec<Arc<SyncDef>>, Vec<Problem>> {
    let problems = Problems::default();
    let file = |path: &str, text: &str| Arc::new(SourceFile { path: path.into(), text: text.into() });
    let here = Path::new("");
    let mut files = files_of(text).into_iter();
    let (path, first) = files.next().unwrap_or(("backhaul.toml", ""));
    let root = root::read(parse(&file(path, first), &problems), here, registry);
    let models = BTreeMap::new();
    let around = sync::Around { path: here, root: &root, models: &models };
    let mut syncs = Vec::new();
    for (path, text) in files {
        let file = file(path, text);
        let name = Path::new(path).file_stem().and_then(|stem| stem.to_str()).unwrap_or(path);
        let mut table = parse(&file, &problems);
        syncs.extend(sync::read(&mut table, name, &file, &around).sync);
        table.finish();
    }
    let found = problems.take();
    if found.is_empty() { Ok(syncs.into_iter().map(Arc::new).collect()) } else { Err(found) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_where_a_file_begins() {
        let text = "# backhaul.toml\n# a remark\nversion = 1\n\n# syncs/a.toml\nx = 1\n\n# syncs/b.toml\ny = 2\n";
        let expected =
            [("backhaul.toml", "# a remark\nversion = 1"), ("syncs/a.toml", "x = 1"), ("syncs/b.toml", "y = 2")];
        assert_eq!(files_of(text), expected);
    }

    #[test]
    fn every_destination_has_an_example_without_a_problem() {
        for kind in backhaul_connectors::destinations() {
            match example(kind.example, &Registry::built_in()) {
                Ok(syncs) => {
                    assert!(!syncs.is_empty(), "{} shows no sync", kind.name);
                    let named = format!("\"{}\"", kind.name);
                    let is_named = |line: &str| line.starts_with("type") && line.contains(&named);
                    assert!(kind.example.lines().any(is_named), "{} shows another type", kind.name);
                }
                Err(problems) => panic!("{}: {}", kind.name, super::super::render(&problems, false)),
            }
        }
    }
}
