//! The same values in other arrays, slices and batches have the same fingerprints, and only they.

use std::sync::Arc;

use arrow_array::builder::{LargeListBuilder, ListBuilder, StringBuilder, StringViewBuilder};
use arrow_array::types::{Int16Type, Int32Type, UInt8Type};
use arrow_array::*;
use arrow_buffer::i256;
use arrow_schema::{DataType, TimeUnit};
use backhaul_kit::{RowPage as _, Value};
use proptest::prelude::*;

use super::{batch, digests, of_column, page, page_of};

type Texts = Vec<Option<String>>;

/// Few different values, so that equal ones meet; those that a careless hash would mix up; and long ones.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec!["", "a", "b", "ab", "ba", "\0", "ü"]).prop_map(String::from),
        1 => "[a-c]{200,300}",
    ]
}

fn texts() -> impl Strategy<Value = Texts> {
    prop::collection::vec(prop::option::of(text()), 0..20)
}

/// The array without its first values, which were put there for that.
fn cut(array: &dyn Array, first: usize) -> ArrayRef {
    array.slice(first, array.len() - first)
}

/// Text in every array that holds text; some with values before it that are cut off.
fn text_arrays(texts: &Texts) -> Vec<ArrayRef> {
    let longer: Texts = [Some(String::from("cut off")), None].into_iter().chain(texts.iter().cloned()).collect();
    let dictionary: DictionaryArray<Int16Type> = longer.iter().map(Option::as_deref).collect();
    let small: DictionaryArray<UInt8Type> = texts.iter().map(Option::as_deref).collect();
    vec![
        Arc::new(StringArray::from(texts.clone())),
        cut(&StringArray::from(longer.clone()), 2),
        Arc::new(LargeStringArray::from(texts.clone())),
        cut(&StringViewArray::from_iter(longer), 2),
        Arc::new(small),
        cut(&dictionary, 2),
    ]
}

/// The same numbers as often as there are arrays that hold them.
fn number_arrays(numbers: &[Option<i8>]) -> Vec<ArrayRef> {
    let dictionary: DictionaryArray<Int32Type> = DictionaryArray::new(
        numbers.iter().map(|n| n.map(|n| i32::from(n) + 128)).collect(),
        Arc::new((-128..=127i64).collect::<Int64Array>()),
    );
    vec![
        Arc::new(numbers.iter().copied().collect::<Int8Array>()),
        Arc::new(numbers.iter().map(|n| n.map(i16::from)).collect::<Int16Array>()),
        Arc::new(numbers.iter().map(|n| n.map(i32::from)).collect::<Int32Array>()),
        Arc::new(numbers.iter().map(|n| n.map(i64::from)).collect::<Int64Array>()),
        Arc::new(dictionary),
    ]
}

fn all_equal(arrays: Vec<ArrayRef>) {
    let mut found = arrays.into_iter().map(|array| (array.data_type().clone(), of_column(array)));
    let (_, first) = found.next().expect("an array");
    for (of, other) in found {
        assert_eq!(first, other, "{of}");
    }
}

