//! From SQLite to files: the full set as JSON lines, and changes as CSV.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::warehouse::Warehouse;

fn project_with(rows: i64, into: &str) -> (Warehouse, Customers, Project) {
    let warehouse = Warehouse::sqlite();
    let project = Project::new(&warehouse);
    project.append("backhaul.toml", "\n[destinations.exchange]\ntype = \"file\"\npath = \"out\"\n");
    project.write("models/customers.toml", &model("select * from customers", "id"));
    let sync = format!(
        "model = \"customers\"\ndestination = \"exchange\"\n\n[into]\nobject = \"customers\"\nmode = \"upsert\"\n\
         removed = \"delete\"\nsame_name = [\"id\", \"email\", \"name\", \"plan\"]\n{into}"
    );
    project.write(&sync_file(), &sync);
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, None);
    (warehouse, customers, project)
}

/// Files with this ending below the folder `out`, by time of their making.
pub(crate) fn files(project: &Project, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![project.path("out")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                let made = entry.metadata().and_then(|meta| meta.modified()).expect("a time");
                found.push((made, path));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

#[test]
fn the_full_set_is_written_again_when_a_row_changed_and_not_otherwise() {
    let (warehouse, mut customers, project) = project_with(1_000, "format = \"jsonl\"\nset = \"full\"\n");
    project.run().expect(0);
    let read = |project: &Project| -> Vec<Value> {
        let newest = files(project, ".jsonl").pop().expect("a file of JSON lines");
        let text = std::fs::read_to_string(newest).expect("the file");
        let mut rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        rows.sort_by_key(|row| row["id"].as_i64());
        rows
    };
    let expected = |customers: &Customers| {
        let mut rows: Vec<Value> = customers.records().values().cloned().collect();
        rows.sort_by_key(|row| row["id"].as_i64());
        rows
    };
    assert_eq!(read(&project), expected(&customers));
    let before = files(&project, "");
    project.run().expect(0);
    assert_eq!(files(&project, ""), before);

    customers.set_plan([500], "pro");
    customers.remove([1]);
    customers.publish(&warehouse, None);
    project.run().expect(0);
    assert_eq!(read(&project), expected(&customers));
}

#[test]
fn changes_are_written_with_their_operation_and_a_manifest_that_fits() {
    let (warehouse, mut customers, project) = project_with(100, "format = \"csv\"\nset = \"changes\"\n");
    project.run().expect(0);
    let first = files(&project, ".csv");
    assert_eq!(first.len(), 1);
    customers.set_plan([6], "pro");
    customers.remove([11]);
    customers.publish(&warehouse, None);
    project.run().expect(0);
    let second = files(&project, ".csv").into_iter().find(|file| !first.contains(file)).expect("a second file");
    let text = std::fs::read_to_string(&second).expect("the file");
    assert!(text.lines().next().expect("a head").contains("op"), "{text}");
    assert!(text.contains("c6@example.com") && text.contains("pro") && text.contains("11"), "{text}");
    assert!(!text.contains("c8@example.com"), "{text}");
    // Row 6 has quotes in its name, which CSV doubles.
    assert!(text.contains("\"O'Neil \"\"6\"\"\""), "{text}");

    let manifest = files(&project, ".manifest.json").pop().expect("a manifest");
    let manifest: Value = serde_json::from_slice(&std::fs::read(manifest).expect("the manifest")).expect("JSON");
    assert_eq!(manifest["sha256"], sha256(text.as_bytes()));
    assert_eq!(manifest["bytes"], text.len());
    assert_eq!(manifest["rows"], 2);
}

fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_file_that_was_being_written_when_the_program_was_killed_is_written_whole() {
    for set in ["full", "changes"] {
        let into = format!("format = \"jsonl\"\nset = \"{set}\"\n");
        let (_warehouse, customers, mut project) = project_with(35_000, &into);
        // After two of four batches are staged.
        project.set_variable("FAILPOINTS", "deliver::after_send=1*off->return(abort)");
        let killed = project.backhaul(&["run", SYNC, "--yes"]);
        assert_eq!(killed.code, None, "the program was not killed: {}", killed.stderr);
        assert_eq!(files(&project, ".jsonl"), Vec::<PathBuf>::new());

        project.set_variable("FAILPOINTS", "");
        let ended = project.backhaul(&["run", SYNC, "--yes", "--output", "json"]).expect(0).json();
        let resumed = &ended["runs"][0]["counts"];
        assert_eq!((resumed["accepted"].as_u64(), resumed["in_doubt"].as_u64()), (Some(35_000), Some(0)), "{set}");
        let written = files(&project, ".jsonl");
        assert_eq!(written.len(), 1, "one file for one commit");
        let lines = std::fs::read_to_string(&written[0]).expect("the file").lines().count();
        assert_eq!(lines, customers.records().len(), "{set}");
    }
}
