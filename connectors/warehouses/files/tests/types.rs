//! Parquet files with every type, from this writer and from others.

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::{Float16Type, Int32Type};
use arrow_array::*;
use arrow_buffer::i256;
use arrow_schema::extension::{Json, Uuid};
use arrow_schema::{DataType, Field, Schema};
use backhaul_kit::{FaultClass, Value};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{Int32Type as ParquetInt32, Int96, Int96Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use super::super::super::testing::text;
use super::{Lake, parquet_file, write_parquet};

fn decimal(text: &str) -> Value {
    Value::Decimal(text.into())
}

fn json(text: &str) -> Value {
    Value::Json(text.into())
}

fn uuids() -> ArrayRef {
    Arc::new(
        FixedSizeBinaryArray::try_from_sparse_iter_with_size([Some([9u8; 16]), None].into_iter(), 16).expect("uuids"),
    )
}

/// Each type once: the column, its class, and the value of the first of two rows; the second is NULL.
fn every_type() -> Vec<(&'static str, ArrayRef, &'static str, Value)> {
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("a"), None]);
    tags.append_null();
    let mut counts = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    counts.keys().append_value("k");
    counts.values().append_value(5);
    counts.append(true).expect("a row");
    counts.append(false).expect("a row");
    let member = Arc::new(Field::new("city", DataType::Utf8, true));
    let cities: ArrayRef = Arc::new(StringArray::from(vec![Some("Köln"), None]));
    let address = StructArray::new(vec![member].into(), vec![cities], Some(vec![true, false].into()));
    let dictionary: DictionaryArray<Int32Type> = [Some("pro"), None].into_iter().collect();
    let micros = 1_700_000_000_123_456;
    let zoned = |array: TimestampMicrosecondArray| array.with_timezone("Europe/Berlin");
    let column = |name, array: ArrayRef, class, value| (name, array, class, value);
    vec![
        column("bool", Arc::new(BooleanArray::from(vec![Some(true), None])), "boolean", Value::Bool(true)),
        column("int8", Arc::new(Int8Array::from(vec![Some(-8), None])), "integer", Value::Int(-8)),
        column("int16", Arc::new(Int16Array::from(vec![Some(-16), None])), "integer", Value::Int(-16)),
        column("int32", Arc::new(Int32Array::from(vec![Some(-32), None])), "integer", Value::Int(-32)),
        column("int64", Arc::new(Int64Array::from(vec![Some(i64::MIN), None])), "integer", Value::Int(i64::MIN)),
        column("uint8", Arc::new(UInt8Array::from(vec![Some(255), None])), "integer", Value::Int(255)),
        column(
            "uint32",
            Arc::new(UInt32Array::from(vec![Some(u32::MAX), None])),
            "integer",
            Value::Int(u32::MAX.into()),
        ),
        column(
            "uint64",
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None])),
            "integer",
            decimal("18446744073709551615"),
        ),
        column("float16", Arc::new(Float16Array::from(vec![Some(half(0.5)), None])), "float", Value::Float(0.5)),
        column("float32", Arc::new(Float32Array::from(vec![Some(0.1), None])), "float", Value::Float(0.1)),
        column("float64", Arc::new(Float64Array::from(vec![Some(1e300), None])), "float", Value::Float(1e300)),
        column(
            "decimal",
            Arc::new(Decimal128Array::from(vec![Some(-1250), None]).with_precision_and_scale(12, 2).expect("a scale")),
            "decimal",
            decimal("-12.50"),
        ),
        column(
            "wide decimal",
            Arc::new(
                Decimal256Array::from(vec![Some(i256::from_i128(i128::MAX)), None])
                    .with_precision_and_scale(60, 0)
                    .expect("a scale"),
            ),
            "decimal",
            decimal("170141183460469231731687303715884105727"),
        ),
        column("text", Arc::new(StringArray::from(vec![Some("ü"), None])), "text", text("ü")),
        column("large text", Arc::new(LargeStringArray::from(vec![Some(""), None])), "text", text("")),
        column(
            "text view",
            Arc::new(StringViewArray::from(vec![Some("longer than twelve bytes"), None])),
            "text",
            text("longer than twelve bytes"),
        ),
        column("dictionary", Arc::new(dictionary), "text", text("pro")),
        column(
            "bytes",
            Arc::new(BinaryArray::from(vec![Some(&b"\x00\xff"[..]), None])),
            "bytes",
            Value::Bytes(vec![0, 255]),
        ),
        column("date", Arc::new(Date32Array::from(vec![Some(-1), None])), "date", Value::Date(-1)),
        column("date64", Arc::new(Date64Array::from(vec![Some(86_400_000), None])), "date", Value::Date(1)),
        column("time", Arc::new(Time64MicrosecondArray::from(vec![Some(1), None])), "time", Value::Time(1)),
        column("time ms", Arc::new(Time32MillisecondArray::from(vec![Some(1), None])), "time", Value::Time(1_000)),
        column("time ns", Arc::new(Time64NanosecondArray::from(vec![Some(1_999), None])), "time", Value::Time(1)),
        column("zoned", Arc::new(zoned(vec![Some(micros), None].into())), "timestamp", Value::Timestamp(micros)),
        column(
            "local",
            Arc::new(TimestampMicrosecondArray::from(vec![Some(micros), None])),
            "local timestamp",
            Value::LocalTimestamp(micros),
        ),
        column(
            "local s",
            Arc::new(TimestampSecondArray::from(vec![Some(-1), None])),
            "local timestamp",
            Value::LocalTimestamp(-1_000_000),
        ),
        column(
            "local ms",
            Arc::new(TimestampMillisecondArray::from(vec![Some(1), None])),
            "local timestamp",
            Value::LocalTimestamp(1_000),
        ),
        column(
            "local ns",
            Arc::new(TimestampNanosecondArray::from(vec![Some(1_999), None])),
            "local timestamp",
            Value::LocalTimestamp(1),
        ),
        column(
            "span",
            Arc::new(DurationMillisecondArray::from(vec![Some(5), None])),
            "interval",
            Value::Interval { months: 0, days: 0, micros: 5_000 },
        ),
        column("tags", Arc::new(tags.finish()), "array of text", Value::Array(vec![text("a"), Value::Null])),
        column("address", Arc::new(address), "json", json("{\"city\":\"Köln\"}")),
        column("counts", Arc::new(counts.finish()), "json", json("{\"k\":5}")),
        column("nothing", Arc::new(NullArray::new(2)), "any", Value::Null),
    ]
}

