//! Columns of every type: what they mean, how they are hashed, what keys they make.

mod forms;
mod golden;

use std::sync::Arc;

use arrow_array::builder::{Int32Builder, ListBuilder, MapBuilder, StringBuilder};
use arrow_array::types::Int8Type;
use arrow_array::*;
use arrow_buffer::{NullBuffer, i256};
use arrow_schema::extension::{Json, Uuid};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use backhaul_kit::{FaultClass, KeyHash, RowDigest, RowPage as _, TypeClass, Value, key};

use super::{ArrowPage, Form, Layout};

const SEED: u64 = 7;

fn batch(columns: &[ArrayRef]) -> RecordBatch {
    let field = |(at, array): (usize, &ArrayRef)| Field::new(format!("c{at}"), array.data_type().clone(), true);
    let fields: Vec<Field> = columns.iter().enumerate().map(field).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns.to_vec()).expect("a batch")
}

fn page_of(batch: &RecordBatch, key: &[usize]) -> ArrowPage {
    let schema = batch.schema();
    let layout = Layout::new(schema.fields().iter().map(AsRef::as_ref), key.to_vec(), SEED).expect("a layout");
    ArrowPage::new(batch.clone(), Arc::new(layout))
}

fn page(columns: &[ArrayRef], key: &[usize]) -> ArrowPage {
    page_of(&batch(columns), key)
}

fn digests(page: &ArrowPage) -> Vec<RowDigest> {
    let mut out = Vec::new();
    page.digest(&mut out).expect("digests");
    out
}

fn fingerprints(columns: &[ArrayRef]) -> Vec<u64> {
    digests(&page(columns, &[])).iter().map(|digest| digest.fingerprint).collect()
}

/// The fingerprints of a column beside a key.
fn of_column(column: ArrayRef) -> Vec<u64> {
    let keys = Arc::new(Int64Array::from(vec![1; column.len()]));
    fingerprints(&[keys, column])
}

/// The values of a column.
fn values(column: ArrayRef) -> Vec<Value> {
    values_of(Field::new("c", column.data_type().clone(), true), column)
}

fn values_of(field: Field, column: ArrayRef) -> Vec<Value> {
    let rows = column.len();
    let batch = RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![column]).expect("a batch");
    let page = page_of(&batch, &[]);
    (0..rows).map(|row| page.record(row).expect("a record").remove(0)).collect()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn decimal(text: &str) -> Value {
    Value::Decimal(text.into())
}

fn json(text: &str) -> Value {
    Value::Json(text.into())
}

fn is_invalid(value: &Value) -> bool {
    matches!(value, Value::Invalid(_))
}

#[test]
fn columns_that_are_only_looked_at_change_no_digest() {
    let (id, name) =
        (|| Arc::new(Int64Array::from(vec![1])), |of: &str| Arc::new(StringArray::from(vec![of.to_owned()])));
    let of = |name: ArrayRef, loaded: &str| {
        let batch = batch(&[id(), name, Arc::new(StringArray::from(vec![loaded.to_owned()]))]);
        let schema = batch.schema();
        let layout = Layout::new(schema.fields().iter().map(AsRef::as_ref), vec![0], SEED).expect("a layout");
        let page = ArrowPage::new(batch, Arc::new(layout.fingerprinting(2)));
        assert_eq!(page.value(0, 2).expect("a value"), text(loaded));
        digests(&page)
    };
    let plain = digests(&page(&[id(), name("x")], &[0]));
    assert_eq!(of(name("x"), "now"), plain);
    assert_eq!(of(name("x"), "then"), plain);
    assert_ne!(of(name("y"), "now"), plain);
}

#[test]
fn numbers_keep_their_value() {
    assert_eq!(values(Arc::new(BooleanArray::from(vec![Some(true), None]))), [Value::Bool(true), Value::Null]);
    assert_eq!(values(Arc::new(Int8Array::from(vec![-128]))), [Value::Int(-128)]);
    assert_eq!(values(Arc::new(UInt32Array::from(vec![u32::MAX]))), [Value::Int(u32::MAX.into())]);
    assert_eq!(
        values(Arc::new(UInt64Array::from(vec![u64::MAX, 5]))),
        [decimal("18446744073709551615"), Value::Int(5)]
    );
    assert_eq!(values(Arc::new(Float32Array::from(vec![0.1]))), [Value::Float(0.1)]);
    let doubles = values(Arc::new(Float64Array::from(vec![-0.5, f64::NAN, f64::INFINITY])));
    assert_eq!(doubles[0], Value::Float(-0.5));
    assert!(doubles[1..].iter().all(is_invalid));
}

