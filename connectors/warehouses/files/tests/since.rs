//! Rows since a moment.

use std::sync::Arc;

use arrow_array::{Int64Array, StringArray, TimestampMicrosecondArray};
use backhaul_kit::{Scanned, Since, Value};
use futures_util::StreamExt as _;

use super::super::super::testing::{drain, pages};
use super::*;

/// 2026-11-01T08:00:00Z.
const FROM: i64 = 1_793_520_000_000_000;

/// The keys of the rows since then, and those of `open`; key is the first column, moment the second.
async fn since(lake: &Lake, files: &str, from: Option<i64>, open: Vec<Vec<Value>>) -> Vec<String> {
    let since = Since { column: "at".into(), from, key: vec!["id".into()], keys: open };
    let model = Model { since: Some(since), ..model(files) };
    let open = lake.source.open(&model).await.expect("open");
    let whole = drain(pages(open, &["id", "at", "name"], 1)).await.expect("a scan");
    for (key, record) in whole.keys.iter().zip(&whole.records) {
        assert_eq!(key.as_deref(), Some(record[0].to_text().as_str()), "a row's key is its own");
    }
    whole.keys.into_iter().map(|key| key.expect("a key")).collect()
}

#[tokio::test]
async fn texts_are_compared_as_the_moments_that_they_say() {
    let lake = Lake::new();
    let times = [
        "2026-11-01T08:00:00Z",
        "2026-11-01 07:59:59.999999",
        "2026-11-01 08:00",
        "2026-11-01T09:30:00+02:00",
        "2026-11-01T06:30:00-02:00",
        "2026-11-02",
        "2026-11-01",
        "soon",
        "",
        "1793520001",
    ];
    let rows: Vec<String> = (1..).zip(times).map(|(id, at)| format!("{id},{at},n{id}\n")).collect();
    lake.write("a.csv", format!("id,at,name\n{}", rows.concat()));
    // Those without a moment come always: 8 to 10.
    assert_eq!(since(&lake, "a.csv", Some(FROM), Vec::new()).await, ["1", "3", "5", "6", "8", "9", "10"]);
    let open = vec![vec![Value::Text("7".into())], vec![Value::Text("11".into())]];
    assert_eq!(since(&lake, "a.csv", Some(FROM), open).await, ["1", "3", "5", "6", "7", "8", "9", "10"]);
    assert_eq!(since(&lake, "a.csv", None, Vec::new()).await.len(), 10);
    assert_eq!(since(&lake, "a.csv", Some(i64::MAX), Vec::new()).await, ["8", "9", "10"]);
}

#[tokio::test]
async fn files_of_every_kind_are_read_and_a_file_without_new_rows_is_no_hole() {
    let lake = Lake::new();
    let line = |id: i64, at: &str| format!("{{\"id\":{id},\"at\":\"{at}\",\"name\":\"n\"}}\n");
    lake.write("lines/a.jsonl", line(1, "2020-01-01") + &line(2, "2020-01-02"));
    lake.write("lines/b.jsonl", line(3, "2026-12-01") + &line(4, "2020-01-02"));
    let open = vec![vec![Value::Int(4)]];
    assert_eq!(since(&lake, "lines/*.jsonl", Some(FROM), open.clone()).await, ["3", "4"]);
    assert!(since(&lake, "lines/a.jsonl", Some(FROM), open.clone()).await.is_empty());

    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(1..=4));
    let at: ArrayRef =
        Arc::new(TimestampMicrosecondArray::from(vec![Some(FROM - 1), Some(FROM), None, Some(0)]).with_timezone("UTC"));
    let names: ArrayRef = Arc::new(StringArray::from(vec!["a", "b", "c", "d"]));
    lake.write("a.parquet", parquet_file(&[("id", ids), ("at", at), ("name", names)]));
    assert_eq!(since(&lake, "a.parquet", Some(FROM), open).await, ["2", "3", "4"]);
}

#[tokio::test]
async fn a_part_of_the_rows_proves_nothing_of_the_others() {
    let lake = Lake::new();
    lake.write("a.csv", "id,at,name\n1,2020-01-01,a\n");
    for from in [None, Some(FROM)] {
        let since = Since { column: "at".into(), from, key: vec!["id".into()], keys: Vec::new() };
        let open = lake.source.open(&Model { since: Some(since), ..model("a.csv") }).await.expect("open");
        let mut pages = pages(open, &["id", "at"], 1);
        let mut proofs = Vec::new();
        while let Some(scanned) = pages.next().await {
            if let Scanned::End { proof, .. } = scanned.expect("scanned") {
                proofs.push(proof.is_of_all());
            }
        }
        assert_eq!(proofs, [false]);
    }
}