proptest! {
    #[test]
    fn text_is_the_same_in_every_array(texts in texts()) {
        all_equal(text_arrays(&texts));
        let bytes: Vec<Option<&[u8]>> = texts.iter().map(|text| text.as_deref().map(str::as_bytes)).collect();
        all_equal(vec![
            Arc::new(BinaryArray::from(bytes.clone())),
            Arc::new(LargeBinaryArray::from(bytes.clone())),
            Arc::new(BinaryViewArray::from_iter(bytes)),
        ]);
    }

    #[test]
    fn numbers_are_the_same_in_every_array(numbers: Vec<Option<i8>>) {
        all_equal(number_arrays(&numbers));
        let unsigned = |n: &Option<i8>| n.map(i8::unsigned_abs);
        all_equal(vec![
            Arc::new(numbers.iter().map(unsigned).collect::<UInt8Array>()),
            Arc::new(numbers.iter().map(|n| unsigned(n).map(u32::from)).collect::<UInt32Array>()),
            Arc::new(numbers.iter().map(|n| unsigned(n).map(u64::from)).collect::<UInt64Array>()),
            Arc::new(numbers.iter().map(|n| unsigned(n).map(i64::from)).collect::<Int64Array>()),
        ]);
        let scaled = |array: Decimal128Array| array.with_precision_and_scale(38, 2).expect("a scale");
        let wide = numbers.iter().map(|n| n.map(|n| i256::from_i128(n.into()))).collect::<Decimal256Array>();
        all_equal(vec![
            Arc::new(scaled(numbers.iter().map(|n| n.map(i128::from)).collect())),
            Arc::new(wide.with_precision_and_scale(76, 2).expect("a scale")),
            Arc::new(numbers.iter().map(|n| n.map(i64::from)).collect::<Decimal64Array>().with_precision_and_scale(18, 2).expect("a scale")),
        ]);
    }

    #[test]
    fn instants_are_the_same_in_every_unit(seconds: Vec<Option<i32>>) {
        let at = |factor: i64| seconds.iter().map(move |n| n.map(|n| i64::from(n) * factor));
        all_equal(vec![
            Arc::new(at(1).collect::<TimestampSecondArray>()),
            Arc::new(at(1_000).collect::<TimestampMillisecondArray>()),
            Arc::new(at(1_000_000).collect::<TimestampMicrosecondArray>()),
            Arc::new(at(1_000_000_000).collect::<TimestampNanosecondArray>()),
        ]);
        let days = seconds.iter().map(|n| n.map(i64::from));
        all_equal(vec![
            Arc::new(seconds.iter().copied().collect::<Date32Array>()),
            Arc::new(days.map(|n| n.map(|n| n * 86_400_000)).collect::<Date64Array>()),
        ]);
    }

    #[test]
    fn lists_are_the_same_in_every_array(rows in prop::collection::vec(prop::option::of(texts()), 0..6)) {
        let mut small = ListBuilder::new(StringBuilder::new());
        let mut large = LargeListBuilder::new(StringViewBuilder::new());
        large.append_value([Some("cut off")]);
        for row in &rows {
            small.append_option(row.clone());
            large.append_option(row.clone());
        }
        all_equal(vec![Arc::new(small.finish()), cut(&large.finish(), 1)]);
    }

    #[test]
    fn where_batches_begin_makes_no_difference(texts in texts(), numbers in prop::collection::vec(any::<Option<i8>>(), 20), at: prop::sample::Index) {
        let numbers: Vec<Option<i8>> = numbers.into_iter().take(texts.len()).collect();
        for text in text_arrays(&texts) {
            for number in number_arrays(&numbers) {
                let whole = batch(&[number, text.clone()]);
                let at = at.index(texts.len() + 1);
                let mut parts = digests(&page_of(&whole.slice(0, at), &[1, 0]));
                parts.extend(digests(&page_of(&whole.slice(at, texts.len() - at), &[1, 0])));
                prop_assert_eq!(digests(&page_of(&whole, &[1, 0])), parts);
            }
        }
    }

    #[test]
    fn rows_are_equal_where_their_fingerprints_are(a in texts(), b in texts(), lists in prop::collection::vec(prop::option::of(prop::collection::vec(prop::option::of(text()), 0..3)), 20)) {
        let rows = a.len().min(b.len());
        let mut list = ListBuilder::new(StringBuilder::new());
        lists.iter().take(rows).for_each(|row| list.append_option(row.clone()));
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(a[..rows].to_vec())),
            Arc::new(StringArray::from(b[..rows].to_vec())),
            Arc::new(list.finish()),
        ];
        let page = page(&columns, &[0]);
        let found = digests(&page);
        let records: Vec<Vec<Value>> = (0..rows).map(|row| page.record(row).expect("a record")).collect();
        for i in 0..rows {
            for j in 0..rows {
                prop_assert_eq!(found[i].fingerprint == found[j].fingerprint, records[i] == records[j]);
            }
        }
    }
}

#[test]
fn what_lies_in_an_unused_slot_makes_no_difference() {
    let nulls = || Some(vec![true, false].into());
    let of = |unused: i32| Arc::new(Int32Array::new(vec![1, unused].into(), nulls())) as ArrayRef;
    assert_eq!(of_column(of(0)), of_column(of(77)));
    let zone = |of: TimestampSecondArray, zone: &str| Arc::new(of.with_timezone(zone)) as ArrayRef;
    // An instant is the same whatever zone it is shown in, but a time of no zone is none.
    assert_eq!(of_column(zone(vec![1].into(), "UTC")), of_column(zone(vec![1].into(), "Europe/Berlin")));
    let local = TimestampSecondArray::from(vec![1]);
    assert_eq!(local.data_type(), &DataType::Timestamp(TimeUnit::Second, None));
    assert_ne!(of_column(zone(vec![1].into(), "UTC")), of_column(Arc::new(local)));
}

#[test]
fn what_decodes_to_another_value_is_another() {
    let differ = |a: ArrayRef, b: ArrayRef| assert_ne!(of_column(a), of_column(b));
    // The single 0.1 is sent as 0.1, the double nearest to it is not.
    differ(Arc::new(Float32Array::from(vec![0.1])), Arc::new(Float64Array::from(vec![f64::from(0.1f32)])));
    let scaled = |n: i128, scale: i8| {
        Arc::new(Decimal128Array::from(vec![n]).with_precision_and_scale(38, scale).expect("a scale")) as ArrayRef
    };
    differ(scaled(10, 1), scaled(100, 2));
    differ(scaled(10, 1), scaled(10, 2));
    differ(Arc::new(Int64Array::from(vec![-1])), Arc::new(UInt64Array::from(vec![u64::MAX])));
}
