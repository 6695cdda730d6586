//! Every failpoint of the program, read from its source: a new one is killed at without being listed anywhere.

use std::collections::BTreeSet;
use std::path::Path;

/// Those of a run whose snapshot is a table of the warehouse: `tests/in_warehouse` ends runs there.
const IN_WAREHOUSE: [&str; 2] = ["settle::table_", "home::"];

/// Stages that `run::before_{stage}` and `run::in_{stage}` stand for.
const STAGES: [&str; 7] = ["scan", "held", "deliver", "record", "settle", "report", "done"];

/// The failpoints that a sync with its snapshot in files can come by, sorted.
pub(crate) fn all() -> Vec<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder of the source").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                named_in(&std::fs::read_to_string(path).expect("source"), &mut found);
            }
        }
    }
    found.retain(|name| !IN_WAREHOUSE.iter().any(|prefix| name.starts_with(prefix)));
    found.into_iter().collect()
}

fn named_in(source: &str, found: &mut BTreeSet<String>) {
    for (_, after) in source.match_indices("fail_point!(").map(|(at, mark)| source.split_at(at + mark.len())) {
        let name = after.split('"').nth(1).expect("a failpoint has a name");
        if name.contains("{stage}") {
            found.extend(STAGES.map(|stage| name.replace("{stage}", stage)));
        } else {
            found.insert(name.to_owned());
        }
    }
}

/// Whether only a held run comes by.
pub(crate) fn is_of_held_runs(name: &str) -> bool {
    name.ends_with("_held") || name.starts_with("approve::")
}

#[test]
fn the_failpoints_of_a_crash_are_found_in_the_source() {
    let all = all();
    assert!(all.len() >= 29, "{all:?}");
    for name in ["run::before_scan", "deliver::after_mark", "settle::committed", "approve::used", "run::in_held"] {
        assert!(all.iter().any(|found| found == name), "{name} is not among {all:?}");
    }
    assert_eq!(all.iter().find(|name| name.contains(['{', ' '])), None);
}
