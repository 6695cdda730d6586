//! CSV and JSON lines.

use backhaul_kit::{FaultClass, KeyHash, Value};

use super::super::super::testing::text;
use super::Lake;

fn json(text: &str) -> Value {
    Value::Json(text.into())
}

fn number(text: &str) -> Value {
    Value::Number(text.into())
}

#[tokio::test]
async fn csv_is_text_and_nothing_at_all_is_null() {
    let lake = Lake::new();
    // A byte order mark, both line ends, quotes, a line break in quotes.
    let file = "\u{feff}id,\"full name\",note\r\n1,Ann,007\n2,\"\",\n3,\"a \"\"b\"\", c\",\"1\n2\"\r\n4,ü,null\n";
    lake.write("a.csv", file);
    assert_eq!(lake.columns("a.csv").await, ["id: text", "full name: text", "note: text"]);
    let whole = lake.scan("a.csv", &["id", "note", "full name"]).await.expect("a scan");
    assert_eq!(
        whole.records,
        [
            [text("1"), text("007"), text("Ann")],
            [text("2"), Value::Null, text("")],
            [text("3"), text("1\n2"), text("a \"b\", c")],
            [text("4"), text("null"), text("ü")],
        ]
    );
    assert_eq!(whole.keys[0].as_deref(), Some("1"));
}

#[tokio::test]
async fn a_csv_of_one_column_and_one_of_no_rows() {
    let lake = Lake::new();
    lake.write("one.csv", "id\n\n\"\"\nx\n");
    let whole = lake.scan("one.csv", &["id"]).await.expect("a scan");
    assert_eq!(whole.records, [[Value::Null], [text("")], [text("x")]]);
    assert_eq!(whole.digests[0].key, KeyHash::NULL);
    lake.write("none.csv", "id,name\n");
    assert_eq!(lake.scan("none.csv", &["id"]).await.expect("a scan").records.len(), 0);
}

#[tokio::test]
async fn csv_that_is_none_is_refused_with_its_line() {
    let lake = Lake::new();
    for (file, complaint) in [
        ("", "a.csv: is empty: a CSV file without rows still has its header"),
        ("id,\n", "a.csv: line 1: column 2 has no name"),
        ("id,name\n1,x\n2\n", "a.csv: line 3: has 1 values, but the header has 2 names"),
        ("id,name\n1,\"x\ny\"\n2,x,\n", "a.csv: line 4: has 3 values, but the header has 2 names"),
        ("id,name\n1,5\" pipe\n", "a.csv: line 2: a quote stands inside of a value"),
        ("id,name\n1,\"x\"y\n", "a.csv: line 2: a quote stands inside of a value"),
        ("id,name\n1,x\ry\n", "a.csv: line 2: a carriage return stands outside of quotes"),
        ("id,name\n1,\"x\n", "a.csv: line 3: a quote is still open at the end of the file"),
        ("id,name\n1,x", "a.csv: line 2: the last line is not ended"),
    ] {
        lake.write("a.csv", file);
        let fault = lake.scan("a.csv", &["id", "name"]).await.map(|whole| whole.records).expect_err(file);
        assert_eq!(fault.class, FaultClass::Transient);
        assert!(fault.to_string().starts_with(complaint), "{file}: {fault}");
    }
    lake.write("a.csv", b"id,name\n1,M\xfcller\n");
    let fault = lake.scan("a.csv", &["id", "name"]).await.expect_err("Latin-1");
    assert_eq!(fault.to_string(), "a.csv: line 2: column `name` is not UTF-8");
    lake.write("a.csv", "id,id\n");
    assert_eq!(lake.refused("a.csv").await.class, FaultClass::Config);
}

#[tokio::test]
async fn many_rows_of_csv_come_in_several_pages() {
    let lake = Lake::new();
    let rows: String = (0..20_000).map(|n| format!("{n},\"name {n}\"\n")).collect();
    lake.write("a.csv", format!("id,name\n{rows}"));
    let whole = lake.scan("a.csv", &["id", "name"]).await.expect("a scan");
    assert!(whole.pages > 3, "{}", whole.pages);
    for (n, record) in whole.records.iter().enumerate() {
        assert_eq!(record, &[text(&n.to_string()), text(&format!("name {n}"))]);
    }
}

