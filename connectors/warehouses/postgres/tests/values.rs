//! Values of every type, against what the server itself prints.

use backhaul_kit::{FaultClass, Scanned, TypeClass, Value, key};
use futures_util::StreamExt as _;
use sqlx::{AssertSqlSafe, Executor as _, Row as _};

use super::super::super::testing::{drain, pages, scan, sql, text};
use super::server::Database;

const TYPES: &str = "CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('sad', 'so; \"la'); \
    CREATE DOMAIN positive AS int CHECK (value > 0); CREATE DOMAIN tags AS text[]; CREATE TYPE pair AS (a int, b text)";

/// The value of one expression, and its column's class.
async fn value(database: &Database, expression: &str) -> (Value, TypeClass) {
    let model = sql(&format!("select 1 as k, ({expression}) as v"));
    let mut open = database.source.open(&model).await.unwrap_or_else(|e| panic!("{expression}: {e}"));
    let class = open.columns().await.expect("columns").columns[1].class.clone();
    let whole = drain(pages(open, &["k", "v"], 1)).await.unwrap_or_else(|e| panic!("{expression}: {e}"));
    (whole.records[0][1].clone(), class)
}

#[tokio::test]
async fn every_type_is_decoded() {
    let Some(database) = Database::of(TYPES).await else { return };
    let decimal = |t: &str| Value::Decimal(t.into());
    let array = |of: TypeClass| TypeClass::Array(Box::new(of));
    let cases = [
        ("true", Value::Bool(true), TypeClass::Bool),
        ("'-32768'::int2", Value::Int(-32_768), TypeClass::Integer),
        ("'-2147483648'::int4", Value::Int(-2_147_483_648), TypeClass::Integer),
        ("'9223372036854775807'::int8", Value::Int(i64::MAX), TypeClass::Integer),
        ("4294967295::oid", Value::Int(4_294_967_295), TypeClass::Integer),
        ("0.1::float4", Value::Float(0.1), TypeClass::Float),
        ("1e300::float8", Value::Float(1e300), TypeClass::Float),
        ("12.50::numeric", decimal("12.50"), TypeClass::Decimal),
        ("'é'::text", text("é"), TypeClass::Text),
        ("'ab'::varchar(5)", text("ab"), TypeClass::Text),
        ("'ab'::char(4)", text("ab  "), TypeClass::Text),
        ("'n'::name", text("n"), TypeClass::Text),
        ("'Ab'::citext", text("Ab"), TypeClass::Text),
        ("'so; \"la'::mood", text("so; \"la"), TypeClass::Text),
        ("'<a/>'::xml", text("<a/>"), TypeClass::Text),
        ("7::positive", Value::Int(7), TypeClass::Integer),
        ("'x'", text("x"), TypeClass::Text),
        ("'\\x00ff'::bytea", Value::Bytes(vec![0, 255]), TypeClass::Bytes),
        ("'2024-02-29'::date", Value::Date(19_782), TypeClass::Date),
        ("'1969-12-31'::date", Value::Date(-1), TypeClass::Date),
        ("'23:59:59.999999'::time", Value::Time(86_399_999_999), TypeClass::Time),
        ("'1970-01-01 00:00:01.5'::timestamp", Value::LocalTimestamp(1_500_000), TypeClass::LocalTimestamp),
        ("'1970-01-01 01:00:00+01'::timestamptz", Value::Timestamp(0), TypeClass::Timestamp),
        (
            "'14 mons -3 days 01:00:00.5'::interval",
            Value::Interval { months: 14, days: -3, micros: 3_600_500_000 },
            TypeClass::Interval,
        ),
        (
            "'00112233-4455-6677-8899-aabbccddeeff'::uuid",
            Value::Uuid([0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff]),
            TypeClass::Uuid,
        ),
        ("'{\"a\" : 1}'::json", Value::Json("{\"a\" : 1}".into()), TypeClass::Json),
        ("'{\"a\" : 1}'::jsonb", Value::Json("{\"a\": 1}".into()), TypeClass::Json),
        ("array[1, null, 3]", Value::Array(vec![Value::Int(1), Value::Null, Value::Int(3)]), array(TypeClass::Integer)),
        ("'{}'::text[]", Value::Array(vec![]), array(TypeClass::Text)),
        ("'{x}'::tags", Value::Array(vec![text("x")]), array(TypeClass::Text)),
        ("array['sad'::mood]", Value::Array(vec![text("sad")]), array(TypeClass::Text)),
        ("array[7::positive]", Value::Array(vec![Value::Int(7)]), array(TypeClass::Integer)),
        ("null::int", Value::Null, TypeClass::Integer),
        ("null::mood[]", Value::Null, array(TypeClass::Text)),
    ];
    for (expression, expected, class) in cases {
        assert_eq!(value(&database, expression).await, (expected, class), "{expression}");
    }
    let (nested, _) = value(&database, "array[[[1,2],[3,4]],[[5,6],[7,8]]]").await;
    assert_eq!(nested.to_json().to_string(), "[[[1,2],[3,4]],[[5,6],[7,8]]]");
    database.drop().await;
}

