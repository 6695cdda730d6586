//! The condition by which a scan asks for some rows of its model only ([`Since`]).
//!
//! Besides the rows since a moment it names those whose moment is not known: a row without a date must not be one that
//! is never asked for. Values are written as literals, because a `COPY` takes no parameters.

use std::fmt::Write as _;

use backhaul_kit::{Since, Value};

use super::wrap::quote;

/// Keys of several columns that are listed together. PostgreSQL makes a chain of comparisons of each list, and recurses
/// into it.
const KEYS_AT_ONCE: usize = 500;

/// The year 1, in microseconds since 1970: before it no two warehouses write moments alike, and no row came.
const EARLIEST: i64 = -62_135_596_800_000_000;

/// How a warehouse writes conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// The condition, over the model's columns; `None` where all rows are asked for.
    pub(super) fn condition(self, since: &Since) -> Option<String> {
        let from = since.from.filter(|from| *from >= EARLIEST)?;
        let mut condition = self.came(&quote(&since.column), from);
        for keys in since.keys.chunks(KEYS_AT_ONCE) {
            condition.push_str(" OR ");
            self.has_key(&since.key, keys, &mut condition);
        }
        Some(condition)
    }

    /// Whether the row came at `from` or later, or nobody knows when.
    fn came(self, column: &str, from: i64) -> String {
        match self {
            // The literal takes the column's type. What lies before all times is no time.
            Self::Postgres => {
                let from = Value::Timestamp(from).to_text();
                format!("{column} >= '{from}' OR {column} IS NULL OR {column} = '-infinity'")
            }
            // Texts of different forms cannot be compared as texts. SQLite counts whole milliseconds.
            Self::Sqlite => {
                let from = Value::Timestamp(from.div_euclid(1000) * 1000).to_text();
                format!("julianday({column}) >= julianday('{from}') OR julianday({column}) IS NULL")
            }
        }
    }

    fn has_key(self, columns: &[String], keys: &[Vec<Value>], out: &mut String) {
        let names: Vec<String> = columns.iter().map(|column| quote(column)).collect();
        let composite = columns.len() > 1;
        // SQLite lists rows only as VALUES.
        let (open, close) = if composite && self == Self::Sqlite { ("(VALUES ", ")") } else { ("(", ")") };
        let names = names.join(", ");
        out.push_str(&if composite { format!("({names}) IN {open}") } else { format!("{names} IN {open}") });
        for (place, key) in keys.iter().enumerate() {
            if place > 0 {
                out.push_str(", ");
            }
            let parts: Vec<String> = key.iter().map(|part| self.literal(part)).collect();
            let parts = parts.join(", ");
            out.push_str(&if composite { format!("({parts})") } else { parts });
        }
        out.push_str(close);
    }

    /// A part of a key as a literal.
    fn literal(self, value: &Value) -> String {
        match (self, value) {
            (Self::Sqlite, Value::Int(number)) => number.to_string(),
            (Self::Sqlite, Value::Bytes(bytes)) => format!("X'{}'", hex(bytes)),
            // A statement has no NUL character.
            (Self::Sqlite, Value::Text(text)) if text.contains('\0') => {
                format!("CAST(X'{}' AS TEXT)", hex(text.as_bytes()))
            }
            (Self::Sqlite, other) => format!("'{}'", other.to_text().replace('\'', "''")),
            // Quoted, a literal takes the type of what it is compared with.
            (Self::Postgres, Value::Bytes(bytes)) => format!("E'\\\\x{}'", hex(bytes)),
            (Self::Postgres, other) => postgres_text(&other.to_text()),
        }
    }
}

/// A text as PostgreSQL reads it whatever `standard_conforming_strings` says.
fn postgres_text(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since(key: &[&str], keys: Vec<Vec<Value>>) -> Since {
        Since {
            column: String::from("loaded \"at\""),
            from: Some(1_793_491_200_123_456),
            key: key.iter().map(|column| (*column).to_owned()).collect(),
            keys,
        }
    }

    #[test]
    fn rows_without_a_moment_are_always_asked_for() {
        let since = since(&["id"], Vec::new());
        assert_eq!(
            Dialect::Postgres.condition(&since).expect("a condition"),
            "\"loaded \"\"at\"\"\" >= '2026-11-01T00:00:00.123456Z' OR \"loaded \"\"at\"\"\" IS NULL OR \
             \"loaded \"\"at\"\"\" = '-infinity'"
        );
        assert_eq!(
            Dialect::Sqlite.condition(&since).expect("a condition"),
            "julianday(\"loaded \"\"at\"\"\") >= julianday('2026-11-01T00:00:00.123Z') OR \
             julianday(\"loaded \"\"at\"\"\") IS NULL"
        );
        let early = Since { from: Some(EARLIEST), ..since };
        assert!(Dialect::Sqlite.condition(&early).is_some_and(|text| text.contains("'0001-01-01T00:00:00Z'")));
        for from in [None, Some(EARLIEST - 1)] {
            assert_eq!(Dialect::Postgres.condition(&Since { from, ..early.clone() }), None);
        }
    }

    #[test]
    fn keys_are_literals_that_nothing_in_them_can_end() {
        let text = |text: &str| vec![Value::Text(text.into())];
        let keys =
            vec![vec![Value::Int(7)], text("it's"), text("a\\'b"), vec![Value::Bytes(vec![1, 255])], text("a\0b")];
        let tail = |dialect: Dialect, since: &Since| {
            let condition = dialect.condition(since).expect("a condition");
            condition.rsplit_once(" OR ").expect("keys").1.to_owned()
        };
        let single = since(&["id"], keys);
        assert_eq!(
            tail(Dialect::Sqlite, &single),
            "\"id\" IN (7, 'it''s', 'a\\''b', X'01ff', CAST(X'610062' AS TEXT))"
        );
        let single = since(&["id"], single.keys[..4].to_vec());
        assert_eq!(tail(Dialect::Postgres, &single), "\"id\" IN ('7', 'it''s', E'a\\\\''b', E'\\\\x01ff')");
        let pair = |n, text: &str| vec![Value::Int(n), Value::Text(text.into())];
        let composite = since(&["a", "b"], vec![pair(1, "x"), pair(2, "y")]);
        assert_eq!(tail(Dialect::Sqlite, &composite), "(\"a\", \"b\") IN (VALUES (1, 'x'), (2, 'y'))");
        assert_eq!(tail(Dialect::Postgres, &composite), "(\"a\", \"b\") IN (('1', 'x'), ('2', 'y'))");
    }
}
