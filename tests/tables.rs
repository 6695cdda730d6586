//! Tables as destinations: rows follow their model, and COMMIT is believed only when it was answered.

use std::time::Duration;

use crate::support::project::{Project, SYNC, model, sync_file};
use crate::support::proxy::{Harm, Point, Proxy};
use crate::support::warehouse::Warehouse;

const ROWS: i64 = 25;
const PARTIAL: i32 = 3;
const CREDENTIALS: i32 = 4;
const HELD: i32 = 5;
const CONFIGURATION: i32 = 78;

/// A model in a file, and a database that its rows go to.
struct Tables {
    warehouse: Warehouse,
    shop: Warehouse,
    project: Project,
}

impl Tables {
    /// `None` without a server.
    fn new(table: &str, into: &str) -> Option<Self> {
        let (warehouse, shop) = (Warehouse::sqlite(), Warehouse::postgres()?);
        warehouse.execute("create table customers (id integer primary key, email text, name text)");
        for id in 1..=ROWS {
            warehouse.execute(&format!("insert into customers values ({id}, 'c{id}@example.com', 'Zoë 😀 {id}')"));
        }
        shop.execute(&format!("create schema crm; {table}"));
        let project = project(&warehouse, "postgres", &shop.url().expect("a URL"), into);
        Some(Self { warehouse, shop, project })
    }

    /// Fails the test unless the table holds so many of these rows.
    fn assert_rows(&self, of: &str, rows: usize) {
        self.shop.assert_count(&format!("select 1 from crm.people where {of}"), rows);
    }
}

fn project(warehouse: &Warehouse, kind: &str, url: &str, into: &str) -> Project {
    let mut project = Project::new(warehouse);
    project.set_variable("SHOP_URL", url);
    let destination = format!("type = \"{kind}\"\nurl = {{ env = \"SHOP_URL\" }}\ntimeout = \"1s\"\nconcurrency = 1\n");
    project.append("backhaul.toml", &format!("\n[destinations.shop]\n{destination}"));
    project.write("models/customers.toml", &model("select id, email, name from customers", "id"));
    let sync = "model = \"customers\"\ndestination = \"shop\"\n\n[into]\nbatch_size = 10\n\
                same_name = [\"id\", \"email\", \"name\"]\n";
    project.write(&sync_file(), &format!("{sync}{into}\n"));
    project
}

/// Customers whose name is a time, from a warehouse that tells types, and the table that they go to.
struct Times {
    warehouse: Warehouse,
    shop: Warehouse,
    project: Project,
}

impl Times {
    /// `None` without a server.
    fn new() -> Option<Self> {
        let (warehouse, shop) = (Warehouse::postgres()?, Warehouse::postgres()?);
        warehouse.execute("create table customers (id bigint primary key, email text, name timestamptz)");
        shop.execute("create schema crm; create table crm.people (id bigint primary key, email text, name text)");
        let project = project(&warehouse, "postgres", &shop.url().expect("a URL"), MIRROR);
        let times = Self { warehouse, shop, project };
        times.add(1..=ROWS);
        Some(times)
    }

    fn add(&self, ids: std::ops::RangeInclusive<i64>) {
        let (first, last) = (ids.start(), ids.end());
        self.warehouse.execute(&format!(
            "insert into customers select id, 'c' || id, '2026-01-31 12:00+00' from generate_series({first}, {last}) id"
        ));
    }

    /// Makes the table's column one of that type, without values.
    fn name_is(&self, kind: &str) {
        self.shop.execute(&format!("alter table crm.people drop name, add name {kind}"));
    }

    /// Fails the test unless the command refuses the type of the column, and the table still has so many rows, none of
    /// them written since.
    #[track_caller]
    fn assert_told(&self, command: &[&str], rows: usize) {
        let told = ["`name` is a field of type bigint there", "it takes integer", "customers-api.toml:"];
        self.project.backhaul(command).expect(CONFIGURATION).says(&told);
        self.shop.assert_count("select 1 from crm.people where name is null", rows);
        self.shop.assert_count("select 1 from crm.people", rows);
        self.project.backhaul(&["rejects", "list", SYNC]).expect(0).says(&["no rows are kept"]);
    }
}

