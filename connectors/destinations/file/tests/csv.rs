//! CSV is read back by a reader that knows nothing but RFC 4180.

use backhaul_kit::contract::row;
use backhaul_kit::nested::Nest;
use backhaul_kit::{Batch, FieldValue, Operation, Value};
use proptest::prelude::*;

use super::super::format::{Format, Layout};

/// One value as a reader of CSV sees it: `None` where nothing stands, not even quotes.
type Cell = Option<String>;

/// Records of RFC 4180: CRLF, commas, quotes doubled inside quotes. Panics on anything else.
fn parse(text: &str) -> Vec<Vec<Cell>> {
    let mut records = Vec::new();
    let mut record: Vec<Cell> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let cell = if let Some(quoted) = rest.strip_prefix('"') {
            let mut value = String::new();
            let mut chars = quoted.char_indices().peekable();
            let end = loop {
                let (at, c) = chars.next().expect("a quote is closed");
                match (c, chars.peek()) {
                    ('"', Some((_, '"'))) => {
                        chars.next();
                        value.push('"');
                    }
                    ('"', _) => break at + 1,
                    (c, _) => value.push(c),
                }
            };
            rest = &quoted[end..];
            Some(value)
        } else {
            let end = rest.find([',', '\r', '\n', '"']).expect("a record ends");
            let value = &rest[..end];
            rest = &rest[end..];
            (!value.is_empty()).then(|| value.to_owned())
        };
        record.push(cell);
        if let Some(more) = rest.strip_prefix(',') {
            rest = more;
        } else {
            rest = rest.strip_prefix("\r\n").expect("a record ends with CRLF");
            records.push(std::mem::take(&mut record));
        }
    }
    records
}

fn layout(columns: usize) -> Layout {
    let targets: Vec<String> = (0..columns).map(|n| format!("c,\"{n}")).collect();
    let nest = Nest::compile(&targets).expect("plain targets");
    Layout::new(Format::Csv, false, targets, &["id".into()], nest)
}

fn cell() -> impl Strategy<Value = Cell> {
    prop_oneof![Just(None), "[a-c,\"\r\n =é]{0,6}".prop_map(Some), any::<String>().prop_map(Some),]
}

proptest! {
    #[test]
    fn any_text_comes_back(rows in (2usize..5).prop_flat_map(|n| prop::collection::vec(prop::collection::vec(cell(), n), 0..8))) {
        let columns = rows.first().map_or(2, Vec::len);
        let layout = layout(columns);
        let batch_rows = rows.iter().enumerate().map(|(n, cells)| {
            let mut one = row(n as u64, n as i64, vec![Value::Null]);
            one.fields = cells.iter().map(|cell| FieldValue::Set(cell.clone().map_or(Value::Null, Value::Text))).collect();
            one
        });
        let batch = Batch { operation: Operation::Upsert, seq: 0, last: true, rows: batch_rows.collect() };
        let mut out = Vec::new();
        layout.head(&mut out);
        prop_assert_eq!(layout.write(&batch, &mut out), Ok(rows.len() as u64));
        let mut records = parse(std::str::from_utf8(&out).expect("UTF-8"));
        let head: Vec<Cell> = layout.columns().into_iter().map(|c| Some(c.to_owned())).collect();
        prop_assert_eq!(records.remove(0), head);
        prop_assert_eq!(records, rows);
    }
}

#[test]
fn a_single_empty_column_still_makes_a_record() {
    let batch = Batch { operation: Operation::Upsert, seq: 0, last: true, rows: vec![row(0, 1, vec![Value::Null])] };
    let mut out = Vec::new();
    assert_eq!(layout(1).write(&batch, &mut out), Ok(1));
    assert_eq!(out, b"\"\"\r\n");
}
