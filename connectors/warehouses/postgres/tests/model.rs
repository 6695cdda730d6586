//! What a model may be, and what is refused.

use backhaul_kit::{FaultClass, Model, ModelQuery, Query, TypeClass, Value};
use futures_util::StreamExt as _;
use sqlx::Executor as _;

use super::super::super::testing::{
    assert_reads_another_model, assert_refused, drain, pages, refused, scan, sql, text,
};
use super::server::Database;

const PEOPLE: &str = "CREATE TABLE people(id int PRIMARY KEY, name text, \"Größe\" int); \
    INSERT INTO people VALUES (1, 'Ann', 170), (2, NULL, NULL), (3, 'Zoë', 180); \
    CREATE FUNCTION writes() RETURNS int LANGUAGE sql VOLATILE AS 'DELETE FROM people RETURNING id'; \
    CREATE FUNCTION lifts() RETURNS int LANGUAGE plpgsql AS \
        'BEGIN PERFORM set_config(''transaction_read_only'', ''off'', true); DELETE FROM people; RETURN 1; END'";

#[tokio::test]
async fn what_ends_a_model_harmlessly_is_taken() {
    let Some(database) = Database::of(PEOPLE).await else { return };
    for model in [
        "select id from people;",
        "select id from people -- everybody",
        "select id from people /* ; ) */ ;\n ",
        "with p as (select id from people) select id from p",
        "select id from people where $$;)$$ <> name or name is null",
        "table people",
        "values (1), (2), (3)",
    ] {
        let column = if model.starts_with("values") { "column1" } else { "id" };
        let whole = scan(&*database.source, &sql(model), &[column], 1).await;
        assert_eq!(whole.unwrap_or_else(|e| panic!("{model}: {e}")).records.len(), 3, "{model}");
    }
    database.drop().await;
}

#[tokio::test]
async fn nothing_but_one_select_ever_runs() {
    let Some(mut database) = Database::of(PEOPLE).await else { return };
    for model in [
        "select id from people; delete from people",
        "select 1 as id) to stdout (format binary); commit; delete from people; copy (select 2 as id",
        "select 1 as id) as m) to stdout (format binary); commit; delete from people; copy (select 2 from (select 1",
        "select 1 as id) as m, (select 2 as x",
        "select id from people)",
        "select id from (people",
        "select 'id from people",
        "select $$id from people",
        "delete from people",
        "delete from people returning id",
        "with gone as (delete from people returning id) select id from gone",
        "insert into people values (9) returning id",
        "create table x(id int)",
        "truncate people",
        "commit",
        "show all",
        "explain select id from people",
        "copy people to stdout",
        "select id into x from people",
        "select id from people where id = $1",
        "select id from nowhere",
        "selct id from people",
        "",
        ";",
    ] {
        assert_refused(&*database.source, model).await;
    }
    for model in ["select writes() as id", "select lifts() as id", "select nextval('s') as id"] {
        let model = sql(model);
        let fault = match database.source.open(&model).await {
            Ok(open) => drain(pages(open, &["id"], 1)).await.expect_err("refused"),
            Err(fault) => fault,
        };
        assert!(matches!(fault.class, FaultClass::Config | FaultClass::Transient), "{fault:?}");
    }
    assert_eq!(database.text("select count(*) from people").await, "3");
    database.drop().await;
}

#[tokio::test]
async fn an_error_is_placed_in_the_text_of_the_operator() {
    let Some(database) = Database::of(PEOPLE).await else { return };
    let model = "select id, 'é' as e,\n  emial from people";
    let fault = assert_refused(&*database.source, model).await;
    assert_eq!(fault.sql_offset, model.find("emial"));
    assert!(fault.to_string().contains("\"emial\" does not exist (42703)"), "{fault}");
    let cte = "with x as (delete from people returning id) select * from x";
    assert_eq!(assert_refused(&*database.source, cte).await.sql_offset, cte.find("x as"));
    database.drop().await;
}

#[tokio::test]
async fn columns_of_one_name_are_named() {
    let Some(database) = Database::of(PEOPLE).await else { return };
    let fault = assert_refused(
        &*database.source,
        "select a.id, b.id, b.name, count(*), count(*) from people a \
        join people b using (id) group by 1, 2, 3",
    )
    .await;
    assert_eq!(fault.to_string(), "model `people` has more than one column named `id` and `count`");
    let whole = scan(&*database.source, &sql("select id, 1 as \"ID\" from people"), &["ID", "id"], 2).await;
    assert_eq!(whole.expect("names differ by case").records.len(), 3);
    database.drop().await;
}

#[tokio::test]
async fn a_filter_keeps_to_itself() {
    let Some(mut database) = Database::of(PEOPLE).await else { return };
    let filtered = |filter: &str| Model { filter: Some(filter.into()), ..sql("select * from people -- all") };
    let whole = scan(&*database.source, &filtered("name = 'Ann' -- only"), &["id"], 1).await.expect("a scan");
    assert_eq!(whole.records, [[Value::Int(1)]]);
    for filter in [
        "true) or (true",
        "true; delete from people",
        "true) union select (1",
        "name = 'x",
        "nope = 1",
        "true order by 1",
        "id",
    ] {
        let fault = refused(&*database.source, &filtered(filter)).await;
        assert_eq!(fault.class, FaultClass::Config, "{filter}: {fault:?}");
        assert_eq!(fault.sql_offset, None, "{filter}");
        assert!(fault.to_string().contains("`where`"), "{filter}: {fault}");
    }
    assert_eq!(database.text("select count(*) from people").await, "3");
    database.drop().await;
}