#[tokio::test]
async fn numbers_and_addresses_read_as_the_server_prints_them() {
    let Some(mut database) = Database::of("").await else { return };
    for expression in [
        "0::numeric",
        "0.000::numeric",
        "-0.0001::numeric",
        "10000::numeric",
        "-99999999.0001::numeric",
        "1e30::numeric",
        "1e-30::numeric",
        "123456789012345678901234567890.123456789::numeric",
        "0.00010000::numeric(20,8)",
        "100000000::numeric",
        "12345.6789::numeric(30,10)",
        "(2::numeric ^ 200)",
        "'10.0.0.1'::inet",
        "'10.0.0.1/8'::inet",
        "'10.0.0.0/8'::cidr",
        "'10.0.0.1/32'::cidr",
        "'::1'::inet",
        "'2001:db8::1:0:0:1/64'::inet",
        "'::ffff:1.2.3.4'::inet",
        "'::1.2.3.4'::inet",
        "'::2:3'::inet",
        "'::'::inet",
        "'2001:db8:0:1::/64'::cidr",
        "'1:0:2:0:3:0:4:0'::inet",
        "'08:00:2b:01:02:03'::macaddr",
        "'08:00:2b:01:02:03:04:05'::macaddr8",
    ] {
        // inet's cast to text always has its prefix; its output function does not.
        let printed = database.text(&format!("select (array_to_json(array[({expression})::text]) ->> 0)")).await;
        let printed = if expression.ends_with("inet") {
            database.text(&format!("select format('%s', {expression})")).await
        } else {
            printed
        };
        assert_eq!(value(&database, expression).await.0.to_text(), printed, "{expression}");
    }
    database.drop().await;
}

#[tokio::test]
async fn what_no_destination_can_take_is_invalid_and_the_rest_of_the_row_is_sound() {
    let Some(database) = Database::of("").await else { return };
    for expression in [
        "'NaN'::numeric",
        "'Infinity'::numeric",
        "'-Infinity'::numeric",
        "'NaN'::float8",
        "'-Infinity'::float4",
        "'infinity'::date",
        "'-infinity'::timestamp",
        "'infinity'::timestamptz",
        "'20000-01-01'::date",
        "'0044-03-15 BC'::date",
        "'20000-01-01'::timestamptz",
        "'24:00'::time",
        "array[1.5, 'NaN'::float8]",
    ] {
        let (found, _) = value(&database, expression).await;
        assert!(matches!(found, Value::Invalid(_)), "{expression}: {found:?}");
    }
    database.drop().await;
}

#[tokio::test]
async fn a_type_that_cannot_be_read_is_named_when_it_is_used() {
    let Some(database) = Database::of(TYPES).await else { return };
    for (expression, native) in [
        ("'(1,2)'::point", "point"),
        ("int4range(1, 2)", "int4range"),
        ("row(1, 'x')::pair", "pair"),
        ("array[row(1, 'x')::pair]", "pair[]"),
        ("'1'::money", "money"),
        ("'12:00+01'::timetz", "timetz"),
        ("to_tsvector('a')", "tsvector"),
    ] {
        let model = sql(&format!("select 1 as k, ({expression}) as v"));
        let whole = scan(&*database.source, &model, &["k"], 1).await.expect("the column is not used");
        assert_eq!(whole.records, [[Value::Int(1)]]);
        let fault = scan(&*database.source, &model, &["k", "v"], 1).await.expect_err("the column is used");
        assert_eq!(fault.class, FaultClass::Config);
        assert_eq!(fault.to_string(), format!("column `v` has type {native}, which cannot be read"));
    }
    database.drop().await;
}

