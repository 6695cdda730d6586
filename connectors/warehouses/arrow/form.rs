//! What the values of a column mean, whatever array they lie in.

use std::fmt;

use arrow_schema::extension::EXTENSION_TYPE_NAME_KEY;
use arrow_schema::{DataType, Field};
use backhaul_kit::TypeClass;

/// What the values of a column mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) enum Form {
    /// A column in which nothing but NULL can stand.
    Null,
    Bool,
    Integer,
    Float,
    Decimal,
    Text,
    Json,
    Bytes,
    Uuid,
    Date,
    Time,
    Timestamp,
    LocalTimestamp,
    /// A span of microseconds.
    Span,
    List(Box<Form>),
    Struct(Vec<(String, Form)>),
    /// From text to values of this form.
    Map(Box<Form>),
    /// Why not.
    Unsupported(&'static str),
}

impl Form {
    /// The form of a field.
    pub(in super::super) fn of(field: &Field) -> Self {
        match field.metadata().get(EXTENSION_TYPE_NAME_KEY).map(String::as_str) {
            Some("arrow.json") => match Self::of_type(field.data_type()) {
                Self::Text => Self::Json,
                other => other,
            },
            Some("arrow.uuid") if *field.data_type() == DataType::FixedSizeBinary(16) => Self::Uuid,
            _ => Self::of_type(field.data_type()),
        }
    }

    fn of_type(of: &DataType) -> Self {
        match of {
            DataType::Null => Self::Null,
            DataType::Boolean => Self::Bool,
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64 => Self::Integer,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => {
                Self::Decimal
            }
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Self::Text,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
                Self::Bytes
            }
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            DataType::Timestamp(_, Some(_)) => Self::Timestamp,
            DataType::Timestamp(_, None) => Self::LocalTimestamp,
            DataType::Duration(_) => Self::Span,
            DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
                Self::around(item, Self::List)
            }
            DataType::Struct(members) => {
                let mut forms = Vec::with_capacity(members.len());
                for member in members {
                    match Self::of(member) {
                        Self::Unsupported(why) => return Self::Unsupported(why),
                        form => forms.push((member.name().clone(), form)),
                    }
                }
                Self::Struct(forms)
            }
            DataType::Map(entry, _) => match entry.data_type() {
                DataType::Struct(pair) if pair.len() == 2 => match Self::of(&pair[0]) {
                    Self::Text => Self::around(&pair[1], Self::Map),
                    _ => Self::Unsupported("a map whose keys are not text"),
                },
                _ => Self::Unsupported("a map without keys and values"),
            },
            // The keys of a dictionary say nothing.
            DataType::Dictionary(_, values) => match **values {
                DataType::Dictionary(..) => Self::Unsupported("a dictionary of dictionaries"),
                ref values => Self::of_type(values),
            },
            // Parquet's INTERVAL comes without its months where the writer left no hint.
            DataType::Interval(_) => Self::Unsupported("an interval"),
            DataType::ListView(_) | DataType::LargeListView(_) => Self::Unsupported("a list view"),
            DataType::RunEndEncoded(..) => Self::Unsupported("a run-end encoded column"),
            DataType::Union(..) => Self::Unsupported("a union"),
        }
    }

    fn around(item: &Field, outer: impl FnOnce(Box<Self>) -> Self) -> Self {
        match Self::of(item) {
            Self::Unsupported(why) => Self::Unsupported(why),
            form => outer(Box::new(form)),
        }
    }

    /// The class that outlives a change of warehouse.
    pub(in super::super) fn class(&self) -> TypeClass {
        match self {
            Self::Null => TypeClass::Any,
            Self::Bool => TypeClass::Bool,
            Self::Integer => TypeClass::Integer,
            Self::Float => TypeClass::Float,
            Self::Decimal => TypeClass::Decimal,
            Self::Text => TypeClass::Text,
            Self::Json | Self::Struct(_) | Self::Map(_) => TypeClass::Json,
            Self::Bytes => TypeClass::Bytes,
            Self::Uuid => TypeClass::Uuid,
            Self::Date => TypeClass::Date,
            Self::Time => TypeClass::Time,
            Self::Timestamp => TypeClass::Timestamp,
            Self::LocalTimestamp => TypeClass::LocalTimestamp,
            Self::Span => TypeClass::Interval,
            Self::List(of) => TypeClass::Array(Box::new(of.class())),
            Self::Unsupported(_) => TypeClass::Unsupported,
        }
    }

    /// Whether a value can be (part of) a key.
    pub(super) fn can_be_key(&self) -> bool {
        match self {
            Self::Null
            | Self::Bool
            | Self::Integer
            | Self::Decimal
            | Self::Text
            | Self::Bytes
            | Self::Uuid
            | Self::Date
            | Self::Timestamp
            | Self::LocalTimestamp => true,
            Self::Float
            | Self::Json
            | Self::Time
            | Self::Span
            | Self::List(_)
            | Self::Struct(_)
            | Self::Map(_)
            | Self::Unsupported(_) => false,
        }
    }
}

/// The form in words; two forms have the same only where they are the same. It is hashed: see the golden test.
impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(of) => write!(f, "list({of})"),
            Self::Map(of) => write!(f, "map({of})"),
            Self::Struct(members) => {
                f.write_str("struct(")?;
                for (name, form) in members {
                    write!(f, "{name:?}: {form},")?;
                }
                f.write_str(")")
            }
            Self::Null => f.write_str("null"),
            Self::Unsupported(why) => f.write_str(why),
            plain => write!(f, "{}", plain.class()),
        }
    }
}
