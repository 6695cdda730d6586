//! Values read in place.

use super::owned::{Field, Value};
use super::tag;
use super::wire::{take_bytes, take_varint, unzigzag};

/// A [`Value`] that borrows its text: from a value, or from its encoding.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(missing_docs, reason = "each is the `Value` of the same name")]
pub enum ValueRef<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Decimal(&'a str),
    Number(&'a str),
    Float(f64),
    Text(&'a str),
    Bytes(&'a [u8]),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    LocalTimestamp(i64),
    Interval { months: i32, days: i32, micros: i64 },
    Uuid([u8; 16]),
    Json(&'a str),
    Array(ListRef<'a>),
    Invalid(&'a str),
}

/// A [`FieldValue`](super::FieldValue) that borrows its text.
pub type FieldRef<'a> = Field<ValueRef<'a>>;

/// The items of a list.
#[derive(Clone, Copy, Debug)]
pub struct ListRef<'a>(Items<'a>);

#[derive(Clone, Copy, Debug)]
enum Items<'a> {
    Values(&'a [Value]),
    /// So many encoded values, which were all read once.
    Encoded(usize, &'a [u8]),
}

/// Lists inside lists beyond this depth were not written by us.
const DEEPEST: u32 = 64;

impl<'a> ValueRef<'a> {
    /// Reads one value off the front of `input`; `None` when the bytes are not an encoded value.
    pub fn decode(input: &mut &'a [u8]) -> Option<Self> {
        Self::decode_within(input, DEEPEST)
    }

    fn decode_within(input: &mut &'a [u8], depth: u32) -> Option<Self> {
        let (&first, rest) = input.split_first()?;
        *input = rest;
        Some(match first {
            tag::NULL => Self::Null,
            tag::FALSE => Self::Bool(false),
            tag::TRUE => Self::Bool(true),
            tag::INT => Self::Int(take_signed(input)?),
            tag::DECIMAL => Self::Decimal(take_text(input)?),
            tag::NUMBER => Self::Number(take_text(input)?),
            tag::FLOAT => {
                let (bytes, rest) = input.split_first_chunk::<8>()?;
                *input = rest;
                Self::Float(f64::from_bits(u64::from_le_bytes(*bytes)))
            }
            tag::TEXT => Self::Text(take_text(input)?),
            tag::BYTES => Self::Bytes(take_bytes(input)?),
            tag::DATE => Self::Date(i32::try_from(take_signed(input)?).ok()?),
            tag::TIME => Self::Time(take_signed(input)?),
            tag::TIMESTAMP => Self::Timestamp(take_signed(input)?),
            tag::LOCAL_TIMESTAMP => Self::LocalTimestamp(take_signed(input)?),
            tag::INTERVAL => Self::Interval {
                months: i32::try_from(take_signed(input)?).ok()?,
                days: i32::try_from(take_signed(input)?).ok()?,
                micros: take_signed(input)?,
            },
            tag::UUID => {
                let (bytes, rest) = input.split_first_chunk::<16>()?;
                *input = rest;
                Self::Uuid(*bytes)
            }
            tag::JSON => Self::Json(take_text(input)?),
            tag::ARRAY => Self::Array(ListRef::decode(input, depth.checked_sub(1)?)?),
            tag::INVALID => Self::Invalid(take_text(input)?),
            _ => return None,
        })
    }

    /// Whether this is NULL.
    pub fn is_null(self) -> bool {
        matches!(self, Self::Null)
    }
}

impl<'a> FieldRef<'a> {
    /// Reads one field off the front of `input`; `None` when the bytes are not an encoded field.
    pub fn decode(input: &mut &'a [u8]) -> Option<Self> {
        let field = match *input.first()? {
            tag::SKIP => Self::Skip,
            tag::CLEAR => Self::Clear,
            _ => return ValueRef::decode(input).map(Self::Set),
        };
        *input = &input[1..];
        Some(field)
    }
}

impl<'a> ListRef<'a> {
    fn decode(input: &mut &'a [u8], depth: u32) -> Option<Self> {
        let count = usize::try_from(take_varint(input)?).ok()?;
        let items = *input;
        for _ in 0..count {
            pass_value(input, depth)?;
        }
        Some(Self(Items::Encoded(count, &items[..items.len() - input.len()])))
    }

    /// The items of a list that is in memory.
    pub(super) fn of(items: &'a [Value]) -> Self {
        Self(Items::Values(items))
    }

    /// How many.
    pub fn len(self) -> usize {
        match self.0 {
            Items::Values(items) => items.len(),
            Items::Encoded(count, _) => count,
        }
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The items in order.
    pub fn iter(self) -> impl Iterator<Item = ValueRef<'a>> {
        let (values, mut encoded): (&[Value], &[u8]) = match self.0 {
            Items::Values(items) => (items, &[]),
            Items::Encoded(_, bytes) => (&[], bytes),
        };
        values.iter().map(ValueRef::from).chain(std::iter::from_fn(move || ValueRef::decode(&mut encoded)))
    }
}

impl PartialEq for ListRef<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

/// Passes over one field; `None` where [`FieldRef::decode`] gives none.
pub(super) fn pass_field(input: &mut &[u8]) -> Option<()> {
    if let [tag::SKIP | tag::CLEAR, rest @ ..] = *input {
        *input = rest;
        return Some(());
    }
    pass_value(input, DEEPEST)
}

fn pass_value(input: &mut &[u8], depth: u32) -> Option<()> {
    let (&first, rest) = input.split_first()?;
    *input = rest;
    match first {
        tag::NULL | tag::FALSE | tag::TRUE => {}
        tag::INT | tag::TIME | tag::TIMESTAMP | tag::LOCAL_TIMESTAMP => {
            take_varint(input)?;
        }
        tag::DATE => {
            i32::try_from(take_signed(input)?).ok()?;
        }
        tag::DECIMAL | tag::NUMBER | tag::TEXT | tag::JSON | tag::INVALID => {
            let text = take_bytes(input)?;
            // Nearly all text is ASCII, which is told much sooner.
            if !text.is_ascii() {
                std::str::from_utf8(text).ok()?;
            }
        }
        tag::FLOAT => *input = input.get(8..)?,
        tag::BYTES => {
            take_bytes(input)?;
        }
        tag::UUID => *input = input.get(16..)?,
        tag::INTERVAL => {
            i32::try_from(take_signed(input)?).ok()?;
            i32::try_from(take_signed(input)?).ok()?;
            take_varint(input)?;
        }
        tag::ARRAY => {
            ListRef::decode(input, depth.checked_sub(1)?)?;
        }
        _ => return None,
    }
    Some(())
}

fn take_signed(input: &mut &[u8]) -> Option<i64> {
    take_varint(input).map(unzigzag)
}

fn take_text<'a>(input: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(take_bytes(input)?).ok()
}
