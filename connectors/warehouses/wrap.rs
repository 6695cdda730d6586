//! A model's query inside a SELECT of ours, and the checks that both warehouses share.
//!
//! The operator's text stands on its own lines between brackets, so that a trailing `--` comment ends
//! before our closing bracket:
//!
//! ```sql
//! SELECT "id", "email" FROM (
//! select * from users -- everybody
//! ) AS m WHERE (
//! country = 'DE'
//! )
//! ```

use backhaul_kit::{Fault, Model, ModelQuery, Projection, Proof, Query, Schema};

use super::columns;
use super::since::Dialect;

/// A model, ready to be put into statements.
#[derive(Clone, Debug)]
pub(super) struct Wrapped {
    name: String,
    query: String,
    filter: Option<String>,
    /// The condition of a scan that asks for some rows only.
    since: Option<String>,
    /// Whether the scan may bring fewer rows than the model has.
    is_part: bool,
    /// The quoted name, where the model is a table; else `query` is the operator's own text, and offsets into it mean
    /// something to them.
    table: Option<String>,
}

impl Wrapped {
    /// Takes the model's query, without the semicolons at its end.
    ///
    /// # Errors
    /// `Config` where there is no query, or it has a NUL character.
    pub(super) fn new(model: &Model) -> Result<Self, Fault> {
        let (query, table) = match &model.query {
            // A semicolon that ends the text stands outside of every literal, or in a comment, or in a literal that
            // is not closed anyway: leaving it out changes no valid statement.
            ModelQuery::Sql(sql) => (sql.trim_end_matches(|c: char| c == ';' || c.is_whitespace()).to_owned(), None),
            ModelQuery::Table(name) => {
                let table = quote_table(&model.name, name)?;
                (format!("SELECT * FROM {table}"), Some(table))
            }
            ModelQuery::Files(_) => return Err(ModelQuery::files_refused()),
        };
        if query.trim().is_empty() {
            return Err(Fault::config(format!("the SQL of model `{}` is empty", model.name)));
        }
        if query.contains('\0') || model.filter.as_ref().is_some_and(|f| f.contains('\0')) {
            return Err(Fault::config(format!("the SQL of model `{}` has a NUL character", model.name)));
        }
        let (name, filter) = (model.name.clone(), model.filter.clone());
        Ok(Self { name, query, filter, since: None, is_part: false, table })
    }

    /// With [`Model::since`] as the condition of every selection of single columns.
    #[must_use]
    pub(super) fn since(self, model: &Model, dialect: Dialect) -> Self {
        let since = model.since.as_ref().and_then(|since| dialect.condition(since));
        Self { is_part: model.since.is_some(), since, ..self }
    }

    /// What a complete scan proves.
    pub(super) fn proof(&self, of_all: Proof) -> Proof {
        if self.is_part { of_all.of_part() } else { of_all }
    }

    /// The model's name, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The query alone, as the operator wrote it (or ours, of a table).
    pub(super) fn query(&self) -> &str {
        &self.query
    }

    /// The quoted name of the table that the model is, if it is one.
    pub(super) fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// The sync's `where`.
    pub(super) fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// All columns of the filtered model.
    pub(super) fn select_all(&self) -> String {
        format!("SELECT * FROM {}", self.from())
    }

    /// All columns of the model, whatever the filter.
    pub(super) fn select_unfiltered(&self) -> String {
        format!("SELECT * FROM (\n{}\n) AS m", self.query)
    }

    /// Some columns of the filtered model, of the rows that the scan asks for.
    pub(super) fn select(&self, columns: &[String]) -> String {
        let names: Vec<String> = columns.iter().map(|c| quote(c)).collect();
        let all = self.select_expressions(&names.join(", "));
        match &self.since {
            None => all,
            Some(since) => format!("{all} {} ({since})", if self.filter.is_some() { "AND" } else { "WHERE" }),
        }
    }

    /// Expressions over the filtered model, which they know as `m`.
    pub(super) fn select_expressions(&self, expressions: &str) -> String {
        format!("SELECT {expressions} FROM {}", self.from())
    }

    /// Some columns of the filtered rows that fulfil `condition`, which may speak of the system columns of `table`: the
    /// model is all of that table.
    pub(super) fn select_part(&self, table: &str, columns: &[String], condition: &str) -> String {
        Self { query: format!("SELECT * FROM {table} WHERE {condition}"), ..self.clone() }.select(columns)
    }

    /// The filter without brackets of ours: SQL that only fits between brackets fails here.
    pub(super) fn select_bare_filter(&self) -> Option<String> {
        self.filter.as_ref().map(|filter| format!("SELECT 1 FROM (\n{}\n) AS m WHERE\n{filter}\n", self.query))
    }

    /// The question's SQL with the model in place, bounded by its limit.
    pub(super) fn question(&self, query: &Query) -> String {
        let model = format!("({})", self.select_all());
        format!("SELECT * FROM (\n{}\n) AS q LIMIT {}", query.sql.replace("{model}", &model), query.limit)
    }

    /// Where byte `at` of `statement` (a text made by this model, or the query itself) lies in the operator's SQL.
    pub(super) fn offset(&self, statement: &str, at: usize) -> Option<usize> {
        let start = statement.find(&self.query)?;
        let offset = at.checked_sub(start)?;
        (self.table.is_none() && offset <= self.query.len()).then_some(offset)
    }

