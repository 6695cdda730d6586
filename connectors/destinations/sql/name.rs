//! Names of tables and columns.

use std::fmt;

/// A table as the operator names it: `table` or `schema.table`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TableName {
    /// The schema; PostgreSQL and MariaDB have a usual one where it is absent.
    pub(super) schema: Option<String>,
    /// The table.
    pub(super) table: String,
}

impl TableName {
    /// `None` for what cannot be a name.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('.').collect();
        if parts.iter().any(|part| part.is_empty() || part.contains('\0')) {
            return None;
        }
        match parts.as_slice() {
            [table] => Some(Self { schema: None, table: (*table).to_owned() }),
            [schema, table] => Some(Self { schema: Some((*schema).to_owned()), table: (*table).to_owned() }),
            _ => None,
        }
    }

    /// As it stands in a statement.
    pub(super) fn quoted(&self, quote: char) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema, quote), quoted(&self.table, quote)),
            None => quoted(&self.table, quote),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.table),
            None => f.write_str(&self.table),
        }
    }
}

/// A name as it stands in a statement, whatever is in it.
pub(super) fn quoted(name: &str, quote: char) -> String {
    let mut out = String::with_capacity(name.len() + 2);
    out.push(quote);
    for c in name.chars() {
        if c == quote {
            out.push(quote);
        }
        out.push(c);
    }
    out.push(quote);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed_and_quoted() {
        let of = |text: &str| TableName::parse(text).map(|name| name.quoted('"'));
        assert_eq!(of("customers").as_deref(), Some("\"customers\""));
        assert_eq!(of("crm.Kunden \"neu\"").as_deref(), Some("\"crm\".\"Kunden \"\"neu\"\"\""));
        for wrong in ["", ".", "a.", ".b", "a.b.c", "a\0b"] {
            assert_eq!(of(wrong), None, "{wrong:?}");
        }
        assert_eq!(quoted("a`; drop table x; --", '`'), "`a``; drop table x; --`");
    }
}
