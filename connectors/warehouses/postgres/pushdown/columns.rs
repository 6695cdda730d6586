//! A column as part of a key, and as part of a fingerprint.
//!
//! The server's own equality is wider than that of the engine: `1.0 = 1.00`, `'a' = 'A'` as citext, `'1 month' =
//! '30 days'`. Where it is, the bytes are compared that the type's send function writes, which are those that a scan
//! reads; texts are compared bytewise.

use backhaul_kit::Fault;
use xxhash_rust::xxh3::xxh3_64;

use super::super::super::wrap::quote;
use super::super::layout::Field;
use super::super::types::Wire;

/// The function that hashes a row, and this use of it. Raised with any change of the expressions below.
const ALGORITHM: &str = "hash_record_extended/1";

/// The column of a key as the table stores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct KeyColumn {
    stored: &'static str,
    /// How its values travel.
    pub(super) wire: Wire,
}

impl KeyColumn {
    /// The type that holds every value of `field`, whatever its width.
    ///
    /// # Errors
    /// `Config` where the column cannot be a key.
    pub(in super::super) fn of(field: &Field) -> Result<Self, Fault> {
        let stored = match field.wire {
            Wire::Bool => "boolean",
            Wire::Int2 | Wire::Int4 | Wire::Int8 | Wire::Oid => "bigint",
            Wire::Numeric => "numeric",
            Wire::Text | Wire::Network | Wire::Mac => "text",
            Wire::Bytea => "bytea",
            Wire::Date => "date",
            Wire::Timestamp => "timestamp",
            Wire::TimestampTz => "timestamptz",
            Wire::Uuid => "uuid",
            Wire::Float4
            | Wire::Float8
            | Wire::Json
            | Wire::Jsonb
            | Wire::Time
            | Wire::Interval
            | Wire::Array(_)
            | Wire::Unsupported => {
                let Field { name, native, .. } = field;
                return Err(Fault::config(format!("column `{name}` of type {native} cannot be a key")));
            }
        };
        Self::stored(stored).ok_or_else(|| Fault::bug("a key column of a type that no table has"))
    }

    /// The column of a table whose type is `stored`; `None` where no table has such a one.
    pub(super) fn stored(stored: &str) -> Option<Self> {
        let (stored, wire) = match stored {
            "boolean" => ("boolean", Wire::Bool),
            "bigint" => ("bigint", Wire::Int8),
            "numeric" => ("numeric", Wire::Numeric),
            "text" => ("text", Wire::Text),
            "bytea" => ("bytea", Wire::Bytea),
            "date" => ("date", Wire::Date),
            "timestamp" => ("timestamp", Wire::Timestamp),
            "timestamptz" => ("timestamptz", Wire::TimestampTz),
            "uuid" => ("uuid", Wire::Uuid),
            _ => return None,
        };
        Some(Self { stored, wire })
    }

    /// Its type in the table.
    pub(in super::super) fn stored_type(&self) -> &'static str {
        self.stored
    }

    /// The definition of the column in a table.
    pub(super) fn definition(&self) -> String {
        match self.stored {
            "text" => String::from("text COLLATE \"C\" NOT NULL"),
            other => format!("{other} NOT NULL"),
        }
    }
}

/// A column of the model `m`, as the value that a key column is compared with. Integers keep their width: their
/// index can then be used.
pub(super) fn key_expression(field: &Field) -> String {
    match field.wire {
        Wire::Oid => format!("{}::bigint", column(field)),
        Wire::Text | Wire::Network | Wire::Mac => text(field),
        _ => column(field),
    }
}

/// A column of the model `m`, as a value that is the same only where all of its bytes are.
pub(super) fn fingerprint_expression(field: &Field) -> String {
    let sent = |function: &str| format!("pg_catalog.{function}({})", column(field));
    match &field.wire {
        Wire::Bool
        | Wire::Int2
        | Wire::Int4
        | Wire::Int8
        | Wire::Oid
        | Wire::Bytea
        | Wire::Date
        | Wire::Time
        | Wire::Timestamp
        | Wire::TimestampTz
        | Wire::Uuid
        | Wire::Network
        | Wire::Mac => column(field),
        Wire::Text => text(field),
        Wire::Float4 => sent("float4send"),
        Wire::Float8 => sent("float8send"),
        Wire::Numeric => sent("numeric_send"),
        Wire::Json => sent("json_send"),
        Wire::Jsonb => sent("jsonb_send"),
        Wire::Interval => sent("interval_send"),
        Wire::Array(_) => sent("array_send"),
        // A projection with such a column is refused before.
        Wire::Unsupported => format!("{}::text", column(field)),
    }
}

/// Names all that a fingerprint over these columns depends on, on a server of this major version.
pub(in super::super) fn fingerprints(fields: &[Field], major: u32) -> String {
    let mut described = Vec::new();
    for Field { name, native, .. } in fields {
        for part in [name, native] {
            described.extend_from_slice(&(part.len() as u64).to_le_bytes());
            described.extend_from_slice(part.as_bytes());
        }
    }
    format!("{ALGORITHM} postgres/{major} columns/{:016x}", xxh3_64(&described))
}

fn column(field: &Field) -> String {
    format!("m.{}", quote(&field.name))
}

/// The text that travels, compared bytewise. Of a type whose cast to text changes it (`character(n)` loses its
/// blanks) or that none is sure to have, `concat` gives what the output function writes.
fn text(field: &Field) -> String {
    let column = column(field);
    match field.native.as_str() {
        "text" | "varchar" => format!("{column} COLLATE \"C\""),
        _ => format!("(CASE WHEN {column} IS NOT NULL THEN pg_catalog.concat({column}) END) COLLATE \"C\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, native: &str, wire: Wire) -> Field {
        Field { name: name.into(), native: native.into(), wire }
    }

    #[test]
    fn every_type_of_a_key_has_a_column_that_keeps_it() {
        for wire in [Wire::Bool, Wire::Int2, Wire::Oid, Wire::Numeric, Wire::Text, Wire::Mac, Wire::Bytea, Wire::Date] {
            assert!(wire.can_be_key());
            let column = KeyColumn::of(&field("k", "x", wire.clone())).expect("a column");
            assert_eq!(KeyColumn::stored(column.stored), Some(column.clone()));
            assert!(column.wire.can_be_key());
        }
        assert!(KeyColumn::of(&field("k", "float8", Wire::Float8)).is_err());
        assert_eq!(KeyColumn::stored("money"), None);
    }

    #[test]
    fn names_are_quoted_and_texts_compared_bytewise() {
        assert_eq!(key_expression(&field("a\"b", "int4", Wire::Int4)), "m.\"a\"\"b\"");
        assert_eq!(key_expression(&field("k", "text", Wire::Text)), "m.\"k\" COLLATE \"C\"");
        assert!(key_expression(&field("k", "citext", Wire::Text)).contains("concat(m.\"k\")"));
        assert_eq!(fingerprint_expression(&field("n", "numeric", Wire::Numeric)), "pg_catalog.numeric_send(m.\"n\")");
    }

    #[test]
    fn another_server_type_or_name_is_another_fingerprint() {
        let of = |name: &str, native: &str, major| fingerprints(&[field(name, native, Wire::Int4)], major);
        assert_eq!(of("a", "int4", 15), of("a", "int4", 15));
        for other in [of("b", "int4", 15), of("a", "int8", 15), of("a", "int4", 16), of("ai", "nt4", 15)] {
            assert_ne!(of("a", "int4", 15), other);
        }
    }
}