const PEOPLE: &str =
    "create table crm.people (id bigint primary key, email text unique, name text check (name <> 'bad'))";
const MIRROR: &str = "object = \"crm.people\"\nmode = \"upsert\"\nremoved = \"delete\"";
/// What can be found again only in the table of operations.
const EVENTS: &str = "create table crm.people (id bigint, email text, name text)";
const APPEND: &str = "object = \"crm.people\"\nmode = \"append\"\noperations = \"crm.operations\"";

#[test]
fn a_table_follows_its_model() {
    let Some(tables) = Tables::new(PEOPLE, MIRROR) else { return };
    tables.project.run().expect(0).says(&["25 accepted"]);
    tables.assert_rows("email = 'c' || id || '@example.com' and name = 'Zoë 😀 ' || id", 25);

    tables.warehouse.execute(
        "update customers set name = null where id = 3; delete from customers where id = 4;
         insert into customers values (100, 'new@example.com', '')",
    );
    tables.project.run().expect(0).says(&["3 accepted"]);
    tables.assert_rows("true", 25);
    tables.assert_rows("id = 3 and name is null or id = 100 and name = ''", 2);
    tables.assert_rows("id = 4", 0);

    tables.warehouse.execute("update customers set name = 'it''s' where id = 5");
    let request = tables.project.backhaul(&["plan", "customers-api", "--request", "5"]).expect(0);
    request.says(&["INSERT INTO \"crm\".\"people\"", "ON CONFLICT (\"id\")", "'c5@example.com'", "'it''s'"]);
}

#[test]
fn a_row_of_whoever_may_not_be_sent_is_cleared_and_one_that_left_stays() {
    let Some(tables) = Tables::new(PEOPLE, "object = \"crm.people\"\nmode = \"upsert\"") else { return };
    tables.project.append("backhaul.toml", "\n[suppression.blocked]\nmodel = \"blocked\"\non = { id = \"id\" }\n");
    tables.project.write("models/blocked.toml", &model("select * from blocked", "id"));
    let people = "\nsuppress = [\"blocked\"]\non_ineligible = \"clear\"\n";
    tables.project.edit(&sync_file(), "destination = \"shop\"\n", &format!("destination = \"shop\"{people}"));
    tables.warehouse.execute("create table blocked (id bigint)");
    tables.project.run().expect(0).says(&["25 accepted"]);
    tables.warehouse.execute("insert into blocked values (7), (8); delete from customers where id in (8, 9)");
    tables.project.run().expect(0).says(&["1 accepted"]);
    tables.assert_rows("id = 7 and email is null and name is null", 1);
    // 8 left the model: nobody knows any more whose row it was.
    tables.assert_rows("email = 'c' || id || '@example.com'", 24);
}

#[test]
fn a_bad_row_is_rejected_and_the_others_are_not() {
    let Some(tables) = Tables::new(PEOPLE, MIRROR) else { return };
    tables.warehouse.execute(
        "update customers set name = 'bad' where id = 7; update customers set email = 'c1@example.com' where id = 8",
    );
    tables.project.run().expect(PARTIAL).says(&["23 accepted"]);
    tables.assert_rows("id in (7, 8)", 0);
    let rejects = tables.project.backhaul(&["rejects", "list", "customers-api"]).expect(0);
    rejects.says(&["23514", "23505"]).hides(&["c1@example.com"]);
    tables.warehouse.execute("update customers set name = 'good', email = 'c' || id where id in (7, 8)");
    tables.project.run().expect(0).says(&["2 accepted"]);
    tables.assert_rows("true", 25);
}

#[test]
fn a_column_of_a_type_that_does_not_fit_is_told_before_a_write() {
    let Some(times) = Times::new() else { return };
    times.name_is("bigint");
    times.assert_told(&["validate"], 0);
    times.assert_told(&["run", SYNC], 0);
    times.name_is("text");
    times.project.run().expect(0).says(&["25 accepted"]);
}

