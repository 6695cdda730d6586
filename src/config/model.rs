//! A model: `models/NAME.toml`, or `[model]` in a sync.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};
use std::sync::Arc;
use std::time::Duration;

use backhaul_kit::ModelQuery;
use backhaul_kit::config::{ConfigTable, Problem, SourceFile, Span};

use super::project::ModelDef;
use super::root::Root;
use super::{checks, files, incremental, later, names};

const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// Kinds of personal data.
pub(super) const PERSONAL: &[(&str, &str)] = &[
    ("email", "email"),
    ("phone", "phone"),
    ("name", "name"),
    ("address", "address"),
    ("birth_date", "birth_date"),
    ("id", "id"),
    ("ip", "ip"),
    ("other", "other"),
];

/// What a model may refer to.
pub(super) struct Around<'a> {
    /// The project's folder.
    pub(super) path: &'a Path,
    pub(super) root: &'a Root,
}

/// Reads the keys of a model; `None` when there were problems.
pub(super) fn read(
    table: &mut ConfigTable,
    name: &str,
    file: &Arc<SourceFile>,
    around: &Around<'_>,
) -> Option<ModelDef> {
    let before = table.problems().errors();
    let later = later::refuse(table, later::MODEL);
    let warehouse = table.required_text_at("warehouse");
    if let Some((warehouse, span)) = &warehouse
        && !around.root.warehouse_names.contains(warehouse)
    {
        let known = around.root.warehouse_names.iter().map(String::as_str);
        table.problems().push(names::unknown("unknown-warehouse", "warehouse", warehouse, span, known));
    }
    let query = query(table, around.path, later);
    if let (Some((warehouse, _)), Some(query)) = (&warehouse, &query) {
        check_query(table, warehouse, query, around.root);
    }
    let key = key(table);
    let person = table.text_at("person");
    let mut mentioned: Vec<(String, Span)> = person.iter().cloned().collect();
    let personal = personal(table, &mut mentioned);
    let incremental = incremental::read(table, &mut mentioned);
    let checks = checks::read_table(table);
    let parallel = table.bool("parallel").unwrap_or(false);
    let timeout = table.duration("timeout");
    let idle_timeout = table.duration("idle_timeout").unwrap_or(DEFAULT_IDLE_TIMEOUT);
    if table.problems().errors() > before {
        return None;
    }
    let query = query?;
    Some(ModelDef {
        name: name.to_owned(),
        warehouse: warehouse?.0,
        query: query.query,
        query_span: query.text,
        key: key?,
        person: person.map(|(column, _)| column),
        personal,
        mentioned,
        incremental,
        checks,
        parallel,
        timeout,
        idle_timeout,
        file: file.clone(),
    })
}

/// A query as it was written.
struct Written {
    query: ModelQuery,
    /// The place of its text, character for character; none where the text has escapes.
    text: Option<Span>,
    /// The place of the value that gives it.
    value: Span,
}

/// What the warehouse says to the query. One with problems of its own, or unknown, says nothing.
fn check_query(table: &ConfigTable, warehouse: &str, query: &Written, root: &Root) {
    if let Some(known) = root.warehouses.get(warehouse)
        && let Err(fault) = known.config.check_query(&query.query)
    {
        table.problems().push(
            Problem::error("bad-query", fault.message.clone()).at(&query.value).remedy(fault.remedy_text().to_owned()),
        );
    }
}