#[test]
fn decimals_have_all_digits_of_their_scale() {
    let of = |numbers: Vec<i128>, scale: i8| {
        let array = Decimal128Array::from(numbers).with_precision_and_scale(38, scale).expect("a scale");
        values(Arc::new(array))
    };
    assert_eq!(of(vec![1250, -5, 0], 2), [decimal("12.50"), decimal("-0.05"), decimal("0.00")]);
    assert_eq!(of(vec![12, 0], -2), [decimal("1200"), decimal("0")]);
    assert_eq!(of(vec![i128::MAX], 0), [decimal("170141183460469231731687303715884105727")]);
    let wide = Decimal256Array::from(vec![i256::MAX, i256::from(-1)]).with_precision_and_scale(76, 3).expect("a scale");
    let wide = values(Arc::new(wide));
    let digits = i256::MAX.to_string();
    assert_eq!(wide[0], decimal(&format!("{}.{}", &digits[..digits.len() - 3], &digits[digits.len() - 3..])));
    assert_eq!(wide[1], decimal("-0.001"));
}

#[test]
fn times_are_microseconds() {
    let micros = 1_700_000_000_123_456;
    let in_zone = |array: TimestampMicrosecondArray| values(Arc::new(array.with_timezone("Europe/Berlin")));
    assert_eq!(in_zone(vec![micros].into()), [Value::Timestamp(micros)]);
    assert_eq!(
        values(Arc::new(TimestampNanosecondArray::from(vec![micros * 1000 + 999, -1]))),
        [Value::LocalTimestamp(micros), Value::LocalTimestamp(-1)]
    );
    assert_eq!(values(Arc::new(TimestampSecondArray::from(vec![2]))), [Value::LocalTimestamp(2_000_000)]);
    assert!(is_invalid(&values(Arc::new(TimestampSecondArray::from(vec![i64::MAX])))[0]));
    assert_eq!(values(Arc::new(Date32Array::from(vec![-1, 2_932_896]))), [Value::Date(-1), Value::Date(2_932_896)]);
    assert_eq!(values(Arc::new(Date64Array::from(vec![86_400_000 * 3]))), [Value::Date(3)]);
    assert!(is_invalid(&values(Arc::new(Date32Array::from(vec![2_932_897])))[0]));
    assert_eq!(values(Arc::new(Time32SecondArray::from(vec![1]))), [Value::Time(1_000_000)]);
    assert_eq!(values(Arc::new(Time64NanosecondArray::from(vec![1_999]))), [Value::Time(1)]);
    assert!(is_invalid(&values(Arc::new(Time64MicrosecondArray::from(vec![86_400_000_000])))[0]));
    let span = |micros| Value::Interval { months: 0, days: 0, micros };
    assert_eq!(values(Arc::new(DurationMillisecondArray::from(vec![5, -5]))), [span(5_000), span(-5_000)]);
}

#[test]
fn texts_bytes_and_what_is_marked_as_more() {
    assert_eq!(
        values(Arc::new(StringViewArray::from(vec![Some("ü"), Some(""), None]))),
        [text("ü"), text(""), Value::Null]
    );
    assert_eq!(values(Arc::new(LargeBinaryArray::from(vec![&b"\x00\xff"[..]]))), [Value::Bytes(vec![0, 255])]);
    let dictionary: DictionaryArray<Int8Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    assert_eq!(values(Arc::new(dictionary)), [text("a"), Value::Null, text("b"), text("a")]);

    let documents = Field::new("c", DataType::Utf8, true).with_extension_type(Json::default());
    assert_eq!(Form::of(&documents).class(), TypeClass::Json);
    assert_eq!(values_of(documents, Arc::new(StringArray::from(vec!["{\"a\": 1}"]))), [json("{\"a\": 1}")]);
    let uuids = FixedSizeBinaryArray::try_from_iter([[9u8; 16]].into_iter()).expect("an array");
    let marked = Field::new("c", DataType::FixedSizeBinary(16), true).with_extension_type(Uuid);
    assert_eq!(values_of(marked, Arc::new(uuids.clone())), [Value::Uuid([9; 16])]);
    assert_eq!(values(Arc::new(uuids)), [Value::Bytes(vec![9; 16])]);
    assert_eq!(values(Arc::new(NullArray::new(1))), [Value::Null]);
}