#[tokio::test]
async fn a_key_is_the_same_whatever_type_holds_it() {
    let Some(database) = Database::of("").await else { return };
    let key_of = async |expression: &str| {
        let model = sql(&format!("select ({expression}) as k, 'x'::text as v"));
        let whole =
            scan(&*database.source, &model, &["k", "v"], 1).await.unwrap_or_else(|e| panic!("{expression}: {e}"));
        assert_eq!(whole.digests[0].key.0 == 0, whole.keys[0].is_none());
        (whole.digests[0].key, whole.keys[0].clone(), key::encode(&[&whole.records[0][0]]).ok())
    };
    let forty_two = key_of("42::int2").await;
    for same in ["42::int4", "42::int8", "42::numeric", "42.000::numeric", "42::oid"] {
        assert_eq!(key_of(same).await, forty_two, "{same}");
    }
    assert_ne!(key_of("'42'::text").await.0, forty_two.0);
    assert_eq!(key_of("'a'::text").await, key_of("'a'::varchar").await);
    assert_eq!(key_of("'10.0.0.1'::inet").await, key_of("'10.0.0.1'::text").await);
    assert_eq!(key_of("null::int").await.1, None);
    for refused in ["1.5::float8", "'{}'::jsonb", "array[1]", "'1 day'::interval"] {
        let fault = scan(&*database.source, &sql(&format!("select {refused} as k")), &["k"], 1).await;
        assert_eq!(fault.expect_err("no key").class, FaultClass::Config, "{refused}");
    }
    database.drop().await;
}

#[tokio::test]
async fn a_type_that_was_made_again_changes_no_fingerprint() {
    let make =
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE TABLE t AS SELECT 1 AS id, array['ok'::mood, null] AS moods";
    let Some(mut database) = Database::of(make).await else { return };
    let model = sql("select id, moods from t");
    let before = scan(&*database.source, &model, &["id", "moods"], 1).await.expect("a scan");
    let again = format!("DROP TABLE t; DROP TYPE mood; {make}");
    database.admin.execute(sqlx::raw_sql(AssertSqlSafe(again))).await.expect("made again");
    let after = scan(&*database.source, &model, &["id", "moods"], 1).await.expect("a scan");
    assert_eq!(before.digests, after.digests);
    database.admin.execute("UPDATE t SET moods = array['sad'::mood, null]").await.expect("updated");
    let changed = scan(&*database.source, &model, &["id", "moods"], 1).await.expect("a scan");
    assert_eq!(changed.digests[0].key, after.digests[0].key);
    assert_ne!(changed.digests[0].fingerprint, after.digests[0].fingerprint);
    database.drop().await;
}

#[tokio::test]
async fn a_hundred_thousand_rows_are_what_the_server_says() {
    let rows = 100_000;
    let Some(mut database) = Database::of(&format!(
        "SELECT setseed(0.5); CREATE TABLE t AS SELECT i::int8 AS id, gen_random_uuid() AS u, \
            round((random() * 1e9 - 5e8)::numeric, (i % 7)) AS n, (random() * 1e6)::float8 AS f, \
            CASE WHEN i % 10 <> 0 THEN repeat('ä', i % 50) END AS s, '2000-01-01'::date + i AS d, \
            '2020-01-01'::timestamptz + i * interval '1.000001 s' AS ts, array[i, null, -i] AS a, \
            jsonb_build_object('i', i, 's', chr(65 + i % 26)) AS j, i % 3 = 0 AS b \
        FROM generate_series(1, {rows}) AS i"
    ))
    .await
    else {
        return;
    };
    let columns = ["id", "u", "n", "f", "s", "d", "ts", "a", "j", "b"];
    let open = database.source.open(&sql("select * from t order by id")).await.expect("open");
    let mut scanned = pages(open, &columns, 1);
    let mut printed = sqlx::query(
        "SELECT id::text, u::text, n::text, f::text, s, d::text, (extract(epoch FROM ts) * 1000000)::int8::text, \
            array_to_json(a)::text, j::text, b::text FROM t ORDER BY t.id",
    )
    .fetch(&mut database.admin);
    let mut count = 0;
    while let Some(item) = scanned.next().await {
        let page = match item.expect("a page") {
            Scanned::Page(page) => page,
            Scanned::End { rows, .. } => {
                assert_eq!(rows, count);
                continue;
            }
        };
        for row in 0..page.rows() {
            let record = page.record(row).expect("a record");
            let server = printed.next().await.expect("a row").expect("a row");
            for (i, value) in record.iter().enumerate() {
                let expected: Option<String> = server.try_get(i).expect("text");
                let found = match value {
                    Value::Null => None,
                    Value::Timestamp(micros) => Some(micros.to_string()),
                    // The server prints the shortest text that reads back as the same double.
                    Value::Float(f) => {
                        assert_eq!(expected.as_deref().map(str::parse), Some(Ok(*f)));
                        continue;
                    }
                    value => Some(value.to_text()),
                };
                assert_eq!(found, expected, "row {count}, column {}", columns[i]);
            }
            count += 1;
        }
    }
    assert_eq!(count, rows);
    drop(printed);
    database.drop().await;
}
