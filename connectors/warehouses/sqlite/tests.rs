//! Whole scans of files.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::{FaultClass, KeyHash, Model, ModelQuery, Query, Scanned, Since, Source, TypeClass, Value};
use futures_util::StreamExt as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, SqliteConnection};
use tempfile::TempDir;

use super::super::testing::{
    assert_reads_another_model, assert_refused, drain, pages, refused, scan, source, sql, text,
};
use super::SqliteKind;

struct File {
    folder: TempDir,
    writer: SqliteConnection,
    source: Arc<dyn Source>,
}

impl File {
    /// A database made by these statements.
    async fn of(statements: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options = SqliteConnectOptions::new()
            .filename(folder.path().join("w.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal);
        let mut writer = options.connect().await.expect("a database");
        writer.execute(AssertSqlSafe(statements.to_owned())).await.expect("executed");
        let source = open(folder.path());
        Self { folder, writer, source }
    }

    async fn count(&mut self, table: &str) -> i64 {
        let sql = AssertSqlSafe(format!("select count(*) from {table}"));
        sqlx::query_scalar(sql).fetch_one(&mut self.writer).await.expect("counted")
    }
}

fn open(folder: &Path) -> Arc<dyn Source> {
    source(&SqliteKind, "path = \"w.db\"\nbusy_timeout = \"1ms\"", folder).expect("a source")
}

const PEOPLE: &str = "create table people(id integer primary key, name text, score, photo blob); \
    insert into people values (1, 'Ann', 1.5, x'00ff'), (2, null, 7, null), (3, '', 'high', x''), \
    (9223372036854775807, 'ü', 9e999, null)";

#[tokio::test]
async fn values_keep_their_own_type() {
    let file = File::of(PEOPLE).await;
    let model = sql("select * from people order by id");
    let whole = scan(&*file.source, &model, &["id", "photo", "score", "name"], 1).await.expect("a scan");
    assert_eq!(whole.records[0], [Value::Int(1), Value::Bytes(vec![0, 255]), Value::Float(1.5), text("Ann")]);
    assert_eq!(whole.records[1], [Value::Int(2), Value::Null, Value::Int(7), Value::Null]);
    assert_eq!(whole.records[2], [Value::Int(3), Value::Bytes(vec![]), text("high"), text("")]);
    assert_eq!(whole.records[3][0], Value::Int(i64::MAX));
    assert!(matches!(whole.records[3][2], Value::Invalid(_)), "{:?}", whole.records[3]);
    assert_eq!(whole.keys[0].as_deref(), Some("1"));
}

#[tokio::test]
async fn columns_are_told_and_wrong_ones_named() {
    let file = File::of(PEOPLE).await;
    let mut open = file.source.open(&sql("select id, name as \"full name\" from people")).await.expect("open");
    let schema = open.columns().await.expect("columns");
    assert_eq!(schema.names().collect::<Vec<_>>(), ["id", "full name"]);
    assert_eq!(schema.columns[0].class, TypeClass::Any);
    assert_eq!(schema.columns[0].native, "integer");
    let fault = drain(pages(open, &["id", "full nam"], 1)).await.expect_err("no such column");
    assert_eq!(fault.to_string(), "model `people` has no column `full nam`");
    assert_eq!(fault.remedy_text(), "did you mean `full name`?");
}

#[tokio::test]
async fn no_rows_are_a_complete_scan() {
    let file = File::of(PEOPLE).await;
    let whole = scan(&*file.source, &sql("select id from people where 0"), &["id"], 1).await.expect("a scan");
    assert_eq!((whole.records.len(), whole.pages), (0, 0));
}

#[tokio::test]
async fn many_rows_come_in_several_pages_in_order() {
    let file = File::of(
        "create table t as with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) \
         select i, 'row ' || i as name from n",
    )
    .await;
    let whole = scan(&*file.source, &sql("select * from t order by i"), &["i", "name"], 1).await.expect("a scan");
    assert!(whole.pages > 2);
    for (i, record) in (1..).zip(&whole.records) {
        assert_eq!(record, &[Value::Int(i), Value::Text(format!("row {i}"))]);
    }
    assert_eq!(whole.records.len(), 20_000);
}

#[tokio::test]
async fn a_null_in_the_key_has_no_hash_and_a_float_is_refused() {
    let file = File::of(PEOPLE).await;
    let model = sql("select id, name, score from people where id in (1, 2) order by id");
    let whole = scan(&*file.source, &model, &["name", "id"], 2).await.expect("a scan");
    assert_eq!(whole.digests[1].key, KeyHash::NULL);
    assert_eq!(whole.keys, [Some("Ann,1".to_owned()), None]);
    let fault = scan(&*file.source, &model, &["score"], 1).await.expect_err("a float");
    assert_eq!(fault.class, FaultClass::Config);
}

#[tokio::test]
async fn what_ends_a_model_harmlessly_is_taken() {
    let file = File::of(PEOPLE).await;
    for model in [
        "select id from people;",
        "select id from people -- all of them",
        "select id from people /* ; ) */ ;\n ",
        "with p as (select id from people) select id from p",
        "values (1), (2), (3), (4)",
        "select ';' || ')' as id from people",
    ] {
        let column = if model.starts_with("values") { "column1" } else { "id" };
        let whole = scan(&*file.source, &sql(model), &[column], 1).await;
        assert_eq!(whole.unwrap_or_else(|e| panic!("{model}: {e}")).records.len(), 4, "{model}");
    }
}

#[tokio::test]
async fn nothing_but_one_select_ever_runs() {
    let mut file = File::of(PEOPLE).await;
    let other = file.folder.path().join("other.db");
    for model in [
        "select id from people; delete from people",
        "select 1 as id) ; delete from people; select * from (select 1 as id",
        "select 1 as id) as m; pragma query_only = 0; delete from people --",
        "select id from (people",
        "select id from people)",
        "select 'id from people",
        "delete from people",
        "delete from people returning id",
        "insert into people(id) values (50) returning id",
        "with gone as (delete from people returning id) select id from gone",
        "pragma query_only = 0",
        "pragma journal_mode = delete",
        "vacuum",
        "select ?1 as id",
        "select id from people where id = :id",
        "select $$ as id",
        "select nope from people",
        "select id from nowhere",
        "selct id from people",
        "",
        ";",
    ] {
        assert_refused(&*file.source, model).await;
    }
    assert_refused(&*file.source, &format!("attach '{}' as other", other.display())).await;
    let extension = sql("select load_extension('x') as id");
    assert!(scan(&*file.source, &extension, &["id"], 1).await.is_err());
    assert!(!other.exists());
    assert_eq!(file.count("people").await, 4);
}

#[tokio::test]
async fn a_filter_keeps_to_itself() {
    let file = File::of(PEOPLE).await;
    let filtered = |filter: &str| Model { filter: Some(filter.into()), ..sql("select id, name from people") };
    let whole = scan(&*file.source, &filtered("name = 'Ann' -- only"), &["id"], 1).await.expect("a scan");
    assert_eq!(whole.records, [[Value::Int(1)]]);
    for filter in ["true) or (true", "true; delete from people", "name = 'x", "nope = 1"] {
        assert_eq!(refused(&*file.source, &filtered(filter)).await.class, FaultClass::Config, "{filter}");
    }
}

#[tokio::test]
async fn a_refusal_says_where() {
    let file = File::of(PEOPLE).await;
    let fault = assert_refused(&*file.source, "select id; select 2").await;
    assert_eq!(fault.sql_offset, Some(9));
    let fault = assert_refused(&*file.source, "select id, name as ID, score as x, photo as x from people").await;
    assert_eq!(fault.to_string(), "model `people` has more than one column named `ID` and `x`");
}

#[tokio::test]
async fn a_table_is_a_model() {
    let file = File::of("create table \"odd; name\"(id); insert into \"odd; name\" values (5)").await;
    let table = |name: &str| Model { query: ModelQuery::Table(name.into()), ..sql("") };
    for name in ["odd; name", "main.odd; name", "main.\"odd; name\""] {
        let whole = scan(&*file.source, &table(name), &["id"], 1).await.expect("a scan");
        assert_eq!(whole.records, [[Value::Int(5)]]);
    }
    assert_eq!(refused(&*file.source, &table("missing")).await.class, FaultClass::Config);
}

#[tokio::test]
async fn the_snapshot_stands_still_while_others_write() {
    let mut file = File::of(PEOPLE).await;
    let open = file.source.open(&sql("select id from people")).await.expect("open");
    file.writer.execute("delete from people").await.expect("deleted");
    assert_eq!(drain(pages(open, &["id"], 1)).await.expect("a scan").records.len(), 4);
    let whole = scan(&*file.source, &sql("select id from people"), &["id"], 1).await.expect("a scan");
    assert_eq!(whole.records.len(), 0);
}

#[tokio::test]
async fn another_model_is_read_in_the_same_snapshot() {
    let tables = format!(
        "{PEOPLE}; create table blocked(id integer, mail text); \
        insert into blocked values (1, 'a@x.de'), (2, null)"
    );
    let mut file = File::of(&tables).await;
    let source = file.source.clone();
    assert_reads_another_model(&*source, async || {
        file.writer.execute("delete from blocked; delete from people").await.expect("executed");
    })
    .await;
}

#[tokio::test]
async fn questions_are_asked_of_the_model() {
    let file = File::of(PEOPLE).await;
    let model = Model { filter: Some("id < 3".into()), ..sql("select id, name from people -- x") };
    let mut open = file.source.open(&model).await.expect("open");
    let ask = |sql: &str, limit: usize| Query { sql: sql.into(), limit };
    let rows = open.check(&ask("select count(*) as n, max(m.id) from {model} as m", 10)).await.expect("an answer");
    assert_eq!(rows.rows, [[Value::Int(2), Value::Int(2)]]);
    assert_eq!(rows.columns[0].name, "n");
    let rows = open.check(&ask("select m.id from {model} as m order by m.id desc", 1)).await.expect("an answer");
    assert_eq!(rows.rows, [[Value::Int(2)]]);
    assert!(open.check(&ask("select nope from {model} as m", 1)).await.is_err());
    assert_eq!(drain(pages(open, &["id"], 1)).await.expect("a scan").records.len(), 2);
}

#[tokio::test]
async fn an_error_in_a_late_row_leaves_the_scan_without_an_end() {
    let file = File::of(
        "create table t as with recursive n(i) as (select 1 union all select i + 1 from n where i < 9000) select i from n",
    )
    .await;
    let model = sql("select i, abs(case when i = 8999 then -9223372036854775807 - 1 else i end) as a from t");
    let mut pages = pages(file.source.open(&model).await.expect("open"), &["i", "a"], 1);
    assert!(matches!(pages.next().await, Some(Ok(_))), "the first page is sound");
    assert!(drain(pages).await.is_err());
}

#[tokio::test]
async fn a_scan_without_end_is_stopped_by_its_timeout() {
    let file = File::of(PEOPLE).await;
    let endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) as i from n";
    let model = Model { timeout: Some(Duration::from_millis(100)), ..sql(endless) };
    let fault = scan(&*file.source, &model, &["i"], 1).await.expect_err("too long");
    assert_eq!(fault.class, FaultClass::Transient);
    assert!(fault.to_string().contains("timeout"), "{fault}");
}

#[tokio::test]
async fn a_file_that_another_process_locks_is_tried_again_later() {
    let mut file = File::of(PEOPLE).await;
    for statement in ["pragma journal_mode = delete", "begin exclusive"] {
        file.writer.execute(statement).await.expect("executed");
    }
    let fault = refused(&*file.source, &sql("select id from people")).await;
    assert_eq!(fault.class, FaultClass::Transient, "{fault:?}");
}

#[tokio::test]
async fn a_file_that_is_none_is_a_mistake_of_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = open(folder.path());
    for make in [|_: &Path| {}, |path: &Path| std::fs::write(path, [7; 4096]).expect("written")] {
        make(&folder.path().join("w.db"));
        let fault = file.check().await.expect_err("no database");
        assert_eq!(fault.class, FaultClass::Config, "{fault:?}");
        assert!(fault.to_string().contains("w.db"), "{fault}");
    }
    std::fs::remove_file(folder.path().join("w.db")).expect("removed");
    std::fs::create_dir(folder.path().join("w.db")).expect("made");
    assert!(file.check().await.expect_err("a folder").to_string().contains("is not a file"));
}