/// `[1, null, 3]`, `[]`, null, `[4]`.
fn list() -> ListArray {
    let mut builder = ListBuilder::new(Int32Builder::new());
    builder.append_value([Some(1), None, Some(3)]);
    builder.append_value([]);
    builder.append_null();
    builder.append_value([Some(4)]);
    builder.finish()
}

/// `{"a": 1, "b": ["x"]}` and others.
fn structs() -> StructArray {
    let mut tags = ListBuilder::new(StringBuilder::new());
    tags.append_value([Some("x")]);
    tags.append_null();
    tags.append_value([Some("y"), Some("\"")]);
    let tags = tags.finish();
    let fields =
        Fields::from(vec![Field::new("a", DataType::Int32, true), Field::new("b", tags.data_type().clone(), true)]);
    let columns: Vec<ArrayRef> = vec![Arc::new(Int32Array::from(vec![1, 2, 3])), Arc::new(tags)];
    StructArray::new(fields, columns, Some(NullBuffer::from(vec![true, true, false])))
}

fn map(rows: &[&[(&str, i32)]]) -> MapArray {
    let mut builder = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    for row in rows {
        for (name, number) in *row {
            builder.keys().append_value(name);
            builder.values().append_value(*number);
        }
        builder.append(true).expect("a row");
    }
    builder.finish()
}

