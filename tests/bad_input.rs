//! Bad input: a sentence that says what and what to do, its exit code, and nothing half-written.

use std::net::TcpListener;

use crate::support::customers::Customers;
use crate::support::program::Finished;
use crate::support::project::{Project, SYNC, TOKEN, model, sync_file};
use crate::support::sink_process::Sink;
use crate::support::warehouse::{Warehouse, on_each_warehouse};

const FAILED: i32 = 1;
const CREDENTIALS: i32 = 4;
const USAGE: i32 = 64;
const UNAVAILABLE: i32 = 75;
const CONFIGURATION: i32 = 78;

on_each_warehouse!(a_column_that_is_not_there_is_named_with_its_place, a_key_that_is_not_there_is_named_with_its_place,);

fn project_with(rows: i64) -> (Warehouse, Customers, Sink, Project) {
    let (warehouse, sink) = (Warehouse::sqlite(), Sink::with(&["--token", TOKEN]));
    let project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(rows);
    customers.publish(&warehouse, Some(&sink));
    (warehouse, customers, sink, project)
}

/// After the mistake is put right everything goes through: nothing half-written is in the way.
fn then_all_goes_through(project: &Project, customers: &Customers, sink: &Sink) {
    assert_eq!(sink.stats().rows, 0);
    project.run().expect(0);
    customers.judge(sink).assert_exact();
}

/// A loopback port on which nobody listens.
fn closed_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// One sentence a person can act on, not a dump of an error's insides.
fn assert_readable(run: &Finished) {
    for inside in ["panicked", "RUST_BACKTRACE", "Error {", "Some(", "Os {"] {
        assert!(!run.stderr.contains(inside), "`{inside}` in:\n{}", run.stderr);
    }
}

#[test]
fn a_folder_without_a_project_is_a_matter_of_configuration() {
    let (_warehouse, customers, sink, project) = project_with(10);
    std::fs::rename(project.path("backhaul.toml"), project.path("away.toml")).expect("renamed");
    let run = project.run().expect(CONFIGURATION).says(&["backhaul.toml"]);
    assert_readable(&run);
    std::fs::rename(project.path("away.toml"), project.path("backhaul.toml")).expect("renamed");
    then_all_goes_through(&project, &customers, &sink);
}

#[test]
fn a_sync_that_is_not_there_is_answered_with_the_nearest_one() {
    let (_warehouse, _customers, sink, project) = project_with(10);
    let run = project.backhaul(&["run", "customer-api"]).expect(USAGE).says(&["customer-api", SYNC]);
    assert_readable(&run);
    assert_eq!(sink.stats().calls, 0);
}

#[test]
fn an_option_that_is_not_there_is_a_matter_of_usage() {
    let (_warehouse, _customers, _sink, project) = project_with(10);
    project.backhaul(&["run", SYNC, "--ful"]).expect(USAGE);
    project.backhaul(&["rum"]).expect(USAGE).says(&["run"]);
}

#[test]
fn a_missing_file_of_a_model_is_named() {
    let (_warehouse, customers, sink, project) = project_with(10);
    project.edit("models/customers.toml", "sql = '''select * from customers'''", "sql_file = \"gone.sql\"");
    let run = project.run().expect(CONFIGURATION).says(&["gone.sql", "customers.toml"]);
    assert_readable(&run);
    project.edit("models/customers.toml", "sql_file = \"gone.sql\"", "sql = '''select * from customers'''");
    then_all_goes_through(&project, &customers, &sink);
}

#[test]
fn a_warehouse_file_that_is_missing_is_named_and_not_made() {
    let (warehouse, customers, sink, project) = project_with(10);
    let file = warehouse.file().expect("a file");
    let away = file.with_extension("away");
    std::fs::rename(&file, &away).expect("renamed");
    let run = project.run().expect(CONFIGURATION).says(&["warehouse.db"]);
    assert_readable(&run);
    assert!(!file.exists(), "an empty warehouse was made");
    std::fs::rename(&away, &file).expect("renamed");
    then_all_goes_through(&project, &customers, &sink);
}

