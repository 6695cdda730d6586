//! A folder of files as the warehouse.

use crate::support::customers::Customers;
use crate::support::project::{Project, SYNC, sync, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::Warehouse;

/// Three hundred customers; then row 7 with another plan, without row 5, with row 301. See `lake/make.py`.
const BEFORE: &[u8] = include_bytes!("lake/before.parquet");
const AFTER: &[u8] = include_bytes!("lake/after.parquet");

const WAREHOUSE: &str = "\n[warehouses.lake]\ntype = \"files\"\nroot = \"lake\"\n";

fn model(files: &str) -> String {
    format!("warehouse = \"lake\"\nfiles = \"{files}\"\nkey = [\"id\"]\n")
}

/// A project that sends the model `files` to a sink. The other warehouse holds the table that the files are copies of.
fn project(warehouse: &Warehouse, settings: &str, files: &str) -> (Sink, Project) {
    let sink = Sink::start();
    let project = Project::customers(warehouse, &sink);
    project.append("backhaul.toml", &format!("{WAREHOUSE}{settings}\n"));
    project.write("models/customers.toml", &model(files));
    project.write("lake/README.txt", "files come here");
    (sink, project)
}

fn put(project: &Project, path: &str, bytes: &[u8]) {
    let path = project.path("lake").join(path);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, bytes).expect("written");
}

/// What `AFTER` is.
fn change(customers: &mut Customers) {
    customers.set_plan([7], "pro");
    customers.remove([5]);
    customers.add([301]);
}

#[test]
fn a_changed_file_of_parquet_sends_the_rows_that_changed() {
    let table = Warehouse::sqlite();
    let (sink, project) = project(&table, "quiet = false", "customers/*.parquet");
    let mut customers = Customers::new(300);
    customers.publish(&table, Some(&sink));
    put(&project, "customers/part-0.parquet", BEFORE);
    project.backhaul(&["validate"]).expect(0).says(&["warehouse lake", "folder ", "no problems"]);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_eq!(sink.stats().rows, 300);
    project.run().expect(0);
    assert_eq!(sink.stats().rows, 300);

    change(&mut customers);
    customers.publish(&table, Some(&sink));
    put(&project, "customers/part-0.parquet", AFTER);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_eq!((sink.stats().puts, sink.stats().deletes), (302, 1));
    // The same rows in another file are the same rows.
    std::fs::rename(project.path("lake/customers/part-0.parquet"), project.path("lake/customers/x.parquet"))
        .expect("renamed");
    project.run().expect(0);
    assert_eq!(sink.stats().rows, 303);
}

#[test]
fn a_model_that_moves_from_postgresql_to_parquet_sends_nothing() {
    let Some(table) = Warehouse::postgres() else { return };
    let (sink, project) = project(&table, "quiet = false", "customers.parquet");
    let mut customers = Customers::new(300);
    customers.publish(&table, Some(&sink));
    project.write("models/customers.toml", "warehouse = \"analytics\"\ntable = \"customers\"\nkey = [\"id\"]\n");
    project.run().expect(0);
    assert_eq!(sink.stats().rows, 300);

    put(&project, "customers.parquet", BEFORE);
    project.write("models/customers.toml", &model("customers.parquet"));
    project.run().expect(0);
    assert_eq!(sink.stats().rows, 300);
    change(&mut customers);
    customers.publish(&table, Some(&sink));
    put(&project, "customers.parquet", AFTER);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_eq!(sink.stats().rows, 303);
}

#[test]
fn files_that_are_not_whole_or_not_there_remove_nothing() {
    let table = Warehouse::sqlite();
    let (sink, project) = project(&table, "done = \"_SUCCESS\"", "customers/*.parquet");
    let mut customers = Customers::new(300);
    customers.publish(&table, Some(&sink));
    put(&project, "customers/part-0.parquet", BEFORE);
    project.run().expect(75).says(&["customers/_SUCCESS is not there"]);
    put(&project, "customers/_SUCCESS", b"");
    project.run().expect(0);
    customers.judge(&sink).assert_exact();

    // Newer than the marker.
    put(&project, "customers/part-1.parquet", AFTER);
    project.run().expect(75).says(&["customers/part-1.parquet is newer than the marker"]);
    std::fs::remove_file(project.path("lake/customers/part-1.parquet")).expect("removed");
    put(&project, "customers/part-0.parquet", &BEFORE[..BEFORE.len() / 2]);
    put(&project, "customers/_SUCCESS", b"");
    project.run().expect(75).says(&["customers/part-0.parquet: "]);
    std::fs::remove_file(project.path("lake/customers/part-0.parquet")).expect("removed");
    project.run().expect(78).says(&["no file fits `customers/*.parquet`"]);
    assert_eq!((sink.stats().puts, sink.stats().deletes), (300, 0));
}

#[test]
fn rows_of_two_files_with_one_key_are_told_without_their_values() {
    let table = Warehouse::sqlite();
    let (sink, project) = project(&table, "quiet = false", "*.parquet");
    put(&project, "a.parquet", BEFORE);
    put(&project, "b.parquet", AFTER);
    let run = project.run().expect(78);
    run.says(&["299 rows whose key occurs more than once", "correct the files"]).hides(&["select", "@example.com"]);
    assert_eq!(sink.stats().calls, 0);
}

#[test]
fn json_lines_go_the_same_way() {
    let table = Warehouse::sqlite();
    let (sink, project) = project(&table, "quiet = false", "**/*.jsonl");
    let mut customers = Customers::new(5_000);
    let write = |customers: &Customers| {
        let lines: String = customers.records().values().map(|record| format!("{record}\n")).collect();
        put(&project, "day=1/customers.jsonl", lines.as_bytes());
    };
    customers.publish(&table, Some(&sink));
    write(&customers);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    change(&mut customers);
    customers.remove([301]);
    customers.publish(&table, Some(&sink));
    write(&customers);
    project.run().expect(0);
    customers.judge(&sink).assert_exact();
    assert_eq!((sink.stats().puts, sink.stats().deletes), (5_001, 2));
}

#[test]
fn sql_on_files_and_files_on_sql_are_found_offline() {
    let table = Warehouse::sqlite();
    let (sink, project) = project(&table, "", "customers/*.parquet");
    project.backhaul(&["validate", "--offline"]).expect(0);
    for (file, text, complaint) in [
        ("models/customers.toml", model("../*.parquet"), "`files` must not lead out by `..`"),
        (
            "models/customers.toml",
            model("*.parquet").replace("lake", "analytics"),
            "needs a warehouse of `type = \"files\"`",
        ),
        (
            "models/customers.toml",
            "warehouse = \"lake\"\ntable = \"customers\"\nkey = [\"id\"]\n".to_owned(),
            "knows no SQL and no tables",
        ),
    ] {
        project.write(file, &text);
        project.backhaul(&["validate", "--offline"]).expect(78).says(&[complaint, "models/customers.toml:2:"]);
    }
    project.write("models/customers.toml", &model("*.parquet"));
    project.write(&sync_file(), &format!("where = \"id > 5\"\n{}", sync("customers", 100)));
    project.backhaul(&["validate", "--offline"]).expect(78).says(&["`where` is SQL", &format!("{SYNC}.toml:1:")]);
    assert_eq!(sink.stats().calls, 0);
}