#[test]
fn nested_values_become_lists_and_json() {
    let expected = [
        Value::Array(vec![Value::Int(1), Value::Null, Value::Int(3)]),
        Value::Array(vec![]),
        Value::Null,
        Value::Array(vec![Value::Int(4)]),
    ];
    assert_eq!(values(Arc::new(list())), expected);
    assert_eq!(values(Arc::new(list().slice(3, 1))), expected[3..]);
    assert_eq!(values(Arc::new(structs())), [json(r#"{"a":1,"b":["x"]}"#), json(r#"{"a":2,"b":null}"#), Value::Null]);
    assert_eq!(values(Arc::new(map(&[&[("k", 1), ("l", 2)], &[]]))), [json(r#"{"k":1,"l":2}"#), json("{}")]);
    assert!(is_invalid(&values(Arc::new(map(&[&[("k", 1), ("k", 2)]])))[0]));
    let infinite = Float64Array::from(vec![1.0, f64::INFINITY]);
    let item = Arc::new(Field::new("item", DataType::Float64, true));
    let infinite = FixedSizeListArray::new(item, 2, Arc::new(infinite), None);
    assert!(is_invalid(&values(Arc::new(infinite))[0]));
}

#[test]
fn what_cannot_be_read_is_refused_with_its_name() {
    let refused = |of: DataType| {
        let field = Field::new("shape", of, true);
        assert_eq!(Form::of(&field).class(), TypeClass::Unsupported);
        Layout::new([&field], vec![], SEED).expect_err("refused").to_string()
    };
    let interval = DataType::Interval(arrow_schema::IntervalUnit::MonthDayNano);
    assert!(refused(interval.clone()).starts_with("column `shape` is an interval (Interval"));
    refused(DataType::List(Arc::new(Field::new("item", interval.clone(), true))));
    refused(DataType::Struct(Fields::from(vec![Field::new("a", interval, true)])));
    for of in [DataType::Float64, DataType::Time64(TimeUnit::Nanosecond), structs().data_type().clone()] {
        let fault = Layout::new([&Field::new("k", of, true)], vec![0], SEED).expect_err("no key");
        assert_eq!(fault.class, FaultClass::Config);
        assert!(fault.to_string().contains("`k`"), "{fault}");
    }
}

#[test]
fn keys_are_those_of_the_values() {
    let timestamps = TimestampMillisecondArray::from(vec![Some(5), Some(-5), None]).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int16Array::from(vec![Some(-7), Some(700), None])),
        Arc::new(UInt64Array::from(vec![Some(3), Some(u64::MAX), None])),
        Arc::new(StringArray::from(vec![Some("a,b"), Some(""), None])),
        Arc::new(
            Decimal128Array::from(vec![Some(4200), Some(4250), None]).with_precision_and_scale(9, 2).expect("a scale"),
        ),
        Arc::new(
            Decimal128Array::from(vec![Some(42), Some(i128::MAX), None])
                .with_precision_and_scale(38, 0)
                .expect("a scale"),
        ),
        Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        Arc::new(Date32Array::from(vec![Some(1), Some(-1), None])),
        Arc::new(timestamps),
        Arc::new(TimestampNanosecondArray::from(vec![Some(5000), Some(1), None])),
        Arc::new(BinaryArray::from(vec![Some(&b"\x00"[..]), Some(&b""[..]), None])),
    ];
    let page = |key: &[usize]| page(&columns, key);
    let every = (0..columns.len()).collect::<Vec<_>>();
    for key in every.iter().map(|at| vec![*at]).chain([every.clone(), vec![2, 0]]) {
        let page = page(&key);
        let found = digests(&page);
        for (row, digest) in found.iter().enumerate().take(2) {
            let record = page.record(row).expect("a record");
            let parts: Vec<&Value> = key.iter().map(|at| &record[*at]).collect();
            let mut bytes = Vec::new();
            page.key(row, &mut bytes).expect("a key");
            assert_eq!(bytes, key::encode(&parts).expect("a key"), "{key:?}");
            assert_eq!(digest.key, KeyHash::of(&bytes, SEED));
        }
        assert_eq!(found[2].key, KeyHash::NULL, "{key:?}");
        assert!(page.key(2, &mut Vec::new()).is_err());
    }
    // A whole decimal has the key of the integer.
    let whole = |at: usize| {
        let mut bytes = Vec::new();
        page(&[at]).key(0, &mut bytes).expect("a key");
        key::display(&bytes)
    };
    assert_eq!((whole(3), whole(4)), ("42".into(), "42".into()));
}

#[test]
fn a_date_that_no_calendar_of_ours_has_is_no_key() {
    let page = page(&[Arc::new(TimestampSecondArray::from(vec![i64::MAX]))], &[0]);
    let fault = page.digest(&mut Vec::new()).expect_err("no key");
    assert_eq!(fault.class, FaultClass::Config);
}

#[test]
fn null_and_nothing_are_told_apart() {
    let different = |a: ArrayRef, b: ArrayRef| assert_ne!(of_column(a), of_column(b));
    different(Arc::new(StringArray::from(vec![None::<&str>])), Arc::new(StringArray::from(vec![Some("")])));
    different(Arc::new(BinaryArray::from(vec![None::<&[u8]>])), Arc::new(BinaryArray::from(vec![Some(&b""[..])])));
    different(Arc::new(Int32Array::from(vec![None])), Arc::new(Int32Array::from(vec![0])));
    let rows = of_column(Arc::new(list()));
    assert_ne!(rows[1], rows[2]);
    // A NULL is the same in a column that a file has nothing else for.
    assert_eq!(of_column(Arc::new(NullArray::new(1))), of_column(Arc::new(StringArray::from(vec![None::<&str>]))));
}

#[test]
fn values_of_two_columns_do_not_run_together() {
    let row = |a: &str, b: &str| {
        let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(vec![a])), Arc::new(StringArray::from(vec![b]))];
        fingerprints(&columns)
    };
    assert_ne!(row("ab", "c"), row("a", "bc"));
    assert_ne!(row("a", "b"), row("b", "a"));
    assert_ne!(row("a", "a"), row("b", "b"));
    let lists = |rows: &[&[&str]]| {
        let mut builder = ListBuilder::new(StringBuilder::new());
        for row in rows {
            builder.append_value(row.iter().map(|text| Some(*text)));
        }
        Arc::new(builder.finish()) as ArrayRef
    };
    assert_ne!(of_column(lists(&[&["ab", "c"]])), of_column(lists(&[&["a", "bc"]])));
    assert_ne!(of_column(lists(&[&[], &["a"]])), of_column(lists(&[&["a"], &[]])));
    let both = |a: &[&str], b: &[&str]| fingerprints(&[lists(&[a]), lists(&[b])]);
    assert_ne!(both(&["a", "b"], &["c"]), both(&["a"], &["b", "c"]));
}