#[test]
fn a_warehouse_that_does_not_listen_is_unavailable() {
    let (warehouse, _customers, sink, mut project) = project_with(10);
    let file = format!("type = \"sqlite\"\npath = {:?}", warehouse.file().expect("a file").display().to_string());
    project.edit("backhaul.toml", &file, "type = \"postgres\"\nurl = { env = \"WAREHOUSE_URL\" }");
    let port = closed_port();
    project.set_variable("WAREHOUSE_URL", &format!("postgres://reader:pass-4712@127.0.0.1:{port}/analytics"));
    let run = project.run().expect(UNAVAILABLE).says(&[&port.to_string()]).hides(&["pass-4712"]);
    assert_readable(&run);
    assert_eq!(sink.stats().calls, 0);
}

#[test]
fn a_wrong_password_of_the_warehouse_is_a_matter_of_credentials() {
    let Some(warehouse) = Warehouse::postgres() else { return };
    let sink = Sink::start();
    let mut project = Project::customers(&warehouse, &sink);
    let mut customers = Customers::new(10);
    customers.publish(&warehouse, Some(&sink));
    let url = warehouse.url().expect("a URL");
    let (user, host) = url.split_once('@').expect("a URL with a user");
    let Some((user, _password)) = user.trim_start_matches("postgres://").split_once(':') else {
        crate::support::skipped("needs a server that asks for a password");
        return;
    };
    project.set_variable("WAREHOUSE_URL", &format!("postgres://{user}:wrong-4713@{host}"));
    let run = project.run().expect(CREDENTIALS).says(&["password"]).hides(&["wrong-4713"]);
    assert_readable(&run);
    project.set_variable("WAREHOUSE_URL", &url);
    then_all_goes_through(&project, &customers, &sink);
}

#[test]
fn a_secret_that_is_not_set_is_a_matter_of_credentials() {
    let (_warehouse, _customers, sink, project) = project_with(10);
    project.edit("backhaul.toml", "\"SINK_TOKEN\"", "\"NO_SUCH_TOKEN\"");
    let run = project.run().expect(CREDENTIALS).says(&["NO_SUCH_TOKEN"]);
    assert_readable(&run);
    assert_eq!(sink.stats().calls, 0);
}

#[test]
fn a_token_that_the_destination_refuses_is_a_matter_of_credentials() {
    let (_warehouse, customers, sink, mut project) = project_with(10);
    project.set_variable("SINK_TOKEN", "wrong-4714");
    let run = project.run().expect(CREDENTIALS).hides(&["wrong-4714"]);
    assert_readable(&run);
    project.set_variable("SINK_TOKEN", TOKEN);
    then_all_goes_through(&project, &customers, &sink);
}

#[test]
fn a_destination_that_does_not_listen_defers_every_row() {
    let (_warehouse, customers, sink, project) = project_with(10);
    let closed = format!("http://127.0.0.1:{}", closed_port());
    project.edit("backhaul.toml", &sink.url(), &closed);
    let identity = "\nidentity = \"the sink\"";
    project.edit("backhaul.toml", "type = \"http\"", &format!("type = \"http\"{identity}"));
    let run = project.run().expect(UNAVAILABLE);
    assert_readable(&run);
    project.edit("backhaul.toml", &closed, &sink.url());
    then_all_goes_through(&project, &customers, &sink);
}

#[test]
fn every_mistake_of_a_project_is_told_at_once() {
    let (_warehouse, _customers, _sink, project) = project_with(10);
    project.edit(&sync_file(), "mode = \"upsert\"", "mod = \"upsert\"");
    project.edit(&sync_file(), "destination = \"api\"", "destination = \"apy\"");
    project.edit("models/customers.toml", "analytics", "analytic");
    let run = project.backhaul(&["validate", "--offline"]).expect(CONFIGURATION);
    let run = run.says(&["mode", "apy", "analytic", "customers-api.toml:", "customers.toml:"]);
    assert_readable(&run);
}