fn query(table: &mut ConfigTable, root: &Path, later: bool) -> Option<Written> {
    let present: Vec<&str> = ["sql", "table", "sql_file", "files"].into_iter().filter(|key| table.has(key)).collect();
    let (sql, named, path) = (table.text_at("sql"), table.text_at("table"), table.text_at("sql_file"));
    let pattern = table.text_at("files");
    if present.len() != 1 {
        // With a query of a later kind, saying that there is none would mislead.
        if !(later && present.is_empty()) {
            let message = if present.is_empty() {
                String::from("the model has no query")
            } else {
                format!("the model has {} queries: {}", present.len(), present.join(" and "))
            };
            let given = [&sql, &named, &path, &pattern].into_iter().flatten();
            let last = given.map(|(_, span)| span).max_by_key(|span| span.range.start);
            table.problems().push(
                Problem::error("bad-query", message)
                    .at(last.unwrap_or(table.span()))
                    .remedy("give exactly one of `sql`, `table`, `sql_file` and `files`"),
            );
        }
        return None;
    }
    let blank = |text: &str, span: &Span, what: &str| {
        let blank = text.trim().is_empty();
        if blank {
            table.problems().push(Problem::error("bad-query", format!("{what} is empty")).at(span));
        }
        blank
    };
    if let Some((sql, span)) = sql {
        return (!blank(&sql, &span, "`sql`")).then(|| {
            let text = place_of_text(&sql, &span);
            Written { query: ModelQuery::Sql(sql), text, value: span }
        });
    }
    if let Some((name, span)) = named {
        if name.split('.').any(|part| part.trim().is_empty()) {
            table.problems().push(
                Problem::error("bad-query", "`table` is not the name of a table")
                    .at(&span)
                    .remedy("a table or view, with its schema where needed, as \"marts.customers\""),
            );
            return None;
        }
        return Some(Written { query: ModelQuery::Table(name), text: Some(span.clone()), value: span });
    }
    if let Some((pattern, span)) = pattern {
        let blank = blank(&pattern, &span, "`files`");
        let written = Written { query: ModelQuery::Files(pattern), text: None, value: span };
        return (!blank).then_some(written);
    }
    let (path, span) = path?;
    match sql_file(root, Path::new(&path)) {
        Ok(file) => {
            let whole = Span { range: 0..file.text.len(), file };
            (!blank(&whole.file.text, &span, "the file of `sql_file`")).then(|| Written {
                query: ModelQuery::Sql(whole.file.text.clone()),
                text: Some(whole),
                value: span,
            })
        }
        Err(problem) => {
            let remedy =
                problem.remedy.clone().unwrap_or_else(|| String::from("the path is relative to backhaul.toml"));
            table.problems().push(problem.at(&span).remedy(remedy));
            None
        }
    }
}

/// A file below the project; neither `..` nor a link may lead out of it.
fn sql_file(root: &Path, relative: &Path) -> Result<Arc<SourceFile>, Problem> {
    let outside = || {
        Problem::error("outside-project", "`sql_file` must stay inside the project")
            .remedy("a path relative to backhaul.toml, as \"sql/customers.sql\"")
    };
    if relative.components().any(|part| !matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(outside());
    }
    let file = files::read(root, relative)?;
    let inside = match (root.canonicalize(), root.join(relative).canonicalize()) {
        (Ok(root), Ok(path)) => path.starts_with(root),
        _ => false,
    };
    if inside { Ok(file) } else { Err(outside()) }
}

/// The place of a string's characters, where they stand in the file as they are (no escapes).
fn place_of_text(text: &str, literal: &Span) -> Option<Span> {
    let raw = literal.file.text.get(literal.range.clone())?;
    let start = raw.find(text).filter(|_| !text.is_empty())?;
    let quotes = &raw[..start];
    quotes.chars().all(|c| matches!(c, '"' | '\'' | '\r' | '\n')).then(|| {
        let start = literal.range.start + start;
        Span { file: literal.file.clone(), range: start..start + text.len() }
    })
}

fn key(table: &mut ConfigTable) -> Option<Vec<(String, Span)>> {
    if !table.has("key") {
        table.missing("key");
        return None;
    }
    let key = table.texts_at("key")?;
    let problems = table.problems();
    if key.is_empty() {
        problems.push(
            Problem::error("bad-key", "the key has no columns")
                .at(table.span())
                .remedy("name the columns that tell one row from another, as key = [\"customer_id\"]"),
        );
        return None;
    }
    let mut seen = BTreeSet::new();
    for (column, span) in &key {
        if column.is_empty() {
            problems.push(Problem::error("bad-key", "a key column has no name").at(span));
        } else if !seen.insert(column) {
            problems.push(Problem::error("bad-key", format!("the key names `{column}` twice")).at(span));
        }
    }
    Some(key)
}

fn personal(table: &mut ConfigTable, mentioned: &mut Vec<(String, Span)>) -> BTreeMap<String, String> {
    let mut personal = BTreeMap::new();
    for (column, span, mut about) in table.tables("columns") {
        mentioned.push((column.clone(), span));
        if !about.has("personal") {
            about.missing("personal");
        }
        if let Some(kind) = about.choice("personal", PERSONAL) {
            personal.insert(column, kind.to_owned());
        }
        about.finish();
    }
    personal
}