#[tokio::test]
async fn a_table_is_a_model_and_a_projection_chooses_and_orders() {
    let Some(database) = Database::of(&format!(
        "{PEOPLE}; CREATE SCHEMA marts; CREATE VIEW marts.\"odd; name\" AS SELECT * FROM people"
    ))
    .await
    else {
        return;
    };
    let table = |name: &str| Model { query: ModelQuery::Table(name.into()), ..sql("") };
    for name in ["people", "public.people", "marts.odd; name"] {
        let mut open = database.source.open(&table(name)).await.expect("open");
        let schema = open.columns().await.expect("columns");
        let classes: Vec<_> =
            schema.columns.iter().map(|c| (c.name.as_str(), c.class.clone(), c.native.as_str())).collect();
        assert_eq!(
            classes,
            [
                ("id", TypeClass::Integer, "int4"),
                ("name", TypeClass::Text, "text"),
                ("Größe", TypeClass::Integer, "int4"),
            ]
        );
        let whole = drain(pages(open, &["Größe", "id"], 1)).await.expect("a scan");
        assert_eq!(whole.records[0], [Value::Int(170), Value::Int(1)]);
        assert_eq!(whole.keys, [Some("170".to_owned()), None, Some("180".to_owned())]);
    }
    for name in ["People", "nowhere.people", "a..b"] {
        assert_eq!(refused(&*database.source, &table(name)).await.class, FaultClass::Config, "{name}");
    }
    let open = database.source.open(&table("people")).await.expect("open");
    let fault = drain(pages(open, &["id", "nmae"], 1)).await.expect_err("no such column");
    assert_eq!((fault.class, fault.remedy_text()), (FaultClass::Config, "did you mean `name`?"));
    database.drop().await;
}

#[tokio::test]
async fn another_model_is_read_in_the_same_snapshot() {
    let tables = format!(
        "{PEOPLE}; CREATE TABLE blocked(id int, mail text); \
        INSERT INTO blocked VALUES (1, 'a@x.de'), (2, NULL)"
    );
    let Some(mut database) = Database::of(&tables).await else { return };
    let source = database.source.clone();
    assert_reads_another_model(&*source, async || database.run("DELETE FROM blocked; DELETE FROM people").await).await;
    database.drop().await;
}

#[tokio::test]
async fn the_snapshot_stands_still_while_others_write() {
    let Some(mut database) = Database::of(PEOPLE).await else { return };
    let mut open = database.source.open(&sql("select id, name from people")).await.expect("open");
    database.admin.execute("delete from people").await.expect("deleted");
    let count = Query { sql: "select count(*) from {model} as m".into(), limit: 1 };
    assert_eq!(open.check(&count).await.expect("an answer").rows, [[Value::Int(3)]]);
    assert_eq!(drain(pages(open, &["id"], 1)).await.expect("a scan").records.len(), 3);
    database.drop().await;
}

#[tokio::test]
async fn questions_are_asked_of_the_model() {
    let Some(database) = Database::of(PEOPLE).await else { return };
    let model = Model { filter: Some("id < 3".into()), ..sql("select id, name from people -- x") };
    let mut open = database.source.open(&model).await.expect("open");
    let ask = |sql: &str, limit: usize| Query { sql: sql.into(), limit };
    let question =
        "select m.id, count(*) as n, max(m.name), now() < now() as never from {model} as m group by 1 order by 1";
    let rows = open.check(&ask(question, 10)).await.expect("an answer");
    assert_eq!(rows.columns.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(), ["id", "n", "max", "never"]);
    assert_eq!(rows.rows[0], [Value::Int(1), Value::Int(1), text("Ann"), Value::Bool(false)]);
    assert_eq!(rows.rows[1][2], Value::Null);
    assert_eq!(open.check(&ask(question, 1)).await.expect("an answer").rows.len(), 1);
    assert_eq!(drain(pages(open, &["id"], 1)).await.expect("a scan").records.len(), 2);

    let mut open = database.source.open(&model).await.expect("open");
    let fault = open.check(&ask("select nope from {model} as m", 1)).await.expect_err("refused");
    assert_eq!(fault.class, FaultClass::Config);
    let mut after = pages(open, &["id"], 1);
    assert!(matches!(after.next().await, Some(Err(_))), "a scan after a failed question has no rows");
    database.drop().await;
}

#[tokio::test]
async fn the_session_is_the_same_whatever_the_database_sets() {
    let Some(mut database) = Database::of(PEOPLE).await else { return };
    for setting in [
        "timezone = 'Asia/Tokyo'",
        "datestyle = 'German'",
        "intervalstyle = 'iso_8601'",
        "synchronize_seqscans = on",
        "max_parallel_workers_per_gather = 7",
        "bytea_output = 'escape'",
    ] {
        let sql = format!("ALTER DATABASE {} SET {setting}", database.name);
        database.admin.execute(sqlx::AssertSqlSafe(sql)).await.expect("set");
    }
    let names = [
        "transaction_read_only",
        "transaction_isolation",
        "TimeZone",
        "DateStyle",
        "IntervalStyle",
        "bytea_output",
        "synchronize_seqscans",
        "max_parallel_workers_per_gather",
        "application_name",
    ];
    let list: Vec<String> = names.iter().map(|n| format!("('{n}')")).collect();
    let model = sql(&format!("select n, current_setting(n) as v from (values {}) as s(n)", list.join(", ")));
    let settings = async |model: &Model| {
        let whole = scan(&*database.source, model, &["n", "v"], 1).await.expect("a scan");
        whole.records.iter().map(|r| r[1].to_text()).collect::<Vec<_>>()
    };
    let found = settings(&model).await;
    let pinned = ["on", "repeatable read", "UTC", "ISO, MDY", "postgres", "hex", "off", "0", &database.name];
    assert_eq!(found, pinned);
    assert_eq!(settings(&Model { parallel: true, ..model }).await[7], "7");
    database.drop().await;
}
