//! An array's values, one after the other, in a few kinds: the one place that knows Arrow's physical types.

use std::ops::Range;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    ArrowDictionaryKeyType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type,
    DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType, DurationSecondType, Float16Type,
    Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayAccessor, GenericListArray, OffsetSizeTrait, StructArray};
use arrow_buffer::{NullBuffer, i256};
use arrow_schema::{DataType, TimeUnit};

/// A value, with its array's width, offsets and unit taken off.
pub(super) enum Cell<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// An unsigned integer, where it is too large for the other kind.
    Large(u64),
    Single(f32),
    Double(f64),
    /// Unscaled value and scale.
    Decimal(i128, i8),
    /// The same, where the other kind is too narrow for the array.
    WideDecimal(i256, i8),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Days from 1970-01-01.
    Days(i64),
    /// Microseconds from midnight or 1970-01-01, or of a span; what is finer is cut off, what is too large stays the
    /// largest.
    Micros(i64),
    /// Elements: some values of an array.
    List(&'a dyn Array, Range<usize>),
    /// A row of the members' arrays.
    Struct(&'a StructArray, usize),
    /// Keys, and the values beside them.
    Map(&'a dyn Array, &'a dyn Array, Range<usize>),
}

/// Hands over the values of some rows. `None` where the array has no such rows, is of a type that
/// [`Form`](super::Form) does not support, or `take` gives up.
pub(super) fn each<'a>(
    array: &'a dyn Array,
    rows: Range<usize>,
    take: &mut impl FnMut(usize, Cell<'a>) -> Option<()>,
) -> Option<()> {
    match array.as_any_dictionary_opt() {
        None => each_plain(array, rows, take),
        Some(dictionary) => {
            let values: &dyn Array = dictionary.values().as_ref();
            each_key(array, rows, &mut |row, key| match key {
                None => take(row, Cell::Null),
                Some(key) => each_plain(values, key..key + 1, &mut |_, cell| take(row, cell)),
            })
        }
    }
}

/// Hands over the places in a dictionary's values. `None` where the array has no such rows, is no dictionary, or `take`
/// gives up.
pub(super) fn each_key(
    array: &dyn Array,
    rows: Range<usize>,
    take: &mut impl FnMut(usize, Option<usize>) -> Option<()>,
) -> Option<()> {
    let DataType::Dictionary(key, _) = array.data_type() else { return None };
    match **key {
        DataType::Int8 => keys::<Int8Type>(array, rows, take),
        DataType::Int16 => keys::<Int16Type>(array, rows, take),
        DataType::Int32 => keys::<Int32Type>(array, rows, take),
        DataType::Int64 => keys::<Int64Type>(array, rows, take),
        DataType::UInt8 => keys::<UInt8Type>(array, rows, take),
        DataType::UInt16 => keys::<UInt16Type>(array, rows, take),
        DataType::UInt32 => keys::<UInt32Type>(array, rows, take),
        DataType::UInt64 => keys::<UInt64Type>(array, rows, take),
        _ => None,
    }
}

fn keys<K: ArrowDictionaryKeyType>(
    array: &dyn Array,
    mut rows: Range<usize>,
    take: &mut impl FnMut(usize, Option<usize>) -> Option<()>,
) -> Option<()> {
    let dictionary = array.as_dictionary_opt::<K>().filter(|array| rows.end <= array.len())?;
    rows.try_for_each(|row| match dictionary.key(row) {
        Some(key) if key >= dictionary.values().len() => None,
        key => take(row, key),
    })
}

/// [`each`] of an array that is no dictionary.
fn each_plain<'a>(
    array: &'a dyn Array,
    rows: Range<usize>,
    take: &mut impl FnMut(usize, Cell<'a>) -> Option<()>,
) -> Option<()> {
    macro_rules! primitive {
        ($type:ty, $cell:expr) => {
            values(array.as_primitive_opt::<$type>()?, rows, $cell, take)
        };
    }
    if rows.end > array.len() {
        return None;
    }
    match array.data_type() {
        DataType::Null => rows.into_iter().try_for_each(|row| take(row, Cell::Null)),
        DataType::Boolean => values(array.as_boolean_opt()?, rows, Cell::Bool, take),
        DataType::Int8 => primitive!(Int8Type, |n| Cell::Integer(n.into())),
        DataType::Int16 => primitive!(Int16Type, |n| Cell::Integer(n.into())),
        DataType::Int32 => primitive!(Int32Type, |n| Cell::Integer(n.into())),
        DataType::Int64 => primitive!(Int64Type, Cell::Integer),
        DataType::UInt8 => primitive!(UInt8Type, |n| Cell::Integer(n.into())),
        DataType::UInt16 => primitive!(UInt16Type, |n| Cell::Integer(n.into())),
        DataType::UInt32 => primitive!(UInt32Type, |n| Cell::Integer(n.into())),
        DataType::UInt64 => primitive!(UInt64Type, |n| i64::try_from(n).map_or(Cell::Large(n), Cell::Integer)),
        DataType::Float16 => primitive!(Float16Type, |f| Cell::Single(f.to_f32())),
        DataType::Float32 => primitive!(Float32Type, Cell::Single),
        DataType::Float64 => primitive!(Float64Type, Cell::Double),
        DataType::Decimal32(_, scale) => primitive!(Decimal32Type, |n| Cell::Decimal(n.into(), *scale)),
        DataType::Decimal64(_, scale) => primitive!(Decimal64Type, |n| Cell::Decimal(n.into(), *scale)),
        DataType::Decimal128(_, scale) => primitive!(Decimal128Type, |n| Cell::Decimal(n, *scale)),
        DataType::Decimal256(_, scale) => primitive!(Decimal256Type, |n: i256| match n.to_i128() {
            Some(n) => Cell::Decimal(n, *scale),
            None => Cell::WideDecimal(n, *scale),
        }),
        DataType::Utf8 => values(array.as_string_opt::<i32>()?, rows, Cell::Text, take),
        DataType::LargeUtf8 => values(array.as_string_opt::<i64>()?, rows, Cell::Text, take),
        DataType::Utf8View => values(array.as_string_view_opt()?, rows, Cell::Text, take),
        DataType::Binary => values(array.as_binary_opt::<i32>()?, rows, Cell::Bytes, take),
        DataType::LargeBinary => values(array.as_binary_opt::<i64>()?, rows, Cell::Bytes, take),
        DataType::BinaryView => values(array.as_binary_view_opt()?, rows, Cell::Bytes, take),
        DataType::FixedSizeBinary(_) => values(array.as_fixed_size_binary_opt()?, rows, Cell::Bytes, take),
        DataType::Date32 => primitive!(Date32Type, |n| Cell::Days(n.into())),
        DataType::Date64 => primitive!(Date64Type, |n: i64| Cell::Days(n.div_euclid(86_400_000))),
        DataType::Time32(TimeUnit::Second) => primitive!(Time32SecondType, |n| Cell::Micros(seconds(n.into()))),
        DataType::Time32(TimeUnit::Millisecond) => {
            primitive!(Time32MillisecondType, |n| Cell::Micros(millis(n.into())))
        }
        DataType::Time64(TimeUnit::Microsecond) => primitive!(Time64MicrosecondType, Cell::Micros),
        DataType::Time64(TimeUnit::Nanosecond) => primitive!(Time64NanosecondType, |n| Cell::Micros(nanos(n))),
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => primitive!(TimestampSecondType, |n| Cell::Micros(seconds(n))),
            TimeUnit::Millisecond => primitive!(TimestampMillisecondType, |n| Cell::Micros(millis(n))),
            TimeUnit::Microsecond => primitive!(TimestampMicrosecondType, Cell::Micros),
            TimeUnit::Nanosecond => primitive!(TimestampNanosecondType, |n| Cell::Micros(nanos(n))),
        },
        DataType::Duration(unit) => match unit {
            TimeUnit::Second => primitive!(DurationSecondType, |n| Cell::Micros(seconds(n))),
            TimeUnit::Millisecond => primitive!(DurationMillisecondType, |n| Cell::Micros(millis(n))),
            TimeUnit::Microsecond => primitive!(DurationMicrosecondType, Cell::Micros),
            TimeUnit::Nanosecond => primitive!(DurationNanosecondType, |n| Cell::Micros(nanos(n))),
        },
        DataType::List(_) => lists(array.as_list_opt::<i32>()?, rows, take),
        DataType::LargeList(_) => lists(array.as_list_opt::<i64>()?, rows, take),
        DataType::FixedSizeList(..) => {
            let list = array.as_fixed_size_list_opt()?;
            let width = usize::try_from(list.value_length()).ok()?;
            nullable(list.nulls(), rows, take, |row| Cell::List(list.values().as_ref(), row * width..(row + 1) * width))
        }
        DataType::Struct(_) => {
            let of = array.as_struct_opt()?;
            nullable(of.nulls(), rows, take, |row| Cell::Struct(of, row))
        }
        DataType::Map(..) => {
            let map = array.as_map_opt()?;
            let (keys, values, offsets) = (map.keys().as_ref(), map.values().as_ref(), map.value_offsets());
            nullable(map.nulls(), rows, take, |row| Cell::Map(keys, values, between(offsets, row)))
        }
        _ => None,
    }
}