    /// A fault about the model.
    pub(super) fn refuse(&self, what: impl std::fmt::Display) -> Fault {
        Fault::config(format!("model `{}` {what}", self.name))
    }

    /// Refuses columns that cannot be told apart; `same` says which names the warehouse takes for equal.
    pub(super) fn unique_columns(&self, names: &[&str], same: fn(&str, &str) -> bool) -> Result<(), Fault> {
        columns::unique(&self.name, names, same)
            .map_err(|fault| fault.remedy("give each column its own name with `AS`"))
    }

    /// The places of the projected columns in the schema.
    ///
    /// # Errors
    /// `Config` where the model has no such column, with the nearest it has.
    pub(super) fn places(&self, schema: &Schema, projection: &Projection) -> Result<Vec<usize>, Fault> {
        columns::places(&self.name, schema, projection)
    }

    fn from(&self) -> String {
        match &self.filter {
            Some(filter) => format!("(\n{}\n) AS m WHERE (\n{filter}\n)", self.query),
            None => format!("(\n{}\n) AS m", self.query),
        }
    }
}

/// A name as a quoted identifier.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `marts.users` or `marts."Users 2"` with every part quoted. Names are taken literally: case matters.
pub(super) fn quote_table(model: &str, table: &str) -> Result<String, Fault> {
    quoted_parts(model, table).map(|parts| parts.join("."))
}

/// The quoted parts of a table's name.
///
/// # Errors
/// `Config` where it is none.
pub(super) fn quoted_parts(model: &str, table: &str) -> Result<Vec<String>, Fault> {
    let malformed = || {
        Fault::config(format!("model `{model}`: `{table}` is not the name of a table"))
            .remedy("write it as `table`, `schema.table` or `schema.\"odd.name\"`")
    };
    let mut parts = Vec::new();
    let mut rest = table;
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => take_quoted(quoted).ok_or_else(malformed)?,
            None => {
                let end = rest.find('.').unwrap_or(rest.len());
                (rest[..end].to_owned(), &rest[end..])
            }
        };
        if part.is_empty() {
            return Err(malformed());
        }
        parts.push(quote(&part));
        if after.is_empty() {
            return Ok(parts);
        }
        rest = after.strip_prefix('.').ok_or_else(malformed)?;
    }
}

/// What stands before the closing quote (doubled quotes are one), and what follows it.
fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        name.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(after) => {
                name.push('"');
                rest = after;
            }
            None => return Some((name, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn model(query: ModelQuery, filter: Option<&str>) -> Model {
        Model {
            name: "people".into(),
            query,
            filter: filter.map(str::to_owned),
            since: None,
            parallel: false,
            timeout: None,
            idle_timeout: Duration::from_secs(60),
        }
    }

    #[test]
    fn a_comment_at_the_end_does_not_swallow_the_bracket() {
        let wrapped = Wrapped::new(&model(ModelQuery::Sql("select 1 as a -- one;\n;".into()), Some("a = 1 -- x")));
        let wrapped = wrapped.expect("wrapped");
        assert_eq!(
            wrapped.select(&["a".into()]),
            "SELECT \"a\" FROM (\nselect 1 as a -- one\n) AS m WHERE (\na = 1 -- x\n)"
        );
    }

    #[test]
    fn offsets_lead_back_into_the_text_of_the_operator() {
        let wrapped = Wrapped::new(&model(ModelQuery::Sql("select nope".into()), None)).expect("wrapped");
        let statement = wrapped.select_all();
        assert_eq!(wrapped.offset(&statement, statement.find("nope").expect("there")), Some(7));
        assert_eq!(wrapped.offset(wrapped.query(), 7), Some(7));
        assert_eq!(wrapped.offset(&statement, 3), None);
        let table = Wrapped::new(&model(ModelQuery::Table("t".into()), None)).expect("wrapped");
        assert_eq!(table.offset(&table.select_all(), 20), None);
    }

    #[test]
    fn the_parts_of_a_table_are_quoted() {
        let quoted = |name: &str| quote_table("m", name).ok();
        assert_eq!(quoted("marts.users").as_deref(), Some("\"marts\".\"users\""));
        assert_eq!(quoted("Users; drop").as_deref(), Some("\"Users; drop\""));
        assert_eq!(quoted("a.\"b.\"\"c\"").as_deref(), Some("\"a\".\"b.\"\"c\""));
        for bad in ["", ".", "a.", ".a", "a..b", "\"a", "\"a\"b", "\"\""] {
            assert_eq!(quoted(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_part_of_a_table_is_cut_below_the_filter() {
        let wrapped = Wrapped::new(&model(ModelQuery::Table("t".into()), Some("a = 1 -- x"))).expect("wrapped");
        let table = wrapped.table().expect("a table");
        assert_eq!(
            wrapped.select_part(table, &["a".into()], "c < 1"),
            "SELECT \"a\" FROM (\nSELECT * FROM \"t\" WHERE c < 1\n) AS m WHERE (\na = 1 -- x\n)"
        );
        let own = Wrapped::new(&model(ModelQuery::Sql("select 1 as a".into()), None)).expect("wrapped");
        assert_eq!(own.table(), None);
    }

    #[test]
    fn an_empty_query_is_refused() {
        for sql in ["", " \n", ";;", "select '\0'"] {
            assert!(Wrapped::new(&model(ModelQuery::Sql(sql.into()), None)).is_err(), "{sql}");
        }
    }
}