#[test]
fn removals_alone_do_not_wait_for_a_column_of_a_type_that_no_longer_fits() {
    let Some(times) = Times::new() else { return };
    times.project.run().expect(0).says(&["25 accepted"]);
    times.name_is("bigint");
    times.warehouse.execute("delete from customers where id in (3, 4)");
    times.project.run().expect(0).says(&["2 accepted"]);
    times.add(26..=26);
    times.assert_told(&["run", SYNC], 23);
}

#[test]
fn a_column_of_a_type_that_no_longer_fits_is_told_before_a_held_run_is_let_go() {
    let Some(times) = Times::new() else { return };
    times.project.append(&sync_file(), "\n[guards]\nmax_added = 30\n");
    times.project.run().expect(0).says(&["25 accepted"]);
    times.add(26..=60);
    times.project.run().expect(HELD);
    let held = times.project.backhaul(&["runs", "--output", "json"]).expect(0).json();
    let text = |name: &str| held["runs"][0][name].as_str().expect("a run that is held").to_owned();
    let (run, hash) = (text("id"), text("plan_hash"));
    let approve = ["approve", &run, "--plan-hash", &hash];

    times.name_is("bigint");
    times.assert_told(&approve, 25);
    // It is as if nobody had approved it.
    times.project.run().expect(HELD).says(&[&run]);
    times.name_is("text");
    times.project.backhaul(&approve).expect(0).says(&["35 accepted"]);
    times.shop.assert_count("select 1 from crm.people", 60);
}

#[test]
fn a_column_of_a_type_that_no_longer_fits_is_told_before_an_interrupted_run_goes_on() {
    // Before its first row and after its first batch.
    for (failpoint, there) in [("run::in_deliver=1", 0), ("deliver::after_send=1", 10)] {
        let Some(mut times) = Times::new() else { return };
        times.project.set_variable("FAILPOINT_KILL", failpoint);
        assert!(times.project.run().signal.is_some(), "{failpoint}");
        times.project.set_variable("FAILPOINT_KILL", "");

        times.name_is("bigint");
        times.assert_told(&["run", SYNC], there);
        times.name_is("text");
        times.project.run().expect(0);
        times.shop.assert_count("select 1 from crm.people where name is not null", 25);
    }
}

#[test]
fn what_is_wrong_with_a_table_is_told_before_a_write() {
    let Some(mut tables) = Tables::new(PEOPLE, MIRROR) else { return };
    tables.project.edit(&sync_file(), "\"name\"]", "]\nmappings = []");
    tables.project.append(&sync_file(), "\n[fields]\nfullname = \"name\"\nnmae = \"name\"\n");
    tables.project.run().expect(CONFIGURATION).says(&["did you mean `name`?", "customers-api.toml:"]);
    tables.project.edit(&sync_file(), "fullname = \"name\"\nnmae", "name");

    let weak = format!("weak_{}", std::process::id());
    tables
        .shop
        .execute(&format!("create role {weak} login password 'weak-secret'; grant usage on schema crm to {weak}"));
    let url = tables.shop.url().expect("a URL");
    let (_, server) = url.rsplit_once('@').expect("a server");
    tables.project.set_variable("SHOP_URL", &format!("postgres://{weak}:weak-secret@{server}"));
    let grant = format!("GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE \"crm\".\"people\" TO \"{weak}\";");
    let doctor = tables.project.backhaul(&["doctor"]).expect(CREDENTIALS);
    doctor.says(&["missing: SELECT on crm.people", "the smallest grant", &grant]).hides(&["weak-secret"]);
    let (host, _) = server.split_once('/').expect("a database");
    tables.project.backhaul(&["doctor", "--egress"]).expect(0).says(&[host]).hides(&["weak-secret"]);
    tables.project.run().expect(CREDENTIALS).says(&["lacks SELECT on crm.people", &grant]).hides(&["weak-secret"]);
    tables.shop.execute(&grant);
    tables.project.run().expect(0).says(&["25 accepted"]);
    tables.shop.execute(&format!("drop owned by {weak}; drop role {weak}"));
}

