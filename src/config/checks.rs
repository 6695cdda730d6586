//! `[checks]`: what a model's data must be like before any of it is sent.

use std::collections::BTreeSet;

use backhaul_kit::config::{ConfigTable, Item, ItemKind, Problem, Span};
use regex::Regex;

use super::project::{Check, CheckKind, CheckSeverity, DiffPlace, OnBadRow};

pub(super) const SEVERITY: &[(&str, CheckSeverity)] = &[("warn", CheckSeverity::Warn), ("hold", CheckSeverity::Hold)];
pub(super) const ON_BAD_ROW: &[(&str, OnBadRow)] = &[("skip", OnBadRow::Skip), ("hold", OnBadRow::Hold)];
const DEFAULT_RUNS: u64 = 5;
/// More earlier runs than this say nothing of what is usual now.
const MOST_RUNS: u64 = 100;

/// Reads `[checks]` of `outer`, where there is one.
pub(super) fn read_table(outer: &mut ConfigTable) -> Vec<Check> {
    let Some(mut table) = outer.table("checks") else { return Vec::new() };
    let checks = read(&mut table);
    table.finish();
    checks
}

/// Reads the keys of the table.
pub(super) fn read(table: &mut ConfigTable) -> Vec<Check> {
    let mut checks = listed(table, "not_null", CheckKind::NotNull);
    checks.extend(listed(table, "unique", CheckKind::Unique));
    checks.extend(by_column(table, "accepted_values", |inner, column| {
        simple(inner, column, "values", accepted).map(|(values, severity)| {
            let column = column.to_owned();
            (CheckKind::AcceptedValues { column, values }, severity)
        })
    }));
    checks.extend(by_column(table, "regex", |inner, column| {
        simple(inner, column, "pattern", pattern).map(|(pattern, severity)| {
            let column = column.to_owned();
            (CheckKind::Regex { column, pattern }, severity)
        })
    }));
    checks.extend(by_column(table, "range", range));
    checks.extend(freshness(table));
    checks.extend(row_count(table));
    checks
}

/// A model's checks with a sync's on top: of the same check of the same column the sync's counts.
pub(super) fn on_top(model: &[Check], own: Vec<Check>) -> Vec<Check> {
    let same = |a: &Check, b: &Check| (a.kind.name(), a.kind.column()) == (b.kind.name(), b.kind.column());
    let kept: Vec<Check> = model.iter().filter(|check| !own.iter().any(|over| same(check, over))).cloned().collect();
    kept.into_iter().chain(own).collect()
}

/// Only rows that changed leave a warehouse that compares: there, single rows cannot be judged.
pub(super) fn check_place(table: &ConfigTable, checks: &[Check], diff: DiffPlace) {
    if diff == DiffPlace::Local {
        return;
    }
    for check in checks.iter().filter(|check| check.kind.looks_at_rows()) {
        let message =
            format!("`{}` looks at every row, and with `diff = \"warehouse\"` most stay there", check.kind.name());
        table.problems().push(
            Problem::error("no-warehouse-check", message)
                .at(&check.span)
                .remedy("take `diff` out, or have the check made in the warehouse (as a dbt test); `freshness` and `row_count` work there"),
        );
    }
}

fn severity(table: &mut ConfigTable) -> CheckSeverity {
    table.choice("severity", SEVERITY).unwrap_or(CheckSeverity::Hold)
}

/// A list of columns, each a name or `{ column, severity }`.
fn listed(table: &mut ConfigTable, key: &str, kind: fn(String) -> CheckKind) -> Vec<Check> {
    const EXPECTED: &str = "an array of columns";
    let Some(item) = table.take(key) else { return Vec::new() };
    let ItemKind::Array(items) = item.kind else {
        table.wrong_type(key, EXPECTED, &item);
        return Vec::new();
    };
    let mut checks: Vec<Check> = Vec::new();
    for item in items {
        let span = item.span.clone();
        let (column, severity) = match item.kind {
            ItemKind::Text(column) => (Some(column), CheckSeverity::Hold),
            ItemKind::Table(_) => {
                let Some(mut inner) = table.item_table(key, item) else { continue };
                let read = (inner.required_text("column"), severity(&mut inner));
                inner.finish();
                read
            }
            _ => {
                table.wrong_type(key, EXPECTED, &item);
                continue;
            }
        };
        let Some(column) = column else { continue };
        if checks.iter().any(|known| known.kind.column() == Some(&column)) {
            let message = format!("`{}` names `{column}` twice", table.path_of(key));
            table.problems().push(Problem::error("check-twice", message).at(&span));
        } else {
            checks.push(Check { kind: kind(column), severity, span });
        }
    }
    checks
}

/// A table with one entry a column.
fn by_column(
    table: &mut ConfigTable,
    key: &str,
    read: impl Fn(&mut ConfigTable, &str) -> Option<(CheckKind, CheckSeverity)>,
) -> Vec<Check> {
    let Some(mut inner) = table.table(key) else { return Vec::new() };
    let columns = inner.keys();
    let checks = columns.into_iter().filter_map(|(column, span)| {
        let (kind, severity) = read(&mut inner, &column)?;
        Some(Check { kind, severity, span })
    });
    checks.collect()
}