fn half(f: f32) -> <Float16Type as ArrowPrimitiveType>::Native {
    <Float16Type as ArrowPrimitiveType>::Native::from_f32(f)
}

#[tokio::test]
async fn every_type_comes_back() {
    let lake = Lake::new();
    let columns = every_type();
    lake.write(
        "all.parquet",
        parquet_file(&columns.iter().map(|(name, array, ..)| (*name, array.clone())).collect::<Vec<_>>()),
    );
    let described: Vec<String> = columns.iter().map(|(name, _, class, _)| format!("{name}: {class}")).collect();
    assert_eq!(lake.columns("all.parquet").await, described);
    let names: Vec<&str> = columns.iter().map(|(name, ..)| *name).collect();
    // The key is a column of any type that can be one: here the first.
    let whole = lake.scan("all.parquet", &names).await.expect("a scan");
    let expected: Vec<Value> = columns.into_iter().map(|(.., value)| value).collect();
    assert_eq!(whole.records[0], expected);
    assert!(whole.records[1].iter().all(Value::is_null), "{:?}", whole.records[1]);
}

#[tokio::test]
async fn what_parquet_marks_as_uuid_or_json_is_that() {
    let lake = Lake::new();
    let fields = vec![
        Field::new("id", DataType::FixedSizeBinary(16), true).with_extension_type(Uuid),
        Field::new("document", DataType::Utf8, true).with_extension_type(Json::default()),
    ];
    let documents: ArrayRef = Arc::new(StringArray::from(vec![Some("{\"a\": 1}"), None]));
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![uuids(), documents]).expect("a batch");
    lake.write("a.parquet", write_parquet(&[batch], None));
    assert_eq!(lake.columns("a.parquet").await, ["id: uuid", "document: json"]);
    let whole = lake.scan("a.parquet", &["id", "document"]).await.expect("a scan");
    assert_eq!(whole.records[0], [Value::Uuid([9; 16]), json("{\"a\": 1}")]);
    assert_eq!(whole.keys, [Some("09090909-0909-0909-0909-090909090909".to_owned()), None]);
}