fn seconds(n: i64) -> i64 {
    n.saturating_mul(1_000_000)
}

fn millis(n: i64) -> i64 {
    n.saturating_mul(1_000)
}

fn nanos(n: i64) -> i64 {
    n.div_euclid(1_000)
}

#[expect(clippy::needless_pass_by_value, reason = "an accessor is a reference itself")]
fn values<'a, A: ArrayAccessor>(
    array: A,
    rows: Range<usize>,
    cell: impl Fn(A::Item) -> Cell<'a>,
    take: &mut impl FnMut(usize, Cell<'a>) -> Option<()>,
) -> Option<()> {
    nullable(array.nulls(), rows, take, |row| cell(array.value(row)))
}

/// The loop over the rows: without a look at NULLs where there are none.
fn nullable<'a>(
    nulls: Option<&NullBuffer>,
    mut rows: Range<usize>,
    take: &mut impl FnMut(usize, Cell<'a>) -> Option<()>,
    cell: impl Fn(usize) -> Cell<'a>,
) -> Option<()> {
    match nulls.filter(|nulls| nulls.null_count() > 0) {
        None => rows.try_for_each(|row| take(row, cell(row))),
        Some(nulls) => rows.try_for_each(|row| take(row, if nulls.is_null(row) { Cell::Null } else { cell(row) })),
    }
}

fn lists<'a, O: OffsetSizeTrait>(
    list: &'a GenericListArray<O>,
    rows: Range<usize>,
    take: &mut impl FnMut(usize, Cell<'a>) -> Option<()>,
) -> Option<()> {
    let (values, offsets) = (list.values().as_ref(), list.value_offsets());
    nullable(list.nulls(), rows, take, |row| Cell::List(values, between(offsets, row)))
}

/// The elements of a row.
fn between<O: OffsetSizeTrait>(offsets: &[O], row: usize) -> Range<usize> {
    offsets[row].as_usize()..offsets[row + 1].as_usize()
}