/// What a check wants of a column: as it is, or under `name` in a table that also has the severity.
fn simple<T>(
    table: &mut ConfigTable,
    column: &str,
    name: &str,
    read: fn(&mut ConfigTable, &str) -> Option<T>,
) -> Option<(T, CheckSeverity)> {
    if !matches!(table.peek(column)?, ItemKind::Table(_)) {
        return Some((read(table, column)?, CheckSeverity::Hold));
    }
    let mut inner = table.table(column)?;
    if !inner.has(name) {
        inner.missing(name);
    }
    let (wanted, severity) = (read(&mut inner, name), severity(&mut inner));
    inner.finish();
    Some((wanted?, severity))
}

fn accepted(table: &mut ConfigTable, key: &str) -> Option<BTreeSet<String>> {
    values(table, key, "name the values that the column may have; NULL passes, `not_null` refuses it")
}

/// Texts, numbers and booleans, as they look as text; `remedy` is for a list that names none.
pub(super) fn values(table: &mut ConfigTable, key: &str, remedy: &str) -> Option<BTreeSet<String>> {
    const EXPECTED: &str = "an array of texts, numbers or booleans";
    let item = table.take(key)?;
    let ItemKind::Array(items) = &item.kind else {
        table.wrong_type(key, EXPECTED, &item);
        return None;
    };
    if items.is_empty() {
        let message = format!("`{}` accepts nothing", table.path_of(key));
        table.problems().push(Problem::error("no-values", message).at(&item.span).remedy(remedy));
        return None;
    }
    let text = |item: &Item| match &item.kind {
        ItemKind::Text(text) => Some(text.clone()),
        ItemKind::Integer(n) => Some(n.to_string()),
        ItemKind::Float(n) => Some(n.to_string()),
        ItemKind::Bool(b) => Some(b.to_string()),
        _ => {
            table.wrong_type(key, EXPECTED, item);
            None
        }
    };
    items.iter().map(text).collect()
}

fn pattern(table: &mut ConfigTable, key: &str) -> Option<Regex> {
    let (text, span) = table.text_at(key)?;
    match Regex::new(&text) {
        Ok(pattern) => Some(pattern),
        Err(error) => {
            let why = error.to_string();
            let why = why.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            table.problems().push(
                Problem::error("bad-pattern", format!("`{}` is no regular expression: {why}", table.path_of(key)))
                    .at(&span)
                    .remedy("as \"^[^@]+@[^@]+$\", without look-around and back-references; '…' spares you from doubling each \\"),
            );
            None
        }
    }
}

fn range(table: &mut ConfigTable, column: &str) -> Option<(CheckKind, CheckSeverity)> {
    let mut inner = table.table(column)?;
    let given = inner.has("min") | inner.has("max");
    let (min, max) = (number(&mut inner, "min"), number(&mut inner, "max"));
    let severity = severity(&mut inner);
    let problem = match (min, max) {
        _ if !given => Some("a range needs `min` or `max`"),
        (Some(min), Some(max)) if min > max => Some("`min` is above `max`: no number would pass"),
        _ => None,
    };
    if let Some(problem) = problem {
        inner.problems().push(Problem::error("bad-range", problem).at(inner.span()));
    }
    inner.finish();
    (problem.is_none() && min.or(max).is_some())
        .then(|| (CheckKind::Range { column: column.to_owned(), min, max }, severity))
}

/// An optional finite number.
fn number(table: &mut ConfigTable, key: &str) -> Option<f64> {
    let item = table.take(key)?;
    match item.kind {
        ItemKind::Integer(n) => Some(n as f64),
        ItemKind::Float(n) if n.is_finite() => Some(n),
        _ => {
            table.wrong_type(key, "a number", &item);
            None
        }
    }
}

fn freshness(table: &mut ConfigTable) -> Option<Check> {
    let (mut inner, span) = one(table, "freshness")?;
    let column = inner.required_text("column");
    if !inner.has("within") {
        inner.missing("within");
    }
    let (within, severity) = (inner.duration("within"), severity(&mut inner));
    inner.finish();
    Some(Check { kind: CheckKind::Freshness { column: column?, within: within? }, severity, span })
}

/// `"20%"`, or a table.
fn row_count(table: &mut ConfigTable) -> Option<Check> {
    if let ItemKind::Text(_) = table.peek("row_count")? {
        let span = table.keys().into_iter().find(|(key, _)| key == "row_count")?.1;
        let within = table.percent("row_count")?;
        return Some(Check {
            kind: CheckKind::RowCount { within, runs: DEFAULT_RUNS },
            severity: CheckSeverity::Hold,
            span,
        });
    }
    let (mut inner, span) = one(table, "row_count")?;
    if !inner.has("within") {
        inner.missing("within");
    }
    let (within, runs) = (inner.percent("within"), inner.number("runs", 1).unwrap_or(DEFAULT_RUNS));
    let severity = severity(&mut inner);
    inner.finish();
    Some(Check { kind: CheckKind::RowCount { within: within?, runs: runs.min(MOST_RUNS) }, severity, span })
}

/// The table of a check that comes once, and the place of its name.
fn one(table: &mut ConfigTable, key: &str) -> Option<(ConfigTable, Span)> {
    let (span, item) = table.take_with_key(key)?;
    Some((table.item_table(key, item)?, span))
}