#[tokio::test]
async fn text_in_utf_16_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = SqliteConnectOptions::new().filename(folder.path().join("w.db")).create_if_missing(true);
    let mut writer = options.connect().await.expect("a database");
    writer.execute("pragma encoding = 'UTF-16le'; create table t(a)").await.expect("executed");
    let fault = open(folder.path()).check().await.expect_err("refused");
    assert!(fault.to_string().contains("UTF-16le"), "{fault}");
}

#[tokio::test]
async fn a_check_tells_the_version() {
    let file = File::of(PEOPLE).await;
    let report = file.source.check().await.expect("a report");
    assert!(report.server.starts_with("SQLite 3."), "{report:?}");
}

#[tokio::test]
async fn a_scan_of_a_part_has_rows_since_a_moment_without_one_and_by_key() {
    let file = File::of(
        "create table e(id, part text, at);
         insert into e values (1, 'a', '2026-11-01T08:00:00Z'), (2, 'a', '2026-11-01 09:59:59.999'),
            (3, 'a', '2026-11-01 12:00:00+02:00'), (4, 'a', '2026-11-02'), (5, 'a', null), (6, 'it''s', '2025-01-01'),
            (6, 'b', '2025-01-01'), (7, 'b', 'soon'), (x'07', 'b', '2025-01-01')",
    )
    .await;
    let ten = 1_793_527_200_000_000;
    let since = |from, key: &[&str], keys| {
        Some(Since { column: "at".into(), from, key: key.iter().map(|c| (*c).into()).collect(), keys })
    };
    let asked = |since| Model { since, filter: Some("id <> 4 -- not this one".into()), ..sql("select * from e") };
    let ids = async |model: Model| {
        let mut pages = pages(file.source.open(&model).await.expect("open"), &["id", "part"], 2);
        let mut ids = Vec::new();
        while let Some(item) = pages.next().await {
            match item.expect("sound") {
                Scanned::Page(page) => {
                    ids.extend((0..page.rows()).map(|row| page.record(row).expect("a row")[0].to_text()));
                }
                Scanned::End { proof, .. } => assert!(!proof.is_of_all()),
            }
        }
        ids.join(" ")
    };
    assert_eq!(ids(asked(since(Some(ten), &["id", "part"], Vec::new()))).await, "3 5 7");
    assert_eq!(ids(asked(since(Some(ten + 1), &["id", "part"], Vec::new()))).await, "3 5 7", "whole milliseconds");
    assert_eq!(ids(asked(since(Some(ten + 1000), &["id", "part"], Vec::new()))).await, "5 7");
    let keys = vec![vec![Value::Int(6), text("it's")], vec![Value::Int(1), text("a")], vec![Value::Int(99), text("")]];
    assert_eq!(ids(asked(since(Some(ten), &["id", "part"], keys))).await, "1 3 5 6 7");
    let keys = vec![vec![Value::Int(6)], vec![Value::Bytes(vec![7])]];
    assert_eq!(ids(asked(since(Some(ten), &["id"], keys))).await, "3 5 6 6 7 Bw==");
    assert_eq!(ids(asked(since(None, &["id"], vec![vec![Value::Int(1)]]))).await, "1 2 3 5 6 6 7 Bw==");
}