#[tokio::test]
async fn int96_keeps_dates_that_nanoseconds_cannot() {
    let lake = Lake::new();
    let schema = parse_message_type("message spark { required int32 id; optional int96 at; }").expect("a schema");
    let mut bytes = Vec::new();
    let mut file = SerializedFileWriter::new(&mut bytes, Arc::new(schema), Arc::default()).expect("a writer");
    let mut group = file.next_row_group().expect("a row group");
    let mut column = group.next_column().expect("no error").expect("a column");
    column.typed::<ParquetInt32>().write_batch(&[1, 2], None, None).expect("written");
    column.close().expect("closed");
    let mut column = group.next_column().expect("no error").expect("a column");
    // Nanoseconds of the day, then the Julian day: noon of 9999-12-31.
    let nanos = 43_200_000_000_000u64;
    let noon = Int96::from(vec![nanos as u32, (nanos >> 32) as u32, 2_440_588 + 2_932_896]);
    column.typed::<Int96Type>().write_batch(&[noon], Some(&[1, 0]), None).expect("written");
    column.close().expect("closed");
    group.close().expect("closed");
    file.close().expect("closed");
    lake.write("a.parquet", bytes);
    let whole = lake.scan("a.parquet", &["id", "at"]).await.expect("a scan");
    let noon = (2_932_896 * 86_400 + 43_200) * 1_000_000;
    assert_eq!(whole.records, [[Value::Int(1), Value::LocalTimestamp(noon)], [Value::Int(2), Value::Null]]);
}

#[tokio::test]
async fn codecs_row_groups_and_pages_make_no_difference() {
    let ids: ArrayRef = Arc::new((0..10_000).collect::<Int64Array>());
    let names: ArrayRef = Arc::new((0..10_000).map(|n| Some(format!("name {n}"))).collect::<StringArray>());
    let batch = RecordBatch::try_from_iter([("id", ids), ("name", names)]).expect("a batch");
    let mut found = Vec::new();
    for codec in [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ] {
        let lake = Lake::new();
        let properties = WriterProperties::builder()
            .set_compression(codec)
            .set_max_row_group_row_count(Some(1_000 + found.len() * 700))
            .set_data_page_row_count_limit(300)
            .build();
        lake.write("a.parquet", write_parquet(std::slice::from_ref(&batch), Some(properties)));
        let whole = lake.scan("a.parquet", &["name", "id"]).await.unwrap_or_else(|e| panic!("{codec}: {e}"));
        assert!(whole.pages > 2);
        assert_eq!(whole.records[9_999], [text("name 9999"), Value::Int(9_999)]);
        found.push(whole.digests);
    }
    assert!(found.iter().all(|digests| *digests == found[0]));
}

#[tokio::test]
async fn files_come_in_the_order_of_their_paths_and_agree_on_their_columns() {
    let lake = Lake::new();
    let file = |ids: Vec<i64>, names: Vec<Option<&str>>| {
        parquet_file(&[("id", Arc::new(Int64Array::from(ids))), ("name", Arc::new(StringArray::from(names)))])
    };
    lake.write("p/b.parquet", file(vec![3], vec![Some("c")]));
    lake.write("p/a.parquet", file(vec![1, 2], vec![Some("a"), None]));
    // Another order of columns, other widths, and a column of NULLs.
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![4]));
    lake.write("p/c.parquet", parquet_file(&[("name", Arc::new(NullArray::new(1))), ("id", ids.clone())]));
    let whole = lake.scan("p/*.parquet", &["id", "name"]).await.expect("a scan");
    let ids_of = |records: &[Vec<Value>]| records.iter().map(|record| record[0].clone()).collect::<Vec<_>>();
    assert_eq!(ids_of(&whole.records), [1, 2, 3, 4].map(Value::Int));
    assert_eq!(whole.records[3][1], Value::Null);

    for (columns, complaint) in [
        (vec![("id", ids.clone())], "p/d.parquet: has no column `name`, which p/a.parquet has"),
        (
            vec![("id", ids.clone()), ("name", ids.clone())],
            "p/d.parquet: column `name` is Int32, which does not go with Utf8 in p/a.parquet",
        ),
        (
            vec![("id", ids.clone()), ("name", ids.clone()), ("nick", ids.clone())],
            "p/d.parquet: has a column `nick`, which p/a.parquet has not",
        ),
    ] {
        lake.write("p/d.parquet", parquet_file(&columns));
        let fault = lake.refused("p/*.parquet").await;
        assert_eq!((fault.class, fault.to_string().as_str()), (FaultClass::Config, complaint));
    }
}