#[test]
fn a_commit_that_never_was_is_told_from_a_lost_answer() {
    let Some(tables) = Tables::new(EVENTS, APPEND) else { return };
    // The backend ends itself during the COMMIT of the second batch: sequences are not taken back.
    tables.shop.execute(
        "create sequence crm.strikes;
         create function crm.strike() returns trigger language plpgsql as $$ begin
             if nextval('crm.strikes') = 15 then perform pg_terminate_backend(pg_backend_pid()); end if;
             return null;
         end $$;
         create constraint trigger strike after insert on crm.people deferrable initially deferred
             for each row execute function crm.strike()",
    );
    tables.project.run().expect(0).says(&["25 accepted"]);
    tables.shop.assert_count("select distinct id from crm.people", 25);
    tables.assert_rows("true", 25);
    tables.shop.assert_count("select 1 from crm.operations", 25);
}

#[test]
fn an_answer_to_commit_that_is_lost_is_asked_for() {
    let Some(mut tables) = Tables::new(EVENTS, APPEND) else { return };
    let (proxy, url) = Proxy::of_url(&tables.shop.url().expect("a URL"));
    tables.project.set_variable("SHOP_URL", &url);
    // The last answer before COMMIT; what the server sends after it comes too late.
    let before_commit = b"DELETE 0\0".to_vec();
    proxy.strike(Point::After(before_commit), Harm::Delay(Duration::from_secs(600)), 1);
    tables.project.run().expect(0).says(&["25 accepted"]);
    assert_eq!(proxy.struck(), 1);
    tables.shop.assert_count("select distinct id from crm.people", 25);
    tables.assert_rows("true", 25);
}

#[test]
fn appended_rows_survive_a_kill_once() {
    let Some(mut tables) = Tables::new(EVENTS, APPEND) else { return };
    for failpoint in ["deliver::before_send=2", "deliver::after_send=2", "deliver::after_ack=1"] {
        tables.project.set_variable("FAILPOINT_KILL", failpoint);
        assert_ne!(tables.project.run().code, Some(0), "{failpoint}");
        tables.project.set_variable("FAILPOINT_KILL", "");
        tables.project.run().expect(0);
        tables.shop.assert_count("select distinct id from crm.people", 25);
        tables.assert_rows("true", 25);
        // The same rows under other keys for the next kill.
        tables.shop.execute("truncate crm.people");
        tables.warehouse.execute("update customers set id = id + 1000");
    }
}

#[cfg(feature = "mariadb")]
#[test]
fn a_table_of_mariadb_follows_its_model() {
    use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection};

    let Some(server) = std::env::var("BACKHAUL_TEST_MARIADB").ok().filter(|url| !url.is_empty()) else {
        return crate::support::skipped("needs MariaDB: run tests/run, or set BACKHAUL_TEST_MARIADB");
    };
    let Some(tables) = Tables::new(PEOPLE, MIRROR) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let on_server = |sql: String| {
        runtime.block_on(async {
            let mut connection = MySqlConnection::connect(&server).await.expect("connected");
            connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.expect("executed").rows_affected()
        })
    };
    let database = format!("whole_{}", std::process::id());
    on_server(format!(
        "create database {database} character set utf8mb4;
         create table {database}.people (id bigint primary key, email varchar(100) unique, name varchar(100) check (name <> 'bad'))"
    ));
    let (authority, _) = server.split_once("?").unwrap_or((&server, ""));
    let url = format!("{}/{database}", authority.trim_end_matches('/'));
    let project = project(&tables.warehouse, "mariadb", &url, &MIRROR.replace("crm.", ""));
    tables.warehouse.execute("update customers set name = 'bad' where id = 7");
    project.run().expect(PARTIAL).says(&["24 accepted"]);
    tables.warehouse.execute(
        "update customers set name = 'good' where id = 7; update customers set email = 'moved' where id = 3;
         delete from customers where id = 4",
    );
    project.run().expect(0).says(&["3 accepted"]);
    let right = format!(
        "delete from {database}.people where id = 3 and email = 'moved' or id = 7 and name = 'good'
         or id not in (3, 4, 7) and name = concat('Zoë 😀 ', id)"
    );
    assert_eq!(on_server(right), 24);
    assert_eq!(on_server(format!("delete from {database}.people")), 0);
    on_server(format!("drop database {database}"));
}
