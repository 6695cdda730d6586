//! Files that were cut, or have other bytes: a scan of one may fail, but it never ends with other rows than the whole.

use std::sync::Arc;

use arrow_array::*;
use backhaul_kit::FaultClass;
use parquet::basic::Compression;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use proptest::prelude::*;

use super::{Lake, write_parquet};

const ROWS: i64 = 100;

/// A small Parquet file of several row groups and pages, with checksums where `checked`.
fn small() -> Vec<u8> {
    let ids: ArrayRef = Arc::new((0..ROWS).collect::<Int64Array>());
    let names: ArrayRef =
        Arc::new((0..ROWS).map(|n| (n % 7 > 0).then(|| format!("name {n}"))).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("id", ids), ("name", names)]).expect("a batch");
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(40))
        .set_data_page_row_count_limit(15)
        .set_write_batch_size(15)
        .set_compression(Compression::SNAPPY)
        .set_statistics_enabled(EnabledStatistics::None)
        .build();
    write_parquet(&[batch], Some(properties))
}

#[tokio::test]
async fn parquet_that_is_cut_anywhere_is_not_read_to_an_end() {
    let lake = Lake::new();
    let whole = small();
    lake.write("a.parquet", &whole);
    assert_eq!(lake.scan("a.parquet", &["id", "name"]).await.expect("a scan").records.len() as i64, ROWS);
    for length in 0..whole.len() {
        lake.write("a.parquet", &whole[..length]);
        let fault = lake.scan("a.parquet", &["id", "name"]).await.expect_err("cut");
        assert_eq!(fault.class, FaultClass::Transient, "{length}: {fault}");
        assert!(fault.to_string().starts_with("a.parquet: "), "{length}: {fault}");
    }
}

#[tokio::test]
async fn csv_that_is_cut_inside_of_a_row_is_not_read_to_an_end() {
    let lake = Lake::new();
    let text = "id,name\r\n1,\"a \"\"b\"\"\r\n\"\r\n\"2\",\n3,\u{fc}\n";
    lake.write("a.csv", text);
    assert_eq!(lake.scan("a.csv", &["id", "name"]).await.expect("a scan").records.len(), 3);
    let row_ends = [9, 24, 29, 34];
    assert!(row_ends.iter().all(|end| text.as_bytes()[end - 1] == b'\n'));
    for length in (0..text.len()).filter(|length| !row_ends.contains(length)) {
        lake.write("a.csv", &text.as_bytes()[..length]);
        let fault = lake.scan("a.csv", &["id", "name"]).await.expect_err("cut");
        assert_eq!(fault.class, FaultClass::Transient, "{length}: {fault}");
        assert!(fault.to_string().starts_with("a.csv: "), "{length}: {fault}");
    }
}

#[tokio::test]
async fn json_lines_that_are_cut_inside_of_a_line_are_not_read_to_an_end() {
    let lake = Lake::new();
    let text = "{\"id\":1,\"name\":\"a\\n\"}\n{\"id\":2,\"name\":null}\n";
    lake.write("a.jsonl", text);
    assert_eq!(lake.scan("a.jsonl", &["id", "name"]).await.expect("a scan").records.len(), 2);
    for length in (0..text.len()).filter(|length| *length != text.find("{\"id\":2").expect("a line")) {
        lake.write("a.jsonl", &text[..length]);
        let fault = lake.scan("a.jsonl", &["id", "name"]).await.expect_err("cut");
        assert_eq!(fault.class, FaultClass::Transient, "{length}: {fault}");
        assert!(fault.to_string().starts_with("a.jsonl: "), "{length}: {fault}");
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

proptest! {
    /// Bytes have no checksum where the writer made none, so that a flipped bit of a value can be a value; but the
    /// number of rows must be right, and nothing may panic.
    #[test]
    fn parquet_with_other_bytes_is_read_in_full_or_not_to_an_end(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let lake = Lake::new();
        let mut bytes = small();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        lake.write("a.parquet", &bytes);
        if let Ok(whole) = block_on(lake.scan("a.parquet", &["id", "name"])) {
            prop_assert_eq!(whole.records.len() as i64, ROWS);
        }
    }

    #[test]
    fn text_with_any_bytes_is_read_or_refused(bytes in prop::collection::vec(prop::sample::select(b"{}[]\":,\\\r\nn1ae\xc3".to_vec()), 0..60)) {
        let lake = Lake::new();
        lake.write("a.csv", [b"id,name\n", bytes.as_slice(), b"\n"].concat());
        lake.write("a.jsonl", [b"{\"id\":1}\n", bytes.as_slice(), b"\n"].concat());
        let _ = block_on(lake.scan("a.csv", &["id", "name"]));
        let _ = block_on(lake.scan("a.jsonl", &["id"]));
    }
}