#[tokio::test]
async fn columns_that_cannot_be_told_apart_or_read_are_named() {
    let lake = Lake::new();
    let ids: ArrayRef = Arc::new(Int32Array::from(vec![4]));
    let fields = ["id", "x", "x"].map(|name| Field::new(name, DataType::Int32, true)).to_vec();
    let twice = RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![ids.clone(), ids.clone(), ids.clone()]);
    lake.write("twice.parquet", write_parquet(&[twice.expect("a batch")], None));
    let fault = lake.refused("twice.parquet").await;
    assert_eq!(fault.to_string(), "model `people` has more than one column named `x`");

    let odd: ArrayRef = Arc::new(IntervalDayTimeArray::from(vec![None]));
    lake.write("odd.parquet", parquet_file(&[("id", ids), ("shape", odd)]));
    assert_eq!(lake.columns("odd.parquet").await, ["id: integer", "shape: unsupported"]);
    // Nobody asks for that column.
    assert_eq!(lake.scan("odd.parquet", &["id"]).await.expect("a scan").records.len(), 1);
    let fault = lake.scan("odd.parquet", &["id", "shape"]).await.expect_err("an interval");
    assert!(fault.to_string().contains("column `shape` is an interval"), "{fault}");
    let fault = lake.scan("odd.parquet", &["id", "shap"]).await.expect_err("no such column");
    assert_eq!(fault.remedy_text(), "did you mean `shape`?");
}

#[tokio::test]
async fn a_file_without_rows_is_a_complete_scan() {
    let lake = Lake::new();
    lake.write("a.parquet", parquet_file(&[("id", Arc::new(Int32Array::from(Vec::<i32>::new())))]));
    assert_eq!(lake.scan("a.parquet", &["id"]).await.expect("a scan").records.len(), 0);
}

#[tokio::test]
async fn files_of_other_writers_have_the_same_rows_and_fingerprints() {
    let lake = Lake::new();
    lake.write("pyarrow.parquet", include_bytes!("peers/pyarrow.parquet"));
    lake.write("duckdb.parquet", include_bytes!("peers/duckdb.parquet"));
    lake.write("polars.parquet", include_bytes!("peers/polars.parquet"));
    let columns = ["id", "email", "note", "price", "at", "day", "active", "score", "tags", "address"];
    let types =
        ["integer", "text", "text", "decimal", "timestamp", "date", "boolean", "float", "array of text", "json"];
    let described: Vec<String> = columns.iter().zip(types).map(|(name, class)| format!("{name}: {class}")).collect();
    let at = 1_767_323_045_678_901;
    let list = |items: &[&str]| Value::Array(items.iter().map(|item| text(item)).collect());
    let rows = [
        vec![
            Value::Int(1),
            text("ann@example.com"),
            text(""),
            decimal("12.50"),
            Value::Timestamp(at),
            Value::Date(20_455),
            Value::Bool(true),
            Value::Float(0.1),
            list(&["a", "b"]),
            json(r#"{"city":"Köln","zip":"50667"}"#),
        ],
        vec![
            Value::Int(2),
            text("ben@example.com"),
            Value::Null,
            decimal("-0.01"),
            Value::Timestamp(-1),
            Value::Date(-1),
            Value::Bool(false),
            Value::Float(-2.5),
            list(&[]),
            json(r#"{"city":null,"zip":""}"#),
        ],
        [vec![Value::Int(3)], vec![Value::Null; 9]].concat(),
    ];
    let mut digests = Vec::new();
    for file in ["pyarrow.parquet", "duckdb.parquet", "polars.parquet"] {
        assert_eq!(lake.columns(file).await, described, "{file}");
        let whole = lake.scan(file, &columns).await.unwrap_or_else(|e| panic!("{file}: {e}"));
        assert_eq!(whole.records, rows, "{file}");
        digests.push(whole.digests);
    }
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}