#[tokio::test]
async fn values_of_json_have_their_own_types() {
    let lake = Lake::new();
    let lines = [
        r#"{"id": 1, "v": "a\u00fc\n", "tags": ["x", null, 5, {"k": [1]}], "more": {"b" : 1, "a": []}}"#,
        r#"{"more":null,"tags":[],"id":9007199254740993,"v":12.50}"#,
        r#" { "id" : 3 , "v" : true , "tags" : "" , "more" : 1e3 } "#,
        r#"{"id":-4,"v":123456789012345678901234567890,"tags":false,"more":null}"#,
    ];
    lake.write("a.ndjson", lines.join("\r\n") + "\n");
    assert_eq!(lake.columns("a.ndjson").await, ["id: any", "v: any", "tags: any", "more: any"]);
    let whole = lake.scan("a.ndjson", &["id", "v", "tags", "more"]).await.expect("a scan");
    let list = Value::Array(vec![text("x"), Value::Null, Value::Int(5), json(r#"{"k": [1]}"#)]);
    assert_eq!(
        whole.records,
        [
            [Value::Int(1), text("aü\n"), list, json(r#"{"b" : 1, "a": []}"#)],
            [Value::Int(9_007_199_254_740_993), number("12.50"), Value::Array(vec![]), Value::Null],
            [Value::Int(3), Value::Bool(true), text(""), Value::Float(1000.0)],
            [Value::Int(-4), number("123456789012345678901234567890"), Value::Bool(false), Value::Null],
        ]
    );
    assert_eq!(whole.keys[1].as_deref(), Some("9007199254740993"));
}

#[tokio::test]
async fn lines_that_are_no_such_object_are_refused_and_not_echoed() {
    let lake = Lake::new();
    for (second, complaint) in [
        (r#"{"id":2}"#, "line 2 has no member `name`"),
        (r#"{"id":2,"name":null,"mail":"canary"}"#, "line 2 has a member `mail`, which the first line has not"),
        (r#"{"id":2,"name":"canary","id":2}"#, "line 2 has `id` twice"),
        (r#"{"id":2,"name":"\ud800 canary"}"#, "line 2 `name` is not Unicode text"),
        (r#"["canary"]"#, "line 2 is not a JSON object"),
        (r#""canary""#, "line 2 is not a JSON object"),
        ("4711", "line 2 is not a JSON object"),
        ("", "line 2 is not JSON from column"),
        (r#"{"id":2,"name":canary}"#, "line 2 is not JSON from column 16 on"),
        (r#"{"id":2,"name":"canary"} {}"#, "line 2 is not JSON from column 26 on"),
    ] {
        lake.write("a.jsonl", format!("{{\"id\":1,\"name\":\"x\"}}\n{second}\n"));
        let fault = lake.scan("a.jsonl", &["id", "name"]).await.map(|whole| whole.records).expect_err(second);
        let is_json = complaint.starts_with("line 2 has") || complaint.starts_with("line 2 `");
        assert_eq!(fault.class, if is_json { FaultClass::Config } else { FaultClass::Transient });
        assert!(fault.to_string().starts_with(&format!("a.jsonl: {complaint}")), "{second}: {fault}");
        assert!(!format!("{fault:?}").contains("canary"), "{fault:?}");
    }
    lake.write("a.jsonl", b"{\"id\":1,\"name\":\"\xfc\"}\n");
    assert_eq!(lake.refused("a.jsonl").await.to_string(), "a.jsonl: line 1 is not UTF-8");
    lake.write("a.jsonl", "");
    assert!(lake.refused("a.jsonl").await.to_string().starts_with("a.jsonl: is empty"));
}

#[tokio::test]
async fn a_float_in_json_is_no_key() {
    let lake = Lake::new();
    lake.write("a.jsonl", "{\"id\":1}\n{\"id\":1e5}\n");
    let fault = lake.scan("a.jsonl", &["id"]).await.expect_err("a float");
    assert_eq!(fault.to_string(), "key `id` has a floating-point value");
}

#[tokio::test]
async fn a_row_without_end_is_refused_before_it_fills_the_memory() {
    let lake = Lake::new();
    let endless = "x".repeat((16 << 20) + (1 << 18));
    lake.write("a.csv", format!("id\n{endless}\n"));
    let fault = lake.scan("a.csv", &["id"]).await.map(|whole| whole.pages).expect_err("too long");
    assert_eq!(fault.to_string(), "a.csv: line 2: a row is longer than 16 MiB");
    lake.write("a.jsonl", format!("{{\"id\":1}}\n{{\"id\":\"{endless}\"}}\n"));
    let fault = lake.scan("a.jsonl", &["id"]).await.map(|whole| whole.pages).expect_err("too long");
    assert_eq!(fault.to_string(), "a.jsonl: line 2 is longer than 16 MiB");
}

#[tokio::test]
async fn text_files_of_one_model_have_the_same_columns() {
    let lake = Lake::new();
    lake.write("p/1.csv", "id,name\n1,a\n");
    lake.write("p/2.csv", "name,id\nb,2\n");
    let whole = lake.scan("p/*.csv", &["id", "name"]).await.expect("a scan");
    assert_eq!(whole.records, [[text("1"), text("a")], [text("2"), text("b")]]);
    lake.write("p/3.csv", "name,ID\nb,2\n");
    let fault = lake.refused("p/*.csv").await;
    assert_eq!(fault.to_string(), "p/3.csv: has a column `ID`, which p/1.csv has not");
}