#[test]
fn too_little_free_disk_stops_the_run_before_it_writes() {
    let (_warehouse, customers, sink, project) = project_with(10);
    let whole = std::fs::read_to_string(project.path("backhaul.toml")).expect("the project's file");
    project.append("backhaul.toml", "\n[state]\nmin_free = \"1000000GiB\"\n");
    let run = project.run().expect(FAILED).says(&["free"]);
    assert_readable(&run);
    project.write("backhaul.toml", &whole);
    then_all_goes_through(&project, &customers, &sink);
}

#[test]
fn a_state_folder_that_cannot_be_made_is_named() {
    let (_warehouse, customers, sink, project) = project_with(10);
    // A file in its place: even root cannot make a folder below it.
    project.write(".backhaul", "in the way");
    let run = project.run().says(&[".backhaul"]);
    assert!(!matches!(run.code, Some(0) | None), "{run:?}");
    assert_readable(&run);
    std::fs::remove_file(project.path(".backhaul")).expect("removed");
    then_all_goes_through(&project, &customers, &sink);
}

fn a_column_that_is_not_there_is_named_with_its_place(warehouse: &Warehouse) {
    let sink = Sink::start();
    let project = Project::customers(warehouse, &sink);
    let mut customers = Customers::new(10);
    customers.publish(warehouse, Some(&sink));
    project.edit(&sync_file(), "\"email\", \"name\"", "\"e_mail\", \"name\"");
    let run = project.run().expect(CONFIGURATION).says(&["e_mail", "email", "customers-api.toml:"]);
    assert_readable(&run);
    project.edit(&sync_file(), "\"e_mail\"", "\"email\"");
    then_all_goes_through(&project, &customers, &sink);
}

fn a_key_that_is_not_there_is_named_with_its_place(warehouse: &Warehouse) {
    let sink = Sink::start();
    let project = Project::customers(warehouse, &sink);
    Customers::new(10).publish(warehouse, Some(&sink));
    project.write("models/customers.toml", &model("select * from customers", "ident"));
    project.edit(&sync_file(), "mode = \"upsert\"", "mode = \"upsert\"\nmatch = \"id\"");
    let run = project.run().expect(CONFIGURATION).says(&["ident", "customers.toml:"]);
    assert_readable(&run);
    assert_eq!(sink.stats().calls, 0);
}

#[cfg(not(feature = "mariadb"))]
#[test]
fn a_destination_of_mariadb_without_the_feature_says_how_to_get_it() {
    let (_warehouse, _customers, sink, project) = project_with(1);
    project.append("backhaul.toml", "\n[destinations.shop]\ntype = \"mariadb\"\nurl = { env = \"SHOP_URL\" }\n");
    let texts = [
        "this build of backhaul has no destination of `type = \"mariadb\"`",
        "cargo build --release --features mariadb",
    ];
    project.run().expect(CONFIGURATION).says(&texts);
    project.backhaul(&["connectors"]).expect(0).says(&["lacks the feature `mariadb`"]);
    assert_eq!(sink.stats().calls, 0);
}

#[cfg(not(feature = "files"))]
#[test]
fn a_warehouse_of_files_without_the_feature_says_how_to_get_it() {
    let (_warehouse, _customers, sink, project) = project_with(1);
    project.append("backhaul.toml", "\n[warehouses.lake]\ntype = \"files\"\nroot = \"lake\"\n");
    let texts =
        ["this build of backhaul has no warehouse of `type = \"files\"`", "cargo build --release --features files"];
    project.run().expect(CONFIGURATION).says(&texts);
    project.backhaul(&["connectors"]).expect(0).says(&["not in this build"]);
    assert_eq!(sink.stats().calls, 0);
}
